// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/testing/process.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>

#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/capability.h"
#include "libpolicy/testing/container.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/test_cgroup.h"

namespace netpolicy::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

// A line of /proc/<pid>/status without its name: "10001\t10001\t10001\t10001".
std::string StatusLine(const std::string& pid, const std::string& name) {
  std::ifstream lines("/proc/" + pid + "/status");
  for (std::string line; std::getline(lines, line);) {
    if (absl::StartsWith(line, name + ":\t"))
      return line.substr(name.size() + 2);
  }
  return "";
}

uint64_t OwnNetns() {
  struct stat info = {};
  stat("/proc/thread-self/ns/net", &info);
  return info.st_ino;
}

bool CanOpenRawSocket() {
  return UniqueFd(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP)).ok();
}

TEST(RunInChild, ReturnsWhatTheBodyReturned) {
  EXPECT_THAT(RunInChild({}, [] { return 42; }), IsOkAndHolds(42));
  EXPECT_THAT(RunInChild({}, [] { return absl::StatusOr<int>(43); }),
              IsOkAndHolds(43));
  EXPECT_THAT(RunInChild({}, [] { return std::string("a\0b", 3); }),
              IsOkAndHolds(std::string("a\0b", 3)));
  EXPECT_THAT(RunInChild({},
                         [] {
                           return std::array<int, 2>{1, 2};
                         }),
              IsOkAndHolds(ElementsAre(1, 2)));
  EXPECT_THAT(RunInChild({}, [] { return absl::OkStatus(); }), IsOk());
  EXPECT_THAT(RunInChild({}, [] { return std::string(1 << 20, 'x'); }),
              IsOkAndHolds(::testing::SizeIs(1 << 20)));
}

TEST(RunInChild, ErrorsTravelWithTheirErrno) {
  EXPECT_THAT(RunInChild({}, [] { return ErrnoStatus(EPERM, "connect x"); }),
              HasErrno(EPERM));
  EXPECT_THAT(
      RunInChild({},
                 []() -> absl::StatusOr<int> {
                   return absl::AbortedError("commit policy: lost the race");
                 }),
      StatusIs(absl::StatusCode::kAborted, "commit policy: lost the race"));
}

TEST(RunInChild, ADeadChildIsAnError) {
  EXPECT_THAT(RunInChild({},
                         [] {
                           raise(SIGKILL);
                           return 1;
                         }),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("137")));
  EXPECT_THAT(
      RunInChild({},
                 [] {
                   _exit(3);
                   return 1;
                 }),
      StatusIs(absl::StatusCode::kInternal, HasSubstr("exit status 3")));
}

TEST(RunInChild, AFailedAssertionInTheChildIsAnError) {
  EXPECT_THAT(RunInChild({},
                         [] {
                           // Nobody should read of a failure that is none.
                           UniqueFd null(open("/dev/null", O_WRONLY));
                           dup2(null.get(), STDOUT_FILENO);
                           EXPECT_TRUE(false);
                           return absl::OkStatus();
                         }),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("assertion")));
}

TEST(RunInChild, IsKilledAtTheDeadline) {
  const absl::Time start = absl::Now();
  EXPECT_THAT(RunInChild(
                  {},
                  [] {
                    pause();
                    return 1;
                  },
                  absl::Milliseconds(50)),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
}

class IdentityTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (auto missing = MissingForBpfTests()) GTEST_SKIP() << *missing;
  }
};

TEST_F(IdentityTest, UidAndGidAreSetAndGroupsDropped) {
  EXPECT_THAT(
      RunInChild({.uid = 10001}, [] { return StatusLine("self", "Uid"); }),
      IsOkAndHolds("10001\t10001\t10001\t10001"));
  EXPECT_THAT(
      RunInChild({.uid = 10001}, [] { return StatusLine("self", "Gid"); }),
      IsOkAndHolds("10001\t10001\t10001\t10001"));
  EXPECT_THAT(RunInChild({.uid = 10001, .gid = 20002}, [] { return getgid(); }),
              IsOkAndHolds(20002));
  EXPECT_THAT(RunInChild({.uid = 10001}, [] { return getgroups(0, nullptr); }),
              IsOkAndHolds(0));
}

TEST_F(IdentityTest, PrivilegesFollowTheOption) {
  struct Row {
    const char* name;
    ChildOptions options;
    bool raw_socket;
  };
  const Row rows[] = {
      {"root", {}, true},
      {"root without capabilities", {.privileges = Privileges::kNone}, false},
      {"an app", {.uid = 10001}, false},
      {"an app without capabilities",
       {.uid = 10001, .privileges = Privileges::kNone},
       false},
      {"an app with all of them",
       {.uid = 10001, .privileges = Privileges::kAll},
       true},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    EXPECT_THAT(RunInChild(row.options, CanOpenRawSocket),
                IsOkAndHolds(row.raw_socket));
  }
}

TEST_F(IdentityTest, JoinsCgroupAndNamespace) {
  auto cgroup = TestCgroup::Create();
  auto ns = NetNamespace::Create();
  ASSERT_THAT(cgroup, IsOk());
  ASSERT_THAT(ns, IsOk());
  const ChildOptions options = {
      .uid = 10001, .cgroup = cgroup->path(), .netns = ns->fd()};
  EXPECT_THAT(RunInChild(options, OwnNetns), IsOkAndHolds(ns->inode()));
  auto child = ChildProcess::Start(options, [] { return pause(); });
  ASSERT_THAT(child, IsOk());
  EXPECT_THAT(cgroup->Processes(), IsOkAndHolds(ElementsAre(child->pid())));
}

TEST_F(IdentityTest, AUidInsideAContainerIsAnotherOneOutside) {
  auto box = Container::Create({"0 100000 65536", "0 100000 65536"});
  ASSERT_THAT(box, IsOk());
  const ChildOptions options = {
      .uid = 10001, .netns = box->net.fd(), .userns = box->user.get()};
  EXPECT_THAT(RunInChild(options, [] { return getuid(); }),
              IsOkAndHolds(10001));
  EXPECT_THAT(RunInChild(options, OwnNetns), IsOkAndHolds(box->net.inode()));
  auto child = ChildProcess::Start(options, [] { return pause(); });
  ASSERT_THAT(child, IsOk());
  EXPECT_EQ(StatusLine(absl::StrCat(child->pid()), "Uid"),
            "110001\t110001\t110001\t110001");
}

TEST_F(IdentityTest, AnUnmappedUidIsRefused) {
  auto box = Container::Create({"0 100000 10", "0 100000 10"});
  ASSERT_THAT(box, IsOk());
  EXPECT_THAT(
      RunInChild(
          {.uid = 10001, .netns = box->net.fd(), .userns = box->user.get()},
          [] { return 0; }),
      HasErrno(EINVAL));
}

TEST_F(IdentityTest, AFailedStepNamesItself) {
  EXPECT_THAT(ChildProcess::Start({.cgroup = "/nonexistent"}, [] { return 0; }),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("join cgroup /nonexistent")));
  UniqueFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_THAT(ChildProcess::Start({.netns = null.get()}, [] { return 0; }),
              HasErrno(EINVAL));
}

TEST(ChildProcess, WaitGivesTheExitStatusOnce) {
  auto child = ChildProcess::Start({}, [] { return 7; });
  ASSERT_THAT(child, IsOk());
  EXPECT_THAT(child->Wait(absl::Seconds(5)), IsOkAndHolds(7));
  EXPECT_EQ(child->pid(), 0);
  EXPECT_THAT(child->Wait(absl::Seconds(5)), HasErrno(ECHILD));
  EXPECT_THAT(child->Signal(SIGTERM), HasErrno(ESRCH));
}

TEST(ChildProcess, SignalsArrive) {
  auto child = ChildProcess::Start({}, [] { return pause(); });
  ASSERT_THAT(child, IsOk());
  EXPECT_THAT(child->Wait(absl::Milliseconds(20)),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(child->Signal(SIGTERM), IsOk());
  EXPECT_THAT(child->Wait(absl::Seconds(5)), IsOkAndHolds(128 + SIGTERM));
}

TEST(ChildProcess, DestructionKillsAndReaps) {
  pid_t pid;
  {
    auto child = ChildProcess::Start({}, [] {
      signal(SIGTERM, SIG_IGN);
      return pause();
    });
    ASSERT_THAT(child, IsOk());
    pid = child->pid();
    EXPECT_EQ(kill(pid, 0), 0);
  }
  EXPECT_NE(kill(pid, 0), 0);
}

}  // namespace
}  // namespace netpolicy::testing
