// SPDX-License-Identifier: Apache-2.0

#include "netd/service/peer.h"

#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/base/unique_fd.h"

namespace netpolicy {
namespace {

using ::testing::Contains;

TEST(Peer, IsWhoConnected) {
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  const UniqueFd near(fds[0]);
  const UniqueFd far(fds[1]);
  const absl::StatusOr<Peer> peer = PeerOf(near.get());
  ASSERT_TRUE(peer.ok()) << peer.status();
  EXPECT_EQ(peer->uid, geteuid());
  EXPECT_EQ(peer->pid, getpid());
  EXPECT_THAT(peer->groups, Contains(getegid()));
}

TEST(Peer, WithoutAConnectionIsAnError) { EXPECT_FALSE(PeerOf(-1).ok()); }

TEST(Rights, FollowUidAndGroups) {
  constexpr uid_t kOwn = 990;
  constexpr uid_t kUser = 1000;
  constexpr gid_t kReaders = 500;
  constexpr gid_t kChangers = 501;
  const AccessRules both = {
      .own_uid = kOwn, .read_group = kReaders, .change_group = kChangers};
  const AccessRules none = {
      .own_uid = kOwn, .read_group = {}, .change_group = {}};
  const struct {
    const char* name;
    Peer peer;
    AccessRules rules;
    Right right;
  } kRows[] = {
      {"root", {.uid = 0, .pid = 1, .groups = {0}}, none, Right::kChange},
      {"the daemon's own uid",
       {.uid = kOwn, .pid = 1, .groups = {kOwn}},
       none,
       Right::kChange},
      {"a user where no group is named",
       {.uid = kUser, .pid = 1, .groups = {0, kReaders, kChangers}},
       none,
       Right::kNone},
      {"a user in other groups",
       {.uid = kUser, .pid = 1, .groups = {kUser, 0}},
       both,
       Right::kNone},
      {"a reader",
       {.uid = kUser, .pid = 1, .groups = {kUser, kReaders}},
       both,
       Right::kRead},
      {"a changer",
       {.uid = kUser, .pid = 1, .groups = {kChangers}},
       both,
       Right::kChange},
      {"in both groups",
       {.uid = kUser, .pid = 1, .groups = {kReaders, kChangers}},
       both,
       Right::kChange},
      {"root's group",
       {.uid = kUser, .pid = 1, .groups = {0}},
       none,
       Right::kNone},
      {"nobody known", Peer{}, both, Right::kNone},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(RightOf(row.peer, row.rules), row.right) << row.name;
  }
}

}  // namespace
}  // namespace netpolicy
