// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_CLI_COMMAND_LINE_H_
#define NETPOLICY_NETD_CLI_COMMAND_LINE_H_

#include <string>
#include <vector>

#include "absl/types/variant.h"
#include "netd/cli/invocation.h"
#include "netd/cli/names.h"

namespace netpolicy::cli {

// What to answer when there is nothing to run: --help, --version, or a command
// line that is wrong.
struct Answer {
  int exit_code = 0;
  std::string out;  // for standard output
  std::string err;  // for standard error, without "ndc: " and newline
};

// Understands the arguments (without the program's name). `names` finds the
// UIDs of users.
absl::variant<Invocation, Answer> ParseCommandLine(
    const std::vector<std::string>& arguments, Names& names);

}  // namespace netpolicy::cli

#endif  // NETPOLICY_NETD_CLI_COMMAND_LINE_H_
