// SPDX-License-Identifier: Apache-2.0
//
// The real netd from start to end: what it leaves behind, what it takes over,
// what it refuses.

#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/status_matchers.h"
#include "netd/daemon/exit_code.h"
#include "netd/daemon/netd_process.h"
#include "netd/daemon/state_file.h"

namespace netpolicy {
namespace {

using ::netpolicy::testing::ContentOf;
using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::NetdExit;
using ::netpolicy::testing::NetdFixture;
using ::netpolicy::testing::NetdProcess;
using ::netpolicy::testing::RunInChild;
using ::netpolicy::testing::StatusIs;
using ::netpolicy::testing::WriteContent;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

using NetdTest = NetdFixture;

constexpr uid_t kApp = 10007;
constexpr uid_t kOther = 10008;

SetInternet Revoke(uid_t uid) {
  return SetInternet{Uid{uid}, Permission::kRevoked};
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

// The one line that says why netd ended; fails the test when there are more.
std::string OnlyError(const NetdExit& exit) {
  std::vector<std::string> errors;
  for (absl::string_view line : absl::StrSplit(exit.output, '\n')) {
    if (absl::StartsWith(line, "event=error ")) errors.emplace_back(line);
  }
  EXPECT_THAT(errors, SizeIs(1)) << exit.output;
  return errors.empty() ? "" : errors[0];
}

std::set<uint32_t> ProgramIds(Client& client) {
  std::set<uint32_t> ids;
  const absl::StatusOr<EngineStatus> status = client.Status();
  EXPECT_THAT(status, IsOk());
  if (!status.ok()) return ids;
  for (const ProgramStatus& program : status->programs) {
    ids.insert(program.id);
    ids.insert(program.link_id);
  }
  return ids;
}

uint64_t Drops(Client& client, uid_t uid) {
  const absl::StatusOr<StatsSnapshot> stats = client.Stats();
  EXPECT_THAT(stats, IsOk());
  if (!stats.ok()) return 0;
  uint64_t packets = 0;
  for (const DropRow& row : stats->drops) {
    if (row.uid == Uid{uid}) packets += row.packets;
  }
  return packets;
}

TEST_F(NetdTest, FirstStartEnforcesTheEmptyPolicy) {
  const auto netd = StartReady();
  ASSERT_NE(netd, nullptr);
  EXPECT_THAT(netd->Output(), HasSubstr("event=loaded "));
  EXPECT_THAT(netd->Output(), HasSubstr("event=ready generation=1 "));
  EXPECT_TRUE(InForce().policy == Policy());
  EXPECT_EQ(SocketErrno(kApp), 0);
  // What is not there can't be lost: the file is there from the beginning.
  EXPECT_TRUE(Exists(State()));
}

TEST_F(NetdTest, ACommitIsEnforcedSavedAndLogged) {
  const auto netd = StartReady();
  ASSERT_NE(netd, nullptr);
  ASSERT_THAT(Commit({Revoke(kApp)}), IsOk());
  EXPECT_EQ(SocketErrno(kApp), EPERM);
  EXPECT_EQ(SocketErrno(kOther), 0);
  const auto saved = StateFile(State()).Load();
  ASSERT_THAT(saved, IsOk());
  ASSERT_TRUE(saved->has_value());
  EXPECT_TRUE(**saved == InForce().policy);
  EXPECT_THAT(netd->Output(),
              HasSubstr(absl::StrCat("event=commit uid=0 pid=", getpid(),
                                     " generation=2\n")));
}

TEST_F(NetdTest, SigtermLeavesEnforcementOn) {
  auto netd = StartReady();
  ASSERT_NE(netd, nullptr);
  ASSERT_THAT(Commit({Revoke(kApp)}), IsOk());
  EXPECT_THAT(netd->Signal(SIGTERM), IsOk());
  EXPECT_EQ(netd->NextNotification(), "STOPPING=1");
  const NetdExit exit = netd->Wait();
  EXPECT_EQ(exit.code, kExitOk);
  EXPECT_THAT(exit.output, HasSubstr("event=stopped enforcement=on\n"));
  EXPECT_FALSE(Exists(Socket()));
  EXPECT_EQ(SocketErrno(kApp), EPERM);
}

TEST_F(NetdTest, SighupChangesNothing) {
  const auto netd = StartReady();
  ASSERT_NE(netd, nullptr);
  EXPECT_THAT(netd->Signal(SIGHUP), IsOk());
  EXPECT_THAT(Commit({Revoke(kApp)}), IsOk());
  EXPECT_THAT(netd->Output(), HasSubstr("event=hangup "));
  Stop(*netd);
}

TEST_F(NetdTest, AKilledNetdIsAdoptedWithItsCounters) {
  auto netd = StartReady();
  ASSERT_NE(netd, nullptr);
  ASSERT_THAT(Commit({Revoke(kApp)}), IsOk());
  EXPECT_EQ(SocketErrno(kApp), EPERM);
  std::set<uint32_t> ids;
  {
    const std::unique_ptr<Client> client = Connect();
    ASSERT_NE(client, nullptr);
    ids = ProgramIds(*client);
    EXPECT_EQ(Drops(*client, kApp), 1u);
  }
  netd->Kill();
  EXPECT_TRUE(Exists(Socket()));
  EXPECT_EQ(SocketErrno(kApp), EPERM);
  EXPECT_EQ(SocketErrno(kApp), EPERM);

  netd = StartReady();
  ASSERT_NE(netd, nullptr);
  EXPECT_THAT(netd->Output(),
              HasSubstr("programs_kept=9 programs_replaced=0 links_created=0"));
  const std::unique_ptr<Client> client = Connect();
  ASSERT_NE(client, nullptr);
  EXPECT_EQ(InForce().generation, Generation{2});
  EXPECT_EQ(ProgramIds(*client), ids);
  EXPECT_EQ(Drops(*client, kApp), 3u);
  EXPECT_EQ(SocketErrno(kApp), EPERM);
}

TEST_F(NetdTest, TheKernelsPolicyWinsOverTheFile) {
  auto netd = StartReady();
  ASSERT_NE(netd, nullptr);
  const std::string empty = ContentOf(State());
  ASSERT_THAT(Commit({Revoke(kApp)}), IsOk());
  const std::string saved = ContentOf(State());
  netd->Kill();
  // As when it dies after the commit and before the file is renamed.
  WriteContent(State(), empty);
  netd = StartReady();
  ASSERT_NE(netd, nullptr);
  EXPECT_EQ(SocketErrno(kApp), EPERM);
  EXPECT_EQ(ContentOf(State()), saved);
}

TEST_F(NetdTest, AfterABootThePolicyIsInForceFromTheFirstSocketOn) {
  auto netd = StartReady();
  ASSERT_NE(netd, nullptr);
  ASSERT_THAT(Commit({Revoke(kApp), SetChainEnabled{"dozable", Switch::kOn},
                      DefineChain{"work", ChainSense::kAllowlist}}),
              IsOk());
  const Policy policy = InForce().policy;
  Stop(*netd);
  // A boot is to the kernel what --detach is: the pins are gone.
  ASSERT_EQ(Run(With({"--detach"})).code, kExitOk);
  EXPECT_EQ(SocketErrno(kApp), 0);

  netd = StartReady();
  ASSERT_NE(netd, nullptr);
  EXPECT_EQ(SocketErrno(kApp), EPERM);
  EXPECT_THAT(netd->Output(), HasSubstr("event=ready generation=1 "));
  EXPECT_TRUE(InForce().policy == policy);
}

TEST_F(NetdTest, DetachEndsEnforcementAndRemovesThePins) {
  auto netd = StartReady();
  ASSERT_NE(netd, nullptr);
  ASSERT_THAT(Commit({Revoke(kApp)}), IsOk());
  NetdExit exit = Run(With({"--detach"}));
  EXPECT_EQ(exit.code, kExitRunning);
  EXPECT_THAT(OnlyError(exit),
              HasSubstr(absl::StrCat("lock pins in ", PinDir(),
                                     ": another netd is running")));
  EXPECT_EQ(SocketErrno(kApp), EPERM);
  Stop(*netd);

  exit = Run(With({"--detach"}));
  EXPECT_EQ(exit.code, kExitOk) << exit.output;
  EXPECT_THAT(exit.output, HasSubstr("event=detached "));
  EXPECT_EQ(SocketErrno(kApp), 0);
  EXPECT_FALSE(Exists(PinDir()));
  EXPECT_TRUE(Exists(State()));
  EXPECT_EQ(Run(With({"--detach"})).code, kExitOk);
}

TEST_F(NetdTest, ThereIsOnlyOneForASocketAStateOrPins) {
  const auto netd = StartReady();
  ASSERT_NE(netd, nullptr);
  ASSERT_THAT(Commit({Revoke(kApp)}), IsOk());
  const std::string other_socket =
      absl::StrCat("--socket=", dir_->File("other.sock"));
  const std::string other_state =
      absl::StrCat("--state=", dir_->File("other.state"));
  const std::string other_pins =
      absl::StrCat("--pin-dir=", bpffs_->File("other"));
  const std::string pid = absl::StrCat("(pid ", netd->pid(), ") is running");
  const struct {
    const char* name;
    std::vector<std::string> arguments;
    std::string message;
  } kRows[] = {
      {"everything the same",
       {},
       absl::StrCat("listen on ", Socket(), ": another netd ", pid)},
      {"the same socket",
       {other_state, other_pins},
       absl::StrCat("listen on ", Socket(), ": another netd ", pid)},
      {"the same state",
       {other_socket, other_pins},
       absl::StrCat("lock ", State(), ".lock: another netd ", pid)},
      {"the same pins",
       {other_socket, other_state},
       absl::StrCat("lock pins in ", PinDir(), ": another netd is running")},
  };
  for (const auto& row : kRows) {
    const NetdExit exit = Run(With(row.arguments));
    EXPECT_EQ(exit.code, kExitRunning) << row.name << "\n" << exit.output;
    EXPECT_THAT(OnlyError(exit), HasSubstr(row.message)) << row.name;
  }
  EXPECT_FALSE(Exists(bpffs_->File("other")));
  EXPECT_EQ(InForce().generation, Generation{2});
  EXPECT_EQ(SocketErrno(kApp), EPERM);
}

TEST_F(NetdTest, AStateFileThatCannotBeReadStopsItAndChangesNothing) {
  auto netd = StartReady();
  ASSERT_NE(netd, nullptr);
  ASSERT_THAT(Commit({Revoke(kApp)}), IsOk());
  Stop(*netd);
  const std::string good = ContentOf(State());
  std::string corrupted = good;
  corrupted[corrupted.size() / 2] ^= 0x10;
  const struct {
    const char* name;
    std::string content;
    const char* cause;
  } kRows[] = {
      {"empty", "", "the file is empty"},
      {"truncated", good.substr(0, good.size() - 1), "truncated"},
      {"corrupted", corrupted, "corrupted"},
      {"of a newer netd", "netpolicy-state 2 whatever follows\n",
       "version 2 is newer than 1"},
  };
  // With enforcement on: it stays on, under the policy in the kernel.
  for (const auto& row : kRows) {
    WriteContent(State(), row.content);
    const NetdExit exit = Run(With());
    EXPECT_EQ(exit.code, kExitState) << row.name << "\n" << exit.output;
    EXPECT_THAT(OnlyError(exit),
                AllOf(HasSubstr(absl::StrCat("load state ", State(), ": ")),
                      HasSubstr(row.cause)))
        << row.name;
    EXPECT_EQ(ContentOf(State()), row.content) << row.name;
    EXPECT_EQ(SocketErrno(kApp), EPERM) << row.name;
  }
  // After a boot: nothing is set up.
  ASSERT_EQ(Run(With({"--detach"})).code, kExitOk);
  for (const auto& row : kRows) {
    WriteContent(State(), row.content);
    EXPECT_EQ(Run(With()).code, kExitState) << row.name;
    EXPECT_EQ(ContentOf(State()), row.content) << row.name;
    EXPECT_FALSE(Exists(PinDir())) << row.name;
    EXPECT_FALSE(Exists(Socket())) << row.name;
  }
  WriteContent(State(), good);
  netd = StartReady();
  ASSERT_NE(netd, nullptr);
  EXPECT_EQ(SocketErrno(kApp), EPERM);
}

TEST_F(NetdTest, AStateLargerThanTheTablesStopsItAndChangesNothing) {
  auto netd = StartReady();
  ASSERT_NE(netd, nullptr);
  ASSERT_THAT(Commit({Revoke(kApp), Revoke(kOther)}), IsOk());
  Stop(*netd);
  ASSERT_EQ(Run(With({"--detach"})).code, kExitOk);
  const NetdExit exit = Run(With({"--max-uids=1"}));
  EXPECT_EQ(exit.code, kExitFailure);
  EXPECT_THAT(OnlyError(exit), HasSubstr("2 uids, room for 1"));
  EXPECT_FALSE(Exists(PinDir()));
}

TEST_F(NetdTest, AFullDiskRefusesTheCommit) {
  NetdProcess::Options options = With();
  options.prepare = [] {
    // Room for its log, which is a file, too.
    const rlimit limit = {.rlim_cur = 1500, .rlim_max = 1500};
    setrlimit(RLIMIT_FSIZE, &limit);
  };
  const auto netd = StartReady(options);
  ASSERT_NE(netd, nullptr);
  const std::string before = ContentOf(State());
  Transaction large;
  for (uid_t uid = 10000; uid < 10120; uid += 2) large.push_back(Revoke(uid));
  EXPECT_THAT(Commit(large),
              StatusIs(::testing::Ne(absl::StatusCode::kOk),
                       StartsWith(absl::StrCat("save state ", State(), ": "))));
  EXPECT_EQ(InForce().generation, Generation{1});
  EXPECT_EQ(ContentOf(State()), before);
  EXPECT_EQ(SocketErrno(10000), 0);
  EXPECT_THAT(Commit({Revoke(kApp)}), IsOk());
  EXPECT_EQ(SocketErrno(kApp), EPERM);
}

TEST_F(NetdTest, KeepsOnlyThePrivilegesItNeeds) {
  const auto netd = StartReady();
  ASSERT_NE(netd, nullptr);
  const std::string status =
      ContentOf(absl::StrCat("/proc/", netd->pid(), "/status"));
  // CAP_NET_ADMIN is 12, CAP_BPF 39.
  for (const char* line :
       {"CapInh:\t0000000000000000\n", "CapPrm:\t0000008000001000\n",
        "CapEff:\t0000008000001000\n", "CapBnd:\t0000000000000000\n",
        "CapAmb:\t0000000000000000\n", "NoNewPrivs:\t1\n"}) {
    EXPECT_THAT(status, HasSubstr(line));
  }
  // And they suffice for every call.
  const std::unique_ptr<Client> client = Connect();
  ASSERT_NE(client, nullptr);
  EXPECT_THAT(client->Commit({Revoke(kApp), Revoke(kOther)},
                             {.expected_generation = {},
                              .fence = Fence::kWait,
                              .mode = CommitMode::kApply}),
              IsOk());
  EXPECT_THAT(
      client->Commit({ClearUid{Uid{kApp}}}, {.expected_generation = {},
                                             .fence = Fence::kWait,
                                             .mode = CommitMode::kApply}),
      IsOk());
  EXPECT_THAT(client->GetPolicy(), IsOk());
  EXPECT_THAT(
      client->Explain({.uid = Uid{kApp}, .interface = "lo", .direction = {}}),
      IsOk());
  EXPECT_THAT(client->Stats(), IsOk());
  EXPECT_THAT(client->Status(), IsOk());
  const absl::StatusOr<DoctorReport> report = client->Doctor();
  ASSERT_THAT(report, IsOk());
  EXPECT_FALSE(report->empty());
}

TEST_F(NetdTest, TheWatchdogIsFed) {
  NetdProcess::Options options = With();
  options.prepare = [] { setenv("WATCHDOG_USEC", "200000", 1); };
  const auto netd = StartReady(options);
  ASSERT_NE(netd, nullptr);
  EXPECT_EQ(netd->NextNotification(), "WATCHDOG=1");
  EXPECT_EQ(netd->NextNotification(), "WATCHDOG=1");
}

TEST_F(NetdTest, WhatItCannotUseIsOneClearError) {
  const std::string directory = dir_->File("directory");
  ASSERT_EQ(mkdir(directory.c_str(), 0700), 0);
  const struct {
    const char* name;
    std::vector<std::string> arguments;
    ExitCode code;
    std::string message;
  } kRows[] = {
      {"no cgroup", {"--cgroup=/nonexistent"}, kExitFailure, "/nonexistent"},
      {"a directory that is no cgroup",
       {absl::StrCat("--cgroup=", dir_->path())},
       kExitFailure,
       dir_->path()},
      {"pins that are not on a bpffs",
       {absl::StrCat("--pin-dir=", dir_->File("pins"))},
       kExitFailure,
       "not on a bpffs"},
      {"no directory for the socket",
       {absl::StrCat("--socket=", dir_->File("a/b/s"))},
       kExitFailure,
       "make directory "},
      {"a state that is a directory",
       {absl::StrCat("--state=", directory)},
       kExitState,
       "not a file"},
      {"tables of no size", {"--max-uids=0"}, kExitFailure, "max_uids"},
  };
  for (const auto& row : kRows) {
    const NetdExit exit = Run(With(row.arguments));
    EXPECT_EQ(exit.code, row.code) << row.name << "\n" << exit.output;
    EXPECT_THAT(OnlyError(exit), HasSubstr(row.message)) << row.name;
    EXPECT_FALSE(Exists(PinDir())) << row.name;
    EXPECT_FALSE(Exists(Socket())) << row.name;
  }
  const NetdExit usage = Run(With({"--colour"}));
  EXPECT_EQ(usage.code, kExitUsage);
  EXPECT_THAT(usage.output, AllOf(StartsWith("netd: "), HasSubstr("--colour")));
}

TEST_F(NetdTest, WithoutPrivilegesTheyAreNamed) {
  NetdProcess::Options options = With();
  // What isn't in the bounding set, not even root gets with execve(2).
  options.prepare = [] {
    for (const int capability : {CAP_BPF, CAP_SYS_ADMIN}) {
      prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    }
  };
  const NetdExit exit = Run(options);
  EXPECT_EQ(exit.code, kExitFailure) << exit.output;
  EXPECT_THAT(OnlyError(exit), HasSubstr("CAP_BPF"));
}

// What a peer of that UID and groups gets.
class Peers : public NetdFixture {
 protected:
  absl::Status As(uid_t uid, gid_t gid,
                  absl::FunctionRef<absl::Status(Client&)> call) const {
    testing::ChildOptions options;
    options.uid = uid;
    options.gid = gid;
    return RunInChild(options, [&]() -> absl::Status {
      const auto client = Client::Connect(Socket(), absl::Seconds(10));
      if (!client.ok()) return client.status();
      return call(**client);
    });
  }
};

TEST_F(Peers, MayDoWhatTheirGroupsAllow) {
  constexpr gid_t kReaders = 20001;
  constexpr gid_t kChangers = 20002;
  const auto netd =
      StartReady(With({absl::StrCat("--read-group=", kReaders),
                       absl::StrCat("--change-group=", kChangers)}));
  ASSERT_NE(netd, nullptr);
  const auto read = [](Client& client) { return client.GetPolicy().status(); };
  const auto dry_run = [](Client& client) {
    return client
        .Commit({Revoke(kApp)}, {.expected_generation = {},
                                 .fence = Fence::kNone,
                                 .mode = CommitMode::kDryRun})
        .status();
  };
  const auto change = [](Client& client) {
    return client.Commit({Revoke(kApp)}, {}).status();
  };
  const auto large = [](Client& client) {
    ReplaceChain chain{"dozable", {}};
    for (uint32_t uid = 0; uid < 50000; ++uid) chain.uids.push_back(Uid{uid});
    return client.Commit({chain}, {}).status();
  };

  EXPECT_THAT(As(12345, 12345, read),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       "call get_policy: uid 12345 may not read"));
  EXPECT_THAT(As(12345, 12345, change),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       "call commit: uid 12345 may not change"));
  EXPECT_THAT(As(12345, kReaders, read), IsOk());
  EXPECT_THAT(As(12345, kReaders, dry_run), IsOk());
  EXPECT_THAT(As(12345, kReaders, change),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       "call commit: uid 12345 may not change, only read"));
  EXPECT_THAT(As(12345, kReaders, large),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("exceed the 65536 that uid 12345 may send")));
  EXPECT_EQ(InForce().generation, Generation{1});
  EXPECT_THAT(netd->Output(),
              HasSubstr("event=call_failed call=commit uid=12345 "));

  EXPECT_THAT(As(12345, kChangers, read), IsOk());
  EXPECT_THAT(As(12345, kChangers, change), IsOk());
  EXPECT_EQ(InForce().generation, Generation{2});
  // The tables are too small for it, but it was let in.
  EXPECT_THAT(As(12345, kChangers, large),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("50000 uids, room for 64")));
}

TEST_F(Peers, CannotTakeTheRoomOfThoseWhoMayChange) {
  const auto netd = StartReady();
  ASSERT_NE(netd, nullptr);
  // More than netd takes in from one UID, and they stay.
  std::vector<std::unique_ptr<Client>> kept;
  EXPECT_THAT(As(12345, 12345,
                 [&](Client&) {
                   for (int i = 0; i < 100; ++i) {
                     auto client = Client::Connect(Socket(), absl::Seconds(10));
                     if (client.ok()) kept.push_back(*std::move(client));
                   }
                   return kept.back()->Status().status();
                 }),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       "accept client: uid 12345 has 16 already"));
  EXPECT_THAT(Commit({Revoke(kApp)}), IsOk());
}

TEST_F(NetdTest, TheSocketsModeKeepsOthersOut) {
  const auto netd = StartReady(With({"--socket-mode=0600"}));
  ASSERT_NE(netd, nullptr);
  testing::ChildOptions stranger;
  stranger.uid = 12345;
  EXPECT_THAT(
      RunInChild(stranger,
                 [&] {
                   return Client::Connect(Socket(), absl::Seconds(10)).status();
                 }),
      StatusIs(absl::StatusCode::kPermissionDenied,
               absl::StrCat("connect to ", Socket(), ": permission denied")));
}

// Kills netd at any moment of a stream of commits. Each must be wholly there or
// wholly not, in the kernel and, after the next start, in the file.
TEST_F(NetdTest, KilledUnderCommitsItLosesNothing) {
  constexpr int kRounds = 12;
  // Two policies that both block kApp through different chains.
  const auto chain_on = [](int n) {
    return Transaction{
        SetChainEnabled{"oem_deny_1", n % 2 == 0 ? Switch::kOn : Switch::kOff},
        SetChainEnabled{"oem_deny_2", n % 2 == 0 ? Switch::kOff : Switch::kOn}};
  };
  auto netd = StartReady();
  ASSERT_NE(netd, nullptr);
  ASSERT_THAT(Commit({Revoke(kApp)}), IsOk());
  uint64_t generation = 2;
  for (int round = 0; round < kRounds; ++round) {
    const std::string saved_before = ContentOf(State());
    testing::ChildOptions root;
    absl::StatusOr<testing::ChildProcess> committer =
        testing::ChildProcess::Start(root, [&] {
          const auto client = Client::Connect(Socket(), absl::Seconds(10));
          if (!client.ok()) return 1;
          for (int n = 0;; ++n) {
            if (!(*client)->Commit(chain_on(n), {}).ok()) return 0;
          }
        });
    ASSERT_THAT(committer, IsOk());
    // At least one commit is through; then at another moment each time.
    for (int i = 0; i < 10000 && ContentOf(State()) == saved_before; ++i) {
      usleep(1000);
    }
    usleep(static_cast<useconds_t>(3700 * round));
    netd->Kill();
    EXPECT_EQ(SocketErrno(kApp), EPERM) << round;
    EXPECT_THAT(committer->Wait(absl::Seconds(20)), IsOk());

    netd = StartReady();
    ASSERT_NE(netd, nullptr) << round;
    const PolicySnapshot snapshot = InForce();
    EXPECT_GT(ToInt(snapshot.generation), generation) << round;
    generation = ToInt(snapshot.generation);
    EXPECT_NE(snapshot.policy.FindChain("oem_deny_1")->enabled,
              snapshot.policy.FindChain("oem_deny_2")->enabled)
        << round;
    const auto saved = StateFile(State()).Load();
    ASSERT_THAT(saved, IsOk());
    EXPECT_TRUE(**saved == snapshot.policy) << round;
    EXPECT_EQ(SocketErrno(kApp), EPERM) << round;
  }
}

}  // namespace
}  // namespace netpolicy
