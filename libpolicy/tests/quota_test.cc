// SPDX-License-Identifier: Apache-2.0
//
// Quotas with real sockets: what reaches the far end of the wire never exceeds
// a limit, and what is charged is exactly that.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "bpf_progs/abi/reason.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/packet_capture.h"
#include "libpolicy/testing/process.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/veth_pair.h"
#include "libpolicy/tests/testbed.h"

namespace netpolicy::testing {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uid_t kAppUid = 10001;
constexpr uint16_t kAppPort = 4001;
constexpr uint16_t kPeerPort = 4002;
constexpr uint64_t kHeaders = 28;  // IPv4 and UDP

// Between the kernel's clock at a crossing and the test's, in a virtual
// machine.
constexpr absl::Duration kClockSlip = absl::Seconds(1);

// Sends datagrams from so many threads, each of another size, until each was
// refused often. How many threads met anything but refusals at their end.
int Flood(int flows) {
  std::vector<std::thread> threads;
  std::vector<int> wrong(static_cast<size_t>(flows));
  for (int i = 0; i < flows; ++i) {
    threads.emplace_back([i, &wrong] {
      const int fd = socket(AF_INET, SOCK_DGRAM, 0);
      sockaddr_in to = {};
      to.sin_family = AF_INET;
      to.sin_port = htons(kPeerPort);
      inet_pton(AF_INET, "10.77.0.2", &to.sin_addr);
      const std::string data(static_cast<size_t>(100 + 97 * i), 'x');
      int refused = 0;
      for (int sent = 0; sent < 1'000'000 && refused < 300; ++sent) {
        if (sendto(fd, data.data(), data.size(), 0,
                   reinterpret_cast<const sockaddr*>(&to), sizeof(to)) < 0 &&
            errno == EPERM) {
          ++refused;
        }
      }
      wrong[static_cast<size_t>(i)] = refused < 300 ? 1 : 0;
    });
  }
  int sum = 0;
  for (size_t i = 0; i < threads.size(); ++i) {
    threads[i].join();
    sum += wrong[i];
  }
  return sum;
}

class QuotaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (auto missing = MissingForBpfTests()) GTEST_SKIP() << *missing;
    auto bed = Testbed::Create();
    ASSERT_THAT(bed, IsOk());
    bed_ = *std::move(bed);
    ASSERT_NO_FATAL_FAILURE(StartCapture());
    auto app = bed_->SpawnApp(kAppUid);
    ASSERT_THAT(app, IsOk());
    app_.emplace(*std::move(app));
    auto peer = bed_->SpawnPeer();
    ASSERT_THAT(peer, IsOk());
    peer_.emplace(*std::move(peer));
    app_udp_ = Bound(*app_, kAppPort);
    peer_udp_ = Bound(*peer_, kPeerPort);
  }

  void StartCapture() {
    auto capture = PacketCapture::Start(bed_->peer_ns(), "eth0");
    ASSERT_THAT(capture, IsOk());
    capture_.emplace(*std::move(capture));
  }

  static ActorSocket Bound(Actor& actor, uint16_t port) {
    auto socket = actor.UdpSocket(AF_INET);
    EXPECT_THAT(socket, IsOk());
    if (!socket.ok()) return {};
    EXPECT_THAT(actor.Bind(*socket, {IpAddress::Any(AF_INET), port}), IsOk());
    return *socket;
  }

  Engine& engine() { return bed_->engine(); }

  QuotaId Set(const QuotaDefinition& definition) {
    auto id = engine().SetQuota(definition, absl::UTCTimeZone());
    EXPECT_THAT(id, IsOk());
    return id.value_or(QuotaId{});
  }

  Quota Get(QuotaId id) {
    auto quotas = engine().Quotas();
    EXPECT_THAT(quotas, IsOk());
    if (quotas.ok()) {
      for (Quota& quota : *quotas) {
        if (quota.id == id) return quota;
      }
    }
    ADD_FAILURE() << "no quota " << ToInt(id);
    return {};
  }

  // Whether a datagram of so many bytes got out.
  bool Out(size_t bytes = 72) {
    const absl::Status sent = app_->SendTo(app_udp_, {"10.77.0.2", kPeerPort},
                                           std::string(bytes, 'x'))
                                  .status();
    if (sent.ok()) return peer_->Receive(peer_udp_, absl::Seconds(5)).ok();
    EXPECT_EQ(ErrnoOf(sent), EPERM);
    return false;
  }
  bool In(size_t bytes, absl::Duration wait) {
    EXPECT_THAT(peer_->SendTo(peer_udp_, {"10.77.0.1", kAppPort},
                              std::string(bytes, 'x')),
                IsOk());
    return app_->Receive(app_udp_, wait).ok();
  }

  PacketCount Sent() {
    PacketFilter filter;
    filter.direction = Direction::kIn;
    filter.protocol = IPPROTO_UDP;
    auto count = capture_->Count(filter);
    EXPECT_THAT(count, IsOk());
    return count.value_or(PacketCount{});
  }

  std::unique_ptr<Testbed> bed_;
  std::optional<PacketCapture> capture_;
  std::optional<Actor> app_;
  std::optional<Actor> peer_;
  ActorSocket app_udp_, peer_udp_;
};

QuotaDefinition OfUid(uint64_t limit) {
  QuotaDefinition definition;
  definition.subject = QuotaSubject::OfUid(Uid{kAppUid});
  definition.limit = limit;
  return definition;
}

QuotaDefinition Packets(QuotaDefinition definition) {
  definition.unit = QuotaDefinition::Unit::kPackets;
  return definition;
}

class Parallel : public QuotaTest, public ::testing::WithParamInterface<int> {};

TEST_P(Parallel, WhatPassesNeverExceedsTheLimitAndIsWhatIsCharged) {
  constexpr uint64_t kLimit = 3'000'001;
  const QuotaId id = Set(OfUid(kLimit));
  const int flows = GetParam();
  auto wrong = RunInChild(
      {.uid = kAppUid,
       .cgroup = bed_->cgroup().path(),
       .netns = bed_->app_ns().fd()},
      [flows] { return Flood(flows); }, absl::Seconds(90));
  ASSERT_THAT(wrong, IsOkAndHolds(0));
  const Quota quota = Get(id);
  PacketFilter filter;
  filter.direction = Direction::kIn;
  filter.protocol = IPPROTO_UDP;
  EXPECT_THAT(capture_->WaitFor(filter, quota.packets), IsOk());
  const PacketCount sent = Sent();
  EXPECT_LE(sent.wire_bytes, kLimit);
  EXPECT_EQ(sent.wire_bytes, quota.used);
  EXPECT_EQ(sent.wire_bytes, quota.bytes);
  EXPECT_EQ(sent.packets, quota.packets);
  // All tried many times after the last had passed, so not even the smallest
  // would still fit.
  EXPECT_GT(sent.wire_bytes + 100 + kHeaders, kLimit);
  EXPECT_GE(quota.refused_packets, 300u * static_cast<uint64_t>(flows));
  printf("%d flows: %llu of %llu bytes passed\n", flows,
         static_cast<unsigned long long>(sent.wire_bytes),
         static_cast<unsigned long long>(kLimit));
}

INSTANTIATE_TEST_SUITE_P(Flows, Parallel, ::testing::Values(1, 2, 8));

TEST_F(QuotaTest, ALimitRefusesForItsOwnReasonWhatWouldBeTooMuch) {
  // Two datagrams of 100 bytes and their headers fit, a third does not.
  const QuotaId id = Set(OfUid(3 * 100 - 1));
  EXPECT_TRUE(Out(72));
  EXPECT_TRUE(Out(72));
  EXPECT_FALSE(Out(72));
  EXPECT_TRUE(Out(99 - kHeaders)) << "what is left";
  EXPECT_FALSE(Out(0));
  const Quota quota = Get(id);
  EXPECT_EQ(quota.used, 299u);
  EXPECT_EQ(quota.bytes, 299u);
  EXPECT_EQ(quota.packets, 3u);
  EXPECT_EQ(quota.refused_packets, 2u);
  EXPECT_EQ(quota.refused_bytes, 100u + kHeaders);
  EXPECT_TRUE(quota.exhausted());
  EXPECT_TRUE(quota.crossed);

  auto stats = engine().Stats();
  ASSERT_THAT(stats, IsOk());
  ASSERT_THAT(stats->drops, SizeIs(1));
  EXPECT_EQ(stats->drops[0].packets, 2u);
  EXPECT_EQ(ReasonSet(stats->drops[0].reasons).numbers(),
            std::vector<int>{NP_REASON_QUOTA});
}

TEST_F(QuotaTest, ANewQuotaCountsSocketsThatHaveSentBefore) {
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Out());
  const QuotaId id = Set(Packets(OfUid(1)));
  EXPECT_TRUE(Out());
  EXPECT_FALSE(Out());
  EXPECT_THAT(engine().RemoveQuota(id), IsOk());
  EXPECT_TRUE(Out());
  EXPECT_THAT(engine().Quotas(), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(engine().RemoveQuota(id), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(QuotaTest, EachDirectionCanHaveALimitOfItsOwn) {
  QuotaDefinition in = Packets(OfUid(1));
  in.directions = QuotaDefinition::Directions::kIn;
  QuotaDefinition out = Packets(OfUid(2));
  out.directions = QuotaDefinition::Directions::kOut;
  const QuotaId in_id = Set(in);
  const QuotaId out_id = Set(out);
  EXPECT_TRUE(In(10, absl::Seconds(5)));
  EXPECT_FALSE(In(10, absl::Milliseconds(100)));
  EXPECT_TRUE(Out());
  EXPECT_TRUE(Out());
  EXPECT_FALSE(Out());
  EXPECT_EQ(Get(in_id).packets, 1u);
  EXPECT_EQ(Get(in_id).refused_packets, 1u);
  EXPECT_EQ(Get(out_id).packets, 2u);
  EXPECT_EQ(Get(out_id).refused_packets, 1u);
}

TEST_F(QuotaTest, WhatOneQuotaRefusesIsChargedToNone) {
  const QuotaId uid = Set(Packets(OfUid(10)));
  QuotaDefinition all = Packets({});
  all.limit = 3;
  const QuotaId global = Set(all);
  QuotaDefinition link = Packets({});
  link.subject = QuotaSubject::OfInterface("eth0");
  link.limit = 100;
  const QuotaId interface = Set(link);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Out(), i < 3) << i;
  for (const QuotaId id : {uid, global, interface}) {
    EXPECT_EQ(Get(id).used, 3u) << ToInt(id);
    EXPECT_EQ(Get(id).refused_packets, id == global ? 2u : 0u) << ToInt(id);
  }
}

TEST_F(QuotaTest, WhatTheFirewallRefusesIsNotCharged) {
  const QuotaId id = Set(Packets(OfUid(10)));
  ASSERT_THAT(bed_->Apply(absl::StrCat(R"({"version": 1, "uids": [{"uid": )",
                                       kAppUid, R"(, "rule": "deny"}]})")),
              IsOk());
  EXPECT_FALSE(Out());
  EXPECT_EQ(Get(id).used, 0u);
  EXPECT_EQ(Get(id).refused_packets, 0u);
}

TEST_F(QuotaTest, LoopbackIsExemptFromAllQuotasButItsOwn) {
  const QuotaId uid = Set(Packets(OfUid(0)));
  QuotaDefinition all = Packets({});
  const QuotaId global = Set(all);
  for (int i = 0; i < 2; ++i) {
    ASSERT_THAT(app_->SendTo(app_udp_, {"127.0.0.1", kAppPort}, "x"), IsOk());
    EXPECT_TRUE(app_->Receive(app_udp_, absl::Seconds(5)).ok());
  }
  EXPECT_EQ(Get(uid).refused_packets + Get(global).refused_packets, 0u);
  EXPECT_EQ(Get(uid).packets + Get(global).packets, 0u);
}

TEST_F(QuotaTest, AnInterfaceThatIsMadeAgainHasItsQuotaStill) {
  QuotaDefinition definition = Packets({});
  definition.subject = QuotaSubject::OfInterface("eth0");
  definition.limit = 2;
  const QuotaId id = Set(definition);
  EXPECT_TRUE(Out());
  ASSERT_THAT(bed_->app_ns().DeleteLink("eth0"), IsOk());
  auto again = VethPair::Create(bed_->app_ns(), bed_->peer_ns(), {});
  ASSERT_THAT(again, IsOk());
  EXPECT_TRUE(Out());
  EXPECT_FALSE(Out());
  EXPECT_EQ(Get(id).used, 2u);
}

TEST_F(QuotaTest, AnAlertIsToldOnceAPeriodAlsoToALaterEngine) {
  QuotaDefinition definition = Packets(OfUid(2));
  definition.kind = QuotaDefinition::Kind::kAlert;
  definition.period = {QuotaPeriod::Kind::kDay, 0};
  const QuotaId id = Set(definition);
  EXPECT_TRUE(Out());
  EXPECT_THAT(engine().QuotaCrossings(), IsOkAndHolds(IsEmpty()));
  const absl::Time before = absl::Now();
  EXPECT_TRUE(Out());
  const absl::Time after = absl::Now();
  EXPECT_TRUE(Out());
  ASSERT_THAT(bed_->Reopen(), IsOk());
  auto crossings = engine().QuotaCrossings();
  ASSERT_THAT(crossings, IsOkAndHolds(SizeIs(1)));
  const QuotaCrossing crossing = crossings->front();
  EXPECT_EQ(crossing.quota.id, id);
  EXPECT_GE(crossing.time, before - kClockSlip);
  EXPECT_LE(crossing.time, after + kClockSlip);
  // Not told yet, so it is there still.
  EXPECT_THAT(engine().QuotaCrossings(), IsOkAndHolds(SizeIs(1)));
  ASSERT_THAT(engine().AcknowledgeQuotaCrossing(crossing), IsOk());
  EXPECT_TRUE(Out());
  EXPECT_THAT(engine().QuotaCrossings(), IsOkAndHolds(IsEmpty()));

  const absl::Time tomorrow = absl::Now() + absl::Hours(24);
  ASSERT_THAT(engine().RestartQuotaPeriods(tomorrow, absl::UTCTimeZone()),
              IsOk());
  EXPECT_EQ(Get(id).used, 0u);
  EXPECT_EQ(Get(id).packets, 4u);
  EXPECT_TRUE(Out());
  EXPECT_THAT(engine().QuotaCrossings(), IsOkAndHolds(IsEmpty()));
  EXPECT_TRUE(Out());
  EXPECT_THAT(engine().QuotaCrossings(), IsOkAndHolds(SizeIs(1)));
}

TEST_F(QuotaTest, APeriodThatBeginsGivesTheWholeLimitAndNothingElseDoes) {
  QuotaDefinition definition = Packets(OfUid(2));
  definition.period = {QuotaPeriod::Kind::kDay, 0};
  const QuotaId id = Set(definition);
  const auto restart = [&](absl::Duration ahead) {
    return engine()
        .RestartQuotaPeriods(absl::Now() + ahead, absl::UTCTimeZone())
        .status();
  };
  EXPECT_TRUE(Out());
  EXPECT_TRUE(Out());
  EXPECT_FALSE(Out());
  // The same day, and a clock that was set back.
  ASSERT_THAT(restart(absl::ZeroDuration()), IsOk());
  ASSERT_THAT(restart(-absl::Hours(72)), IsOk());
  EXPECT_FALSE(Out());
  ASSERT_THAT(restart(absl::Hours(24)), IsOk());
  EXPECT_TRUE(Out());
  EXPECT_TRUE(Out());
  EXPECT_FALSE(Out());
  ASSERT_THAT(engine().ResetQuota(id), IsOk());
  EXPECT_TRUE(Out());
  EXPECT_EQ(Get(id).packets, 5u);
}

TEST_F(QuotaTest, ExplainAndRefusedNameTheQuotaThatIsUsedUp) {
  QuotaDefinition definition = Packets(OfUid(1));
  definition.directions = QuotaDefinition::Directions::kOut;
  definition.period = {QuotaPeriod::Kind::kMonth, 15};
  const QuotaId id = Set(definition);
  const auto reasons = [&](Uid uid, netpolicy::Direction direction) {
    ExplainQuery query;
    query.uid = uid;
    query.direction = direction;
    auto explained = engine().Explain(query);
    EXPECT_THAT(explained, IsOk());
    return explained.ok() ? explained->verdicts[0].reasons
                          : std::vector<ExplainedReason>();
  };
  EXPECT_THAT(reasons(Uid{kAppUid}, netpolicy::Direction::kEgress), IsEmpty());
  EXPECT_TRUE(Out());
  EXPECT_FALSE(Out());
  const std::string text = absl::StrCat(
      "quota ", ToInt(id),
      " is used up: limit of 1 outgoing packets a month from day 15 for uid ",
      kAppUid);
  const auto blocked = reasons(Uid{kAppUid}, netpolicy::Direction::kEgress);
  ASSERT_THAT(blocked, SizeIs(1));
  EXPECT_EQ(blocked[0].number, NP_REASON_QUOTA);
  EXPECT_EQ(blocked[0].name, "quota");
  EXPECT_EQ(blocked[0].detail, text);
  EXPECT_THAT(reasons(Uid{kAppUid}, netpolicy::Direction::kIngress), IsEmpty());
  EXPECT_THAT(reasons(Uid{kAppUid}, netpolicy::Direction::kSocketCreate),
              IsEmpty());
  EXPECT_THAT(reasons(Uid{kAppUid + 1}, netpolicy::Direction::kEgress),
              IsEmpty());

  auto refused = engine().Refused(Uid{kAppUid}, 10);
  ASSERT_THAT(refused, IsOk());
  ASSERT_THAT(refused->peers, SizeIs(1));
  ASSERT_THAT(refused->peers[0].explained, SizeIs(1));
  EXPECT_EQ(refused->peers[0].explained[0].detail, text);

  // What the firewall refuses never meets the quota.
  ASSERT_THAT(bed_->Apply(absl::StrCat(R"({"version": 1, "uids": [{"uid": )",
                                       kAppUid, R"(, "rule": "deny"}]})")),
              IsOk());
  const auto denied = reasons(Uid{kAppUid}, netpolicy::Direction::kEgress);
  ASSERT_THAT(denied, SizeIs(1));
  EXPECT_EQ(denied[0].name, "uid_rule");
}

TEST_F(QuotaTest, ACrossingWakesWhoeverWaits) {
  auto wake = engine().OpenQuotaWake();
  ASSERT_THAT(wake, IsOk());
  const auto readable = [&](int milliseconds) {
    pollfd fd = {.fd = wake->fd(), .events = POLLIN, .revents = 0};
    return poll(&fd, 1, milliseconds) == 1;
  };
  Set(Packets(OfUid(1)));
  EXPECT_TRUE(Out());
  EXPECT_FALSE(readable(0));
  EXPECT_FALSE(Out());
  EXPECT_TRUE(readable(5000));
  EXPECT_THAT(wake->Drain(), IsOk());
  EXPECT_FALSE(readable(0));
  EXPECT_FALSE(Out());
  EXPECT_FALSE(readable(0)) << "once a period";
}

TEST_F(QuotaTest, WhatIsUsedOutlivesTheTables) {
  const QuotaId id = Set(Packets(OfUid(3)));
  EXPECT_TRUE(Out());
  EXPECT_TRUE(Out());
  auto saved = engine().Quotas();
  ASSERT_THAT(saved, IsOk());
  ASSERT_THAT(Engine::Detach(bed_->pin_dir()), IsOk());
  ASSERT_THAT(bed_->Reopen(), IsOk());
  EXPECT_THAT(engine().RestoreQuotas(*saved), IsOkAndHolds(1));
  EXPECT_THAT(engine().RestoreQuotas(*saved), IsOkAndHolds(0));
  EXPECT_EQ(Get(id).used, 2u);
  EXPECT_TRUE(Out());
  EXPECT_FALSE(Out());
  EXPECT_EQ(Get(id).packets, 3u);
}

// After a boot: the programs are attached to tables that have the quotas.
TEST(InitialQuotas, AreInForceForTheFirstPacket) {
  if (auto missing = MissingForBpfTests()) GTEST_SKIP() << *missing;
  Quota quota;
  quota.id = QuotaId{7};
  quota.definition.subject = QuotaSubject::OfUid(Uid{kAppUid});
  quota.definition.unit = QuotaDefinition::Unit::kPackets;
  quota.definition.limit = 3;
  quota.used = 2;
  quota.period_start = absl::Now();
  EngineOptions options;
  options.initial_quotas = {quota};
  auto bed = Testbed::Create({}, options);
  ASSERT_THAT(bed, IsOk());
  EXPECT_EQ((*bed)->engine().open_report().quotas_restored, 1);
  auto app = (*bed)->SpawnApp(kAppUid);
  ASSERT_THAT(app, IsOk());
  auto udp = app->UdpSocket(AF_INET);
  ASSERT_THAT(udp, IsOk());
  const auto send = [&] {
    return app->SendTo(*udp, {"10.77.0.2", kPeerPort}, "x");
  };
  EXPECT_THAT(send(), IsOkAndHolds(1));
  EXPECT_THAT(send(), HasErrno(EPERM));

  // Whoever comes later neither begins anew nor adds them again.
  ASSERT_THAT((*bed)->Reopen(), IsOk());
  EXPECT_EQ((*bed)->engine().open_report().quotas_restored, 0);
  EXPECT_THAT((*bed)->engine().RestoreQuotas({quota}), IsOkAndHolds(0));
  const auto quotas = (*bed)->engine().Quotas();
  ASSERT_THAT(quotas, IsOkAndHolds(SizeIs(1)));
  EXPECT_EQ(quotas->front().id, QuotaId{7});
  EXPECT_EQ(quotas->front().used, 3u);
  EXPECT_THAT(send(), HasErrno(EPERM));
}

}  // namespace
}  // namespace netpolicy::testing
