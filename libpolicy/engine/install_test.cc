// SPDX-License-Identifier: Apache-2.0
//
// Opening, adopting, detaching: what is there afterwards, and what is refused.

#include "libpolicy/engine/install.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bpf_progs/abi/control.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/engine/engine_fixture.h"
#include "libpolicy/kernel/link.h"
#include "libpolicy/kernel/mapped_array.h"
#include "libpolicy/kernel/pin.h"
#include "libpolicy/testing/process.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::StatusIs;
using testing::TestCgroup;

class InstallTest : public EngineFixture {
 protected:
  std::string PinDir() const { return Options().pin_dir; }
  std::string LinkPin(const std::string& name) const {
    return absl::StrCat(PinDir(), "/links/", name);
  }
  std::string ProgramPin(const std::string& name) const {
    return absl::StrCat(PinDir(), "/programs/", name);
  }

  static mode_t ModeOf(const std::string& path) {
    struct stat status = {};
    EXPECT_EQ(stat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777;
  }

  // The id of the program that a pinned link holds.
  uint32_t LinkedProgram(const std::string& name) const {
    auto fd = OpenPin(LinkPin(name), PinKind::kLink);
    EXPECT_THAT(fd, IsOk());
    if (!fd.ok()) return 0;
    auto info = ReadCgroupLinkInfo(fd->get());
    EXPECT_THAT(info, IsOk());
    return info.ok() ? info->program_id : 0;
  }

  uint32_t PinnedProgram(const std::string& name) const {
    auto fd = OpenPin(ProgramPin(name), PinKind::kProgram);
    EXPECT_THAT(fd, IsOk());
    if (!fd.ok()) return 0;
    auto info = ReadProgramInfo(fd->get());
    EXPECT_THAT(info, IsOk());
    return info.ok() ? info->id : 0;
  }

  // Overwrites np_control as another version would have it.
  void SetControl(const std::function<void(np_control&)>& change) const {
    auto fd = OpenPin(PinDir() + "/maps/np_control", PinKind::kMap);
    ASSERT_THAT(fd, IsOk());
    const uint32_t key = 0;
    np_control control = {};
    ASSERT_EQ(bpf_map_lookup_elem(fd->get(), &key, &control), 0);
    change(control);
    ASSERT_EQ(bpf_map_update_elem(fd->get(), &key, &control, 0), 0);
  }
};

// A program that lets everything pass, as another version's might.
UniqueFd LoadOtherEgress() {
  bpf_insn instructions[2] = {};
  instructions[0].code = BPF_ALU64 | BPF_MOV | BPF_K;
  instructions[0].imm = 1;
  instructions[1].code = BPF_JMP | BPF_EXIT;
  LIBBPF_OPTS(bpf_prog_load_opts, options,
              .expected_attach_type = BPF_CGROUP_INET_EGRESS);
  return UniqueFd(bpf_prog_load(BPF_PROG_TYPE_CGROUP_SKB, "other", "GPL",
                                instructions, std::size(instructions),
                                &options));
}

TEST_F(InstallTest, PinsAreExactlyThese) {
  auto engine = Open();
  ASSERT_NE(engine, nullptr);
  EXPECT_EQ(engine->open_report().start, OpenReport::Start::kLoaded);
  EXPECT_THAT(ListPins(PinDir()),
              IsOkAndHolds(ElementsAre("links", "maps", "programs")));
  EXPECT_THAT(
      ListPins(PinDir() + "/maps"),
      IsOkAndHolds(ElementsAre(
          "np_bind_ports", "np_chain", "np_config", "np_control",
          "np_counter_set", "np_counters", "np_discard", "np_drops", "np_fence",
          "np_free_rows", "np_free_uid", "np_interface", "np_loss",
          "np_network_rule", "np_prefix", "np_quota_set", "np_quota_wake",
          "np_quotas", "np_refused", "np_rows", "np_socket", "np_source",
          "np_uid_index", "np_uid_policy", "np_uid_share")));
  EXPECT_THAT(
      ListPins(PinDir() + "/programs"),
      IsOkAndHolds(ElementsAre(
          "np_bind4", "np_bind6", "np_connect4", "np_connect6", "np_egress",
          "np_ingress", "np_sendmsg4", "np_sendmsg6", "np_sock_create")));
  EXPECT_THAT(
      ListPins(PinDir() + "/links"),
      IsOkAndHolds(ElementsAre(
          "np_bind4", "np_bind6", "np_connect4", "np_connect6", "np_egress",
          "np_ingress", "np_sendmsg4", "np_sendmsg6", "np_sock_create")));

  ASSERT_THAT(Engine::Detach(PinDir()), IsOk());
  EXPECT_THAT(ListPins(PinDir()), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(InstallTest, AccessIsForRootUnlessAGroupIsNamed) {
  auto engine = Open();
  ASSERT_NE(engine, nullptr);
  for (const char* directory : {"", "/maps", "/programs", "/links"}) {
    EXPECT_EQ(ModeOf(PinDir() + directory), 0700u) << directory;
  }
  EXPECT_EQ(ModeOf(PinDir() + "/maps/np_rows"), 0600u);
  EXPECT_EQ(ModeOf(LinkPin("np_egress")), 0600u);

  // Adoption changes it.
  EngineOptions options = Options();
  options.pin_group = 4242;
  auto again = Open(options);
  ASSERT_NE(again, nullptr);
  for (const char* directory : {"", "/maps", "/programs", "/links"}) {
    EXPECT_EQ(ModeOf(PinDir() + directory), 0750u) << directory;
  }
  for (const char* pin :
       {"/maps/np_rows", "/programs/np_egress", "/links/np_egress"}) {
    EXPECT_EQ(ModeOf(PinDir() + pin), 0640u) << pin;
    struct stat status = {};
    ASSERT_EQ(stat((PinDir() + pin).c_str(), &status), 0);
    EXPECT_EQ(status.st_gid, 4242u) << pin;
  }
}

TEST_F(InstallTest, ReopeningKeepsTablesProgramsAndLinks) {
  auto engine = Open();
  ASSERT_NE(engine, nullptr);
  ASSERT_THAT(engine->Commit({Deny(1), Deny(2)}, {}), IsOk());
  auto before = engine->Status();
  ASSERT_THAT(before, IsOk());
  engine.reset();

  EngineOptions options = Options();
  options.mode = OpenMode::kAdoptOnly;
  options.max_uids = 5000;  // Counts for new tables only.
  auto again = Open(options);
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(again->open_report().start, OpenReport::Start::kAdopted);
  EXPECT_EQ(again->open_report().programs_kept, 9);
  EXPECT_EQ(again->open_report().programs_replaced, 0);
  EXPECT_EQ(again->open_report().links_created, 0);
  EXPECT_FALSE(again->open_report().commit_completed);
  EXPECT_EQ(PolicyOf(*again).policy, Apply(Policy(), {Deny(1), Deny(2)}));
  EXPECT_EQ(PolicyOf(*again).generation, Generation{2});
  auto after = again->Status();
  ASSERT_THAT(after, IsOk());
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(after->programs[i].id, before->programs[i].id);
    EXPECT_EQ(after->programs[i].link_id, before->programs[i].link_id);
  }
  for (size_t i = 0; i < 12; ++i) {
    EXPECT_EQ(after->maps[i].id, before->maps[i].id);
  }
}

TEST_F(InstallTest, AdoptOnlyNeedsSomethingToAdopt) {
  EngineOptions options = Options();
  options.mode = OpenMode::kAdoptOnly;
  EXPECT_THAT(Engine::Open(options).status(),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(ListPins(PinDir()), StatusIs(absl::StatusCode::kNotFound));
  ASSERT_THAT(MakePinDirectory(PinDir(), {}), IsOk());
  EXPECT_THAT(Engine::Open(options).status(),
              StatusIs(absl::StatusCode::kNotFound,
                       absl::StrCat("adopt pins in ", PinDir(),
                                    ": nothing is set up there")));
  EXPECT_THAT(ListPins(PinDir()), IsOkAndHolds(IsEmpty()));
}

TEST_F(InstallTest, AnotherVersionsProgramIsReplacedInItsLink) {
  auto engine = Open();
  ASSERT_NE(engine, nullptr);
  const uint32_t ingress = LinkedProgram("np_ingress");
  const UniqueFd other = LoadOtherEgress();
  auto link = OpenPin(LinkPin("np_egress"), PinKind::kLink);
  ASSERT_THAT(link, IsOk());
  auto link_before = ReadCgroupLinkInfo(link->get());
  ASSERT_THAT(link_before, IsOk());
  ASSERT_THAT(UpdateLink(link->get(), other.get(), "np_egress"), IsOk());
  ASSERT_THAT(ReplacePin(other.get(), ProgramPin("np_egress"), {}), IsOk());

  auto again = Open();
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(again->open_report().programs_kept, 8);
  EXPECT_EQ(again->open_report().programs_replaced, 1);
  auto link_after = ReadCgroupLinkInfo(link->get());
  ASSERT_THAT(link_after, IsOk());
  EXPECT_EQ(link_after->id, link_before->id);
  EXPECT_NE(link_after->program_id, ReadProgramInfo(other.get())->id);
  EXPECT_EQ(link_after->program_id, PinnedProgram("np_egress"));
  EXPECT_EQ(LinkedProgram("np_ingress"), ingress);
}

TEST_F(InstallTest, AdoptOnlyLeavesProgramsAndLinksAsTheyAre) {
  auto engine = Open();
  ASSERT_NE(engine, nullptr);
  engine.reset();
  const UniqueFd other = LoadOtherEgress();
  {
    auto link = OpenPin(LinkPin("np_egress"), PinKind::kLink);
    ASSERT_THAT(link, IsOk());
    ASSERT_THAT(UpdateLink(link->get(), other.get(), "np_egress"), IsOk());
  }
  ASSERT_THAT(ReplacePin(other.get(), ProgramPin("np_egress"), {}), IsOk());
  ASSERT_THAT(Unpin(LinkPin("np_ingress")), IsOk());
  EngineOptions options = Options();
  options.mode = OpenMode::kAdoptOnly;
  options.cgroup = "";  // Whatever it is.
  auto adopted = Open(options);
  ASSERT_NE(adopted, nullptr);
  EXPECT_EQ(LinkedProgram("np_egress"), ReadProgramInfo(other.get())->id);
  EXPECT_THAT(
      ListPins(PinDir() + "/links"),
      IsOkAndHolds(ElementsAre("np_bind4", "np_bind6", "np_connect4",
                               "np_connect6", "np_egress", "np_sendmsg4",
                               "np_sendmsg6", "np_sock_create")));
  ASSERT_THAT(adopted->Commit({Deny(1)}, {}), IsOk());
  auto status = adopted->Status();
  ASSERT_THAT(status, IsOk());
  EXPECT_EQ(status->cgroup, cgroup_->path());
  EXPECT_EQ(status->cgroup_id, cgroup_->id());
  ASSERT_THAT(status->programs, ::testing::SizeIs(9));
  EXPECT_EQ(status->programs[2].name, "np_ingress");
  EXPECT_EQ(status->programs[2].link_id, 0u);
  EXPECT_EQ(status->programs[3].id, ReadProgramInfo(other.get())->id);

  // It sees what another engine puts in its place.
  auto replacing = Open();
  ASSERT_NE(replacing, nullptr);
  status = adopted->Status();
  ASSERT_THAT(status, IsOk());
  EXPECT_EQ(status->programs[3].id, LinkedProgram("np_egress"));
}

TEST_F(InstallTest, AProgramOverOtherTablesIsReplaced) {
  // The same program, but from a set-up elsewhere.
  EngineOptions elsewhere = Options();
  elsewhere.pin_dir = bpffs_->File("elsewhere");
  auto other = Open(elsewhere);
  auto engine = Open();
  ASSERT_NE(other, nullptr);
  ASSERT_NE(engine, nullptr);
  auto program =
      OpenPin(elsewhere.pin_dir + "/programs/np_egress", PinKind::kProgram);
  ASSERT_THAT(program, IsOk());
  auto link = OpenPin(LinkPin("np_egress"), PinKind::kLink);
  ASSERT_THAT(link, IsOk());
  ASSERT_THAT(UpdateLink(link->get(), program->get(), "np_egress"), IsOk());
  ASSERT_THAT(ReplacePin(program->get(), ProgramPin("np_egress"), {}), IsOk());

  auto again = Open();
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(again->open_report().programs_replaced, 1);
  EXPECT_NE(LinkedProgram("np_egress"), ReadProgramInfo(program->get())->id);
}

TEST_F(InstallTest, MissingPinsOfProgramsAndLinksAreMadeAgain) {
  auto engine = Open();
  ASSERT_NE(engine, nullptr);
  ASSERT_THAT(engine->Commit({Deny(7)}, {}), IsOk());
  engine.reset();
  ASSERT_THAT(Unpin(ProgramPin("np_ingress")), IsOk());
  ASSERT_THAT(Unpin(LinkPin("np_egress")), IsOk());
  auto again = Open();
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(again->open_report().links_created, 1);
  EXPECT_EQ(again->open_report().programs_replaced, 1);
  EXPECT_EQ(again->open_report().programs_kept, 7);
  for (const char* name : {"np_ingress", "np_egress", "np_sock_create"}) {
    EXPECT_EQ(LinkedProgram(name), PinnedProgram(name)) << name;
  }
  EXPECT_EQ(PolicyOf(*again).policy, Apply(Policy(), {Deny(7)}));
}

TEST_F(InstallTest, LinksOfARemovedCgroupAreMadeAgain) {
  auto engine = Open();
  ASSERT_NE(engine, nullptr);
  engine.reset();
  cgroup_.reset();
  auto fresh = TestCgroup::Create();
  ASSERT_THAT(fresh, IsOk());
  cgroup_ = std::make_unique<TestCgroup>(*std::move(fresh));
  // The kernel detaches links a little after the cgroup is gone.
  for (int i = 0; i < 200; ++i) {
    auto fd = OpenPin(LinkPin("np_sock_create"), PinKind::kLink);
    ASSERT_THAT(fd, IsOk());
    if (ReadCgroupLinkInfo(fd->get())->cgroup_id == 0) break;
    usleep(10000);
  }
  auto again = Open();
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(again->open_report().links_created, 9);
}

TEST_F(InstallTest, PinsOfAnotherCgroupAreRefused) {
  auto engine = Open();
  ASSERT_NE(engine, nullptr);
  const uint32_t before = LinkedProgram("np_ingress");
  auto other = TestCgroup::Create();
  ASSERT_THAT(other, IsOk());
  EngineOptions options = Options();
  options.cgroup = other->path();
  EXPECT_THAT(
      Engine::Open(options).status(),
      StatusIs(absl::StatusCode::kFailedPrecondition,
               absl::StrCat("adopt pins in ", PinDir(),
                            ": np_connect4 is attached to ", cgroup_->path(),
                            ", not to ", other->path())));
  EXPECT_EQ(LinkedProgram("np_ingress"), before);
}

TEST_F(InstallTest, WrongPlacesAreRefusedAndLeftAsTheyWere) {
  struct Row {
    const char* name;
    std::string cgroup;
    std::string pin_dir;
    absl::StatusCode code;
    const char* message;
  };
  auto disk = testing::ScratchDir::Create();
  ASSERT_THAT(disk, IsOk());
  for (const Row& row : {
           Row{"no cgroup", "/none", PinDir(), absl::StatusCode::kNotFound,
               "open cgroup /none: no such file or directory"},
           Row{"not a cgroup", "/proc", PinDir(),
               absl::StatusCode::kFailedPrecondition,
               "open cgroup /proc: not a cgroup v2 directory"},
           Row{"not on a bpffs", cgroup_->path(), disk->File("pins"),
               absl::StatusCode::kFailedPrecondition, "not on a bpffs"},
           Row{"on a disk", cgroup_->path(), disk->path(),
               absl::StatusCode::kFailedPrecondition, "not on a bpffs"},
           Row{"no parent", cgroup_->path(), bpffs_->File("a/b"),
               absl::StatusCode::kNotFound, "no such file or directory"},
       }) {
    EngineOptions options = Options();
    options.cgroup = row.cgroup;
    options.pin_dir = row.pin_dir;
    EXPECT_THAT(Engine::Open(options).status(),
                StatusIs(row.code, HasSubstr(row.message)))
        << row.name;
    EXPECT_THAT(ListPins(PinDir()), StatusIs(absl::StatusCode::kNotFound));
    EXPECT_THAT(ListPins(disk->path()), IsOkAndHolds(IsEmpty()));
  }
}

TEST_F(InstallTest, SizesOutOfRangeAreRefusedAndNothingIsLeft) {
  for (uint32_t EngineOptions::*size :
       {&EngineOptions::max_uids, &EngineOptions::max_rows,
        &EngineOptions::max_uid_rows, &EngineOptions::max_drops}) {
    for (uint32_t value : {0u, (1u << 24) + 1}) {
      EngineOptions options = Options();
      options.*size = value;
      EXPECT_THAT(Engine::Open(options).status(),
                  StatusIs(absl::StatusCode::kInvalidArgument));
      EXPECT_THAT(ListPins(PinDir()), StatusIs(absl::StatusCode::kNotFound));
    }
  }
}

TEST_F(InstallTest, WithoutPrivilegesTheCapabilitiesAreNamed) {
  const EngineOptions options = Options();
  auto status =
      testing::RunInChild({.privileges = testing::Privileges::kNone},
                          [&] { return Engine::Open(options).status(); });
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kPermissionDenied,
                               "open engine: needs CAP_BPF and CAP_NET_ADMIN "
                               "and CAP_PERFMON"));
  EXPECT_THAT(ListPins(PinDir()), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(InstallTest, TablesOfAnotherVersionAreRefused) {
  struct Row {
    const char* name;
    uint32_t magic;
    uint16_t major;
    uint16_t minor;
    const char* message;
  };
  auto engine = Open();
  ASSERT_NE(engine, nullptr);
  engine.reset();
  for (const Row& row : {
           Row{"newer", NP_ABI_MAGIC, 4, 0,
               "table layout 4.0 is newer than 3.1"},
           Row{"older", NP_ABI_MAGIC, 1, 9,
               "table layout 1.9 is older than 3.1"},
           Row{"foreign", 0x12345678, 1, 0, "np_control is not ours"},
       }) {
    SetControl([&row](np_control& control) {
      control.magic = row.magic;
      control.abi_major = row.major;
      control.abi_minor = row.minor;
    });
    EXPECT_THAT(
        Engine::Open(Options()).status(),
        StatusIs(absl::StatusCode::kFailedPrecondition,
                 absl::StrCat("adopt pins in ", PinDir(), ": ", row.message)))
        << row.name;
  }
  // A newer minor version has something that we may ignore.
  SetControl([](np_control& control) {
    control.magic = NP_ABI_MAGIC;
    control.abi_major = NP_ABI_MAJOR;
    control.abi_minor = NP_ABI_MINOR + 1;
  });
  EXPECT_NE(Open(), nullptr);
}

TEST_F(InstallTest, ATableOfAnotherShapeIsRefused) {
  auto engine = Open();
  ASSERT_NE(engine, nullptr);
  engine.reset();
  struct Row {
    const char* name;
    bpf_map_type type;
    uint32_t key_size;
    uint32_t value_size;
    const char* message;
  };
  const std::string pin = PinDir() + "/maps/np_rows";
  for (const Row& row : {
           Row{"value", BPF_MAP_TYPE_HASH, 16, 8, "value of 8 bytes"},
           Row{"key", BPF_MAP_TYPE_HASH, 12, 4, "key of 12"},
           Row{"type", BPF_MAP_TYPE_LRU_HASH, 16, 4, "type is 9, expected 1"},
       }) {
    const UniqueFd other(bpf_map_create(row.type, "np_rows", row.key_size,
                                        row.value_size, 16, nullptr));
    ASSERT_TRUE(other.ok()) << row.name;
    ASSERT_THAT(ReplacePin(other.get(), pin, {}), IsOk());
    EXPECT_THAT(Engine::Open(Options()).status(),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         AllOf(HasSubstr("np_rows"), HasSubstr(row.message))))
        << row.name;
  }
  ASSERT_THAT(Unpin(pin), IsOk());
  EXPECT_THAT(Engine::Open(Options()).status(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("maps/np_rows")));
}

TEST_F(InstallTest, WhatIsHalfMadeIsRemovedAndMadeAnew) {
  auto engine = Open();
  ASSERT_NE(engine, nullptr);
  ASSERT_THAT(engine->Commit({Deny(1)}, {}), IsOk());
  SetControl([](np_control& control) { control.ready = 0; });
  ASSERT_THAT(Unpin(LinkPin("np_egress")), IsOk());
  auto again = Open();
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(again->open_report().start, OpenReport::Start::kLoaded);
  EXPECT_EQ(again->open_report().leftovers_removed, 42);
  EXPECT_EQ(PolicyOf(*again).policy, Policy());
}

TEST_F(InstallTest, ForeignPinsAreNeverRemoved) {
  auto engine = Open();
  ASSERT_NE(engine, nullptr);
  const std::string foreign = PinDir() + "/maps/precious";
  const UniqueFd map(
      bpf_map_create(BPF_MAP_TYPE_ARRAY, "precious", 4, 4, 1, nullptr));
  ASSERT_THAT(Pin(map.get(), foreign, {}), IsOk());
  EXPECT_THAT(Engine::Detach(PinDir()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       absl::StrCat("remove pins in ", PinDir(),
                                    ": holds maps/precious, which this "
                                    "version does not make")));
  // Everything is as it was.
  EXPECT_THAT(engine->Commit({Deny(1)}, {}), IsOk());
  EXPECT_NE(Open(), nullptr);

  SetControl([](np_control& control) { control.ready = 0; });
  EXPECT_THAT(Engine::Open(Options()).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("maps/precious")));
  EXPECT_THAT(OpenPin(foreign, PinKind::kMap), IsOk());
}

TEST_F(InstallTest, DetachEndsItForEverybodyAndCanBeRepeated) {
  auto engine = Open();
  ASSERT_NE(engine, nullptr);
  EXPECT_THAT(Engine::Detach(PinDir()), IsOk());
  EXPECT_THAT(Engine::Detach(PinDir()), IsOk());
  const auto detached = [](const char* operation) {
    return StatusIs(absl::StatusCode::kFailedPrecondition,
                    absl::StrCat(operation, ": the tables were detached"));
  };
  EXPECT_THAT(engine->Commit({Deny(1)}, {}), detached("commit policy"));
  EXPECT_THAT(engine->GetPolicy(), detached("read policy"));
  EXPECT_THAT(engine->Explain({.uid = Uid{1}}), detached("explain"));
  EXPECT_THAT(engine->Stats(), detached("read stats"));
  EXPECT_THAT(engine->Status(), detached("read status"));
  EXPECT_THAT(Engine::Detach("/proc"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("not on a bpffs")));
}

TEST_F(InstallTest, OthersProgramsOnTheCgroupStay) {
  const UniqueFd other = LoadOtherEgress();
  auto link = CreateCgroupLink(other.get(), cgroup_->fd(),
                               BPF_CGROUP_INET_EGRESS, "other");
  ASSERT_THAT(link, IsOk());
  auto engine = Open();
  ASSERT_NE(engine, nullptr);
  EXPECT_THAT(Engine::Detach(PinDir()), IsOk());
  EXPECT_EQ(ReadCgroupLinkInfo(link->get())->cgroup_id, cgroup_->id());
}

TEST_F(InstallTest, ALockedDirectoryIsUnavailable) {
  auto engine = Open();
  ASSERT_NE(engine, nullptr);
  auto fd = OpenPinDirectory(PinDir());
  ASSERT_THAT(fd, IsOk());
  auto lock = DirectoryLock::Acquire(fd->get(), PinDir(),
                                     DirectoryLock::Kind::kExclusive, {});
  ASSERT_THAT(lock, IsOk());
  EngineOptions options = Options();
  options.lock_timeout = absl::Milliseconds(20);
  EXPECT_THAT(
      Engine::Open(options).status(),
      StatusIs(absl::StatusCode::kUnavailable,
               absl::StrCat("lock ", PinDir(), ": held by another process")));
  EXPECT_THAT(Engine::Detach(PinDir(), absl::Milliseconds(20)),
              StatusIs(absl::StatusCode::kUnavailable));
  // Reading needs no lock.
  EXPECT_THAT(engine->GetPolicy(), IsOk());
}

}  // namespace
}  // namespace netpolicy
