// SPDX-License-Identifier: Apache-2.0
//
// For tests of the engine: a bpffs and a cgroup for each test, and a way into
// an engine's commit.

#ifndef NETPOLICY_LIBPOLICY_ENGINE_ENGINE_FIXTURE_H_
#define NETPOLICY_LIBPOLICY_ENGINE_ENGINE_FIXTURE_H_

#include <sys/file.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/engine/committer.h"
#include "libpolicy/engine/engine.h"
#include "libpolicy/engine/engine_impl.h"
#include "libpolicy/engine/table_writer.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/test_environment.h"

namespace netpolicy {

// Tests that break something at each of many steps take every step here, and
// every so many-th under the other kernels, which are emulated and slow (an odd
// number, lest tests that alternate do always the same).
inline int StepsApart() {
  return getenv("NETPOLICY_KERNEL") == nullptr ? 1 : 7;
}

class CommitterPeer {
 public:
  static std::unique_ptr<TableWriter>& Writer(Committer& committer) {
    return committer.writer_;
  }
};

class EnginePeer {
 public:
  // Puts a writer in place of the engine's, which `make` gets.
  static void ReplaceWriter(Engine& engine,
                            absl::FunctionRef<std::unique_ptr<TableWriter>(
                                std::unique_ptr<TableWriter>)>
                                make) {
    const absl::MutexLock lock(&engine.impl_->mutex);
    std::unique_ptr<TableWriter>& writer =
        CommitterPeer::Writer(engine.impl_->committer);
    writer = make(std::move(writer));
  }

  // Gives back the lock that a forked child died with: it is the parent's too.
  static void Unlock(const Engine& engine) {
    flock(engine.impl_->installation.pin_dir.get(), LOCK_UN);
  }

  static const Tables& TablesOf(const Engine& engine) {
    return engine.impl_->tables();
  }
};

// Passes everything on to another writer, which a test can get back.
class ForwardingWriter : public TableWriter {
 public:
  explicit ForwardingWriter(std::unique_ptr<TableWriter> next)
      : next_(std::move(next)) {}

  std::unique_ptr<TableWriter> Release() { return std::move(next_); }

  absl::Status Store(__u64& word, uint64_t value) override {
    return next_->Store(word, value);
  }
  void Publish(__u64& word, uint64_t value) override {
    next_->Publish(word, value);
  }
  absl::Status InsertPositions(absl::Span<const np_uid_key> uids,
                               absl::Span<const np_uid_position> positions,
                               size_t& done) override {
    return next_->InsertPositions(uids, positions, done);
  }
  absl::Status DeletePositions(absl::Span<const np_uid_key> uids,
                               size_t& done) override {
    return next_->DeletePositions(uids, done);
  }
  absl::Status Set(const RawMap& map, const void* key,
                   const void* value) override {
    return next_->Set(map, key, value);
  }
  absl::Status Remove(const RawMap& map, const void* key) override {
    return next_->Remove(map, key);
  }
  absl::Status Fence() override { return next_->Fence(); }

 protected:
  TableWriter& next() { return *next_; }

 private:
  std::unique_ptr<TableWriter> next_;
};

class EngineFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    if (auto missing = testing::MissingForBpfTests()) GTEST_SKIP() << *missing;
    auto bpffs = testing::BpfFs::Mount();
    ASSERT_THAT(bpffs, testing::IsOk());
    bpffs_ = std::make_unique<testing::BpfFs>(*std::move(bpffs));
    auto cgroup = testing::TestCgroup::Create();
    ASSERT_THAT(cgroup, testing::IsOk());
    cgroup_ = std::make_unique<testing::TestCgroup>(*std::move(cgroup));
  }

  // A small engine on the test's own bpffs and cgroup.
  EngineOptions Options() const {
    EngineOptions options;
    options.cgroup = cgroup_->path();
    options.pin_dir = bpffs_->File("netpolicy");
    options.max_uids = 8;
    options.max_rows = 16;
    options.max_uid_rows = 4;
    options.max_drops = 16;
    return options;
  }

  // Fails the test when it can't be opened; use ASSERT_NE(engine, nullptr).
  std::unique_ptr<Engine> Open(const EngineOptions& options) {
    auto engine = Engine::Open(options);
    EXPECT_THAT(engine, testing::IsOk());
    return engine.ok() ? *std::move(engine) : nullptr;
  }
  std::unique_ptr<Engine> Open() { return Open(Options()); }

  // The policy in force; empty when it can't be read, which fails the test.
  static PolicySnapshot PolicyOf(Engine& engine) {
    auto snapshot = engine.GetPolicy();
    EXPECT_THAT(snapshot, testing::IsOk());
    return snapshot.ok() ? *std::move(snapshot) : PolicySnapshot();
  }

  // What `transaction` makes of `policy`.
  static Policy Apply(Policy policy, const Transaction& transaction) {
    PolicyEdit edit(policy);
    for (const Change& change : transaction) {
      EXPECT_THAT(edit.Apply(change), testing::IsOk());
    }
    const PolicyDelta delta = edit.Delta();
    PolicyEdit::ApplyDelta(delta, policy);
    return policy;
  }

  std::unique_ptr<testing::BpfFs> bpffs_;
  std::unique_ptr<testing::TestCgroup> cgroup_;
};

inline CommitOptions WithFence() {
  CommitOptions options;
  options.fence = Fence::kWait;
  return options;
}

inline Change Deny(uint32_t uid) {
  return SetUidRule{.uid = Uid{uid}, .rule = Action::kDeny};
}
inline Change Allow(uint32_t uid) {
  return SetUidRule{.uid = Uid{uid}, .rule = Action::kAllow};
}
inline Change Clear(uint32_t uid) { return ClearUid{.uid = Uid{uid}}; }

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_ENGINE_ENGINE_FIXTURE_H_
