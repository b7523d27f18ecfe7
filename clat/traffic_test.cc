// SPDX-License-Identifier: Apache-2.0

// Real programs across a real NAT64 (clat/testing/testbed.h).

#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "bpf_progs/abi/clat.h"
#include "clat/direct.h"
#include "clat/testing/testbed.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/test_environment.h"

namespace netpolicy::clat {
namespace {

using netpolicy::testing::BpfFs;
using netpolicy::testing::IsOk;
using netpolicy::testing::IsOkAndHolds;
using netpolicy::testing::NetNamespace;
using netpolicy::testing::ScopedNetns;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::Testbed;
using testing::UplinkKind;

class TrafficTest : public ::testing::TestWithParam<UplinkKind> {
 protected:
  void SetUp() override {
    if (auto missing = netpolicy::testing::MissingForBpfTests()) {
      GTEST_SKIP() << *missing;
    }
    if (auto missing = Testbed::MissingPlat()) GTEST_SKIP() << *missing;
    auto bed = Testbed::Create(GetParam());
    ASSERT_THAT(bed, IsOk());
    bed_ = std::make_unique<Testbed>(*std::move(bed));
    ASSERT_THAT(bed_->StartPlat(), IsOk());
    auto bpffs = BpfFs::Mount();
    ASSERT_THAT(bpffs, IsOk());
    bpffs_ = std::make_unique<BpfFs>(*std::move(bpffs));
    Translate({.prefix = *Pref64::Parse(Testbed::kPrefix)});
  }

  // Translates on the uplink from now on, without anybody who looks after it.
  void Translate(const UplinkSettings& settings) {
    auto inside = ScopedNetns::Enter(bed_->host());
    ASSERT_THAT(inside, IsOk());
    ASSERT_THAT(DirectClat(bpffs_->path() + "/clat").Start("eth0", settings),
                IsOk());
  }

  absl::StatusOr<std::string> Host(const std::string& command) {
    return Testbed::Shell(bed_->host(), command);
  }

  std::unique_ptr<Testbed> bed_;
  std::unique_ptr<BpfFs> bpffs_;
};

struct Row {
  const char* description;
  // In the server's namespace, for the length of the test; "" for none.
  const char* server;
  const char* command;  // on the host
  const char* expected;
};

// Sends a datagram to an echo server; says whether it came back as it was.
#define UDP_ECHO(size, options)                     \
  "python3 -c 'import os,socket\n"                  \
  "s=socket.socket(2,2)\n"                          \
  "s.settimeout(1)\n" options "d=os.urandom(" #size \
  ")\n"                                             \
  "for i in range(10):\n"                           \
  "  try:\n"                                        \
  "    s.sendto(d,(\"203.0.113.2\",7))\n"           \
  "    print(s.recvfrom(65535)[0]==d)\n"            \
  "    break\n"                                     \
  "  except socket.timeout: pass\n'"

// Its server takes a moment to start.
#define IPERF3(options)                            \
  "for i in 1 2 3 4 5 6 7 8 9; do iperf3 " options \
  " && break; sleep 0.3; "                         \
  "done"

constexpr char kUdpEcho[] = "exec socat -b65535 UDP4-RECVFROM:7,fork PIPE";

const Row kRows[] = {
    {"ping", "", "ping -c 3 -i 0.1 -W 2 203.0.113.2", " 0% packet loss"},
    // The NAT64 splits answers that are longer and may be split (RFC
    // 7915, 4.1), and what is split of ICMP is not translated (5.2).
    {"ping, as long as its answer comes in one piece", "",
     "ping -c 3 -i 0.1 -W 2 -M do -s 1232 203.0.113.2", " 0% packet loss"},
    {"HTTP", "cd / && exec python3 -m http.server 80",
     "curl -s --retry 20 --retry-delay 1 --retry-connrefused "
     "http://203.0.113.2/",
     "Directory listing"},
    {"iperf3, TCP up", "exec iperf3 -s -1", IPERF3("-c 203.0.113.2 -t 1"),
     "receiver"},
    {"iperf3, TCP down", "exec iperf3 -s -1", IPERF3("-c 203.0.113.2 -t 1 -R"),
     "receiver"},
    {"iperf3, UDP up", "exec iperf3 -s -1",
     IPERF3("-c 203.0.113.2 -t 1 -u -b 5M -l 1200"), " receiver"},
    {"iperf3, UDP down", "exec iperf3 -s -1",
     IPERF3("-c 203.0.113.2 -t 1 -u -b 5M -l 1200 -R"), " receiver"},
    {"UDP, one byte", kUdpEcho, UDP_ECHO(1, ""), "True"},
    {"UDP, 3000 bytes in fragments", kUdpEcho, UDP_ECHO(3000, ""), "True"},
    {"UDP, 20000 bytes in fragments", kUdpEcho, UDP_ECHO(20000, ""), "True"},
    {"UDP without a checksum", kUdpEcho,
     UDP_ECHO(100, "s.setsockopt(1,11,1)\n"), "True"},
    {"traceroute by UDP", "", "traceroute -n -q 1 -w 2 203.0.113.2",
     " 203.0.113.2 "},
    {"traceroute by ICMP", "", "traceroute -I -n -q 1 -w 2 203.0.113.2",
     " 203.0.113.2 "},
    {"a router that has no IPv4 address is 192.0.0.8 (RFC 7600)", "",
     "traceroute -n -q 1 -w 2 -m 2 203.0.113.2", " 2  192.0.0.8 "},
    {"a closed port", "", "curl -s -m 5 http://203.0.113.2:81/ || echo code $?",
     "code 7"},
    {"a protocol without ports",
     "exec python3 -c 'import socket\n"
     "s=socket.socket(2,3,253)\n"
     "d,a=s.recvfrom(2000)\n"
     "s.sendto(d[20:],a)'",
     "python3 -c 'import socket\n"
     "s=socket.socket(2,3,253)\n"
     "s.settimeout(1)\n"
     "for i in range(10):\n"
     "  try:\n"
     "    s.sendto(b\"as it is\",(\"203.0.113.2\",0))\n"
     "    print(s.recvfrom(2000)[0][20:])\n"
     "    break\n"
     "  except socket.timeout: pass\n'",
     "as it is"},
    {"hundreds of connections at once",
     "exec socat TCP4-LISTEN:7,fork,backlog=400 PIPE",
     "sleep 1; python3 -c '\n"
     "import socket\n"
     "all=[socket.create_connection((\"203.0.113.2\",7),10) for i in "
     "range(200)]\n"
     "for i,s in enumerate(all): s.sendall(b\"%05d\" % i * 1000)\n"
     "def read(s,n):\n"
     "  d=b\"\"\n"
     "  while len(d)<n: d+=s.recv(n)\n"
     "  return d\n"
     "print(all and [read(s,5000)[:5] for s in all]==[b\"%05d\" % i for i in "
     "range(200)])'",
     "True"},
};

TEST_P(TrafficTest, EveryRow) {
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.description);
    std::optional<netpolicy::testing::ChildProcess> server;
    const std::string log = bed_->scratch().File("log");
    if (*row.server != '\0') {
      auto started = testing::StartProgram(bed_->server(),
                                           {"/bin/sh", "-c", row.server}, log);
      ASSERT_THAT(started, IsOk());
      server.emplace(*std::move(started));
    }
    EXPECT_THAT(Host(row.command), IsOkAndHolds(HasSubstr(row.expected)))
        << testing::ReadFile(log);
  }
}

// Sums of what is sent in either direction, over TCP.
constexpr char kTransfer[] =
    "again=retry=30,interval=0.2; rm -f $dir/done; "
    "head -c 8000000 /dev/urandom > $dir/file && "
    "a=$(sha256sum < $dir/file) && "
    "socat -t 10 -u FILE:$dir/file TCP4:203.0.113.2:9,$again && "
    "for i in $(seq 100); do [ -e $dir/done ] && break; sleep 0.1; done; "
    "b=$(sha256sum < $dir/received) && "
    "c=$(socat -u TCP4:203.0.113.2:10,$again - | sha256sum) && "
    "[ \"$a\" = \"$b\" ] && [ \"$a\" = \"$c\" ] && echo same";

struct LinkRow {
  const char* description;
  const char* host;    // commands on the host beforehand
  const char* router;  // and on the router
  const char* server;
};

const LinkRow kLinks[] = {
    {"as they are", "", "", ""},
    {"a hop of 1400 bytes behind the NAT64", "", "ip link set up0 mtu 1400",
     "ip link set eth0 mtu 1400"},
    {"a hop of 1280 bytes behind the NAT64", "", "ip link set up0 mtu 1280",
     "ip link set eth0 mtu 1280"},
    {"a link of 1280 bytes to the host", "ip link set eth0 mtu 1280",
     "ip link set down0 mtu 1280; ip link set up0 mtu 1500",
     "ip link set eth0 mtu 1500"},
    {"a link of 1400 bytes to the host", "ip link set eth0 mtu 1400",
     "ip link set down0 mtu 1400", ""},
};

class TransferTest : public TrafficTest {
 protected:
  absl::StatusOr<std::string> Transfer() {
    const std::string dir = absl::StrCat("dir=", bed_->scratch().path(), "; ");
    // Is opened before somebody takes it.
    auto made = testing::WriteFile(bed_->scratch().File("file"), "");
    if (!made.ok()) return made;
    auto serve = [&](absl::string_view command) {
      return testing::StartProgram(
          bed_->server(), {"/bin/sh", "-c", absl::StrCat(dir, command)},
          bed_->scratch().File("log"));
    };
    auto take = serve(
        "socat -u TCP4-LISTEN:9,reuseaddr CREATE:$dir/received; touch "
        "$dir/done");
    auto give = serve("exec socat -u FILE:$dir/file TCP4-LISTEN:10,reuseaddr");
    if (!take.ok()) return take.status();
    if (!give.ok()) return give.status();
    return Host(absl::StrCat(dir, kTransfer));
  }
};

TEST_P(TransferTest, FilesArriveAsTheyWereOverLinksOfAnySize) {
  for (const LinkRow& row : kLinks) {
    SCOPED_TRACE(row.description);
    if (*row.host != '\0') {
      ASSERT_THAT(Host(row.host), IsOk());
    }
    if (*row.router != '\0') {
      ASSERT_THAT(Testbed::Shell(bed_->router(), row.router), IsOk());
    }
    if (*row.server != '\0') {
      ASSERT_THAT(Testbed::Shell(bed_->server(), row.server), IsOk());
    }
    // The route's MTU follows the link's.
    Translate({.prefix = *Pref64::Parse(Testbed::kPrefix)});
    EXPECT_THAT(Transfer(), IsOkAndHolds(HasSubstr("same")));
  }
}

TEST_P(TransferTest, SuperPacketsStayWholeAndTheirPiecesAreTheSame) {
  using netpolicy::testing::Offload;
  using netpolicy::testing::Toggle;
  auto before = bed_->host().Counters("eth0");
  ASSERT_THAT(before, IsOk());
  EXPECT_THAT(Transfer(), IsOkAndHolds(HasSubstr("same")));
  auto after = bed_->host().Counters("eth0");
  ASSERT_THAT(after, IsOk());
  // Of 8 MB that went out, and acknowledgements of what came in.
  const uint64_t packets = after->tx_packets - before->tx_packets;
  const uint64_t bytes = after->tx_bytes - before->tx_bytes;
  EXPECT_GT(bytes, 8000000u);
  RecordProperty("bytes_per_skb", std::to_string(bytes / packets));
  EXPECT_LT(packets, 8000000u / 1432u) << "segments would be as many";

  for (Offload offload : {Offload::kTso, Offload::kGso, Offload::kGro}) {
    ASSERT_THAT(bed_->host().SetOffload("eth0", offload, Toggle::kOff), IsOk());
  }
  EXPECT_THAT(Transfer(), IsOkAndHolds(HasSubstr("same")));
}

TEST_P(TrafficTest, HostsBehindMasquerading) {
  ASSERT_THAT(bed_->AddLan(), IsOk());
  ASSERT_THAT(Host("nft 'table ip nat { chain post { type nat hook postrouting "
                   "priority srcnat; oifname eth0 masquerade; }; }'"),
              IsOk());
  EXPECT_THAT(Testbed::Shell(bed_->lan(), "ping -c 3 -i 0.1 -W 2 203.0.113.2"),
              IsOkAndHolds(HasSubstr(" 0% packet loss")));
  ASSERT_THAT(
      bed_->Serve(bed_->server(),
                  {"/bin/sh", "-c", "cd / && exec python3 -m http.server 80"}),
      IsOk());
  EXPECT_THAT(
      Testbed::Shell(bed_->lan(),
                     "curl -s --retry 20 --retry-delay 1 --retry-connrefused "
                     "http://203.0.113.2/"),
      IsOkAndHolds(HasSubstr("Directory listing")));
}

TEST_P(TrafficTest, Rfc7757HostsWithAddressesOfTheirOwn) {
  ASSERT_THAT(bed_->AddLan(), IsOk());
  ASSERT_THAT(Testbed::Shell(bed_->router(),
                             "ip -6 route add 2001:db8:9::/64 via "
                             "2001:db8:1::2"),
              IsOk());
  Translate({.prefix = *Pref64::Parse(Testbed::kPrefix),
             .mappings = {{*Ipv4Prefix::Parse("10.9.0.0/24"),
                           *Ipv6Prefix::Parse("2001:db8:9::/120")}}});
  EXPECT_THAT(Testbed::Shell(bed_->lan(), "ping -c 3 -i 0.1 -W 2 203.0.113.2"),
              IsOkAndHolds(HasSubstr(" 0% packet loss")));
  EXPECT_THAT(Host("ping -c 3 -i 0.1 -W 2 203.0.113.2"),
              IsOkAndHolds(HasSubstr(" 0% packet loss")))
      << "the host itself";
}

TEST_P(TrafficTest, Rfc6877ANetworkThatIsRoutedToUs) {
  ASSERT_THAT(Testbed::Shell(bed_->router(),
                             "ip -6 route add 2001:db8:9::/64 via "
                             "2001:db8:1::2"),
              IsOk());
  Translate({.prefix = *Pref64::Parse(Testbed::kPrefix),
             .network6 = *Ipv6Prefix::Parse("2001:db8:9::/64")});
  EXPECT_THAT(Host("ping -c 3 -i 0.1 -W 2 203.0.113.2"),
              IsOkAndHolds(HasSubstr(" 0% packet loss")));
}

TEST_P(TrafficTest, StoppingLeavesNothingBehind) {
  const std::string look =
      "ip -4 addr show dev eth0; ip -6 addr show dev eth0 scope global; "
      "ip route; ip -6 route | grep -v fe80; tc filter show dev eth0 egress";
  auto inside = ScopedNetns::Enter(bed_->host());
  ASSERT_THAT(inside, IsOk());
  DirectClat clat(bpffs_->path() + "/clat");
  auto translating = Host(look);
  ASSERT_THAT(translating, IsOk());
  ASSERT_THAT(clat.Stop("eth0"), IsOk());
  auto stopped = Host(look);
  ASSERT_THAT(stopped, IsOk());
  EXPECT_NE(*translating, *stopped);
  EXPECT_THAT(*stopped, Not(HasSubstr("192.0.0.")));
  EXPECT_THAT(*stopped, Not(HasSubstr("deprecated")));
  EXPECT_THAT(Host("test ! -e " + bpffs_->path() + "/clat"), IsOk());
  EXPECT_THAT(clat.Uplinks(), IsOkAndHolds(::testing::IsEmpty()));
  ASSERT_THAT(clat.Start("eth0", {.prefix = *Pref64::Parse(Testbed::kPrefix)}),
              IsOk());
  const auto translated = [&] {
    return clat.Uplinks()
        ->at(0)
        .translation->counters.outcomes[NP_CLAT_TRANSLATED_46];
  };
  EXPECT_EQ(translated(), 0u) << "begins at 0";
  EXPECT_THAT(Host("ping -c 3 -i 0.1 -W 2 203.0.113.2"),
              IsOkAndHolds(HasSubstr(" 0% packet loss")));
  EXPECT_GE(translated(), 3u);
}

TEST_P(TrafficTest, TheNat64MovesUnderTraffic) {
  auto ping = testing::StartProgram(
      bed_->host(), {"/usr/bin/ping", "-i", "0.2", "-w", "15", "203.0.113.2"},
      bed_->scratch().File("ping"));
  ASSERT_THAT(ping, IsOk());
  ASSERT_THAT(bed_->StartPlat("2001:db8:65::/96"), IsOk());
  Translate({.prefix = *Pref64::Parse("2001:db8:65::/96")});
  EXPECT_THAT(Host("ping -c 3 -i 0.1 -W 2 203.0.113.2"),
              IsOkAndHolds(HasSubstr(" 0% packet loss")));
}

INSTANTIATE_TEST_SUITE_P(Uplink, TrafficTest,
                         ::testing::Values(UplinkKind::kEthernet,
                                           UplinkKind::kRawIp),
                         testing::UplinkKindName);
INSTANTIATE_TEST_SUITE_P(Uplink, TransferTest,
                         ::testing::Values(UplinkKind::kEthernet,
                                           UplinkKind::kRawIp),
                         testing::UplinkKindName);

}  // namespace
}  // namespace netpolicy::clat
