// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_CLI_POLICY_FILE_H_
#define NETPOLICY_NETD_CLI_POLICY_FILE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libpolicy/model/policy.h"

namespace netpolicy::cli {

// The policy that the text of a file describes. Errors: kInvalidArgument with
// every fault on a line of its own, which begins with `name`, the file's.
absl::StatusOr<Policy> ParsePolicyFile(absl::string_view text,
                                       absl::string_view name);

// The file that describes a policy; ParsePolicyFile() gives it back.
std::string PolicyFileText(const Policy& policy);

}  // namespace netpolicy::cli

#endif  // NETPOLICY_NETD_CLI_POLICY_FILE_H_
