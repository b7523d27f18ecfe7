// SPDX-License-Identifier: Apache-2.0
//
// Several processes and threads at once.

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/engine/engine.h"
#include "libpolicy/engine/engine_fixture.h"
#include "libpolicy/testing/process.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy {
namespace {

using testing::ChildProcess;
using testing::IsOk;
using testing::IsOkAndHolds;

using ConcurrencyTest = EngineFixture;

TEST_F(ConcurrencyTest, ProcessesThatCompareAndSwapLoseNothing) {
  constexpr uint32_t kProcesses = 3;
  constexpr uint32_t kCommits = 40;
  EngineOptions options = Options();
  options.max_uids = 200;
  // Nobody but the others' commits holds the lock: on a slow machine for longer
  // than callers usually want to wait.
  options.lock_timeout = absl::Seconds(50);
  auto engine = Open(options);
  ASSERT_NE(engine, nullptr);
  std::vector<ChildProcess> children;
  for (uint32_t process = 0; process < kProcesses; ++process) {
    auto child = ChildProcess::Start({}, [&options, process] {
      auto own = Engine::Open(options);
      if (!own.ok()) return 1;
      for (uint32_t i = 0; i < kCommits;) {
        auto snapshot = (*own)->GetPolicy();
        if (!snapshot.ok()) return 2;
        CommitOptions swap;
        swap.expected_generation = snapshot->generation;
        const uint32_t uid = 1000 * (process + 1) + i;
        // Some in place, some by slot.
        Transaction transaction = {Deny(uid)};
        if (i % 4 == 3) transaction.push_back(Allow(1));
        if (i % 8 == 7) transaction.push_back(Clear(1));
        const auto result = (*own)->Commit(transaction, swap);
        if (result.ok()) {
          ++i;
        } else if (!absl::IsAborted(result.status()) &&
                   !absl::IsUnavailable(result.status())) {
          return 3;
        }
      }
      return 0;
    });
    ASSERT_THAT(child, IsOk());
    children.push_back(*std::move(child));
  }
  for (ChildProcess& child : children) {
    EXPECT_THAT(child.Wait(absl::Seconds(60)), IsOkAndHolds(0));
  }
  const PolicySnapshot snapshot = PolicyOf(*engine);
  EXPECT_EQ(snapshot.generation, Generation{1 + kProcesses * kCommits});
  for (uint32_t process = 0; process < kProcesses; ++process) {
    for (uint32_t i = 0; i < kCommits; ++i) {
      const Uid uid{1000 * (process + 1) + i};
      EXPECT_EQ(snapshot.policy.Find(uid).rule, Action::kDeny) << ToInt(uid);
    }
  }
}

TEST_F(ConcurrencyTest, AReaderSeesCommittedPoliciesOnly) {
  EngineOptions options = Options();
  options.max_uids = 300;
  auto engine = Open(options);
  auto other = Open(options);
  ASSERT_NE(engine, nullptr);
  ASSERT_NE(other, nullptr);
  // Two policies, and a rule that comes and goes in place.
  Transaction one;
  Transaction two;
  for (uint32_t uid = 0; uid < 250; ++uid) {
    one.push_back(Deny(2 * uid));
    one.push_back(Clear(2 * uid + 1));
    two.push_back(Deny(2 * uid + 1));
    two.push_back(Clear(2 * uid));
  }
  const Policy policies[] = {
      Apply(Policy(), one), Apply(Apply(Policy(), one), {Deny(9999)}),
      Apply(Policy(), two), Apply(Apply(Policy(), two), {Deny(9999)})};
  ASSERT_THAT(engine->Commit(one, {}), IsOk());

  // In a process of its own: a thread would share the engine's mutex.
  auto writer = ChildProcess::Start({}, [&] {
    const absl::Time deadline = absl::Now() + absl::Seconds(3);
    int commits = 0;
    while (absl::Now() < deadline) {
      for (const Transaction& transaction : {two, one}) {
        if (!other->Commit(transaction, {}).ok()) return 1;
        for (int i = 0; i < 10; ++i) {
          if (!other->Commit({Deny(9999)}, {}).ok()) return 2;
          if (!other->Commit({Clear(9999)}, {}).ok()) return 3;
        }
        ++commits;
      }
    }
    return commits > 0 ? 0 : 4;
  });
  ASSERT_THAT(writer, IsOk());
  int reads = 0;
  const absl::Time deadline = absl::Now() + absl::Seconds(3);
  Generation last{};
  while (absl::Now() < deadline) {
    const PolicySnapshot snapshot = PolicyOf(*engine);
    ASSERT_THAT(policies, ::testing::Contains(snapshot.policy));
    ASSERT_GE(snapshot.generation, last);
    last = snapshot.generation;
    ++reads;
  }
  EXPECT_THAT(writer->Wait(absl::Seconds(20)), IsOkAndHolds(0));
  printf("%d reads, generation %llu\n", reads,
         static_cast<unsigned long long>(ToInt(last)));
}

TEST_F(ConcurrencyTest, ThreadsShareAnEngine) {
  auto engine = Open();
  ASSERT_NE(engine, nullptr);
  constexpr int kThreads = 4;
  constexpr int kRounds = 30;
  std::atomic<int> errors{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      const uint32_t uid = static_cast<uint32_t>(thread) + 1;
      for (int i = 0; i < kRounds; ++i) {
        if (!engine->Commit({Deny(uid)}, {}).ok()) ++errors;
        auto explained = engine->Explain({.uid = Uid{uid}});
        if (!explained.ok() || explained->verdicts[0].reasons.empty()) {
          ++errors;
        }
        if (!engine->GetPolicy().ok()) ++errors;
        if (!engine->Stats().ok()) ++errors;
        if (!engine->Status().ok()) ++errors;
        if (!engine->Commit({Clear(uid)}, {}).ok()) ++errors;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(errors, 0);
  EXPECT_EQ(PolicyOf(*engine).generation,
            Generation{1 + 2 * kThreads * kRounds});
  EXPECT_EQ(PolicyOf(*engine).policy, Policy());
}

}  // namespace
}  // namespace netpolicy
