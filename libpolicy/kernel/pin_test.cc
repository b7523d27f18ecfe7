// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/kernel/pin.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <sys/stat.h>

#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/kernel/map.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/test_environment.h"

namespace netpolicy {
namespace {

using testing::BpfFs;
using testing::Capability;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::StatusIs;

class PinTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (auto missing = testing::MissingCapability(
            {Capability::kBpf, Capability::kBpfFs})) {
      GTEST_SKIP() << *missing;
    }
    auto bpffs = BpfFs::Mount();
    ASSERT_THAT(bpffs, IsOk());
    bpffs_ = std::make_unique<BpfFs>(*std::move(bpffs));
    // The kernel has pins of its own in the root of a bpffs.
    directory_ = bpffs_->File("pins");
    ASSERT_THAT(MakePinDirectory(directory_, {}), IsOk());
  }

  static UniqueFd MakeMap(const char* name) {
    return UniqueFd(bpf_map_create(BPF_MAP_TYPE_ARRAY, name, 4, 8, 1, nullptr));
  }

  static mode_t ModeOf(const std::string& path) {
    struct stat status = {};
    EXPECT_EQ(stat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777;
  }

  static std::string NameOf(const std::string& path) {
    auto fd = OpenPin(path, PinKind::kMap);
    EXPECT_THAT(fd, IsOk());
    if (!fd.ok()) return "";
    auto info = ReadMapInfo(fd->get());
    return info.ok() ? info->name : "";
  }

  std::unique_ptr<BpfFs> bpffs_;
  std::string directory_;
};

TEST_F(PinTest, DirectoriesElsewhereAreRefused) {
  EXPECT_THAT(CheckOnBpfFs("/proc"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       "open pin directory /proc: not on a bpffs (mount -t "
                       "bpf bpf DIRECTORY)"));
  EXPECT_THAT(CheckOnBpfFs("/none"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(MakePinDirectory("/none/x", {}),
              StatusIs(absl::StatusCode::kNotFound));
  auto disk = testing::ScratchDir::Create();
  ASSERT_THAT(disk, IsOk());
  EXPECT_THAT(MakePinDirectory(disk->File("x"), {}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("not on a bpffs")));
  // Nothing was made.
  EXPECT_THAT(ListPins(disk->path()), IsOkAndHolds(::testing::IsEmpty()));
}

TEST_F(PinTest, AccessIsForRootAloneUnlessAGroupMayRead) {
  const std::string directory = bpffs_->File("d");
  const std::string pin = directory + "/m";
  ASSERT_THAT(MakePinDirectory(directory, {}), IsOk());
  EXPECT_EQ(ModeOf(directory), 0700u);
  ASSERT_THAT(Pin(MakeMap("m").get(), pin, {}), IsOk());
  EXPECT_EQ(ModeOf(pin), 0600u);

  ASSERT_THAT(MakePinDirectory(directory, {.group = 4242}), IsOk());
  EXPECT_EQ(ModeOf(directory), 0750u);
  ASSERT_THAT(SetPinAccess(pin, {.group = 4242}), IsOk());
  EXPECT_EQ(ModeOf(pin), 0640u);
  struct stat status = {};
  ASSERT_EQ(stat(pin.c_str(), &status), 0);
  EXPECT_EQ(status.st_gid, 4242u);
}

TEST_F(PinTest, PinsAreMadeListedOpenedAndRemoved) {
  const std::string pin = directory_ + "/m";
  ASSERT_THAT(Pin(MakeMap("one").get(), pin, {}), IsOk());
  EXPECT_THAT(Pin(MakeMap("two").get(), pin, {}),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_EQ(NameOf(pin), "one");
  EXPECT_THAT(ListPins(directory_), IsOkAndHolds(ElementsAre("m")));
  EXPECT_THAT(Unpin(pin), IsOk());
  EXPECT_THAT(Unpin(pin), IsOk());
  EXPECT_THAT(OpenPin(pin, PinKind::kMap).status(),
              StatusIs(absl::StatusCode::kNotFound,
                       "open pin " + pin + ": no such file or directory"));
}

TEST_F(PinTest, ReplacingLeavesOnePin) {
  const std::string pin = directory_ + "/m";
  ASSERT_THAT(ReplacePin(MakeMap("one").get(), pin, {}), IsOk());
  ASSERT_THAT(ReplacePin(MakeMap("two").get(), pin, {}), IsOk());
  EXPECT_EQ(NameOf(pin), "two");
  // What somebody left who died while replacing is no obstacle.
  ASSERT_THAT(Pin(MakeMap("left").get(), pin + "_new", {}), IsOk());
  ASSERT_THAT(ReplacePin(MakeMap("three").get(), pin, {}), IsOk());
  EXPECT_EQ(NameOf(pin), "three");
  EXPECT_THAT(ListPins(directory_), IsOkAndHolds(ElementsAre("m")));
}

TEST_F(PinTest, APinOfAnotherKindIsRefused) {
  const std::string pin = directory_ + "/m";
  ASSERT_THAT(Pin(MakeMap("m").get(), pin, {}), IsOk());
  EXPECT_THAT(OpenPin(pin, PinKind::kProgram).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       "open pin " + pin + ": not a program"));
  EXPECT_THAT(OpenPin(pin, PinKind::kLink).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       "open pin " + pin + ": not a link"));
}

}  // namespace
}  // namespace netpolicy
