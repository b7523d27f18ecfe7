// SPDX-License-Identifier: Apache-2.0
//
// What is remembered of refused packets and calls of real sockets.

#include <netinet/in.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bpf_progs/abi/reason.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/model/ip_prefix.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/tests/testbed.h"

namespace netpolicy::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uid_t kApp = 10001;
constexpr uid_t kOther = 10002;
constexpr char kPolicy[] = R"({"version": 1,
  "chains": [{"name": "games", "type": "denylist", "enabled": true,
              "uids": [10002]}],
  "uids": [{"uid": 10001, "network_rules": [
    {"prefix": "fd77::/64", "action": "deny", "protocol": "udp",
     "ports": "5000-5010"}]}]})";

class RefusedTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (auto missing = MissingForBpfTests()) GTEST_SKIP() << *missing;
    auto bed = Testbed::Create();
    ASSERT_THAT(bed, IsOk());
    bed_ = *std::move(bed);
    ASSERT_THAT(bed_->Apply(kPolicy), IsOk());
  }

  Refusals Read(Uid uid, uint32_t max_peers = 100) {
    auto refusals = bed_->engine().Refused(uid, max_peers);
    EXPECT_THAT(refusals, IsOk());
    return refusals.ok() ? *std::move(refusals) : Refusals{};
  }

  // What sendto(2) says of a new socket.
  static absl::Status Send(Actor& app, const Endpoint& to) {
    auto socket = app.UdpSocket(to.address.family());
    EXPECT_THAT(socket, IsOk());
    const absl::Status sent = app.SendTo(*socket, to, "x").status();
    EXPECT_THAT(app.Close(*socket), IsOk());
    return sent;
  }

  std::unique_ptr<Testbed> bed_;
};

TEST_F(RefusedTest, NamesPeerReasonAndRuleLatestFirst) {
  auto app = bed_->SpawnApp(kApp);
  ASSERT_THAT(app, IsOk());
  const absl::Time before = absl::Now();
  EXPECT_FALSE(Send(*app, {"fd77::2", 5000}).ok());
  EXPECT_FALSE(Send(*app, {"fd77::2", 5000}).ok());
  EXPECT_FALSE(Send(*app, {"fd77::2", 5010}).ok());
  EXPECT_TRUE(Send(*app, {"fd77::2", 5011}).ok());
  EXPECT_TRUE(Send(*app, {"10.77.0.2", 5000}).ok());

  const Refusals refusals = Read(Uid{kApp});
  EXPECT_EQ(refusals.uid, Uid{kApp});
  ASSERT_THAT(refusals.drops, SizeIs(1));
  EXPECT_EQ(refusals.drops[0].direction, Direction::kConnect);
  EXPECT_THAT(refusals.drops[0].reason_names, ElementsAre("network_rule"));
  EXPECT_EQ(refusals.drops[0].packets, 3u);
  ASSERT_THAT(refusals.peers, SizeIs(2));
  const RefusedPeer& last = refusals.peers[0];
  const RefusedPeer& first = refusals.peers[1];
  EXPECT_EQ(last.remote_port, 5010);
  EXPECT_EQ(last.count, 1u);
  EXPECT_EQ(first.remote_port, 5000);
  EXPECT_EQ(first.count, 2u);
  EXPECT_EQ(AddressText(first.remote), "fd77::2");
  EXPECT_EQ(first.protocol, IPPROTO_UDP);
  EXPECT_EQ(first.direction, Direction::kConnect);
  EXPECT_GE(first.last, before - absl::Milliseconds(100));
  EXPECT_LE(first.last, last.last);
  EXPECT_LE(last.last, absl::Now() + absl::Milliseconds(100));
  ASSERT_THAT(first.explained, SizeIs(1));
  EXPECT_EQ(first.explained[0].number, NP_REASON_NETWORK_RULE);
  EXPECT_THAT(first.explained[0].detail, HasSubstr("[deny fd77::/64 udp"));

  EXPECT_THAT(Read(Uid{kApp}, 1).peers, SizeIs(1));
  EXPECT_EQ(Read(Uid{kApp}, 1).peers[0].remote_port, 5010);
  EXPECT_THAT(Read(Uid{kApp}, 0).peers, IsEmpty());
}

TEST_F(RefusedTest, ReceivedPacketsAreNamedByTheirChain) {
  auto app = bed_->SpawnApp(kOther);
  ASSERT_THAT(app, IsOk());
  auto peer = bed_->SpawnPeer();
  ASSERT_THAT(peer, IsOk());
  auto hears = app->UdpSocket(AF_INET);
  ASSERT_THAT(hears, IsOk());
  ASSERT_THAT(app->Bind(*hears, {IpAddress::Any(AF_INET), 4001}), IsOk());
  auto says = peer->UdpSocket(AF_INET);
  ASSERT_THAT(says, IsOk());
  ASSERT_THAT(peer->Bind(*says, {IpAddress::Any(AF_INET), 4002}), IsOk());
  ASSERT_THAT(peer->SendTo(*says, {"10.77.0.1", 4001}, "x"), IsOk());
  EXPECT_THAT(app->Receive(*hears, absl::Milliseconds(40)),
              StatusIs(absl::StatusCode::kDeadlineExceeded));

  const Refusals refusals = Read(Uid{kOther});
  ASSERT_THAT(refusals.peers, SizeIs(1));
  const RefusedPeer& heard = refusals.peers[0];
  EXPECT_EQ(heard.direction, Direction::kIngress);
  EXPECT_EQ(AddressText(heard.remote), "10.77.0.2");
  EXPECT_EQ(heard.remote_port, 4002);
  EXPECT_EQ(heard.protocol, IPPROTO_UDP);
  ASSERT_THAT(heard.explained, SizeIs(1));
  EXPECT_EQ(heard.explained[0].name, "games");
  EXPECT_THAT(heard.explained[0].detail,
              HasSubstr("uid 10002 is listed in denylist games"));
  // Nobody else's.
  EXPECT_THAT(Read(Uid{kApp}).peers, IsEmpty());
  EXPECT_THAT(Read(Uid{kApp}).drops, IsEmpty());

  // The policy does not say so any more; what happened stays.
  ASSERT_THAT(bed_->Apply(R"({"version": 1})"), IsOk());
  const Refusals after = Read(Uid{kOther});
  ASSERT_THAT(after.peers, SizeIs(1));
  ASSERT_THAT(after.peers[0].explained, SizeIs(1));
  EXPECT_THAT(after.peers[0].explained[0].detail,
              HasSubstr("the policy does not give uid 10002"));
}

}  // namespace
}  // namespace netpolicy::testing
