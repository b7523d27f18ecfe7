// SPDX-License-Identifier: Apache-2.0
//
// The commit: how a change of policy gets into tables that packets are judged
// by meanwhile, so that each packet meets exactly one committed policy.
//
// Two ways:
//
// In place, for a change of one UID's entry. A packet concerns one UID, and its
// rules are one word: whoever reads it sees the old policy or the new one.
//   1. write down in np_control what will be changed; sequence becomes odd
//   2. store the words of the entry in the slot in force
//   3. publish active = (generation + 1, same slot), which outdates the
//   verdicts
//      that sockets remember: one that was reached under the old word carries
//      the old generation, as it was read before the word
//   4. sequence becomes even
// A process that dies after 1 leaves an odd sequence; whoever gets the lock
// next does 2 to 4 again.
//
// By slot, for everything else.
//   1. wait until no packet is judged by the idle slot: a packet that read
//      `active` before the last change of slots may still be reading it. An RCU
//      grace period (fence) after that change is proof; np_control.
//      fenced_generation says which one was waited for
//   2. fill the idle slot; only words that differ are written
//   3. publish active = (generation + 1, that slot): one store
// A process that dies before 3 has changed nothing that counts.
//
// Positions. np_uid_index is one for both slots, so an entry may only come or
// go while both words that it leads to are zero, which is what a UID without an
// entry means. Removed entries' memory is reused by the kernel at once, while a
// program may be reading the position in it; so after a removal a fence comes
// before any insertion, here or in another process (fenced_generation is 0
// meanwhile).
//
// Several processes may commit, one at a time under the lock on the pin
// directory. np_control.sequence steps on before any change, so each sees
// whether what it knows of the tables still holds.

#ifndef NETPOLICY_LIBPOLICY_ENGINE_COMMITTER_H_
#define NETPOLICY_LIBPOLICY_ENGINE_COMMITTER_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "bpf_progs/abi/policy.h"
#include "libpolicy/engine/network_tables.h"
#include "libpolicy/engine/policy_interface.h"
#include "libpolicy/engine/table_writer.h"
#include "libpolicy/engine/tables.h"
#include "libpolicy/model/edit.h"
#include "libpolicy/model/ids.h"
#include "libpolicy/model/policy.h"

namespace netpolicy {

// Not thread-safe. All calls are made with the lock on the pin directory held.
class Committer {
 public:
  // `tables` must outlive it.
  Committer(const Tables& tables, std::unique_ptr<TableWriter> writer)
      : tables_(tables), writer_(std::move(writer)), network_(tables_) {}

  // Writes a policy as generation 1 into tables fresh from the kernel, whose
  // np_control has nothing but zeros and which no packet meets yet. `ready`
  // stays 0. Errors: kResourceExhausted when the policy doesn't fit.
  absl::Status Initialize(const Policy& initial);

  // Completes the change in place that a process died over, if any. False:
  // none.
  bool CompleteInterrupted();

  // As CompleteInterrupted(), and reads the tables. Errors: kDataLoss when they
  // contradict themselves.
  absl::StatusOr<bool> Recover();

  // PolicyInterface::Commit().
  absl::StatusOr<CommitResult> Commit(const Transaction& transaction,
                                      const CommitOptions& options);

  // Publishes the same policy as the next generation, so that sockets forget
  // what they remember of their last packets.
  absl::Status OutdateVerdicts();

  // For tables beside the policy's.
  TableWriter& writer() { return *writer_; }

 private:
  friend class CommitterPeer;

  np_control& control() const { return tables_.control_entry(); }
  uint32_t slot() const { return np_active_slot(active_); }
  uint64_t generation() const { return np_active_generation(active_); }

  // Steps the sequence on: from here on others do not trust what they know.
  void BeginChange();

  // After an error that leaves open what was done: the tables will be read
  // again.
  absl::Status Distrust(const absl::Status& status);

  // Learns of what others did since the last call.
  absl::Status Refresh();
  absl::Status Reload();

  // The policy that the delta makes of the one in force.
  Policy After(const PolicyDelta& delta) const;

  absl::Status CheckFits(const PolicyDelta& delta) const;

  // Returns when no packet is judged by a policy older than the one in force.
  absl::Status WaitForPackets();

  // As WaitForPackets(), unless that is known already of all packets that could
  // be in the idle slot, or following a removed entry of np_uid_index.
  absl::Status QuiesceIdleSlot();

  // The UIDs that the delta says something of and that np_uid_index lacks.
  std::vector<np_uid_key> UidsWithoutPosition(const PolicyDelta& delta) const;

  // Gives a position to each of them.
  absl::Status PlaceUids(const PolicyDelta& delta);

  // Takes positions back from UIDs that no slot says anything of.
  absl::Status ReclaimPositions();

  absl::Status ChangeInPlace(Uid uid, const np_uid_policy& entry, Fence fence);
  void StoreInPlace(uint32_t position, const np_uid_policy& entry);
  absl::Status ChangeBySlot(const PolicyDelta& delta, Fence fence);
  absl::Status FillIdleSlot(const PolicyDelta& delta,
                            std::vector<uint32_t>& changed);

  // Makes the idle slot equal to the one in force. Requires QuiesceIdleSlot().
  absl::Status LevelIdleSlot();

  // Publishes the next generation, in the given slot.
  void PublishNext(uint32_t slot);

  template <typename Value>
  absl::Status StoreDiffering(Value& table, const Value& value, bool& changed);

  // Notes that the idle slot differs from the one in force at this position.
  void NoteLag(uint32_t position);

  const Tables& tables_;
  std::unique_ptr<TableWriter> writer_;

  // What the tables held when the sequence was this. Unset: unknown.
  absl::optional<uint64_t> known_sequence_;
  uint64_t active_ = 0;
  Policy policy_;
  NetworkTables network_;
  absl::flat_hash_map<uint32_t, uint32_t> positions_;  // np_uid_index
  std::vector<uint32_t> free_positions_;

  // No generation after this one has changed slots.
  uint64_t flip_generation_ = 0;

  // Positions at which the idle slot may differ. Unset: anywhere.
  absl::optional<std::vector<uint32_t>> lag_;
};

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_ENGINE_COMMITTER_H_
