// SPDX-License-Identifier: Apache-2.0
//
// What a test made is gone however the test ends.

#include "libpolicy/testing/janitor.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/testing/actor.h"
#include "libpolicy/testing/bpf_fs.h"
#include "libpolicy/testing/capability.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/process.h"
#include "libpolicy/testing/scratch_dir.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/test_cgroup.h"

namespace netpolicy::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

std::string ReadWholeFile(const std::string& path) {
  std::string text;
  FILE* file = fopen(path.c_str(), "re");
  if (file == nullptr) return text;
  char buffer[4096];
  for (size_t size; (size = fread(buffer, 1, sizeof(buffer), file)) > 0;) {
    text.append(buffer, size);
  }
  fclose(file);
  return text;
}

// True as soon as `condition` is; false after five seconds.
template <typename Condition>
bool Eventually(Condition condition) {
  const absl::Time deadline = absl::Now() + absl::Seconds(5);
  while (absl::Now() < deadline) {
    if (condition()) return true;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return condition();
}

// How the victim ends, by the environment variable that the parent sets.
constexpr char kEndVariable[] = "NETPOLICY_JANITOR_TEST_END";

// Not a test: a process that makes one of everything, says where, and ends
// without running destructors.
TEST(Victim, DISABLED_MakesOneOfEverything) {
  auto dir = ScratchDir::Create();
  ASSERT_THAT(dir, IsOk());
  FILE* file = fopen(dir->File("file").c_str(), "we");
  ASSERT_NE(file, nullptr);
  fclose(file);
  ASSERT_EQ(mkdir(dir->File("sub").c_str(), 0700), 0);
  auto bpffs = BpfFs::Mount();
  ASSERT_THAT(bpffs, IsOk());
  UniqueFd map(bpf_map_create(BPF_MAP_TYPE_ARRAY, "victim", 4, 4, 1, nullptr));
  ASSERT_TRUE(map.ok());
  ASSERT_EQ(bpf_obj_pin(map.get(), bpffs->File("map").c_str()), 0);
  auto outer = TestCgroup::Create();
  ASSERT_THAT(outer, IsOk());
  auto inner = outer->CreateChild("inner");
  ASSERT_THAT(inner, IsOk());
  auto actor = Actor::Spawn({.uid = 10001, .cgroup = inner->path()});
  ASSERT_THAT(actor, IsOk());
  auto child = ChildProcess::Start({}, [] { return pause(); });
  ASSERT_THAT(child, IsOk());
  // A process that only its cgroup can find.
  auto forks = RunInChild({.cgroup = outer->path()}, [] {
    const pid_t pid = fork();
    if (pid == 0) {
      pause();
      _exit(0);
    }
    return pid;
  });
  ASSERT_THAT(forks, IsOk());
  printf("@@%s %s %s %s %d %d %d@@\n", dir->path().c_str(),
         bpffs->path().c_str(), outer->path().c_str(), inner->path().c_str(),
         actor->pid(), child->pid(), *forks);
  fflush(stdout);

  const std::string end = getenv(kEndVariable);
  if (end == "kill") raise(SIGKILL);
  if (end == "crash") raise(SIGSEGV);
  if (end == "exit") _exit(0);
  if (end == "abort") abort();
}

class JanitorTest : public ::testing::TestWithParam<const char*> {};

TEST_P(JanitorTest, NothingIsLeftOfAProcessThatEndsBy) {
  if (auto missing = MissingForBpfTests()) GTEST_SKIP() << *missing;
  // Its own program start, so that it has its own janitor.
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t victim = fork();
  if (victim == 0) {
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    close(ends[1]);
    setenv(kEndVariable, GetParam(), 1);
    execl("/proc/self/exe", "victim", "--gtest_also_run_disabled_tests",
          "--gtest_filter=Victim.*", nullptr);
    _exit(127);
  }
  ASSERT_GT(victim, 0);
  close(ends[1]);
  std::string output;
  char buffer[4096];
  for (ssize_t size; (size = read(ends[0], buffer, sizeof(buffer))) > 0;) {
    output.append(buffer, static_cast<size_t>(size));
  }
  close(ends[0]);
  ASSERT_EQ(waitpid(victim, nullptr, 0), victim);

  const std::vector<std::string> parts = absl::StrSplit(output, "@@");
  ASSERT_EQ(parts.size(), 3u) << output;
  const std::vector<std::string> made = absl::StrSplit(parts[1], ' ');
  ASSERT_EQ(made.size(), 7u) << output;
  for (const std::string& path : {made[0], made[1], made[2], made[3]}) {
    EXPECT_TRUE(Eventually([&] { return !Exists(path); })) << path;
  }
  EXPECT_THAT(ReadWholeFile("/proc/self/mounts"), Not(HasSubstr(made[1])));
  for (const std::string& pid : {made[4], made[5], made[6]}) {
    // A zombie is init's affair.
    EXPECT_TRUE(Eventually([&] {
      const std::string stat =
          ReadWholeFile(absl::StrCat("/proc/", pid, "/stat"));
      return stat.empty() || absl::StrContains(stat, ") Z ");
    })) << pid;
  }
}

INSTANTIATE_TEST_SUITE_P(Ends, JanitorTest,
                         ::testing::Values("return", "exit", "kill", "crash",
                                           "abort"),
                         [](const auto& row) {
                           return std::string(row.param);
                         });

TEST(ScratchDir, IsEmptyAndGoesWithItsContents) {
  std::string path;
  {
    auto dir = ScratchDir::Create();
    ASSERT_THAT(dir, IsOk());
    path = dir->path();
    EXPECT_EQ(dir->File("x"), path + "/x");
    EXPECT_LT(path.size(), 60u) << "no room for the name of a unix socket";
    EXPECT_EQ(mkdir(dir->File("a").c_str(), 0000), 0);
    EXPECT_EQ(symlink("/", dir->File("a-link-to-the-root").c_str()), 0);
    ScratchDir moved = *std::move(dir);
    EXPECT_TRUE(Exists(path));
  }
  EXPECT_FALSE(Exists(path));
  EXPECT_TRUE(Exists("/proc"));
}

TEST(ScratchDir, AChildProcessDoesNotRemoveItsParents) {
  auto dir = ScratchDir::Create();
  ASSERT_THAT(dir, IsOk());
  EXPECT_THAT(RunInChild({},
                         [&]() -> absl::Status {
                           ScratchDir gone = *std::move(dir);
                           return absl::OkStatus();
                         }),
              IsOk());
  EXPECT_TRUE(Exists(dir->path()));
}

TEST(BpfFs, PinsLastAsLongAsTheMount) {
  if (auto missing = MissingForBpfTests()) GTEST_SKIP() << *missing;
  std::string path;
  uint32_t id = 0;
  {
    auto bpffs = BpfFs::Mount();
    ASSERT_THAT(bpffs, IsOk());
    path = bpffs->path();
    UniqueFd map(
        bpf_map_create(BPF_MAP_TYPE_ARRAY, "pinned", 4, 4, 1, nullptr));
    ASSERT_TRUE(map.ok());
    bpf_map_info info = {};
    uint32_t size = sizeof(info);
    ASSERT_EQ(bpf_obj_get_info_by_fd(map.get(), &info, &size), 0);
    id = info.id;
    ASSERT_EQ(mkdir(bpffs->File("directory").c_str(), 0700), 0);
    ASSERT_EQ(bpf_obj_pin(map.get(), bpffs->File("directory/map").c_str()), 0);
    map.reset();
    EXPECT_TRUE(UniqueFd(bpf_map_get_fd_by_id(id)).ok());
  }
  EXPECT_FALSE(Exists(path));
  EXPECT_TRUE(
      Eventually([&] { return !UniqueFd(bpf_map_get_fd_by_id(id)).ok(); }));
}

TEST(BpfFs, TwoMountsAreSeparate) {
  if (auto missing = MissingForBpfTests()) GTEST_SKIP() << *missing;
  auto first = BpfFs::Mount();
  auto second = BpfFs::Mount();
  ASSERT_THAT(first, IsOk());
  ASSERT_THAT(second, IsOk());
  ASSERT_EQ(mkdir(first->File("only-here").c_str(), 0700), 0);
  EXPECT_FALSE(Exists(second->File("only-here")));
}

TEST(Janitor, DroppingInheritedResourcesClosesAllButTheKept) {
  UniqueFd kept(open("/dev/null", O_RDONLY | O_CLOEXEC));
  UniqueFd dropped(open("/dev/null", O_RDONLY | O_CLOEXEC));
  void* shared = mmap(nullptr, 4096, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(shared, MAP_FAILED);
  // Bit by bit: kept is open, dropped is not, standard error is, memory is
  // gone.
  auto child = ChildProcess::StartKeeping({}, {kept.get(), -1}, [&] {
    unsigned char resident;
    return (fcntl(kept.get(), F_GETFD) >= 0 ? 1 : 0) |
           (fcntl(dropped.get(), F_GETFD) < 0 ? 2 : 0) |
           (fcntl(STDERR_FILENO, F_GETFD) >= 0 ? 4 : 0) |
           (mincore(shared, 4096, &resident) < 0 && errno == ENOMEM ? 8 : 0);
  });
  ASSERT_THAT(child, IsOk());
  EXPECT_THAT(child->Wait(absl::Seconds(5)), IsOkAndHolds(1 | 2 | 4 | 8));
  munmap(shared, 4096);
}

}  // namespace
}  // namespace netpolicy::testing
