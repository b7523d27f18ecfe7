// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/kernel/link.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <unistd.h>

#include <iterator>
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/test_environment.h"

namespace netpolicy {
namespace {

using testing::Capability;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;
using testing::TestCgroup;

// A program that returns `verdict`.
UniqueFd Load(int verdict) {
  bpf_insn instructions[2] = {};
  instructions[0].code = BPF_ALU64 | BPF_MOV | BPF_K;
  instructions[0].imm = verdict;
  instructions[1].code = BPF_JMP | BPF_EXIT;
  LIBBPF_OPTS(bpf_prog_load_opts, options,
              .expected_attach_type = BPF_CGROUP_INET_EGRESS);
  return UniqueFd(bpf_prog_load(BPF_PROG_TYPE_CGROUP_SKB, "test_prog", "GPL",
                                instructions, std::size(instructions),
                                &options));
}

class LinkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (auto missing = testing::MissingCapability(
            {Capability::kBpf, Capability::kCgroup2})) {
      GTEST_SKIP() << *missing;
    }
    auto cgroup = TestCgroup::Create();
    ASSERT_THAT(cgroup, IsOk());
    cgroup_ = std::make_unique<TestCgroup>(*std::move(cgroup));
  }

  std::unique_ptr<TestCgroup> cgroup_;
};

TEST_F(LinkTest, ProgramsAreKnownByTheirTag) {
  auto one = ReadProgramInfo(Load(1).get());
  auto same = ReadProgramInfo(Load(1).get());
  auto other = ReadProgramInfo(Load(0).get());
  ASSERT_THAT(one, IsOk());
  ASSERT_THAT(same, IsOk());
  ASSERT_THAT(other, IsOk());
  EXPECT_EQ(one->name, "test_prog");
  EXPECT_EQ(one->tag.size(), 16u);
  EXPECT_EQ(one->tag, same->tag);
  EXPECT_NE(one->tag, other->tag);
  EXPECT_NE(one->id, same->id);
}

TEST_F(LinkTest, ALinkSaysWhatItHoldsWhereAndCanBeUpdated) {
  const UniqueFd first = Load(1);
  auto link = CreateCgroupLink(first.get(), cgroup_->fd(),
                               BPF_CGROUP_INET_EGRESS, "test");
  ASSERT_THAT(link, IsOk());
  auto info = ReadCgroupLinkInfo(link->get());
  ASSERT_THAT(info, IsOk());
  EXPECT_EQ(info->cgroup_id, cgroup_->id());
  EXPECT_EQ(info->attach_type, uint32_t{BPF_CGROUP_INET_EGRESS});
  EXPECT_EQ(info->program_id, ReadProgramInfo(first.get())->id);

  const UniqueFd second = Load(0);
  ASSERT_THAT(UpdateLink(link->get(), second.get(), "test"), IsOk());
  EXPECT_EQ(ReadCgroupLinkInfo(link->get())->program_id,
            ReadProgramInfo(second.get())->id);
}

TEST_F(LinkTest, ALinkOfARemovedCgroupSaysSo) {
  const UniqueFd program = Load(1);
  auto link = CreateCgroupLink(program.get(), cgroup_->fd(),
                               BPF_CGROUP_INET_EGRESS, "test");
  ASSERT_THAT(link, IsOk());
  cgroup_.reset();
  // The kernel detaches the programs a little later (cgroup_bpf_release()).
  for (int i = 0; i < 200; ++i) {
    auto info = ReadCgroupLinkInfo(link->get());
    ASSERT_THAT(info, IsOk());
    if (info->cgroup_id == 0) break;
    usleep(10000);
  }
  EXPECT_EQ(ReadCgroupLinkInfo(link->get())->cgroup_id, 0u);
  EXPECT_THAT(UpdateLink(link->get(), program.get(), "test"),
              StatusIs(absl::StatusCode::kNotFound,
                       "update link test: its cgroup is gone"));
}

TEST_F(LinkTest, ADetachedLinkDoesNothingAtOnceWhoeverHoldsIt) {
  const UniqueFd program = Load(0);
  auto link = CreateCgroupLink(program.get(), cgroup_->fd(),
                               BPF_CGROUP_INET_EGRESS, "test");
  ASSERT_THAT(link, IsOk());
  EXPECT_THAT(DetachLink(link->get(), "test"), IsOk());
  EXPECT_EQ(ReadCgroupLinkInfo(link->get())->cgroup_id, 0u);
  EXPECT_THAT(DetachLink(link->get(), "test"), IsOk()) << "a second time";
}

TEST_F(LinkTest, WhatIsNoCgroupIsRefused) {
  const UniqueFd program = Load(1);
  EXPECT_THAT(
      CreateCgroupLink(program.get(), -1, BPF_CGROUP_INET_EGRESS, "test")
          .status(),
      StatusIs(absl::StatusCode::kInternal,
               "attach test: bad file descriptor"));
}

}  // namespace
}  // namespace netpolicy
