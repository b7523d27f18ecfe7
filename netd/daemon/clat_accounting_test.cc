// SPDX-License-Identifier: Apache-2.0
//
// What an application does is counted and judged over a translated uplink as it
// is over one with IPv4 of its own: the same workloads by both, and the real
// netd.

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "clat/testing/testbed.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/actor.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/packet_builder.h"
#include "libpolicy/testing/packet_capture.h"
#include "libpolicy/testing/status_matchers.h"
#include "netd/daemon/netd_process.h"

namespace netpolicy::testing {
namespace {

using clat::testing::Testbed;

constexpr uint16_t kPort = 7;
constexpr uid_t kDenied = 10008;
constexpr absl::Duration kPatience = absl::Seconds(20);

// Over which an application reaches the server.
enum class Way : uint8_t { kNative, kTranslated };

// Rows of one UID.
struct Totals {
  uint64_t tx_packets = 0, tx_bytes = 0, rx_packets = 0, rx_bytes = 0;

  friend bool operator==(const Totals&, const Totals&) = default;
  friend Totals operator-(const Totals& a, const Totals& b) {
    return {a.tx_packets - b.tx_packets, a.tx_bytes - b.tx_bytes,
            a.rx_packets - b.rx_packets, a.rx_bytes - b.rx_bytes};
  }
  friend std::ostream& operator<<(std::ostream& os, const Totals& totals) {
    return os << "out " << totals.tx_packets << " packets, " << totals.tx_bytes
              << " bytes; in " << totals.rx_packets << " packets, "
              << totals.rx_bytes << " bytes";
  }
};

class ClatAccountingTest : public NetdFixture {
 protected:
  void SetUp() override {
    if (auto missing = Testbed::MissingPlat()) GTEST_SKIP() << *missing;
    NetdFixture::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    auto bed = Testbed::Create();
    ASSERT_THAT(bed, IsOk());
    bed_ = std::make_unique<Testbed>(*std::move(bed));
    ASSERT_THAT(bed_->StartPlat(), IsOk());
    ASSERT_THAT(bed_->router().AddAddress("down0", "10.7.0.1", 24), IsOk());
    ASSERT_THAT(
        bed_->host().WriteSysctl("net/ipv4/ping_group_range", "0 2147483647"),
        IsOk());
    NetdProcess::Options options =
        With({"--clat-interfaces", "eth*", "--clat-prefix", Testbed::kPrefix});
    options.child.netns = bed_->host().fd();
    netd_ = StartReady(options);
    ASSERT_NE(netd_, nullptr);
    client_ = Connect();
    ASSERT_NE(client_, nullptr);
    auto capture = PacketCapture::Start(bed_->router(), "down0");
    ASSERT_THAT(capture, IsOk());
    capture_.emplace(*std::move(capture));
    auto server = Actor::Spawn({.netns = bed_->server().fd()});
    ASSERT_THAT(server, IsOk());
    server_.emplace(*std::move(server));
    auto listener = server_->TcpSocket(AF_INET);
    ASSERT_THAT(listener, IsOk());
    ASSERT_THAT(server_->Bind(*listener, {Testbed::kServer4, kPort}), IsOk());
    ASSERT_THAT(server_->Listen(*listener), IsOk());
    listener_ = *listener;
  }

  // Gives the uplink IPv4 of its own, or takes it away.
  void Take(Way way) {
    const bool native = way == Way::kNative;
    ASSERT_THAT(Testbed::Shell(bed_->host(),
                               native ? "ip addr add 10.7.0.2/24 dev eth0; "
                                        "ip route add default via 10.7.0.1"
                                      : "ip addr del 10.7.0.2/24 dev eth0"),
                IsOk());
    const absl::Time end = absl::Now() + kPatience;
    const char* look = "ip -4 route show default proto 46 | grep -c via";
    bool translated;
    do {
      absl::SleepFor(absl::Milliseconds(50));
      translated = Testbed::Shell(bed_->host(), look).ok();
    } while (translated == native && absl::Now() < end);
    ASSERT_NE(translated, native) << netd_->Output();
    way_ = way;
  }

  Actor App(uid_t uid) {
    auto app = Actor::Spawn(
        {.uid = uid, .cgroup = cgroup_->path(), .netns = bed_->host().fd()});
    EXPECT_THAT(app, IsOk());
    return *std::move(app);
  }

  Totals CountedFor(uid_t uid) {
    Totals totals;
    auto stats = client_->Stats();
    EXPECT_THAT(stats, IsOk());
    if (!stats.ok()) return totals;
    for (const StatsRow& row : stats->rows) {
      if (row.uid != Uid{uid}) continue;
      totals.tx_packets += row.tx.packets;
      totals.tx_bytes += row.tx.bytes;
      totals.rx_packets += row.rx.packets;
      totals.rx_bytes += row.rx.bytes;
    }
    return totals;
  }

  // Those of a protocol, by its IPv4 number, on the link; their bytes as they
  // would be with headers of IPv4.
  Totals OnTheLink(uint8_t protocol) {
    const bool native = way_ == Way::kNative;
    PacketFilter filter{.family = native ? AF_INET : AF_INET6,
                        .protocol = !native && protocol == IPPROTO_ICMP
                                        ? static_cast<uint8_t>(IPPROTO_ICMPV6)
                                        : protocol};
    filter.direction = netpolicy::testing::Direction::kIn;
    auto from = capture_->Count(filter);
    filter.direction = netpolicy::testing::Direction::kOut;
    auto to = capture_->Count(filter);
    EXPECT_THAT(from, IsOk());
    EXPECT_THAT(to, IsOk());
    if (!from.ok() || !to.ok()) return {};
    const uint64_t longer = native ? 0 : 20;
    return {from->packets, from->wire_bytes - longer * from->packets,
            to->packets, to->wire_bytes - longer * to->packets};
  }

  // What was counted for what `work` does, which is what was on the link.
  Totals Measure(uid_t uid, uint8_t protocol,
                 const std::function<void()>& work) {
    capture_->Clear();
    const Totals before = CountedFor(uid);
    work();
    // Acknowledgements that wait for data to go with go without.
    absl::SleepFor(absl::Milliseconds(300));
    const absl::Time end = absl::Now() + kPatience;
    Totals counted, seen;
    do {
      absl::SleepFor(absl::Milliseconds(50));
      counted = CountedFor(uid) - before;
      seen = OnTheLink(protocol);
    } while (counted != seen && absl::Now() < end);
    EXPECT_EQ(counted, seen);
    return counted;
  }

  // One question, one answer, and so on, by a connection that is made for it
  // and stays.
  void Talk(Actor& app) {
    auto client = app.TcpSocket(AF_INET);
    ASSERT_THAT(client, IsOk());
    ASSERT_THAT(app.Connect(*client, {Testbed::kServer4, kPort}, kPatience),
                IsOk());
    auto server = server_->Accept(listener_, kPatience);
    ASSERT_THAT(server, IsOk());
    for (int i = 0; i < 10; ++i) {
      ASSERT_THAT(app.Send(*client, std::string(100, 'q')), IsOkAndHolds(100u));
      ASSERT_THAT(server_->ReceiveBytes(*server, 100), IsOkAndHolds(100u));
      ASSERT_THAT(server_->Send(*server, std::string(1000, 'a')),
                  IsOkAndHolds(1000u));
      ASSERT_THAT(app.ReceiveBytes(*client, 1000), IsOkAndHolds(1000u));
    }
  }

  void MoveMuch(Actor& app) {
    constexpr uint64_t kBytes = 3 << 20;
    auto client = app.TcpSocket(AF_INET);
    ASSERT_THAT(client, IsOk());
    ASSERT_THAT(app.Connect(*client, {Testbed::kServer4, kPort}, kPatience),
                IsOk());
    auto server = server_->Accept(listener_, kPatience);
    ASSERT_THAT(server, IsOk());
    auto up = app.StartSendBytes(*client, kBytes);
    EXPECT_THAT(server_->ReceiveBytes(*server, kBytes), IsOkAndHolds(kBytes));
    EXPECT_THAT(up.Wait(), IsOkAndHolds(kBytes));
    auto down = server_->StartSendBytes(*server, kBytes);
    EXPECT_THAT(app.ReceiveBytes(*client, kBytes), IsOkAndHolds(kBytes));
    EXPECT_THAT(down.Wait(), IsOkAndHolds(kBytes));
  }

  static std::string Echo() {
    return PacketBuilder().Icmp4({}).PayloadOfSize(200).Build();
  }

  void Ping(Actor& app) {
    auto socket = app.PingSocket(AF_INET);
    ASSERT_THAT(socket, IsOk());
    for (int i = 0; i < 5; ++i) {
      ASSERT_THAT(app.SendTo(*socket, {Testbed::kServer4, 0}, Echo()), IsOk());
      auto reply = app.Receive(*socket, kPatience);
      ASSERT_THAT(reply, IsOk());
      EXPECT_EQ(reply->data.size(), Echo().size());
    }
  }

  std::unique_ptr<Testbed> bed_;
  std::unique_ptr<NetdProcess> netd_;
  std::unique_ptr<Client> client_;
  std::optional<PacketCapture> capture_;
  std::optional<Actor> server_;
  ActorSocket listener_;
  Way way_ = Way::kTranslated;
};

TEST_F(ClatAccountingTest, CountersAreThoseOfNativeIpv4) {
  std::map<Way, Totals> ping, talk;
  uid_t uid = 10010;
  for (const Way way : {Way::kNative, Way::kTranslated}) {
    SCOPED_TRACE(way == Way::kNative ? "native" : "translated");
    ASSERT_NO_FATAL_FAILURE(Take(way));
    Actor app = App(++uid);
    ping[way] = Measure(uid, IPPROTO_ICMP, [&] { Ping(app); });
    // An acknowledgement that goes alone is one packet more.
    for (int i = 0; i < 4; ++i) {
      const Totals totals = Measure(uid, IPPROTO_TCP, [&] { Talk(app); });
      const auto packets = [](const Totals& one) {
        return one.tx_packets + one.rx_packets;
      };
      if (i == 0 || packets(totals) < packets(talk[way])) talk[way] = totals;
    }
    const Totals much = Measure(uid, IPPROTO_TCP, [&] { MoveMuch(app); });
    EXPECT_GT(much.tx_bytes, 3u << 20);
    EXPECT_GT(much.rx_bytes, 3u << 20);
  }
  // 20 bytes of IPv4, 8 of ICMP.
  constexpr uint64_t kEchoes = 5 * (20 + 8 + 200);
  EXPECT_EQ(ping[Way::kNative], (Totals{5, kEchoes, 5, kEchoes}));
  EXPECT_EQ(ping[Way::kTranslated], ping[Way::kNative]);
  EXPECT_EQ(talk[Way::kTranslated], talk[Way::kNative]);
  Stop(*netd_);
}

TEST_F(ClatAccountingTest, VerdictsAreThoseOfNativeIpv4) {
  ASSERT_THAT(Commit({SetUidRule{Uid{kDenied}, Action::kDeny},
                      SetUidRule{Uid{kDenied + 1}, Action::kDeny}}),
              IsOk());
  // What each call says, and what is counted as refused.
  std::map<Way, std::vector<std::string>> said;
  uid_t uid = kDenied;
  for (const Way way : {Way::kNative, Way::kTranslated}) {
    SCOPED_TRACE(way == Way::kNative ? "native" : "translated");
    ASSERT_NO_FATAL_FAILURE(Take(way));
    capture_->Clear();
    for (const uid_t who : {uid, uid + 20}) {
      Actor app = App(who);
      const auto note = [&](const char* what, const absl::Status& status) {
        said[way].push_back(
            absl::StrCat(what, ": ", ErrnoName(ErrnoOf(status))));
      };
      auto tcp = app.TcpSocket(AF_INET);
      ASSERT_THAT(tcp, IsOk());
      note("TCP",
           app.Connect(*tcp, {Testbed::kServer4, kPort}, absl::Seconds(2)));
      auto udp = app.UdpSocket(AF_INET);
      ASSERT_THAT(udp, IsOk());
      note("UDP", app.SendTo(*udp, {Testbed::kServer4, 9}, "x").status());
      auto ping = app.PingSocket(AF_INET);
      ASSERT_THAT(ping, IsOk());
      note("ICMP", app.SendTo(*ping, {Testbed::kServer4, 0}, Echo()).status());
      const std::string last = said[way].back();
      EXPECT_EQ(last, who == uid ? "ICMP: EPERM" : "ICMP: 0");
    }
    auto stats = client_->Stats();
    ASSERT_THAT(stats, IsOk());
    for (const DropRow& row : stats->drops) {
      if (row.uid != Uid{uid}) continue;
      said[way].push_back(
          absl::StrCat("refused ", static_cast<int>(row.direction), " ",
                       row.reason_names.empty() ? "" : row.reason_names[0], " ",
                       row.packets, " ", row.bytes));
    }
    ++uid;
  }
  EXPECT_EQ(said[Way::kTranslated], said[Way::kNative]);
  EXPECT_GE(said[Way::kNative].size(), 7u) << "something was refused";
  Stop(*netd_);
}

}  // namespace
}  // namespace netpolicy::testing
