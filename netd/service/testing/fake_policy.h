// SPDX-License-Identifier: Apache-2.0
//
// A PolicyInterface without a kernel, for tests of what stands on one.

#ifndef NETPOLICY_NETD_SERVICE_TESTING_FAKE_POLICY_H_
#define NETPOLICY_NETD_SERVICE_TESTING_FAKE_POLICY_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/engine/policy_interface.h"
#include "libpolicy/model/edit.h"
#include "netd/service/history.h"

namespace netpolicy::testing {

// Keeps a policy as the Engine would; everything else answers what the test
// sets. Not thread-safe.
class FakePolicy : public PolicyInterface, public CommitHistory {
 public:
  // Every call fails with it, unless OK.
  absl::Status error;
  // Each applying commit that would change something asks first.
  std::function<absl::Status()> before_change = [] { return absl::OkStatus(); };

  PolicySnapshot snapshot{.generation = Generation{1}, .policy = {}};
  Explanation explanation;
  StatsSnapshot stats;
  Refusals refusals;
  EngineStatus status;
  CommitLogSnapshot log;
  ClosedSockets closed_sockets;

  // What was asked.
  std::vector<Transaction> transactions;
  CommitOptions last_options;
  ExplainQuery last_query;
  std::pair<Uid, uint32_t> last_refused;
  int calls = 0;

  absl::StatusOr<PolicySnapshot> GetPolicy() override {
    ++calls;
    NP_RETURN_IF_ERROR(error);
    return snapshot;
  }

  absl::StatusOr<CommitResult> Commit(const Transaction& transaction,
                                      const CommitOptions& options) override {
    ++calls;
    transactions.push_back(transaction);
    last_options = options;
    NP_RETURN_IF_ERROR(error);
    if (options.expected_generation.has_value() &&
        *options.expected_generation != snapshot.generation) {
      return absl::AbortedError(absl::StrCat(
          "commit policy: generation ", ToInt(snapshot.generation),
          " is in force, not ", ToInt(*options.expected_generation)));
    }
    PolicyEdit edit(snapshot.policy);
    for (const Change& change : transaction) {
      NP_RETURN_IF_ERROR(edit.Apply(change));
    }
    CommitResult result;
    result.generation = snapshot.generation;
    result.delta = edit.Delta();
    result.difference = DeltaToText(snapshot.policy, result.delta);
    if (options.mode == CommitMode::kDryRun || result.delta.empty()) {
      return result;
    }
    NP_RETURN_IF_ERROR(before_change());
    PolicyEdit::ApplyDelta(result.delta, snapshot.policy);
    snapshot.generation = Generation{ToInt(snapshot.generation) + 1};
    result.generation = snapshot.generation;
    if (options.close_sockets == CloseSockets::kNewlyBlocked) {
      result.closed_sockets = closed_sockets;
    }
    return result;
  }

  absl::StatusOr<Explanation> Explain(const ExplainQuery& query) override {
    ++calls;
    last_query = query;
    NP_RETURN_IF_ERROR(error);
    return explanation;
  }

  absl::StatusOr<StatsSnapshot> Stats() override {
    ++calls;
    NP_RETURN_IF_ERROR(error);
    return stats;
  }

  absl::StatusOr<Refusals> Refused(Uid uid, uint32_t max_peers) override {
    ++calls;
    last_refused = {uid, max_peers};
    NP_RETURN_IF_ERROR(error);
    return refusals;
  }

  absl::StatusOr<CommitLogSnapshot> Log() override {
    ++calls;
    NP_RETURN_IF_ERROR(error);
    return log;
  }

  // Knows the policy in force only.
  absl::StatusOr<PolicySnapshot> PolicyAt(Generation generation) override {
    ++calls;
    NP_RETURN_IF_ERROR(error);
    if (generation == snapshot.generation) return snapshot;
    return absl::NotFoundError(
        absl::StrCat("read commit log: no generation ", ToInt(generation)));
  }

  absl::StatusOr<EngineStatus> Status() override {
    ++calls;
    NP_RETURN_IF_ERROR(error);
    return status;
  }
};

}  // namespace netpolicy::testing

#endif  // NETPOLICY_NETD_SERVICE_TESTING_FAKE_POLICY_H_
