// SPDX-License-Identifier: Apache-2.0

// ndc: shows and changes the network policy. See ndc(8).

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "netd/cli/commands.h"
#include "netd/cli/connect.h"
#include "netd/cli/exit_code.h"
#include "netd/cli/files.h"
#include "netd/cli/interface_addresses.h"
#include "netd/cli/names.h"
#include "netd/cli/screen.h"
#include "netd/cli/text_table.h"

namespace netpolicy::cli {
namespace {

Colour ColourOfOutput() {
  const char* const term = std::getenv("TERM");
  const char* const no_colour = std::getenv("NO_COLOR");  // no-color.org
  const bool plain = term == nullptr || std::strcmp(term, "dumb") == 0 ||
                     (no_colour != nullptr && *no_colour != '\0');
  return !plain && isatty(STDOUT_FILENO) == 1 ? Colour::kAnsi : Colour::kNever;
}

int Main(int argc, char** argv) {
  // A reader that went away (`ndc dump | head -1`) is told by write(2).
  std::signal(SIGPIPE, SIG_IGN);

  SystemNames names;
  Environment environment;
  environment.connect = Connect;
  environment.connect_clat = ConnectClat;
  environment.connect_history = ConnectHistory;
  environment.connect_usage = ConnectUsage;
  environment.connect_charging = ConnectCharging;
  environment.connect_quotas = ConnectQuotas;
  environment.read_file = ReadFile;
  environment.write_file = WriteFile;
  environment.read_addresses = ReadAddresses;
  environment.examine = Examine;
  environment.watch_interface = WatchInterface;
  environment.unwatch_interface = UnwatchInterface;
  environment.read_interfaces = ReadInterfaces;
  environment.stream = [](absl::string_view text) {
    return WriteAll(STDOUT_FILENO, text);
  };
  environment.wait = [](absl::Duration time) {
    absl::SleepFor(time);
    return true;
  };
  environment.uptime = [] {
    return absl::FromChrono(
        std::chrono::steady_clock::now().time_since_epoch());
  };
  environment.open_screen = OpenScreen;
  environment.terminal = SizeOfTerminal();
  environment.names = &names;
  environment.colour = ColourOfOutput();

  const Answer answer =
      Run(std::vector<std::string>(argv + std::min(argc, 1), argv + argc),
          environment);
  if (!answer.err.empty()) {
    std::string lines;
    for (absl::string_view line : absl::StrSplit(answer.err, '\n')) {
      absl::StrAppend(&lines, "ndc: ", line, "\n");
    }
    WriteAll(STDERR_FILENO, lines);
  }
  // Who reads no further has had enough, which is no fault. A full disk is.
  if (!WriteAll(STDOUT_FILENO, answer.out) && errno != EPIPE) {
    WriteAll(STDERR_FILENO, absl::StrCat("ndc: write standard output: ",
                                         std::strerror(errno), "\n"));
    return kExitFailed;
  }
  return answer.exit_code;
}

}  // namespace
}  // namespace netpolicy::cli

int main(int argc, char** argv) { return netpolicy::cli::Main(argc, argv); }
