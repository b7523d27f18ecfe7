// SPDX-License-Identifier: Apache-2.0
//
// A policy whose commits survive a reboot.

#ifndef NETPOLICY_NETD_DAEMON_PERSISTENT_POLICY_H_
#define NETPOLICY_NETD_DAEMON_PERSISTENT_POLICY_H_

#include <mutex>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "libpolicy/engine/policy_interface.h"
#include "netd/daemon/state_file.h"

namespace netpolicy {

// Passes everything on to another PolicyInterface; a commit is in force and on
// the disk, or neither:
//   1. the new policy is written to PATH.new and synced: a full disk refuses
//      the commit before anything has changed
//   2. it is committed
//   3. PATH.new becomes PATH; should that fail, the old policy is committed
//      again and the commit fails
// Who dies between 2 and 3 leaves the policy in force in the kernel; the next
// start saves it. A power cut between 2 and 3 brings the old policy back, for a
// commit that nobody was told had worked.
//
// Thread-safe.
class PersistentPolicy final : public PolicyInterface {
 public:
  // Both must outlive it. The state file is not used by anybody else.
  // `on_disk` is what it holds, if that is known.
  PersistentPolicy(PolicyInterface& policy, const StateFile& state,
                   absl::optional<Policy> on_disk)
      : policy_(policy), state_(state) {
    // No policy is in force under generation 0.
    if (on_disk.has_value()) {
      saved_ = PolicySnapshot{Generation{0}, *std::move(on_disk)};
    }
  }

  // Saves the policy in force unless it is on the disk already: for what others
  // commit. Errors: as StateFile::Save().
  absl::Status Sync();

  absl::StatusOr<PolicySnapshot> GetPolicy() override {
    return policy_.GetPolicy();
  }

  // Errors, beside those of the other policy and with nothing changed: "save
  // state PATH: cause". kAborted without an expected generation when others
  // keep committing.
  absl::StatusOr<CommitResult> Commit(const Transaction& transaction,
                                      const CommitOptions& options) override;

  absl::StatusOr<Explanation> Explain(const ExplainQuery& query) override {
    return policy_.Explain(query);
  }
  absl::StatusOr<StatsSnapshot> Stats() override { return policy_.Stats(); }
  absl::StatusOr<EngineStatus> Status() override { return policy_.Status(); }

 private:
  absl::Status SyncLocked();
  absl::StatusOr<CommitResult> TryCommit(const Transaction& transaction,
                                         const CommitOptions& options);
  absl::Status TakeBack(const PolicySnapshot& before, Generation in_force,
                        const absl::Status& cause);

  PolicyInterface& policy_;
  const StateFile& state_;
  std::mutex mutex_;
  // What the file holds. Unset: unknown. Guarded by mutex_.
  absl::optional<PolicySnapshot> saved_;
};

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_DAEMON_PERSISTENT_POLICY_H_
