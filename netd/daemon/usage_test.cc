// SPDX-License-Identifier: Apache-2.0
//
// The history says what the counters say, however often netd is killed.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/process.h"
#include "libpolicy/testing/status_matchers.h"
#include "netd/daemon/netd_process.h"

namespace netpolicy::testing {
namespace {

constexpr uid_t kApp = 10071;
constexpr int kKills = 100;

using UsageTest = NetdFixture;

// Over the loopback, so that there are both directions.
int SendForEver() {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(5000);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || bind(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) {
    return 1;
  }
  for (;;) {
    sendto(fd, "0123456789", 10, 0, reinterpret_cast<sockaddr*>(&to),
           sizeof(to));
    char buffer[16];
    recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
    usleep(200);
  }
}

UsageCounters OfStats(Client& netd) {
  UsageCounters sum;
  const auto stats = netd.Stats();
  EXPECT_THAT(stats, IsOk());
  if (!stats.ok()) return sum;
  for (const StatsRow& row : stats->rows) {
    if (row.uid != Uid{kApp}) continue;
    sum += {row.rx.packets, row.rx.bytes, row.tx.packets, row.tx.bytes};
  }
  return sum;
}

UsageCounters OfHistory(Client& netd) {
  UsageQuery query;
  query.uid = kApp;
  const auto rows = netd.Usage(query);
  EXPECT_THAT(rows, IsOk());
  UsageCounters sum;
  if (!rows.ok()) return sum;
  for (const UsageRow& row : *rows) sum += row.counters;
  return sum;
}

TEST_F(UsageTest, KillsUnderLoadLoseAndDoubleNothing) {
  auto app = NetNamespace::Create();
  ASSERT_THAT(app, IsOk());
  auto netd = StartReady(With({"--usage-seconds=1"}));
  ASSERT_NE(netd, nullptr);
  ChildOptions options;
  options.cgroup = cgroup_->path();
  options.netns = app->fd();
  options.uid = kApp;
  auto sender = ChildProcess::Start(options, [] { return SendForEver(); });
  ASSERT_THAT(sender, IsOk());
  for (int i = 0; i < kKills; ++i) {
    // Each asks for the history, which writes, at another moment.
    if (i % 3 == 0) OfHistory(*Connect());
    absl::SleepFor(absl::Milliseconds(i % 7));
    netd->Kill();
    netd = StartReady(With({"--usage-seconds=1"}));
    ASSERT_NE(netd, nullptr) << i;
  }
  sender->Kill();
  std::unique_ptr<Client> client = Connect();
  ASSERT_NE(client, nullptr);
  const UsageCounters counted = OfStats(*client);
  EXPECT_GT(counted.tx_packets, uint64_t{10 * kKills});
  EXPECT_EQ(OfHistory(*client), counted);

  struct stat file = {};
  ASSERT_EQ(stat((State() + ".usage").c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600u);

  // What is forgotten stays so over a restart, though the counters go on.
  ASSERT_THAT(client->ForgetUsage(kApp), IsOk());
  EXPECT_EQ(OfHistory(*client), UsageCounters());
  Stop(*netd);
  netd = StartReady();
  ASSERT_NE(netd, nullptr);
  client = Connect();
  EXPECT_EQ(OfHistory(*client), UsageCounters());
  EXPECT_EQ(OfStats(*client), counted);
}

TEST_F(UsageTest, WhatIsCountedIsStoredBeforeTheTablesGo) {
  auto app = NetNamespace::Create();
  ASSERT_THAT(app, IsOk());
  auto netd = StartReady(With({"--usage-seconds=3600"}));
  ASSERT_NE(netd, nullptr);
  ChildOptions options;
  options.cgroup = cgroup_->path();
  options.netns = app->fd();
  options.uid = kApp;
  auto sender = ChildProcess::Start(options, [] { return SendForEver(); });
  ASSERT_THAT(sender, IsOk());
  absl::SleepFor(absl::Milliseconds(100));
  Stop(*netd);
  absl::SleepFor(absl::Milliseconds(100));
  sender->Kill();
  netd = StartReady(With({"--usage-seconds=0"}));
  ASSERT_NE(netd, nullptr);
  const UsageCounters counted = OfStats(*Connect());
  EXPECT_GT(counted.tx_packets, 100u);
  EXPECT_EQ(Connect()->Usage({}).status().code(),
            absl::StatusCode::kFailedPrecondition);
  Stop(*netd);
  EXPECT_EQ(Run(With({"--detach"})).code, 0);
  netd = StartReady();
  ASSERT_NE(netd, nullptr);
  EXPECT_EQ(OfStats(*Connect()), UsageCounters());
  EXPECT_EQ(OfHistory(*Connect()), counted);
}

}  // namespace
}  // namespace netpolicy::testing
