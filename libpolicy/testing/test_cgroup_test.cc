// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/testing/test_cgroup.h"

#include <cerrno>
#include <csignal>
#include <fstream>
#include <string>

#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/capability.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/process.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

// The line of /proc/<pid>/cgroup for cgroup2: "0::/path".
std::string CgroupLine(const std::string& pid) {
  std::ifstream lines("/proc/" + pid + "/cgroup");
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("0::", 0) == 0) return line;
  }
  return "";
}

class TestCgroupTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (auto missing =
            MissingCapability({Capability::kRoot, Capability::kCgroup2})) {
      GTEST_SKIP() << *missing;
    }
  }
};

TEST_F(TestCgroupTest, LivesBelowTheMountAndGoesInTheEnd) {
  std::string path;
  {
    auto cgroup = TestCgroup::Create();
    ASSERT_THAT(cgroup, IsOk());
    path = cgroup->path();
    auto mount = FindCgroup2Mount();
    ASSERT_THAT(mount, IsOk());
    EXPECT_THAT(path, StartsWith(absl::StrCat(*mount, "/netpolicy-test-",
                                              getpid(), "-")));
    struct stat info;
    ASSERT_EQ(stat(path.c_str(), &info), 0);
    EXPECT_EQ(cgroup->id(), info.st_ino);
    EXPECT_GE(cgroup->fd(), 0);
    EXPECT_THAT(cgroup->Processes(), IsOkAndHolds(IsEmpty()));
  }
  EXPECT_NE(access(path.c_str(), F_OK), 0);
}

TEST_F(TestCgroupTest, ProcessesMoveInAndChildrenNest) {
  auto outer = TestCgroup::Create();
  ASSERT_THAT(outer, IsOk());
  auto inner = outer->CreateChild("inner");
  ASSERT_THAT(inner, IsOk());
  EXPECT_EQ(inner->path(), outer->path() + "/inner");
  EXPECT_THAT(outer->CreateChild("inner"), HasErrno(EEXIST));

  auto child = ChildProcess::Start({}, [] { return pause(); });
  ASSERT_THAT(child, IsOk());
  EXPECT_THAT(inner->AddProcess(child->pid()), IsOk());
  EXPECT_THAT(inner->Processes(), IsOkAndHolds(ElementsAre(child->pid())));
  EXPECT_THAT(outer->Processes(), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(CgroupLine(absl::StrCat(child->pid())),
              ::testing::EndsWith("/inner"));
}

TEST_F(TestCgroupTest, DestructionKillsWhatIsInsideAndNothingElse) {
  auto outside = ChildProcess::Start({}, [] { return pause(); });
  auto inside = ChildProcess::Start({}, [] { return pause(); });
  auto deeper = ChildProcess::Start({}, [] { return pause(); });
  ASSERT_THAT(outside, IsOk());
  ASSERT_THAT(inside, IsOk());
  ASSERT_THAT(deeper, IsOk());
  std::string path;
  {
    auto cgroup = TestCgroup::Create();
    ASSERT_THAT(cgroup, IsOk());
    path = cgroup->path();
    // Made behind the library's back.
    ASSERT_EQ(mkdir((path + "/deeper").c_str(), 0755), 0);
    std::ofstream(path + "/deeper/cgroup.procs") << deeper->pid() << std::flush;
    ASSERT_THAT(cgroup->AddProcess(inside->pid()), IsOk());
  }
  EXPECT_NE(access(path.c_str(), F_OK), 0);
  EXPECT_THAT(inside->Wait(absl::Seconds(5)), IsOkAndHolds(128 + SIGKILL));
  EXPECT_THAT(deeper->Wait(absl::Seconds(5)), IsOkAndHolds(128 + SIGKILL));
  EXPECT_THAT(outside->Wait(absl::ZeroDuration()),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST_F(TestCgroupTest, DestructionTakesTheCallerBackToWhereItWas) {
  const std::string before = CgroupLine("self");
  {
    auto cgroup = TestCgroup::Create();
    ASSERT_THAT(cgroup, IsOk());
    ASSERT_THAT(cgroup->AddProcess(0), IsOk());
    EXPECT_NE(CgroupLine("self"), before);
  }
  EXPECT_EQ(CgroupLine("self"), before);
}

TEST_F(TestCgroupTest, AMovedFromCgroupStays) {
  auto first = TestCgroup::Create();
  ASSERT_THAT(first, IsOk());
  const std::string path = first->path();
  {
    TestCgroup second = *std::move(first);
    EXPECT_EQ(second.path(), path);
    EXPECT_EQ(access(path.c_str(), F_OK), 0);
  }
  EXPECT_NE(access(path.c_str(), F_OK), 0);
}

}  // namespace
}  // namespace netpolicy::testing
