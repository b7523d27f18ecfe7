// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_CLI_GOLDEN_CASES_H_
#define NETPOLICY_NETD_CLI_GOLDEN_CASES_H_

#include <string>
#include <vector>

namespace netpolicy::cli {

// A transcript that goldens_test compares.
struct GoldenCase {
  const char* name;                        // of the file
  std::vector<std::string> command_lines;  // one world for all, in order
};

// Those of the commands about interfaces and networks.
std::vector<GoldenCase> NetworkGoldenCases();

// Those of `ndc quota` and `ndc usage`.
std::vector<GoldenCase> UsageGoldenCases();

}  // namespace netpolicy::cli

#endif  // NETPOLICY_NETD_CLI_GOLDEN_CASES_H_
