// The counters of an application equal what a packet capture at the other end
// of the wire saw, packet for packet and byte for byte.

#include <netinet/in.h>

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/kernel/probe_network.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/packet_capture.h"
#include "libpolicy/testing/process.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/tests/testbed.h"

namespace netpolicy::testing {
namespace {

constexpr uid_t kAppUid = 10001;
constexpr uint16_t kAppPort = 4001;
constexpr uint16_t kPeerPort = 4002;
constexpr uint64_t kBulkBytes = 20 << 20;

// Whether super-packets are cut up before the wire, where the capture then sees
// every segment, or pass whole and the capture counts by what the kernel says
// of their segments.
enum class Wire { kSegments, kSuperPackets };

struct Case {
  int family;
  Wire wire;
};

class AccountingTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (auto missing = MissingForBpfTests()) GTEST_SKIP() << *missing;
    auto bed = Testbed::Create();
    ASSERT_THAT(bed, IsOk());
    bed_ = *std::move(bed);
    if (wire() == Wire::kSegments) {
      // The stack still makes super-packets (GSO), the device takes none.
      for (const NetNamespace* ns : {&bed_->app_ns(), &bed_->peer_ns()}) {
        ASSERT_THAT(ns->SetOffload("eth0", Offload::kTso, Toggle::kOff),
                    IsOk());
        ASSERT_THAT(ns->SetOffload("eth0", Offload::kTxChecksum, Toggle::kOff),
                    IsOk());
      }
    }
    ASSERT_NO_FATAL_FAILURE(StartCapture());
    auto app = bed_->SpawnApp(kAppUid);
    ASSERT_THAT(app, IsOk());
    app_.emplace(*std::move(app));
    auto peer = bed_->SpawnPeer();
    ASSERT_THAT(peer, IsOk());
    peer_.emplace(*std::move(peer));
  }

  void StartCapture() {
    CaptureOptions options;
    options.segments =
        wire() == Wire::kSegments ? Segments::kIgnored : Segments::kCounted;
    auto capture = PacketCapture::Start(bed_->peer_ns(), "eth0", options);
    ASSERT_THAT(capture, IsOk());
    capture_.emplace(*std::move(capture));
  }

  // Where this kernel does not tell captures how UDP's super-packets are made
  // up (before 6.2), lets the sender's stack cut them.
  void MakeCaptureUnderstand(ActorSocket peer) {
    auto sent = peer_->SendSegments(peer, app_at(9), std::string(1000, 'x'),
                                    500);  // Nobody listens there.
    ASSERT_THAT(sent, IsOk());
    ASSERT_TRUE(
        capture_->WaitFor({.direction = Direction::kOut, .dport = 9}, 2).ok() ||
        absl::IsDataLoss(capture_->Count().status()));
    if (absl::IsDataLoss(capture_->Count().status())) {
      for (const NetNamespace* ns : {&bed_->app_ns(), &bed_->peer_ns()}) {
        ASSERT_THAT(ns->SetFeature("eth0", "tx-udp-segmentation", Toggle::kOff),
                    IsOk());
      }
    }
    ASSERT_NO_FATAL_FAILURE(StartCapture());
  }

  Wire wire() const { return GetParam().wire; }
  int family() const { return GetParam().family; }
  Endpoint app_at(uint16_t port) const {
    return {family() == AF_INET6 ? "fd77::1" : "10.77.0.1", port};
  }
  Endpoint peer_at(uint16_t port) const {
    return {family() == AF_INET6 ? "fd77::2" : "10.77.0.2", port};
  }

  ActorSocket Bound(Actor& actor, int type, uint16_t port) {
    auto socket = actor.Socket(family(), type);
    EXPECT_THAT(socket, IsOk());
    if (!socket.ok()) return {};
    // Small enough that no queue on the way overflows.
    EXPECT_THAT(actor.SetOption<int>(*socket, SOL_SOCKET, SO_RCVBUF, 1 << 18),
                IsOk());
    EXPECT_THAT(actor.SetOption<int>(*socket, SOL_SOCKET, SO_SNDBUF, 1 << 18),
                IsOk());
    EXPECT_THAT(actor.Bind(*socket, {IpAddress::Any(family()), port}), IsOk());
    return *socket;
  }

  struct Totals {
    PacketCount rx;
    PacketCount tx;
  };

  Totals Counted() {
    Totals totals;
    auto stats = bed_->engine().Stats();
    EXPECT_THAT(stats, IsOk());
    if (!stats.ok()) return totals;
    for (const StatsRow& row : stats->rows) {
      if (row.uid != Uid{kAppUid}) continue;
      EXPECT_EQ(ToInt(row.ifindex), bed_->veth().left().index);
      totals.rx.packets += row.rx.packets;
      totals.rx.wire_bytes += row.rx.bytes;
      totals.tx.packets += row.tx.packets;
      totals.tx.wire_bytes += row.tx.bytes;
    }
    EXPECT_EQ(stats->overflow_rx.packets, 0);
    EXPECT_EQ(stats->overflow_tx.packets, 0);
    return totals;
  }

  PacketCount Captured(Direction direction) {
    PacketFilter filter;
    filter.direction = direction;
    auto count = capture_->Count(filter);
    EXPECT_THAT(count, IsOk());
    return count.ok() ? *count : PacketCount{};
  }

  // The SYN-ACKs that the application's listener has sent, where this kernel
  // runs no egress program for them; else nothing.
  PacketCount UnseenSynAcks() {
    PacketCount unseen;
    auto seen = RunInChild(
        {.cgroup = bed_->cgroup().path(), .netns = bed_->app_ns().fd()},
        [this] { return EgressSeesSynAcks(family()); });
    EXPECT_THAT(seen, IsOk());
    if (seen.value_or(true)) return unseen;
    PacketFilter filter;
    filter.direction = Direction::kIn;
    filter.protocol = IPPROTO_TCP;
    filter.sport = kAppPort;
    auto packets = capture_->Packets(filter);
    EXPECT_THAT(packets, IsOk());
    if (!packets.ok()) return unseen;
    for (const CapturedPacket& packet : *packets) {
      const size_t flags_at = (family() == AF_INET ? 20 : 40) + 13;
      if ((packet.ip()[flags_at] & 0x12) != 0x12) continue;
      ++unseen.packets;
      unseen.wire_bytes += packet.wire_bytes;
    }
    return unseen;
  }

  // Late acknowledgements may still be on their way, so equality is waited for.
  void ExpectCountersEqualCapture(uint64_t least_packets,
                                  const PacketCount& unseen = {}) {
    const absl::Time deadline = absl::Now() + absl::Seconds(5);
    Totals counted;
    PacketCount from_app;
    PacketCount to_app;
    do {
      absl::SleepFor(absl::Milliseconds(50));
      counted = Counted();
      from_app = Captured(Direction::kIn);
      from_app.packets -= unseen.packets;
      from_app.wire_bytes -= unseen.wire_bytes;
      to_app = Captured(Direction::kOut);
    } while (absl::Now() < deadline &&
             (counted.tx.packets != from_app.packets ||
              counted.rx.packets != to_app.packets));
    EXPECT_EQ(counted.tx.packets, from_app.packets);
    EXPECT_EQ(counted.tx.wire_bytes, from_app.wire_bytes);
    EXPECT_EQ(counted.rx.packets, to_app.packets);
    EXPECT_EQ(counted.rx.wire_bytes, to_app.wire_bytes);
    EXPECT_GE(counted.tx.packets + counted.rx.packets, least_packets);
  }

  void ExchangeDatagrams(int count, size_t bytes) {
    const ActorSocket app = Bound(*app_, SOCK_DGRAM, kAppPort);
    const ActorSocket peer = Bound(*peer_, SOCK_DGRAM, kPeerPort);
    const std::string data(bytes, 'x');
    for (int i = 0; i < count; ++i) {
      ASSERT_THAT(app_->SendTo(app, peer_at(kPeerPort), data),
                  IsOkAndHolds(bytes));
      ASSERT_THAT(peer_->Receive(peer), IsOk());
      ASSERT_THAT(peer_->SendTo(peer, app_at(kAppPort), data),
                  IsOkAndHolds(bytes));
      ASSERT_THAT(app_->Receive(app), IsOk());
    }
  }

  std::unique_ptr<Testbed> bed_;
  std::optional<PacketCapture> capture_;
  std::optional<Actor> app_;
  std::optional<Actor> peer_;
};

TEST_P(AccountingTest, SmallDatagrams) {
  ASSERT_NO_FATAL_FAILURE(ExchangeDatagrams(100, 50));
  ExpectCountersEqualCapture(200);
}

// Longer than the MTU: the hooks see one skb, the wire its fragments.
TEST_P(AccountingTest, FragmentedDatagrams) {
  for (size_t bytes : {1472, 1473, 3000, 20000, 60000}) {
    ASSERT_NO_FATAL_FAILURE(ExchangeDatagrams(5, bytes));
    app_.reset();
    peer_.reset();
    auto app = bed_->SpawnApp(kAppUid);
    ASSERT_THAT(app, IsOk());
    app_.emplace(*std::move(app));
    auto peer = bed_->SpawnPeer();
    ASSERT_THAT(peer, IsOk());
    peer_.emplace(*std::move(peer));
    ExpectCountersEqualCapture(10);
  }
}

TEST_P(AccountingTest, SegmentedDatagrams) {
  const ActorSocket app = Bound(*app_, SOCK_DGRAM, kAppPort);
  const ActorSocket peer = Bound(*peer_, SOCK_DGRAM, kPeerPort);
  if (wire() == Wire::kSuperPackets) {
    ASSERT_NO_FATAL_FAILURE(MakeCaptureUnderstand(peer));
  }
  for (size_t bytes : {500, 1000, 1001, 9999}) {
    auto sent = app_->SendSegments(app, peer_at(kPeerPort),
                                   std::string(bytes, 'x'), 500);
    if (ErrnoOf(sent.status()) == EIO) {
      GTEST_SKIP() << "needs UDP_SEGMENT on a link without checksum offload, "
                      "which this kernel refuses (udp_send_skb())";
    }
    ASSERT_THAT(sent, IsOkAndHolds(bytes));
    ASSERT_THAT(peer_->SendSegments(peer, app_at(kAppPort),
                                    std::string(bytes, 'x'), 500),
                IsOkAndHolds(bytes));
    absl::SleepFor(absl::Milliseconds(20));
  }
  ExpectCountersEqualCapture(40);
}

TEST_P(AccountingTest, BulkTcpBothWays) {
  const ActorSocket listener = Bound(*peer_, SOCK_STREAM, kPeerPort);
  ASSERT_THAT(peer_->Listen(listener), IsOk());
  const ActorSocket client = Bound(*app_, SOCK_STREAM, kAppPort);
  ASSERT_THAT(app_->Connect(client, peer_at(kPeerPort)), IsOk());
  auto server = peer_->Accept(listener);
  ASSERT_THAT(server, IsOk());

  auto receiving = peer_->StartReceiveBytes(*server, kBulkBytes);
  ASSERT_THAT(app_->SendBytes(client, kBulkBytes), IsOkAndHolds(kBulkBytes));
  ASSERT_THAT(receiving.Wait(), IsOkAndHolds(kBulkBytes));
  ExpectCountersEqualCapture(kBulkBytes / 1448);

  auto receiving_back = app_->StartReceiveBytes(client, kBulkBytes);
  ASSERT_THAT(peer_->SendBytes(*server, kBulkBytes), IsOkAndHolds(kBulkBytes));
  ASSERT_THAT(receiving_back.Wait(), IsOkAndHolds(kBulkBytes));
  ExpectCountersEqualCapture(2 * kBulkBytes / 1448);

  auto stats = bed_->engine().Stats();
  ASSERT_THAT(stats, IsOk());
  for (const StatsRow& row : stats->rows) {
    if (row.uid == Uid{kAppUid}) {
      EXPECT_LT(row.tx.skbs, row.tx.packets) << "GSO was not on";
    }
  }
}

// The application is the server: its connections inherit the listener's
// identity.
TEST_P(AccountingTest, AcceptedConnections) {
  const ActorSocket listener = Bound(*app_, SOCK_STREAM, kAppPort);
  ASSERT_THAT(app_->Listen(listener), IsOk());
  for (int i = 0; i < 10; ++i) {
    auto client = peer_->TcpSocket(family());
    ASSERT_THAT(client, IsOk());
    ASSERT_THAT(peer_->Connect(*client, app_at(kAppPort)), IsOk());
    auto server = app_->Accept(listener);
    ASSERT_THAT(server, IsOk());
    ASSERT_THAT(app_->Send(*server, "hello"), IsOkAndHolds(5));
    ASSERT_THAT(peer_->Receive(*client), IsOk());
  }
  const PacketCount unseen = UnseenSynAcks();
  EXPECT_THAT(unseen.packets, ::testing::AnyOf(0, 10));
  ExpectCountersEqualCapture(50 - unseen.packets, unseen);
}

INSTANTIATE_TEST_SUITE_P(Wires, AccountingTest,
                         ::testing::Values(Case{AF_INET, Wire::kSegments},
                                           Case{AF_INET6, Wire::kSegments},
                                           Case{AF_INET, Wire::kSuperPackets},
                                           Case{AF_INET6, Wire::kSuperPackets}),
                         [](const ::testing::TestParamInfo<Case>& info) {
                           return absl::StrCat(
                               info.param.family == AF_INET ? "IPv4" : "IPv6",
                               info.param.wire == Wire::kSegments
                                   ? "Segments"
                                   : "SuperPackets");
                         });

}  // namespace
}  // namespace netpolicy::testing
