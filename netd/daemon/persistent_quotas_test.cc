// SPDX-License-Identifier: Apache-2.0
//
// Quotas of real tables and real packets, with a clock of the test's own.

#include "netd/daemon/persistent_quotas.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/process.h"
#include "libpolicy/testing/scratch_dir.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/tests/testbed.h"

namespace netpolicy {
namespace {

using ::netpolicy::testing::Actor;
using ::netpolicy::testing::ActorSocket;
using ::netpolicy::testing::ChildProcess;
using ::netpolicy::testing::ErrnoOf;
using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::IsOkAndHolds;
using ::netpolicy::testing::ScratchDir;
using ::netpolicy::testing::StatusIs;
using ::netpolicy::testing::Testbed;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uid_t kAppUid = 10001;

QuotaDefinition Packets(uint64_t limit) {
  QuotaDefinition definition;
  definition.subject = QuotaSubject::OfUid(Uid{kAppUid});
  definition.unit = QuotaDefinition::Unit::kPackets;
  definition.directions = QuotaDefinition::Directions::kOut;
  definition.period = {QuotaPeriod::Kind::kDay, 0};
  definition.limit = limit;
  return definition;
}

QuotaDefinition Alert(uint64_t limit) {
  QuotaDefinition definition = Packets(limit);
  definition.kind = QuotaDefinition::Kind::kAlert;
  return definition;
}

class PersistentQuotasTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (auto missing = netpolicy::testing::MissingForBpfTests()) {
      GTEST_SKIP() << *missing;
    }
    auto bed = Testbed::Create();
    ASSERT_THAT(bed, IsOk());
    bed_ = *std::move(bed);
    auto dir = ScratchDir::Create();
    ASSERT_THAT(dir, IsOk());
    dir_.emplace(*std::move(dir));
    auto app = bed_->SpawnApp(kAppUid);
    ASSERT_THAT(app, IsOk());
    app_.emplace(*std::move(app));
    auto socket = app_->UdpSocket(AF_INET);
    ASSERT_THAT(socket, IsOk());
    socket_ = *socket;
    now_ = absl::Now();
    Open();
  }

  // As a netd that starts.
  void Open() {
    quotas_.reset();
    PersistentQuotas::Options options;
    options.path = dir_->File("quotas");
    options.zone = absl::UTCTimeZone();
    options.now = [this] { return now_; };
    options.on_alert = [this](const QuotaAlert& alert) {
      told_.push_back(alert.number);
      if (dies_when_told_) _exit(7);
    };
    options.on_next_period = [this](absl::Time next) { next_period_ = next; };
    auto saved = PersistentQuotas::LoadSaved(options.path);
    ASSERT_THAT(saved, IsOk());
    auto quotas = PersistentQuotas::Open(bed_->engine(), *std::move(saved),
                                         std::move(options));
    ASSERT_THAT(quotas, IsOk());
    quotas_ = *std::move(quotas);
    ASSERT_THAT(quotas_->Refresh(), IsOk());
  }

  // Everything in the kernel is gone.
  void Reboot() {
    quotas_.reset();
    ASSERT_THAT(Engine::Detach(bed_->pin_dir()), IsOk());
    ASSERT_THAT(bed_->Reopen(), IsOk());
    Open();
  }

  QuotaId Set(const QuotaDefinition& definition) {
    auto id = quotas_->SetQuota(definition);
    EXPECT_THAT(id, IsOk());
    return id.value_or(QuotaId{});
  }

  Quota Get(QuotaId id) {
    auto quotas = quotas_->Quotas();
    EXPECT_THAT(quotas, IsOk());
    for (const Quota& quota : quotas.value_or(std::vector<Quota>())) {
      if (quota.id == id) return quota;
    }
    ADD_FAILURE() << "no quota " << ToInt(id);
    return {};
  }

  // Whether a datagram gets out.
  bool Out() {
    const absl::Status sent =
        app_->SendTo(socket_, {"10.77.0.2", 9}, "hello").status();
    if (!sent.ok()) {
      EXPECT_EQ(ErrnoOf(sent), EPERM);
    }
    return sent.ok();
  }

  std::unique_ptr<Testbed> bed_;
  std::optional<ScratchDir> dir_;
  std::optional<Actor> app_;
  ActorSocket socket_;
  absl::Time now_;
  absl::Time next_period_;
  std::vector<uint64_t> told_;
  bool dies_when_told_ = false;
  std::unique_ptr<PersistentQuotas> quotas_;
};

TEST_F(PersistentQuotasTest, UseAndLimitOutliveTheTables) {
  const QuotaId id = Set(Packets(3));
  EXPECT_TRUE(Out());
  EXPECT_TRUE(Out());
  ASSERT_THAT(quotas_->Refresh(), IsOk());
  Reboot();
  EXPECT_EQ(quotas_->restored(), 1);
  EXPECT_EQ(Get(id).definition, Packets(3));
  EXPECT_EQ(Get(id).used, 2u);
  EXPECT_TRUE(Out());
  EXPECT_FALSE(Out());
  EXPECT_EQ(Get(id).refused_packets, 1u);
  // Adopted tables are the truth, whatever the file says.
  Open();
  EXPECT_EQ(quotas_->restored(), 0);
  EXPECT_EQ(Get(id).used, 3u);
}

TEST_F(PersistentQuotasTest, WhatWasRemovedOrResetStaysSo) {
  const QuotaId removed = Set(Packets(1));
  QuotaDefinition all = Packets(10);
  all.subject = QuotaSubject::OfAll();
  const QuotaId reset = Set(all);
  EXPECT_TRUE(Out());
  EXPECT_FALSE(Out());
  ASSERT_THAT(quotas_->RemoveQuota(removed), IsOk());
  EXPECT_TRUE(Out());
  ASSERT_THAT(quotas_->ResetQuota(reset), IsOk());
  Reboot();
  EXPECT_THAT(quotas_->Quotas(), IsOkAndHolds(SizeIs(1)));
  EXPECT_EQ(Get(reset).used, 0u);
  EXPECT_EQ(Get(reset).packets, 2u);
  EXPECT_THAT(quotas_->RemoveQuota(removed),
              StatusIs(absl::StatusCode::kNotFound,
                       absl::StrCat("remove quota: there is no quota ",
                                    ToInt(removed))));
  EXPECT_THAT(quotas_->ResetQuota(removed),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(PersistentQuotasTest, APeriodBeginsWhenItsTimeHasComeAlsoAfterAReboot) {
  const QuotaId id = Set(Packets(1));
  const absl::Time tomorrow = absl::FromCivil(
      absl::ToCivilDay(now_, absl::UTCTimeZone()) + 1, absl::UTCTimeZone());
  EXPECT_EQ(next_period_, tomorrow);
  EXPECT_TRUE(Out());
  EXPECT_FALSE(Out());
  now_ = tomorrow - absl::Nanoseconds(1);
  ASSERT_THAT(quotas_->Refresh(), IsOk());
  EXPECT_FALSE(Out());
  now_ = tomorrow;
  ASSERT_THAT(quotas_->Refresh(), IsOk());
  EXPECT_EQ(next_period_, tomorrow + absl::Hours(24));
  EXPECT_TRUE(Out());
  EXPECT_FALSE(Out());
  // A clock that was set back gives nothing away.
  now_ = tomorrow - absl::Hours(100);
  ASSERT_THAT(quotas_->Refresh(), IsOk());
  EXPECT_FALSE(Out());
  // A day that began while the machine was off.
  now_ = tomorrow + absl::Hours(24);
  Reboot();
  EXPECT_EQ(Get(id).used, 0u);
  EXPECT_TRUE(Out());
  EXPECT_FALSE(Out());
}

TEST_F(PersistentQuotasTest, AnAlertComesOnceWhateverHappens) {
  const QuotaId id = Set(Alert(2));
  EXPECT_TRUE(Out());
  EXPECT_THAT(quotas_->Alerts()->list, IsEmpty());
  // Nobody looks while it is crossed.
  quotas_.reset();
  EXPECT_TRUE(Out());
  EXPECT_TRUE(Out());
  Open();
  EXPECT_THAT(told_, ::testing::ElementsAre(1));
  auto alerts = quotas_->Alerts();
  ASSERT_THAT(alerts, IsOk());
  ASSERT_THAT(alerts->list, SizeIs(1));
  EXPECT_EQ(alerts->list[0].number, 1u);
  EXPECT_EQ(alerts->list[0].quota.id, id);
  EXPECT_EQ(alerts->list[0].quota.definition, Alert(2));
  for (int i = 0; i < 2; ++i) {
    Open();
    EXPECT_THAT(quotas_->Alerts()->list, SizeIs(1)) << i;
    Reboot();
    EXPECT_THAT(quotas_->Alerts()->list, SizeIs(1)) << i;
  }
  EXPECT_THAT(told_, SizeIs(1));
  EXPECT_TRUE(Out());
  EXPECT_THAT(quotas_->Alerts()->list, SizeIs(1));

  ASSERT_THAT(quotas_->AcknowledgeAlerts(1), IsOk());
  EXPECT_THAT(quotas_->Alerts()->list, IsEmpty());
  EXPECT_THAT(quotas_->AcknowledgeAlerts(2),
              StatusIs(absl::StatusCode::kInvalidArgument));
  Reboot();
  EXPECT_THAT(quotas_->Alerts()->list, IsEmpty());
  // The next period has one of its own, with a number of its own.
  now_ += absl::Hours(24);
  ASSERT_THAT(quotas_->Refresh(), IsOk());
  EXPECT_TRUE(Out());
  EXPECT_THAT(quotas_->Alerts()->list, IsEmpty());
  EXPECT_TRUE(Out());
  alerts = quotas_->Alerts();
  ASSERT_THAT(alerts->list, SizeIs(1));
  EXPECT_EQ(alerts->list[0].number, 2u);
}

TEST_F(PersistentQuotasTest, WhoDiesBetweenFileAndKernelMakesNoSecondAlert) {
  Set(Alert(1));
  EXPECT_TRUE(Out());
  dies_when_told_ = true;
  auto child = ChildProcess::Start(
      {}, [this] { return quotas_->Refresh().ok() ? 0 : 1; },
      netpolicy::testing::Inherited::kKept);
  ASSERT_THAT(child, IsOk());
  EXPECT_THAT(child->Wait(absl::Seconds(20)), IsOkAndHolds(7));
  dies_when_told_ = false;
  ASSERT_THAT(bed_->engine().QuotaCrossings(), IsOkAndHolds(SizeIs(1)));
  Open();
  EXPECT_THAT(bed_->engine().QuotaCrossings(), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(quotas_->Alerts()->list, SizeIs(1));
  // It may not have been told, so it is again, by the same number.
  EXPECT_THAT(told_, ::testing::ElementsAre(1));
}

TEST_F(PersistentQuotasTest, ALimitTellsWithWhatWasUsedWhenItRefused) {
  Set(Packets(2));
  for (int i = 0; i < 4; ++i) Out();
  // The period ends before anybody looks.
  now_ += absl::Hours(24);
  ASSERT_THAT(quotas_->Refresh(), IsOk());
  auto alerts = quotas_->Alerts();
  ASSERT_THAT(alerts->list, SizeIs(1));
  EXPECT_EQ(alerts->list[0].quota.used, 2u);
  EXPECT_EQ(alerts->list[0].quota.refused_packets, 2u);
}

TEST_F(PersistentQuotasTest, WhatCannotBeSavedIsNotInForce) {
  const QuotaId id = Set(Packets(1));
  EXPECT_TRUE(Out());
  // Nothing can be written any more.
  ASSERT_EQ(mkdir(dir_->File("quotas.new").c_str(), 0700), 0);
  const auto fails = [&](const absl::Status& status) {
    EXPECT_THAT(status,
                StatusIs(::testing::Ne(absl::StatusCode::kOk),
                         HasSubstr(absl::StrCat("save quotas ",
                                                dir_->File("quotas"), ": "))));
  };
  fails(quotas_->SetQuota(Packets(100)).status());
  fails(quotas_->SetQuota(Alert(1)).status());
  fails(quotas_->RemoveQuota(id));
  fails(quotas_->ResetQuota(id));
  EXPECT_FALSE(Out());
  EXPECT_THAT(quotas_->Quotas(), IsOkAndHolds(SizeIs(1)));
  EXPECT_EQ(Get(id).definition, Packets(1));
  EXPECT_EQ(Get(id).used, 1u);
  EXPECT_THAT(told_, IsEmpty());
  // And then it can.
  ASSERT_EQ(rmdir(dir_->File("quotas.new").c_str()), 0);
  ASSERT_THAT(quotas_->Refresh(), IsOk());
  EXPECT_THAT(told_, SizeIs(1));
}

TEST_F(PersistentQuotasTest, ADamagedFileIsMovedAside) {
  const QuotaId id = Set(Packets(5));
  quotas_.reset();
  const std::string path = dir_->File("quotas");
  ASSERT_EQ(truncate(path.c_str(), 30), 0);
  Open();
  EXPECT_THAT(quotas_->damage(), HasSubstr(path + ".damaged"));
  EXPECT_EQ(access((path + ".damaged").c_str(), F_OK), 0);
  EXPECT_EQ(Get(id).definition, Packets(5));
  Reboot();
  EXPECT_EQ(Get(id).definition, Packets(5)) << "saved anew";
  EXPECT_EQ(quotas_->damage(), "");
}

TEST_F(PersistentQuotasTest, WhatOthersSetIsKept) {
  ASSERT_THAT(bed_->engine().SetQuota(Packets(1), absl::UTCTimeZone()), IsOk());
  ASSERT_THAT(quotas_->Refresh(), IsOk());
  Reboot();
  EXPECT_THAT(quotas_->Quotas(), IsOkAndHolds(SizeIs(1)));
}

TEST_F(PersistentQuotasTest, WithoutQuotasThereIsNoFile) {
  ASSERT_THAT(quotas_->Refresh(), IsOk());
  EXPECT_NE(access(dir_->File("quotas").c_str(), F_OK), 0);
}

}  // namespace
}  // namespace netpolicy
