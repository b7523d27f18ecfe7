// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/testing/program_runner.h"

#include <cerrno>
#include <cstddef>
#include <string>
#include <vector>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/testing/capability.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/packet_builder.h"
#include "libpolicy/testing/packet_text.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy::testing {
namespace {

using ::testing::Not;

// r<to> = *(u32*)(r1 + offset), r1 being the context.
bpf_insn Load(uint8_t to, size_t offset) {
  return {.code = BPF_LDX | BPF_MEM | BPF_W,
          .dst_reg = to,
          .src_reg = 1,
          .off = static_cast<int16_t>(offset),
          .imm = 0};
}
bpf_insn Store(size_t offset, uint8_t from) {
  return {.code = BPF_STX | BPF_MEM | BPF_W,
          .dst_reg = 1,
          .src_reg = from,
          .off = static_cast<int16_t>(offset),
          .imm = 0};
}
bpf_insn Set(uint8_t to, int value) {
  return {.code = BPF_ALU64 | BPF_MOV | BPF_K,
          .dst_reg = to,
          .src_reg = 0,
          .off = 0,
          .imm = value};
}
bpf_insn Add(uint8_t to, int value) {
  return {.code = BPF_ALU64 | BPF_ADD | BPF_K,
          .dst_reg = to,
          .src_reg = 0,
          .off = 0,
          .imm = value};
}
bpf_insn Exit() {
  return {.code = BPF_JMP | BPF_EXIT,
          .dst_reg = 0,
          .src_reg = 0,
          .off = 0,
          .imm = 0};
}

// Leaves skb->len in mark and skb->protocol in priority, adds 1 to cb[0].
std::vector<bpf_insn> Observer(int retval) {
  return {Load(2, offsetof(__sk_buff, len)),
          Store(offsetof(__sk_buff, mark), 2),
          Load(2, offsetof(__sk_buff, protocol)),
          Store(offsetof(__sk_buff, priority), 2),
          Load(2, offsetof(__sk_buff, cb[0])),
          Add(2, 1),
          Store(offsetof(__sk_buff, cb[0]), 2),
          Set(0, retval),
          Exit()};
}

UniqueFd LoadProgram(bpf_prog_type type, const std::vector<bpf_insn>& insns) {
  return UniqueFd(bpf_prog_load(type, "observer", "GPL", insns.data(),
                                insns.size(), nullptr));
}

class ProgramRunnerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (auto missing =
            MissingCapability({Capability::kRoot, Capability::kBpf})) {
      GTEST_SKIP() << *missing;
    }
  }
};

TEST_F(ProgramRunnerTest, CgroupProgramsSeeThePacketFromItsIpHeader) {
  UniqueFd program = LoadProgram(BPF_PROG_TYPE_CGROUP_SKB, Observer(1));
  ASSERT_TRUE(program.ok());
  auto runner = ProgramRunner::ForFd(program.get());
  ASSERT_THAT(runner, IsOk());
  struct Row {
    const char* name;
    std::string packet;
    uint32_t protocol;  // As the program sees it: in network order.
  };
  const Row rows[] = {
      {"IPv4", PacketBuilder().Ip4({}).Udp({}).Payload("x").Build(), 0x0008},
      {"IPv6", PacketBuilder().Ip6({}).Tcp({}).PayloadOfSize(1000).Build(),
       0xdd86},
      {"a version that is none",
       PacketBuilder().Ip4({.version = 9}).Udp({}).Build(), 0x0008},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    auto run = runner->Run(row.packet);
    ASSERT_THAT(run, IsOk());
    EXPECT_EQ(run->retval, 1u);
    EXPECT_EQ(run->context.mark, row.packet.size());
    EXPECT_EQ(run->context.priority, row.protocol);
    EXPECT_EQ(run->context.cb[0], 1u);
    EXPECT_THAT(run->packet, EqualsPacket(row.packet));
  }
}

TEST_F(ProgramRunnerTest, TcProgramsSeeTheEthernetHeader) {
  UniqueFd program = LoadProgram(BPF_PROG_TYPE_SCHED_CLS, Observer(7));
  ASSERT_TRUE(program.ok());
  auto runner = ProgramRunner::ForFd(program.get());
  ASSERT_THAT(runner, IsOk());
  const std::string packet =
      PacketBuilder().Ethernet({}).Ip6({}).Udp({}).Build();
  auto run = runner->Run(packet);
  ASSERT_THAT(run, IsOk());
  EXPECT_EQ(run->retval, 7u);
  EXPECT_EQ(run->context.mark, packet.size());
  EXPECT_THAT(run->packet, EqualsPacket(packet, LinkType::kEthernet));
}

TEST_F(ProgramRunnerTest, XdpProgramsHaveNoContext) {
  UniqueFd program = LoadProgram(BPF_PROG_TYPE_XDP, {Set(0, 2), Exit()});
  ASSERT_TRUE(program.ok());
  auto runner = ProgramRunner::ForFd(program.get());
  ASSERT_THAT(runner, IsOk());
  const std::string packet =
      PacketBuilder().Ethernet({}).Ip4({}).Udp({}).Build();
  auto run = runner->Run(packet);
  ASSERT_THAT(run, IsOk());
  EXPECT_EQ(run->retval, 2u);
  EXPECT_THAT(run->packet, EqualsPacket(packet, LinkType::kEthernet));
}

TEST_F(ProgramRunnerTest, TheContextGoesInAndRunsRepeat) {
  UniqueFd program = LoadProgram(BPF_PROG_TYPE_CGROUP_SKB, Observer(0));
  ASSERT_TRUE(program.ok());
  auto runner = ProgramRunner::ForFd(program.get());
  ASSERT_THAT(runner, IsOk());
  __sk_buff context = {};
  context.cb[0] = 100;
  auto run = runner->Run(PacketBuilder().Ip4({}).Udp({}).Build(),
                         {.context = context, .repeat = 10});
  ASSERT_THAT(run, IsOk());
  EXPECT_EQ(run->retval, 0u);
  EXPECT_EQ(run->context.cb[0], 110u);
  EXPECT_LT(run->duration, absl::Seconds(1));
}

TEST_F(ProgramRunnerTest, ErrorsCarryErrno) {
  EXPECT_THAT(ProgramRunner::ForFd(-1), HasErrno(EBADFD));
  UniqueFd program = LoadProgram(BPF_PROG_TYPE_CGROUP_SKB, Observer(0));
  ASSERT_TRUE(program.ok());
  auto runner = ProgramRunner::ForFd(program.get());
  ASSERT_THAT(runner, IsOk());
  __sk_buff context = {};
  context.len = 1;
  const std::string packet = PacketBuilder().Ip4({}).Udp({}).Build();
  EXPECT_THAT(runner->Run(packet, {.context = context}), HasErrno(EINVAL));
  // EINVAL, or ENOMEM since 7.x.
  EXPECT_THAT(runner->Run(std::string(100'000, 'x')), Not(IsOk()));
}

}  // namespace
}  // namespace netpolicy::testing
