// Nanoseconds per packet of the translator's programs, in two ways, as
// BPF_PROG_TEST_RUN can't run one of them twice on one packet, which is of the
// other IP version after the first time:
//
// - there and back: a program that tail calls one translator's 4-to-6 program
//   for IPv4 packets and another translator's 6-to-4 program for IPv6 packets,
//   which makes of the packet what it was, any number of times;
// - each program by itself, with a system call for each packet.
//
// A sample times the programs and empty ones in turn, in processor time of the
// thread; the counters are medians over the samples.

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "benchmark/benchmark.h"
#include "benchmarks/measure.h"
#include "bpf_progs/abi/clat.h"
#include "clat/translator_config.h"
#include "clat/translator_object.h"
#include "libpolicy/testing/packet_builder.h"

namespace netpolicy::clat {
namespace {

using netpolicy::testing::PacketBuilder;

// How often the two programs take turns in a sample, with so many packets each.
constexpr int kTurns = 40;
constexpr int kPacketsPerTurn = 500;
constexpr int kRoundTrips = 50000;
constexpr int kSamples = 21;
constexpr IfIndex kLoopback{1};  // what packets of TEST_RUN come from

// TEST_RUN takes frames with Ethernet headers only. A packet without one passes
// for a frame when the bytes where its type would be hold one: these addresses
// put 0x0800 and 0x86dd there. Only the programs for raw IP take them for what
// they are; the kernel moves the same number of bytes either way.
constexpr char kUs4[] = "8.0.0.1";
constexpr char kThem4[] = "203.0.113.2";
constexpr char kPrefix[] = "2001:db8:86dd::/96";
constexpr char kUs6[] = "2001:db8:1::800:1";
constexpr char kUsPrefix[] = "2001:db8:1::/96";
constexpr char kThem6[] = "2001:db8:86dd::cb00:7102";
// As the address plan makes them: the checksums of TCP and UDP stay (RFC 6052,
// 4.1), as the two prefixes add up to 0xffff.
constexpr char kNeutralUs6[] = "2001:db8:1db0::800:1";
constexpr char kNeutralUsPrefix[] = "2001:db8:1db0::/96";
constexpr char kNeutralUsNetwork[] = "2001:db8:1db0::800:0/120";
constexpr char kThemNetwork[] = "2001:db8:86dd::cb00:7100/120";

enum class Kind { kTcp, kUdp, kEcho };

std::string Packet(Direction direction, LinkType link, Kind kind) {
  PacketBuilder builder;
  if (link == LinkType::kEthernet) builder.Ethernet({});
  const bool four = direction == Direction::k4to6;
  if (four) {
    builder.Ip4({.src = kUs4, .dst = kThem4, .dont_fragment = true});
  } else {
    builder.Ip6({.src = kThem6, .dst = kUs6});
  }
  switch (kind) {
    case Kind::kTcp:
      builder.Tcp({});
      break;
    case Kind::kUdp:
      builder.Udp({});
      break;
    case Kind::kEcho:
      four ? builder.Icmp4({}) : builder.Icmp6({});
      break;
  }
  return builder.PayloadOfSize(64).Build();
}

// A tc program that returns at once, as the translator's do.
int LoadEmpty() {
  const bpf_insn code[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K,
       .dst_reg = 0,
       .src_reg = 0,
       .off = 0,
       .imm = -1},  // TC_ACT_UNSPEC
      {.code = BPF_JMP | BPF_EXIT,
       .dst_reg = 0,
       .src_reg = 0,
       .off = 0,
       .imm = 0},
  };
  const int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "empty", "GPL", code,
                               std::size(code), nullptr);
  if (fd < 0) Require(absl::InternalError("load the empty program"));
  return fd;
}

// A tc program that jumps to `four` for IPv4 packets, to `six` for the others.
int LoadDispatcher(int four, int six) {
  const int programs =
      bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "programs", 4, 4, 2, nullptr);
  for (uint32_t i = 0; i < 2; ++i) {
    const int fd = i == 0 ? four : six;
    if (bpf_map_update_elem(programs, &i, &fd, 0) != 0) {
      Require(absl::InternalError("fill the table of programs"));
    }
  }
  const auto insn = [](int code, int dst, int src, int off, int imm) {
    bpf_insn made{};
    made.code = static_cast<__u8>(code);
    made.dst_reg = static_cast<__u8>(dst) & 0xf;
    made.src_reg = static_cast<__u8>(src) & 0xf;
    made.off = static_cast<__s16>(off);
    made.imm = imm;
    return made;
  };
  const bpf_insn code[] = {
      insn(BPF_LDX | BPF_MEM | BPF_W, 3, 1, offsetof(__sk_buff, protocol), 0),
      insn(BPF_LD | BPF_DW | BPF_IMM, 2, BPF_PSEUDO_MAP_FD, 0, programs),
      insn(0, 0, 0, 0, 0),
      insn(BPF_JMP | BPF_JEQ | BPF_K, 3, 0, 2, htons(0x0800)),
      insn(BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, 1),
      insn(BPF_JMP | BPF_JA, 0, 0, 1, 0),
      insn(BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, 0),
      insn(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_tail_call),
      insn(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0),
      insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
  };
  const int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "dispatcher", "GPL",
                               code, std::size(code), nullptr);
  if (fd < 0) Require(absl::InternalError("load the dispatcher"));
  return fd;
}

// Nanoseconds of processor time of one packet that goes there and back;
// negative: failed.
double RunRoundTrips(int dispatcher_fd, absl::string_view packet, int packets) {
  LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet.data(),
              .data_size_in = static_cast<__u32>(packet.size()),
              .repeat = packets * 2);
  const double begin = SecondsOn(CLOCK_THREAD_CPUTIME_ID);
  if (bpf_prog_test_run_opts(dispatcher_fd, &opts) != 0 ||
      static_cast<int>(opts.retval) != -1) {
    return -1;
  }
  return (SecondsOn(CLOCK_THREAD_CPUTIME_ID) - begin) * 1e9 / packets;
}

// Nanoseconds of processor time of `packets` packets; negative: failed.
double Run(int program_fd, absl::string_view packet, int packets) {
  const double begin = SecondsOn(CLOCK_THREAD_CPUTIME_ID);
  for (int i = 0; i < packets; ++i) {
    LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet.data(),
                .data_size_in = static_cast<__u32>(packet.size()), .repeat = 1);
    if (bpf_prog_test_run_opts(program_fd, &opts) != 0 ||
        static_cast<int>(opts.retval) != -1) {
      return -1;
    }
  }
  return (SecondsOn(CLOCK_THREAD_CPUTIME_ID) - begin) * 1e9;
}

void Measure(benchmark::State& state, const TranslatorObject& object,
             int program_fd, int empty_fd, const std::string& packet,
             uint32_t outcome) {
  const uint64_t before = Require(object.ReadCounters(0)).outcomes[outcome];
  std::vector<double> gross;
  std::vector<double> net;

  for (auto _ : state) {
    double empty = 0;
    double program = 0;
    for (int turn = 0; turn < kTurns; ++turn) {
      const double a = Run(empty_fd, packet, kPacketsPerTurn);
      const double b = Run(program_fd, packet, kPacketsPerTurn);
      if (a < 0 || b < 0) {
        state.SkipWithError("BPF_PROG_TEST_RUN failed");
        return;
      }
      empty += a;
      program += b;
    }
    constexpr double kPackets = kTurns * kPacketsPerTurn;
    gross.push_back(program / kPackets);
    net.push_back((program - empty) / kPackets);
  }
  state.counters["gross_ns"] = Median(gross);
  state.counters["net_ns"] = Median(net);
  if (program_fd == empty_fd) return;
  if (Require(object.ReadCounters(0)).outcomes[outcome] - before !=
      static_cast<uint64_t>(state.iterations()) * kTurns * kPacketsPerTurn) {
    state.SkipWithError("not every packet was translated");
  }
}

// `there` translates to IPv6, `back` to IPv4 again.
void MeasureRoundTrips(benchmark::State& state, const TranslatorObject& there,
                       const TranslatorObject& back, LinkType link,
                       int empty_fd, const std::string& packet) {
  const int empty = LoadDispatcher(empty_fd, empty_fd);
  const int dispatcher = LoadDispatcher(there.ProgramFd(Direction::k4to6, link),
                                        back.ProgramFd(Direction::k6to4, link));
  const auto translated = [&] {
    return Require(there.ReadCounters(0)).outcomes[NP_CLAT_TRANSLATED_46] +
           Require(back.ReadCounters(0)).outcomes[NP_CLAT_TRANSLATED_64];
  };
  const uint64_t before = translated();
  std::vector<double> net;

  for (auto _ : state) {
    const double a = RunRoundTrips(empty, packet, kRoundTrips);
    const double b = RunRoundTrips(dispatcher, packet, kRoundTrips);
    if (a < 0 || b < 0) {
      state.SkipWithError("BPF_PROG_TEST_RUN failed");
      return;
    }
    net.push_back(b - a);
  }
  state.counters["both_net_ns"] = Median(net);
  state.counters["net_ns"] = Median(net) / 2;
  if (translated() - before !=
      static_cast<uint64_t>(state.iterations()) * kRoundTrips * 2) {
    state.SkipWithError("not every packet was translated");
  }
}

std::shared_ptr<TranslatorObject> Translator(
    const char* prefix, const char* ip4, const char* ip6,
    std::vector<PrefixPair> mappings = {}) {
  auto made =
      std::make_shared<TranslatorObject>(Require(TranslatorObject::Load()));
  TranslatorConfig config{.prefix = Require(Pref64::Parse(prefix))};
  config.pairs = {
      {Require(Ipv4Address::Parse(ip4)), Require(Ipv6Address::Parse(ip6))}};
  config.mappings = std::move(mappings);
  config.mtu4 = 1500;
  // A packet goes to and fro more than 255 times.
  config.hop_count = HopCount::kCopy;
  Require(made->SetInstance(kLoopback, Require(Compile(config, kLoopback, 0))));
  return made;
}

int Main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  auto object = Translator(kPrefix, kUs4, kUs6);
  auto back = Translator(kUsPrefix, kThem4, kThem6);
  auto neutral = Translator(kPrefix, kUs4, kNeutralUs6);
  auto neutral_back = Translator(kNeutralUsPrefix, kThem4, kThem6);
  // The addresses are in prefixes that are mapped (RFC 7757).
  auto mapped = Translator(kPrefix, "8.0.1.1", "2001:db8:1db0::800:101",
                           {{Require(Ipv4Prefix::Parse("8.0.0.0/24")),
                             Require(Ipv6Prefix::Parse(kNeutralUsNetwork))}});
  auto mapped_back =
      Translator(kNeutralUsPrefix, "203.0.112.1", "2001:db8:86dd::cb00:7001",
                 {{Require(Ipv4Prefix::Parse("203.0.113.0/24")),
                   Require(Ipv6Prefix::Parse(kThemNetwork))}});
  const int empty_fd = LoadEmpty();

  const auto add = [&](const std::string& name, int program_fd,
                       const std::string& packet, uint32_t outcome) {
    benchmark::RegisterBenchmark(absl::StrCat("clat/", name).c_str(),
                                 [=](benchmark::State& state) {
                                   Measure(state, *object, program_fd, empty_fd,
                                           packet, outcome);
                                 })
        ->Iterations(kSamples)
        ->Unit(benchmark::kMillisecond);
  };
  add("empty", empty_fd,
      Packet(Direction::k4to6, LinkType::kEthernet, Kind::kTcp), 0);
  for (const auto& [kind, kind_name] :
       {std::pair(Kind::kTcp, "tcp"), std::pair(Kind::kUdp, "udp"),
        std::pair(Kind::kEcho, "echo")}) {
    for (const auto& [link, link_name] :
         {std::pair(LinkType::kEthernet, "ethernet"),
          std::pair(LinkType::kRawIp, "raw")}) {
      const auto add_round_trip =
          [&, link = link, kind_name = kind_name, link_name = link_name,
           packet = Packet(Direction::k4to6, link, kind)](const char* suffix,
                                                          auto to, auto fro) {
            benchmark::RegisterBenchmark(
                absl::StrCat("clat/", kind_name, "/there_and_back/", link_name,
                             suffix)
                    .c_str(),
                [=](benchmark::State& state) {
                  MeasureRoundTrips(state, *to, *fro, link, empty_fd, packet);
                })
                ->Iterations(kSamples)
                ->Unit(benchmark::kMillisecond);
          };
      add_round_trip("", object, back);
      if (kind != Kind::kEcho) {
        add_round_trip("/neutral", neutral, neutral_back);
        add_round_trip("/mapped", mapped, mapped_back);
      }
    }
  }
  for (const auto& [kind, kind_name] :
       {std::pair(Kind::kTcp, "tcp"), std::pair(Kind::kUdp, "udp"),
        std::pair(Kind::kEcho, "echo")}) {
    for (const auto& [direction, direction_name] :
         {std::pair(Direction::k4to6, "4to6"),
          std::pair(Direction::k6to4, "6to4")}) {
      for (const auto& [link, link_name] :
           {std::pair(LinkType::kEthernet, "ethernet"),
            std::pair(LinkType::kRawIp, "raw")}) {
        add(absl::StrCat(kind_name, "/", direction_name, "/", link_name),
            object->ProgramFd(direction, link), Packet(direction, link, kind),
            direction == Direction::k4to6 ? NP_CLAT_TRANSLATED_46
                                          : NP_CLAT_TRANSLATED_64);
      }
    }
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace
}  // namespace netpolicy::clat

int main(int argc, char** argv) { return netpolicy::clat::Main(argc, argv); }
