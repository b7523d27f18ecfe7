// SPDX-License-Identifier: Apache-2.0
//
// What does the history of usage cost? See README.md.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "benchmarks/measure.h"
#include "libpolicy/testing/scratch_dir.h"
#include "netd/usage/usage_store.h"

namespace netpolicy {
namespace {

constexpr int64_t kHour = 3600;
constexpr int64_t kStart = 1'767'225'600;  // 2026-01-01, UTC
constexpr int kDaysOfYear = 365;

UsageClock ClockAt(int64_t seconds) {
  return {.wall = kStart + seconds, .uptime = 1000 + seconds, .boot = "boot"};
}

// So many entries, ten of a UID: five tags on two interfaces.
std::vector<UsageReading> Entries(uint32_t count) {
  std::vector<UsageReading> readings;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t interface = i % 2;
    readings.push_back(
        {.ifindex = interface + 1,
         .key = {.uid = 10'000 + i / 10,
                 .tag = i / 2 % 5,
                 .counter_set = 0,
                 .interface = interface == 0 ? "wlan0" : "wwan0"},
         .counters = {}});
  }
  return readings;
}

void Grow(std::vector<UsageReading>& readings) {
  uint64_t more = 1000;
  for (UsageReading& reading : readings) {
    more = more * 7919 % 1'000'003;
    reading.counters += {more, more * 1000, more / 2, more * 60};
  }
}

// A minute of traffic on every entry, written to the disk.
void Flush(benchmark::State& state) {
  const auto entries = static_cast<uint32_t>(state.range(0));
  const auto directory = Require(testing::ScratchDir::Create());
  const auto store =
      Require(UsageStore::Open(directory.File("usage"), UsageStoreOptions()));
  std::vector<UsageReading> readings = Entries(entries);
  Grow(readings);
  int64_t now = 0;
  Require(store->Add("tables", ClockAt(now), readings));
  std::vector<double> wall;
  std::vector<double> cpu;
  for (auto _ : state) {
    Grow(readings);
    now += 60;
    const double wall_before = SecondsOn(CLOCK_MONOTONIC);
    const double cpu_before = SecondsOn(CLOCK_THREAD_CPUTIME_ID);
    Require(store->Add("tables", ClockAt(now), readings));
    wall.push_back(SecondsOn(CLOCK_MONOTONIC) - wall_before);
    cpu.push_back(SecondsOn(CLOCK_THREAD_CPUTIME_ID) - cpu_before);
  }
  state.counters["wall_us"] = Median(wall) * 1e6;
  state.counters["cpu_us"] = Median(cpu) * 1e6;
  state.counters["cpu_ns_per_entry"] = Median(cpu) * 1e9 / entries;
}

// A year of UIDs that use `entries` each, eight hours every day, as the
// defaults keep it: the last month by hours, the rest by days.
void Year(benchmark::State& state) {
  constexpr uint32_t kUids = 10;
  const auto entries = static_cast<uint32_t>(state.range(0));
  int64_t bytes = 0;
  for (auto _ : state) {
    const auto directory = Require(testing::ScratchDir::Create());
    const auto store =
        Require(UsageStore::Open(directory.File("usage"), UsageStoreOptions()));
    std::vector<UsageReading> all = Entries(kUids * 10);
    std::vector<UsageReading> readings;
    for (uint32_t i = 0; i < all.size(); ++i) {
      if (i % 10 < entries) readings.push_back(all[i]);
    }
    Require(store->Add("tables", ClockAt(0), readings));
    for (int day = 0; day < kDaysOfYear; ++day) {
      for (int hour = 9; hour <= 17; ++hour) {
        if (hour > 9) Grow(readings);
        Require(
            store->Add("tables", ClockAt((day * 24 + hour) * kHour), readings));
      }
    }
    bytes = Require(store->FileBytes());
  }
  state.counters["bytes_per_uid_year"] = static_cast<double>(bytes) / kUids;
}

}  // namespace
}  // namespace netpolicy

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RegisterBenchmark("usage/flush", netpolicy::Flush)
      ->ArgName("entries")
      ->Arg(100)
      ->Arg(1'000)
      ->Arg(10'000)
      ->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark("usage/year", netpolicy::Year)
      ->ArgName("entries_per_uid")
      ->Arg(1)
      ->Arg(4)
      ->Arg(10)
      ->Iterations(1)
      ->Unit(benchmark::kMillisecond);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
