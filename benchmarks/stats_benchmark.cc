// SPDX-License-Identifier: Apache-2.0
//
// What does it cost to read the counters? See README.md.

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "benchmarks/measure.h"
#include "bpf_progs/abi/stats.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/engine/engine.h"
#include "libpolicy/kernel/pin.h"
#include "libpolicy/testing/test_environment.h"

namespace netpolicy {
namespace {

constexpr uint32_t kUids = 1000;
constexpr int kRounds = 7;

// An engine on a bpffs and a cgroup of its own, with so many rows.
struct Setup {
  testing::BpfFs bpffs;
  testing::TestCgroup cgroup;
  std::unique_ptr<Engine> engine;
  UniqueFd rows;
  UniqueFd counters;
};

std::unique_ptr<Setup> MakeSetup(uint32_t rows) {
  auto made = std::make_unique<Setup>(
      Setup{.bpffs = Require(testing::BpfFs::Mount()),
            .cgroup = Require(testing::TestCgroup::Create()),
            .engine = nullptr,
            .rows = {},
            .counters = {}});
  EngineOptions options;
  options.cgroup = made->cgroup.path();
  options.pin_dir = made->bpffs.File("netpolicy");
  options.max_rows = rows + 1;
  options.max_rows_per_uid = rows;
  made->engine = Require(Engine::Open(options));
  made->rows =
      Require(OpenPin(options.pin_dir + "/maps/np_rows", PinKind::kMap));
  made->counters =
      Require(OpenPin(options.pin_dir + "/maps/np_counters", PinKind::kMap));

  // As the programs would have made them.
  std::vector<np_counters> values(
      static_cast<size_t>(libbpf_num_possible_cpus()));
  for (np_counters& value : values) {
    value.direction[NP_EGRESS] = {
        .skbs = 1, .skb_bytes = 100, .extra_packets = 0, .extra_bytes = 0};
  }
  const uint32_t first = options.max_uid_rows + NP_OVERFLOW_ROW + 1;
  for (uint32_t i = 0; i < rows; ++i) {
    const np_row_key key = {.uid = 10'000 + i % kUids,
                            .tag = i / kUids,
                            .counter_set = 0,
                            .ifindex = 1};
    const np_row row = {.row = first + i};
    if (bpf_map_update_elem(made->rows.get(), &key, &row, BPF_ANY) != 0 ||
        bpf_map_update_elem(made->counters.get(), &row.row, values.data(),
                            BPF_ANY) != 0) {
      Require(absl::InternalError("fill rows: refused"));
    }
  }
  return made;
}

// Every entry by a system call of its own, as without batches: what the
// snapshot reads, and nothing of what it makes of it.
uint64_t ReadOneByOne(const Setup& setup) {
  std::vector<np_counters> values(
      static_cast<size_t>(libbpf_num_possible_cpus()));
  np_row_key key = {};
  np_row_key next = {};
  uint64_t skbs = 0;
  const void* before = nullptr;
  while (bpf_map_get_next_key(setup.rows.get(), before, &next) == 0) {
    np_row row = {};
    bpf_map_lookup_elem(setup.rows.get(), &next, &row);
    bpf_map_lookup_elem(setup.counters.get(), &row.row, values.data());
    for (const np_counters& value : values) {
      skbs += value.direction[NP_EGRESS].skbs;
    }
    key = next;
    before = &key;
  }
  return skbs;
}

uint64_t ReadSnapshot(const Setup& setup) {
  const StatsSnapshot stats = Require(setup.engine->Stats());
  uint64_t skbs = 0;
  for (const StatsRow& row : stats.rows) skbs += row.tx.skbs;
  return skbs;
}

struct Cost {
  double wall = 0;
  double cpu = 0;
};

template <typename Read>
Cost CostOf(const Setup& setup, uint32_t rows, Read read) {
  const double wall = SecondsOn(CLOCK_MONOTONIC);
  const double cpu = SecondsOn(CLOCK_THREAD_CPUTIME_ID);
  const uint64_t skbs = read(setup);
  const Cost cost = {SecondsOn(CLOCK_MONOTONIC) - wall,
                     SecondsOn(CLOCK_THREAD_CPUTIME_ID) - cpu};
  if (skbs !=
      uint64_t{rows} * static_cast<uint64_t>(libbpf_num_possible_cpus())) {
    Require(absl::InternalError("read rows: not all of them were there"));
  }
  return cost;
}

// Both ways in turn, so that what the machine does meanwhile meets both.
void Snapshot(benchmark::State& state) {
  const auto rows = static_cast<uint32_t>(state.range(0));
  const auto setup = MakeSetup(rows);
  std::vector<double> wall;
  std::vector<double> cpu;
  std::vector<double> ratio;
  const auto round = [&] {
    const Cost slow = CostOf(*setup, rows, ReadOneByOne);
    const Cost fast = CostOf(*setup, rows, ReadSnapshot);
    wall.push_back(fast.wall);
    cpu.push_back(fast.cpu);
    ratio.push_back(slow.cpu / fast.cpu);
  };
  for (auto _ : state) round();
  while (wall.size() < kRounds) round();
  state.counters["wall_us"] = Median(wall) * 1e6;
  state.counters["cpu_us"] = Median(cpu) * 1e6;
  state.counters["cpu_ns_per_entry"] = Median(cpu) * 1e9 / rows;
  state.counters["one_by_one_cpu_ratio"] = Median(ratio);
}

}  // namespace
}  // namespace netpolicy

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  if (const auto missing = netpolicy::testing::MissingForBpfTests()) {
    fprintf(stderr, "%s\n", missing->c_str());
    return 1;
  }
  benchmark::RegisterBenchmark("stats/snapshot", netpolicy::Snapshot)
      ->ArgName("entries")
      ->Arg(1'000)
      ->Arg(10'000)
      ->Arg(100'000)
      ->Unit(benchmark::kMillisecond);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
