// SPDX-License-Identifier: Apache-2.0
//
// The real netd, and interfaces that get other names under open flows.

#include <netinet/in.h>

#include <cerrno>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/actor.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/status_matchers.h"
#include "netd/daemon/netd_network_fixture.h"

namespace netpolicy::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr uid_t kApp = 10007;
const Endpoint kPeer = {"10.77.0.2", 9};

class NetdLinkTest : public NetdNetworkFixture {
 protected:
  void SetUp() override {
    NetdNetworkFixture::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    StartNetd();
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
};

TEST_F(NetdLinkTest, AnOpenFlowMeetsTheNewNameOfItsInterface) {
  ASSERT_THAT(Commit({SetUidInterfaces{Uid{kApp}, {"eth0"}}}), IsOk());
  auto app = SpawnApp(kApp);
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
