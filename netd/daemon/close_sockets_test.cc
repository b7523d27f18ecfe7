// SPDX-License-Identifier: Apache-2.0
//
// `ndc --close-sockets` and absent interfaces, through a real netd with the
// privileges that it keeps.

#include <sys/socket.h>

#include <cerrno>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/kernel/probe_network.h"
#include "libpolicy/testing/actor.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/status_matchers.h"
#include "netd/daemon/netd_network_fixture.h"

namespace netpolicy::testing {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr uid_t kApp = 10007;
constexpr uid_t kOther = 10008;
constexpr uint16_t kPort = 4002;

class NetdCloseSocketsTest : public NetdNetworkFixture {
 protected:
  void SetUp() override {
    NetdNetworkFixture::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    StartNetd();
  }

  // What it printed, run in another network namespace than netd; other exit
  // codes than 0 are in its last line.
  std::string Ndc(const std::string& words) const {
    const Said said = RunNdc(words, &*peer_);
    if (said.code == 0) return said.text;
    return absl::StrCat(said.text, "exit code ", said.code, "\n");
  }
};

TEST_F(NetdCloseSocketsTest, NdcSaysHowManyWereClosed) {
  {
    auto inside = ScopedNetns::Enter(*ns_);
    ASSERT_THAT(inside, IsOk());
    if (!SocketsCanBeDestroyed(SOCK_STREAM).value_or(false)) {
      GTEST_SKIP() << "needs CONFIG_INET_DIAG_DESTROY";
    }
  }
  auto server = Actor::Spawn({.netns = peer_->fd()});
  ASSERT_THAT(server, IsOk());
  auto app = SpawnApp(kApp);
  auto other = SpawnApp(kOther);
  ASSERT_THAT(app, IsOk());
  ASSERT_THAT(other, IsOk());
  // Of each application one connection over IPv4 and one over IPv6.
  const Endpoint servers[] = {{"10.77.0.2", kPort}, {"fd77::2", kPort + 1}};
  ActorSocket of_app[2];
  ActorSocket of_other[2];
  for (int i = 0; i < 2; ++i) {
    const int family = servers[i].address.family();
    auto listener = server->TcpSocket(family);
    ASSERT_THAT(listener, IsOk());
    ASSERT_THAT(
        server->Bind(*listener, {IpAddress::Any(family), servers[i].port}),
        IsOk());
    ASSERT_THAT(server->Listen(*listener), IsOk());
    auto first = app->TcpSocket(family);
    auto second = other->TcpSocket(family);
    ASSERT_THAT(first, IsOk());
    ASSERT_THAT(second, IsOk());
    ASSERT_THAT(app->Connect(*first, servers[i]), IsOk());
    ASSERT_THAT(other->Connect(*second, servers[i]), IsOk());
    of_app[i] = *first;
    of_other[i] = *second;
  }

  EXPECT_EQ(Ndc(absl::StrCat("uid deny ", kOther,
                             " --dry-run "
                             "--close-sockets")),
            absl::StrCat("+ uid ", kOther,
                         ": rule deny\ndry run, still generation 1\n"));
  EXPECT_EQ(Ndc(absl::StrCat("uid deny ", kApp, " --close-sockets")),
            absl::StrCat("+ uid ", kApp,
                         ": rule deny\ngeneration 2\nclosed 2 sockets\n"));
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(app->Receive(of_app[i], absl::Seconds(1)).status(),
                HasErrno(ECONNABORTED));
    EXPECT_THAT(other->Send(of_other[i], "x"), IsOkAndHolds(1u));
  }
  EXPECT_THAT(Ndc(absl::StrCat("uid deny ", kOther)),
              HasSubstr("generation 3"));
  for (const ActorSocket socket : of_other) {
    EXPECT_THAT(other->Receive(socket, absl::Milliseconds(20)).status(),
                StatusIs(absl::StatusCode::kDeadlineExceeded));
  }
  EXPECT_THAT(Ndc("log"), HasSubstr("rule deny"));
}

TEST_F(NetdCloseSocketsTest, KeepsTheCapabilityForIt) {
  EXPECT_THAT(netd_->Output(), HasSubstr("capabilities=net_admin,bpf"));
}

TEST_F(NetdCloseSocketsTest, InterfacesThatAreNotThereAreNamed) {
  EXPECT_THAT(Ndc("status"), Not(HasSubstr("no such interface")));
  EXPECT_THAT(Ndc("doctor"),
              HasSubstr("every interface that the policy names is there"));
  EXPECT_THAT(
      Ndc(absl::StrCat("uid interfaces ", kApp, " --allow eth0,eth7,wg*")),
      HasSubstr("generation 2"));
  for (const char* command : {"status", "dump --tables", "doctor"}) {
    EXPECT_THAT(Ndc(command),
                AnyOf(HasSubstr("now: eth7, wg*"), HasSubstr("now  eth7, wg*")))
        << command;
  }
  for (const char* command : {"status --json", "dump --tables --json"}) {
    EXPECT_THAT(Ndc(command),
                HasSubstr("\"absent_interfaces\": [\n    \"eth7\",\n    "
                          "\"wg*\"\n  ]"))
        << command;
  }
  // The dump is still a policy.
  EXPECT_EQ(Ndc("dump | netd/cli/ndc --socket " + Socket() + " apply -"),
            "nothing to change, generation 2\n");
  ASSERT_THAT(ns_->RenameLink("eth0", "eth7"), IsOk());
  EXPECT_THAT(Ndc("status"), HasSubstr("now  eth0, wg*"));
}

}  // namespace
}  // namespace netpolicy::testing
