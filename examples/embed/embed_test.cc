// SPDX-License-Identifier: Apache-2.0

// The example does what its comment says, to real sockets.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/testing/actor.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/process.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/test_environment.h"

namespace netpolicy {
namespace {

using testing::Actor;
using testing::BpfFs;
using testing::ChildProcess;
using testing::HasErrno;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::TestCgroup;

// The program, running; what it prints can be read as it comes.
class Embed {
 public:
  static Embed Start(std::vector<std::string> arguments) {
    int ends[2] = {-1, -1};
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    Embed embed;
    embed.output_ = UniqueFd(ends[0]);
    const UniqueFd input(ends[1]);
    arguments.insert(arguments.begin(), "examples/embed/embed");
    auto child = ChildProcess::Start({}, [&] {
      dup2(input.get(), STDOUT_FILENO);
      std::vector<char*> argv;
      for (std::string& argument : arguments) argv.push_back(argument.data());
      argv.push_back(nullptr);
      execv(argv[0], argv.data());
      return 127;
    });
    EXPECT_THAT(child, IsOk());
    if (child.ok()) {
      embed.child_ = std::make_unique<ChildProcess>(*std::move(child));
    }
    return embed;
  }

  // All output up to and including `text`, or up to its end.
  std::string ReadUntil(absl::string_view text) {
    std::string read_now;
    char c = 0;
    while (!absl::StrContains(read_now, text) &&
           read(output_.get(), &c, 1) == 1) {
      read_now += c;
    }
    return read_now;
  }

  ChildProcess& child() { return *child_; }

 private:
  UniqueFd output_;
  std::unique_ptr<ChildProcess> child_;
};

TEST(Embed, BlocksCountsAndEndsAsAsked) {
  if (auto missing = testing::MissingForBpfTests()) GTEST_SKIP() << *missing;
  auto bpffs = BpfFs::Mount();
  ASSERT_THAT(bpffs, IsOk());
  auto cgroup = TestCgroup::Create();
  ASSERT_THAT(cgroup, IsOk());
  auto net = testing::NetNamespace::Create();
  ASSERT_THAT(net, IsOk());
  const std::string pins = bpffs->File("netpolicy");

  struct stat pin_dir;
  for (const std::string end : {"leave", "detach"}) {
    SCOPED_TRACE(end);
    Embed embed = Embed::Start({cgroup->path(), pins, end, "10007"});
    EXPECT_THAT(embed.ReadUntil("in force\n"), HasSubstr("generation 2"));

    for (const uint32_t uid : {10006, 10007}) {
      auto app = Actor::Spawn(
          {.uid = uid, .cgroup = cgroup->path(), .netns = net->fd()});
      ASSERT_THAT(app, IsOk());
      auto socket = app->UdpSocket(AF_INET);
      ASSERT_THAT(socket, IsOk());
      auto sent = app->SendTo(*socket, {"127.0.0.1", 9}, "hello");
      if (uid == 10006) {
        EXPECT_THAT(sent, IsOkAndHolds(5));
      } else {
        EXPECT_THAT(sent, HasErrno(EPERM));
      }
    }
    ASSERT_THAT(embed.child().Signal(SIGUSR1), IsOk());
    // IPv4 and UDP headers take 28 bytes; the second round counts on.
    const int rounds = end == "leave" ? 1 : 2;
    const std::string output = embed.ReadUntil("(uid_rule)\n");
    EXPECT_THAT(output, HasSubstr(absl::StrCat("uid 10006 received 0 bytes "
                                               "and sent ",
                                               rounds * 33)));
    EXPECT_THAT(output, HasSubstr(absl::StrCat("uid 10007 was refused ", rounds,
                                               " packets (uid_rule)")));

    ASSERT_THAT(embed.child().Signal(SIGTERM), IsOk());
    EXPECT_THAT(embed.child().Wait(absl::Seconds(10)), IsOkAndHolds(0));
    EXPECT_EQ(stat(pins.c_str(), &pin_dir), end == "leave" ? 0 : -1);
  }
}

TEST(Embed, SaysInOneLineWhatIsWrong) {
  Embed usage = Embed::Start({});
  EXPECT_THAT(usage.child().Wait(absl::Seconds(10)), IsOkAndHolds(2));
  Embed nowhere = Embed::Start({"/nowhere", "/nowhere", "leave"});
  EXPECT_THAT(nowhere.child().Wait(absl::Seconds(10)), IsOkAndHolds(1));
}

}  // namespace
}  // namespace netpolicy
