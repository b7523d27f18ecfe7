// SPDX-License-Identifier: Apache-2.0

#include "netd/cli/policy_file.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/model/document.h"

namespace netpolicy::cli {

absl::StatusOr<Policy> ParsePolicyFile(absl::string_view text,
                                       absl::string_view name) {
  NP_ASSIGN_OR_RETURN(const PolicyDocument document,
                      ParsePolicyJson(text, name));
  absl::StatusOr<Policy> policy = Validate(document);
  if (policy.ok()) return policy;
  std::vector<std::string> faults;
  for (absl::string_view fault :
       absl::StrSplit(policy.status().message(), '\n')) {
    faults.push_back(absl::StrCat(name, ": ", fault));
  }
  return absl::Status(policy.status().code(), absl::StrJoin(faults, "\n"));
}

std::string PolicyFileText(const Policy& policy) {
  return ToJson(ToDocument(policy));
}

}  // namespace netpolicy::cli
