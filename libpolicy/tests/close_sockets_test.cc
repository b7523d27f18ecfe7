// SPDX-License-Identifier: Apache-2.0
//
// What becomes of real sockets when a commit blocks them and asks for their
// end, and which ones are left alone.

#include <linux/capability.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/kernel/probe_network.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/tests/testbed.h"

namespace netpolicy::testing {
namespace {

using ::testing::HasSubstr;

constexpr uid_t kBlocked = 10001;
constexpr uid_t kAllowed = 10002;
constexpr uint16_t kPort = 4002;
const CommitOptions& Closing() {
  static const auto* const options = new CommitOptions{
      .fence = Fence::kWait, .close_sockets = CloseSockets::kNewlyBlocked};
  return *options;
}

// Of the calling thread alone.
bool DropFromThread(int capability) {
  __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3,
                                     .pid = 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) return false;
  data[capability / 32].effective &= ~(1U << (capability % 32));
  return syscall(SYS_capset, &header, data) == 0;
}

// Two ends of one connection, or of datagrams.
struct Ends {
  Actor* near = nullptr;
  Actor* far = nullptr;
  ActorSocket at_near;
  ActorSocket at_far;
};

// Its socket has failed, before any packet or time could tell it.
void ExpectClosed(const Ends& ends) {
  EXPECT_THAT(ends.near->Receive(ends.at_near, absl::Seconds(1)).status(),
              HasErrno(ECONNABORTED));
}

// Nothing was done to it, whatever its packets meet.
void ExpectLeft(const Ends& ends) {
  EXPECT_THAT(ends.near->Receive(ends.at_near, absl::Milliseconds(20)).status(),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(ends.near->GetOption(ends.at_near, SOL_SOCKET, SO_ERROR),
              IsOkAndHolds(0));
  EXPECT_THAT(ends.near->PeerEndpoint(ends.at_near), IsOk());
}

void ExpectTalks(const Ends& ends) {
  EXPECT_THAT(ends.near->Send(ends.at_near, "hello"), IsOkAndHolds(5u));
  const auto heard = ends.far->Receive(ends.at_far, absl::Seconds(5));
  ASSERT_THAT(heard, IsOk());
  EXPECT_EQ(heard->data, "hello");
}

class CloseSocketsTest : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    if (auto missing = MissingForBpfTests()) GTEST_SKIP() << *missing;
    auto bed = Testbed::Create();
    ASSERT_THAT(bed, IsOk());
    bed_ = *std::move(bed);
    auto inside = ScopedNetns::Enter(bed_->app_ns());
    ASSERT_THAT(inside, IsOk());
    inside_.emplace(*std::move(inside));
    const auto possible = SocketsCanBeDestroyed(SOCK_STREAM);
    ASSERT_THAT(possible, IsOk());
    if (!*possible) GTEST_SKIP() << "needs CONFIG_INET_DIAG_DESTROY";
    auto peer = bed_->SpawnPeer();
    ASSERT_THAT(peer, IsOk());
    peer_.emplace(*std::move(peer));
    peer_listener_ = Listen(*peer_, kPort);
  }

  int family() const { return GetParam(); }
  const char* PeerAddress() const {
    return family() == AF_INET ? "10.77.0.2" : "fd77::2";
  }
  const char* AppAddress() const {
    return family() == AF_INET ? "10.77.0.1" : "fd77::1";
  }
  const char* PeerPrefix() const {
    return family() == AF_INET ? "10.77.0.0/16" : "fd77::/16";
  }

  std::unique_ptr<Actor> Spawn(uid_t uid) {
    auto app = bed_->SpawnApp(uid);
    EXPECT_THAT(app, IsOk());
    return app.ok() ? std::make_unique<Actor>(*std::move(app)) : nullptr;
  }

  ActorSocket Listen(Actor& actor, uint16_t port) {
    const auto socket = actor.TcpSocket(family());
    EXPECT_THAT(socket, IsOk());
    EXPECT_THAT(actor.Bind(*socket, {IpAddress::Any(family()), port}), IsOk());
    EXPECT_THAT(actor.Listen(*socket), IsOk());
    return *socket;
  }

  // From `app` to a listener of `to`.
  static Ends Connect(Actor& app, Actor& to, ActorSocket listener,
                      const Endpoint& address) {
    Ends ends{.near = &app, .far = &to, .at_near = {}, .at_far = {}};
    const auto socket = app.TcpSocket(address.address.family());
    EXPECT_THAT(socket, IsOk());
    EXPECT_THAT(app.Connect(*socket, address), IsOk());
    const auto accepted = to.Accept(listener);
    EXPECT_THAT(accepted, IsOk());
    if (socket.ok()) ends.at_near = *socket;
    if (accepted.ok()) ends.at_far = *accepted;
    return ends;
  }
  Ends Connect(Actor& app) {
    return Connect(app, *peer_, peer_listener_, {PeerAddress(), kPort});
  }

  // A datagram socket of `app` that is connected to one of the peer.
  Ends ConnectUdp(Actor& app, uint16_t port) {
    Ends ends{.near = &app, .far = &*peer_, .at_near = {}, .at_far = {}};
    const auto socket = app.UdpSocket(family());
    const auto far = peer_->UdpSocket(family());
    EXPECT_THAT(socket, IsOk());
    EXPECT_THAT(far, IsOk());
    EXPECT_THAT(peer_->Bind(*far, {IpAddress::Any(family()), port}), IsOk());
    EXPECT_THAT(app.Connect(*socket, {PeerAddress(), port}), IsOk());
    ends.at_near = *socket;
    ends.at_far = *far;
    return ends;
  }

  void Commit(const Transaction& transaction, uint64_t closed,
              const CommitOptions& options = Closing()) {
    const auto result = bed_->engine().Commit(transaction, options);
    ASSERT_THAT(result, IsOk());
    ASSERT_TRUE(result->closed_sockets.has_value());
    EXPECT_EQ(*result->closed_sockets,
              (ClosedSockets{.closed = closed, .failed = 0, .error = {}}))
        << result->closed_sockets->error;
  }

  static Transaction Deny(uid_t uid) {
    return {SetUidRule{Uid{uid}, Action::kDeny}};
  }

  std::unique_ptr<Testbed> bed_;
  std::optional<ScopedNetns> inside_;
  std::optional<Actor> peer_;
  ActorSocket peer_listener_;
};

INSTANTIATE_TEST_SUITE_P(Of, CloseSocketsTest,
                         ::testing::Values(AF_INET, AF_INET6),
                         [](const ::testing::TestParamInfo<int>& info) {
                           return info.param == AF_INET ? "IPv4" : "IPv6";
                         });

TEST_P(CloseSocketsTest, ConnectionsOfTheBlockedUidFailAtOnceOthersStay) {
  const auto blocked = Spawn(kBlocked);
  const auto allowed = Spawn(kAllowed);
  const Ends first = Connect(*blocked);
  const Ends second = Connect(*blocked);
  const Ends other = Connect(*allowed);
  ExpectTalks(first);
  Commit(Deny(kBlocked), 2);
  ExpectClosed(first);
  ExpectClosed(second);
  ExpectLeft(other);
  ExpectTalks(other);
}

TEST_P(CloseSocketsTest, ThePeerIsToldWhereResetsMayPass) {
  const auto blocked = Spawn(kBlocked);
  const Ends ends = Connect(*blocked);
  const auto chain = [](absl::string_view name) {
    return Transaction{
        SetChainMember{std::string(name), Uid{kBlocked}, Switch::kOn},
        SetChainEnabled{std::string(name), Switch::kOn}};
  };
  Commit(chain("standby"), 1);
  EXPECT_THAT(peer_->Receive(ends.at_far, absl::Seconds(5)).status(),
              HasErrno(ECONNRESET));
}

TEST_P(CloseSocketsTest, WithoutTheOptionNothingIsClosed) {
  const auto blocked = Spawn(kBlocked);
  const Ends ends = Connect(*blocked);
  const auto result =
      bed_->engine().Commit(Deny(kBlocked), {.fence = Fence::kWait});
  ASSERT_THAT(result, IsOk());
  EXPECT_FALSE(result->closed_sockets.has_value());
  ExpectLeft(ends);
}

TEST_P(CloseSocketsTest, ADryRunClosesNothing) {
  const auto blocked = Spawn(kBlocked);
  const Ends ends = Connect(*blocked);
  CommitOptions options = Closing();
  options.mode = CommitMode::kDryRun;
  const auto result = bed_->engine().Commit(Deny(kBlocked), options);
  ASSERT_THAT(result, IsOk());
  EXPECT_FALSE(result->closed_sockets.has_value());
  ExpectTalks(ends);
}

// They are what a commit without the option left on purpose.
TEST_P(CloseSocketsTest, WhatWasBlockedBeforeStays) {
  const auto blocked = Spawn(kBlocked);
  const auto other = Spawn(kAllowed);
  const Ends before = Connect(*blocked);
  const Ends now = Connect(*other);
  ASSERT_THAT(bed_->engine().Commit(Deny(kBlocked), {.fence = Fence::kWait}),
              IsOk());
  Commit(Deny(kAllowed), 1);
  ExpectLeft(before);
  ExpectClosed(now);
  const auto nothing = bed_->engine().Commit(Deny(kAllowed), Closing());
  ASSERT_THAT(nothing, IsOk());
  EXPECT_FALSE(nothing->closed_sockets.has_value());
}

TEST_P(CloseSocketsTest, LoopbackIsNeverTouched) {
  const auto blocked = Spawn(kBlocked);
  const ActorSocket listener = Listen(*blocked, kPort);
  const Ends lo = Connect(*blocked, *blocked, listener,
                          {family() == AF_INET ? "127.0.0.1" : "::1", kPort});
  const Ends own = Connect(*blocked, *blocked, listener, {AppAddress(), kPort});
  Commit(Deny(kBlocked), 0);
  ExpectLeft(lo);
  ExpectLeft(own);
}

TEST_P(CloseSocketsTest, EachSocketIsJudgedByItsOwnPeerPortAndProtocol) {
  const auto app = Spawn(kBlocked);
  const ActorSocket other_listener = Listen(*peer_, kPort + 1);
  const Ends denied = Connect(*app);
  const Ends permitted =
      Connect(*app, *peer_, other_listener, {PeerAddress(), kPort + 1});
  const Ends udp = ConnectUdp(*app, kPort + 1);
  NetworkRule deny;
  deny.action = Action::kDeny;
  deny.prefix = *ParseIpPrefix(PeerPrefix());
  NetworkRule allow = deny;
  allow.action = Action::kAllow;
  allow.protocol = IPPROTO_TCP;
  allow.ports = {kPort + 1, kPort + 1};
  Commit({SetNetworkRules{Uid{kBlocked}, {deny, allow}}}, 2);
  ExpectClosed(denied);
  ExpectClosed(udp);
  ExpectLeft(permitted);
  ExpectTalks(permitted);
}

TEST_P(CloseSocketsTest, ConnectedDatagramSocketsGoWhenBothDirectionsAreShut) {
  const auto app = Spawn(kBlocked);
  const Ends one = ConnectUdp(*app, kPort);
  NetworkRule rule;
  rule.action = Action::kDeny;
  rule.direction = RuleDirection::kIn;
  Commit({SetNetworkRules{Uid{kBlocked}, {rule}}}, 0);
  ExpectTalks(one);
  rule.direction = RuleDirection::kBoth;
  Commit({SetNetworkRules{Uid{kBlocked}, {rule}}}, 1);
  ExpectClosed(one);
  // It has no peer any more, and may be given another one.
  EXPECT_THAT(app->PeerEndpoint(one.at_near).status(), HasErrno(ENOTCONN));
}

TEST_P(CloseSocketsTest, InterfacesAreThoseThatRoutesLeadBy) {
  const auto app = Spawn(kBlocked);
  const Ends ends = Connect(*app);
  Commit({SetUidInterfaces{Uid{kBlocked}, {"eth0"}}}, 0);
  ExpectTalks(ends);
  Commit({SetUidInterfaces{Uid{kBlocked}, {"tun0"}}}, 1);
  ExpectClosed(ends);
}

TEST_P(CloseSocketsTest, AConnectionThatIsBeingMadeFails) {
  const auto app = Spawn(kBlocked);
  const auto socket = app->TcpSocket(family());
  ASSERT_THAT(socket, IsOk());
  const char* const nobody = family() == AF_INET ? "10.77.0.77" : "fd77::77";
  EXPECT_THAT(app->Connect(*socket, {nobody, kPort}, absl::Milliseconds(50)),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  Commit(Deny(kBlocked), 1);
  EXPECT_THAT(app->GetOption(*socket, SOL_SOCKET, SO_ERROR),
              IsOkAndHolds(ECONNABORTED));
}

TEST_P(CloseSocketsTest, AcceptedConnectionsAreTheListenersAndItStays) {
  const auto server = Spawn(kBlocked);
  const ActorSocket listener = Listen(*server, kPort);
  const auto client = peer_->TcpSocket(family());
  ASSERT_THAT(client, IsOk());
  ASSERT_THAT(peer_->Connect(*client, {AppAddress(), kPort}), IsOk());
  const auto accepted = server->Accept(listener);
  ASSERT_THAT(accepted, IsOk());
  Commit(Deny(kBlocked), 1);
  ExpectClosed({.near = &*server,
                .far = &*peer_,
                .at_near = *accepted,
                .at_far = *client});
  ASSERT_THAT(bed_->engine().Commit({SetUidRule{Uid{kBlocked}, absl::nullopt}},
                                    {.fence = Fence::kWait}),
              IsOk());
  const auto again = peer_->TcpSocket(family());
  ASSERT_THAT(again, IsOk());
  EXPECT_THAT(peer_->Connect(*again, {AppAddress(), kPort}), IsOk());
}

// The owner is who made the socket, whatever was made of it since.
TEST_P(CloseSocketsTest, TheOwnerIsTheProgramsOwner) {
  const auto app = Spawn(kBlocked);
  const Ends ends = Connect(*app);
  ASSERT_THAT(app->Chown(ends.at_near, kAllowed), IsOk());
  Commit(Deny(kAllowed), 0);
  ExpectTalks(ends);
  Commit(Deny(kBlocked), 1);
  ExpectClosed(ends);
}

TEST_P(CloseSocketsTest, SocketsOfOtherCgroupsAreNotGoverned) {
  auto outside = Actor::Spawn({.uid = kBlocked, .netns = bed_->app_ns().fd()});
  ASSERT_THAT(outside, IsOk());
  auto below = TestCgroup::Create();
  ASSERT_THAT(below, IsOk());
  auto elsewhere = Actor::Spawn(
      {.uid = kBlocked, .cgroup = below->path(), .netns = bed_->app_ns().fd()});
  ASSERT_THAT(elsewhere, IsOk());
  const Ends ends = Connect(*outside);
  const Ends other = Connect(*elsewhere);
  Commit(Deny(kBlocked), 0);
  ExpectTalks(ends);
  ExpectTalks(other);
}

TEST_P(CloseSocketsTest, CgroupsBelowAreGoverned) {
  auto child = bed_->cgroup().CreateChild("below");
  ASSERT_THAT(child, IsOk());
  auto app = Actor::Spawn(
      {.uid = kBlocked, .cgroup = child->path(), .netns = bed_->app_ns().fd()});
  ASSERT_THAT(app, IsOk());
  const Ends ends = Connect(*app);
  Commit(Deny(kBlocked), 1);
  ExpectClosed(ends);
  app->Kill();
}

TEST_P(CloseSocketsTest, OnlyTheCallersNetworkNamespaceIsLookedAt) {
  const auto app = Spawn(kBlocked);
  const Ends ends = Connect(*app);
  auto elsewhere = ScopedNetns::Enter(bed_->peer_ns());
  ASSERT_THAT(elsewhere, IsOk());
  Commit(Deny(kBlocked), 0);
  ExpectLeft(ends);
}

TEST_P(CloseSocketsTest, WithoutTheRightTheCommitStandsAndSaysSo) {
  const auto app = Spawn(kBlocked);
  const Ends ends = Connect(*app);
  // A thread loses the capability, the test does not.
  absl::StatusOr<CommitResult> result = absl::UnknownError("not tried");
  std::thread([&] {
    ASSERT_TRUE(DropFromThread(CAP_NET_ADMIN));
    result = bed_->engine().Commit(Deny(kBlocked), Closing());
  }).join();
  ASSERT_THAT(result, IsOk());
  ASSERT_TRUE(result->closed_sockets.has_value());
  EXPECT_EQ(result->closed_sockets->closed, 0u);
  EXPECT_EQ(result->closed_sockets->failed, 1u);
  EXPECT_THAT(result->closed_sockets->error,
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("close TCP sockets: operation not permitted "
                                 "(needs CAP_NET_ADMIN)")));
  ExpectLeft(ends);
  EXPECT_THAT(app->Send(ends.at_near, "x"), IsOk());
  EXPECT_THAT(peer_->Receive(ends.at_far, absl::Milliseconds(40)).status(),
              StatusIs(absl::StatusCode::kDeadlineExceeded))
      << "the policy is in force";
}

}  // namespace
}  // namespace netpolicy::testing
