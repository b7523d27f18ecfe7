// SPDX-License-Identifier: Apache-2.0

#include "netd/cli/files.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/scratch_dir.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy::cli {
namespace {

using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::IsOkAndHolds;
using ::netpolicy::testing::ScratchDir;
using ::netpolicy::testing::StatusIs;
using ::testing::HasSubstr;

int EntriesOf(const std::string& path) {
  DIR* const directory = opendir(path.c_str());
  if (directory == nullptr) return -1;
  int entries = 0;
  while (readdir(directory) != nullptr) ++entries;
  closedir(directory);
  return entries - 2;  // without . and ..
}

TEST(Files, WhatIsWrittenIsReadAndReplacesWhatWasThere) {
  auto scratch = ScratchDir::Create();
  ASSERT_THAT(scratch, IsOk());
  const std::string path = scratch->File("page.html");
  ASSERT_THAT(WriteFile(path, "first"), IsOk());
  EXPECT_THAT(ReadFile(path), IsOkAndHolds("first"));
  ASSERT_THAT(WriteFile(path, "2nd"), IsOk());
  EXPECT_THAT(ReadFile(path), IsOkAndHolds("2nd"));
  EXPECT_EQ(EntriesOf(scratch->path()), 1);
}

TEST(Files, WhatCannotBeWrittenLeavesNothingBehind) {
  auto scratch = ScratchDir::Create();
  ASSERT_THAT(scratch, IsOk());
  EXPECT_THAT(WriteFile(scratch->File("no/page.html"), "x"),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("no/page.html: No such file or directory")));
  // A directory is nothing that a file may replace.
  ASSERT_EQ(mkdir(scratch->File("there").c_str(), 0700), 0);
  EXPECT_THAT(
      WriteFile(scratch->File("there"), "x"),
      StatusIs(absl::StatusCode::kUnavailable, HasSubstr("Is a directory")));
  EXPECT_EQ(EntriesOf(scratch->path()), 1);
}

TEST(Files, WhatIsNoFileIsWrittenToAndStays) {
  auto scratch = ScratchDir::Create();
  ASSERT_THAT(scratch, IsOk());
  const std::string device = scratch->File("null");
  ASSERT_EQ(symlink("/dev/null", device.c_str()), 0);
  const std::string link = scratch->File("link");
  ASSERT_EQ(symlink("page.html", link.c_str()), 0);
  ASSERT_THAT(WriteFile(scratch->File("page.html"), "longer"), IsOk());
  EXPECT_THAT(WriteFile(device, "x"), IsOk());
  EXPECT_THAT(WriteFile(link, "x"), IsOk());
  EXPECT_THAT(ReadFile(scratch->File("page.html")), IsOkAndHolds("x"));
  for (const std::string& path : {device, link}) {
    struct stat status = {};
    ASSERT_EQ(lstat(path.c_str(), &status), 0);
    EXPECT_TRUE(S_ISLNK(status.st_mode)) << path;
  }
  EXPECT_EQ(EntriesOf(scratch->path()), 3);
}

}  // namespace
}  // namespace netpolicy::cli
