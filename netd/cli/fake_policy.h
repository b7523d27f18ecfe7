// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_CLI_FAKE_POLICY_H_
#define NETPOLICY_NETD_CLI_FAKE_POLICY_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "libpolicy/engine/policy_interface.h"
#include "netd/service/history.h"

namespace netpolicy::cli {

// A policy that nobody enforces, for tests of what ndc prints. Commits are
// worked out by the model; everything else is as set here.
class FakePolicy : public PolicyInterface, public CommitHistory {
 public:
  // Generation 12, with every kind of rule; counters of every kind; all of it
  // made up by hand.
  FakePolicy();

  absl::StatusOr<PolicySnapshot> GetPolicy() override;
  absl::StatusOr<CommitResult> Commit(const Transaction& transaction,
                                      const CommitOptions& options) override;
  // UIDs without an explanation set are allowed.
  absl::StatusOr<Explanation> Explain(const ExplainQuery& query) override;
  absl::StatusOr<StatsSnapshot> Stats() override { return stats; }
  absl::StatusOr<Refusals> Refused(Uid uid, uint32_t max_peers) override;
  absl::StatusOr<EngineStatus> Status() override { return status; }

  // Two commits of before; each Commit() adds one, by alice.
  absl::StatusOr<CommitLogSnapshot> Log() override;
  absl::StatusOr<PolicySnapshot> PolicyAt(Generation wanted) override;

  Generation generation{12};
  Policy policy;
  std::map<Uid, std::map<Direction, std::vector<ExplainedReason>>> reasons;
  StatsSnapshot stats;
  std::vector<RefusedPeer> refused_peers;  // of UID 10002
  EngineStatus status;
  std::vector<CommitRecord> commits;
  std::map<Generation, Policy> policies;

  // How many commits lose the race before one is let through.
  int lost_races = 0;
  // What is said of sockets when they shall be closed.
  ClosedSockets closed_sockets{.closed = 3, .failed = 0, .error = {}};
  // What the last commit asked for.
  CommitOptions last_options;
};

}  // namespace netpolicy::cli

#endif  // NETPOLICY_NETD_CLI_FAKE_POLICY_H_
