// SPDX-License-Identifier: Apache-2.0
//
// What a service tells its service manager: sd_notify(3), without libsystemd.

#ifndef NETPOLICY_NETD_DAEMON_NOTIFY_H_
#define NETPOLICY_NETD_DAEMON_NOTIFY_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"

namespace netpolicy {

class ServiceNotifier {
 public:
  // Where $NOTIFY_SOCKET says, with the watchdog that $WATCHDOG_USEC and
  // $WATCHDOG_PID ask for. Takes the variables out of the environment, so call
  // it before there are threads. Without $NOTIFY_SOCKET nobody is told.
  static ServiceNotifier FromEnvironment();

  // Sends "READY=1", "STOPPING=1", "WATCHDOG=1", "STATUS=...", or several with
  // '\n' between. OK when nobody wants to know. Never blocks. Errors:
  // kInvalidArgument for an address that is none; the system's.
  absl::Status Send(absl::string_view state) const;

  // How long the service manager waits for "WATCHDOG=1" before it takes
  // measures. Unset: it doesn't.
  absl::optional<absl::Duration> watchdog() const { return watchdog_; }

 private:
  std::string address_;
  absl::optional<absl::Duration> watchdog_;
};

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_DAEMON_NOTIFY_H_
