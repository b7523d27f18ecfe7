// SPDX-License-Identifier: Apache-2.0

// The real ndc over real pins, with real sockets, and as a program: pipes,
// exit codes, terminals.

#include <fcntl.h>
#include <pty.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/engine/engine.h"
#include "libpolicy/testing/actor.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/process.h"
#include "libpolicy/testing/scratch_dir.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/test_environment.h"

namespace netpolicy::cli {
namespace {

using ::netpolicy::testing::Actor;
using ::netpolicy::testing::BpfFs;
using ::netpolicy::testing::ChildProcess;
using ::netpolicy::testing::HasErrno;
using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::IsOkAndHolds;
using ::netpolicy::testing::NetNamespace;
using ::netpolicy::testing::ScratchDir;
using ::netpolicy::testing::TestCgroup;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Json = nlohmann::json;

constexpr absl::Duration kPatience = absl::Seconds(30);

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  return std::string((std::istreambuf_iterator<char>(file)),
                     std::istreambuf_iterator<char>());
}

struct Result {
  int exit_code = -1;
  std::string out;
  std::string err;
};

// Becomes ndc; returns only if that can't be.
int ExecNdc(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "netd/cli/ndc");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  execv(argv[0], argv.data());
  return 127;
}

// Runs ndc to its end with the files as its three descriptors.
int RunNdc(const std::vector<std::string>& arguments, int in, int out,
           int err) {
  auto child = ChildProcess::Start({}, [&] {
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    return ExecNdc(arguments);
  });
  EXPECT_THAT(child, IsOk());
  if (!child.ok()) return -1;
  return child->Wait(kPatience).value_or(-1);
}

Result Ndc(const std::vector<std::string>& arguments,
           const std::string& input = "") {
  auto scratch = ScratchDir::Create();
  EXPECT_THAT(scratch, IsOk());
  Result result;
  if (!scratch.ok()) return result;
  std::ofstream(scratch->File("in")) << input;
  const UniqueFd in(open(scratch->File("in").c_str(), O_RDONLY | O_CLOEXEC));
  const int flags = O_WRONLY | O_CREAT | O_CLOEXEC;
  const UniqueFd out(open(scratch->File("out").c_str(), flags, 0600));
  const UniqueFd err(open(scratch->File("err").c_str(), flags, 0600));
  result.exit_code = RunNdc(arguments, in.get(), out.get(), err.get());
  result.out = ReadAll(scratch->File("out"));
  result.err = ReadAll(scratch->File("err"));
  return result;
}

TEST(Ndc, AClosedPipeIsNoFault) {
  int ends[2] = {-1, -1};
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  close(ends[0]);
  const UniqueFd out(ends[1]);
  auto scratch = ScratchDir::Create();
  ASSERT_THAT(scratch, IsOk());
  const UniqueFd err(
      open(scratch->File("err").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  EXPECT_EQ(RunNdc({"--help"}, STDIN_FILENO, out.get(), err.get()), 0);
  EXPECT_EQ(ReadAll(scratch->File("err")), "");
}

TEST(Ndc, AFullDiskIs) {
  const UniqueFd out(open("/dev/full", O_WRONLY | O_CLOEXEC));
  auto scratch = ScratchDir::Create();
  ASSERT_THAT(scratch, IsOk());
  const UniqueFd err(
      open(scratch->File("err").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  EXPECT_EQ(RunNdc({"--help"}, STDIN_FILENO, out.get(), err.get()), 1);
  EXPECT_EQ(ReadAll(scratch->File("err")),
            "ndc: write standard output: No space left on device\n");
}

TEST(Ndc, WithoutAnybodyToAskItSaysWhom) {
  Result result = Ndc({"status", "--socket", "/nowhere/socket"});
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("ndc: connect to /nowhere/socket: "));
}

TEST(Ndc, AFileThatIsNoneIsOneLine) {
  Result result = Ndc({"apply", "/nowhere/policy.json"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err,
            "ndc: read /nowhere/policy.json: No such file or directory\n");
  result = Ndc({"apply", "/dev/zero"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "ndc: read /dev/zero: larger than 16 MiB\n");
  result = Ndc({"apply", "-"}, "{\"version\": 1,}");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("ndc: standard input:1:15: syntax error"));
}

// An engine that set everything up and is gone: nothing runs but the kernel.
class DirectTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (auto missing = netpolicy::testing::MissingForBpfTests()) {
      GTEST_SKIP() << *missing;
    }
    auto bpffs = BpfFs::Mount();
    ASSERT_THAT(bpffs, IsOk());
    bpffs_ = std::make_unique<BpfFs>(*std::move(bpffs));
    auto cgroup = TestCgroup::Create();
    ASSERT_THAT(cgroup, IsOk());
    cgroup_ = std::make_unique<TestCgroup>(*std::move(cgroup));
    pins_ = bpffs_->File("netpolicy");
    EngineOptions options;
    options.cgroup = cgroup_->path();
    options.pin_dir = pins_;
    ASSERT_THAT(Engine::Open(options), IsOk());
  }

  Result Direct(std::vector<std::string> arguments,
                const std::string& input = "") {
    arguments.insert(arguments.begin(), {"--direct", "--pin-dir", pins_});
    return Ndc(arguments, input);
  }

  Json DirectJson(std::vector<std::string> arguments) {
    arguments.push_back("--json");
    return Json::parse(Direct(std::move(arguments)).out, nullptr,
                       /*allow_exceptions=*/false);
  }

  std::unique_ptr<BpfFs> bpffs_;
  std::unique_ptr<TestCgroup> cgroup_;
  std::string pins_;
};

TEST_F(DirectTest, NothingPinnedIsExitCode5) {
  EXPECT_EQ(Ndc({"stats", "--direct", "--pin-dir", "/nowhere"}).exit_code, 5);
  EXPECT_EQ(
      Ndc({"stats", "--direct", "--pin-dir", bpffs_->File("other")}).exit_code,
      5);
}

TEST_F(DirectTest, FindsTheCgroupAndLeavesTheProgramsAlone) {
  const Json before = DirectJson({"status"});
  EXPECT_EQ(before["generation"], 1);
  EXPECT_EQ(before["cgroup"]["path"], cgroup_->path());
  EXPECT_EQ(before["programs"].size(), 9u);
  for (const Json& program : before["programs"]) {
    EXPECT_NE(program["id"], 0) << program;
    EXPECT_TRUE(program["link_id"].is_number()) << program;
  }
  EXPECT_EQ(Direct({"uid", "deny", "5"}).out,
            "+ uid 5: rule deny\ngeneration 2\n");
  const Json after = DirectJson({"status"});
  EXPECT_EQ(after["generation"], 2);
  EXPECT_EQ(after["programs"], before["programs"]);
}

TEST_F(DirectTest, AnInterfaceIsCountedFromWatchToUnwatch) {
  auto net = NetNamespace::Create();
  ASSERT_THAT(net, IsOk());
  auto inside = netpolicy::testing::ScopedNetns::Enter(*net);
  ASSERT_THAT(inside, IsOk());
  const Result watched = Direct({"interface", "watch", "lo"});
  EXPECT_THAT(watched.out, HasSubstr("lo is counted, by ")) << watched.err;
  auto app = Actor::Spawn({.netns = net->fd()});
  ASSERT_THAT(app, IsOk());
  auto socket = app->UdpSocket(AF_INET);
  ASSERT_THAT(socket, IsOk());
  EXPECT_THAT(app->SendTo(*socket, {"127.0.0.1", 9}, "hello"), IsOkAndHolds(5));

  // The datagram, and that nobody listens: 20 + 8 + 5 and 20 + 8 + 33 bytes.
  const Json list = DirectJson({"interface", "list"});
  ASSERT_EQ(list["interfaces"].size(), 1u) << list;
  EXPECT_EQ(list["interfaces"][0]["interface"], "lo");
  for (const char* direction : {"rx", "tx"}) {
    EXPECT_EQ(list["interfaces"][0][direction]["packets"], 2) << list;
    EXPECT_EQ(list["interfaces"][0][direction]["bytes"], 94) << list;
  }
  EXPECT_EQ(Direct({"interface", "unwatch", "lo"}).out,
            "lo is not counted any more\n");
  EXPECT_EQ(Direct({"interface", "list"}).out, "no interface is counted\n");
}

TEST_F(DirectTest, WhatIsAppliedIsEnforcedCountedAndExplained) {
  auto net = NetNamespace::Create();
  ASSERT_THAT(net, IsOk());
  Result result = Direct({"apply", "-", "--fence"}, R"({
    "version": 1,
    "uids": [{"uid": 10007, "rule": "deny"}, {"uid": 10008, "internet": false}]
  })");
  EXPECT_EQ(result.exit_code, 0) << result.err;

  const auto send = [&](uint32_t uid) -> absl::StatusOr<size_t> {
    auto app = Actor::Spawn(
        {.uid = uid, .cgroup = cgroup_->path(), .netns = net->fd()});
    if (!app.ok()) return app.status();
    auto socket = app->UdpSocket(AF_INET);
    if (!socket.ok()) return socket.status();
    return app->SendTo(*socket, {"127.0.0.1", 9}, "hello");
  };
  EXPECT_THAT(send(10006), IsOkAndHolds(5));
  EXPECT_THAT(send(10007), HasErrno(EPERM));
  EXPECT_THAT(send(10008), HasErrno(EPERM));

  EXPECT_EQ(Direct({"explain", "--uid", "10006"}).exit_code, 0);
  EXPECT_EQ(Direct({"explain", "--uid", "10007"}).exit_code, 3);
  EXPECT_EQ(Direct({"explain", "--uid", "10008"}).exit_code, 3);
  EXPECT_EQ(Direct({"explain", "--uid", "10008", "--dir", "out"}).exit_code, 0);

  const Json stats = DirectJson({"stats"});
  ASSERT_EQ(stats["rows"].size(), 3u) << stats;
  EXPECT_EQ(stats["rows"][0]["uid"], 10006);
  EXPECT_EQ(stats["rows"][0]["tx"]["packets"], 1);
  EXPECT_EQ(stats["rows"][0]["tx"]["bytes"], 33);
  EXPECT_EQ(stats["rows"][1]["refused"]["connect"], 1);
  EXPECT_EQ(stats["rows"][2]["refused"]["socket_create"], 1);

  // What was dumped is what is in force.
  const std::string dump = Direct({"dump"}).out;
  EXPECT_THAT(Direct({"apply", "-"}, dump).out, HasSubstr("nothing to change"));
}

// A terminal of its own, with ndc in it.
class InTerminal {
 public:
  InTerminal(const std::vector<std::string>& arguments, const char* term) {
    winsize size = {};
    size.ws_row = 10;
    size.ws_col = 60;
    int master = -1;
    int slave = -1;
    EXPECT_EQ(openpty(&master, &slave, nullptr, nullptr, &size), 0);
    master_.reset(master);
    slave_.reset(slave);
    fcntl(master, F_SETFL, O_NONBLOCK);
    tcgetattr(slave, &before_);
    auto child = ChildProcess::Start({}, [&] {
      if (login_tty(slave) != 0) return 126;
      setenv("TERM", term, 1);
      return ExecNdc(arguments);
    });
    EXPECT_THAT(child, IsOk());
    if (child.ok()) child_.emplace(*std::move(child));
  }

  ChildProcess& child() { return *child_; }

  void Type(const char* keys) {
    EXPECT_EQ(write(master_.get(), keys, strlen(keys)),
              static_cast<ssize_t>(strlen(keys)));
  }

  // Reads until `text` is there; false when it does not come.
  bool Shows(absl::string_view text) {
    const absl::Time end = absl::Now() + kPatience;
    while (!absl::StrContains(seen_, text) && absl::Now() < end) {
      Drain();
      absl::SleepFor(absl::Milliseconds(5));
    }
    return absl::StrContains(seen_, text);
  }

  // Everything that was written.
  const std::string& Drain() {
    char bytes[4096];
    for (ssize_t got; (got = read(master_.get(), bytes, sizeof(bytes))) > 0;) {
      seen_.append(bytes, got);
    }
    return seen_;
  }

  bool IsAsBefore() const {
    termios now = {};
    tcgetattr(slave_.get(), &now);
    return now.c_lflag == before_.c_lflag &&
           std::equal(now.c_cc, now.c_cc + NCCS, before_.c_cc);
  }

 private:
  UniqueFd master_;
  UniqueFd slave_;
  termios before_{};
  absl::optional<ChildProcess> child_;
  std::string seen_;
};

TEST_F(DirectTest, TopGivesTheTerminalBack) {
  const std::vector<std::string> top = {"--direct", "--pin-dir",  pins_,
                                        "top",      "--interval", "0.1"};
  struct {
    const char* name;
    std::function<void(InTerminal&)> end;
  } const ends[] = {
      {"q", [](InTerminal& terminal) { terminal.Type("xq"); }},
      {"^C", [](InTerminal& terminal) { terminal.Type("\x03"); }},
      {"SIGTERM",
       [](InTerminal& terminal) {
         EXPECT_THAT(terminal.child().Signal(SIGTERM), IsOk());
       }},
      {"SIGHUP",
       [](InTerminal& terminal) {
         EXPECT_THAT(terminal.child().Signal(SIGHUP), IsOk());
       }},
  };
  for (const auto& [name, end] : ends) {
    SCOPED_TRACE(name);
    InTerminal terminal(top, "xterm");
    ASSERT_TRUE(terminal.Shows("REFUSED/S")) << terminal.Drain();
    EXPECT_THAT(terminal.Drain(), StartsWith("\x1b[?1049h"));
    EXPECT_FALSE(terminal.IsAsBefore());
    end(terminal);
    EXPECT_THAT(terminal.child().Wait(kPatience), IsOkAndHolds(0));
    EXPECT_THAT(terminal.Drain(), EndsWith("\x1b[?25h\x1b[?1049l"));
    EXPECT_TRUE(terminal.IsAsBefore());
  }
}

TEST_F(DirectTest, TopInATerminalThatCannotMoveItsCursorPrintsPages) {
  InTerminal terminal({"--direct", "--pin-dir", pins_, "top", "--count", "2",
                       "--interval", "0.1"},
                      "dumb");
  EXPECT_THAT(terminal.child().Wait(kPatience), IsOkAndHolds(0));
  EXPECT_THAT(terminal.Drain(), Not(HasSubstr("\x1b")));
  EXPECT_THAT(terminal.Drain(), HasSubstr("ndc top, 0.1 s: 0 B/s in"));
}

TEST_F(DirectTest, TwoWhoExpectTheSameGenerationDoNotUndoEachOther) {
  EXPECT_EQ(Direct({"uid", "deny", "5", "--expect-generation", "1"}).exit_code,
            0);
  const Result late = Direct({"uid", "deny", "6", "--expect-generation", "1"});
  EXPECT_EQ(late.exit_code, 4);
  EXPECT_THAT(late.err, HasSubstr("generation"));
  EXPECT_THAT(Direct({"dump"}).out, Not(HasSubstr("\"uid\": 6")));
}

TEST_F(DirectTest, DoctorFindsWhatThisKernelHas) {
  const Json report = DirectJson({"doctor"});
  EXPECT_EQ(report["policy_error"], nullptr) << report;
  EXPECT_FALSE(report["losses"].empty());
  for (const Json& loss : report["losses"]) {
    EXPECT_TRUE(loss["meaning"].is_string()) << loss;
  }
  std::map<std::string, std::string> states;
  for (const Json& finding : report["findings"]) {
    states[finding["name"]] = finding["state"];
  }
  // What no enforcement is possible without is there, as there is some.
  for (const char* name : {"capabilities", "cgroup2", "bpffs", "bpf", "btf",
                           "cgroup_skb", "programs_attached"}) {
    EXPECT_EQ(states[name], "present") << name;
  }
}

}  // namespace
}  // namespace netpolicy::cli
