// SPDX-License-Identifier: Apache-2.0

#include "netd/daemon/persistent_policy.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/model/edit.h"

namespace netpolicy {
namespace {

// Commits of others that one of ours gives way to.
constexpr int kAttempts = 8;

}  // namespace

absl::Status PersistentPolicy::Sync() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return SyncLocked();
}

absl::Status PersistentPolicy::SyncLocked() {
  NP_ASSIGN_OR_RETURN(PolicySnapshot snapshot, policy_.GetPolicy());
  if (!saved_.has_value() || !(saved_->policy == snapshot.policy)) {
    saved_.reset();
    NP_RETURN_IF_ERROR(state_.Save(snapshot.policy));
  }
  RecordWhatOthersDid(snapshot);
  saved_ = std::move(snapshot);
  return absl::OkStatus();
}

void PersistentPolicy::Record(Generation generation,
                              const absl::optional<CommitAuthor>& author,
                              std::string difference, const Policy& policy) {
  const absl::Status logged = log_.Append({.generation = generation,
                                           .time = absl::Now(),
                                           .author = author,
                                           .difference = std::move(difference)},
                                          policy);
  if (!logged.ok() && on_log_error_) on_log_error_(logged);
}

void PersistentPolicy::RecordWhatOthersDid(const PolicySnapshot& in_force) {
  const absl::StatusOr<Policy> newest = log_.NewestPolicy();
  // A record also begins every life of the tables, so that its first
  // generation is not looked for in the life before.
  if (newest.ok() && *newest == in_force.policy &&
      log_.newest() <= in_force.generation) {
    return;
  }
  std::string difference;
  if (newest.ok()) {
    difference = DeltaToText(*newest, Diff(*newest, in_force.policy));
  }
  Record(in_force.generation, absl::nullopt, std::move(difference),
         in_force.policy);
}

absl::StatusOr<CommitLogSnapshot> PersistentPolicy::Log() {
  const std::lock_guard<std::mutex> lock(mutex_);
  NP_RETURN_IF_ERROR(SyncLocked());
  return CommitLogSnapshot{saved_->generation, log_.Records()};
}

absl::StatusOr<PolicySnapshot> PersistentPolicy::PolicyAt(
    Generation generation) {
  const std::lock_guard<std::mutex> lock(mutex_);
  NP_RETURN_IF_ERROR(SyncLocked());
  NP_ASSIGN_OR_RETURN(Policy policy,
                      log_.PolicyAt(generation, saved_->generation));
  return PolicySnapshot{generation, std::move(policy)};
}

absl::StatusOr<CommitResult> PersistentPolicy::Commit(
    const Transaction& transaction, const CommitOptions& options) {
  if (options.mode == CommitMode::kDryRun) {
    return policy_.Commit(transaction, options);
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  for (int attempt = 1;; ++attempt) {
    if (!saved_.has_value() || options.expected_generation.value_or(
                                   saved_->generation) != saved_->generation) {
      NP_RETURN_IF_ERROR(SyncLocked());
    }
    absl::StatusOr<CommitResult> result = TryCommit(transaction, options);
    if (!absl::IsAborted(result.status()) ||
        options.expected_generation.has_value() || attempt == kAttempts) {
      return result;
    }
    // Somebody else has committed, which is nothing to the caller.
    NP_RETURN_IF_ERROR(SyncLocked());
  }
}

absl::StatusOr<CommitResult> PersistentPolicy::TryCommit(
    const Transaction& transaction, const CommitOptions& options) {
  // The transaction is worked out, and everything about it checked, on the very
  // policy that the file holds; whatever comes in between aborts it.
  CommitOptions guarded = options;
  guarded.expected_generation =
      options.expected_generation.value_or(saved_->generation);
  CommitOptions dry = guarded;
  dry.mode = CommitMode::kDryRun;
  NP_ASSIGN_OR_RETURN(const CommitResult plan,
                      policy_.Commit(transaction, dry));
  if (plan.generation != saved_->generation) {
    return absl::AbortedError(absl::StrCat("commit policy: generation ",
                                           ToInt(plan.generation),
                                           " came in between"));
  }
  if (plan.delta.empty()) return policy_.Commit(transaction, guarded);

  PolicySnapshot after = *saved_;
  PolicyEdit::ApplyDelta(plan.delta, after.policy);
  NP_ASSIGN_OR_RETURN(StagedFile staged, state_.Stage(after.policy));
  NP_ASSIGN_OR_RETURN(CommitResult result,
                      policy_.Commit(transaction, guarded));
  after.generation = result.generation;
  const PolicySnapshot before = *std::exchange(saved_, absl::nullopt);
  if (const absl::Status published = staged.Publish(); !published.ok()) {
    return TakeBack(before, result.generation, published);
  }
  saved_ = std::move(after);
  Record(result.generation, options.author, result.difference, saved_->policy);
  return result;
}

absl::Status PersistentPolicy::TakeBack(const PolicySnapshot& before,
                                        Generation in_force,
                                        const absl::Status& cause) {
  const absl::StatusOr<CommitResult> undone = policy_.Commit(
      {ReplacePolicy{before.policy}}, {.expected_generation = in_force,
                                       .fence = Fence::kNone,
                                       .mode = CommitMode::kApply});
  if (!undone.ok()) {
    return absl::Status(
        cause.code(),
        absl::StrCat(cause.message(), "; the change is in force as generation ",
                     ToInt(in_force), " and may be lost at the next boot (",
                     undone.status().message(), ")"));
  }
  // The file may hold the new policy by now; if it can't be written again, the
  // next commit tries.
  if (state_.Save(before.policy).ok()) {
    saved_ = PolicySnapshot{undone->generation, before.policy};
  }
  return absl::Status(
      cause.code(),
      absl::StrCat(cause.message(), "; the change was taken back"));
}

}  // namespace netpolicy
