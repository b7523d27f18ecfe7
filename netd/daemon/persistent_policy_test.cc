// SPDX-License-Identifier: Apache-2.0

#include "netd/daemon/persistent_policy.h"

#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/scratch_dir.h"
#include "libpolicy/testing/status_matchers.h"
#include "netd/service/testing/fake_policy.h"

namespace netpolicy {
namespace {

using ::netpolicy::testing::FakePolicy;
using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::ScratchDir;
using ::netpolicy::testing::StatusIs;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const SetUidRule kDeny10007{Uid{10007}, Action::kDeny};
const SetUidRule kDeny10008{Uid{10008}, Action::kDeny};
const SetUidRule kDeny10009{Uid{10009}, Action::kDeny};

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

ino_t Inode(const std::string& path) {
  struct stat info = {};
  return stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

class PersistentPolicyTest : public ::testing::Test {
 protected:
  PersistentPolicyTest() {
    EXPECT_THAT(policy_.Sync(), IsOk());
    EXPECT_TRUE(IsSaved());
  }

  // Whether the file holds what is in force.
  bool IsSaved() const { return Loads(inner_.snapshot.policy); }

  bool Loads(const Policy& policy) const {
    const absl::StatusOr<absl::optional<Policy>> loaded = state_.Load();
    return loaded.ok() && loaded->has_value() && **loaded == policy;
  }

  // A directory where the file is to go: rename(2) fails, as it would on a
  // broken disk.
  void BlockTheFile() {
    ASSERT_EQ(unlink(state_.path().c_str()), 0);
    ASSERT_EQ(mkdir(state_.path().c_str(), 0700), 0);
  }
  void UnblockTheFile() { ASSERT_EQ(rmdir(state_.path().c_str()), 0); }

  const ScratchDir dir_ = ScratchDir::Create().value();
  const StateFile state_{dir_.File("state")};
  FakePolicy inner_;
  CommitLog log_ = CommitLog::Open(dir_.File("log"), {}).value();
  std::vector<absl::Status> log_errors_;
  PersistentPolicy policy_{
      inner_, state_, absl::nullopt, log_,
      [this](const absl::Status& status) { log_errors_.push_back(status); }};
};

TEST_F(PersistentPolicyTest, ACommitIsOnTheDiskWhenItReturns) {
  const absl::StatusOr<CommitResult> result =
      policy_.Commit({kDeny10007}, {.expected_generation = Generation{1},
                                    .fence = Fence::kWait,
                                    .mode = CommitMode::kApply});
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->generation, Generation{2});
  EXPECT_EQ(result->delta.uids.at(Uid{10007}).rule, Action::kDeny);
  EXPECT_EQ(inner_.last_options.fence, Fence::kWait);
  EXPECT_TRUE(IsSaved());
  EXPECT_THAT(policy_.Commit({kDeny10008}, {}), IsOk());
  EXPECT_TRUE(IsSaved());
}

TEST_F(PersistentPolicyTest, TheNewPolicyIsOnTheDiskBeforeItIsInForce) {
  const Policy before = inner_.snapshot.policy;
  bool staged = false;
  bool old_counts = false;
  inner_.before_change = [&] {
    staged = Exists(dir_.File("state.new"));
    old_counts = Loads(before);
    return absl::OkStatus();
  };
  EXPECT_THAT(policy_.Commit({kDeny10007}, {}), IsOk());
  EXPECT_TRUE(staged);
  EXPECT_TRUE(old_counts);
  EXPECT_FALSE(Exists(dir_.File("state.new")));
}

TEST_F(PersistentPolicyTest, WhatChangesNothingWritesNothing) {
  const ino_t inode = Inode(state_.path());
  EXPECT_THAT(policy_.Commit({kDeny10007}, {.expected_generation = {},
                                            .fence = Fence::kNone,
                                            .mode = CommitMode::kDryRun}),
              IsOk());
  EXPECT_THAT(policy_.Commit({ClearUid{Uid{10007}}}, {}), IsOk());
  EXPECT_EQ(Inode(state_.path()), inode);
  EXPECT_EQ(inner_.snapshot.generation, Generation{1});
}

TEST_F(PersistentPolicyTest, AFenceIsKeptEvenWhereNothingChanges) {
  EXPECT_THAT(policy_.Commit({}, {.expected_generation = {},
                                  .fence = Fence::kWait,
                                  .mode = CommitMode::kApply}),
              IsOk());
  EXPECT_EQ(inner_.last_options.fence, Fence::kWait);
  EXPECT_EQ(inner_.last_options.mode, CommitMode::kApply);
}

TEST_F(PersistentPolicyTest, AWrongTransactionTouchesNothing) {
  const ino_t inode = Inode(state_.path());
  EXPECT_THAT(policy_.Commit({kDeny10007, RemoveChain{"nochain"}}, {}),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(Inode(state_.path()), inode);
  EXPECT_EQ(inner_.snapshot.generation, Generation{1});
}

TEST_F(PersistentPolicyTest, ARefusalOfTheDiskChangesNothing) {
  // The name of the temporary file is taken by a directory.
  ASSERT_EQ(mkdir(dir_.File("state.new").c_str(), 0700), 0);
  EXPECT_THAT(
      policy_.Commit({kDeny10007}, {}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(StartsWith(absl::StrCat("save state ", state_.path())),
                     HasSubstr("is a directory"))));
  EXPECT_EQ(inner_.snapshot.generation, Generation{1});
  EXPECT_TRUE(IsSaved());
  ASSERT_EQ(rmdir(dir_.File("state.new").c_str()), 0);
  EXPECT_THAT(policy_.Commit({kDeny10007}, {}), IsOk());
  EXPECT_TRUE(IsSaved());
}

TEST_F(PersistentPolicyTest, ARefusalOfTheKernelChangesNothing) {
  inner_.before_change = [] {
    return absl::ResourceExhaustedError("commit policy: map full");
  };
  EXPECT_THAT(policy_.Commit({kDeny10007}, {}),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       "commit policy: map full"));
  EXPECT_TRUE(IsSaved());
  EXPECT_FALSE(Exists(dir_.File("state.new")));
  inner_.before_change = [] { return absl::OkStatus(); };
  EXPECT_THAT(policy_.Commit({kDeny10007}, {}), IsOk());
  EXPECT_TRUE(IsSaved());
}

TEST_F(PersistentPolicyTest, WhatCannotBePublishedIsTakenBack) {
  const Policy before = inner_.snapshot.policy;
  bool blocked = false;
  inner_.before_change = [&] {
    if (!std::exchange(blocked, true)) BlockTheFile();
    return absl::OkStatus();
  };
  EXPECT_THAT(
      policy_.Commit({kDeny10007}, {}),
      StatusIs(
          absl::StatusCode::kInvalidArgument,
          AllOf(StartsWith(absl::StrCat("save state ", state_.path(), ": ")),
                EndsWith("; the change was taken back"))));
  EXPECT_TRUE(inner_.snapshot.policy == before);
  EXPECT_EQ(inner_.snapshot.generation, Generation{3});

  // As long as the file can't be written, nothing is committed.
  EXPECT_THAT(policy_.Commit({kDeny10007}, {}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(inner_.snapshot.generation, Generation{3});
  UnblockTheFile();
  EXPECT_THAT(policy_.Commit({kDeny10007}, {}), IsOk());
  EXPECT_TRUE(IsSaved());
}

TEST_F(PersistentPolicyTest, WhatCannotBeTakenBackIsSaid) {
  bool blocked = false;
  inner_.before_change = [&] {
    if (std::exchange(blocked, true)) return absl::UnavailableError("busy");
    BlockTheFile();
    return absl::OkStatus();
  };
  EXPECT_THAT(policy_.Commit({kDeny10007}, {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       EndsWith("; the change is in force as generation 2 and "
                                "may be lost at the next boot (busy)")));
  EXPECT_EQ(inner_.snapshot.generation, Generation{2});
  UnblockTheFile();
  EXPECT_THAT(policy_.Sync(), IsOk());
  EXPECT_TRUE(IsSaved());
}

TEST_F(PersistentPolicyTest, TheWrongGenerationIsAborted) {
  EXPECT_THAT(
      policy_.Commit({kDeny10007}, {.expected_generation = Generation{7},
                                    .fence = Fence::kNone,
                                    .mode = CommitMode::kApply}),
      StatusIs(absl::StatusCode::kAborted,
               "commit policy: generation 1 is in force, not 7"));
  EXPECT_EQ(inner_.snapshot.generation, Generation{1});
  EXPECT_TRUE(IsSaved());
}

// Somebody else who commits, through another Engine.
void CommitAsAnother(FakePolicy& inner, const Change& change) {
  PolicyEdit edit(inner.snapshot.policy);
  ASSERT_THAT(edit.Apply(change), IsOk());
  const PolicyDelta delta = edit.Delta();
  PolicyEdit::ApplyDelta(delta, inner.snapshot.policy);
  inner.snapshot.generation = Generation{ToInt(inner.snapshot.generation) + 1};
}

TEST_F(PersistentPolicyTest, CommitsOfOthersAreKeptAndSavedWithTheNext) {
  CommitAsAnother(inner_, kDeny10008);
  EXPECT_FALSE(IsSaved());
  EXPECT_THAT(policy_.Commit({kDeny10007}, {}), IsOk());
  EXPECT_TRUE(IsSaved());
  EXPECT_EQ(inner_.snapshot.policy.uids().size(), 2u);

  CommitAsAnother(inner_, kDeny10009);
  EXPECT_THAT(policy_.Sync(), IsOk());
  EXPECT_TRUE(IsSaved());
}

TEST_F(PersistentPolicyTest, TheGenerationOfAnothersCommitCanBeExpected) {
  CommitAsAnother(inner_, kDeny10008);
  const absl::StatusOr<CommitResult> result =
      policy_.Commit({kDeny10007}, {.expected_generation = Generation{2},
                                    .fence = Fence::kNone,
                                    .mode = CommitMode::kApply});
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->generation, Generation{3});
  EXPECT_TRUE(IsSaved());
}

TEST_F(PersistentPolicyTest, ACommitIsLoggedWithItsAuthor) {
  CommitOptions options;
  options.author = CommitAuthor{10001, 4711, "ndc uid deny 10007"};
  ASSERT_THAT(policy_.Commit({kDeny10007}, options), IsOk());
  const CommitLogSnapshot log = policy_.Log().value();
  EXPECT_EQ(log.in_force, Generation{2});
  ASSERT_EQ(log.commits.size(), 2u);
  EXPECT_EQ(log.commits[0].generation, Generation{1});
  EXPECT_EQ(log.commits[0].author, absl::nullopt);
  EXPECT_EQ(log.commits[1].generation, Generation{2});
  EXPECT_EQ(log.commits[1].author, options.author);
  EXPECT_EQ(log.commits[1].difference, "+ uid 10007: rule deny\n");
  EXPECT_THAT(log_errors_, ::testing::IsEmpty());
}

TEST_F(PersistentPolicyTest, WhatChangesNothingOrFailsIsNotLogged) {
  EXPECT_THAT(policy_.Commit({ClearUid{Uid{10007}}}, {}), IsOk());
  EXPECT_THAT(policy_.Commit({RemoveChain{"nochain"}}, {}),
              StatusIs(absl::StatusCode::kNotFound));
  CommitOptions dry;
  dry.mode = CommitMode::kDryRun;
  EXPECT_THAT(policy_.Commit({kDeny10007}, dry), IsOk());
  BlockTheFile();
  EXPECT_FALSE(policy_.Commit({kDeny10007}, {}).ok());
  UnblockTheFile();
  EXPECT_EQ(policy_.Log()->commits.size(), 1u);
}

TEST_F(PersistentPolicyTest, CommitsOfOthersAreLoggedWithoutAuthor) {
  ASSERT_NO_FATAL_FAILURE(CommitAsAnother(inner_, kDeny10008));
  const CommitLogSnapshot log = policy_.Log().value();
  ASSERT_EQ(log.commits.size(), 2u);
  EXPECT_EQ(log.commits[1].generation, Generation{2});
  EXPECT_EQ(log.commits[1].author, absl::nullopt);
  EXPECT_EQ(log.commits[1].difference, "+ uid 10008: rule deny\n");
}

TEST_F(PersistentPolicyTest, EveryLoggedPolicyCanBePutInForceAgain) {
  ASSERT_THAT(policy_.Commit({kDeny10007}, {}), IsOk());
  const Policy second = inner_.snapshot.policy;
  ASSERT_THAT(policy_.Commit({kDeny10008}, {}), IsOk());
  const absl::StatusOr<PolicySnapshot> then = policy_.PolicyAt(Generation{2});
  ASSERT_THAT(then, IsOk());
  EXPECT_EQ(then->generation, Generation{2});
  ASSERT_THAT(policy_.Commit({ReplacePolicy{then->policy}}, {}), IsOk());
  EXPECT_EQ(inner_.snapshot.policy, second);
  EXPECT_EQ(policy_.Log()->commits.back().difference,
            "- uid 10008: rule deny\n");
  EXPECT_THAT(policy_.PolicyAt(Generation{5}),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(PersistentPolicyTest, NewTablesBeginANewLifeInTheLog) {
  ASSERT_THAT(policy_.Commit({kDeny10007}, {}), IsOk());
  inner_.snapshot.generation = Generation{1};
  FakePolicy fresh;
  fresh.snapshot = inner_.snapshot;
  PersistentPolicy after_boot(fresh, state_, absl::nullopt, log_, nullptr);
  ASSERT_THAT(after_boot.Sync(), IsOk());
  EXPECT_EQ(after_boot.PolicyAt(Generation{1})->policy, inner_.snapshot.policy);
  EXPECT_EQ(after_boot.Log()->commits.size(), 3u);
}

TEST_F(PersistentPolicyTest, ALogThatCannotBeWrittenRefusesNoCommit) {
  // Its file is replaced when it holds twice the limit; the name of what is to
  // take its place is taken.
  CommitLog small =
      CommitLog::Open(dir_.File("small"), {.commits = 1, .bytes = 1}).value();
  ASSERT_EQ(mkdir(dir_.File("small.new").c_str(), 0700), 0);
  std::vector<absl::Status> errors;
  PersistentPolicy policy(
      inner_, state_, absl::nullopt, small,
      [&](const absl::Status& status) { errors.push_back(status); });
  EXPECT_THAT(policy.Commit({kDeny10007}, {}), IsOk());
  EXPECT_EQ(errors.size(), 2u);
  EXPECT_TRUE(IsSaved());
  EXPECT_EQ(policy.Log()->commits.size(), 1u);
}

// Commits something itself just before the first `races` commits of others.
class RacyPolicy final : public FakePolicy {
 public:
  explicit RacyPolicy(int races) : races_(races) {}

  absl::StatusOr<CommitResult> Commit(const Transaction& transaction,
                                      const CommitOptions& options) override {
    if (options.mode == CommitMode::kApply && races_-- > 0) {
      CommitAsAnother(
          *this, SetUidRule{Uid{static_cast<uint32_t>(races_)}, Action::kDeny});
    }
    return FakePolicy::Commit(transaction, options);
  }

 private:
  int races_;
};

TEST(PersistentPolicyRace, GivesWayToOthersAndKeepsTheirChanges) {
  const ScratchDir dir = ScratchDir::Create().value();
  const StateFile state(dir.File("state"));
  RacyPolicy inner(3);
  CommitLog log = CommitLog::Open(dir.File("log"), {}).value();
  PersistentPolicy policy(inner, state, absl::nullopt, log, nullptr);
  ASSERT_THAT(policy.Commit({kDeny10007}, {}), IsOk());
  EXPECT_EQ(inner.snapshot.policy.uids().size(), 4u);
  EXPECT_TRUE(*state.Load().value() == inner.snapshot.policy);
}

TEST(PersistentPolicyRace, DoesNotTryForEver) {
  const ScratchDir dir = ScratchDir::Create().value();
  const StateFile state(dir.File("state"));
  RacyPolicy inner(1000);
  CommitLog log = CommitLog::Open(dir.File("log"), {}).value();
  PersistentPolicy policy(inner, state, absl::nullopt, log, nullptr);
  EXPECT_THAT(policy.Commit({kDeny10007}, {}),
              StatusIs(absl::StatusCode::kAborted));
  EXPECT_FALSE(Exists(dir.File("state.new")));
}

TEST(PersistentPolicyRace, AnExpectedGenerationIsNeverGivenUp) {
  const ScratchDir dir = ScratchDir::Create().value();
  const StateFile state(dir.File("state"));
  RacyPolicy inner(1);
  CommitLog log = CommitLog::Open(dir.File("log"), {}).value();
  PersistentPolicy policy(inner, state, absl::nullopt, log, nullptr);
  EXPECT_THAT(policy.Commit({kDeny10007}, {.expected_generation = Generation{1},
                                           .fence = Fence::kNone,
                                           .mode = CommitMode::kApply}),
              StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(inner.snapshot.policy.uids().count(Uid{10007}), 0u);
}

TEST(PersistentPolicyStart, WhatIsOnTheDiskIsNotWrittenAgain) {
  const ScratchDir dir = ScratchDir::Create().value();
  // A file that couldn't be written.
  const StateFile state(dir.File("none/state"));
  FakePolicy inner;
  CommitLog log = CommitLog::Open(dir.File("log"), {}).value();
  PersistentPolicy same(inner, state, inner.snapshot.policy, log, nullptr);
  EXPECT_THAT(same.Sync(), IsOk());
  ASSERT_NO_FATAL_FAILURE(CommitAsAnother(inner, kDeny10007));
  PersistentPolicy other(inner, state, Policy(), log, nullptr);
  EXPECT_THAT(other.Sync(),
              StatusIs(absl::StatusCode::kNotFound, StartsWith("save state ")));
}

}  // namespace
}  // namespace netpolicy
