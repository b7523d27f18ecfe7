// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/base/unique_fd.h"

#include <fcntl.h>

#include <cerrno>
#include <utility>

#include "gtest/gtest.h"

namespace netpolicy {
namespace {

int OpenNull() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }
bool IsOpen(int fd) { return fcntl(fd, F_GETFD) >= 0; }

TEST(UniqueFd, DefaultOwnsNothing) {
  UniqueFd fd;
  EXPECT_FALSE(fd.ok());
  EXPECT_LT(fd.get(), 0);
}

TEST(UniqueFd, DestructionClosesAndKeepsErrno) {
  const int raw = OpenNull();
  errno = ENOSPC;
  { UniqueFd fd(raw); }
  EXPECT_EQ(errno, ENOSPC);
  EXPECT_FALSE(IsOpen(raw));
}

TEST(UniqueFd, MoveLeavesNothingBehind) {
  UniqueFd first(OpenNull());
  const int raw = first.get();
  UniqueFd second(std::move(first));
  // That is the rule: NOLINTNEXTLINE(bugprone-use-after-move,clang-analyzer-*)
  EXPECT_FALSE(first.ok());
  EXPECT_EQ(second.get(), raw);
  UniqueFd third(OpenNull());
  const int replaced = third.get();
  third = std::move(second);
  EXPECT_EQ(third.get(), raw);
  EXPECT_FALSE(IsOpen(replaced));
  EXPECT_TRUE(IsOpen(raw));
}

TEST(UniqueFd, ReleaseGivesOwnershipAway) {
  UniqueFd fd(OpenNull());
  const int raw = fd.release();
  EXPECT_FALSE(fd.ok());
  EXPECT_TRUE(IsOpen(raw));
  close(raw);
}

}  // namespace
}  // namespace netpolicy
