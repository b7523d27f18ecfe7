#ifndef NETPOLICY_LIBPOLICY_MODEL_DOCUMENT_H_
#define NETPOLICY_LIBPOLICY_MODEL_DOCUMENT_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libpolicy/model/policy.h"
#include "libpolicy/proto/policy.pb.h"

// Policy files: JSON with // and /* */ comments.
//
//   {
//     "version": 1,
//     "defaults": {"rule": "allow", "internet": true},  // these hold if unsaid
//     "chains": [
//       // Android's chains have their type already.
//       {"name": "dozable", "enabled": true, "uids": [10001, "10100-10199"]},
//       {"name": "kids", "type": "denylist", "enabled": false, "uids": [10050]}
//     ],
//     "uids": [
//       {"uid": 10007, "rule": "deny"},
//       {"uid": "10200-10209", "internet": false}
//     ]
//   }
//
// docs/policy_language.md has every field.
//
// A file becomes a policy in two steps, each of which reports every fault that
// it can see, one a line:
//
//   NP_ASSIGN_OR_RETURN(PolicyDocument document, ParsePolicyJson(text, path));
//   NP_ASSIGN_OR_RETURN(Policy policy, Validate(document));

namespace netpolicy {

// What was written, before anybody asked whether it makes sense.
using PolicyDocument = proto::PolicyDocument;

struct PolicyLimits {
  // In one "FIRST-LAST"; a container's usual subordinate UIDs.
  uint32_t range_uids = 65536;
  // In all lists of the document together, ranges expanded, a UID counting as
  // often as it is listed.
  uint32_t listed_uids = 1U << 20;
  // Network rules of all UIDs together, those of a range counting for each UID.
  uint32_t network_rules = 1U << 18;
};

// Of a file.
inline constexpr size_t kMaxPolicyJsonBytes = 16U << 20;
inline constexpr size_t kMaxPolicyJsonDepth = 16;
inline constexpr size_t kMaxPolicyJsonValues = 4U << 20;

// Reads the text of a policy file; `source_name` is what messages call it.
// Errors: kInvalidArgument. What isn't JSON: `FILE:LINE:COLUMN: cause`. Unknown
// and repeated fields, wrong types and values: one line for each,
// `FILE:LINE:COLUMN: FIELD: cause`, e.g.
//   policy.json:7:23: chains[2].uids[5]: expected a uid (0 to 4294967294) or
//   "FIRST-LAST", found null
// Lines and columns count from 1, columns in bytes.
absl::StatusOr<PolicyDocument> ParsePolicyJson(absl::string_view text,
                                               absl::string_view source_name);

// The policy that a document describes. Its own chains are numbered in the
// order of the document (ReplacePolicy keeps the numbers of those that exist).
// Errors: kInvalidArgument, a line for each fault, `FIELD: cause`.
absl::StatusOr<Policy> Validate(const PolicyDocument& document,
                                const PolicyLimits& limits = {});

// A document of this policy, as short as it gets: UIDs in ranges (none larger
// than `limits` allow), without Android's chains that are off and empty.
// Validate(ToDocument(policy)) differs from the policy by the numbers of its
// own chains at most.
PolicyDocument ToDocument(const Policy& policy,
                          const PolicyLimits& limits = {});

// The text of a policy file: the same for the same document, made for reading,
// ends with a newline. ParsePolicyJson(ToJson(document)) is the document again
// if its strings are UTF-8 and its enums known.
std::string ToJson(const PolicyDocument& document);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_MODEL_DOCUMENT_H_
