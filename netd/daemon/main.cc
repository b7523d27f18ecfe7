// SPDX-License-Identifier: Apache-2.0

#include <cstdio>

#include "absl/status/statusor.h"
#include "netd/daemon/daemon.h"
#include "netd/daemon/exit_code.h"
#include "netd/daemon/notify.h"
#include "netd/daemon/options.h"

int main(int argc, char** argv) {
  const absl::StatusOr<netpolicy::DaemonOptions> options =
      netpolicy::ParseOptions(argc, argv);
  if (!options.ok()) {
    const absl::string_view message = options.status().message();
    fprintf(stderr, "netd: %.*s\n", static_cast<int>(message.size()),
            message.data());
    return netpolicy::kExitUsage;
  }
  const auto notifier = netpolicy::ServiceNotifier::FromEnvironment();
  switch (options->action) {
    case netpolicy::DaemonAction::kPrintText:
      fputs(options->text.c_str(), stdout);
      return netpolicy::kExitOk;
    case netpolicy::DaemonAction::kDetach:
      return netpolicy::RunDetach(*options);
    case netpolicy::DaemonAction::kServe:
      break;
  }
  return netpolicy::RunDaemon(*options, notifier);
}
