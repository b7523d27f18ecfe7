// All kinds of traffic between an application and its peer, by real sockets.
//
//   Conversation talk(bed.get(), 10001, AF_INET6);
//   ASSERT_NO_FATAL_FAILURE(talk.Open());
//   EXPECT_TRUE(talk.UdpOut(absl::Seconds(5)));

#ifndef NETPOLICY_LIBPOLICY_TESTS_CONVERSATION_H_
#define NETPOLICY_LIBPOLICY_TESTS_CONVERSATION_H_

#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/tests/testbed.h"

namespace netpolicy::testing {

// Ports of the sockets of both ends, UDP and TCP.
inline constexpr uint16_t kAppPort = 4001;
inline constexpr uint16_t kPeerPort = 4002;

// The sockets of one application and its peer, made before the policy is. Each
// call tries one kind of traffic and says whether it got through within `wait`.
class Conversation {
 public:
  Conversation(Testbed* bed, uid_t app_uid, int family)
      : bed_(bed), app_uid_(app_uid), v6_(family == AF_INET6) {}

  // Opens all sockets; failures are those of the test.
  void Open() {
    auto app = bed_->SpawnApp(app_uid_);
    ASSERT_THAT(app, IsOk());
    app_.emplace(*std::move(app));
    auto peer = bed_->SpawnPeer();
    ASSERT_THAT(peer, IsOk());
    peer_.emplace(*std::move(peer));
    app_udp_ = BoundUdp(*app_, kAppPort);
    peer_udp_ = BoundUdp(*peer_, kPeerPort);
    app_tcp_ = Listener(*app_, kAppPort);
    peer_tcp_ = Listener(*peer_, kPeerPort);
    app_ping_ = Value(app_->PingSocket(family()));
    peer_ping_ = Value(peer_->PingSocket(family()));
    app_raw_ = Value(app_->RawSocket(
        family(), v6_ ? int{IPPROTO_ICMPV6} : int{IPPROTO_ICMP}));
    app_tcp_out_ = Value(app_->TcpSocket(family()));
  }

  bool UdpOut(absl::Duration wait) {
    (void)app_->SendTo(app_udp_, peer_at(kPeerPort), NextToken());
    return Hears(*peer_, peer_udp_, wait);
  }
  bool UdpIn(absl::Duration wait) {
    (void)peer_->SendTo(peer_udp_, app_at(kAppPort), NextToken());
    return Hears(*app_, app_udp_, wait);
  }
  bool UdpLoopback(absl::Duration wait) {
    (void)app_->SendTo(app_udp_, {v6_ ? "::1" : "127.0.0.1", kAppPort},
                       NextToken());
    return Hears(*app_, app_udp_, wait);
  }
  bool TcpOut(absl::Duration wait) {
    return app_->Connect(app_tcp_out_, peer_at(kPeerPort), wait).ok();
  }
  bool TcpIn(absl::Duration wait) {
    const ActorSocket socket = Value(peer_->TcpSocket(family()));
    const bool connected = peer_->Connect(socket, app_at(kAppPort), wait).ok();
    EXPECT_THAT(peer_->Close(socket), IsOk());
    return connected;
  }
  // The reply comes back only if both directions are open.
  bool PingOut(absl::Duration wait) {
    (void)app_->SendTo(app_ping_, peer_at(0), EchoRequest());
    return Hears(*app_, app_ping_, wait);
  }
  // What a raw socket of the application hears of an echo request.
  bool PingIn(absl::Duration wait) {
    (void)peer_->SendTo(peer_ping_, app_at(0), EchoRequest());
    return Hears(*app_, app_raw_, wait);
  }
  // What connect(2) says at once, or later, of a socket that is new.
  absl::Status Connect(uint16_t peer_port, absl::Duration wait) {
    const ActorSocket socket = Value(app_->TcpSocket(family()));
    absl::Status connected = app_->Connect(socket, peer_at(peer_port), wait);
    EXPECT_THAT(app_->Close(socket), IsOk());
    return connected;
  }
  // What bind(2) says of a new socket of this type.
  absl::Status Bind(int type, uint16_t port) {
    const ActorSocket socket = Value(app_->Socket(family(), type));
    absl::Status bound = app_->Bind(socket, {IpAddress::Any(family()), port});
    EXPECT_THAT(app_->Close(socket), IsOk());
    return bound;
  }
  absl::Status NewSocket() {
    auto socket = app_->UdpSocket(family());
    if (socket.ok()) {
      EXPECT_THAT(app_->Close(*socket), IsOk());
    }
    return socket.status();
  }

 private:
  int family() const { return v6_ ? AF_INET6 : AF_INET; }
  Endpoint app_at(uint16_t port) const {
    return {v6_ ? "fd77::1" : "10.77.0.1", port};
  }
  Endpoint peer_at(uint16_t port) const {
    return {v6_ ? "fd77::2" : "10.77.0.2", port};
  }

  static ActorSocket Value(absl::StatusOr<ActorSocket> socket) {
    EXPECT_THAT(socket, IsOk());
    return socket.ok() ? *socket : ActorSocket{};
  }
  ActorSocket BoundUdp(Actor& actor, uint16_t port) {
    const ActorSocket socket = Value(actor.UdpSocket(family()));
    EXPECT_THAT(actor.Bind(socket, {IpAddress::Any(family()), port}), IsOk());
    return socket;
  }
  ActorSocket Listener(Actor& actor, uint16_t port) {
    const ActorSocket socket = Value(actor.TcpSocket(family()));
    EXPECT_THAT(actor.SetOption<int>(socket, SOL_SOCKET, SO_REUSEADDR, 1),
                IsOk());
    EXPECT_THAT(actor.Bind(socket, {IpAddress::Any(family()), port}), IsOk());
    EXPECT_THAT(actor.Listen(socket), IsOk());
    return socket;
  }

  std::string NextToken() {
    token_ = absl::StrCat("token-", ++tokens_, ".");
    return token_;
  }
  std::string EchoRequest() {
    std::string header(8, '\0');
    header[0] = static_cast<char>(v6_ ? ICMPV6_ECHO_REQUEST : ICMP_ECHO);
    return header + NextToken();
  }
  // Whether the last token arrives; older ones are passed over.
  bool Hears(Actor& actor, ActorSocket socket, absl::Duration wait) {
    const absl::Time deadline = absl::Now() + wait;
    while (true) {
      auto got = actor.Receive(
          socket, std::max(deadline - absl::Now(), absl::ZeroDuration()));
      if (!got.ok()) return false;
      if (absl::StrContains(got->data, token_)) return true;
    }
  }

  Testbed* bed_;
  uid_t app_uid_;
  bool v6_;
  std::optional<Actor> app_;
  std::optional<Actor> peer_;
  ActorSocket app_udp_, peer_udp_, app_tcp_, peer_tcp_, app_ping_, peer_ping_,
      app_raw_, app_tcp_out_;
  int tokens_ = 0;
  std::string token_;
};

}  // namespace netpolicy::testing

#endif  // NETPOLICY_LIBPOLICY_TESTS_CONVERSATION_H_
