// SPDX-License-Identifier: Apache-2.0

// What ndc prints, command by command, over a fake policy: each file in
// testdata/ is a transcript. `bazel run //netd/cli:goldens_test -- --update`
// rewrites them.

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "clat/clat_interface.h"
#include "gtest/gtest.h"
#include "libpolicy/traffic/interface_traffic.h"
#include "netd/cli/commands.h"
#include "netd/cli/fake_charging.h"
#include "netd/cli/fake_clat.h"
#include "netd/cli/fake_interfaces.h"
#include "netd/cli/fake_names.h"
#include "netd/cli/fake_policy.h"
#include "netd/cli/fake_quotas.h"
#include "netd/cli/fake_usage.h"
#include "netd/cli/golden_cases.h"

namespace netpolicy::cli {
namespace {

bool update = false;

// Hands calls on to a policy that outlives it.
class Borrowed : public PolicyInterface, public CommitHistory {
 public:
  explicit Borrowed(FakePolicy& policy) : policy_(policy) {}
  absl::StatusOr<PolicySnapshot> GetPolicy() override {
    return policy_.GetPolicy();
  }
  absl::StatusOr<CommitResult> Commit(const Transaction& transaction,
                                      const CommitOptions& options) override {
    return policy_.Commit(transaction, options);
  }
  absl::StatusOr<Explanation> Explain(const ExplainQuery& query) override {
    return policy_.Explain(query);
  }
  absl::StatusOr<StatsSnapshot> Stats() override { return policy_.Stats(); }
  absl::StatusOr<Refusals> Refused(Uid uid, uint32_t max_peers) override {
    return policy_.Refused(uid, max_peers);
  }
  absl::StatusOr<EngineStatus> Status() override { return policy_.Status(); }
  absl::StatusOr<CommitLogSnapshot> Log() override { return policy_.Log(); }
  absl::StatusOr<PolicySnapshot> PolicyAt(Generation generation) override {
    return policy_.PolicyAt(generation);
  }

 private:
  FakePolicy& policy_;
};

// A machine with one fake policy, a few files and no netd at /nowhere.
class World {
 public:
  World() {
    environment_.names = &names_;
    environment_.connect = [this](const GlobalOptions& options)
        -> absl::StatusOr<std::unique_ptr<PolicyInterface>> {
      if (options.socket == "/nowhere") {
        return absl::UnavailableError(
            "connect /nowhere: no such file; is netd running?");
      }
      if (options.socket == "/forbidden") {
        return absl::PermissionDeniedError(
            "connect /forbidden: permission denied");
      }
      return std::make_unique<Borrowed>(policy_);
    };
    environment_.connect_clat = [](const GlobalOptions& options)
        -> absl::StatusOr<std::unique_ptr<clat::ClatInterface>> {
      if (options.socket == "/nowhere") {
        return absl::UnavailableError(
            "connect /nowhere: no such file; is netd running?");
      }
      return std::make_unique<FakeClat>();
    };
    environment_.connect_history = [this](const GlobalOptions& options)
        -> absl::StatusOr<std::unique_ptr<CommitHistory>> {
      if (options.socket == "/nowhere") {
        return absl::UnavailableError(
            "connect /nowhere: no such file; is netd running?");
      }
      return std::make_unique<Borrowed>(policy_);
    };
    environment_.connect_usage = [](const GlobalOptions& options)
        -> absl::StatusOr<std::unique_ptr<UsageHistory>> {
      if (options.socket == "/nowhere") {
        return absl::UnavailableError(
            "connect /nowhere: no such file; is netd running?");
      }
      return std::make_unique<FakeUsage>();
    };
    environment_.connect_quotas = [this](const GlobalOptions& options)
        -> absl::StatusOr<std::unique_ptr<QuotaKeeper>> {
      if (options.socket == "/nowhere") {
        return absl::UnavailableError(
            "connect /nowhere: no such file; is netd running?");
      }
      return std::make_unique<FakeQuotas>(quotas_);
    };
    environment_.connect_charging = [this](const GlobalOptions& options)
        -> absl::StatusOr<std::unique_ptr<ChargingInterface>> {
      if (options.socket == "/nowhere") {
        return absl::UnavailableError(
            "connect /nowhere: no such file; is netd running?");
      }
      return std::make_unique<FakeCharging>(counter_sets_);
    };
    environment_.read_file =
        [this](const std::string& path) -> absl::StatusOr<std::string> {
      const auto it = files_.find(path);
      if (it == files_.end()) {
        return absl::NotFoundError(
            absl::StrCat("read ", path, ": no such file or directory"));
      }
      return it->second;
    };
    environment_.write_file = [this](const std::string& path,
                                     absl::string_view text) {
      if (absl::StartsWith(path, "/full/")) {
        return absl::UnavailableError(
            absl::StrCat("write ", path, ": no space left on device"));
      }
      files_[path] = std::string(text);
      return absl::OkStatus();
    };
    environment_.read_addresses = [](const std::string& interface)
        -> absl::StatusOr<std::vector<InterfaceAddress>> {
      if (interface != "wlan0") {
        return absl::NotFoundError(absl::StrCat(
            "read addresses of \"", interface, "\": no such interface"));
      }
      return std::vector<InterfaceAddress>{
          {*ParseAddress("192.168.7.2"), 96 + 24},
          {*ParseAddress("203.0.113.9"), 96 + 28},
          {*ParseAddress("2001:db8:7::2"), 64}};
    };
    environment_.read_interfaces = [](const GlobalOptions&) {
      return std::vector<InterfaceTraffic>();
    };
    environment_.stream = [this](absl::string_view text) {
      absl::StrAppend(&streamed_, text);
      return true;
    };
    environment_.wait = [](absl::Duration) { return false; };
    environment_.examine = [](const GlobalOptions&, const EngineStatus*) {
      using State = DoctorFinding::State;
      return DoctorReport{
          {"kernel", State::kPresent, "Linux 6.1.0-23-amd64 x86_64", ""},
          {"btf", State::kPresent, "the kernel says where its fields are", ""},
          {"hash_batch", State::kFallback, "",
           "one call for each entry: big commits and dumps take longer"},
          {"socket_memory", State::kMissing, "net/core/optmem_max = 1024",
           "sockets that use up their option memory are judged the slow way"},
          {"sock_storage", State::kMissing, "",
           "no socket storage: the programs can't be loaded"},
          {"other", State::kUnknown, "probe: operation not permitted", ""},
      };
    };
  }

  // What `stats --json` said earlier, and of what may not be compared.
  void AddReadings() {
    files_["/proc/sys/kernel/random/boot_id"] = "b007\n";
    const StatsSnapshot now = policy_.stats;
    const auto read = [this] { return Ndc({"stats", "--json"}).out; };
    policy_.stats.rows[0].tx = {2345000, 3456000000000, 79000, 3449000000000};
    policy_.stats.drops[0].packets = 1;
    policy_.stats.drops[0].bytes = 60;
    files_["before.json"] = read();
    policy_.stats.rows[0].tx.packets = 9000000;
    files_["later.json"] = read();
    policy_.stats = now;
    files_["/proc/sys/kernel/random/boot_id"] = "b008\n";
    files_["reboot.json"] = read();
    files_["/proc/sys/kernel/random/boot_id"] = "b007\n";
  }

  Environment& environment() { return environment_; }
  FakePolicy& policy() { return policy_; }
  std::map<std::string, std::string>& files() { return files_; }

  Answer Ndc(const std::vector<std::string>& arguments) {
    streamed_.clear();
    Answer answer = Run(arguments, environment_);
    answer.out.insert(0, streamed_);
    return answer;
  }

  // "$ ndc ..." and all that came of it.
  std::string Transcript(const std::string& command_line) {
    std::vector<std::string> arguments =
        absl::StrSplit(command_line, ' ', absl::SkipEmpty());
    const Answer answer = Ndc(arguments);
    std::string text = absl::StrCat("$ ndc ", command_line, "\n", answer.out);
    if (!answer.err.empty()) {
      for (absl::string_view line : absl::StrSplit(answer.err, '\n')) {
        absl::StrAppend(&text, "stderr: ndc: ", line, "\n");
      }
    }
    if (answer.exit_code != 0) {
      absl::StrAppend(&text, "exit code ", answer.exit_code, "\n");
    }
    return text;
  }

 private:
  FakeNames names_;
  FakePolicy policy_;
  std::map<Uid, uint32_t> counter_sets_;
  FakeQuotas::World quotas_;
  std::map<std::string, std::string> files_;
  std::string streamed_;  // by the last command
  Environment environment_;
};

void ExpectGolden(const std::string& name, const std::string& text) {
  const std::string path = absl::StrCat("netd/cli/testdata/", name, ".txt");
  if (update) {
    const char* root = std::getenv("BUILD_WORKSPACE_DIRECTORY");
    ASSERT_NE(root, nullptr) << "--update works under bazel run only";
    std::ofstream(absl::StrCat(root, "/", path)) << text;
    return;
  }
  std::ifstream file(path);
  const std::string want((std::istreambuf_iterator<char>(file)),
                         std::istreambuf_iterator<char>());
  EXPECT_EQ(text, want) << path
                        << "; if the new text is right: bazel run "
                           "//netd/cli:goldens_test -- --update";
}

TEST(Goldens, WhatEachCommandPrints) {
  std::vector<GoldenCase> cases = {
      {"help",
       {"--help", "apply --help", "rollback --help", "chain --help",
        "chain add --help", "explain --help", "uid internet --help"}},
      {"version", {"--version", "-V", "status --version"}},
      {"status", {"status", "status --json"}},
      {"dump", {"dump", "--json dump"}},
      {"dump_tables", {"dump --tables", "dump --tables --json"}},
      {"apply",
       {"apply policy.json --dry-run", "apply policy.json --dry-run --json",
        "apply --expect-generation 12 --fence policy.json", "apply policy.json",
        "apply policy.json --json", "apply policy.json --expect-generation 12",
        "apply -"}},
      {"apply_wrong",
       {"apply missing.json", "apply syntax.json", "apply fields.json",
        "apply values.json", "apply", "apply a b"}},
      {"chain_show",
       {"chain list", "chain show games", "chain show standby",
        "chain show dozable --json", "chain show nosuch"}},
      {"chain_list_json", {"chain list --json"}},
      {"chain_edit",
       {"chain enable standby powersave", "chain disable dozable --json",
        "chain disable dozable", "chain add work --type allowlist",
        "chain set-uids work 10001-10003 bob www-data",
        "chain add-uid work 10005 10006",
        "chain remove-uid work www-data --dry-run",
        "chain remove-uid work www-data", "chain show work",
        "chain set-uids work --none", "chain remove work", "chain show work"}},
      {"chain_wrong",
       {"chain enable nosuch", "chain add dozable --type denylist",
        "chain add Wrong --type denylist", "chain add x --type nolist",
        "chain add x", "chain remove dozable", "chain set-uids games",
        "chain set-uids games 1 --none", "chain add-uid games mallory",
        "chain add-uid games", "chain", "chain frobnicate"}},
      {"uid_show",
       {"uid show alice", "uid show 10004 4711",
        "uid show alice 10004 --json"}},
      {"uid_edit",
       {"uid deny alice 4711", "uid allow 10003 --json", "uid default 10001",
        "uid internet 10004 on", "uid internet bob off",
        "uid internet bob default", "uid clear alice", "uid clear alice",
        "uid show alice", "uid deny 20000-20999 --dry-run"}},
      {"uid_wrong",
       {"uid deny mallory", "uid deny 4294967295", "uid deny", "uid deny 9-8",
        "uid internet alice", "uid internet alice maybe", "uid show -1"}},
      {"default_edit",
       {"default rule deny", "default internet off --json",
        "default rule allow", "default rule maybe"}},
      {"stats",
       {"stats", "stats --by iface", "stats --by tag", "stats --by set",
        "stats --uid 10002", "stats --since before.json",
        "stats --since before.json --json"}},
      {"stats_json", {"stats --json", "stats --by iface --json"}},
      {"stats_wrong",
       {"stats --by colour", "stats --uid mallory", "stats --since gone.json",
        "stats --since policy.json", "stats --since before.json --by tag",
        "stats --since before.json --uid 10002", "stats --since reboot.json",
        "stats --since later.json"}},
      {"explain",
       {"explain --uid alice", "explain --uid bob",
        "explain --uid bob --dir socket",
        "explain --uid bob --dir in --iface eth0", "explain --uid 10004"}},
      {"explain_json",
       {"explain --uid bob --json --iface eth0",
        "explain --uid alice --dir out --json --remote 192.0.2.1 --remote-port "
        "443 --local 2001:db8::1 --local-port 5000 --protocol tcp --metered "
        "on"}},
      {"explain_wrong",
       {"explain", "explain --uid alice --dir sideways",
        "explain --uid alice --iface nosuch0", "explain --uid mallory",
        "explain --uid alice --dir connect", "explain --uid alice --dir bind",
        "explain --uid alice --remote 192.0.2",
        "explain --uid alice --protocol "
        "carrier-pigeon"}},
      {"why",
       {"why bob", "why bob --last 1", "why no-owner", "why alice",
        "why bob --json", "why mallory", "why", "why bob --last x",
        "why --help"}},
      {"reasons",
       {"reasons alice", "reasons bob", "reasons 10004", "reasons bob --json",
        "reasons mallory", "reasons", "reasons --help"}},
      {"doctor", {"doctor", "doctor --json", "doctor --socket /nowhere"}},
      {"interface",
       {"interface list", "interface list --json", "interface watch eth0",
        "interface watch eth0 --json", "interface unwatch eth0",
        "interface unwatch eth0 --json", "interface watch eth9",
        "interface unwatch lo", "interface watch", "interface",
        "interface watch --help"}},
      {"clat",
       {"clat status", "clat status eth0", "clat status nosuch0",
        "clat status --json", "clat discover wwan0", "clat discover eth0",
        "clat discover wwan0 --json",
        "clat start wwan0 --prefix 64:ff9b::/96 --local4 192.0.0.4 "
        "--network6 2001:db8:9::/64 --map 10.9.0.0/24=2001:db8:a::/120",
        "clat start nosuch0", "clat stop wwan0", "clat stop wwan0 --json",
        "clat stop nosuch0"}},
      {"clat_watch",
       {"clat watch --all", "clat watch --all wwan0 --json",
        "clat watch --all --count 1", "clat watch",
        "clat watch --socket /nowhere", "clat watch --count -1"}},
      {"clat_wrong",
       {"clat", "clat start", "clat start wwan0 --prefix 64:ff9b::/97",
        "clat start wwan0 --local4 1.2.3",
        "clat start wwan0 --network6 2001:db8::/56",
        "clat start wwan0 --map 10.9.0.0/24",
        "clat start wwan0 --map 10.9.0.0/8=2001:db8:9::/120",
        "clat status --socket /nowhere"}},
      {"log",
       {"log", "log --json", "log --last 1", "log --last 0",
        "log --socket /nowhere"}},
      {"rollback",
       {"rollback --dry-run", "rollback --expect-generation 11", "rollback",
        "rollback", "rollback 7 --json", "rollback 7", "rollback 8",
        "rollback x", "log --last 1"}},
      {"unreachable",
       {"status --socket /nowhere", "--socket /nowhere apply policy.json",
        "dump --socket /forbidden"}},
      {"usage",
       {"", "frobnicate", "status extra", "--frobnicate", "status --pin-dir /x",
        "completion", "completion zsh",
        "explain --uid alice --expect-generation 3",
        "apply policy.json --expect-generation x"}},
  };
  for (const auto& more : {NetworkGoldenCases(), UsageGoldenCases()}) {
    cases.insert(cases.end(), more.begin(), more.end());
  }
  for (const GoldenCase& test : cases) {
    SCOPED_TRACE(test.name);
    World world;
    if (test.name == absl::string_view("interface")) {
      AddFakeInterfaces(world.environment());
    }
    world.AddReadings();
    world.files()["policy.json"] = R"({
  "version": 1,
  // Nobody else stays awake.
  "chains": [{"name": "dozable", "enabled": true, "uids": [10001]}]
})";
    world.files()["-"] = "{\"version\": 1}";
    world.files()["syntax.json"] = "{\n  \"version\": 1\n  \"chains\": []\n}\n";
    world.files()["fields.json"] =
        "{\"version\": 1, \"colour\": 1,\n"
        " \"defaults\": {\"rule\": \"maybe\"}}";
    world.files()["values.json"] = "{\"version\": 2, \"uids\": [{\"uid\": 1}]}";
    std::vector<std::string> transcripts;
    for (const std::string& command_line : test.command_lines) {
      transcripts.push_back(world.Transcript(command_line));
    }
    ExpectGolden(test.name, absl::StrJoin(transcripts, "\n"));
  }
}

TEST(Commit, IsTriedAgainWhenNoGenerationWasExpected) {
  World world;
  world.policy().lost_races = 3;
  EXPECT_EQ(world.Transcript("uid deny 5"),
            "$ ndc uid deny 5\n+ uid 5: rule deny\ngeneration 13\n");
  world.policy().lost_races = 1000;
  EXPECT_EQ(world.Transcript("uid allow 5"),
            "$ ndc uid allow 5\n"
            "stderr: ndc: commit policy: lost the race\nexit code 1\n");
  EXPECT_GT(world.policy().lost_races, 900);
}

TEST(Commit, IsNotTriedAgainWhenAGenerationWasExpected) {
  World world;
  world.policy().lost_races = 1;
  EXPECT_EQ(world.Transcript("uid deny 5 --expect-generation 12"),
            "$ ndc uid deny 5 --expect-generation 12\n"
            "stderr: ndc: commit policy: lost the race\nexit code 4\n");
}

TEST(Commit, OptionsReachThePolicy) {
  World world;
  world.Transcript("chain enable standby");
  EXPECT_EQ(world.policy().last_options.fence, Fence::kNone);
  EXPECT_EQ(world.policy().last_options.mode, CommitMode::kApply);
  EXPECT_EQ(world.policy().last_options.expected_generation, absl::nullopt);
  world.Transcript(
      "chain enable standby --fence --dry-run "
      "--expect-generation 13");
  EXPECT_EQ(world.policy().last_options.fence, Fence::kWait);
  EXPECT_EQ(world.policy().last_options.mode, CommitMode::kDryRun);
  EXPECT_EQ(world.policy().last_options.expected_generation, Generation{13});
}

TEST(Commit, WhatCouldNotBeClosedIsExitCode6) {
  World world;
  world.policy().closed_sockets = {
      .closed = 1,
      .failed = 2,
      .error = absl::PermissionDeniedError("close TCP sockets: not permitted")};
  EXPECT_EQ(world.Transcript("uid deny 5 --close-sockets"),
            "$ ndc uid deny 5 --close-sockets\n+ uid 5: rule deny\n"
            "generation 13\nclosed 1 socket\n2 that it blocks are left: "
            "close TCP sockets: not permitted\nexit code 6\n");
  world.policy().closed_sockets = {
      .closed = 0,
      .failed = 0,
      .error = absl::FailedPreconditionError("open sock_diag socket: x")};
  EXPECT_EQ(world.Transcript("uid deny 6 --close-sockets"),
            "$ ndc uid deny 6 --close-sockets\n+ uid 6: rule deny\n"
            "generation 14\nclosed 0 sockets\nsockets that it blocks may be "
            "left: open sock_diag socket: x\nexit code 6\n");
}

TEST(CommandLine, NamesOfCommandsAreOrdinaryArguments) {
  World world;
  world.files()["dump"] = "{\"version\": 1}";
  EXPECT_EQ(world.Transcript("apply dump --dry-run").find("stderr"),
            std::string::npos);
  world.Transcript("chain add status --type denylist");
  EXPECT_NE(world.policy().policy.FindChain("status"), nullptr);
  world.Transcript("chain enable status");
  EXPECT_EQ(world.policy().policy.FindChain("status")->enabled, Switch::kOn);
  world.Transcript("chain add uid --type denylist");
  world.Transcript("chain disable uid status");
  EXPECT_EQ(world.policy().policy.FindChain("status")->enabled, Switch::kOff);
}

TEST(Json, EveryAnswerIsAnObjectWithAVersion) {
  World world;
  world.files()["policy.json"] = "{\"version\": 1}";
  for (const char* command_line : {"status",
                                   "dump",
                                   "dump --tables",
                                   "chain list",
                                   "chain show games",
                                   "uid show alice",
                                   "stats",
                                   "stats --by iface",
                                   "explain --uid alice",
                                   "why alice",
                                   "reasons alice",
                                   "doctor",
                                   "interface list",
                                   "uid deny 5",
                                   "apply policy.json",
                                   "clat status",
                                   "clat start wwan0",
                                   "clat stop wwan0",
                                   "clat discover wwan0",
                                   "log",
                                   "rollback",
                                   "quota list",
                                   "quota set global limit 1G",
                                   "quota remove 3",
                                   "quota alerts",
                                   "usage",
                                   "usage forget --uid 5"}) {
    const Answer answer =
        world.Ndc(absl::StrSplit(absl::StrCat("--json ", command_line), ' '));
    const Json json = Json::parse(answer.out, nullptr,
                                  /*allow_exceptions=*/false);
    ASSERT_TRUE(json.is_object()) << command_line;
    EXPECT_EQ(json.begin().key(), "version") << command_line;
    EXPECT_EQ(json["version"], 1) << command_line;
  }
}

TEST(Json, WhatIsNotUtf8IsReplaced) {
  World world;
  world.policy().status.pin_dir = "/\xff";
  const Answer answer = world.Ndc({"status", "--json"});
  EXPECT_EQ(Json::parse(answer.out)["pin_dir"], "/\xef\xbf\xbd");
}

TEST(Interface, WithoutAnyThereIsALine) {
  World world;
  EXPECT_EQ(world.Transcript("interface list"),
            "$ ndc interface list\nno interface is counted\n");
}

TEST(Dump, CanBeAppliedAgain) {
  World world;
  world.files()["dumped"] = world.Ndc({"dump"}).out;
  EXPECT_EQ(world.Transcript("apply dumped"),
            "$ ndc apply dumped\nnothing to change, generation 12\n");
}

TEST(Explain, AnyBlockedDirectionGivesExitCode3) {
  World world;
  EXPECT_EQ(world.Ndc({"explain", "--uid", "10004"}).exit_code, 3);
  EXPECT_EQ(world.Ndc({"explain", "--uid", "10004", "--dir", "out"}).exit_code,
            0);
}

// One row a command, in words.
std::vector<std::string> CommandsOfCompletion() {
  World world;
  const Answer answer = world.Ndc({"completion", "bash"});
  std::vector<std::string> commands;
  for (absl::string_view line : absl::StrSplit(answer.out, '\n')) {
    const std::vector<std::string> parts = absl::StrSplit(line, '\'');
    if (parts.size() == 9 && absl::StartsWith(line, "    '") &&
        !parts[1].empty()) {
      commands.push_back(parts[1]);
    }
  }
  return commands;
}

TEST(ManPage, NamesEveryCommandAndOption) {
  const std::vector<std::string> commands = CommandsOfCompletion();
  EXPECT_GT(commands.size(), 25u);
  std::ifstream file("packaging/man/ndc.8");
  std::string page((std::istreambuf_iterator<char>(file)),
                   std::istreambuf_iterator<char>());
  page = absl::StrReplaceAll(page, {{"\\-", "-"}});
  World world;
  for (const std::string& command : commands) {
    // A command with commands of its own is named by those.
    bool has_own = false;
    for (const std::string& other : commands) {
      has_own |= absl::StartsWith(other, command + " ");
    }
    if (!has_own) {
      EXPECT_NE(page.find(command), std::string::npos) << command;
    }
    const std::string help = world.Transcript(absl::StrCat(command, " --help"));
    for (absl::string_view line : absl::StrSplit(help, '\n')) {
      if (!absl::StartsWith(line, "  --")) continue;
      const std::vector<std::string> words =
          absl::StrSplit(line, ' ', absl::SkipEmpty());
      EXPECT_NE(page.find(words[0]), std::string::npos)
          << command << " " << words[0];
    }
  }
}

}  // namespace
}  // namespace netpolicy::cli

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--update") == 0) netpolicy::cli::update = true;
  }
  return RUN_ALL_TESTS();
}
