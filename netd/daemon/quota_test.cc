// SPDX-License-Identifier: Apache-2.0
//
// Quotas under the real netd and ndc, with real packets.

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/engine/engine.h"
#include "libpolicy/testing/actor.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/process.h"
#include "libpolicy/testing/status_matchers.h"
#include "netd/daemon/netd_network_fixture.h"
#include "netd/daemon/quota_file.h"

namespace netpolicy::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr uid_t kApp = 10007;
constexpr uint64_t kPacket = 100;  // bytes on the wire

class NetdQuotaTest : public NetdNetworkFixture {
 protected:
  void SetUp() override {
    NetdNetworkFixture::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    auto app = SpawnApp(kApp);
    ASSERT_THAT(app, IsOk());
    app_.emplace(*std::move(app));
  }

  // Where usage is saved rarely, what is on the disk is there for other
  // reasons.
  void StartNetd(const char* seconds = "--usage-seconds=3600") {
    NetdNetworkFixture::StartNetd({seconds});
    if (HasFatalFailure()) return;
    // Made under the programs' eyes.
    if (socket_.fd_in_actor < 0) {
      auto socket = app_->UdpSocket(AF_INET);
      ASSERT_THAT(socket, IsOk());
      socket_ = *socket;
    }
  }

  // What a reboot leaves: files.
  void LoseTheTables() { ASSERT_THAT(Engine::Detach(PinDir()), IsOk()); }

  bool Out() {
    const absl::Status sent =
        app_->SendTo(socket_, {"10.77.0.2", 9}, std::string(kPacket - 28, 'x'))
            .status();
    if (!sent.ok()) {
      EXPECT_EQ(ErrnoOf(sent), EPERM);
    }
    return sent.ok();
  }

  Quota TheQuota() {
    auto quotas = Connect()->Quotas();
    EXPECT_THAT(quotas, IsOkAndHolds(SizeIs(1)));
    return quotas.ok() && quotas->size() == 1 ? (*quotas)[0] : Quota();
  }

  // Until netd has logged it.
  bool ComesToSay(const std::string& text) {
    for (int i = 0; i < 1000; ++i) {
      if (absl::StrContains(netd_->Output(), text)) return true;
      absl::SleepFor(absl::Milliseconds(10));
    }
    return false;
  }

  std::optional<Actor> app_;
  ActorSocket socket_;
};

TEST_F(NetdQuotaTest, ALimitRefusesWhatIsTooMuchAndEverybodySaysWhy) {
  StartNetd();
  Said said = RunNdc("quota set uid:10007 limit 350 --dir out");
  EXPECT_EQ(said.text, "quota 1: limit 350 B (out) of uid 10007\n");
  EXPECT_EQ(said.code, 0);
  EXPECT_EQ(RunNdc("explain --uid 10007 --dir out").code, 0);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Out(), i < 3) << i;
  const Quota quota = TheQuota();
  EXPECT_EQ(quota.used, 3 * kPacket);
  EXPECT_EQ(quota.refused_packets, 2u);
  EXPECT_EQ(quota.refused_bytes, 2 * kPacket);
  said = RunNdc("why 10007");
  EXPECT_THAT(said.text, HasSubstr("quota"));
  EXPECT_THAT(said.text, HasSubstr("quota 1 had no room for it: limit of 350 "
                                   "outgoing bytes for uid 10007"));
  EXPECT_TRUE(ComesToSay("event=quota_crossed alert=1 quota=1 "));

  // Used up to the last byte it refuses everything that counts.
  EXPECT_EQ(RunNdc("quota set uid:10007 limit 300 --dir out").text,
            "quota 1: limit 300 B (out) of uid 10007\n");
  said = RunNdc("explain --uid 10007 --dir out");
  EXPECT_EQ(said.code, 3);
  EXPECT_THAT(said.text, HasSubstr("quota 1 is used up: limit of 300 outgoing "
                                   "bytes for uid 10007"));
  EXPECT_EQ(RunNdc("explain --uid 10007 --dir in").code, 0);
  EXPECT_EQ(RunNdc("explain --uid 10008 --dir out").code, 0);
  EXPECT_EQ(RunNdc("explain --uid 10007 --dir out --iface lo").code, 0);
  EXPECT_THAT(RunNdc("quota list").text, HasSubstr("used up"));
  EXPECT_EQ(RunNdc("quota reset 1").code, 0);
  EXPECT_TRUE(Out());
  EXPECT_EQ(RunNdc("quota remove 1").code, 0);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(Out()) << i;
  EXPECT_THAT(netd_->Output(), HasSubstr("event=quota_changed uid=0 "));
  EXPECT_THAT(netd_->Output(), HasSubstr("change=\"remove 1\""));
}

TEST_F(NetdQuotaTest, AnInterfaceAndEverythingHaveQuotasToo) {
  StartNetd();
  ASSERT_EQ(RunNdc("quota set iface:eth0 limit 2packets --dir out").code, 0);
  EXPECT_TRUE(Out());
  EXPECT_TRUE(Out());
  EXPECT_FALSE(Out());
  EXPECT_EQ(RunNdc("explain --uid 10007 --dir out --iface eth0").code, 3);
  EXPECT_EQ(RunNdc("explain --uid 10007 --dir out --iface lo").code, 0);
  ASSERT_EQ(RunNdc("quota remove 1").code, 0);
  ASSERT_EQ(RunNdc("quota set global limit 0 --dir out").code, 0);
  EXPECT_FALSE(Out());
  EXPECT_EQ(RunNdc("explain --uid 1 --dir out").code, 3);
}

TEST_F(NetdQuotaTest, KilledItKeepsWhatIsUsed) {
  StartNetd();
  ASSERT_EQ(RunNdc("quota set uid:10007 limit 1000 --dir out").code, 0);
  EXPECT_TRUE(Out());
  netd_->Kill();
  EXPECT_TRUE(Out());
  StartNetd();
  EXPECT_EQ(TheQuota().used, 2 * kPacket);
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(Out()) << i;
  EXPECT_FALSE(Out());
}

TEST_F(NetdQuotaTest, AfterABootLimitAndUseAreInForceAgain) {
  StartNetd("--usage-seconds=1");
  ASSERT_EQ(
      RunNdc("quota set uid:10007 limit 500 --dir out --period monthly:31")
          .code,
      0);
  const QuotaDefinition before = TheQuota().definition;
  EXPECT_TRUE(Out());
  EXPECT_TRUE(Out());
  // Saved by the clock, not by its end.
  const QuotaFile file(State() + ".quotas");
  uint64_t saved = 0;
  for (int i = 0; i < 1000 && saved < 2 * kPacket; ++i) {
    absl::SleepFor(absl::Milliseconds(10));
    auto state = file.Load();
    ASSERT_THAT(state, IsOk());
    saved = (*state)->quotas[0].used;
  }
  netd_->Kill();
  LoseTheTables();
  StartNetd();
  EXPECT_THAT(netd_->Output(), HasSubstr("event=quotas_restored count=1"));
  EXPECT_EQ(TheQuota().definition, before);
  EXPECT_EQ(TheQuota().used, 2 * kPacket);
  // Ended in good order it has saved the rest.
  EXPECT_TRUE(Out());
  Stop(*netd_);
  LoseTheTables();
  StartNetd();
  EXPECT_EQ(TheQuota().used, 3 * kPacket);
  EXPECT_TRUE(Out());
  EXPECT_TRUE(Out());
  EXPECT_FALSE(Out());
  // So has --detach.
  netd_->Kill();
  ASSERT_EQ(Run(With({"--detach"})).code, 0);
  EXPECT_TRUE(Out());
  StartNetd();
  EXPECT_EQ(TheQuota().used, 5 * kPacket);
  EXPECT_FALSE(Out());
}

TEST_F(NetdQuotaTest, APeriodThatEndedWhileTheMachineWasOffBegins) {
  Quota quota;
  quota.id = QuotaId{4};
  quota.definition.subject = QuotaSubject::OfUid(Uid{kApp});
  quota.definition.unit = QuotaDefinition::Unit::kPackets;
  quota.definition.directions = QuotaDefinition::Directions::kOut;
  quota.definition.period = {QuotaPeriod::Kind::kHours, 8784};
  quota.definition.limit = 2;
  quota.used = 2;
  const auto start = [&](absl::Time period_start) {
    quota.period_start = period_start;
    QuotaState state;
    state.quotas = {quota};
    WriteContent(State() + ".quotas", EncodeQuotaState(state));
    StartNetd();
  };
  ASSERT_EQ(mkdir(dir_->File("state").c_str(), 0700), 0);
  start(absl::Now() - absl::Hours(1));
  EXPECT_FALSE(Out()) << "the period of before goes on";
  Stop(*netd_);
  LoseTheTables();
  start(absl::Now() - absl::Hours(8785));
  EXPECT_TRUE(Out());
  EXPECT_TRUE(Out());
  EXPECT_FALSE(Out());
  EXPECT_EQ(TheQuota().id, QuotaId{4});
}

TEST_F(NetdQuotaTest, AnAlertIsToldOnceAlsoWhenNetdWasDown) {
  StartNetd();
  ASSERT_EQ(RunNdc("quota set uid:10007 alert 2packets --dir out").code, 0);
  EXPECT_EQ(RunNdc("quota alerts").text, "there are no alerts\n");
  EXPECT_TRUE(Out());
  netd_->Kill();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Out()) << i;
  StartNetd();
  EXPECT_THAT(netd_->Output(),
              HasSubstr("event=quota_crossed alert=1 quota=1 "));
  auto alerts = Connect()->Alerts();
  ASSERT_THAT(alerts, IsOk());
  ASSERT_THAT(alerts->list, SizeIs(1));
  EXPECT_EQ(alerts->list[0].quota.definition.kind,
            QuotaDefinition::Kind::kAlert);
  // No more of it, however netd ends.
  netd_->Kill();
  EXPECT_TRUE(Out());
  StartNetd();
  EXPECT_THAT(netd_->Output(), Not(HasSubstr("quota_crossed")));
  Stop(*netd_);
  LoseTheTables();
  StartNetd();
  EXPECT_TRUE(Out());
  EXPECT_THAT(Connect()->Alerts()->list, SizeIs(1));
  EXPECT_THAT(netd_->Output(), Not(HasSubstr("quota_crossed")));
  EXPECT_THAT(RunNdc("quota alerts --acknowledge").text,
              HasSubstr("alert 2 packets (out) of uid 10007"));
  netd_->Kill();
  StartNetd();
  EXPECT_EQ(RunNdc("quota alerts").text, "there are no alerts\n");
}

TEST_F(NetdQuotaTest, WhoWatchesIsToldWhenItHappens) {
  StartNetd();
  ASSERT_EQ(RunNdc("quota set uid:10007 alert 1packets --dir out").code, 0);
  EXPECT_TRUE(Out());
  // Nobody asks, and nothing is due for an hour.
  EXPECT_TRUE(ComesToSay("event=quota_crossed alert=1 quota=1 "));
  EXPECT_THAT(
      RunNdc("quota watch --all --count 1").text,
      HasSubstr("alert 1  quota 1  alert 1 packets (out) of uid 10007"));
}

TEST_F(NetdQuotaTest, WhoMayOnlyReadMayNotChange) {
  NetdNetworkFixture::StartNetd({"--read-group=65533"});
  ASSERT_NE(netd_, nullptr);
  ChildOptions reader;
  reader.uid = kApp;
  reader.gid = 65533;
  EXPECT_THAT(
      RunInChild(reader,
                 [&] {
                   auto netd = Client::Connect(Socket(), absl::Seconds(20));
                   if (!netd.ok()) return 1;
                   if (!(*netd)->Quotas().ok()) return 2;
                   if (!(*netd)->Alerts().ok()) return 3;
                   const auto set = (*netd)->SetQuota({.limit = 5});
                   return absl::IsPermissionDenied(set.status()) ? 0 : 4;
                 }),
      IsOkAndHolds(0));
  EXPECT_THAT(Connect()->Quotas(), IsOkAndHolds(IsEmpty()));
}

}  // namespace
}  // namespace netpolicy::testing
