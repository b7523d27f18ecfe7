// SPDX-License-Identifier: Apache-2.0
//
// The counters of an interface equal what a packet capture at the other end
// saw, however the programs hang there.

#include "libpolicy/traffic/interface_meter.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/kernel/pin.h"
#include "libpolicy/kernel/tc_link.h"
#include "libpolicy/testing/actor.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/packet_capture.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/test_environment.h"
#include "libpolicy/testing/veth_pair.h"

namespace netpolicy {
namespace {

using testing::Actor;
using testing::ActorSocket;
using testing::BpfFs;
using testing::CaptureOptions;
using testing::Direction;
using ::testing::ElementsAre;
using testing::Endpoint;
using ::testing::Field;
using testing::IpAddress;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::NetNamespace;
using testing::PacketCapture;
using testing::PacketCount;
using testing::PacketFilter;
using testing::PairKind;
using testing::ScopedNetns;
using testing::StatusIs;
using testing::VethPair;

constexpr uint64_t kBulkBytes = 8 << 20;

struct Case {
  PairKind kind;
  int family;
};

// The host is on the left, the container on the right.
class InterfaceMeterTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (auto missing = testing::MissingForBpfTests()) {
      GTEST_SKIP() << *missing;
    }
    auto host = NetNamespace::Create();
    auto container = NetNamespace::Create();
    ASSERT_THAT(host, IsOk());
    ASSERT_THAT(container, IsOk());
    host_.emplace(*std::move(host));
    container_.emplace(*std::move(container));
    auto pair = VethPair::Create(*host_, *container_, {.kind = kind()});
    if (kind() == PairKind::kNetkit &&
        testing::ErrnoOf(pair.status()) == EOPNOTSUPP) {
      GTEST_SKIP() << "needs netkit (Linux 6.7, CONFIG_NETKIT)";
    }
    ASSERT_THAT(pair, IsOk());
    pair_.emplace(*std::move(pair));
    auto bpffs = BpfFs::Mount();
    ASSERT_THAT(bpffs, IsOk());
    bpffs_.emplace(*std::move(bpffs));
    auto inside = ScopedNetns::Enter(*host_);
    ASSERT_THAT(inside, IsOk());
    inside_.emplace(*std::move(inside));
    // What the container sends on its own, such as MLD reports, is counted like
    // all else, so that all is compared with a capture at its end.
    auto capture = PacketCapture::Start(*container_, "eth0", CaptureOptions{});
    ASSERT_THAT(capture, IsOk());
    capture_.emplace(*std::move(capture));
  }

  PairKind kind() const { return GetParam().kind; }
  int family() const { return GetParam().family; }
  Endpoint host_at(uint16_t port) const {
    return {family() == AF_INET6 ? "fd77::1" : "10.77.0.1", port};
  }
  Endpoint container_at(uint16_t port) const {
    return {family() == AF_INET6 ? "fd77::2" : "10.77.0.2", port};
  }

  InterfaceMeter Meter() const {
    return InterfaceMeter({.pin_dir = bpffs_->File("interfaces"), .access{}});
  }

  // How programs hang at this interface under this kernel: tcx where there is
  // tcx, whatever its version says.
  TcMethod BestMethod() {
    if (kind() == PairKind::kNetkit) return TcMethod::kNetkit;
    bpf_insn instructions[2] = {};
    instructions[0].code = BPF_ALU64 | BPF_MOV | BPF_K;
    instructions[0].imm = TC_ACT_UNSPEC;
    instructions[1].code = BPF_JMP | BPF_EXIT;
    const UniqueFd program(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "test_tc",
                                         "GPL", instructions, 2, nullptr));
    const auto link = CreateTcxLink(
        {IfIndex{static_cast<uint32_t>(pair_->left().index)}, TcHook::kIngress},
        {.fd = program.get(), .name = "test_tc"});
    return link.ok() ? TcMethod::kTcx : TcMethod::kFilter;
  }

  void StartTraffic() {
    auto host = Actor::Spawn({.netns = host_->fd()});
    auto container = Actor::Spawn({.netns = container_->fd()});
    ASSERT_THAT(host, IsOk());
    ASSERT_THAT(container, IsOk());
    host_actor_.emplace(*std::move(host));
    container_actor_.emplace(*std::move(container));
  }

  // 5 datagrams of 100 bytes to the container, 3 of 50 back.
  void ExchangeDatagrams(uint16_t port) {
    auto there = host_actor_->Socket(family(), SOCK_DGRAM);
    auto here = container_actor_->Socket(family(), SOCK_DGRAM);
    ASSERT_THAT(there, IsOk());
    ASSERT_THAT(here, IsOk());
    const Endpoint any{IpAddress::Any(family()), port};
    ASSERT_THAT(host_actor_->Bind(*there, any), IsOk());
    ASSERT_THAT(container_actor_->Bind(*here, any), IsOk());
    for (int i = 0; i < 5; ++i) {
      ASSERT_THAT(host_actor_->SendTo(*there, container_at(port),
                                      std::string(100, 'x')),
                  IsOkAndHolds(100));
      ASSERT_THAT(container_actor_->Receive(*here), IsOk());
    }
    for (int i = 0; i < 3; ++i) {
      ASSERT_THAT(
          container_actor_->SendTo(*here, host_at(port), std::string(50, 'x')),
          IsOkAndHolds(50));
      ASSERT_THAT(host_actor_->Receive(*there), IsOk());
    }
  }

  PacketCount Captured(Direction direction, testing::Background background) {
    PacketFilter filter;
    filter.direction = direction;
    filter.background = background;
    auto count = capture_->Count(filter);
    EXPECT_THAT(count, IsOk());
    return count.value_or(PacketCount{});
  }

  // From here on capture and counters see the same packets: begins at a moment
  // when nothing is on its way, nor in the capture's queue.
  InterfaceTraffic Begin() {
    constexpr auto kAll = testing::Background::kIncluded;
    InterfaceTraffic before;
    InterfaceTraffic now;
    do {
      capture_->Clear();
      before = Watched();
      absl::SleepFor(absl::Milliseconds(50));
      now = Watched();
    } while (now.rx.skbs != before.rx.skbs || now.tx.skbs != before.tx.skbs ||
             Captured(Direction::kIn, kAll).skbs != 0 ||
             Captured(Direction::kOut, kAll).skbs != 0);
    return before;
  }

  // What was counted beyond `before` is what was captured in the same time;
  // waits for it, as late packets may still be on their way.
  void ExpectCountersEqualCapture(const InterfaceTraffic& before) {
    constexpr auto kAll = testing::Background::kIncluded;
    const absl::Time deadline = absl::Now() + absl::Seconds(5);
    InterfaceTraffic now;
    PacketCount to_host;
    PacketCount to_container;
    do {
      absl::SleepFor(absl::Milliseconds(50));
      now = Watched();
      to_host = Captured(Direction::kOut, kAll);
      to_container = Captured(Direction::kIn, kAll);
    } while (absl::Now() < deadline &&
             (now.rx.packets - before.rx.packets != to_host.packets ||
              now.tx.packets - before.tx.packets != to_container.packets));
    EXPECT_EQ(now.rx.packets - before.rx.packets, to_host.packets);
    EXPECT_EQ(now.rx.bytes - before.rx.bytes, to_host.wire_bytes);
    EXPECT_EQ(now.rx.skbs - before.rx.skbs, to_host.skbs);
    EXPECT_EQ(now.rx.skb_bytes - before.rx.skb_bytes, to_host.skb_bytes);
    EXPECT_EQ(now.tx.packets - before.tx.packets, to_container.packets);
    EXPECT_EQ(now.tx.bytes - before.tx.bytes, to_container.wire_bytes);
    EXPECT_EQ(now.unparsable, 0);
  }

  InterfaceTraffic Watched() {
    auto all = Meter().Read();
    EXPECT_THAT(all, IsOk());
    if (!all.ok() || all->size() != 1) {
      ADD_FAILURE() << "not one interface is watched";
      return {};
    }
    return all->front();
  }

  std::optional<NetNamespace> host_, container_;
  std::optional<VethPair> pair_;
  std::optional<BpfFs> bpffs_;
  std::optional<ScopedNetns> inside_;
  std::optional<Actor> host_actor_, container_actor_;
  std::optional<PacketCapture> capture_;
};

INSTANTIATE_TEST_SUITE_P(Pairs, InterfaceMeterTest,
                         ::testing::Values(Case{PairKind::kVeth, AF_INET},
                                           Case{PairKind::kVeth, AF_INET6},
                                           Case{PairKind::kNetkit, AF_INET},
                                           Case{PairKind::kNetkit, AF_INET6}),
                         [](const ::testing::TestParamInfo<Case>& info) {
                           return absl::StrCat(
                               info.param.kind == PairKind::kVeth ? "Veth"
                                                                  : "Netkit",
                               info.param.family == AF_INET ? "IPv4" : "IPv6");
                         });

TEST_P(InterfaceMeterTest, CountsAContainersDatagrams) {
  ASSERT_NO_FATAL_FAILURE(StartTraffic());
  EXPECT_THAT(Meter().Watch("eth0"), IsOkAndHolds(BestMethod()));
  const InterfaceTraffic before = Begin();
  EXPECT_EQ(before.name, "eth0");
  EXPECT_EQ(ToInt(before.ifindex), static_cast<uint32_t>(pair_->left().index));
  EXPECT_EQ(before.method, BestMethod());
  ASSERT_NO_FATAL_FAILURE(ExchangeDatagrams(5000));
  ExpectCountersEqualCapture(before);

  constexpr auto kOthers = testing::Background::kExcluded;
  const uint64_t headers = (family() == AF_INET ? 20 : 40) + 8;
  EXPECT_EQ(Captured(Direction::kIn, kOthers).packets, 5);
  EXPECT_EQ(Captured(Direction::kIn, kOthers).wire_bytes, 5 * (headers + 100));
  EXPECT_EQ(Captured(Direction::kOut, kOthers).packets, 3);
  EXPECT_EQ(Captured(Direction::kOut, kOthers).wire_bytes, 3 * (headers + 50));
}

TEST_P(InterfaceMeterTest, CountsSuperPacketsAsOnTheWire) {
  ASSERT_NO_FATAL_FAILURE(StartTraffic());
  ASSERT_THAT(Meter().Watch("eth0"), IsOk());
  const InterfaceTraffic before = Begin();
  auto listener = container_actor_->TcpSocket(family());
  auto client = host_actor_->TcpSocket(family());
  ASSERT_THAT(listener, IsOk());
  ASSERT_THAT(client, IsOk());
  ASSERT_THAT(
      container_actor_->Bind(*listener, {IpAddress::Any(family()), 5001}),
      IsOk());
  ASSERT_THAT(container_actor_->Listen(*listener), IsOk());
  ASSERT_THAT(host_actor_->Connect(*client, container_at(5001)), IsOk());
  auto server = container_actor_->Accept(*listener);
  ASSERT_THAT(server, IsOk());
  auto receiving = container_actor_->StartReceiveBytes(*server, kBulkBytes);
  ASSERT_THAT(host_actor_->SendBytes(*client, kBulkBytes),
              IsOkAndHolds(kBulkBytes));
  ASSERT_THAT(receiving.Wait(), IsOkAndHolds(kBulkBytes));
  auto receiving_back = host_actor_->StartReceiveBytes(*client, kBulkBytes);
  ASSERT_THAT(container_actor_->SendBytes(*server, kBulkBytes),
              IsOkAndHolds(kBulkBytes));
  ASSERT_THAT(receiving_back.Wait(), IsOkAndHolds(kBulkBytes));
  ExpectCountersEqualCapture(before);

  const InterfaceTraffic after = Watched();
  EXPECT_GT(after.tx.bytes, kBulkBytes);
  EXPECT_GT(after.rx.bytes, kBulkBytes);
  EXPECT_GT(after.tx.packets, kBulkBytes / 1500);
  EXPECT_LT(after.tx.skbs, after.tx.packets) << "GSO was not on";
}

TEST_P(InterfaceMeterTest, WatchingAgainGoesOnCounting) {
  ASSERT_NO_FATAL_FAILURE(StartTraffic());
  ASSERT_THAT(Meter().Watch("eth0"), IsOk());
  const InterfaceTraffic before = Begin();
  ASSERT_NO_FATAL_FAILURE(ExchangeDatagrams(5002));
  EXPECT_THAT(Meter().Watch("eth0"), IsOkAndHolds(BestMethod()));
  ASSERT_NO_FATAL_FAILURE(ExchangeDatagrams(5003));
  ExpectCountersEqualCapture(before);
  EXPECT_GE(Watched().tx.packets, 10);
}

TEST_P(InterfaceMeterTest, UnwatchingLeavesNothingAndCountsNoMore) {
  ASSERT_THAT(Meter().Watch("eth0"), IsOk());
  ASSERT_THAT(Meter().Unwatch("eth0"), IsOk());
  EXPECT_THAT(Meter().Read(), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(ListPins(bpffs_->File("interfaces")), IsOkAndHolds(IsEmpty()));
  for (TcHook hook : {TcHook::kIngress, TcHook::kEgress}) {
    const TcPlace place{IfIndex{static_cast<uint32_t>(pair_->left().index)},
                        hook};
    EXPECT_THAT(ListTcFilters(place), IsOkAndHolds(IsEmpty()));
  }
  EXPECT_THAT(Meter().Unwatch("eth0"),
              StatusIs(absl::StatusCode::kNotFound,
                       "unwatch interface eth0: it is not watched"));
}

TEST_P(InterfaceMeterTest, AGoneInterfaceKeepsItsCountersUntilUnwatched) {
  ASSERT_NO_FATAL_FAILURE(StartTraffic());
  ASSERT_THAT(Meter().Watch("eth0"), IsOk());
  ASSERT_NO_FATAL_FAILURE(ExchangeDatagrams(5004));
  const uint32_t index = static_cast<uint32_t>(pair_->left().index);
  capture_.reset();
  pair_.reset();
  const InterfaceTraffic gone = Watched();
  EXPECT_EQ(gone.name, "");
  EXPECT_EQ(gone.method, absl::nullopt);
  EXPECT_EQ(ToInt(gone.ifindex), index);
  EXPECT_GE(gone.tx.packets, 5);
  EXPECT_THAT(Meter().Unwatch(absl::StrCat(index)), IsOk());
  EXPECT_THAT(Meter().Read(), IsOkAndHolds(IsEmpty()));
}

TEST_P(InterfaceMeterTest, OtherNamespacesInterfacesAreNotShown) {
  ASSERT_THAT(Meter().Watch("eth0"), IsOk());
  inside_.reset();
  auto inside = ScopedNetns::Enter(*container_);
  ASSERT_THAT(inside, IsOk());
  EXPECT_THAT(Meter().Read(), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(Meter().Unwatch("eth0"),
              StatusIs(absl::StatusCode::kNotFound,
                       "unwatch interface eth0: it is not watched"));
}

TEST_P(InterfaceMeterTest, WhatIsNotThereIsSaid) {
  EXPECT_THAT(Meter().Watch("eth7").status(),
              StatusIs(absl::StatusCode::kNotFound,
                       "watch interface eth7: no such interface"));
  EXPECT_THAT(Meter().Unwatch("eth7"),
              StatusIs(absl::StatusCode::kNotFound,
                       "unwatch interface eth7: no such interface"));
  EXPECT_THAT(Meter().Read(), IsOkAndHolds(IsEmpty()));
}

TEST_P(InterfaceMeterTest, TakenAwayProgramsAreNoticedAndPutBack) {
  if (BestMethod() != TcMethod::kFilter) {
    GTEST_SKIP() << "links can't be taken away by others";
  }
  ASSERT_THAT(Meter().Watch("eth0"), IsOk());
  const TcPlace place{IfIndex{static_cast<uint32_t>(pair_->left().index)},
                      TcHook::kEgress};
  ASSERT_THAT(RemoveTcFilter(place, "np_if_egress"), IsOk());
  EXPECT_EQ(Watched().method, absl::nullopt);
  EXPECT_THAT(Meter().Watch("eth0"), IsOkAndHolds(TcMethod::kFilter));
  EXPECT_EQ(Watched().method, TcMethod::kFilter);
}

}  // namespace
}  // namespace netpolicy
