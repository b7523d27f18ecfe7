// SPDX-License-Identifier: Apache-2.0
//
// A commit that is cut off, at every one of its writes: by an error, and by the
// death of the process.

#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/engine/engine.h"
#include "libpolicy/engine/engine_fixture.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy {
namespace {

using ::testing::AnyOf;
using ::testing::Eq;
using testing::IsOk;
using testing::StatusIs;

// Fails the n-th write that can fail, counting from 0; a batch fails half-way.
class FailingWriter : public ForwardingWriter {
 public:
  FailingWriter(std::unique_ptr<TableWriter> next, int n)
      : ForwardingWriter(std::move(next)), left_(n) {}

  absl::Status Store(__u64& word, uint64_t value) override {
    if (left_-- == 0) return Failure();
    return next().Store(word, value);
  }
  absl::Status InsertPositions(absl::Span<const np_uid_key> uids,
                               absl::Span<const np_uid_position> positions,
                               size_t& done) override {
    if (left_-- != 0) return next().InsertPositions(uids, positions, done);
    const size_t half = uids.size() / 2;
    if (half == 0) return Failure();
    EXPECT_THAT(
        next().InsertPositions(uids.first(half), positions.first(half), done),
        IsOk());
    return Failure();
  }
  absl::Status DeletePositions(absl::Span<const np_uid_key> uids,
                               size_t& done) override {
    if (left_-- != 0) return next().DeletePositions(uids, done);
    const size_t half = uids.size() / 2;
    if (half == 0) return Failure();
    EXPECT_THAT(next().DeletePositions(uids.first(half), done), IsOk());
    return Failure();
  }
  absl::Status Set(const RawMap& map, const void* key,
                   const void* value) override {
    if (left_-- == 0) return Failure();
    return next().Set(map, key, value);
  }
  absl::Status Remove(const RawMap& map, const void* key) override {
    if (left_-- == 0) return Failure();
    return next().Remove(map, key);
  }
  absl::Status Fence() override {
    if (left_-- == 0) return Failure();
    return next().Fence();
  }

  // Whether the n-th write came.
  bool failed() const { return left_ < 0; }

 private:
  static absl::Status Failure() {
    return absl::ResourceExhaustedError("update np_test: out of luck");
  }
  int left_;
};

// Ends the process in place of the n-th write.
class DyingWriter : public ForwardingWriter {
 public:
  DyingWriter(std::unique_ptr<TableWriter> next, int n)
      : ForwardingWriter(std::move(next)), left_(n) {}

  absl::Status Store(__u64& word, uint64_t value) override {
    Count();
    return next().Store(word, value);
  }
  void Publish(__u64& word, uint64_t value) override {
    Count();
    next().Publish(word, value);
  }
  absl::Status InsertPositions(absl::Span<const np_uid_key> uids,
                               absl::Span<const np_uid_position> positions,
                               size_t& done) override {
    Count();
    return next().InsertPositions(uids, positions, done);
  }
  absl::Status DeletePositions(absl::Span<const np_uid_key> uids,
                               size_t& done) override {
    Count();
    return next().DeletePositions(uids, done);
  }
  absl::Status Set(const RawMap& map, const void* key,
                   const void* value) override {
    Count();
    return next().Set(map, key, value);
  }
  absl::Status Remove(const RawMap& map, const void* key) override {
    Count();
    return next().Remove(map, key);
  }
  absl::Status Fence() override {
    Count();
    return next().Fence();
  }

 private:
  void Count() {
    if (left_-- == 0) _exit(kDied);
  }

 public:
  static constexpr int kDied = 42;

 private:
  int left_;
};

// Fails every fence.
class UnfencedWriter : public ForwardingWriter {
 public:
  using ForwardingWriter::ForwardingWriter;
  absl::Status Fence() override {
    return absl::PermissionDeniedError("update np_fence[0]: not any more");
  }
};

// Removes the test's writer again.
void RestoreWriter(Engine& engine) {
  EnginePeer::ReplaceWriter(engine, [](std::unique_ptr<TableWriter> writer) {
    return static_cast<ForwardingWriter*>(writer.get())->Release();
  });
}

enum class Positions { kFree, kUsedUp };

NetworkRule Rule(absl::string_view prefix) {
  NetworkRule rule;
  rule.prefix = ParseIpPrefix(prefix).value();
  return rule;
}

struct Scenario {
  const char* name;
  // Committed one by one before.
  std::vector<Transaction> before;
  Transaction transaction;
  Fence fence;
  // Every position is some UID's that the policy says nothing of any more, so
  // that a new UID makes the engine take positions back.
  Positions positions = Positions::kFree;
};

std::vector<Scenario> Scenarios() {
  return {
      {"in place, new uid", {}, {Deny(1)}, Fence::kNone},
      {"in place, known uid", {{Deny(1)}}, {Allow(1)}, Fence::kNone},
      {"in place, fenced", {{Deny(1)}}, {Allow(1)}, Fence::kWait},
      {"in place, back to nothing",
       {{Deny(1), Deny(2)}},
       {Clear(1)},
       Fence::kNone},
      {"by slot, new uids",
       {{Deny(1)}},
       {Deny(2), Deny(3), Allow(1)},
       Fence::kNone},
      {"by slot, fenced",
       {{Deny(1), Deny(2)}},
       {Allow(1), Allow(2)},
       Fence::kWait},
      {"by slot, idle slot behind",
       {{Deny(1), Deny(2)}, {Allow(1)}, {Allow(3)}},
       {Deny(1), Clear(2)},
       Fence::kNone},
      {"defaults",
       {{Deny(1), Allow(2)}},
       {SetDefaultRule{Action::kDeny}},
       Fence::kNone},
      {"chains",
       {{DefineChain{"old", ChainSense::kDenylist},
         ReplaceChain{"old", {Uid{1}, Uid{2}}}}},
       {RemoveChain{"old"}, DefineChain{"new", ChainSense::kAllowlist},
        ReplaceChain{"new", {Uid{2}, Uid{3}}},
        SetChainEnabled{"new", Switch::kOn}},
       Fence::kNone},
      {"network rules of a uid",
       {{Deny(1)}, {Deny(2)}},
       {SetNetworkRules{Uid{1}, {Rule("10.0.0.0/8"), Rule("fd00::/8")}}},
       Fence::kNone},
      {"network rules, changed",
       {{SetNetworkRules{Uid{1}, {Rule("10.0.0.0/8")}},
         SetNetworkRules{absl::nullopt, {Rule("192.0.2.0/24")}}},
        {SetNetworkRules{Uid{2}, {Rule("10.1.0.0/16")}}}},
       {SetNetworkRules{Uid{1}, {Rule("10.2.0.0/16"), Rule("10.0.0.0/8")}},
        SetNetworkRules{Uid{2}, {}},
        SetNetworkRules{absl::nullopt, {Rule("198.51.100.0/24")}}},
       Fence::kWait},
      {"interfaces, discard and ports",
       {{SetInterface{{"wwan*", Switch::kOn, {"cellular"}}},
         SetUidInterfaces{Uid{1}, {"@cellular", "tun0"}}}},
       {SetInterface{{"wlan0", Switch::kOn, {}}}, RemoveInterface{"wwan*"},
        SetUidInterfaces{Uid{1}, {"tun1"}}, SetLockdown{Uid{2}, Switch::kOn},
        SetIngressDiscard{
            {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 8, 0, 2},
             {"tun1"}}},
        SetBlockedBindPorts{{{5353, 5353}}}},
       Fence::kNone},
      {"positions taken back",
       {{Deny(1)}},
       {Deny(2)},
       Fence::kNone,
       Positions::kUsedUp},
      {"positions taken back by slot",
       {{Deny(1)}},
       {Deny(100), Deny(2)},
       Fence::kWait,
       Positions::kUsedUp},
  };
}

class CommitTest : public EngineFixture {
 protected:
  // What tables must be like after a commit was cut off: they hold a policy of
  // the two, everybody sees the same one, and further commits of both kinds
  // work, here and in another engine.
  void CheckGoesOn(Engine& engine, const Policy& now) {
    EXPECT_EQ(PolicyOf(engine).policy, now);
    Policy expected = now;
    // By slot twice, so that both slots come to light; then in place.
    for (const Transaction& next :
         {Transaction{Deny(5), Deny(6)}, Transaction{Clear(5), Allow(6)},
          Transaction{Deny(6)}, Transaction{Clear(6)}}) {
      ASSERT_THAT(engine.Commit(next, {}), IsOk());
      expected = Apply(expected, next);
      ASSERT_EQ(PolicyOf(engine).policy, expected);
    }
    ASSERT_EQ(expected, now);
  }

  static void UseUpPositions(Engine& engine) {
    const Tables& tables = EnginePeer::TablesOf(engine);
    for (uint32_t uid = 100; uid < 100 + tables.slot_size(); ++uid) {
      auto index = tables.uid_index.Dump();
      ASSERT_THAT(index, IsOk());
      if (index->size() == tables.slot_size()) return;
      ASSERT_THAT(engine.Commit({Deny(uid)}, {}), IsOk());
      ASSERT_THAT(engine.Commit({Clear(uid)}, {}), IsOk());
    }
  }

  // Brings the tables to where the scenario begins. Returns the policy.
  Policy Begin(Engine& engine, const Scenario& scenario) {
    EXPECT_THAT(engine.Commit({ReplacePolicy{Policy()}}, WithFence()), IsOk());
    Policy policy;
    for (const Transaction& transaction : scenario.before) {
      EXPECT_THAT(engine.Commit(transaction, {}), IsOk());
      policy = Apply(policy, transaction);
    }
    if (scenario.positions == Positions::kUsedUp) UseUpPositions(engine);
    return policy;
  }
};

TEST_F(CommitTest, AnErrorAtAnyWriteLeavesTheOldPolicyInForce) {
  for (const Scenario& scenario : Scenarios()) {
    SCOPED_TRACE(scenario.name);
    // A fresh engine for each scenario, so that the positions are fresh.
    ASSERT_THAT(Engine::Detach(Options().pin_dir), IsOk());
    auto engine = Open();
    ASSERT_NE(engine, nullptr);
    CommitOptions options;
    options.fence = scenario.fence;
    bool failed = true;
    int n = 0;
    for (; failed; n += StepsApart()) {
      SCOPED_TRACE(n);
      ASSERT_LT(n, 1000);
      const Policy before = Begin(*engine, scenario);
      const Generation generation = PolicyOf(*engine).generation;
      FailingWriter* writer = nullptr;
      EnginePeer::ReplaceWriter(
          *engine, [&](std::unique_ptr<TableWriter> next) {
            auto failing = std::make_unique<FailingWriter>(std::move(next), n);
            writer = failing.get();
            return failing;
          });
      auto result = engine->Commit(scenario.transaction, options);
      failed = writer->failed();
      RestoreWriter(*engine);
      if (result.ok()) {
        // Nothing failed, or it was a fence that was had at the second go.
        ASSERT_NO_FATAL_FAILURE(
            CheckGoesOn(*engine, Apply(before, scenario.transaction)));
      } else {
        EXPECT_TRUE(failed);
        EXPECT_THAT(result, StatusIs(absl::StatusCode::kResourceExhausted,
                                     "update np_test: out of luck"));
        EXPECT_EQ(PolicyOf(*engine).generation, generation);
        ASSERT_NO_FATAL_FAILURE(CheckGoesOn(*engine, before));
      }
      if (::testing::Test::HasFailure()) return;
    }
    printf("%s: %d writes that can fail\n", scenario.name, n - StepsApart());
  }
}

TEST_F(CommitTest, DeathAtAnyWriteLeavesTheOldPolicyOrTheNewOne) {
  for (const Scenario& scenario : Scenarios()) {
    SCOPED_TRACE(scenario.name);
    ASSERT_THAT(Engine::Detach(Options().pin_dir), IsOk());
    auto engine = Open();
    ASSERT_NE(engine, nullptr);
    CommitOptions options;
    options.fence = scenario.fence;
    int status = DyingWriter::kDied;
    int n = 0;
    int old = 0;
    std::unique_ptr<Engine> other;
    for (; status == DyingWriter::kDied; n += StepsApart()) {
      SCOPED_TRACE(n);
      ASSERT_LT(n, 1000);
      const Policy before = Begin(*engine, scenario);
      const Policy after = Apply(before, scenario.transaction);
      // The child has the engine's mappings and descriptors.
      const pid_t child = fork();
      ASSERT_GE(child, 0);
      if (child == 0) {
        EnginePeer::ReplaceWriter(
            *engine, [n](std::unique_ptr<TableWriter> next) {
              return std::make_unique<DyingWriter>(std::move(next), n);
            });
        _exit(engine->Commit(scenario.transaction, options).ok() ? 0 : 1);
      }
      int wait_status = 0;
      ASSERT_EQ(waitpid(child, &wait_status, 0), child);
      ASSERT_TRUE(WIFEXITED(wait_status));
      status = WEXITSTATUS(wait_status);
      ASSERT_THAT(status, AnyOf(Eq(0), Eq(DyingWriter::kDied)));

      EnginePeer::Unlock(*engine);

      // Another process opens what it finds; in other rounds, one that was
      // there all the time goes on.
      if (n % 3 == 0) {
        other.reset();
        other = Open();
        ASSERT_NE(other, nullptr);
      }
      const Policy now = PolicyOf(*other).policy;
      ASSERT_TRUE(now == before || now == after);
      if (status == 0) {
        EXPECT_EQ(now, after);
      }
      if (now == before) ++old;
      // Once new, always new: the first write that counts is the last.
      EXPECT_EQ(now == before, n < old * StepsApart());
      ASSERT_NO_FATAL_FAILURE(CheckGoesOn(*other, now));
      ASSERT_NO_FATAL_FAILURE(CheckGoesOn(*engine, now));
      if (::testing::Test::HasFailure()) return;
    }
    printf("%s: %d writes, %d of them before it counts\n", scenario.name,
           n - StepsApart(), old * StepsApart());
  }
}

TEST_F(CommitTest, DeathInPlaceIsMadeGoodByTheNextCommitOrReader) {
  auto engine = Open();
  ASSERT_NE(engine, nullptr);
  ASSERT_THAT(engine->Commit({Deny(1), Deny(2)}, {}), IsOk());
  const np_control& control = EnginePeer::TablesOf(*engine).control_entry();
  for (const bool reader : {true, false}) {
    // Leave a change announced but not made.
    for (int n = 0; control.sequence % 2 == 0; ++n) {
      ASSERT_LT(n, 100);
      const pid_t child = fork();
      ASSERT_GE(child, 0);
      if (child == 0) {
        EnginePeer::ReplaceWriter(
            *engine, [n](std::unique_ptr<TableWriter> next) {
              return std::make_unique<DyingWriter>(std::move(next), n);
            });
        _exit(engine->Commit({reader ? Allow(1) : Clear(1)}, {}).ok() ? 0 : 1);
      }
      int wait_status = 0;
      ASSERT_EQ(waitpid(child, &wait_status, 0), child);
    }
    EnginePeer::Unlock(*engine);
    const uint64_t generation = np_active_generation(control.active);
    const Policy expected =
        Apply(Policy(), reader ? Transaction{Allow(1), Deny(2)}
                               : Transaction{Deny(2), Deny(3)});
    if (!reader) {
      ASSERT_THAT(engine->Commit({Deny(3)}, {}), IsOk());
    }
    EXPECT_EQ(PolicyOf(*engine).policy, expected);
    EXPECT_EQ(control.sequence % 2, 0u);
    // So that sockets forget what they remembered meanwhile.
    EXPECT_GT(np_active_generation(control.active), generation);
  }
}

TEST_F(CommitTest, AFenceThatCannotBeHadTakesTheCommitBack) {
  auto engine = Open();
  ASSERT_NE(engine, nullptr);
  ASSERT_THAT(engine->Commit({Deny(1), Deny(2)}, WithFence()), IsOk());
  const Policy before = PolicyOf(*engine).policy;
  for (const Transaction& transaction :
       {Transaction{Allow(1)}, Transaction{Allow(1), Allow(2)}}) {
    // The idle slot is free, so that the fence at the end is the first.
    ASSERT_THAT(engine->Commit({}, WithFence()), IsOk());
    EnginePeer::ReplaceWriter(*engine, [](std::unique_ptr<TableWriter> next) {
      return std::make_unique<UnfencedWriter>(std::move(next));
    });
    EXPECT_THAT(engine->Commit(transaction, WithFence()),
                StatusIs(absl::StatusCode::kPermissionDenied));
    RestoreWriter(*engine);
    ASSERT_NO_FATAL_FAILURE(CheckGoesOn(*engine, before));
  }
}

}  // namespace
}  // namespace netpolicy
