// SPDX-License-Identifier: Apache-2.0
//
// Programs of the system in a namespace: peers that a test did not write.
//
//   auto server = StartProgram(*ns, {"/usr/sbin/unbound", "-d", "-c", config},
//                              scratch.File("unbound.log"));
//   auto output = RunProgram(*ns, {"/usr/bin/curl", "-s", url},
//                            absl::Seconds(10));

#ifndef NETPOLICY_CLAT_TESTING_PROGRAM_H_
#define NETPOLICY_CLAT_TESTING_PROGRAM_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/process.h"

namespace netpolicy::clat::testing {

// Goes on until the returned object goes; its output is in the file `log`.
absl::StatusOr<netpolicy::testing::ChildProcess> StartProgram(
    const netpolicy::testing::NetNamespace& ns,
    const std::vector<std::string>& arguments, const std::string& log);

struct ProgramResult {
  int exit_code = 0;
  std::string output;  // standard output and standard error
};

// Runs one to its end. Errors: kDeadlineExceeded.
absl::StatusOr<ProgramResult> RunProgram(
    const netpolicy::testing::NetNamespace& ns,
    const std::vector<std::string>& arguments, absl::Duration limit);

absl::Status WriteFile(const std::string& path, absl::string_view content);
// "" when it can't be read.
std::string ReadFile(const std::string& path);

}  // namespace netpolicy::clat::testing

#endif  // NETPOLICY_CLAT_TESTING_PROGRAM_H_
