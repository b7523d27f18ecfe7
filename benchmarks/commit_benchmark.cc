// SPDX-License-Identifier: Apache-2.0
//
// What does a commit cost, and reading back, with 100,000 UIDs in the policy?
//
//   bazel run --config=opt //benchmarks:commit_benchmark
//
// Needs root. Works on a bpffs mount and a cgroup of its own; nobody's traffic
// is judged by it.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "benchmark/benchmark.h"
#include "libpolicy/engine/engine.h"
#include "libpolicy/testing/test_environment.h"

namespace netpolicy {
namespace {

constexpr uint32_t kUids = 100'000;
constexpr uint32_t kChainUids = 10'000;

// An engine with a rule for each of the UIDs 0 to kUids - 1.
struct Setup {
  testing::BpfFs bpffs;
  testing::TestCgroup cgroup;
  EngineOptions options;
  std::unique_ptr<Engine> engine;
};

template <typename T>
T Require(absl::StatusOr<T> value) {
  if (!value.ok()) {
    fprintf(stderr, "%s\n", value.status().ToString().c_str());
    exit(1);
  }
  return *std::move(value);
}

Setup& TheSetup() {
  static auto* const setup = [] {
    auto* made = new Setup{.bpffs = Require(testing::BpfFs::Mount()),
                           .cgroup = Require(testing::TestCgroup::Create()),
                           .options = {},
                           .engine = nullptr};
    made->options.cgroup = made->cgroup.path();
    made->options.pin_dir = made->bpffs.File("netpolicy");
    made->options.max_uids = kUids + kChainUids;
    made->engine = Require(Engine::Open(made->options));
    Transaction transaction;
    for (uint32_t uid = 0; uid < kUids; ++uid) {
      transaction.push_back(SetUidRule{Uid{uid}, Action::kDeny});
    }
    transaction.push_back(DefineChain{"chain", ChainSense::kDenylist});
    Require(made->engine->Commit(transaction, {}));
    return made;
  }();
  return *setup;
}

// range(0): whether the commit waits for the fence.
CommitOptions OptionsOf(const benchmark::State& state) {
  CommitOptions options;
  options.fence = state.range(0) == 0 ? Fence::kNone : Fence::kWait;
  return options;
}

void OneRule(benchmark::State& state) {
  Engine& engine = *TheSetup().engine;
  const CommitOptions options = OptionsOf(state);
  bool deny = false;
  for (auto _ : state) {
    Require(engine.Commit(
        {SetUidRule{Uid{5000}, deny ? Action::kDeny : Action::kAllow}},
        options));
    deny = !deny;
  }
}
BENCHMARK(OneRule)->ArgName("fence")->Arg(0)->Arg(1);

void OneSwitch(benchmark::State& state) {
  Engine& engine = *TheSetup().engine;
  const CommitOptions options = OptionsOf(state);
  bool on = true;
  for (auto _ : state) {
    Require(engine.Commit(
        {SetChainEnabled{"chain", on ? Switch::kOn : Switch::kOff}}, options));
    on = !on;
  }
}
BENCHMARK(OneSwitch)->ArgName("fence")->Arg(0)->Arg(1);

void ReplaceChainOf10000(benchmark::State& state) {
  Engine& engine = *TheSetup().engine;
  const CommitOptions options = OptionsOf(state);
  std::vector<Uid> members[2];
  for (uint32_t i = 0; i < kChainUids; ++i) {
    members[0].push_back(Uid{2 * i});
    members[1].push_back(Uid{2 * i + 1});
  }
  int which = 0;
  for (auto _ : state) {
    Require(engine.Commit({ReplaceChain{"chain", members[which]}}, options));
    which = 1 - which;
  }
}
BENCHMARK(ReplaceChainOf10000)
    ->ArgName("fence")
    ->Arg(0)
    ->Arg(1)
    ->Unit(benchmark::kMillisecond);

void DefaultsOfAll(benchmark::State& state) {
  Engine& engine = *TheSetup().engine;
  const CommitOptions options = OptionsOf(state);
  bool deny = true;
  for (auto _ : state) {
    Require(engine.Commit(
        {SetDefaultRule{deny ? Action::kDeny : Action::kAllow}}, options));
    deny = !deny;
  }
  Require(engine.Commit({SetDefaultRule{Action::kAllow}}, {}));
}
BENCHMARK(DefaultsOfAll)
    ->ArgName("fence")
    ->Arg(0)
    ->Unit(benchmark::kMillisecond);

void ExplainOne(benchmark::State& state) {
  Engine& engine = *TheSetup().engine;
  for (auto _ : state) Require(engine.Explain({.uid = Uid{5000}}));
}
BENCHMARK(ExplainOne);

void GetPolicy(benchmark::State& state) {
  Engine& engine = *TheSetup().engine;
  for (auto _ : state) Require(engine.GetPolicy());
}
BENCHMARK(GetPolicy)->Unit(benchmark::kMillisecond);

void Stats(benchmark::State& state) {
  Engine& engine = *TheSetup().engine;
  for (auto _ : state) Require(engine.Stats());
}
BENCHMARK(Stats);

void Adopt(benchmark::State& state) {
  const Setup& setup = TheSetup();
  for (auto _ : state) Require(Engine::Open(setup.options));
}
BENCHMARK(Adopt)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace netpolicy

BENCHMARK_MAIN();
