// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/kernel/cgroup.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/capability.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/test_cgroup.h"

namespace netpolicy {
namespace {

using testing::Capability;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::StatusIs;
using testing::TestCgroup;

TEST(FindCgroup2Mount, IsTheFirstCgroup2Mount) {
  struct Row {
    const char* name;
    const char* mounts;
    const char* expected;
  };
  for (const Row& row : {
           Row{"unified", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n",
               "/sys/fs/cgroup"},
           Row{"hybrid",
               "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n"
               "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n"
               "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n",
               "/sys/fs/cgroup/unified"},
           Row{"two", "a /one cgroup2 rw 0 0\nb /two cgroup2 rw 0 0\n", "/one"},
           Row{"named after it", "cgroup2 /x tmpfs rw 0 0\nc /y cgroup2 rw 0 0",
               "/y"},
           Row{"escaped", "c /my\\040mount\\134x cgroup2 rw 0 0\n",
               "/my mount\\x"},
       }) {
    EXPECT_THAT(FindCgroup2MountIn(row.mounts), IsOkAndHolds(row.expected))
        << row.name;
  }
  EXPECT_THAT(FindCgroup2MountIn("cgroup /x cgroup rw 0 0\n"),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("find cgroup2: not mounted")));
}

TEST(OpenCgroup, OtherDirectoriesAreRefused) {
  EXPECT_THAT(OpenCgroup("/proc").status(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       "open cgroup /proc: not a cgroup v2 directory"));
  EXPECT_THAT(OpenCgroup("/proc/none").status(),
              StatusIs(absl::StatusCode::kNotFound,
                       "open cgroup /proc/none: no such file or directory"));
  EXPECT_THAT(OpenCgroup("/proc/version").status(),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(OpenCgroup, KnowsTheId) {
  if (auto missing = testing::MissingCapability({Capability::kCgroup2})) {
    GTEST_SKIP() << *missing;
  }
  auto made = TestCgroup::Create();
  ASSERT_THAT(made, IsOk());
  auto cgroup = OpenCgroup(made->path());
  ASSERT_THAT(cgroup, IsOk());
  EXPECT_EQ(cgroup->id, made->id());
  EXPECT_EQ(CgroupName(cgroup->path, cgroup->id), made->path());
  EXPECT_EQ(CgroupName(cgroup->path, 1ULL << 62),
            "cgroup id 4611686018427387904");
}

}  // namespace
}  // namespace netpolicy
