// Nanoseconds per packet of the policy programs beside a reference program that
// does what Android's do (reference.bpf.c). Every sample times the empty
// program, the reference and the measured one in turn, so that what the machine
// does meanwhile meets all of them; the counters are medians over the samples.

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sched.h>

#include <array>
#include <barrier>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "benchmark/benchmark.h"
#include "benchmarks/measure.h"
#include "benchmarks/policy_benchmark.h"
#include "benchmarks/policy_programs.h"
#include "benchmarks/reference.skel.h"
#include "bpf_progs/abi/stats.h"
#include "libpolicy/testing/net_namespace.h"

namespace netpolicy {
namespace {

constexpr int kPacketsPerSample = 100'000;
// At least so many samples, however long they take.
constexpr int kSamples = 15;
constexpr std::array<absl::string_view, NP_DIRECTIONS> kDirectionNames = {
    "ingress", "egress"};

// The reference program and the empty one; null when they can't be loaded.
const reference_bpf* Reference() {
  static const reference_bpf* const loaded = []() -> const reference_bpf* {
    reference_bpf* const made = reference_bpf::open_and_load();
    if (made == nullptr) return nullptr;
    // Tables as on a phone with a few hundred applications.
    for (uint32_t uid = 0; uid < 500; ++uid) {
      const uint32_t key = uid == 0 ? 0 : 10000 + uid;
      const struct {
        uint32_t ifindex;
        uint32_t bits;
      } rules = {0, 0x2a};
      const uint8_t set = 1;
      const std::array<uint64_t, 4> stats{};
      const std::array<uint32_t, 4> stats_key = {key, 0, 0, 7};
      bpf_map_update_elem(bpf_map__fd(made->maps.uid_rules), &key, &rules, 0);
      bpf_map_update_elem(bpf_map__fd(made->maps.counter_set), &key, &set, 0);
      bpf_map_update_elem(bpf_map__fd(made->maps.uid_total), &key, &stats, 0);
      bpf_map_update_elem(bpf_map__fd(made->maps.stats_a), &stats_key, &stats,
                          0);
    }
    return made;
  }();
  return loaded;
}

int EmptyFd() { return bpf_program__fd(Reference()->progs.empty); }

int ReferenceFd(int direction) {
  return bpf_program__fd(direction == NP_INGRESS
                             ? Reference()->progs.ref_ingress
                             : Reference()->progs.ref_egress);
}

// What one sample measures, in nanoseconds of processor time a packet.
struct Sample {
  double empty = -1;
  double reference = -1;
  double program = -1;

  bool ok() const { return empty >= 0 && reference >= 0 && program >= 0; }
};

Sample TakeSample(int program_fd, int direction) {
  Sample sample;
  sample.empty = NanosecondsPerPacket(EmptyFd(), kPacketsPerSample);
  sample.reference =
      NanosecondsPerPacket(ReferenceFd(direction), kPacketsPerSample);
  sample.program = NanosecondsPerPacket(program_fd, kPacketsPerSample);
  return sample;
}

// Runs on one processor until the end of the scope.
class ScopedCpu {
 public:
  explicit ScopedCpu(int cpu) {
    sched_getaffinity(0, sizeof(before_), &before_);
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(cpu, &only);
    sched_setaffinity(0, sizeof(only), &only);
  }
  ScopedCpu(const ScopedCpu&) = delete;
  ScopedCpu& operator=(const ScopedCpu&) = delete;
  ~ScopedCpu() { sched_setaffinity(0, sizeof(before_), &before_); }

 private:
  cpu_set_t before_;
};

// As TakeSample(), while another processor does the same for the same UID.
Sample TakeSampleOnTwoCpus(int program_fd, int direction) {
  std::array<Sample, 2> samples;
  std::barrier together(2);
  const auto run = [&](int cpu) {
    const ScopedCpu pinned(cpu);
    Sample& sample = samples[static_cast<size_t>(cpu)];
    together.arrive_and_wait();
    sample.empty = NanosecondsPerPacket(EmptyFd(), kPacketsPerSample);
    together.arrive_and_wait();
    sample.reference =
        NanosecondsPerPacket(ReferenceFd(direction), kPacketsPerSample);
    together.arrive_and_wait();
    sample.program = NanosecondsPerPacket(program_fd, kPacketsPerSample);
  };
  std::thread other([&] { run(1); });
  run(0);
  other.join();
  if (!samples[1].ok()) return samples[1];
  return {.empty = (samples[0].empty + samples[1].empty) / 2,
          .reference = (samples[0].reference + samples[1].reference) / 2,
          .program = (samples[0].program + samples[1].program) / 2};
}

// Takes samples for as long as the benchmark goes on.
template <typename Take>
void Measure(benchmark::State& state, Take take) {
  // Threads that are started from now on are there, too.
  const auto inside =
      Require(testing::ScopedNetns::Enter(PacketLink::Get().netns));
  std::vector<double> gross;
  std::vector<double> net;
  std::vector<double> reference;
  const auto sample_once = [&] {
    const Sample sample = take();
    if (!sample.ok()) return false;
    gross.push_back(sample.program);
    net.push_back(sample.program - sample.empty);
    reference.push_back(sample.reference - sample.empty);
    return true;
  };
  bool ok = true;
  for (auto _ : state) ok = ok && sample_once();
  while (ok && gross.size() < kSamples) ok = sample_once();
  if (!ok) {
    state.SkipWithError("BPF_PROG_TEST_RUN failed or refused the packet");
    return;
  }
  state.counters["gross_ns"] = Median(gross);
  state.counters["net_ns"] = Median(net);
  state.counters["reference_net_ns"] = Median(reference);
  state.counters["of_reference"] = Median(net) / Median(reference);
  state.counters["samples"] = static_cast<double>(gross.size());
}

enum class Cpus { kOne, kTwo };

void MeasureProgram(benchmark::State& state, int program_fd, int direction,
                    Cpus cpus) {
  if (cpus == Cpus::kOne) {
    Measure(state, [&] { return TakeSample(program_fd, direction); });
  } else {
    if (std::thread::hardware_concurrency() < 2) {
      state.SkipWithError("needs two processors");
      return;
    }
    Measure(state, [&] { return TakeSampleOnTwoCpus(program_fd, direction); });
  }
}

// As above, and proves that every packet was charged.
void MeasurePolicy(benchmark::State& state, const ProgramsOptions& options,
                   int direction, Cpus cpus) {
  const std::unique_ptr<PolicyPrograms> programs =
      PolicyPrograms::Load(options);
  if (programs == nullptr || Reference() == nullptr) {
    state.SkipWithError("the programs can't be loaded");
    return;
  }
  MeasureProgram(state, programs->fd(direction), direction, cpus);
  const double expected = state.counters["samples"].value * kPacketsPerSample *
                          (cpus == Cpus::kTwo ? 2 : 1);
  if (static_cast<double>(programs->Charged(direction)) != expected) {
    state.SkipWithError("the program did not charge every packet");
  }
}

// What accounting adds: established flows with and without it, in turn.
void MeasureAccounting(benchmark::State& state, int direction) {
  const auto with = PolicyPrograms::Load({});
  const auto without = PolicyPrograms::Load({.accounting = false});
  if (with == nullptr || without == nullptr || Reference() == nullptr) {
    state.SkipWithError("the programs can't be loaded");
    return;
  }
  const auto inside =
      Require(testing::ScopedNetns::Enter(PacketLink::Get().netns));
  std::vector<double> firewall;
  std::vector<double> added;
  const auto sample_once = [&] {
    const double empty = NanosecondsPerPacket(EmptyFd(), kPacketsPerSample);
    const double alone =
        NanosecondsPerPacket(without->fd(direction), kPacketsPerSample);
    const double both =
        NanosecondsPerPacket(with->fd(direction), kPacketsPerSample);
    firewall.push_back(alone - empty);
    added.push_back(both - alone);
    return empty >= 0 && alone >= 0 && both >= 0;
  };
  bool ok = true;
  for (auto _ : state) ok = ok && sample_once();
  while (ok && added.size() < kSamples) ok = sample_once();
  // A sample has a socket of its own, whose first packet is not established.
  if (!ok || without->Charged(direction) != added.size()) {
    state.SkipWithError("BPF_PROG_TEST_RUN failed, or packets were charged");
    return;
  }
  state.counters["firewall_net_ns"] = Median(firewall);
  state.counters["accounting_ns"] = Median(added);
  state.counters["of_firewall"] =
      (Median(firewall) + Median(added)) / Median(firewall);
  state.counters["samples"] = static_cast<double>(added.size());
}

void Register(const std::string& name, int direction, Cpus cpus,
              int (*program_fd)(int direction)) {
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    if (Reference() == nullptr) {
      state.SkipWithError("the reference can't be loaded");
      return;
    }
    MeasureProgram(state, program_fd(direction), direction, cpus);
  });
}

void RegisterPolicy(const std::string& name, const ProgramsOptions& options,
                    int direction, Cpus cpus) {
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    MeasurePolicy(state, options, direction, cpus);
  });
}

}  // namespace

void RegisterProgramBenchmarks() {
  struct PathName {
    absl::string_view name;
    Path path;
  };
  constexpr PathName kPaths[] = {{"established", Path::kEstablished},
                                 {"first_packet", Path::kFirstPacket},
                                 {"fallback", Path::kFallback}};
  const auto both = [](absl::string_view name, absl::string_view suffix,
                       auto add) {
    for (int direction : {NP_INGRESS, NP_EGRESS}) {
      add(absl::StrCat("program/", name, "/",
                       kDirectionNames[static_cast<size_t>(direction)], suffix),
          direction);
    }
  };
  both("empty", "", [](const std::string& name, int direction) {
    Register(name, direction, Cpus::kOne, [](int) { return EmptyFd(); });
  });
  both("reference", "", [](const std::string& name, int direction) {
    Register(name, direction, Cpus::kOne, ReferenceFd);
  });
  for (const PathName& each : kPaths) {
    both(each.name, "", [&](const std::string& name, int direction) {
      RegisterPolicy(name, {.path = each.path}, direction, Cpus::kOne);
    });
  }
  both("accounting", "", [](const std::string& name, int direction) {
    benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
      MeasureAccounting(state, direction);
    });
  });
  for (const PathName& each : kPaths) {
    both(each.name, "/two_cpus", [&](const std::string& name, int direction) {
      RegisterPolicy(name, {.path = each.path}, direction, Cpus::kTwo);
    });
  }
  for (const PathName& each : {kPaths[0], kPaths[1]}) {
    for (uint32_t uids : {10u, 1'000u, 100'000u}) {
      both(each.name, absl::StrCat("/uids:", uids),
           [&](const std::string& name, int direction) {
             RegisterPolicy(name, {.path = each.path, .uids = uids}, direction,
                            Cpus::kOne);
           });
    }
  }
  for (uint32_t prefixes : {10u, 10'000u}) {
    both("first_packet", absl::StrCat("/prefixes:", prefixes),
         [&](const std::string& name, int direction) {
           RegisterPolicy(name,
                          {.path = Path::kFirstPacket, .prefixes = prefixes},
                          direction, Cpus::kOne);
         });
  }
}

}  // namespace netpolicy
