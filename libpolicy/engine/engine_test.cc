// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/engine/engine.h"

#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/engine/engine_fixture.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::IsOkAndHolds;
using ::testing::SizeIs;
using testing::StatusIs;

using EngineTest = EngineFixture;

TEST_F(EngineTest, BeginsWithTheEmptyPolicyAsGenerationOne) {
  auto engine = Open();
  ASSERT_NE(engine, nullptr);
  const PolicySnapshot snapshot = PolicyOf(*engine);
  EXPECT_EQ(snapshot.generation, Generation{1});
  EXPECT_EQ(snapshot.policy, Policy());
}

TEST_F(EngineTest, BeginsWithTheInitialPolicyAsGenerationOne) {
  EngineOptions options = Options();
  options.initial_policy =
      Apply(Policy(), {Deny(10007), SetDefaultInternet{Permission::kRevoked},
                       DefineChain{"work", ChainSense::kAllowlist},
                       SetChainEnabled{"work", Switch::kOn},
                       SetChainMember{"work", Uid{10008}, Switch::kOn}});
  auto engine = Open(options);
  ASSERT_NE(engine, nullptr);
  EXPECT_EQ(PolicyOf(*engine).generation, Generation{1});
  EXPECT_TRUE(PolicyOf(*engine).policy == options.initial_policy);

  // It can be changed like any other, and is not applied a second time.
  ASSERT_THAT(engine->Commit({Clear(10007)}, {}), IsOk());
  ASSERT_THAT(engine->Commit({Deny(10009), Deny(10010)}, WithFence()), IsOk());
  const PolicySnapshot changed = PolicyOf(*engine);
  EXPECT_EQ(changed.generation, Generation{3});
  engine = Open(options);
  ASSERT_NE(engine, nullptr);
  EXPECT_EQ(PolicyOf(*engine).generation, Generation{3});
  EXPECT_TRUE(PolicyOf(*engine).policy == changed.policy);
}

TEST_F(EngineTest, AnInitialPolicyThatDoesNotFitLeavesNothing) {
  EngineOptions options = Options();
  Transaction transaction;
  for (uint32_t uid = 0; uid < options.max_uids + 1; ++uid) {
    transaction.push_back(Deny(uid));
  }
  options.initial_policy = Apply(Policy(), transaction);
  EXPECT_THAT(Engine::Open(options),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       "commit policy: 9 uids, room for 8"));
  EXPECT_NE(access(options.pin_dir.c_str(), F_OK), 0);
}

TEST_F(EngineTest, EveryKindOfChangeIsReadBackAsCommitted) {
  auto engine = Open();
  ASSERT_NE(engine, nullptr);
  struct Row {
    const char* name;
    Transaction transaction;
  };
  Policy expected;
  uint64_t generation = 1;
  // One after the other over the same tables.
  for (const Row& row : {
           Row{"rule of a new uid", {Deny(10007)}},
           Row{"rule of a known uid", {Allow(10007)}},
           Row{"two uids", {Deny(1), Deny(2)}},
           Row{"in place after a change of slots", {Deny(10007)}},
           Row{"defaults, which turn rules around",
               {SetDefaultRule{Action::kDeny}}},
           Row{"a rule like the default", {Deny(3)}},
           Row{"permission", {SetInternet{Uid{3}, Permission::kRevoked}}},
           Row{"default permission",
               {SetDefaultInternet{Permission::kRevoked}}},
           Row{"android's chain",
               {SetChainMember{"dozable", Uid{1}, Switch::kOn},
                SetChainEnabled{"dozable", Switch::kOn}}},
           Row{"chain of its own",
               {DefineChain{"games", ChainSense::kDenylist},
                ReplaceChain{"games", {Uid{1}, Uid{20}, Uid{21}}},
                SetChainEnabled{"games", Switch::kOn}}},
           Row{"leaving a chain",
               {SetChainMember{"games", Uid{20}, Switch::kOff}}},
           Row{"no chain", {RemoveChain{"games"}}},
           Row{"no uid", {Clear(1)}},
           Row{"nothing", {ReplacePolicy{Policy()}}},
       }) {
    auto result = engine->Commit(row.transaction, {});
    ASSERT_THAT(result, IsOk()) << row.name;
    expected = Apply(expected, row.transaction);
    ++generation;
    EXPECT_EQ(result->generation, Generation{generation}) << row.name;
    EXPECT_NE(result->difference, "") << row.name;
    const PolicySnapshot snapshot = PolicyOf(*engine);
    EXPECT_EQ(snapshot.policy, expected) << row.name;
    EXPECT_EQ(snapshot.generation, Generation{generation}) << row.name;
  }
}

TEST_F(EngineTest, ATransactionThatChangesNothingKeepsTheGeneration) {
  auto engine = Open();
  ASSERT_NE(engine, nullptr);
  ASSERT_THAT(engine->Commit({Deny(1)}, {}), IsOk());
  for (const Transaction& nothing :
       {Transaction{}, Transaction{Deny(1)}, Transaction{Deny(2), Clear(2)}}) {
    auto result = engine->Commit(nothing, WithFence());
    ASSERT_THAT(result, IsOk());
    EXPECT_EQ(result->generation, Generation{2});
    EXPECT_TRUE(result->delta.empty());
    EXPECT_EQ(result->difference, "");
  }
}

TEST_F(EngineTest, ADryRunChangesNothing) {
  auto engine = Open();
  ASSERT_NE(engine, nullptr);
  CommitOptions dry_run;
  dry_run.mode = CommitMode::kDryRun;
  auto result = engine->Commit({Deny(10007)}, dry_run);
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->generation, Generation{1});
  EXPECT_THAT(result->difference, HasSubstr("10007"));
  EXPECT_EQ(PolicyOf(*engine).policy, Policy());
}

TEST_F(EngineTest, AnErrorInATransactionChangesNothing) {
  auto engine = Open();
  ASSERT_NE(engine, nullptr);
  EXPECT_THAT(
      engine->Commit({Deny(1), SetChainEnabled{"nosuch", Switch::kOn}}, {}),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("nosuch")));
  const PolicySnapshot snapshot = PolicyOf(*engine);
  EXPECT_EQ(snapshot.policy, Policy());
  EXPECT_EQ(snapshot.generation, Generation{1});
}

TEST_F(EngineTest, AnotherGenerationThanExpectedAborts) {
  auto engine = Open();
  ASSERT_NE(engine, nullptr);
  CommitOptions options;
  options.expected_generation = Generation{1};
  ASSERT_THAT(engine->Commit({Deny(1)}, options), IsOk());
  EXPECT_THAT(engine->Commit({Deny(2)}, options),
              StatusIs(absl::StatusCode::kAborted,
                       "commit policy: generation 1 expected, 2 in force"));
  EXPECT_EQ(PolicyOf(*engine).policy, Apply(Policy(), {Deny(1)}));
}

TEST_F(EngineTest, AFencedCommitSaysSo) {
  auto engine = Open();
  ASSERT_NE(engine, nullptr);
  ASSERT_THAT(engine->Commit({Deny(1)}, {}), IsOk());
  auto status = engine->Status();
  ASSERT_THAT(status, IsOk());
  EXPECT_EQ(status->generation, Generation{2});
  EXPECT_EQ(status->fenced_generation, Generation{1});
  // Also when there is nothing to change any more.
  ASSERT_THAT(engine->Commit({Deny(1)}, WithFence()), IsOk());
  EXPECT_EQ(engine->Status()->fenced_generation, Generation{2});
  ASSERT_THAT(engine->Commit({Deny(2), Deny(3)}, WithFence()), IsOk());
  EXPECT_EQ(engine->Status()->fenced_generation, Generation{3});
}

TEST_F(EngineTest, APolicyLargerThanTheTablesIsRefused) {
  auto engine = Open();  // for 8 UIDs
  ASSERT_NE(engine, nullptr);
  Transaction eight;
  for (uint32_t uid = 1; uid <= 8; ++uid) eight.push_back(Deny(uid));
  ASSERT_THAT(engine->Commit(eight, {}), IsOk());
  for (CommitMode mode : {CommitMode::kDryRun, CommitMode::kApply}) {
    CommitOptions options;
    options.mode = mode;
    EXPECT_THAT(engine->Commit({Deny(9)}, options),
                StatusIs(absl::StatusCode::kResourceExhausted,
                         "commit policy: 9 uids, room for 8"));
  }
  EXPECT_EQ(PolicyOf(*engine).policy, Apply(Policy(), eight));
  EXPECT_THAT(engine->Commit({Clear(1), Deny(9)}, {}), IsOk());
}

TEST_F(EngineTest, AnyPolicyThatFitsReplacesAnyOther) {
  auto engine = Open();  // for 8 UIDs
  ASSERT_NE(engine, nullptr);
  for (uint32_t round = 0; round < 6; ++round) {
    Policy full;
    Transaction rules;
    for (uint32_t uid = 0; uid < 8; ++uid) {
      rules.push_back(Deny(1000 * round + uid));
    }
    full = Apply(full, rules);
    ASSERT_THAT(engine->Commit({ReplacePolicy{full}}, {}), IsOk()) << round;
    EXPECT_EQ(PolicyOf(*engine).policy, full);
  }
}

TEST_F(EngineTest, UidsThatComeAndGoOneByOneNeverFillTheTables) {
  auto engine = Open();  // for 8 UIDs
  ASSERT_NE(engine, nullptr);
  for (uint32_t uid = 1; uid <= 100; ++uid) {
    ASSERT_THAT(engine->Commit({Deny(uid)}, {}), IsOk()) << uid;
    ASSERT_THAT(engine->Commit({Clear(uid)}, {}), IsOk()) << uid;
  }
  ASSERT_THAT(engine->Commit({Deny(50)}, {}), IsOk());
  EXPECT_EQ(PolicyOf(*engine).policy, Apply(Policy(), {Deny(50)}));
}

TEST_F(EngineTest, EnginesOnOneDirectorySeeEachOthersCommits) {
  auto one = Open();
  auto two = Open();
  ASSERT_NE(one, nullptr);
  ASSERT_NE(two, nullptr);
  Policy expected;
  // By turns, in place and by slot, so that each finds its picture of the idle
  // slot and the positions outdated.
  uint32_t uid = 0;
  for (Engine* engine : {one.get(), two.get(), two.get(), one.get(), one.get(),
                         two.get(), one.get()}) {
    const Transaction single = {Deny(uid % 5)};
    const Transaction both = {Clear(uid % 5), Allow((uid + 1) % 5),
                              Deny((uid + 2) % 5)};
    ++uid;
    for (const Transaction& transaction : {single, both}) {
      ASSERT_THAT(engine->Commit(transaction, {}), IsOk());
      expected = Apply(expected, transaction);
      EXPECT_EQ(PolicyOf(*one).policy, expected);
      EXPECT_EQ(PolicyOf(*two).policy, expected);
    }
  }
}

TEST_F(EngineTest, ExplainAnswersForEachDirection) {
  auto engine = Open();
  ASSERT_NE(engine, nullptr);
  ASSERT_THAT(
      engine->Commit(
          {Deny(10007), SetInternet{Uid{10008}, Permission::kRevoked}}, {}),
      IsOk());

  auto denied = engine->Explain({.uid = Uid{10007}});
  ASSERT_THAT(denied, IsOk());
  EXPECT_EQ(denied->generation, Generation{2});
  ASSERT_THAT(denied->verdicts, SizeIs(3));
  for (size_t i : {0, 1}) {
    ASSERT_THAT(denied->verdicts[i].reasons, SizeIs(1));
    EXPECT_EQ(denied->verdicts[i].reasons[0].name, "uid_rule");
    EXPECT_THAT(denied->verdicts[i].reasons[0].detail, HasSubstr("10007"));
  }
  EXPECT_EQ(denied->verdicts[2].direction, Direction::kSocketCreate);
  EXPECT_THAT(denied->verdicts[2].reasons, IsEmpty());

  auto revoked = engine->Explain(
      {.uid = Uid{10008}, .direction = Direction::kSocketCreate});
  ASSERT_THAT(revoked, IsOk());
  ASSERT_THAT(revoked->verdicts, SizeIs(1));
  ASSERT_THAT(revoked->verdicts[0].reasons, SizeIs(1));
  EXPECT_EQ(revoked->verdicts[0].reasons[0].name, "internet_permission");

  auto unlisted = engine->Explain({.uid = Uid{1}, .interface = "lo"});
  ASSERT_THAT(unlisted, IsOk());
  for (const ExplainedVerdict& verdict : unlisted->verdicts) {
    EXPECT_THAT(verdict.reasons, IsEmpty());
  }
}

TEST_F(EngineTest, ExplainRefusesWhatIsNoQuestion) {
  auto engine = Open();
  ASSERT_NE(engine, nullptr);
  EXPECT_THAT(engine->Explain({.uid = kNoOwner,
                               .interface = "",
                               .direction = Direction::kSocketCreate}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(
      engine->Explain({.uid = Uid{1}, .interface = "nosuch0"}),
      StatusIs(absl::StatusCode::kNotFound, "explain: no interface nosuch0"));
}

TEST_F(EngineTest, StatusTellsWhatIsInTheKernel) {
  auto engine = Open();
  ASSERT_NE(engine, nullptr);
  ASSERT_THAT(engine->Commit({Deny(1), Deny(2)}, {}), IsOk());
  auto status = engine->Status();
  ASSERT_THAT(status, IsOk());
  EXPECT_EQ(status->abi_major, 3u);
  EXPECT_EQ(status->cgroup, cgroup_->path());
  EXPECT_EQ(status->cgroup_id, cgroup_->id());
  EXPECT_EQ(status->pin_dir, Options().pin_dir);
  ASSERT_THAT(status->programs, SizeIs(9));
  for (const ProgramStatus& program : status->programs) {
    EXPECT_NE(program.id, 0u) << program.name;
    EXPECT_NE(program.link_id, 0u) << program.name;
    EXPECT_GT(program.xlated_bytes, 0u) << program.name;
  }
  EXPECT_THAT(status->maps, SizeIs(25));
  for (const MapStatus& map : status->maps) {
    EXPECT_NE(map.id, 0u) << map.name;
    if (map.name == "np_uid_index") {
      EXPECT_EQ(map.max_entries, 16u);
      EXPECT_EQ(map.used_entries, 2u);
    }
  }
  EXPECT_THAT(status->losses, SizeIs(10));
}

TEST_F(EngineTest, StatsOfNoTrafficAreEmpty) {
  auto engine = Open();
  ASSERT_NE(engine, nullptr);
  auto stats = engine->Stats();
  ASSERT_THAT(stats, IsOk());
  EXPECT_THAT(stats->rows, IsEmpty());
  EXPECT_THAT(stats->drops, IsEmpty());
  EXPECT_EQ(stats->overflow_rx.packets, 0u);
  ASSERT_THAT(stats->losses, SizeIs(10));
  EXPECT_EQ(stats->losses[0].name, "slow_path");
}

}  // namespace
}  // namespace netpolicy
