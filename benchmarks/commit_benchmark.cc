// SPDX-License-Identifier: Apache-2.0
//
// What does a commit cost, and reading back; and what does nftables take for
// the same? Works on a bpffs, cgroups and network namespaces of its own;
// nobody's traffic is judged by it.

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "benchmark/benchmark.h"
#include "benchmarks/measure.h"
#include "benchmarks/policy_benchmark.h"
#include "libpolicy/engine/engine.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/process.h"
#include "libpolicy/testing/test_environment.h"

namespace netpolicy {
namespace {

constexpr char kChain[] = "chain";
constexpr uint32_t kFirstUid = 10'000;

// An engine on a bpffs and a cgroup of its own. Under its policy each of the
// UIDs from kFirstUid on has a rule.
struct Setup {
  testing::BpfFs bpffs;
  testing::TestCgroup cgroup;
  EngineOptions options;
  std::unique_ptr<Engine> engine;
};

std::unique_ptr<Setup> MakeSetup(uint32_t uids_with_rule, uint32_t max_uids) {
  auto made = std::make_unique<Setup>(
      Setup{.bpffs = Require(testing::BpfFs::Mount()),
            .cgroup = Require(testing::TestCgroup::Create()),
            .options = {},
            .engine = nullptr});
  made->options.cgroup = made->cgroup.path();
  made->options.pin_dir = made->bpffs.File("netpolicy");
  made->options.max_uids = max_uids;
  made->engine = Require(Engine::Open(made->options));
  Transaction transaction;
  for (uint32_t i = 0; i < uids_with_rule; ++i) {
    transaction.push_back(SetUidRule{Uid{kFirstUid + i}, Action::kDeny});
  }
  transaction.push_back(DefineChain{kChain, ChainSense::kDenylist});
  transaction.push_back(SetChainEnabled{kChain, Switch::kOn});
  Require(made->engine->Commit(transaction, {}));
  return made;
}

// Two lists of this many UIDs that have none in common.
std::array<std::vector<uint32_t>, 2> TwoLists(uint32_t size) {
  std::array<std::vector<uint32_t>, 2> lists;
  for (uint32_t i = 0; i < 2 * size; ++i) {
    lists[i % 2].push_back(kFirstUid + i);
  }
  return lists;
}

ReplaceChain ReplaceChainBy(const std::vector<uint32_t>& uids) {
  ReplaceChain change{.name = kChain, .uids = {}};
  for (uint32_t uid : uids) change.uids.push_back(Uid{uid});
  return change;
}

// Seconds by the clock on the wall, and of processor time.
struct Cost {
  double wall = 0;
  double cpu = 0;
};

Cost CostOfCommit(Engine& engine, const Transaction& transaction,
                  Fence fence = Fence::kNone) {
  const Cost begin = {SecondsOn(CLOCK_MONOTONIC),
                      SecondsOn(CLOCK_THREAD_CPUTIME_ID)};
  CommitOptions options;
  options.fence = fence;
  const CommitResult result = Require(engine.Commit(transaction, options));
  const Cost cost = {SecondsOn(CLOCK_MONOTONIC) - begin.wall,
                     SecondsOn(CLOCK_THREAD_CPUTIME_ID) - begin.cpu};
  if (result.delta.empty()) {
    Require(absl::InternalError("commit: nothing changed"));
  }
  return cost;
}

// Collects what each round of a benchmark cost.
struct Costs {
  std::vector<double> wall;
  std::vector<double> cpu;

  void Add(const Cost& cost) {
    wall.push_back(cost.wall);
    cpu.push_back(cost.cpu);
  }
  void Report(benchmark::State& state, const std::string& prefix) const {
    state.counters[prefix + "wall_us"] = Median(wall) * 1e6;
    state.counters[prefix + "cpu_us"] = Median(cpu) * 1e6;
  }
};

// A commit waits for the readers of the tables that the one before has left, if
// they may still be there. Commits in a row would measure that wait; this makes
// it over before the clock runs.
void LetReadersLeave(Engine& engine) {
  Require(engine.Commit({SetUidRule{Uid{1}, Action::kAllow}},
                        {.fence = Fence::kWait}));
  Require(engine.Commit({SetUidRule{Uid{1}, absl::nullopt}},
                        {.fence = Fence::kWait}));
}

void OneRule(benchmark::State& state) {
  const auto setup = MakeSetup(10'000, 20'000);
  Costs costs;
  bool deny = false;
  for (auto _ : state) {
    costs.Add(CostOfCommit(
        *setup->engine,
        {SetUidRule{Uid{kFirstUid}, deny ? Action::kDeny : Action::kAllow}}));
    deny = !deny;
  }
  costs.Report(state, "");
}

void ReplaceWholeChain(benchmark::State& state, uint32_t size, Fence fence) {
  const auto setup = MakeSetup(0, 2 * size + 1);
  const auto lists = TwoLists(size);
  Costs costs;
  size_t which = 0;
  for (auto _ : state) {
    state.PauseTiming();
    const Transaction transaction = {ReplaceChainBy(lists[which])};
    which = 1 - which;
    LetReadersLeave(*setup->engine);
    state.ResumeTiming();
    costs.Add(CostOfCommit(*setup->engine, transaction, fence));
  }
  costs.Report(state, "");
}

// nftables in a namespace of its own, with a set of UIDs whose packets it
// drops.
class Nftables {
 public:
  explicit Nftables(const std::array<std::vector<uint32_t>, 2>& lists)
      : netns_(Require(testing::NetNamespace::Create())),
        directory_(Require(testing::ScratchDir::Create())) {
    Write(Path(2),
          "table inet t {\n  set s { typeof meta skuid; }\n"
          "  chain out {\n    type filter hook output priority 0;\n"
          "    meta skuid @s drop\n  }\n}\n");
    for (size_t i = 0; i < lists.size(); ++i) {
      Write(Path(i), absl::StrCat("flush set inet t s\nadd element inet t s { ",
                                  absl::StrJoin(lists[i], ", "), " }\n"));
    }
    Load(2);
  }

  // Makes the set list 0 or 1, in one transaction of the kernel.
  Cost Load(size_t which) const {
    const std::string path = Path(which);
    rusage before;
    getrusage(RUSAGE_CHILDREN, &before);
    testing::ChildProcess nft =
        Require(testing::ChildProcess::Start({.netns = netns_.fd()}, [&path] {
          execlp("nft", "nft", "-f", path.c_str(), nullptr);
          return 127;
        }));
    // Without the fork, which would be in favour of whoever is compared.
    const double begin = SecondsOn(CLOCK_MONOTONIC);
    const int status = Require(nft.Wait(absl::Seconds(60)));
    const double wall = SecondsOn(CLOCK_MONOTONIC) - begin;
    if (status != 0) {
      Require(absl::InternalError(
          absl::StrCat("nft -f ", path, ": exit status ", status)));
    }
    rusage after;
    getrusage(RUSAGE_CHILDREN, &after);
    return {wall, ProcessorSeconds(after) - ProcessorSeconds(before)};
  }

 private:
  static double ProcessorSeconds(const rusage& usage) {
    const auto seconds = [](const timeval& time) {
      return static_cast<double>(time.tv_sec) +
             static_cast<double>(time.tv_usec) * 1e-6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
  }

  static void Write(const std::string& path, const std::string& text) {
    std::ofstream file(path);
    file << text;
    file.close();
    if (!file) Require(absl::InternalError("write " + path));
  }

  std::string Path(size_t which) const {
    return directory_.File(absl::StrCat(which, ".nft"));
  }

  testing::NetNamespace netns_;
  testing::ScratchDir directory_;
};

// Each round replaces a list of UIDs by nft -f and by a commit, one after the
// other.
void BesideNftables(benchmark::State& state, uint32_t size) {
  const auto setup = MakeSetup(0, 2 * size + 1);
  const auto lists = TwoLists(size);
  const Nftables nftables(lists);
  Costs ours;
  Costs theirs;
  std::vector<double> wall_ratios;
  std::vector<double> cpu_ratios;
  size_t which = 0;
  for (auto _ : state) {
    const Transaction transaction = {ReplaceChainBy(lists[which])};
    LetReadersLeave(*setup->engine);
    const Cost commit = CostOfCommit(*setup->engine, transaction);
    const Cost nft = nftables.Load(which);
    which = 1 - which;
    ours.Add(commit);
    theirs.Add(nft);
    wall_ratios.push_back(nft.wall / commit.wall);
    cpu_ratios.push_back(nft.cpu / commit.cpu);
  }
  ours.Report(state, "");
  theirs.Report(state, "nft_");
  state.counters["nft_wall_ratio"] = Median(wall_ratios);
  state.counters["nft_cpu_ratio"] = Median(cpu_ratios);
}

// Everything below is about a policy of this size.
constexpr uint32_t kManyUids = 100'000;

Setup& ManyUids() {
  static auto* const setup = MakeSetup(kManyUids, 2 * kManyUids).release();
  return *setup;
}

void OneSwitch(benchmark::State& state) {
  Engine& engine = *ManyUids().engine;
  Costs costs;
  bool on = false;
  for (auto _ : state) {
    state.PauseTiming();
    LetReadersLeave(engine);
    state.ResumeTiming();
    costs.Add(CostOfCommit(
        engine, {SetChainEnabled{kChain, on ? Switch::kOn : Switch::kOff}}));
    on = !on;
  }
  costs.Report(state, "");
  Require(engine.Commit({SetChainEnabled{kChain, Switch::kOn}}, {}));
}

void AllDefaults(benchmark::State& state) {
  Engine& engine = *ManyUids().engine;
  Costs costs;
  bool deny = true;
  for (auto _ : state) {
    state.PauseTiming();
    LetReadersLeave(engine);
    state.ResumeTiming();
    costs.Add(CostOfCommit(
        engine, {SetDefaultRule{deny ? Action::kDeny : Action::kAllow}}));
    deny = !deny;
  }
  costs.Report(state, "");
  Require(engine.Commit({SetDefaultRule{Action::kAllow}}, {}));
}

template <typename Call>
void RegisterCall(const std::string& name, Call call) {
  benchmark::RegisterBenchmark(name.c_str(), [call](benchmark::State& state) {
    const Setup& setup = ManyUids();
    for (auto _ : state) call(setup);
  });
}

}  // namespace

void RegisterCommitBenchmarks() {
  benchmark::RegisterBenchmark("commit/one_rule", OneRule);
  for (const auto& [name, size] :
       {std::pair{"chain_10k", 10'000u}, std::pair{"chain_100k", 100'000u}}) {
    const std::string path = absl::StrCat("commit/", name);
    const uint32_t uids = size;
    const auto add = [&](const std::string& full_name, auto function) {
      benchmark::RegisterBenchmark(full_name.c_str(), function)
          ->Unit(benchmark::kMillisecond);
    };
    add(path, [uids](benchmark::State& state) {
      ReplaceWholeChain(state, uids, Fence::kNone);
    });
    add(path + "/fence", [uids](benchmark::State& state) {
      ReplaceWholeChain(state, uids, Fence::kWait);
    });
    add(path + "/beside_nft",
        [uids](benchmark::State& state) { BesideNftables(state, uids); });
  }
  benchmark::RegisterBenchmark("commit/one_switch_of_100k", OneSwitch);
  benchmark::RegisterBenchmark("commit/defaults_of_100k", AllDefaults)
      ->Unit(benchmark::kMillisecond);
  RegisterCall("engine/explain", [](const Setup& setup) {
    Require(setup.engine->Explain({.uid = Uid{kFirstUid}}));
  });
  RegisterCall("engine/get_policy_of_100k",
               [](const Setup& setup) { Require(setup.engine->GetPolicy()); });
  RegisterCall("engine/stats",
               [](const Setup& setup) { Require(setup.engine->Stats()); });
  RegisterCall("engine/adopt_100k", [](const Setup& setup) {
    Require(Engine::Open(setup.options));
  });
}

}  // namespace netpolicy
