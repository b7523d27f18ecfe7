// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/kernel/tc_link.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/kernel/link.h"
#include "libpolicy/kernel/netlink.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/test_environment.h"
#include "libpolicy/testing/veth_pair.h"

namespace netpolicy {
namespace {

using testing::BpfFs;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::NetNamespace;
using testing::ScopedNetns;
using testing::StatusIs;
using testing::VethPair;

// A program that returns `verdict`.
UniqueFd Load(int verdict) {
  bpf_insn instructions[2] = {};
  instructions[0].code = BPF_ALU64 | BPF_MOV | BPF_K;
  instructions[0].imm = verdict;
  instructions[1].code = BPF_JMP | BPF_EXIT;
  return UniqueFd(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "test_tc", "GPL",
                                instructions, std::size(instructions),
                                nullptr));
}

uint32_t IdOf(const UniqueFd& program) {
  return ReadProgramInfo(program.get()).value_or(ProgramInfo{}).id;
}

class TcLinkTest : public ::testing::TestWithParam<TcHook> {
 protected:
  void SetUp() override {
    if (auto missing = testing::MissingForBpfTests()) {
      GTEST_SKIP() << *missing;
    }
    auto left = NetNamespace::Create();
    auto right = NetNamespace::Create();
    ASSERT_THAT(left, IsOk());
    ASSERT_THAT(right, IsOk());
    left_ = std::make_unique<NetNamespace>(*std::move(left));
    right_ = std::make_unique<NetNamespace>(*std::move(right));
    auto cable = VethPair::Create(*left_, *right_);
    ASSERT_THAT(cable, IsOk());
    cable_ = std::make_unique<VethPair>(*std::move(cable));
    auto bpffs = BpfFs::Mount();
    ASSERT_THAT(bpffs, IsOk());
    bpffs_ = std::make_unique<BpfFs>(*std::move(bpffs));
    pin_ = bpffs_->path() + "/link";
    place_ = {IfIndex{static_cast<uint32_t>(cable_->left().index)}, GetParam()};
    auto inside = ScopedNetns::Enter(*left_);
    ASSERT_THAT(inside, IsOk());
    inside_.emplace(*std::move(inside));
  }

  // Whether a datagram gets through the hook that is tried.
  bool PacketsPass() {
    const bool out = GetParam() == TcHook::kEgress;
    const NetNamespace& from = out ? *left_ : *right_;
    const NetNamespace& to = out ? *right_ : *left_;
    auto sender = from.OpenSocket(AF_INET, SOCK_DGRAM);
    auto receiver = to.OpenSocket(AF_INET, SOCK_DGRAM);
    const timeval timeout = {.tv_sec = 0, .tv_usec = 200000};
    setsockopt(receiver->get(), SOL_SOCKET, SO_RCVTIMEO, &timeout,
               sizeof(timeout));
    sockaddr_storage address;
    const socklen_t size =
        testing::Endpoint{out ? "10.77.0.2" : "10.77.0.1", 5000}.ToSockaddr(
            &address);
    if (bind(receiver->get(), reinterpret_cast<sockaddr*>(&address), size) != 0)
      return false;
    sendto(sender->get(), "x", 1, 0, reinterpret_cast<sockaddr*>(&address),
           size);
    char buffer[2];
    return recv(receiver->get(), buffer, sizeof(buffer), 0) == 1;
  }

  // Both ways to attach leave it out when this kernel has no tcx.
  bool HasTcx() {
    const UniqueFd program = Load(TC_ACT_UNSPEC);
    return CreateTcxLink(place_, {.fd = program.get(), .name = "probe"}).ok();
  }

  std::unique_ptr<NetNamespace> left_, right_;
  std::unique_ptr<VethPair> cable_;
  std::unique_ptr<BpfFs> bpffs_;
  std::optional<ScopedNetns> inside_;
  TcPlace place_;
  std::string pin_;
};

INSTANTIATE_TEST_SUITE_P(Hooks, TcLinkTest,
                         ::testing::Values(TcHook::kIngress, TcHook::kEgress),
                         [](const auto& param) {
                           return param.param == TcHook::kIngress ? "Ingress"
                                                                  : "Egress";
                         });

TEST_P(TcLinkTest, AttachedProgramsOutliveTheirDescriptorsUntilDetached) {
  ASSERT_TRUE(PacketsPass());
  {
    const UniqueFd drop = Load(TC_ACT_SHOT);
    auto method =
        AttachTc(place_, {.fd = drop.get(), .name = "np_test"}, pin_, {});
    ASSERT_THAT(method, IsOk());
    EXPECT_EQ(*method, HasTcx() ? TcMethod::kTcx : TcMethod::kFilter);
  }
  EXPECT_FALSE(PacketsPass());
  EXPECT_THAT(DetachTc(place_, "np_test", pin_), IsOk());
  EXPECT_TRUE(PacketsPass());
  EXPECT_THAT(DetachTc(place_, "np_test", pin_), IsOk()) << "a second time";
}

TEST_P(TcLinkTest, AttachingAgainReplacesTheProgram) {
  const UniqueFd drop = Load(TC_ACT_SHOT);
  const UniqueFd pass = Load(TC_ACT_UNSPEC);
  for (const UniqueFd* program : {&drop, &drop, &pass}) {
    ASSERT_THAT(
        AttachTc(place_, {.fd = program->get(), .name = "np_test"}, pin_, {}),
        IsOk());
    EXPECT_EQ(PacketsPass(), program == &pass);
  }
  EXPECT_THAT(DetachTc(place_, "np_test", pin_), IsOk());
}

TEST_P(TcLinkTest, ALinkSaysWhereItHangsAndWhatRuns) {
  if (!HasTcx()) GTEST_SKIP() << "needs tcx (Linux 6.6)";
  const UniqueFd pass = Load(TC_ACT_UNSPEC);
  auto link = CreateTcxLink(place_, {.fd = pass.get(), .name = "np_test"});
  ASSERT_THAT(link, IsOk());
  auto info = ReadTcxLinkInfo(link->get());
  ASSERT_THAT(info, IsOk());
  EXPECT_EQ(info->place, place_);
  EXPECT_EQ(info->program_id, IdOf(pass));
  inside_.reset();
  cable_.reset();
  info = ReadTcxLinkInfo(link->get());
  ASSERT_THAT(info, IsOk());
  EXPECT_EQ(info->place.ifindex, IfIndex{0}) << "the interface is gone";
}

TEST_P(TcLinkTest, ThePinOfAGoneInterfaceIsTakenOver) {
  const UniqueFd drop = Load(TC_ACT_SHOT);
  const TcProgram program{.fd = drop.get(), .name = "np_test"};
  ASSERT_THAT(AttachTc(place_, program, pin_, {}), IsOk());
  cable_.reset();
  EXPECT_THAT(AttachTc(place_, program, pin_, {}).status(),
              StatusIs(absl::StatusCode::kNotFound));
  auto cable = VethPair::Create(*left_, *right_);
  ASSERT_THAT(cable, IsOk());
  cable_ = std::make_unique<VethPair>(*std::move(cable));
  place_.ifindex = IfIndex{static_cast<uint32_t>(cable_->left().index)};
  ASSERT_TRUE(PacketsPass());
  ASSERT_THAT(AttachTc(place_, program, pin_, {}), IsOk());
  EXPECT_FALSE(PacketsPass());
  EXPECT_THAT(DetachTc(place_, "np_test", pin_), IsOk());
}

TEST_P(TcLinkTest, FiltersAreKnownByTheirName) {
  EXPECT_THAT(ListTcFilters(place_), IsOkAndHolds(IsEmpty())) << "no clsact";
  const UniqueFd pass = Load(TC_ACT_UNSPEC);
  const UniqueFd drop = Load(TC_ACT_SHOT);
  ASSERT_THAT(SetTcFilter(place_, {.fd = pass.get(), .name = "one"}), IsOk());
  ASSERT_THAT(SetTcFilter(place_, {.fd = pass.get(), .name = "two"}), IsOk());
  EXPECT_TRUE(PacketsPass());
  ASSERT_THAT(SetTcFilter(place_, {.fd = drop.get(), .name = "two"}), IsOk());
  EXPECT_FALSE(PacketsPass());
  EXPECT_THAT(ListTcFilters(place_),
              IsOkAndHolds(ElementsAre(
                  AllOf(Field(&TcFilter::name, "one"),
                        Field(&TcFilter::program_id, IdOf(pass))),
                  AllOf(Field(&TcFilter::name, "two"),
                        Field(&TcFilter::program_id, IdOf(drop))))));
  EXPECT_THAT(RemoveTcFilter(place_, "two"), IsOk());
  EXPECT_TRUE(PacketsPass());
  EXPECT_THAT(ListTcFilters(place_),
              IsOkAndHolds(ElementsAre(Field(&TcFilter::name, "one"))));
  EXPECT_THAT(RemoveTcFilter(place_, "two"), IsOk()) << "a second time";
}

TEST_P(TcLinkTest, TheFirstFilterDecides) {
  const UniqueFd accept = Load(TC_ACT_OK);
  const UniqueFd drop = Load(TC_ACT_SHOT);
  ASSERT_THAT(SetTcFilter(place_, {.fd = drop.get(), .name = "drop"}), IsOk());
  ASSERT_THAT(SetTcFilter(place_, {.fd = accept.get(),
                                   .name = "accept",
                                   .order = TcOrder::kFirst}),
              IsOk());
  EXPECT_TRUE(PacketsPass());
}

TEST_P(TcLinkTest, TheFirstLinkDecides) {
  if (!HasTcx()) GTEST_SKIP() << "needs tcx (Linux 6.6)";
  const UniqueFd accept = Load(TC_ACT_OK);
  const UniqueFd drop = Load(TC_ACT_SHOT);
  auto last = CreateTcxLink(place_, {.fd = drop.get(), .name = "drop"});
  ASSERT_THAT(last, IsOk());
  EXPECT_FALSE(PacketsPass());
  auto first = CreateTcxLink(
      place_, {.fd = accept.get(), .name = "accept", .order = TcOrder::kFirst});
  ASSERT_THAT(first, IsOk());
  EXPECT_TRUE(PacketsPass());
}

TEST_P(TcLinkTest, OthersFiltersStay) {
  const UniqueFd pass = Load(TC_ACT_UNSPEC);
  ASSERT_THAT(SetTcFilter(place_, {.fd = pass.get(), .name = "other"}), IsOk());
  ASSERT_THAT(AttachTc(place_, {.fd = pass.get(), .name = "np_test"}, pin_, {}),
              IsOk());
  ASSERT_THAT(DetachTc(place_, "np_test", pin_), IsOk());
  EXPECT_THAT(ListTcFilters(place_),
              IsOkAndHolds(ElementsAre(Field(&TcFilter::name, "other"))));
}

TEST_P(TcLinkTest, AnInterfaceThatIsNotThereIsSaidToBeSo) {
  const UniqueFd pass = Load(TC_ACT_UNSPEC);
  const TcPlace nowhere{IfIndex{4242}, GetParam()};
  const TcProgram program{.fd = pass.get(), .name = "np_test"};
  EXPECT_THAT(AttachTc(nowhere, program, pin_, {}).status(),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(SetTcFilter(nowhere, program),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(DetachTc(nowhere, "np_test", pin_), IsOk());
}

}  // namespace
}  // namespace netpolicy
