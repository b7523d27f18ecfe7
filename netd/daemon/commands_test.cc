// SPDX-License-Identifier: Apache-2.0
//
// What ndc is told at a shell meets real sockets: the real ndc, the real netd,
// and an application that sends to a host at the other end of eth0.

#include <netinet/in.h>

#include <cerrno>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/actor.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/status_matchers.h"
#include "netd/daemon/netd_network_fixture.h"

namespace netpolicy::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr uid_t kApp = 10007;
const Endpoint kPeer4 = {"10.77.0.2", 9};
const Endpoint kPeer6 = {"fd77::2", 9};

// One thing that is said at the shell, and what the application meets then.
struct Step {
  std::string command;
  int udp4 = 0;  // errno of sendto(2) to kPeer4
  int udp6 = 0;  // and to kPeer6
};

struct Row {
  const char* name;
  std::vector<Step> steps;
};

std::vector<Row> Rows() {
  return {
      {"DataSaver",
       {{"data-saver on"},
        {"interface metered eth0 on", EPERM, EPERM},
        {"chain add-uid metered_allow 10007"},
        {"chain remove-uid metered_allow 10007", EPERM, EPERM},
        {"interface metered eth* off", EPERM, EPERM},
        // What the prefix says holds when the name says nothing.
        {"interface metered eth0 default"},
        {"interface metered eth* on", EPERM, EPERM},
        {"data-saver off"}}},
      {"MeteredChains",
       {{"interface metered eth0 on"},
        {"chain add-uid metered_deny_user 10007", EPERM, EPERM},
        {"interface forget eth0"},
        {"interface metered eth0 on", EPERM, EPERM},
        {"chain disable metered_deny_user"}}},
      {"InterfaceRules",
       {{"uid interfaces 10007 --allow @vpn", EPERM, EPERM},
        {"interface class vpn add eth0"},
        {"interface class vpn set tun0", EPERM, EPERM},
        {"uid interfaces 10007 --allow eth*"},
        {"uid interfaces 10007 --allow wlan0", EPERM, EPERM},
        {"uid interfaces 10007 --default"},
        {"default interfaces --allow tun0", EPERM, EPERM},
        {"uid interfaces 10007 --any"},
        {"uid interfaces 10007 --default", EPERM, EPERM},
        {"default interfaces --any"}}},
      {"Lockdown",
       {{"default interfaces --allow tun0", EPERM, EPERM},
        {"default lockdown on", EPERM, EPERM},
        {"uid interfaces 10007 --any"},
        {"uid interfaces 10007 --allow eth0"},
        {"uid lockdown 10007 off"}}},
      {"LocalNetwork",
       {{"local-network add eth0 10.77.0.0/16"},
        {"uid local-network 10007 off", EPERM, 0},
        {"local-network add eth0 10.77.0.2 --protocol udp --ports 9 --action "
         "allow"},
        {"local-network remove eth0 10.77.0.2 --protocol udp --ports 9", EPERM,
         0},
        {"local-network fill eth0", EPERM, EPERM},
        {"uid local-network 10007 default"},
        {"default local-network off", EPERM, EPERM},
        {"uid local-network 10007 on"}}},
      {"NetworkRules",
       {{"rule add deny 10007 --prefix 10.77.0.0/24 --protocol udp --ports 9",
         EPERM, 0},
        {"rule add allow 10007 --prefix 10.77.0.2"},
        {"rule remove allow 10007 --prefix 10.77.0.2", EPERM, 0},
        {"rule clear 10007"},
        {"rule add deny 10007 --prefix 10.77.0.0/24 --ports 10-20"},
        {"rule add deny 10007 --protocol tcp"},
        {"rule add deny 10007 --dir in"},
        {"rule add deny 10007 --iface wlan0"},
        {"rule add deny 10007 --iface eth0", EPERM, EPERM},
        {"rule clear 10007"},
        {"rule add deny --default --prefix fd77::/64", 0, EPERM},
        {"rule add allow 10007 --prefix fd77::/64"},
        {"rule clear 10007", 0, EPERM},
        {"rule clear --default"}}},
      {"ExemptUids",
       {{"uid deny 10007", EPERM, EPERM},
        {"settings set --exempt-below 20000"},
        {"settings set --exempt-below 10007", EPERM, EPERM}}},
      {"Users",
       {{"uid deny 7", 0, 0},
        // Rules name an app id: that of UID 10007 is 7.
        {"settings set --uids-per-user 1000"},
        {"uid clear 7"}}},
      {"OwnChains",
       {{"chain add games --type denylist"},
        {"chain set-uids games 10000-10010"},
        {"chain enable games", EPERM, EPERM},
        {"chain set-uids games --none"},
        {"chain add-uid games 10007", EPERM, EPERM},
        {"chain remove games"}}},
      {"Rollback",
       {{"uid deny 10007", EPERM, EPERM},
        {"rollback"},
        {"default rule deny", EPERM, EPERM},
        {"uid allow 10007"}}},
  };
}

class CommandsTest : public NetdNetworkFixture {
 protected:
  void SetUp() override {
    NetdNetworkFixture::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    StartNetd();
    if (HasFatalFailure()) return;
    auto app = SpawnApp(kApp);
    ASSERT_THAT(app, IsOk());
    app_.emplace(*std::move(app));
    auto far = Actor::Spawn({.netns = peer_->fd()});
    ASSERT_THAT(far, IsOk());
    far_.emplace(*std::move(far));
  }

  // What ndc prints; fails the test unless its exit code is `code`.
  std::string Ndc(const std::string& words, int code = 0) const {
    const Said said = RunNdc(words);
    EXPECT_EQ(said.code, code) << "ndc " << words << "\n" << said.text;
    return said.text;
  }

  static int SendErrno(Actor& from, ActorSocket socket, const Endpoint& to) {
    return ErrnoOf(from.SendTo(socket, to, "x").status());
  }

  std::optional<Actor> app_;
  std::optional<Actor> far_;  // behind eth0, in no cgroup of netd's
};

TEST_F(CommandsTest, WhatIsSaidIsWhatSocketsMeet) {
  const std::string empty = dir_->File("empty.json");
  WriteContent(empty, R"({"version": 1})");
  // Open flows, whose verdicts are stored, and with each step a new socket.
  auto flow4 = app_->UdpSocket(AF_INET);
  auto flow6 = app_->UdpSocket(AF_INET6);
  ASSERT_THAT(flow4, IsOk());
  ASSERT_THAT(flow6, IsOk());
  for (const Row& row : Rows()) {
    SCOPED_TRACE(row.name);
    Ndc(absl::StrCat("apply ", empty));
    for (const Step& step : row.steps) {
      SCOPED_TRACE(step.command);
      Ndc(step.command);
      EXPECT_EQ(SendErrno(*app_, *flow4, kPeer4), step.udp4);
      EXPECT_EQ(SendErrno(*app_, *flow6, kPeer6), step.udp6);
      auto fresh = app_->UdpSocket(AF_INET);
      ASSERT_THAT(fresh, IsOk());
      EXPECT_EQ(SendErrno(*app_, *fresh, kPeer4), step.udp4);
      EXPECT_THAT(app_->Close(*fresh), IsOk());
      // And explain says the same.
      Ndc(absl::StrCat("explain --uid 10007 --iface eth0 --dir out "
                       "--protocol udp --remote 10.77.0.2 --remote-port 9"),
          step.udp4 == 0 ? 0 : 3);
    }
  }
}

TEST_F(CommandsTest, PortsThatNobodyMayBind) {
  auto bind = [this](uint16_t port) {
    auto socket = app_->UdpSocket(AF_INET);
    EXPECT_THAT(socket, IsOk());
    return ErrnoOf(app_->Bind(*socket, {"10.77.0.1", port}));
  };
  Ndc("bind-ports add 5353 8000-8010");
  EXPECT_EQ(bind(5353), EPERM);
  EXPECT_EQ(bind(8005), EPERM);
  EXPECT_EQ(bind(8011), 0);
  Ndc("bind-ports remove 8003-8006");
  EXPECT_EQ(bind(8005), 0);
  EXPECT_EQ(bind(8007), EPERM);
  Ndc("explain --uid 10007 --dir bind --local-port 8007 --protocol udp", 3);
}

TEST_F(CommandsTest, AddressesThatAreReachedOverOneInterfaceOnly) {
  auto server = app_->UdpSocket(AF_INET);
  ASSERT_THAT(server, IsOk());
  ASSERT_THAT(app_->Bind(*server, {"10.77.0.1", 7007}), IsOk());
  auto client = far_->UdpSocket(AF_INET);
  ASSERT_THAT(client, IsOk());
  const auto arrives = [&] {
    EXPECT_EQ(SendErrno(*far_, *client, {"10.77.0.1", 7007}), 0);
    return app_->Receive(*server, absl::Milliseconds(300)).ok();
  };
  EXPECT_TRUE(arrives());
  Ndc("discard add 10.77.0.1 tun0");
  EXPECT_FALSE(arrives());
  Ndc("discard add 10.77.0.1 eth0 tun0");
  EXPECT_TRUE(arrives());
  Ndc("discard add 10.77.0.1 tun0");
  EXPECT_FALSE(arrives());
  EXPECT_THAT(Ndc("why 10007"), HasSubstr("ingress_discard"));
  Ndc("discard remove 10.77.0.1");
  EXPECT_TRUE(arrives());
}

TEST_F(CommandsTest, ABlockedConnectFailsAtOnceAndWhySaysSo) {
  auto listener = far_->TcpSocket(AF_INET);
  ASSERT_THAT(listener, IsOk());
  ASSERT_THAT(far_->Bind(*listener, {"10.77.0.2", 443}), IsOk());
  ASSERT_THAT(far_->Listen(*listener), IsOk());
  Ndc("rule add deny 10007 --prefix 10.77.0.0/24 --protocol tcp --ports 443");
  auto socket = app_->TcpSocket(AF_INET);
  ASSERT_THAT(socket, IsOk());
  EXPECT_THAT(app_->Connect(*socket, {"10.77.0.2", 443}), HasErrno(EPERM));
  EXPECT_THAT(Ndc("why 10007"),
              AllOf(HasSubstr("network_rule"), HasSubstr("10.77.0.2"),
                    HasSubstr("443")));
  EXPECT_THAT(Ndc("reasons 10007"), HasSubstr("10007"));
  Ndc("rule clear 10007");
  EXPECT_THAT(app_->Connect(*socket, {"10.77.0.2", 443}), IsOk());
}

TEST_F(CommandsTest, ARefusedCommandChangesNothing) {
  Ndc("uid deny 10007");
  const Generation before = InForce().generation;
  Ndc("rule add deny 10007 --prefix 10.0.0.1/8", 2);
  Ndc("settings set --no-owner maybe", 2);
  Ndc("interface class Cell add eth0", 2);
  Ndc("rule remove deny 10007 --prefix 10.0.0.0/8", 1);
  Ndc("chain remove nosuch", 1);
  Ndc("uid allow 10007 --expect-generation 1", 4);
  Ndc("uid allow 10007 --dry-run");
  EXPECT_EQ(InForce().generation, before);
  auto socket = app_->UdpSocket(AF_INET);
  ASSERT_THAT(socket, IsOk());
  EXPECT_EQ(SendErrno(*app_, *socket, kPeer4), EPERM);
}

}  // namespace
}  // namespace netpolicy::testing
