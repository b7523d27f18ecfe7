// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/engine/committer.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/engine/snapshot.h"
#include "libpolicy/kernel/mapped_array.h"
#include "libpolicy/model/image.h"

namespace netpolicy {
namespace {

bool SaysNothing(const np_uid_policy& entry) {
  return entry.rules == 0 && entry.stated == 0;
}

// Word numbers of struct np_uid_policy.
constexpr size_t kRulesWord = 0;
constexpr size_t kStatedWord = 1;  // uid and stated
static_assert(offsetof(np_uid_policy, rules) == kRulesWord * sizeof(__u64));
static_assert(offsetof(np_uid_policy, uid) == kStatedWord * sizeof(__u64));
static_assert(offsetof(np_uid_policy, stated) ==
              offsetof(np_uid_policy, uid) + sizeof(__u32));

// The word that np_control.change_uid and .change_stated make up has the form
// of the one that it announces.
static_assert(offsetof(np_control, change_stated) ==
              offsetof(np_control, change_uid) + sizeof(__u32));

template <typename Value>
std::array<__u64, kWords<Value>> ToWords(const Value& value) {
  std::array<__u64, kWords<Value>> words;
  std::memcpy(words.data(), &value, sizeof(value));
  return words;
}

__u64& ChangeStatedWord(np_control& control) {
  return WordsOf(control)[offsetof(np_control, change_uid) / sizeof(__u64)];
}

}  // namespace

absl::Status Committer::Initialize(const Policy& initial) {
  NP_ASSIGN_OR_RETURN(const MapImage image, Compile(policy_));
  bool changed = false;
  NP_RETURN_IF_ERROR(
      StoreDiffering(tables_.config_of(0), image.config, changed));
  for (int number = 0; number < NP_REASONS; ++number) {
    NP_RETURN_IF_ERROR(StoreDiffering(tables_.chain_of(0, number),
                                      image.chains[static_cast<size_t>(number)],
                                      changed));
  }
  control().abi_major = NP_ABI_MAJOR;
  control().abi_minor = NP_ABI_MINOR;
  control().magic = NP_ABI_MAGIC;
  // Nothing runs yet.
  writer_->Publish(control().fenced_generation, 1);
  writer_->Publish(control().active, np_active(1, 0));
  if (initial == Policy()) return absl::OkStatus();

  NP_RETURN_IF_ERROR(Reload());
  const PolicyDelta delta = Diff(policy_, initial);
  NP_RETURN_IF_ERROR(CheckFits(delta));
  NP_RETURN_IF_ERROR(PlaceUids(delta));
  std::vector<uint32_t> positions;
  NP_RETURN_IF_ERROR(FillIdleSlot(delta, positions));
  writer_->Publish(control().active, np_active(1, 1 - slot()));
  return Reload();
}

absl::StatusOr<bool> Committer::Recover() {
  const bool completed = CompleteInterrupted();
  NP_RETURN_IF_ERROR(Refresh());
  return completed;
}

absl::StatusOr<CommitResult> Committer::Commit(const Transaction& transaction,
                                               const CommitOptions& options) {
  NP_RETURN_IF_ERROR(CheckReady(control(), "commit policy"));
  CompleteInterrupted();
  NP_RETURN_IF_ERROR(Refresh());
  if (options.expected_generation.has_value() &&
      ToInt(*options.expected_generation) != generation()) {
    return absl::AbortedError(absl::StrCat(
        "commit policy: generation ", ToInt(*options.expected_generation),
        " expected, ", generation(), " in force"));
  }
  PolicyEdit edit(policy_);
  for (const Change& change : transaction) {
    NP_RETURN_IF_ERROR(edit.Apply(change));
  }
  CommitResult result;
  result.delta = std::move(edit).Delta();
  result.difference = DeltaToText(policy_, result.delta);
  NP_RETURN_IF_ERROR(CheckFits(result.delta));
  if (options.mode == CommitMode::kApply) {
    if (result.delta.empty()) {
      if (options.fence == Fence::kWait &&
          LoadWord(control().fenced_generation) < generation()) {
        NP_RETURN_IF_ERROR(WaitForPackets());
      }
    } else {
      BeginChange();
      NP_RETURN_IF_ERROR(PlaceUids(result.delta));
      const bool one_entry = !result.delta.defaults.has_value() &&
                             !result.delta.chains.has_value() &&
                             result.delta.uids.size() == 1 &&
                             !NetworkTables::Concerns(policy_, result.delta);
      if (one_entry) {
        const auto& [uid, policy] = *result.delta.uids.begin();
        NP_RETURN_IF_ERROR(
            ChangeInPlace(uid,
                          CompileUid(uid, policy, policy_.defaults(),
                                     network_.numbers().selectors,
                                     network_.SetOf(policy.network_rules)),
                          options.fence));
      } else {
        NP_RETURN_IF_ERROR(ChangeBySlot(result.delta, options.fence));
      }
      PolicyEdit::ApplyDelta(result.delta, policy_);
    }
  }
  result.generation = Generation{generation()};
  return result;
}

absl::Status Committer::OutdateVerdicts() {
  NP_RETURN_IF_ERROR(CheckReady(control(), "outdate verdicts"));
  CompleteInterrupted();
  NP_RETURN_IF_ERROR(Refresh());
  BeginChange();
  PublishNext(slot());
  return absl::OkStatus();
}

void Committer::BeginChange() {
  // Still even: readers of the slot in force begin again, but need not wait.
  const uint64_t next = LoadWord(control().sequence) + 2;
  writer_->Publish(control().sequence, next);
  // What is stored after it must not be seen before it.
  std::atomic_thread_fence(std::memory_order_release);
  if (known_sequence_.has_value()) known_sequence_ = next;
}

bool Committer::CompleteInterrupted() {
  const uint64_t sequence = LoadAcquire(control().sequence);
  if (sequence % 2 == 0) return false;
  const uint64_t position = LoadWord(control().change_position);
  active_ = LoadWord(control().active);
  known_sequence_.reset();
  if (position < tables_.slot_size()) {
    __u64* words =
        WordsOf(tables_.entry(slot(), static_cast<uint32_t>(position)));
    writer_->Publish(words[kStatedWord], LoadWord(ChangeStatedWord(control())));
    writer_->Publish(words[kRulesWord], LoadWord(control().change_rules));
  }
  // Whether or not the dead process got so far: sockets may remember verdicts
  // of either word under the generation in force.
  PublishNext(slot());
  writer_->Publish(control().sequence, sequence + 1);
  return true;
}

absl::Status Committer::Refresh() {
  if (known_sequence_.has_value() &&
      *known_sequence_ == LoadAcquire(control().sequence)) {
    return absl::OkStatus();
  }
  return Reload();
}

absl::Status Committer::Reload() {
  known_sequence_.reset();
  const uint64_t sequence = LoadAcquire(control().sequence);
  const uint64_t active = LoadAcquire(control().active);
  // The lock is held, so the tables stand still.
  TableCopy copy;
  CopyConfig(tables_, active, copy);
  CopyUids(tables_, active, copy);
  NP_ASSIGN_OR_RETURN(Policy policy, DecompileCopy(copy));
  NP_ASSIGN_OR_RETURN(const auto index, tables_.uid_index.Dump());

  absl::flat_hash_map<uint32_t, uint32_t> positions;
  std::vector<bool> taken(tables_.slot_size());
  positions.reserve(index.size());
  for (const auto& [key, value] : index) {
    if (value.position >= taken.size() || taken[value.position]) {
      return absl::DataLossError(absl::StrCat(
          "read np_uid_index[uid=", key.uid, "]: position ", value.position,
          value.position < taken.size() ? " is another uid's too"
                                        : " is beyond the end"));
    }
    taken[value.position] = true;
    positions[key.uid] = value.position;
  }
  for (const np_uid_policy& entry : copy.uids) {
    if (!positions.contains(entry.uid)) {
      return absl::DataLossError(absl::StrCat(
          "read np_uid_policy: uid ", entry.uid, " is not in np_uid_index"));
    }
  }
  std::vector<uint32_t> free_positions;
  // Backwards, so that the lowest is used first.
  for (uint32_t i = tables_.slot_size(); i-- > 0;) {
    if (!taken[i]) free_positions.push_back(i);
  }

  NP_ASSIGN_OR_RETURN(const NetworkSource source,
                      ParseSource(copy.source.bytes));
  NP_RETURN_IF_ERROR(
      network_.Reload(policy, source.selectors, copy.config, copy.uids));
  policy_ = std::move(policy);
  positions_ = std::move(positions);
  free_positions_ = std::move(free_positions);
  active_ = active;
  flip_generation_ = np_active_generation(active);
  lag_.reset();
  known_sequence_ = sequence;
  return absl::OkStatus();
}

Policy Committer::After(const PolicyDelta& delta) const {
  Policy policy = policy_;
  PolicyEdit::ApplyDelta(delta, policy);
  return policy;
}

absl::Status Committer::CheckFits(const PolicyDelta& delta) const {
  size_t uids = policy_.uids().size();
  // Whether those of the delta are new is asked only where it matters.
  if (uids + delta.uids.size() > tables_.max_uids()) {
    for (const auto& [uid, policy] : delta.uids) {
      const bool before = policy_.uids().count(uid) != 0;
      if (before && policy.empty()) --uids;
      if (!before && !policy.empty()) ++uids;
    }
  }
  if (uids > tables_.max_uids()) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "commit policy: ", uids, " uids, room for ", tables_.max_uids()));
  }
  if (!NetworkTables::Concerns(policy_, delta)) return absl::OkStatus();
  return network_.Check(After(delta));
}

absl::Status Committer::WaitForPackets() {
  const uint64_t generation_now = generation();
  NP_RETURN_IF_ERROR(writer_->Fence());
  writer_->Publish(control().fenced_generation, generation_now);
  return absl::OkStatus();
}

absl::Status Committer::QuiesceIdleSlot() {
  if (LoadWord(control().fenced_generation) >= flip_generation_) {
    return absl::OkStatus();
  }
  return WaitForPackets();
}

std::vector<np_uid_key> Committer::UidsWithoutPosition(
    const PolicyDelta& delta) const {
  std::vector<np_uid_key> uids;
  for (const auto& [uid, policy] : delta.uids) {
    if (!policy.empty() && !positions_.contains(ToInt(uid))) {
      uids.push_back({.uid = ToInt(uid)});
    }
  }
  return uids;
}

absl::Status Committer::PlaceUids(const PolicyDelta& delta) {
  std::vector<np_uid_key> uids = UidsWithoutPosition(delta);
  if (uids.empty()) return absl::OkStatus();
  if (LoadWord(control().fenced_generation) == 0) {
    NP_RETURN_IF_ERROR(WaitForPackets());
  }
  if (free_positions_.size() < uids.size()) {
    NP_RETURN_IF_ERROR(ReclaimPositions());
    uids = UidsWithoutPosition(delta);
  }
  if (free_positions_.size() < uids.size()) {
    return absl::InternalError(absl::StrCat(
        "commit policy: ", uids.size(), " positions needed, ",
        free_positions_.size(), " of ", tables_.slot_size(), " free"));
  }
  std::vector<np_uid_position> positions;
  for (size_t i = 0; i < uids.size(); ++i) {
    const uint32_t position = free_positions_[free_positions_.size() - 1 - i];
    positions.push_back({.position = position});
    // Nobody has the position, so no packet reads it in either slot; readers
    // of the slot in force skip what says nothing.
    const np_uid_policy nothing = {.rules = 0,
                                   .uid = uids[i].uid,
                                   .stated = 0,
                                   .interfaces = 0,
                                   .network_set = 0,
                                   .pad = 0};
    bool changed = false;
    for (uint32_t each = 0; each < NP_SLOTS; ++each) {
      NP_RETURN_IF_ERROR(
          StoreDiffering(tables_.entry(each, position), nothing, changed));
    }
  }
  size_t done = 0;
  const absl::Status status = writer_->InsertPositions(uids, positions, done);
  // Those that are in may stay when others are not: they say nothing. But let
  // the table tell which ones.
  if (!status.ok()) return Distrust(status);
  for (size_t i = 0; i < uids.size(); ++i) {
    positions_[uids[i].uid] = positions[i].position;
  }
  free_positions_.resize(free_positions_.size() - uids.size());
  return absl::OkStatus();
}

absl::Status Committer::ReclaimPositions() {
  NP_RETURN_IF_ERROR(QuiesceIdleSlot());
  NP_RETURN_IF_ERROR(LevelIdleSlot());
  std::vector<np_uid_key> uids;
  for (const auto& [uid, position] : positions_) {
    if (SaysNothing(CopyWords(tables_.entry(slot(), position)))) {
      uids.push_back({.uid = uid});
    }
  }
  if (uids.empty()) return absl::OkStatus();
  writer_->Publish(control().fenced_generation, 0);
  size_t done = 0;
  const absl::Status status = writer_->DeletePositions(uids, done);
  if (!status.ok()) return Distrust(status);
  for (const np_uid_key& key : uids) {
    const auto it = positions_.find(key.uid);
    free_positions_.push_back(it->second);
    positions_.erase(it);
  }
  return WaitForPackets();
}

absl::Status Committer::Distrust(const absl::Status& status) {
  known_sequence_.reset();
  return status;
}

absl::Status Committer::ChangeInPlace(Uid uid, const np_uid_policy& entry,
                                      Fence fence) {
  const uint32_t position = positions_.at(ToInt(uid));
  const np_uid_policy before = CopyWords(tables_.entry(slot(), position));
  StoreInPlace(position, entry);
  if (fence == Fence::kNone) return absl::OkStatus();
  absl::Status status = WaitForPackets();
  if (!status.ok()) status = WaitForPackets();
  // What was promised can't be had: it is as it was before.
  if (!status.ok()) StoreInPlace(position, before);
  return status;
}

void Committer::StoreInPlace(uint32_t position, const np_uid_policy& entry) {
  const auto words = ToWords(entry);
  const uint64_t sequence = LoadWord(control().sequence);
  NoteLag(position);

  writer_->Publish(control().change_position, position);
  writer_->Publish(control().change_rules, words[kRulesWord]);
  writer_->Publish(ChangeStatedWord(control()), words[kStatedWord]);
  writer_->Publish(control().sequence, sequence + 1);
  std::atomic_thread_fence(std::memory_order_release);

  __u64* table = WordsOf(tables_.entry(slot(), position));
  writer_->Publish(table[kStatedWord], words[kStatedWord]);
  writer_->Publish(table[kRulesWord], words[kRulesWord]);
  PublishNext(slot());
  writer_->Publish(control().sequence, sequence + 2);
  if (known_sequence_.has_value()) known_sequence_ = sequence + 2;
}

absl::Status Committer::ChangeBySlot(const PolicyDelta& delta, Fence fence) {
  NP_RETURN_IF_ERROR(QuiesceIdleSlot());
  std::vector<uint32_t> changed;
  // What is known of sets and numbers is ahead of the policy in force now.
  absl::Status status = FillIdleSlot(delta, changed);
  if (!status.ok()) return Distrust(status);
  const uint32_t before = slot();
  PublishNext(1 - before);
  flip_generation_ = generation();
  lag_ = std::move(changed);
  if (fence == Fence::kNone) return absl::OkStatus();
  status = WaitForPackets();
  if (!status.ok()) status = WaitForPackets();
  if (!status.ok()) {
    // What was promised can't be had. The slot of before still holds the
    // policy of before.
    PublishNext(before);
    flip_generation_ = generation();
    return Distrust(status);
  }
  return status;
}

absl::Status Committer::FillIdleSlot(const PolicyDelta& delta,
                                     std::vector<uint32_t>& changed) {
  const uint32_t idle = 1 - slot();
  NP_RETURN_IF_ERROR(LevelIdleSlot());
  // Until all is in.
  lag_.reset();

  const PolicyDefaults& defaults =
      delta.defaults.has_value() ? *delta.defaults : policy_.defaults();
  const absl::Span<const Chain> chains =
      delta.chains.has_value() ? absl::MakeConstSpan(*delta.chains)
                               : policy_.chains();
  if (NetworkTables::Concerns(policy_, delta)) {
    NP_RETURN_IF_ERROR(network_.Fill(After(delta), idle, *writer_));
  } else if (!network_.IsFilled(idle)) {
    NP_RETURN_IF_ERROR(network_.Fill(policy_, idle, *writer_));
  }
  const NetworkPolicy& network =
      delta.network.has_value() ? *delta.network : policy_.network();
  const np_policy_config config =
      CompileConfig(defaults, chains, network, network_.numbers());
  const ChainNames names = CompileChains(chains);
  bool differs = false;
  NP_RETURN_IF_ERROR(StoreDiffering(tables_.config_of(idle), config, differs));
  for (int number = 0; number < NP_REASONS; ++number) {
    NP_RETURN_IF_ERROR(StoreDiffering(tables_.chain_of(idle, number),
                                      names[static_cast<size_t>(number)],
                                      differs));
  }

  const auto store = [&](Uid uid, const UidPolicy& policy) -> absl::Status {
    const auto found = positions_.find(ToInt(uid));
    if (found == positions_.end()) {
      if (policy.empty()) return absl::OkStatus();
      return absl::InternalError(
          absl::StrCat("commit policy: uid ", ToInt(uid), " has no position"));
    }
    bool entry_differs = false;
    NP_RETURN_IF_ERROR(StoreDiffering(
        tables_.entry(idle, found->second),
        CompileUid(uid, policy, defaults, network_.numbers().selectors,
                   network_.SetOf(policy.network_rules)),
        entry_differs));
    if (entry_differs) changed.push_back(found->second);
    return absl::OkStatus();
  };
  if (delta.defaults.has_value()) {
    // Every entry says how it differs from the defaults.
    for (const auto& [uid, policy] : policy_.uids()) {
      if (delta.uids.count(uid) == 0) NP_RETURN_IF_ERROR(store(uid, policy));
    }
  }
  for (const auto& [uid, policy] : delta.uids) {
    NP_RETURN_IF_ERROR(store(uid, policy));
  }
  return absl::OkStatus();
}

absl::Status Committer::LevelIdleSlot() {
  const uint32_t idle = 1 - slot();
  const absl::optional<std::vector<uint32_t>> lag =
      std::exchange(lag_, absl::nullopt);
  bool changed = false;
  const auto level = [&](uint32_t position) {
    return StoreDiffering(tables_.entry(idle, position),
                          CopyWords(tables_.entry(slot(), position)), changed);
  };
  if (lag.has_value()) {
    for (uint32_t position : *lag) NP_RETURN_IF_ERROR(level(position));
  } else {
    for (uint32_t position = 0; position < tables_.slot_size(); ++position) {
      NP_RETURN_IF_ERROR(level(position));
    }
  }
  lag_.emplace();
  return absl::OkStatus();
}

void Committer::PublishNext(uint32_t slot) {
  active_ = np_active(generation() + 1, slot);
  writer_->Publish(control().active, active_);
}

template <typename Value>
absl::Status Committer::StoreDiffering(Value& table, const Value& value,
                                       bool& changed) {
  const auto words = ToWords(value);
  __u64* to = WordsOf(table);
  for (size_t i = 0; i < words.size(); ++i) {
    if (LoadWord(to[i]) == words[i]) continue;
    NP_RETURN_IF_ERROR(writer_->Store(to[i], words[i]));
    changed = true;
  }
  return absl::OkStatus();
}

void Committer::NoteLag(uint32_t position) {
  if (!lag_.has_value()) return;
  // Rather compare all than remember more than there is.
  if (lag_->size() >= tables_.slot_size()) {
    lag_.reset();
  } else {
    lag_->push_back(position);
  }
}

}  // namespace netpolicy
