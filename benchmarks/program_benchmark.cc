// Nanoseconds per packet of the policy programs beside a reference program that
// does what Android's do (reference.bpf.c). Every sample times the empty
// program and the measured one in turn, so that what the machine does meanwhile
// meets both; net_ns is the median of the differences.

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "benchmark/benchmark.h"
#include "benchmarks/reference.skel.h"
#include "bpf_progs/abi/control.h"
#include "bpf_progs/abi/policy.h"
#include "bpf_progs/abi/stats.h"
#include "bpf_progs/policy.skel.h"

namespace netpolicy {
namespace {

constexpr uint32_t kRows = 1024;
constexpr uint32_t kUids = 1024;
constexpr int kPacketsPerSample = 100000;

// An Ethernet frame with a TCP acknowledgement over IPv4, as TEST_RUN takes it.
std::array<uint8_t, 66> Packet() {
  std::array<uint8_t, 66> frame{};
  frame[12] = 0x08;  // ETH_P_IP
  iphdr ip{};
  ip.version = 4;
  ip.ihl = 5;
  ip.tot_len = htons(52);
  ip.ttl = 64;
  ip.protocol = IPPROTO_TCP;
  ip.saddr = htonl(0xc0000201);
  ip.daddr = htonl(0xc0000202);
  tcphdr tcp{};
  tcp.source = htons(443);
  tcp.dest = htons(40000);
  tcp.doff = 8;
  tcp.ack = 1;
  std::memcpy(&frame[14], &ip, sizeof(ip));
  std::memcpy(&frame[34], &tcp, sizeof(tcp));
  return frame;
}

// Processor time that this thread has used, in nanoseconds: unlike the clock on
// the wall, it does not count what other programs do meanwhile.
double ThreadNanoseconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 +
         static_cast<double>(now.tv_nsec);
}

// Mean nanoseconds that one run of the program takes; negative on error.
double RunOnce(int program_fd, int packets) {
  static const auto packet = Packet();
  LIBBPF_OPTS(bpf_test_run_opts, opts);
  opts.data_in = packet.data();
  opts.data_size_in = packet.size();
  opts.repeat = packets;
  const double begin = ThreadNanoseconds();
  if (bpf_prog_test_run_opts(program_fd, &opts) != 0) return -1;
  const double spent = ThreadNanoseconds() - begin;
  return opts.retval == 1 ? spent / packets : -1;
}

struct PolicyDeleter {
  void operator()(policy_bpf* p) const { policy_bpf::destroy(p); }
};
using PolicyPrograms = std::unique_ptr<policy_bpf, PolicyDeleter>;

enum class Path { kEstablished, kFirstPacket, kFallback };

// The programs with their own tables, under a policy with every chain on that
// lists UID 0, the owner of TEST_RUN's socket, wherever that lets it pass.
PolicyPrograms LoadPolicy(Path path) {
  PolicyPrograms programs(policy_bpf::open());
  if (programs == nullptr) return nullptr;
  bpf_map__set_max_entries(programs->maps.np_uid_index, kUids);
  bpf_map__set_max_entries(programs->maps.np_uid_policy, kUids * NP_SLOTS);
  bpf_map__set_max_entries(programs->maps.np_rows, kRows);
  bpf_map__set_max_entries(programs->maps.np_free_rows, kRows);
  bpf_map__set_max_entries(programs->maps.np_counters, kRows);
  bpf_map__set_max_entries(programs->maps.np_drops, kRows);
  programs->rodata->np_slot_size = kUids;
  programs->rodata->np_use_verdict_cache = path == Path::kEstablished;
  programs->rodata->np_use_socket_storage = path != Path::kFallback;
  if (policy_bpf::load(programs.get()) != 0) return nullptr;

  for (uint32_t row = 1; row < kRows; ++row) {
    const np_row value = {row};
    bpf_map_update_elem(bpf_map__fd(programs->maps.np_free_rows), nullptr,
                        &value, 0);
  }
  const uint32_t slot = 0;
  const uint64_t chains = (NP_REASON_BIT(10) - 1) & ~1ULL;
  np_policy_config config{};
  config.enabled = chains;
  config.allowlists = NP_REASON_BIT(NP_REASON_DOZABLE) |
                      NP_REASON_BIT(NP_REASON_POWERSAVE) |
                      NP_REASON_BIT(NP_REASON_RESTRICTED) |
                      NP_REASON_BIT(NP_REASON_LOW_POWER_STANDBY) |
                      NP_REASON_BIT(NP_REASON_BACKGROUND);
  config.metered_only = NP_REASON_BIT(NP_REASON_DATA_SAVER) |
                        NP_REASON_BIT(NP_REASON_METERED_DENY_USER) |
                        NP_REASON_BIT(NP_REASON_METERED_DENY_ADMIN);
  config.enabled |= config.metered_only;
  np_uid_policy policy{};
  policy.rules = config.allowlists;
  const np_uid_key key = {0};
  const np_uid_position position = {0};
  np_control control{};
  control.magic = NP_ABI_MAGIC;
  control.active = np_active(1, slot);
  bpf_map_update_elem(bpf_map__fd(programs->maps.np_config), &slot, &config, 0);
  bpf_map_update_elem(bpf_map__fd(programs->maps.np_uid_policy), &slot, &policy,
                      0);
  bpf_map_update_elem(bpf_map__fd(programs->maps.np_uid_index), &key, &position,
                      0);
  bpf_map_update_elem(bpf_map__fd(programs->maps.np_control), &slot, &control,
                      0);
  return programs;
}

// Packets that the programs have charged so far, in the order of direction.
std::array<uint64_t, NP_DIRECTIONS> Charged(const policy_bpf& programs) {
  std::vector<np_counters> per_cpu(libbpf_num_possible_cpus());
  std::array<uint64_t, NP_DIRECTIONS> skbs{};

  for (uint32_t row = 0; row < kRows; ++row) {
    if (bpf_map_lookup_elem(bpf_map__fd(programs.maps.np_counters), &row,
                            per_cpu.data()) != 0) {
      continue;
    }
    for (const np_counters& counters : per_cpu) {
      for (int i = 0; i < NP_DIRECTIONS; ++i) {
        skbs[i] += counters.direction[i].skbs;
      }
    }
  }
  return skbs;
}

// Times `program_fd`. The time of the benchmark is that of kPacketsPerSample
// packets with all that TEST_RUN adds; `net_ns` is what one packet costs.
void Measure(benchmark::State& state, int program_fd, int empty_fd) {
  std::vector<double> gross;
  std::vector<double> net;

  for (auto _ : state) {
    state.PauseTiming();
    const double empty = RunOnce(empty_fd, kPacketsPerSample);
    state.ResumeTiming();
    const double program = RunOnce(program_fd, kPacketsPerSample);
    if (empty < 0 || program < 0) {
      state.SkipWithError("BPF_PROG_TEST_RUN failed or refused the packet");
      return;
    }
    gross.push_back(program);
    net.push_back(program - empty);
  }
  const auto median = [](std::vector<double>& v) {
    std::nth_element(v.begin(), v.begin() + v.size() / 2, v.end());
    return v[v.size() / 2];
  };
  state.counters["gross_ns"] = median(gross);
  state.counters["net_ns"] = median(net);
}

// As Measure(), and proves that every packet was charged.
void MeasurePolicy(benchmark::State& state, const policy_bpf& programs,
                   int direction, int program_fd, int empty_fd) {
  const uint64_t before = Charged(programs)[direction];

  Measure(state, program_fd, empty_fd);
  if (Charged(programs)[direction] - before !=
      static_cast<uint64_t>(state.iterations()) * kPacketsPerSample) {
    state.SkipWithError("the program did not charge every packet");
  }
}

void Register(absl::string_view name, int program_fd, int empty_fd) {
  benchmark::RegisterBenchmark(absl::StrCat("program/", name).c_str(),
                               [program_fd, empty_fd](benchmark::State& state) {
                                 Measure(state, program_fd, empty_fd);
                               });
}

void RegisterPolicy(absl::string_view name, const policy_bpf* programs,
                    int direction, int program_fd, int empty_fd) {
  benchmark::RegisterBenchmark(
      absl::StrCat("program/", name).c_str(), [=](benchmark::State& state) {
        MeasurePolicy(state, *programs, direction, program_fd, empty_fd);
      });
}

// Fills the reference's tables as on a phone with a few hundred applications.
void FillReference(const reference_bpf& reference) {
  for (uint32_t uid = 0; uid < 500; ++uid) {
    const uint32_t key = uid == 0 ? 0 : 10000 + uid;
    const struct {
      uint32_t ifindex;
      uint32_t bits;
    } rules = {0, 0x2a};
    const uint8_t set = 1;
    const std::array<uint64_t, 4> stats{};
    const std::array<uint32_t, 4> stats_key = {key, 0, 0, 7};
    bpf_map_update_elem(bpf_map__fd(reference.maps.uid_rules), &key, &rules, 0);
    bpf_map_update_elem(bpf_map__fd(reference.maps.counter_set), &key, &set, 0);
    bpf_map_update_elem(bpf_map__fd(reference.maps.uid_total), &key, &stats, 0);
    bpf_map_update_elem(bpf_map__fd(reference.maps.stats_a), &stats_key, &stats,
                        0);
  }
}

int Main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  std::unique_ptr<reference_bpf, void (*)(reference_bpf*)> reference(
      reference_bpf::open_and_load(), reference_bpf::destroy);
  if (reference == nullptr) return 1;
  FillReference(*reference);
  const int empty_fd = bpf_program__fd(reference->progs.empty);
  Register("empty/ingress", empty_fd, empty_fd);
  Register("empty/egress", empty_fd, empty_fd);
  Register("reference/ingress", bpf_program__fd(reference->progs.ref_ingress),
           empty_fd);
  Register("reference/egress", bpf_program__fd(reference->progs.ref_egress),
           empty_fd);

  struct Row {
    absl::string_view name;
    Path path;
  };
  std::vector<PolicyPrograms> loaded;
  for (const Row& row : {Row{"established", Path::kEstablished},
                         Row{"first_packet", Path::kFirstPacket},
                         Row{"fallback", Path::kFallback}}) {
    loaded.push_back(LoadPolicy(row.path));
    if (loaded.back() == nullptr) return 1;
    const auto& progs = loaded.back()->progs;
    RegisterPolicy(absl::StrCat(row.name, "/ingress"), loaded.back().get(),
                   NP_INGRESS, bpf_program__fd(progs.np_ingress), empty_fd);
    RegisterPolicy(absl::StrCat(row.name, "/egress"), loaded.back().get(),
                   NP_EGRESS, bpf_program__fd(progs.np_egress), empty_fd);
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace
}  // namespace netpolicy

int main(int argc, char** argv) { return netpolicy::Main(argc, argv); }
