// SPDX-License-Identifier: Apache-2.0
//
// What do applications notice? Real sockets in namespaces joined by a veth
// pair: without any policy, under netpolicy, under nftables with a set of as
// many UIDs, and under programs that do nothing. See README.md.

#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <time.h>
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
#include "benchmarks/reference.skel.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/engine/engine.h"
#include "libpolicy/kernel/link.h"
#include "libpolicy/testing/actor.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/process.h"
#include "libpolicy/testing/test_environment.h"
#include "libpolicy/testing/veth_pair.h"

namespace netpolicy {
namespace {

using testing::Actor;
using testing::ActorSocket;
using testing::Endpoint;

constexpr uid_t kAppUid = 10'001;
constexpr uint32_t kBlockedUids = 10'000;
constexpr uint32_t kFirstBlockedUid = 20'000;
constexpr uint64_t kDatagrams = 20'000;
constexpr int kDatagramBytes = 64;
constexpr uint64_t kStreamBytes = 64 << 20;
constexpr int kStreamChunkBytes = 64 << 10;
// At least so many rounds, however long they take.
constexpr int kRounds = 21;

// kNoneAgain is set up like kNone: by how much the two differ is what the
// method can't tell apart.
enum Variant : size_t {
  kNone,
  kNetpolicy,
  kNftables,
  kEmptyPrograms,
  kNoneAgain,
  kVariants
};
constexpr std::array<absl::string_view, kVariants> kVariantNames = {
    "none", "netpolicy", "nft", "empty_programs", "none_again"};

std::vector<uint32_t> BlockedUids() {
  std::vector<uint32_t> uids;
  for (uint32_t i = 0; i < kBlockedUids; ++i) {
    uids.push_back(kFirstBlockedUid + i);
  }
  return uids;
}

// A denylist with many UIDs and an allowlist with the application, both on.
Transaction ManyRules() {
  Transaction transaction;
  ReplaceChain blocked{.name = "standby", .uids = {}};
  for (uint32_t uid : BlockedUids()) blocked.uids.push_back(Uid{uid});
  transaction.push_back(std::move(blocked));
  transaction.push_back(SetChainEnabled{"standby", Switch::kOn});
  transaction.push_back(ReplaceChain{"dozable", {Uid{kAppUid}}});
  transaction.push_back(SetChainEnabled{"dozable", Switch::kOn});
  return transaction;
}

// Drops what the same UIDs send and get.
void LoadNftables(const testing::NetNamespace& netns) {
  const auto directory = Require(testing::ScratchDir::Create());
  const std::string path = directory.File("rules.nft");
  std::ofstream file(path);
  file << "table inet t {\n  set s { typeof meta skuid; elements = { "
       << absl::StrJoin(BlockedUids(), ", ") << " } }\n"
       << "  chain out { type filter hook output priority 0; meta skuid @s "
          "drop; }\n"
       << "  chain in { type filter hook input priority 0; meta skuid @s drop; "
          "}\n}\n";
  file.close();
  auto nft =
      Require(testing::ChildProcess::Start({.netns = netns.fd()}, [&path] {
        execlp("nft", "nft", "-f", path.c_str(), nullptr);
        return 127;
      }));
  const int status = Require(nft.Wait(absl::Seconds(60)));
  if (status != 0) {
    Require(absl::InternalError(absl::StrCat("nft: exit status ", status)));
  }
}

// What the kernel's calling of whatever program costs: one that lets everything
// pass, for packets in both directions.
std::array<UniqueFd, 2> AttachEmptyPrograms(const std::string& cgroup) {
  reference_bpf* const loaded = reference_bpf::open_and_load();
  if (loaded == nullptr) {
    Require(absl::InternalError("the empty program can't be loaded"));
  }
  const int program = bpf_program__fd(loaded->progs.empty);
  const UniqueFd directory(open(cgroup.c_str(), O_DIRECTORY | O_CLOEXEC));
  std::array<UniqueFd, 2> links = {
      Require(CreateCgroupLink(program, directory.get(),
                               BPF_CGROUP_INET_INGRESS, "empty")),
      Require(CreateCgroupLink(program, directory.get(), BPF_CGROUP_INET_EGRESS,
                               "empty"))};
  reference_bpf::destroy(loaded);
  return links;
}

// An application, in a namespace, and its peer at the other end of the cable.
struct Pair {
  Actor app;
  Actor peer;
  Endpoint peer_address;
  Endpoint app_address;
};

// Everything for the variants; the order of members is that of
// construction.
class Bed {
 public:
  Bed()
      : bpffs_(Require(testing::BpfFs::Mount())),
        judged_(Require(testing::TestCgroup::Create())),
        empty_(Require(testing::TestCgroup::Create())),
        unjudged_(Require(testing::TestCgroup::Create())),
        empty_links_(AttachEmptyPrograms(empty_.path())) {
    EngineOptions options;
    options.cgroup = judged_.path();
    options.pin_dir = bpffs_.File("netpolicy");
    engine_ = Require(Engine::Open(options));
    Require(engine_->Commit(ManyRules(), {}).status());
    for (size_t i = 0; i < kVariants; ++i) {
      app_ns_.push_back(Require(testing::NetNamespace::Create()));
      peer_ns_.push_back(Require(testing::NetNamespace::Create()));
      veth_.push_back(
          Require(testing::VethPair::Create(app_ns_[i], peer_ns_[i])));
    }
    LoadNftables(app_ns_[kNftables]);
    for (size_t i = 0; i < kVariants; ++i) {
      const testing::TestCgroup& cgroup = i == kNetpolicy       ? judged_
                                          : i == kEmptyPrograms ? empty_
                                                                : unjudged_;
      pairs_.push_back(
          {.app = Require(Actor::Spawn({.uid = kAppUid,
                                        .cgroup = cgroup.path(),
                                        .netns = app_ns_[i].fd()})),
           .peer = Require(Actor::Spawn({.netns = peer_ns_[i].fd()})),
           .peer_address = {"10.77.0.2", 4000},
           .app_address = {"10.77.0.1", 4000}});
    }
  }

  Pair& pair(size_t variant) { return pairs_[variant]; }
  Engine& engine() { return *engine_; }

 private:
  testing::BpfFs bpffs_;
  testing::TestCgroup judged_;
  testing::TestCgroup empty_;
  testing::TestCgroup unjudged_;
  std::array<UniqueFd, 2> empty_links_;
  std::unique_ptr<Engine> engine_;
  std::vector<testing::NetNamespace> app_ns_;
  std::vector<testing::NetNamespace> peer_ns_;
  std::vector<testing::VethPair> veth_;
  std::vector<Pair> pairs_;
};

Bed& TheBed() {
  static auto* const bed = new Bed();
  return *bed;
}

struct Side {
  Actor* actor;
  Endpoint address;
};

// Two connected UDP sockets. The receiver never reads: what it gets is judged
// before its full buffer drops it, and no processor is shared with a reader.
struct Datagrams {
  Datagrams(const Side& from, const Side& to) : sender(from.actor) {
    socket = Require(from.actor->UdpSocket(AF_INET));
    sink = Require(to.actor->UdpSocket(AF_INET));
    Require(from.actor->Bind(socket, from.address));
    Require(to.actor->Bind(sink, to.address));
    Require(from.actor->Connect(socket, to.address));
    Require(to.actor->Connect(sink, from.address));
    receiver = to.actor;
  }
  ~Datagrams() {
    sender->Close(socket).IgnoreError();
    receiver->Close(sink).IgnoreError();
  }

  uint64_t Units() const { return kDatagrams; }
  void Run() const {
    Require(sender->SendBytes(socket, kDatagrams * kDatagramBytes,
                              {.chunk_bytes = kDatagramBytes}));
  }

  Actor* sender;
  Actor* receiver = nullptr;
  ActorSocket socket;
  ActorSocket sink;
};

// A TCP connection whose receiver reads everything.
struct Stream {
  Stream(const Side& from, const Side& to)
      : sender(from.actor), receiver(to.actor) {
    const ActorSocket listener = Require(receiver->TcpSocket(AF_INET));
    Require(receiver->SetOption(listener, SOL_SOCKET, SO_REUSEADDR, 1));
    Require(receiver->Bind(listener, to.address));
    Require(receiver->Listen(listener));
    socket = Require(sender->TcpSocket(AF_INET));
    Require(sender->Connect(socket, to.address));
    sink = Require(receiver->Accept(listener));
    Require(receiver->Close(listener));
  }
  ~Stream() {
    sender->Close(socket).IgnoreError();
    receiver->Close(sink).IgnoreError();
  }

  uint64_t Units() const { return kStreamBytes; }
  void Run() const {
    Actor::Pending reading = receiver->StartReceiveBytes(sink, kStreamBytes);
    Require(sender->SendBytes(socket, kStreamBytes,
                              {.chunk_bytes = kStreamChunkBytes}));
    Require(reading.Wait());
  }

  Actor* sender;
  Actor* receiver;
  ActorSocket socket;
  ActorSocket sink;
};

double ProcessorSeconds(const Actor& actor) {
  clockid_t clock;
  if (clock_getcpuclockid(actor.pid(), &clock) != 0) return 0;
  return SecondsOn(clock);
}

// What netpolicy has charged the application so far, and how often it had to
// judge a packet anew.
struct Charged {
  uint64_t skbs = 0;
  uint64_t slow_path = 0;
};

Charged ReadCharged() {
  Charged charged;
  const StatsSnapshot stats = Require(TheBed().engine().Stats());
  for (const StatsRow& row : stats.rows) {
    if (row.uid == Uid{kAppUid}) charged.skbs += row.rx.skbs + row.tx.skbs;
  }
  for (const LossCounter& loss : stats.losses) {
    if (loss.name == "slow_path") charged.slow_path = loss.count;
  }
  return charged;
}

enum class AppIs { kSender, kReceiver };

// Each round lets every variant do the same work, one after the other, in an
// order that changes from round to round.
template <typename Flow>
void Compare(benchmark::State& state, AppIs app_is) {
  std::vector<std::unique_ptr<Flow>> flows;
  for (size_t i = 0; i < kVariants; ++i) {
    Pair& pair = TheBed().pair(i);
    const Side app = {&pair.app, pair.app_address};
    const Side peer = {&pair.peer, pair.peer_address};
    flows.push_back(app_is == AppIs::kSender
                        ? std::make_unique<Flow>(app, peer)
                        : std::make_unique<Flow>(peer, app));
  }
  const Charged before = ReadCharged();

  std::array<std::vector<double>, kVariants> rates;
  std::array<std::vector<double>, kVariants> rate_ratios;
  std::array<std::vector<double>, kVariants> cpu_ratios;
  int rounds = 0;
  const auto one_round = [&] {
    std::array<double, kVariants> wall{};
    std::array<double, kVariants> cpu{};
    for (size_t step = 0; step < kVariants; ++step) {
      const size_t variant = (step + static_cast<size_t>(rounds)) % kVariants;
      const Flow& flow = *flows[variant];
      const auto used = [&flow] {
        return ProcessorSeconds(*flow.sender) +
               ProcessorSeconds(*flow.receiver);
      };
      const double cpu_before = used();
      const double begin = SecondsOn(CLOCK_MONOTONIC);
      flow.Run();
      wall[variant] = SecondsOn(CLOCK_MONOTONIC) - begin;
      cpu[variant] = used() - cpu_before;
      rates[variant].push_back(static_cast<double>(flow.Units()) /
                               wall[variant]);
    }
    for (size_t variant = kNone + 1; variant < kVariants; ++variant) {
      rate_ratios[variant].push_back(wall[kNone] / wall[variant]);
      cpu_ratios[variant].push_back(cpu[variant] / cpu[kNone]);
    }
    ++rounds;
  };
  for (auto _ : state) one_round();
  while (rounds < kRounds) one_round();

  const Charged after = ReadCharged();
  if (after.skbs == before.skbs) {
    state.SkipWithError("netpolicy has charged nothing");
    return;
  }
  state.counters["slow_path_share"] =
      static_cast<double>(after.slow_path - before.slow_path) /
      static_cast<double>(after.skbs - before.skbs);
  for (size_t i = 0; i < kVariants; ++i) {
    state.counters[absl::StrCat(kVariantNames[i], "_per_second")] =
        Median(rates[i]);
    if (i == kNone) continue;
    state.counters[absl::StrCat(kVariantNames[i], "_rate_ratio")] =
        Median(rate_ratios[i]);
    state.counters[absl::StrCat(kVariantNames[i], "_cpu_ratio")] =
        Median(cpu_ratios[i]);
  }
  state.counters["rounds"] = rounds;
}

template <typename Flow>
void Register(const char* name, AppIs app_is) {
  benchmark::RegisterBenchmark(name, [app_is](benchmark::State& state) {
    Compare<Flow>(state, app_is);
  })->Unit(benchmark::kMillisecond);
}

int Main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  Register<Datagrams>("end_to_end/udp_send", AppIs::kSender);
  Register<Datagrams>("end_to_end/udp_receive", AppIs::kReceiver);
  Register<Stream>("end_to_end/tcp_send", AppIs::kSender);
  Register<Stream>("end_to_end/tcp_receive", AppIs::kReceiver);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace
}  // namespace netpolicy

int main(int argc, char** argv) { return netpolicy::Main(argc, argv); }
