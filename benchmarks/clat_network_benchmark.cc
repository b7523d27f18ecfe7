// SPDX-License-Identifier: Apache-2.0
//
// What does an application notice of translation? Real sockets over one veth
// pair: native IPv6, IPv4 through ours, IPv4 through Debian's tayga, in turn.
// See README.md.

#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <new>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "benchmarks/measure.h"
#include "clat/address.h"
#include "clat/direct.h"
#include "clat/prefix.h"
#include "clat/testing/program.h"
#include "clat/testing/testbed.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/testing/endpoint.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/process.h"
#include "libpolicy/testing/test_environment.h"

namespace netpolicy {
namespace {

using clat::testing::RunProgram;
using clat::testing::Testbed;
using testing::ChildProcess;
using testing::Endpoint;
using testing::IpAddress;
using testing::NetNamespace;

// The peer has the IPv6 addresses that the IPv4 ones are translated to, so that
// nothing but the translator in question is in the way.
struct Variant {
  const char* name;
  const char* address;
  const char* peer;  // what the peer has it as
  std::string host;  // what the peer has the host as
};
std::array<Variant, 3> variants = {
    {{"native", Testbed::kRouter6, Testbed::kRouter6, Testbed::kHost6},
     {"ours", "203.0.113.2", "2001:db8:64::cb00:7102", ""},
     {"tayga", "203.0.113.3", "2001:db8:64::cb00:7103", "2001:db8:1::64"}}};

constexpr uint16_t kEchoPort = 7;
constexpr uint16_t kCountPort = 9;
constexpr int kRequests = 3000;

// tayga as the translator of the host, for one of the peer's addresses.
void SetUpTayga(Testbed& bed) {
  const std::string config = bed.scratch().File("clat.conf");
  Require(clat::testing::WriteFile(
      config, absl::StrCat("tun-device clat\n"
                           "ipv4-addr 192.168.254.1\n"
                           "prefix ",
                           Testbed::kPrefix,
                           "\nipv6-addr 2001:db8:1::63\n"
                           "map 192.168.254.2 2001:db8:1::64\n"
                           "data-dir ",
                           bed.scratch().path(), "\n")));
  Require(Testbed::Shell(
      bed.host(),
      absl::StrCat("/usr/sbin/tayga --config ", config,
                   " --mktun && ip link set clat up && "
                   "ip addr add 192.168.254.2/32 dev clat && "
                   "ip route add 203.0.113.3 dev clat src 192.168.254.2 && "
                   "ip -6 route add 2001:db8:1::64 dev clat && "
                   "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding")));
  Require(bed.Serve(bed.host(), {"/usr/sbin/tayga", "--config", config, "-d"}));
  Require(Testbed::Shell(bed.router(), absl::StrCat("ip -6 route add "
                                                    "2001:db8:1::64 via ",
                                                    Testbed::kHost6)));
}

// Bits a second, as iperf3 says.
double Iperf(const Testbed& bed, const Variant& variant,
             const std::string& options) {
  const auto result =
      Require(RunProgram(bed.host(),
                         {"/bin/sh", "-c",
                          absl::StrCat("iperf3 -J -t 1 -O 0.2 -c ",
                                       variant.address, " ", options)},
                         absl::Seconds(30)));
  const auto json =
      nlohmann::json::parse(result.output, nullptr, /*allow_exceptions=*/false);
  if (result.exit_code != 0 || json.is_discarded()) {
    fprintf(stderr, "iperf3 %s %s: %s\n", variant.name, options.c_str(),
            result.output.c_str());
    exit(1);
  }
  return json["end"]["sum_received"]["bits_per_second"];
}

// Datagrams that Count() has received, in memory that both processes see.
std::atomic<uint64_t>* received = nullptr;

UniqueFd ListenOn(const char* address, uint16_t port) {
  UniqueFd fd(socket(AF_INET6, SOCK_DGRAM, 0));
  sockaddr_storage own;
  const socklen_t size = Endpoint{address, port}.ToSockaddr(&own);
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&own), size) != 0) {
    perror("bind");
    exit(1);
  }
  return fd;
}

int Count() {
  const UniqueFd fd = ListenOn("::", kCountPort);
  char data[2048];
  while (true) {
    if (recv(fd.get(), data, sizeof(data), 0) > 0) ++*received;
  }
}

// Answers have to come from the address that was asked.
int Echo(const Variant& variant) {
  const UniqueFd listener = ListenOn(variant.peer, kEchoPort);
  const int fd = listener.get();
  while (true) {
    char data[64];
    sockaddr_in6 from;
    socklen_t size = sizeof(from);
    const ssize_t got = recvfrom(fd, data, sizeof(data), 0,
                                 reinterpret_cast<sockaddr*>(&from), &size);
    if (got >= 0) {
      (void)sendto(fd, data, static_cast<size_t>(got), 0,
                   reinterpret_cast<sockaddr*>(&from), size);
    }
  }
}

// A socket in `ns` that is connected, from any address when `from` is "".
UniqueFd Connect(const NetNamespace& ns, const std::string& from,
                 const std::string& to, uint16_t port) {
  const IpAddress address = Require(IpAddress::Parse(to));
  UniqueFd fd = Require(ns.OpenSocket(address.family(), SOCK_DGRAM));
  const timeval patience = {.tv_sec = 2, .tv_usec = 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  sockaddr_storage end;
  if (!from.empty()) {
    const socklen_t size =
        Endpoint{Require(IpAddress::Parse(from)), 0}.ToSockaddr(&end);
    if (bind(fd.get(), reinterpret_cast<sockaddr*>(&end), size) != 0) {
      perror("bind");
      exit(1);
    }
  }
  const socklen_t size = Endpoint{address, port}.ToSockaddr(&end);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&end), size) != 0) {
    perror("connect");
    exit(1);
  }
  return fd;
}

// Sends for so many seconds. Returns for how many it was.
double Send(int fd, const std::string& data, double seconds) {
  const double start = SecondsOn(CLOCK_MONOTONIC);
  double now = start;
  while (now < start + seconds) {
    for (int i = 0; i < 20; ++i) {
      // What does not fit is what the figure is about.
      (void)!send(fd, data.data(), data.size(), 0);
    }
    now = SecondsOn(CLOCK_MONOTONIC);
  }
  return now - start;
}

// Datagrams a second that arrive, out of as many as one process can send. For a
// short time, as what else a machine does changes by the second.
double Datagrams(const Variant& variant, const UniqueFd& fd, size_t size) {
  const std::string data(size, 'x');
  Send(fd.get(), data, 0.01);  // until queues are as they stay
  const uint64_t before = *received;
  const double seconds = Send(fd.get(), data, 0.05);
  const double rate = static_cast<double>(*received - before) / seconds;
  // What is queued is not the next one's.
  absl::SleepFor(absl::Milliseconds(20));
  if (rate == 0) {
    fprintf(stderr, "%s: no datagram arrives\n", variant.name);
    exit(1);
  }
  return rate;
}

// The median time of a request and its answer, in microseconds.
double RoundTrip(const Testbed& bed, const Variant& variant) {
  const UniqueFd fd = Connect(bed.host(), "", variant.address, kEchoPort);
  std::vector<double> times;
  for (int i = 0; i < kRequests; ++i) {
    char data = 'x';
    const double start = SecondsOn(CLOCK_MONOTONIC);
    if (send(fd.get(), &data, 1, 0) != 1 || recv(fd.get(), &data, 1, 0) != 1) {
      fprintf(stderr, "%s: no answer\n", variant.name);
      exit(1);
    }
    times.push_back((SecondsOn(CLOCK_MONOTONIC) - start) * 1e6);
  }
  return Median(std::move(times));
}

struct Question {
  const char* name;
  const char* unit;
  int turns;  // of each variant in a round
  std::function<double(const Testbed&, const Variant&)> measure;
};

std::vector<Question> Questions() {
  const auto iperf = [](const char* options) {
    return [=](const Testbed& bed, const Variant& variant) {
      return Iperf(bed, variant, options);
    };
  };
  const auto datagrams = [](size_t size) {
    return [=](const Testbed& bed, const Variant& variant) {
      return Datagrams(
          variant, Connect(bed.host(), "", variant.address, kCountPort), size);
    };
  };
  const auto to_host = [](size_t size) {
    return [=](const Testbed& bed, const Variant& variant) {
      return Datagrams(
          variant,
          Connect(bed.router(), variant.peer, variant.host, kCountPort), size);
    };
  };
  return {{"tcp_send", "bit/s", 1, iperf("")},
          {"tcp_receive", "bit/s", 1, iperf("-R")},
          {"tcp_send_4_streams", "bit/s", 1, iperf("-P 4")},
          {"udp_64_bytes", "packet/s", 10, datagrams(64)},
          {"udp_64_bytes_receive", "packet/s", 10, to_host(64)},
          {"udp_1400_bytes", "packet/s", 10, datagrams(1400)},
          {"udp_round_trip", "us", 1, RoundTrip}};
}

int Main(int argc, char** argv) {
  int rounds = 5;
  std::string out;
  CLI::App app("Measures native IPv6, our translation and tayga in turn.");
  app.add_option("--rounds", rounds, "of everything (default: 5)")
      ->check(CLI::Range(1, 1000));
  std::string only;
  app.add_option("--only", only, "the name of a row (default: all)")
      ->check([](const std::string& name) {
        for (const Question& question : Questions()) {
          if (name == question.name) return std::string();
        }
        return "there is no row " + name;
      });
  app.add_option("--out", out, "file to write JSON to");
  CLI11_PARSE(app, argc, argv);
  if (const auto missing = Testbed::MissingPlat()) {
    fprintf(stderr, "%s\n", missing->c_str());
    return 1;
  }

  Testbed bed = Require(Testbed::Create());
  for (size_t i = 1; i < variants.size(); ++i) {
    Require(Testbed::Shell(bed.router(),
                           absl::StrCat("ip -6 addr add ", variants[i].peer,
                                        "/128 dev down0 nodad")));
  }
  SetUpTayga(bed);
  auto bpffs = Require(testing::BpfFs::Mount());
  {
    const auto inside = Require(testing::ScopedNetns::Enter(bed.host()));
    clat::DirectClat clat(bpffs.path() + "/clat");
    Require(
        clat.Start("eth0", {.prefix = *clat::Pref64::Parse(Testbed::kPrefix)}));
    variants[1].host =
        Require(clat.Uplinks()).at(0).translation->pair.ip6.ToString();
  }
  Require(bed.Serve(bed.router(), {"/usr/bin/iperf3", "-s"}));
  std::vector<ChildProcess> echoes;
  for (const Variant& variant : variants) {
    echoes.push_back(Require(ChildProcess::Start(
        {.netns = bed.router().fd()}, [&] { return Echo(variant); })));
  }
  void* shared = mmap(nullptr, sizeof(*received), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) {
    perror("mmap");
    return 1;
  }
  received = new (shared) std::atomic<uint64_t>(0);
  const auto count =
      Require(ChildProcess::Start({.netns = bed.router().fd()}, Count));
  const auto count_on_host =
      Require(ChildProcess::Start({.netns = bed.host().fd()}, Count));
  absl::SleepFor(absl::Seconds(1));

  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  printf("%-20s %12s %12s %12s %12s %12s  %s\n", "", "native", "ours", "tayga",
         "ours/native", "ours/tayga", "unit");
  for (const Question& question : Questions()) {
    if (!only.empty() && only != question.name) continue;
    std::array<std::vector<double>, variants.size()> values;
    std::vector<double> by_native, by_tayga;
    for (int turn = 0; turn < rounds * question.turns; ++turn) {
      // In an order that changes.
      for (size_t i = 0; i < variants.size(); ++i) {
        const size_t which = (i + static_cast<size_t>(turn)) % variants.size();
        values[which].push_back(question.measure(bed, variants[which]));
      }
      by_native.push_back(values[1].back() / values[0].back());
      by_tayga.push_back(values[1].back() / values[2].back());
    }
    nlohmann::ordered_json row = {{"name", question.name},
                                  {"unit", question.unit}};
    printf("%-20s", question.name);
    for (size_t i = 0; i < variants.size(); ++i) {
      row[variants[i].name] = Median(values[i]);
      printf(" %12.4g", Median(values[i]));
    }
    row["ours_by_native"] = Median(by_native);
    row["ours_by_tayga"] = Median(by_tayga);
    printf(" %12.3f %12.3f  %s\n", Median(by_native), Median(by_tayga),
           question.unit);
    fflush(stdout);
    results.push_back(std::move(row));
  }
  if (out.empty()) return 0;
  const nlohmann::ordered_json document = {
      {"version", 1}, {"rounds", rounds}, {"results", std::move(results)}};
  Require(clat::testing::WriteFile(out, document.dump(2) + "\n"));
  return 0;
}

}  // namespace
}  // namespace netpolicy

int main(int argc, char** argv) { return netpolicy::Main(argc, argv); }
