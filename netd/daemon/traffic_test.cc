// SPDX-License-Identifier: Apache-2.0
//
// netd is killed and started again, over and over, while applications send: no
// packet is judged wrongly, and none is lost from the counters or counted
// twice.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <set>
#include <string>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/packet_capture.h"
#include "libpolicy/testing/process.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/veth_pair.h"
#include "netd/daemon/netd_process.h"

namespace netpolicy::testing {
namespace {

using NetdTrafficTest = NetdFixture;

constexpr uid_t kAllowed = 10007;
constexpr uid_t kDenied = 10008;
constexpr uint16_t kAllowedPort = 5001;
constexpr uint16_t kDeniedPort = 5002;
constexpr int kKills = 50;

// Sends a datagram every fraction of a millisecond, until it is killed.
int SendForEver(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  const std::string data(100, 'x');
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  inet_pton(AF_INET, "10.77.0.2", &to.sin_addr);
  while (fd >= 0) {
    (void)sendto(fd, data.data(), data.size(), 0,
                 reinterpret_cast<sockaddr*>(&to), sizeof(to));
    usleep(300);
  }
  return 1;
}

// The ids of all programs, links and tables: what a restart must not change.
std::multiset<uint32_t> KernelIds(Client& client) {
  std::multiset<uint32_t> ids;
  const absl::StatusOr<EngineStatus> status = client.Status();
  EXPECT_THAT(status, IsOk());
  if (!status.ok()) return ids;
  for (const ProgramStatus& program : status->programs) {
    ids.insert(program.id);
    ids.insert(program.link_id);
  }
  for (const MapStatus& map : status->maps) ids.insert(map.id);
  return ids;
}

TEST_F(NetdTrafficTest, FiftyKillsLoseAndLeakNoPacket) {
  auto app = NetNamespace::Create();
  ASSERT_THAT(app, IsOk());
  auto peer = NetNamespace::Create();
  ASSERT_THAT(peer, IsOk());
  auto veth = VethPair::Create(*app, *peer);
  ASSERT_THAT(veth, IsOk());
  auto capture = PacketCapture::Start(*peer, "eth0");
  ASSERT_THAT(capture, IsOk());
  auto netd = StartReady();
  ASSERT_NE(netd, nullptr);
  ASSERT_THAT(Commit({SetUidRule{Uid{kDenied}, Action::kDeny}}), IsOk());
  std::unique_ptr<Client> client = Connect();
  ASSERT_NE(client, nullptr);
  const std::multiset<uint32_t> ids = KernelIds(*client);

  ChildOptions options;
  options.cgroup = cgroup_->path();
  options.netns = app->fd();
  options.uid = kAllowed;
  auto allowed =
      ChildProcess::Start(options, [] { return SendForEver(kAllowedPort); });
  ASSERT_THAT(allowed, IsOk());
  options.uid = kDenied;
  auto denied =
      ChildProcess::Start(options, [] { return SendForEver(kDeniedPort); });
  ASSERT_THAT(denied, IsOk());

  for (int i = 0; i < kKills; ++i) {
    netd->Kill();
    absl::SleepFor(absl::Milliseconds(2 * (i % 5)));
    netd = StartReady();
    ASSERT_NE(netd, nullptr) << i;
  }
  allowed->Kill();
  denied->Kill();

  client = Connect();
  ASSERT_NE(client, nullptr);
  EXPECT_EQ(KernelIds(*client), ids);
  PacketFilter of_denied;
  of_denied.dport = kDeniedPort;
  const auto leaked = capture->Count(of_denied);
  ASSERT_THAT(leaked, IsOk());
  EXPECT_EQ(leaked->packets, 0);
  const auto stats = client->Stats();
  ASSERT_THAT(stats, IsOk());
  uint64_t packets = 0;
  uint64_t bytes = 0;
  for (const StatsRow& row : stats->rows) {
    EXPECT_NE(row.uid, Uid{kDenied});
    if (row.uid != Uid{kAllowed}) continue;
    packets += row.tx.packets;
    bytes += row.tx.bytes;
  }
  PacketFilter of_allowed;
  of_allowed.dport = kAllowedPort;
  ASSERT_THAT(capture->WaitFor(of_allowed, packets), IsOk());
  const auto sent = capture->Count(of_allowed);
  ASSERT_THAT(sent, IsOk());
  EXPECT_EQ(packets, sent->packets);
  EXPECT_EQ(bytes, sent->wire_bytes);
  EXPECT_GT(packets, 20 * kKills);
  uint64_t refused = 0;
  for (const DropRow& row : stats->drops) {
    if (row.uid == Uid{kDenied}) refused += row.packets;
    EXPECT_NE(row.uid, Uid{kAllowed});
  }
  EXPECT_GT(refused, 20 * kKills);
}

}  // namespace
}  // namespace netpolicy::testing
