// SPDX-License-Identifier: Apache-2.0

// The log of commits of a real netd.

#include <unistd.h>

#include <cerrno>
#include <memory>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/status_matchers.h"
#include "netd/daemon/netd_process.h"

namespace netpolicy {
namespace {

using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::NetdFixture;
using ::netpolicy::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::SizeIs;

using HistoryTest = NetdFixture;

constexpr uid_t kApp = 10007;

SetInternet Revoke(uid_t uid) {
  return SetInternet{Uid{uid}, Permission::kRevoked};
}

TEST_F(HistoryTest, AnOlderPolicyComesBackFromTheLogOfCommits) {
  auto netd = StartReady();
  ASSERT_NE(netd, nullptr);
  ASSERT_THAT(Commit({Revoke(kApp)}), IsOk());
  // The log is kept over a restart.
  Stop(*netd);
  netd = StartReady();
  ASSERT_NE(netd, nullptr);
  const std::unique_ptr<Client> client = Connect();
  ASSERT_NE(client, nullptr);
  const absl::StatusOr<CommitLogSnapshot> log = client->Log();
  ASSERT_THAT(log, IsOk());
  EXPECT_EQ(log->in_force, Generation{2});
  ASSERT_THAT(log->commits, SizeIs(2));
  EXPECT_EQ(log->commits[0].author, absl::nullopt);
  ASSERT_TRUE(log->commits[1].author.has_value());
  EXPECT_EQ(log->commits[1].author->uid, 0u);
  EXPECT_EQ(log->commits[1].author->pid, getpid());
  EXPECT_THAT(log->commits[1].author->command, HasSubstr("history_test"));
  EXPECT_EQ(log->commits[1].difference,
            absl::StrCat("+ uid ", kApp, ": internet revoked\n"));

  EXPECT_EQ(SocketErrno(kApp), EPERM);
  const absl::StatusOr<PolicySnapshot> then = client->PolicyAt(Generation{1});
  ASSERT_THAT(then, IsOk());
  ASSERT_THAT(Commit({ReplacePolicy{then->policy}}), IsOk());
  EXPECT_EQ(SocketErrno(kApp), 0);
  EXPECT_THAT(client->Log()->commits, SizeIs(3));
  EXPECT_THAT(client->PolicyAt(Generation{9}),
              StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace netpolicy
