// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/testing/packet_capture.h"

#include <cstddef>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include <linux/tcp.h>
#include <netinet/in.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/actor.h"
#include "libpolicy/testing/capability.h"
#include "libpolicy/testing/endpoint.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/packet_builder.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/veth_pair.h"

namespace netpolicy::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST(DescribePacket, ReadsHeadersAndCutsSegments) {
  struct Row {
    const char* name;
    std::string packet;
    uint64_t gso_bytes;
    uint8_t protocol;
    Endpoint src, dst;
    uint64_t segments, wire_bytes;
    Background background;
  };
  const Row rows[] = {
      {"UDP",
       PacketBuilder().Ip4({}).Udp({}).Payload("x").Build(),
       0,
       17,
       {"10.77.0.1", 40000},
       {"10.77.0.2", 53},
       1,
       29,
       Background::kExcluded},
      {"TCP in 3 segments",
       PacketBuilder()
           .Ip4({})
           .Tcp({.options = "\1\1\1\1"})
           .PayloadOfSize(250)
           .Build(),
       100,
       6,
       {"10.77.0.1", 40000},
       {"10.77.0.2", 80},
       3,
       3 * 44 + 250,
       Background::kExcluded},
      {"UDP behind extension headers in 2 segments",
       PacketBuilder()
           .Ip6({})
           .Extension6({})
           .Extension6({.header = 60})
           .Udp({})
           .PayloadOfSize(200)
           .Build(),
       100,
       17,
       {"fd77::1", 40000},
       {"fd77::2", 53},
       2,
       2 * 64 + 200,
       Background::kExcluded},
      {"a GSO skb without payload",
       PacketBuilder().Ip4({}).Udp({}).Build(),
       100,
       17,
       {"10.77.0.1", 40000},
       {"10.77.0.2", 53},
       1,
       28,
       Background::kExcluded},
      {"first fragment",
       PacketBuilder().Ip6({}).Fragment6({.more = true}).Udp({}).Build(),
       0,
       17,
       {"fd77::1", 40000},
       {"fd77::2", 53},
       1,
       56,
       Background::kExcluded},
      {"later fragment",
       PacketBuilder()
           .Ip6({})
           .Fragment6({.next_header = 17, .offset = 1})
           .PayloadOfSize(8)
           .Build(),
       0,
       17,
       {"fd77::1", 0},
       {"fd77::2", 0},
       1,
       56,
       Background::kExcluded},
      {"later fragment of IPv4",
       PacketBuilder()
           .Ip4({.fragment_offset = 1, .protocol = 6})
           .PayloadOfSize(8)
           .Build(),
       0,
       6,
       {"10.77.0.1", 0},
       {"10.77.0.2", 0},
       1,
       28,
       Background::kExcluded},
      {"echo request is no background",
       PacketBuilder().Ip6({}).Icmp6({}).Build(),
       0,
       58,
       {"fd77::1", 0},
       {"fd77::2", 0},
       1,
       48,
       Background::kExcluded},
      {"neighbour solicitation",
       PacketBuilder().Ip6({}).Icmp6({.type = 135}).Build(),
       0,
       58,
       {"fd77::1", 0},
       {"fd77::2", 0},
       1,
       48,
       Background::kIncluded},
      {"MLD report behind hop-by-hop options",
       PacketBuilder().Ip6({}).Extension6({}).Icmp6({.type = 143}).Build(),
       0,
       58,
       {"fd77::1", 0},
       {"fd77::2", 0},
       1,
       56,
       Background::kIncluded},
      {"IGMP",
       PacketBuilder().Ip4({.protocol = 2}).Build(),
       0,
       2,
       {"10.77.0.1", 0},
       {"10.77.0.2", 0},
       1,
       20,
       Background::kIncluded},
      {"cut off in the extension headers",
       PacketBuilder().Ip6({}).Extension6({}).Udp({}).Truncate(44).Build(),
       0,
       0,
       {"fd77::1", 0},
       {"fd77::2", 0},
       1,
       44,
       Background::kExcluded},
      {"cut off in the IP header",
       PacketBuilder().Ip4({}).Truncate(10).Build(),
       0,
       0,
       {},
       {},
       1,
       10,
       Background::kExcluded},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    CapturedPacket packet;
    packet.data = "link" + row.packet;
    packet.network_offset = 4;
    packet.ether_type =
        (row.packet[0] & 0x40) != 0 && (row.packet[0] & 0x20) != 0 ? 0x86dd
                                                                   : 0x0800;
    packet.skb_bytes = row.packet.size();
    packet.gso_bytes = row.gso_bytes;
    DescribePacket(packet);
    EXPECT_EQ(packet.protocol, row.protocol);
    EXPECT_EQ(packet.src, row.src);
    EXPECT_EQ(packet.dst, row.dst);
    EXPECT_EQ(packet.segments, row.segments);
    EXPECT_EQ(packet.wire_bytes, row.wire_bytes);
    EXPECT_EQ(packet.background, row.background);
  }
}

TEST(PacketFilter, EachFieldCounts) {
  CapturedPacket packet;
  packet.direction = Direction::kOut;
  packet.ether_type = 0x0800;
  packet.protocol = 17;
  packet.src = {"10.77.0.1", 40000};
  packet.dst = {"10.77.0.2", 53};
  struct Row {
    const char* name;
    PacketFilter filter;
    bool matches;
  };
  const Row rows[] = {
      {"empty", {}, true},
      {"direction", {.direction = Direction::kOut}, true},
      {"other direction", {.direction = Direction::kIn}, false},
      {"family", {.family = AF_INET}, true},
      {"other family", {.family = AF_INET6}, false},
      {"protocol", {.protocol = 17}, true},
      {"other protocol", {.protocol = 6}, false},
      {"addresses", {.src = "10.77.0.1", .dst = "10.77.0.2"}, true},
      {"other source", {.src = "10.77.0.2"}, false},
      {"other destination", {.dst = "10.77.0.1"}, false},
      {"ports", {.sport = 40000, .dport = 53}, true},
      {"other source port", {.sport = 53}, false},
      {"other destination port", {.dport = 40000}, false},
  };
  for (const Row& row : rows)
    EXPECT_EQ(row.filter.Matches(packet), row.matches) << row.name;
  packet.background = Background::kIncluded;
  EXPECT_FALSE(PacketFilter{}.Matches(packet));
  EXPECT_TRUE(
      PacketFilter{.background = Background::kIncluded}.Matches(packet));
}

// An app and a server with a cable between them and captures at both ends.
class PacketCaptureTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (auto missing = MissingForBpfTests()) GTEST_SKIP() << *missing;
    auto left = NetNamespace::Create();
    auto right = NetNamespace::Create();
    ASSERT_THAT(left, IsOk());
    ASSERT_THAT(right, IsOk());
    auto pair = VethPair::Create(*left, *right);
    ASSERT_THAT(pair, IsOk());
    auto app = Actor::Spawn({.netns = left->fd()});
    auto server = Actor::Spawn({.netns = right->fd()});
    ASSERT_THAT(app, IsOk());
    ASSERT_THAT(server, IsOk());
    left_.emplace(*std::move(left));
    right_.emplace(*std::move(right));
    pair_.emplace(*std::move(pair));
    app_.emplace(*std::move(app));
    server_.emplace(*std::move(server));
  }

  void StartCaptures(const CaptureOptions& options = {}) {
    auto near = PacketCapture::Start(*left_, "eth0", options);
    auto far = PacketCapture::Start(*right_, "eth0", options);
    ASSERT_THAT(near, IsOk());
    ASSERT_THAT(far, IsOk());
    near_.emplace(*std::move(near));
    far_.emplace(*std::move(far));
  }

  std::optional<NetNamespace> left_, right_;
  std::optional<VethPair> pair_;
  std::optional<Actor> app_, server_;
  std::optional<PacketCapture> near_, far_;
};

constexpr PacketFilter kOut = {.direction = Direction::kOut};
constexpr PacketFilter kIn = {.direction = Direction::kIn};

TEST_F(PacketCaptureTest, DatagramsAreCountedInBothDirectionsAtBothEnds) {
  StartCaptures();
  for (const Endpoint& peer :
       {Endpoint{"10.77.0.2", 53}, Endpoint{"fd77::2", 53}}) {
    SCOPED_TRACE(peer.ToString());
    const int family = peer.address.family();
    const uint64_t headers = family == AF_INET ? 28 : 48;
    auto server_socket = server_->UdpSocket(family);
    auto socket = app_->UdpSocket(family);
    ASSERT_THAT(server_socket, IsOk());
    ASSERT_THAT(socket, IsOk());
    ASSERT_THAT(server_->Bind(*server_socket, peer), IsOk());
    near_->Clear();
    far_->Clear();
    for (int i = 0; i < 3; ++i) {
      ASSERT_THAT(app_->SendTo(*socket, peer, "question"), IsOk());
      auto question = server_->Receive(*server_socket);
      ASSERT_THAT(question, IsOk());
      ASSERT_THAT(server_->SendTo(*server_socket, *question->from, "no"),
                  IsOk());
      ASSERT_THAT(app_->Receive(*socket), IsOk());
    }
    const PacketCount questions = {3, 3 * (headers + 8), 3, 3 * (headers + 8)};
    const PacketCount answers = {3, 3 * (headers + 2), 3, 3 * (headers + 2)};
    PacketFilter to_server = {
        .family = family, .protocol = IPPROTO_UDP, .dport = 53};
    PacketFilter to_app = {
        .family = family, .protocol = IPPROTO_UDP, .sport = 53};
    to_server.direction = Direction::kOut;
    to_app.direction = Direction::kIn;
    EXPECT_THAT(near_->Count(to_server), IsOkAndHolds(questions));
    EXPECT_THAT(near_->Count(to_app), IsOkAndHolds(answers));
    to_server.direction = Direction::kIn;
    to_app.direction = Direction::kOut;
    EXPECT_THAT(far_->Count(to_server), IsOkAndHolds(questions));
    EXPECT_THAT(far_->Count(to_app), IsOkAndHolds(answers));
    // Nothing else but background was there.
    EXPECT_THAT(near_->Count(kOut), IsOkAndHolds(questions));
    EXPECT_THAT(near_->Count(kIn), IsOkAndHolds(answers));
  }
}

TEST_F(PacketCaptureTest, PacketsAreShownWhole) {
  StartCaptures();
  auto socket = app_->UdpSocket(AF_INET6);
  ASSERT_THAT(socket, IsOk());
  ASSERT_THAT(app_->SendTo(*socket, {"fd77::2", 53}, "hello"), IsOk());
  ASSERT_THAT(far_->WaitFor({.dport = 53}, 1), IsOk());
  auto packets = far_->Packets({.dport = 53});
  ASSERT_THAT(packets, IsOk());
  ASSERT_THAT(*packets, SizeIs(1));
  const CapturedPacket& packet = packets->front();
  EXPECT_EQ(packet.direction, Direction::kIn);
  EXPECT_EQ(packet.network_offset, 14u);
  EXPECT_EQ(packet.ip().size(), 53u);
  EXPECT_EQ(packet.ip().substr(48), "hello");
  EXPECT_EQ(packet.src.address, IpAddress("fd77::1"));
  EXPECT_LT(absl::AbsDuration(absl::Now() - packet.time), absl::Seconds(10));
}

TEST_F(PacketCaptureTest, TcpIsCountedAsOnTheWireWhateverTheSkbs) {
  auto listener = server_->TcpSocket(AF_INET);
  ASSERT_THAT(listener, IsOk());
  ASSERT_THAT(server_->Bind(*listener, {"10.77.0.2", 80}), IsOk());
  ASSERT_THAT(server_->Listen(*listener), IsOk());
  StartCaptures();
  auto socket = app_->TcpSocket(AF_INET);
  ASSERT_THAT(socket, IsOk());
  ASSERT_THAT(app_->Connect(*socket, {"10.77.0.2", 80}), IsOk());
  auto connection = server_->Accept(*listener);
  ASSERT_THAT(connection, IsOk());
  constexpr uint64_t kBytes = 5'000'000;
  auto receiving = server_->StartReceiveBytes(*connection, kBytes);
  ASSERT_THAT(app_->SendBytes(*socket, kBytes, {.chunk_bytes = 65536}),
              IsOkAndHolds(kBytes));
  ASSERT_THAT(receiving.Wait(), IsOkAndHolds(kBytes));

  auto out = near_->Count({.direction = Direction::kOut, .dport = 80});
  auto in = far_->Count({.direction = Direction::kIn, .dport = 80});
  ASSERT_THAT(out, IsOk());
  ASSERT_THAT(in, IsOk());
  // What TCP sent, repetitions included.
  auto info = app_->GetOptionBytes(*socket, IPPROTO_TCP, TCP_INFO);
  ASSERT_THAT(info, IsOk());
  uint64_t sent = 0;
  ASSERT_GE(info->size(), offsetof(tcp_info, tcpi_bytes_sent) + sizeof(sent));
  memcpy(&sent, &(*info)[offsetof(tcp_info, tcpi_bytes_sent)], sizeof(sent));
  EXPECT_GE(sent, kBytes);
  // Headers of 20 + 32 bytes; the SYN's has 8 more.
  EXPECT_EQ(out->wire_bytes, sent + 52 * out->packets + 8) << *out;
  EXPECT_EQ(in->wire_bytes, out->wire_bytes);
  EXPECT_EQ(in->packets, out->packets);
  EXPECT_GE(out->packets, kBytes / 1448);
  EXPECT_LT(out->skbs, out->packets) << "no GSO here?";
}

TEST_F(PacketCaptureTest, UdpSegmentsAreCountedOrTheCaptureSaysThatItCannot) {
  StartCaptures();
  auto socket = app_->UdpSocket(AF_INET);
  ASSERT_THAT(socket, IsOk());
  ASSERT_THAT(app_->SendSegments(*socket, Endpoint{"10.77.0.2", 443},
                                 std::string(250, 'q'), 100),
              IsOkAndHolds(250));
  auto count = near_->Count({.dport = 443});
  if (!count.ok()) {
    EXPECT_THAT(count, StatusIs(absl::StatusCode::kDataLoss, HasSubstr("GSO")));
    return;
  }
  EXPECT_EQ(count->packets, 3u);
  EXPECT_EQ(count->wire_bytes, 250u + 3 * 28);
  // One skb, unless the kernel segments in software before the device.
  if (count->skbs == 1) {
    EXPECT_THAT(
        near_->Packets({.dport = 443}),
        IsOkAndHolds(ElementsAre(Field(&CapturedPacket::gso_bytes, 100u))));
  } else {
    EXPECT_EQ(count->skbs, 3u);
  }
}

TEST_F(PacketCaptureTest, WithoutUdpGsoEverySkbIsAPacket) {
  // Segmented in software, before the capture.
  ASSERT_THAT(left_->SetFeature("eth0", "tx-udp-segmentation", Toggle::kOff),
              IsOk());
  StartCaptures({.segments = Segments::kIgnored});
  auto socket = app_->UdpSocket(AF_INET);
  ASSERT_THAT(socket, IsOk());
  ASSERT_THAT(app_->SendSegments(*socket, Endpoint{"10.77.0.2", 443},
                                 std::string(250, 'q'), 100),
              IsOkAndHolds(250));
  const PacketCount expected = {3, 250 + 3 * 28, 3, 250 + 3 * 28};
  EXPECT_THAT(near_->Count({.dport = 443}), IsOkAndHolds(expected));
}

TEST_F(PacketCaptureTest, BackgroundIsLeftOutUnlessAskedFor) {
  StartCaptures();
  // An unknown neighbour makes the kernel ask for it.
  auto socket = app_->UdpSocket(AF_INET6);
  ASSERT_THAT(socket, IsOk());
  ASSERT_THAT(app_->SendTo(*socket, {"fd77::99", 53}, "x"), IsOk());
  EXPECT_THAT(near_->WaitFor({.direction = Direction::kOut,
                              .background = Background::kIncluded},
                             1),
              IsOk());
  EXPECT_THAT(near_->Count(), IsOkAndHolds(PacketCount{}));
}

TEST_F(PacketCaptureTest, OnlyItsInterfaceCounts) {
  StartCaptures();
  auto socket = app_->UdpSocket(AF_INET);
  ASSERT_THAT(socket, IsOk());
  ASSERT_THAT(app_->SendTo(*socket, {"127.0.0.1", 53}, "x"), IsOk());
  EXPECT_THAT(near_->Count(), IsOkAndHolds(PacketCount{}));
}

TEST_F(PacketCaptureTest, LostPacketsMakeTheCaptureFail) {
  StartCaptures({.buffer_bytes = 1});
  auto socket = app_->UdpSocket(AF_INET);
  ASSERT_THAT(socket, IsOk());
  ASSERT_THAT(app_->Connect(*socket, {"10.77.0.2", 9}), IsOk());
  auto sink = server_->UdpSocket(AF_INET);
  ASSERT_THAT(sink, IsOk());
  ASSERT_THAT(server_->Bind(*sink, {"10.77.0.2", 9}), IsOk());
  ASSERT_THAT(app_->SendBytes(*socket, 2'000'000, {.chunk_bytes = 1000}),
              IsOk());
  EXPECT_THAT(near_->Count(),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("lost")));
  EXPECT_THAT(near_->Packets(), StatusIs(absl::StatusCode::kDataLoss));
  near_->Clear();
  EXPECT_THAT(near_->Count(), IsOkAndHolds(PacketCount{}));
}

TEST_F(PacketCaptureTest, CountingGoesOnWhenNoMorePacketsAreKept) {
  StartCaptures({.kept_bytes = 100, .kept_packets = 2});
  auto socket = app_->UdpSocket(AF_INET);
  ASSERT_THAT(socket, IsOk());
  for (int i = 0; i < 5; ++i) {
    ASSERT_THAT(app_->SendTo(*socket, {"10.77.0.2", 53}, std::string(500, 'x')),
                IsOk());
  }
  const PacketCount expected = {5, 5 * 528, 5, 5 * 528};
  EXPECT_THAT(near_->Count({.dport = 53}), IsOkAndHolds(expected));
  EXPECT_THAT(near_->Packets(),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("only 2 of")));
  EXPECT_THAT(
      near_->WaitFor({.dport = 53}, 6, absl::Milliseconds(20)),
      StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("5 passed")));
}

TEST_F(PacketCaptureTest, AnUnknownLinkIsAnError) {
  EXPECT_THAT(PacketCapture::Start(*left_, "no0"), HasErrno(ENODEV));
}

}  // namespace
}  // namespace netpolicy::testing
