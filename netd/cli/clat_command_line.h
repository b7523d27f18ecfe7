// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_CLI_CLAT_COMMAND_LINE_H_
#define NETPOLICY_NETD_CLI_CLAT_COMMAND_LINE_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "netd/cli/invocation.h"

namespace netpolicy::cli {

// What `ndc clat ...` is given, as text.
struct ClatArguments {
  std::string interface;
  std::string prefix;
  std::string local4;
  std::string network6;
  std::vector<std::string> mappings;
  bool all = false;
  uint32_t count = 0;
};

// Adds `clat` and its commands. All must outlive the parsing; `status` gets the
// first error in the texts.
void DefineClat(CLI::App& app, ClatArguments& arguments, Invocation& invocation,
                absl::Status& status);

}  // namespace netpolicy::cli

#endif  // NETPOLICY_NETD_CLI_CLAT_COMMAND_LINE_H_
