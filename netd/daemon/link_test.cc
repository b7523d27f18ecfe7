// SPDX-License-Identifier: Apache-2.0
//
// The real netd, and interfaces that get other names under open flows.

#include <netinet/in.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/actor.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/veth_pair.h"
#include "netd/daemon/netd_process.h"

namespace netpolicy::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr uid_t kApp = 10007;
const Endpoint kPeer = {"10.77.0.2", 9};

class NetdLinkTest : public NetdFixture {
 protected:
  void SetUp() override {
    NetdFixture::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    auto ns = NetNamespace::Create();
    ASSERT_THAT(ns, IsOk());
    ns_.emplace(*std::move(ns));
    auto peer = NetNamespace::Create();
    ASSERT_THAT(peer, IsOk());
    peer_.emplace(*std::move(peer));
    auto veth = VethPair::Create(*ns_, *peer_);
    ASSERT_THAT(veth, IsOk());
    veth_.emplace(*std::move(veth));
    NetdProcess::Options options = With();
    options.child.netns = ns_->fd();
    netd_ = StartReady(options);
    ASSERT_NE(netd_, nullptr);
  }

  // Waits until sendto(2) of the socket gives `error` (0: none).
  static bool ComesToGive(Actor& app, ActorSocket socket, int error) {
    for (int i = 0; i < 500; ++i) {
      if (ErrnoOf(app.SendTo(socket, kPeer, "x").status()) == error) {
        return true;
      }
      absl::SleepFor(absl::Milliseconds(10));
    }
    return false;
  }

  std::optional<NetNamespace> ns_;
  std::optional<NetNamespace> peer_;
  std::optional<VethPair> veth_;
  std::unique_ptr<NetdProcess> netd_;
};

TEST_F(NetdLinkTest, AnOpenFlowMeetsTheNewNameOfItsInterface) {
  ASSERT_THAT(Commit({SetUidInterfaces{Uid{kApp}, {"eth0"}}}), IsOk());
  auto app = Actor::Spawn(
      {.uid = kApp, .cgroup = cgroup_->path(), .netns = ns_->fd()});
  ASSERT_THAT(app, IsOk());
  auto socket = app->UdpSocket(AF_INET);
  ASSERT_THAT(socket, IsOk());
  // The second packet passes by the verdict that the first one left.
  for (int i = 0; i < 3; ++i) {
    ASSERT_THAT(app->SendTo(*socket, kPeer, "x"), IsOk());
  }
  const Generation before = InForce().generation;

  ASSERT_THAT(ns_->RenameLink("eth0", "wan0"), IsOk());
  EXPECT_TRUE(ComesToGive(*app, *socket, EPERM));
  EXPECT_GT(InForce().generation, before);
  EXPECT_THAT(netd_->Output(),
              HasSubstr("event=links_changed interfaces=eth0"));

  ASSERT_THAT(ns_->RenameLink("wan0", "eth0"), IsOk());
  EXPECT_TRUE(ComesToGive(*app, *socket, 0));
}

TEST_F(NetdLinkTest, InterfacesThatNoRuleNamesChangeNothing) {
  ASSERT_THAT(Commit({SetUidInterfaces{Uid{kApp}, {"tun*"}}}), IsOk());
  const Generation before = InForce().generation;
  ASSERT_THAT(ns_->RenameLink("eth0", "wan0"), IsOk());
  // Longer than netd lets changes gather.
  absl::SleepFor(absl::Milliseconds(300));
  EXPECT_EQ(InForce().generation, before);
  EXPECT_THAT(netd_->Output(), Not(HasSubstr("links_changed")));

  ASSERT_THAT(ns_->RenameLink("wan0", "tun7"), IsOk());
  for (int i = 0; i < 500 && InForce().generation == before; ++i) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_GT(InForce().generation, before);
}

}  // namespace
}  // namespace netpolicy::testing
