// SPDX-License-Identifier: Apache-2.0
//
// What was committed: by whom, when, and what it changed.

#ifndef NETPOLICY_NETD_SERVICE_HISTORY_H_
#define NETPOLICY_NETD_SERVICE_HISTORY_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "libpolicy/engine/policy_interface.h"

namespace netpolicy {

// One change of the policy.
struct CommitRecord {
  // The one that it put in force. Numbers begin anew when the tables were
  // removed, so one that is not larger than the record's before it comes from
  // a later life of the tables.
  Generation generation{};
  absl::Time time;  // by the clock of the day, when it was recorded
  // Unset: not committed through netd, but by an engine of somebody else
  // (`ndc --direct`), or found in force when the log began.
  absl::optional<CommitAuthor> author;
  std::string difference;  // DeltaToText(), perhaps cut
};

struct CommitLogSnapshot {
  Generation in_force{};
  std::vector<CommitRecord> commits;  // oldest first; the last one made the
                                      // policy in force
};

// Thread-safe; calls block.
class CommitHistory {
 public:
  virtual ~CommitHistory() = default;

  virtual absl::StatusOr<CommitLogSnapshot> Log() = 0;

  // The policy that was in force under this generation; of several lives of the
  // tables the last one's. Errors: kNotFound when the log has no such
  // generation, or not any more; kDataLoss.
  virtual absl::StatusOr<PolicySnapshot> PolicyAt(Generation generation) = 0;
};

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_SERVICE_HISTORY_H_
