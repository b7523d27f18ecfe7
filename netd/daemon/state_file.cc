// SPDX-License-Identifier: Apache-2.0

#include "netd/daemon/state_file.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/model/document.h"

namespace netpolicy {
namespace {

constexpr Seal kSeal = {.magic = "netpolicy-state",
                        .version = kStateVersion,
                        .what = "state",
                        .what_of = "a state file of netd"};

// What a state file holds was in force, so only the size of the file bounds it.
constexpr PolicyLimits kLimits = {
    .range_uids = 65536, .listed_uids = std::numeric_limits<uint32_t>::max()};

}  // namespace

absl::StatusOr<std::string> EncodeState(const Policy& policy) {
  const std::string body = ToJson(ToDocument(policy, kLimits));
  if (body.size() > kMaxPolicyJsonBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("encode policy: ", body.size(), " bytes exceed the ",
                     kMaxPolicyJsonBytes, " of a policy file"));
  }
  return SealBytes(kSeal, body);
}

absl::StatusOr<Policy> DecodeState(absl::string_view content,
                                   absl::string_view path) {
  NP_ASSIGN_OR_RETURN(const absl::string_view body,
                      UnsealBytes(kSeal, content, path));
  const auto parse = [&]() -> absl::StatusOr<Policy> {
    NP_ASSIGN_OR_RETURN(const PolicyDocument document,
                        ParsePolicyJson(body, "policy"));
    return Validate(document, kLimits);
  };
  absl::StatusOr<Policy> policy = parse();
  if (policy.ok()) return policy;
  return absl::Status(
      policy.status().code(),
      absl::StrCat("load state ", path, ": ", policy.status().message()));
}

absl::StatusOr<absl::optional<Policy>> StateFile::Load() const {
  NP_ASSIGN_OR_RETURN(const absl::optional<std::string> content,
                      ReadSealed(kSeal, path_, kMaxPolicyJsonBytes));
  if (!content.has_value()) return absl::nullopt;
  NP_ASSIGN_OR_RETURN(Policy policy, DecodeState(*content, path_));
  return absl::make_optional(std::move(policy));
}

absl::StatusOr<StagedFile> StateFile::Stage(const Policy& policy) const {
  const absl::StatusOr<std::string> content = EncodeState(policy);
  if (!content.ok()) {
    return absl::Status(
        content.status().code(),
        absl::StrCat("save state ", path_, ": ", content.status().message()));
  }
  return StagedFile::Stage(kSeal, path_, *content);
}

absl::Status StateFile::Save(const Policy& policy) const {
  NP_ASSIGN_OR_RETURN(StagedFile staged, Stage(policy));
  return staged.Publish();
}

}  // namespace netpolicy
