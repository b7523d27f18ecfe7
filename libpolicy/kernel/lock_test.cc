// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/kernel/lock.h"

#include <fcntl.h>

#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy {
namespace {

using testing::IsOk;
using testing::StatusIs;
using Kind = DirectoryLock::Kind;

// Each is an opening of its own, as another process would have.
UniqueFd OpenDirectory() {
  return UniqueFd(
      open(::testing::TempDir().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

TEST(DirectoryLock, ExclusiveKeepsOthersOutUntilDestroyed) {
  const UniqueFd mine = OpenDirectory();
  const UniqueFd others = OpenDirectory();
  {
    auto lock = DirectoryLock::Acquire(mine.get(), "/d", Kind::kExclusive, {});
    ASSERT_THAT(lock, IsOk());
    for (Kind kind : {Kind::kShared, Kind::kExclusive}) {
      EXPECT_THAT(DirectoryLock::Acquire(others.get(), "/d", kind, {}).status(),
                  StatusIs(absl::StatusCode::kUnavailable,
                           "lock /d: held by another process"));
    }
  }
  EXPECT_THAT(DirectoryLock::Acquire(others.get(), "/d", Kind::kExclusive, {}),
              IsOk());
}

TEST(DirectoryLock, SharedLetsOthersShare) {
  const UniqueFd mine = OpenDirectory();
  const UniqueFd others = OpenDirectory();
  auto lock = DirectoryLock::Acquire(mine.get(), "/d", Kind::kShared, {});
  ASSERT_THAT(lock, IsOk());
  EXPECT_THAT(DirectoryLock::Acquire(others.get(), "/d", Kind::kShared, {}),
              IsOk());
  EXPECT_THAT(DirectoryLock::Acquire(others.get(), "/d", Kind::kExclusive, {}),
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST(DirectoryLock, WaitsUntilTheDeadline) {
  const UniqueFd mine = OpenDirectory();
  const UniqueFd others = OpenDirectory();
  auto lock = DirectoryLock::Acquire(mine.get(), "/d", Kind::kExclusive, {});
  ASSERT_THAT(lock, IsOk());
  const absl::Time start = absl::Now();
  EXPECT_THAT(DirectoryLock::Acquire(others.get(), "/d", Kind::kExclusive,
                                     absl::Milliseconds(30)),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(30));
}

TEST(DirectoryLock, AMovedLockHoldsOn) {
  const UniqueFd mine = OpenDirectory();
  const UniqueFd others = OpenDirectory();
  auto lock = DirectoryLock::Acquire(mine.get(), "/d", Kind::kExclusive, {});
  ASSERT_THAT(lock, IsOk());
  const DirectoryLock moved = *std::move(lock);
  EXPECT_THAT(DirectoryLock::Acquire(others.get(), "/d", Kind::kExclusive, {}),
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST(DirectoryLock, ABadDescriptorIsAnError) {
  EXPECT_THAT(
      DirectoryLock::Acquire(-1, "/d", Kind::kExclusive, {}).status(),
      StatusIs(absl::StatusCode::kInternal, "lock /d: bad file descriptor"));
}

}  // namespace
}  // namespace netpolicy
