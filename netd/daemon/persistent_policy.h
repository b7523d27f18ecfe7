// SPDX-License-Identifier: Apache-2.0
//
// A policy whose commits survive a reboot, and are remembered.

#ifndef NETPOLICY_NETD_DAEMON_PERSISTENT_POLICY_H_
#define NETPOLICY_NETD_DAEMON_PERSISTENT_POLICY_H_

#include <functional>
#include <mutex>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "libpolicy/engine/policy_interface.h"
#include "netd/daemon/commit_log.h"
#include "netd/daemon/state_file.h"
#include "netd/service/history.h"

namespace netpolicy {

// Passes everything on to another PolicyInterface; a commit is in force and on
// the disk, or neither:
//   1. the new policy is written to PATH.new and synced: a full disk refuses
//      the commit before anything has changed
//   2. it is committed
//   3. PATH.new becomes PATH; should that fail, the old policy is committed
//      again and the commit fails
// Sockets that 2 has closed stay closed when the commit is taken back. Who dies
// between 2 and 3 leaves the policy in force in the kernel; the next
// start saves it. A power cut between 2 and 3 brings the old policy back, for a
// commit that nobody was told had worked.
//
// Then the commit log gets a record of it. A commit is not refused for the
// log's sake: what can't be written there is told to somebody else. What others
// commit is recorded when it is seen: at the next call of Sync(), Log(),
// PolicyAt(), or of Commit() that finds another policy in force than it knew.
//
// Thread-safe.
class PersistentPolicy final : public PolicyInterface, public CommitHistory {
 public:
  // Told, under the lock, of a commit that the log could not take.
  using OnLogError = std::function<void(const absl::Status&)>;

  // Policy, file and log must outlive it and are not used by anybody else.
  // `on_disk` is what the file holds, if that is known.
  PersistentPolicy(PolicyInterface& policy, const StateFile& state,
                   absl::optional<Policy> on_disk, CommitLog& log,
                   OnLogError on_log_error)
      : policy_(policy),
        state_(state),
        log_(log),
        on_log_error_(std::move(on_log_error)) {
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
  absl::StatusOr<Refusals> Refused(Uid uid, uint32_t max_peers) override {
    return policy_.Refused(uid, max_peers);
  }
  absl::StatusOr<EngineStatus> Status() override { return policy_.Status(); }

  absl::StatusOr<CommitLogSnapshot> Log() override;
  absl::StatusOr<PolicySnapshot> PolicyAt(Generation generation) override;

 private:
  absl::Status SyncLocked();
  absl::StatusOr<CommitResult> TryCommit(const Transaction& transaction,
                                         const CommitOptions& options);
  void Record(Generation generation, const absl::optional<CommitAuthor>& author,
              std::string difference, const Policy& policy);
  void RecordWhatOthersDid(const PolicySnapshot& in_force);
  absl::Status TakeBack(const PolicySnapshot& before, Generation in_force,
                        const absl::Status& cause);

  PolicyInterface& policy_;
  const StateFile& state_;
  CommitLog& log_;  // guarded by mutex_
  const OnLogError on_log_error_;
  std::mutex mutex_;
  // What the file holds. Unset: unknown. Guarded by mutex_.
  absl::optional<PolicySnapshot> saved_;
};

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_DAEMON_PERSISTENT_POLICY_H_
