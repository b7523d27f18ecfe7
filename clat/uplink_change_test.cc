// SPDX-License-Identifier: Apache-2.0

// What becomes of connections when the translation that they go by changes or
// ends, and of those by other uplinks. Real TCP across real NAT64s
// (clat/testing/testbed.h).

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "bpf_progs/abi/clat.h"
#include "clat/direct.h"
#include "clat/testing/testbed.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/actor.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/packet_capture.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/test_environment.h"

namespace netpolicy::clat {
namespace {

using netpolicy::testing::Actor;
using netpolicy::testing::ActorSocket;
using netpolicy::testing::BpfFs;
using netpolicy::testing::Endpoint;
using netpolicy::testing::HasErrno;
using netpolicy::testing::IpAddress;
using netpolicy::testing::IsOk;
using netpolicy::testing::IsOkAndHolds;
using netpolicy::testing::PacketCapture;
using netpolicy::testing::ScopedNetns;
using ::testing::StartsWith;
using testing::Testbed;
using testing::UplinkKind;

constexpr char kBeside[] = "2001:db8:65::/96";
constexpr uint16_t kPort = 7;
constexpr uint16_t kLocalPort = 8000;
constexpr uid_t kAppUid = 10001;

// Far longer than anything takes that works.
constexpr absl::Duration kPatience = absl::Seconds(20);

struct Connection {
  ActorSocket client;
  ActorSocket server;
};

class UplinkTest : public ::testing::TestWithParam<UplinkKind> {
 protected:
  void SetUp() override {
    if (auto missing = netpolicy::testing::MissingForBpfTests()) {
      GTEST_SKIP() << *missing;
    }
    if (auto missing = Testbed::MissingPlat()) GTEST_SKIP() << *missing;
    auto bed = Testbed::Create(GetParam());
    ASSERT_THAT(bed, IsOk());
    bed_ = std::make_unique<Testbed>(*std::move(bed));
    ASSERT_THAT(bed_->StartPlat(), IsOk());
    auto bpffs = BpfFs::Mount();
    ASSERT_THAT(bpffs, IsOk());
    bpffs_ = std::make_unique<BpfFs>(*std::move(bpffs));
    // Whose sockets they are makes no difference.
    auto app = Actor::Spawn({.uid = kAppUid, .netns = bed_->host().fd()});
    ASSERT_THAT(app, IsOk());
    app_.emplace(*std::move(app));
    auto server = Actor::Spawn({.netns = bed_->server().fd()});
    ASSERT_THAT(server, IsOk());
    server_.emplace(*std::move(server));
    Listen(*server_, Testbed::kServer4, kPort, &listener_);
  }

  static void Listen(Actor& actor, const IpAddress& address, uint16_t port,
                     ActorSocket* listener) {
    auto socket = actor.TcpSocket(AF_INET);
    ASSERT_THAT(socket, IsOk());
    ASSERT_THAT(actor.SetOption(*socket, SOL_SOCKET, SO_REUSEADDR, 1), IsOk());
    ASSERT_THAT(actor.Bind(*socket, {address, port}), IsOk());
    ASSERT_THAT(actor.Listen(*socket, 256), IsOk());
    *listener = *socket;
  }

  // In the host's namespace.
  absl::Status Direct(
      const std::function<absl::Status(DirectClat&)>& operation) {
    auto inside = ScopedNetns::Enter(bed_->host());
    if (!inside.ok()) return inside.status();
    DirectClat clat(bpffs_->path() + "/clat");
    return operation(clat);
  }
  absl::Status Translate(const UplinkSettings& settings,
                         const std::string& uplink = "eth0") {
    return Direct(
        [&](DirectClat& clat) { return clat.Start(uplink, settings); });
  }
  absl::Status StopTranslating(const std::string& uplink = "eth0") {
    return Direct([&](DirectClat& clat) { return clat.Stop(uplink); });
  }

  // A connection from the host to the server.
  absl::StatusOr<Connection> Connect(const std::string& device = "",
                                     int family = AF_INET) {
    auto client = app_->TcpSocket(family);
    if (!client.ok()) return client.status();
    if (!device.empty()) {
      auto bound = app_->BindToDevice(*client, device);
      if (!bound.ok()) return bound;
    }
    const IpAddress to = family == AF_INET ? IpAddress(Testbed::kServer4)
                                           : IpAddress("::ffff:203.0.113.2");
    auto connected = app_->Connect(*client, {to, kPort}, kPatience);
    if (!connected.ok()) return connected;
    auto server = server_->Accept(listener_, kPatience);
    if (!server.ok()) return server.status();
    return Connection{*client, *server};
  }

  static void ExpectCarries(Actor& from, ActorSocket from_socket, Actor& to,
                            ActorSocket to_socket) {
    EXPECT_THAT(from.Send(from_socket, "ping"), IsOkAndHolds(4u));
    auto there = to.Receive(to_socket, kPatience);
    ASSERT_THAT(there, IsOk());
    EXPECT_EQ(there->data, "ping");
    EXPECT_THAT(to.Send(to_socket, "pong"), IsOkAndHolds(4u));
    auto back = from.Receive(from_socket, kPatience);
    ASSERT_THAT(back, IsOk());
    EXPECT_EQ(back->data, "pong");
  }
  void ExpectWorks(const Connection& connection) {
    ExpectCarries(*app_, connection.client, *server_, connection.server);
  }
  void ExpectANewConnectionWorks(const std::string& device = "") {
    auto connection = Connect(device);
    ASSERT_THAT(connection, IsOk());
    ExpectWorks(*connection);
  }
  std::string SeenByTheServer(const Connection& connection) {
    auto peer = server_->PeerEndpoint(connection.server);
    return peer.ok() ? peer->ToString() : peer.status().ToString();
  }

  std::unique_ptr<Testbed> bed_;
  std::unique_ptr<BpfFs> bpffs_;
  std::optional<Actor> app_, server_;
  ActorSocket listener_;
};

class UplinkChangeTest : public UplinkTest {};

enum class LocalAddress : uint8_t { kStays, kGoes };

struct ChangeRow {
  const char* description;
  UplinkSettings to;
  LocalAddress local4;
};

const ChangeRow kChanges[] = {
    {"another prefix",
     {.prefix = *Pref64::Parse(kBeside)},
     LocalAddress::kStays},
    {"another IPv6 address",
     {.prefix = *Pref64::Parse(Testbed::kPrefix),
      .network6 = *Ipv6Prefix::Parse("2001:db8:9::/64")},
     LocalAddress::kStays},
    {"another IPv4 address",
     {.prefix = *Pref64::Parse(Testbed::kPrefix),
      .local4 = *Ipv4Address::Parse("192.0.0.5")},
     LocalAddress::kGoes},
};

TEST_P(UplinkChangeTest, ConnectionsFailAtOnceAndNewOnesWork) {
  ASSERT_THAT(bed_->AddPlat(kBeside), IsOk());
  ASSERT_THAT(Testbed::Shell(bed_->router(),
                             "ip -6 route add 2001:db8:9::/64 via "
                             "2001:db8:1::2"),
              IsOk());
  for (const ChangeRow& row : kChanges) {
    SCOPED_TRACE(row.description);
    ASSERT_THAT(Translate({.prefix = *Pref64::Parse(Testbed::kPrefix)}),
                IsOk());
    auto waiting = Connect();
    ASSERT_THAT(waiting, IsOk());
    ExpectWorks(*waiting);
    auto mapped = Connect("", AF_INET6);
    ASSERT_THAT(mapped, IsOk());
    auto udp_server = server_->UdpSocket(AF_INET);
    ASSERT_THAT(udp_server, IsOk());
    ASSERT_THAT(server_->Bind(*udp_server, {Testbed::kServer4, kPort}), IsOk());
    auto udp = app_->UdpSocket(AF_INET);
    ASSERT_THAT(udp, IsOk());
    ASSERT_THAT(app_->Connect(*udp, {Testbed::kServer4, kPort}), IsOk());
    // From the host to itself.
    auto local4 = app_->LocalEndpoint(waiting->client);
    ASSERT_THAT(local4, IsOk());
    ActorSocket local_listener;
    Listen(*app_, local4->address, kLocalPort, &local_listener);
    auto local = app_->TcpSocket(AF_INET);
    ASSERT_THAT(local, IsOk());
    ASSERT_THAT(app_->Connect(*local, {local4->address, kLocalPort}), IsOk());
    auto local_server = app_->Accept(local_listener);
    ASSERT_THAT(local_server, IsOk());

    Actor::Pending receive =
        app_->StartReceiveBytes(waiting->client, 1, 2 * kPatience);
    ASSERT_THAT(Translate(row.to), IsOk());
    EXPECT_THAT(receive.Wait(), HasErrno(ECONNABORTED));
    EXPECT_THAT(app_->Receive(mapped->client, kPatience),
                HasErrno(ECONNABORTED));
    // The old way still led there.
    EXPECT_THAT(server_->Receive(waiting->server, kPatience),
                HasErrno(ECONNRESET));
    EXPECT_THAT(server_->Receive(mapped->server, kPatience),
                HasErrno(ECONNRESET));
    ExpectANewConnectionWorks();

    if (row.local4 == LocalAddress::kStays) {
      ExpectCarries(*app_, *local, *app_, *local_server);
      EXPECT_THAT(app_->Send(*udp, "udp"), IsOkAndHolds(3u));
      auto datagram = server_->Receive(*udp_server, kPatience);
      ASSERT_THAT(datagram, IsOk());
      EXPECT_THAT(server_->SendTo(*udp_server, *datagram->from, "back"),
                  IsOkAndHolds(4u));
      auto back = app_->Receive(*udp, kPatience);
      ASSERT_THAT(back, IsOk());
      EXPECT_EQ(back->data, "back");
    } else {
      EXPECT_THAT(app_->Receive(*local, kPatience), HasErrno(ECONNABORTED));
      EXPECT_THAT(app_->Receive(*udp, kPatience), HasErrno(ECONNABORTED));
    }
    ASSERT_THAT(app_->Close(local_listener), IsOk());
    ASSERT_THAT(server_->Close(*udp_server), IsOk());
  }
}

TEST_P(UplinkChangeTest, TheOldNat64NeedNotBeThereAnyMore) {
  ASSERT_THAT(Translate({.prefix = *Pref64::Parse(Testbed::kPrefix)}), IsOk());
  std::vector<Connection> connections;
  for (int i = 0; i < 100; ++i) {
    auto connection = Connect();
    ASSERT_THAT(connection, IsOk());
    connections.push_back(*connection);
  }
  ASSERT_THAT(bed_->StartPlat(kBeside), IsOk());
  ASSERT_THAT(Translate({.prefix = *Pref64::Parse(kBeside)}), IsOk());
  for (const Connection& connection : connections) {
    EXPECT_THAT(app_->Receive(connection.client, kPatience),
                HasErrno(ECONNABORTED));
  }
  ExpectANewConnectionWorks();
}

TEST_P(UplinkChangeTest, WhatIsUnchangedGoesOn) {
  const UplinkSettings settings{.prefix = *Pref64::Parse(Testbed::kPrefix)};
  ASSERT_THAT(Translate(settings), IsOk());
  auto connection = Connect();
  ASSERT_THAT(connection, IsOk());
  ASSERT_THAT(Testbed::Shell(bed_->host(), "ip link set eth0 mtu 1400"),
              IsOk());
  ASSERT_THAT(Translate(settings), IsOk());
  ExpectWorks(*connection);
}

TEST_P(UplinkChangeTest, WhenTranslationStopsConnectionsFailAtOnce) {
  ASSERT_THAT(Translate({.prefix = *Pref64::Parse(Testbed::kPrefix)}), IsOk());
  auto connection = Connect();
  ASSERT_THAT(connection, IsOk());
  Actor::Pending receive =
      app_->StartReceiveBytes(connection->client, 1, 2 * kPatience);
  ASSERT_THAT(StopTranslating(), IsOk());
  EXPECT_THAT(receive.Wait(), HasErrno(ECONNABORTED));
  EXPECT_THAT(server_->Receive(connection->server, kPatience),
              HasErrno(ECONNRESET));
  auto next = app_->TcpSocket(AF_INET);
  ASSERT_THAT(next, IsOk());
  EXPECT_THAT(app_->Connect(*next, {Testbed::kServer4, kPort}),
              HasErrno(ENETUNREACH));
  ASSERT_THAT(Translate({.prefix = *Pref64::Parse(Testbed::kPrefix)}), IsOk());
  ExpectANewConnectionWorks();
}

class SeveralUplinksTest : public UplinkTest {
 protected:
  void SetUp() override {
    UplinkTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    ASSERT_THAT(bed_->AddUplink(), IsOk());
    ASSERT_THAT(Translate({.prefix = *Pref64::Parse(Testbed::kPrefix)}),
                IsOk());
    ASSERT_THAT(
        Translate({.prefix = *Pref64::Parse(Testbed::kOtherPrefix)}, "eth1"),
        IsOk());
  }
};

TEST_P(SeveralUplinksTest, TrafficGoesOverBothAtOnce) {
  auto capture = PacketCapture::Start(bed_->router(), "down0");
  auto other_capture = PacketCapture::Start(bed_->other_router(), "down0");
  ASSERT_THAT(capture, IsOk());
  ASSERT_THAT(other_capture, IsOk());
  std::vector<Connection> first, second;
  for (int i = 0; i < 50; ++i) {
    for (auto* list : {&first, &second}) {
      auto connection = Connect(list == &first ? "eth0" : "eth1");
      ASSERT_THAT(connection, IsOk());
      list->push_back(*connection);
    }
  }
  for (size_t i = 0; i < first.size(); ++i) {
    ExpectWorks(first[i]);
    ExpectWorks(second[i]);
    EXPECT_THAT(SeenByTheServer(first[i]), StartsWith(Testbed::kPool4));
    EXPECT_THAT(SeenByTheServer(second[i]), StartsWith(Testbed::kOtherPool4));
  }
  EXPECT_NE(app_->LocalEndpoint(first[0].client)->address,
            app_->LocalEndpoint(second[0].client)->address);

  // Much at once: one uploads by the first while another downloads by the
  // second.
  constexpr uint64_t kBytes = 4 << 20;
  auto app = Actor::Spawn({.uid = kAppUid + 1, .netns = bed_->host().fd()});
  auto server = Actor::Spawn({.netns = bed_->server().fd()});
  ASSERT_THAT(app, IsOk());
  ASSERT_THAT(server, IsOk());
  ActorSocket listener;
  Listen(*server, Testbed::kServer4, kPort + 1, &listener);
  auto client = app->TcpSocket(AF_INET);
  ASSERT_THAT(client, IsOk());
  ASSERT_THAT(app->BindToDevice(*client, "eth1"), IsOk());
  ASSERT_THAT(app->Connect(*client, {Testbed::kServer4, kPort + 1}, kPatience),
              IsOk());
  auto accepted = server->Accept(listener, kPatience);
  ASSERT_THAT(accepted, IsOk());
  auto up = app_->StartSendBytes(first[0].client, kBytes);
  auto up_end = server_->StartReceiveBytes(first[0].server, kBytes);
  auto down = server->StartSendBytes(*accepted, kBytes);
  auto down_end = app->StartReceiveBytes(*client, kBytes);
  EXPECT_THAT(up.Wait(), IsOkAndHolds(kBytes));
  EXPECT_THAT(up_end.Wait(), IsOkAndHolds(kBytes));
  EXPECT_THAT(down.Wait(), IsOkAndHolds(kBytes));
  EXPECT_THAT(down_end.Wait(), IsOkAndHolds(kBytes));

  // Each by its own, and nothing of IPv4 on the links.
  auto counted = capture->Count({.protocol = IPPROTO_TCP, .dport = kPort});
  auto other =
      other_capture->Count({.protocol = IPPROTO_TCP, .sport = kPort + 1});
  ASSERT_THAT(counted, IsOk());
  ASSERT_THAT(other, IsOk());
  EXPECT_GT(counted->wire_bytes, kBytes);
  EXPECT_GT(other->wire_bytes, kBytes);
  for (auto* each : {&*capture, &*other_capture}) {
    auto ipv4 = each->Count({.family = AF_INET});
    ASSERT_THAT(ipv4, IsOk());
    EXPECT_EQ(ipv4->packets, 0u);
  }
  EXPECT_THAT(
      Direct([](DirectClat& clat) {
        auto uplinks = clat.Uplinks();
        if (!uplinks.ok()) return uplinks.status();
        EXPECT_EQ(uplinks->size(), 2u);
        for (const UplinkStatus& one : *uplinks) {
          EXPECT_GT(one.translation->counters.outcomes[NP_CLAT_TRANSLATED_46],
                    0u)
              << one.interface;
          EXPECT_GT(one.translation->counters.outcomes[NP_CLAT_TRANSLATED_64],
                    0u)
              << one.interface;
        }
        return absl::OkStatus();
      }),
      IsOk());
}

TEST_P(SeveralUplinksTest, TheOtherTakesOverAndKeepsItsOwn) {
  auto first = Connect();
  auto second = Connect("eth1");
  ASSERT_THAT(first, IsOk());
  ASSERT_THAT(second, IsOk());
  EXPECT_THAT(SeenByTheServer(*first), StartsWith(Testbed::kPool4))
      << "the first is preferred, as for IPv6";
  ASSERT_THAT(StopTranslating("eth0"), IsOk());
  EXPECT_THAT(app_->Receive(first->client, kPatience), HasErrno(ECONNABORTED));
  ExpectWorks(*second);
  auto next = Connect();
  ASSERT_THAT(next, IsOk());
  ExpectWorks(*next);
  EXPECT_THAT(SeenByTheServer(*next), StartsWith(Testbed::kOtherPool4));

  // What is bound to an uplink stays there. What is not follows the routes,
  // translated or not.
  ASSERT_THAT(Translate({.prefix = *Pref64::Parse(Testbed::kPrefix)}), IsOk());
  ExpectWorks(*second);
  auto again = Connect();
  ASSERT_THAT(again, IsOk());
  EXPECT_THAT(SeenByTheServer(*again), StartsWith(Testbed::kPool4));
}

INSTANTIATE_TEST_SUITE_P(Uplink, UplinkChangeTest,
                         ::testing::Values(UplinkKind::kEthernet,
                                           UplinkKind::kRawIp),
                         testing::UplinkKindName);
INSTANTIATE_TEST_SUITE_P(Uplink, SeveralUplinksTest,
                         ::testing::Values(UplinkKind::kEthernet,
                                           UplinkKind::kRawIp),
                         testing::UplinkKindName);

}  // namespace
}  // namespace netpolicy::clat
