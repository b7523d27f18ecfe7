// SPDX-License-Identifier: Apache-2.0

// Live flows between the kernel's own IPv4 on one end and its own IPv6 on the
// other, with nothing but our translator between them: the peer has an address
// inside the NAT64 prefix, as an IPv6 host looks to a NAT64's clients. So what
// NAT64s do not translate can be tried, too.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "clat/direct.h"
#include "clat/testing/testbed.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/actor.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/packet_builder.h"
#include "libpolicy/testing/packet_capture.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/test_environment.h"

namespace netpolicy::clat {
namespace {

using netpolicy::testing::Actor;
using netpolicy::testing::ActorSocket;
using netpolicy::testing::BpfFs;
using netpolicy::testing::CapturedPacket;
using netpolicy::testing::Direction;
using netpolicy::testing::Endpoint;
using netpolicy::testing::HasErrno;
using netpolicy::testing::IpAddress;
using netpolicy::testing::IsOk;
using netpolicy::testing::IsOkAndHolds;
using netpolicy::testing::PacketBuilder;
using netpolicy::testing::PacketCapture;
using netpolicy::testing::PacketFilter;
using netpolicy::testing::ScopedNetns;
using testing::Testbed;
using testing::UplinkKind;

constexpr char kPeer4[] = "203.0.113.7";
constexpr char kPeer6[] = "2001:db8:64::cb00:7107";
// Swallows what it gets.
constexpr char kSilent4[] = "203.0.113.9";
constexpr char kSilent6[] = "2001:db8:64::cb00:7109";
constexpr char kLocal4[] = "192.0.0.1";
constexpr uint16_t kPort = 7;
constexpr absl::Duration kPatience = absl::Seconds(20);

// What of a packet an error must have inside at least: the IP header and 8
// bytes (RFC 792).
constexpr size_t kIpv6Header = 40;
constexpr size_t kQuoted = 8;

class LiveFlowTest : public ::testing::TestWithParam<UplinkKind> {
 protected:
  void SetUp() override {
    if (auto missing = netpolicy::testing::MissingForBpfTests()) {
      GTEST_SKIP() << *missing;
    }
    auto bed = Testbed::Create(GetParam());
    ASSERT_THAT(bed, IsOk());
    bed_ = std::make_unique<Testbed>(*std::move(bed));
    ASSERT_THAT(bed_->router().AddAddress("lo", kPeer6, 128), IsOk());
    ASSERT_THAT(
        Testbed::Shell(bed_->router(),
                       absl::StrCat("ip -6 route add blackhole ", kSilent6)),
        IsOk());
    auto bpffs = BpfFs::Mount();
    ASSERT_THAT(bpffs, IsOk());
    bpffs_ = std::make_unique<BpfFs>(*std::move(bpffs));
    {
      auto inside = ScopedNetns::Enter(bed_->host());
      ASSERT_THAT(inside, IsOk());
      DirectClat clat(bpffs_->path() + "/clat");
      ASSERT_THAT(
          clat.Start("eth0", {.prefix = *Pref64::Parse(Testbed::kPrefix),
                              .local4 = *Ipv4Address::Parse(kLocal4)}),
          IsOk());
      auto uplinks = clat.Uplinks();
      ASSERT_THAT(uplinks, IsOk());
      local6_ =
          *IpAddress::Parse(uplinks->at(0).translation->pair.ip6.ToString());
    }
    auto app = Actor::Spawn({.netns = bed_->host().fd()});
    ASSERT_THAT(app, IsOk());
    app_.emplace(*std::move(app));
    auto peer = Actor::Spawn({.netns = bed_->router().fd()});
    ASSERT_THAT(peer, IsOk());
    peer_.emplace(*std::move(peer));
    auto capture = PacketCapture::Start(bed_->router(), "down0");
    ASSERT_THAT(capture, IsOk());
    capture_.emplace(*std::move(capture));
  }

  absl::StatusOr<ActorSocket> Listen(Actor& actor, const IpAddress& address,
                                     int protocol = 0) {
    auto socket = actor.Socket(address.family(), SOCK_STREAM, protocol);
    if (!socket.ok()) return socket;
    auto bound = actor.Bind(*socket, {address, kPort});
    if (!bound.ok()) return bound;
    auto listens = actor.Listen(*socket);
    if (!listens.ok()) return listens;
    return socket;
  }

  static void ExpectCarries(Actor& from, ActorSocket from_socket, Actor& to,
                            ActorSocket to_socket) {
    EXPECT_THAT(from.Send(from_socket, "some data"), IsOkAndHolds(9u));
    auto there = to.Receive(to_socket, kPatience);
    ASSERT_THAT(there, IsOk());
    EXPECT_EQ(there->data, "some data");
  }

  // A TCP connection from the host, and its other end.
  void Connect() {
    auto listener = Listen(*peer_, kPeer6);
    ASSERT_THAT(listener, IsOk());
    auto client = app_->TcpSocket(AF_INET);
    ASSERT_THAT(client, IsOk());
    ASSERT_THAT(app_->Connect(*client, {kPeer4, kPort}, kPatience), IsOk());
    auto server = peer_->Accept(*listener, kPatience);
    ASSERT_THAT(server, IsOk());
    client_ = *client;
    server_ = *server;
    ExpectCarries(*app_, client_, *peer_, server_);
    ExpectCarries(*peer_, server_, *app_, client_);
  }

  // The last packet of TCP that matches, from its IPv6 header on; with the
  // sequence number that comes next, as an error about what was acknowledged
  // meanwhile is no news to the sender (RFC 5927, 4.1).
  std::string LastPacket(const PacketFilter& filter) {
    EXPECT_THAT(capture_->WaitFor(filter, 1), IsOk());
    auto packets = capture_->Packets(filter);
    EXPECT_THAT(packets, IsOk());
    if (!packets.ok() || packets->empty()) return std::string(60, '\0');
    std::string packet(packets->back().ip());
    const auto byte = [&](size_t at) {
      return static_cast<uint8_t>(packet[at]);
    };
    const size_t header = static_cast<size_t>(byte(kIpv6Header + 12) >> 4) * 4;
    uint32_t sequence = 0;
    for (size_t i = 4; i < 8; ++i) {
      sequence = sequence << 8 | byte(kIpv6Header + i);
    }
    sequence += static_cast<uint32_t>(packet.size() - kIpv6Header - header);
    for (size_t i = 8; i-- > 4; sequence >>= 8) {
      packet[kIpv6Header + i] = static_cast<char>(sequence);
    }
    return packet;
  }

  // An ICMPv6 error about a packet of the host's, from a router on its way.
  void TellHost(uint8_t type, uint8_t code, uint32_t rest,
                const std::string& about) {
    auto raw = peer_->RawSocket(AF_INET6, IPPROTO_ICMPV6);
    ASSERT_THAT(raw, IsOk());
    // Its checksum is the kernel's business.
    const std::string error =
        PacketBuilder()
            .Icmp6({.type = type, .code = code, .rest = rest})
            .Payload(about.substr(0, kIpv6Header + kQuoted))
            .Build();
    ASSERT_THAT(peer_->SendTo(*raw, {local6_, 0}, error),
                IsOkAndHolds(error.size()));
    ASSERT_THAT(peer_->Close(*raw), IsOk());
  }

  // An ICMPv4 error of the host's about a packet from the peer.
  void TellPeer(uint8_t type, uint8_t code, uint32_t rest,
                const std::string& about) {
    auto raw = app_->RawSocket(AF_INET, IPPROTO_ICMP);
    ASSERT_THAT(raw, IsOk());
    const std::string inner =
        PacketBuilder()
            .Ip4({.src = kPeer4,
                  .dst = kLocal4,
                  .total_length = static_cast<uint16_t>(about.size() - 20),
                  .dont_fragment = true,
                  .ttl = 60,
                  .protocol = IPPROTO_TCP})
            .Payload(about.substr(kIpv6Header, kQuoted))
            .Build();
    const std::string error =
        PacketBuilder()
            .Icmp4({.type = type, .code = code, .rest = rest})
            .Payload(inner)
            .Build();
    ASSERT_THAT(app_->SendTo(*raw, {kPeer4, 0}, error),
                IsOkAndHolds(error.size()));
    ASSERT_THAT(app_->Close(*raw), IsOk());
  }

  // Waits for an option to have this value.
  static void ExpectOption(Actor& actor, ActorSocket socket, int level,
                           int name, int value) {
    const absl::Time end = absl::Now() + kPatience;
    absl::StatusOr<int> now = 0;
    do {
      now = actor.GetOption(socket, level, name);
      if (now.ok() && *now == value) return;
      absl::SleepFor(absl::Milliseconds(20));
    } while (absl::Now() < end);
    EXPECT_THAT(now, IsOkAndHolds(value));
  }

  PacketFilter FromHost() const {
    return {.direction = Direction::kIn,
            .protocol = IPPROTO_TCP,
            .src = local6_,
            .dport = kPort};
  }
  PacketFilter ToHost() const {
    return {.direction = Direction::kOut,
            .protocol = IPPROTO_TCP,
            .dst = local6_,
            .sport = kPort};
  }

  std::unique_ptr<Testbed> bed_;
  std::unique_ptr<BpfFs> bpffs_;
  IpAddress local6_;
  std::optional<Actor> app_, peer_;
  std::optional<PacketCapture> capture_;
  ActorSocket client_, server_;
};

TEST_P(LiveFlowTest, ATooLargePacketOfTcpIsToldWith8BytesOfIt) {
  Connect();
  // RFC 7915 5.2: 20 less.
  TellHost(2, 0, 1400, LastPacket(FromHost()));
  ExpectOption(*app_, client_, IPPROTO_IP, IP_MTU, 1380);
  // 4.2: 20 more.
  TellPeer(3, 4, 1300, LastPacket(ToHost()));
  ExpectOption(*peer_, server_, IPPROTO_IPV6, IPV6_MTU, 1320);
  ExpectCarries(*app_, client_, *peer_, server_);
  ExpectCarries(*peer_, server_, *app_, client_);

  // What is sent from now on is that short.
  capture_->Clear();
  constexpr uint64_t kBytes = 200000;
  auto sent = app_->StartSendBytes(client_, kBytes);
  EXPECT_THAT(peer_->ReceiveBytes(server_, kBytes), IsOkAndHolds(kBytes));
  EXPECT_THAT(sent.Wait(), IsOkAndHolds(kBytes));
  auto packets = capture_->Packets(FromHost());
  ASSERT_THAT(packets, IsOk());
  for (const CapturedPacket& packet : *packets) {
    EXPECT_LE(packet.wire_bytes, packet.segments * 1400u);
  }
}

TEST_P(LiveFlowTest, AnEstablishedConnectionSurvivesUnreachability) {
  Connect();
  // RFC 1122 4.2.3.9 and RFC 4443 A.2: no reason to give it up. Asked for, the
  // kernel hands on what it heard, which shows that it was taken for the
  // flow's.
  ASSERT_THAT(app_->SetOption(client_, IPPROTO_IP, IP_RECVERR, 1), IsOk());
  ASSERT_THAT(peer_->SetOption(server_, IPPROTO_IPV6, IPV6_RECVERR, 1), IsOk());
  struct Row {
    const char* description;
    uint8_t type6, code6;  // to the host
    int error;             // as its application sees it
    uint8_t type4, code4;  // to the peer
    int peer_error;
  };
  const Row rows[] = {
      {"no route; network unreachable", 1, 0, EHOSTUNREACH, 3, 0, ENETUNREACH},
      {"prohibited", 1, 1, EHOSTUNREACH, 3, 10, EACCES},
      {"address; host unreachable", 1, 3, EHOSTUNREACH, 3, 1, ENETUNREACH},
      {"port unreachable", 1, 4, ECONNREFUSED, 3, 3, ECONNREFUSED},
      {"too many hops", 3, 0, EHOSTUNREACH, 11, 0, EHOSTUNREACH},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.description);
    TellHost(row.type6, row.code6, 0, LastPacket(FromHost()));
    ExpectOption(*app_, client_, SOL_SOCKET, SO_ERROR, row.error);
    TellPeer(row.type4, row.code4, 0, LastPacket(ToHost()));
    ExpectOption(*peer_, server_, SOL_SOCKET, SO_ERROR, row.peer_error);
    ExpectCarries(*app_, client_, *peer_, server_);
    ExpectCarries(*peer_, server_, *app_, client_);
  }
}

TEST_P(LiveFlowTest, AConnectionThatIsBeingMadeFailsByAnErrorWith8BytesOfIt) {
  struct Row {
    const char* description;
    uint8_t type, code;
    int error;
  };
  // The kernel's answers to 3/1, 3/10, 3/3.
  const Row rows[] = {
      {"no route", 1, 0, EHOSTUNREACH},
      {"prohibited", 1, 1, EHOSTUNREACH},
      {"port unreachable", 1, 4, ECONNREFUSED},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.description);
    capture_->Clear();
    auto client = app_->Socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
    ASSERT_THAT(client, IsOk());
    auto fd = app_->GetFd(*client);
    ASSERT_THAT(fd, IsOk());
    sockaddr_storage to;
    const socklen_t size = Endpoint{kSilent4, kPort}.ToSockaddr(&to);
    ASSERT_EQ(connect(fd->get(), reinterpret_cast<sockaddr*>(&to), size), -1);
    ASSERT_EQ(errno, EINPROGRESS);
    TellHost(row.type, row.code, 0, LastPacket(FromHost()));
    ExpectOption(*app_, *client, SOL_SOCKET, SO_ERROR, row.error);
  }
}

TEST_P(LiveFlowTest, AnErrorAboutAnotherFlowIsNobodys) {
  Connect();
  std::string other = LastPacket(FromHost());
  other[kIpv6Header] ^= 1;  // its port
  TellHost(2, 0, 1300, other);
  // One that is theirs, behind it.
  TellHost(2, 0, 1400, LastPacket(FromHost()));
  ExpectOption(*app_, client_, IPPROTO_IP, IP_MTU, 1380);
  ExpectCarries(*app_, client_, *peer_, server_);
}

TEST_P(LiveFlowTest, ConnectionsFromOutside) {
  auto listener = Listen(*app_, "0.0.0.0");
  ASSERT_THAT(listener, IsOk());
  std::vector<std::pair<ActorSocket, ActorSocket>> connections;
  for (int i = 0; i < 200; ++i) {
    auto client = peer_->TcpSocket(AF_INET6);
    ASSERT_THAT(client, IsOk());
    ASSERT_THAT(peer_->Bind(*client, {kPeer6, 0}), IsOk());
    ASSERT_THAT(peer_->Connect(*client, {local6_, kPort}, kPatience), IsOk());
    auto accepted = app_->Accept(*listener, kPatience);
    ASSERT_THAT(accepted, IsOk());
    connections.emplace_back(*client, *accepted);
  }
  EXPECT_EQ(app_->PeerEndpoint(connections[0].second)->address,
            IpAddress(kPeer4));
  for (const auto& [client, server] : connections) {
    ExpectCarries(*peer_, client, *app_, server);
    ExpectCarries(*app_, server, *peer_, client);
  }
}

// CRC-32C, bit by bit (RFC 9260, appendix A), of an SCTP packet with its
// checksum zero; in the order it is written.
std::string SctpChecksum(absl::string_view packet) {
  uint32_t crc = 0xffffffff;
  for (const char byte : packet) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) {
      crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
  }
  crc = ~crc;
  std::string bytes;
  for (int shift = 0; shift < 32; shift += 8) {
    bytes.push_back(static_cast<char>(crc >> shift));
  }
  return bytes;
}

TEST_P(LiveFlowTest, ProtocolsWithoutAPseudoHeaderPassAsTheyAre) {
  // SCTP's ports, tag, checksum, and a COOKIE ACK chunk.
  std::string sctp("\x10\x01\x10\x02\x01\x02\x03\x04\0\0\0\0\x0b\0\0\x04", 16);
  sctp.replace(8, 4, SctpChecksum(sctp));
  const struct {
    const char* description;
    int protocol;
    std::string payload;
  } rows[] = {
      {"SCTP", IPPROTO_SCTP, sctp},
      {"ESP", IPPROTO_ESP, std::string(40, '\x5a')},
      {"GRE", IPPROTO_GRE, std::string("\0\0\x08\0data", 8)},
      {"for experiments (RFC 3692)", 253, "any bytes"},
      {"long", 254, std::string(1400, 'x')},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.description);
    auto ours = app_->RawSocket(AF_INET, row.protocol);
    auto theirs = peer_->RawSocket(AF_INET6, row.protocol);
    ASSERT_THAT(ours, IsOk());
    ASSERT_THAT(theirs, IsOk());
    ASSERT_THAT(peer_->Bind(*theirs, {kPeer6, 0}), IsOk());
    EXPECT_THAT(app_->SendTo(*ours, {kPeer4, 0}, row.payload),
                IsOkAndHolds(row.payload.size()));
    auto there = peer_->Receive(*theirs, kPatience);
    ASSERT_THAT(there, IsOk());
    EXPECT_EQ(there->data, row.payload);
    EXPECT_EQ(there->from->address, local6_);
    EXPECT_THAT(peer_->SendTo(*theirs, {local6_, 0}, row.payload),
                IsOkAndHolds(row.payload.size()));
    auto back = app_->Receive(*ours, kPatience);
    ASSERT_THAT(back, IsOk());
    EXPECT_EQ(back->data.substr(20), row.payload);
    EXPECT_EQ(back->from->address, IpAddress(kPeer4));
  }
}

TEST_P(LiveFlowTest, AnSctpAssociation) {
  if (auto sctp = app_->Socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP);
      !sctp.ok()) {
    GTEST_SKIP() << "needs SCTP in the kernel: " << sctp.status();
  }
  auto listener = Listen(*peer_, kPeer6, IPPROTO_SCTP);
  ASSERT_THAT(listener, IsOk());
  auto client = app_->Socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP);
  ASSERT_THAT(client, IsOk());
  ASSERT_THAT(app_->Connect(*client, {kPeer4, kPort}, kPatience), IsOk());
  auto server = peer_->Accept(*listener, kPatience);
  ASSERT_THAT(server, IsOk());
  for (int i = 0; i < 10; ++i) {
    ExpectCarries(*app_, *client, *peer_, *server);
    ExpectCarries(*peer_, *server, *app_, *client);
  }
}

INSTANTIATE_TEST_SUITE_P(Uplink, LiveFlowTest,
                         ::testing::Values(UplinkKind::kEthernet,
                                           UplinkKind::kRawIp),
                         testing::UplinkKindName);

}  // namespace
}  // namespace netpolicy::clat
