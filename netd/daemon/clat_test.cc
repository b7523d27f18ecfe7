// SPDX-License-Identifier: Apache-2.0
//
// The real netd translates, by what its configuration says and by what the real
// ndc asks for, with the privileges that it keeps; and packets don't need it.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "clat/prefix.h"
#include "clat/testing/fake_router.h"
#include "clat/testing/testbed.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/process.h"
#include "libpolicy/testing/status_matchers.h"
#include "netd/daemon/netd_process.h"

namespace netpolicy::testing {
namespace {

using clat::testing::Testbed;
using ::testing::HasSubstr;
using ::testing::Not;

class NetdClatTest : public NetdFixture {
 protected:
  void SetUp() override {
    if (auto missing = Testbed::MissingPlat()) GTEST_SKIP() << *missing;
    NetdFixture::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    auto bed = Testbed::Create();
    ASSERT_THAT(bed, IsOk());
    bed_ = std::make_unique<Testbed>(*std::move(bed));
    ASSERT_THAT(bed_->StartPlat(), IsOk());
  }

  NetdProcess::Options Inside(std::vector<std::string> more) {
    NetdProcess::Options options = With(std::move(more));
    options.child.netns = bed_->host().fd();
    return options;
  }

  std::string Ndc(const std::string& arguments) {
    auto result = clat::testing::RunProgram(
        bed_->host(),
        {"/bin/sh", "-c",
         absl::StrCat("netd/cli/ndc --socket ", Socket(), " ", arguments)},
        absl::Seconds(20));
    return result.ok() ? result->output
                       : std::string(result.status().message());
  }

  // Until ndc says so.
  bool StatusSays(const std::string& text) {
    const absl::Time end = absl::Now() + absl::Seconds(15);
    while (absl::Now() < end) {
      if (Ndc("clat status").find(text) != std::string::npos) return true;
      absl::SleepFor(absl::Milliseconds(100));
    }
    return false;
  }

  void ExpectPing() {
    EXPECT_THAT(
        Testbed::Shell(bed_->host(), "ping -c 3 -i 0.1 -W 2 203.0.113.2"),
        IsOkAndHolds(HasSubstr(" 0% packet loss")));
  }

  // What ndc says after this name.
  static std::string After(const std::string& text, const std::string& name) {
    const size_t start = text.find(name);
    if (start == std::string::npos) return "";
    return text.substr(start, text.find('\n', start) - start);
  }

  std::unique_ptr<Testbed> bed_;
};

TEST_F(NetdClatTest, FollowsRoutersAndIsNotNeededForPackets) {
  auto netd = StartReady(Inside({"--clat-interfaces", "eth*"}));
  ASSERT_NE(netd, nullptr);
  ASSERT_TRUE(StatusSays("eth0 (automatic): off"));
  ASSERT_THAT(clat::testing::Advertise(
                  bed_->router(), "down0",
                  {.router_lifetime = absl::ZeroDuration(),
                   .nat64 = {{*clat::Pref64::Parse(Testbed::kPrefix)}}}),
              IsOk());
  ASSERT_TRUE(StatusSays("eth0 (automatic): translates")) << netd->Output();
  EXPECT_THAT(netd->Output(), HasSubstr("event=clat_on interface=eth0"));
  EXPECT_THAT(netd->Output(), HasSubstr("capabilities=net_admin,bpf"));
  ExpectPing();
  EXPECT_THAT(Ndc("clat discover eth0"), HasSubstr(Testbed::kPrefix));
  const std::string addresses = After(Ndc("clat status"), "addresses");
  EXPECT_THAT(addresses, HasSubstr("192.0.0.1"));

  netd->Kill();
  ExpectPing();
  netd = StartReady(Inside({"--clat-interfaces", "eth*"}));
  ASSERT_NE(netd, nullptr);
  ASSERT_TRUE(StatusSays("eth0 (automatic): translates")) << netd->Output();
  EXPECT_EQ(After(Ndc("clat status"), "addresses"), addresses);
  ExpectPing();

  // Somebody follows what happens from here on.
  const std::string watched = bed_->scratch().File("watched");
  auto watch = clat::testing::StartProgram(
      bed_->host(),
      {"/bin/sh", "-c",
       absl::StrCat("exec netd/cli/ndc --socket ", Socket(),
                    " clat watch --count 2")},
      watched);
  ASSERT_THAT(watch, IsOk());
  absl::SleepFor(absl::Seconds(1));

  ASSERT_THAT(Testbed::Shell(bed_->host(),
                             "ip addr add 10.7.0.1/24 dev eth0 && "
                             "ip route add default via 10.7.0.2"),
              IsOk());
  EXPECT_TRUE(StatusSays("off, the link has IPv4 itself")) << netd->Output();
  EXPECT_THAT(netd->Output(), HasSubstr("event=clat_off interface=eth0"));
  ASSERT_THAT(Testbed::Shell(bed_->host(), "ip route del default via 10.7.0.2"),
              IsOk());
  EXPECT_TRUE(StatusSays("eth0 (automatic): translates")) << netd->Output();
  ExpectPing();
  absl::SleepFor(absl::Milliseconds(500));
  EXPECT_THAT(clat::testing::ReadFile(watched),
              ::testing::MatchesRegex(
                  "[^\n]*Z  eth0  off  the link has IPv4 itself"
                  "(; [0-9]+ connections? ended)?\n"
                  "[^\n]*Z  eth0  on  prefix=2001:db8:64::/96 [^\n]*\n"));
  Stop(*netd);
}

TEST_F(NetdClatTest, StartsAndStopsAsAsked) {
  auto netd = StartReady(Inside({"--clat-interfaces", ""}));
  ASSERT_NE(netd, nullptr);
  EXPECT_EQ(Ndc("clat status"), "no uplink is looked after\n");
  EXPECT_EQ(Ndc(absl::StrCat("clat start eth0 --prefix ", Testbed::kPrefix,
                             " --local4 192.0.0.6")),
            "");
  ASSERT_TRUE(StatusSays("eth0 (asked): translates")) << netd->Output();
  ExpectPing();
  EXPECT_THAT(Ndc("clat status"), HasSubstr("192.0.0.6 = "));
  EXPECT_EQ(Ndc("clat stop eth0"), "");
  EXPECT_EQ(Ndc("clat status"), "no uplink is looked after\n");
  EXPECT_THAT(Ndc("clat stop eth0"),
              HasSubstr("ndc: stop translation on eth0"));
  EXPECT_EQ(Ndc(absl::StrCat("clat start eth0 --prefix ", Testbed::kPrefix)),
            "");
  ASSERT_TRUE(StatusSays("eth0 (asked): translates")) << netd->Output();
  Stop(*netd);
  ExpectPing();

  EXPECT_EQ(Run(Inside({"--detach"})).code, 0);
  EXPECT_THAT(Testbed::Shell(bed_->host(), "ip addr; ip route"),
              IsOkAndHolds(Not(HasSubstr("192.0.0."))));
}

// Rules and counters are where the application's socket is: before translation
// out, and behind it in.
TEST_F(NetdClatTest, RulesAndCountersSeeIpv4) {
  constexpr uid_t kAllowed = 10007;
  constexpr uid_t kDenied = 10008;
  auto netd = StartReady(
      Inside({"--clat-interfaces", "eth*", "--clat-prefix", Testbed::kPrefix}));
  ASSERT_NE(netd, nullptr);
  ASSERT_TRUE(StatusSays("eth0 (automatic): translates")) << netd->Output();
  ASSERT_THAT(Commit({SetUidRule{Uid{kDenied}, Action::kDeny}}), IsOk());
  ASSERT_THAT(
      bed_->Serve(bed_->server(),
                  {"/bin/sh", "-c", "exec socat UDP4-RECVFROM:7,fork PIPE"}),
      IsOk());
  absl::SleepFor(absl::Milliseconds(300));
  // Requests of 100 bytes that were answered.
  const auto exchange = [&](uid_t uid) {
    return RunInChild(
        {.uid = uid, .cgroup = cgroup_->path(), .netns = bed_->host().fd()},
        [] {
          const int fd = socket(AF_INET, SOCK_DGRAM, 0);
          const timeval patience = {.tv_sec = 1, .tv_usec = 0};
          setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
          sockaddr_in to{};
          to.sin_family = AF_INET;
          to.sin_port = htons(7);
          inet_pton(AF_INET, "203.0.113.2", &to.sin_addr);
          char data[100] = {};
          int answers = 0;
          for (int i = 0; i < 3; ++i) {
            (void)sendto(fd, data, sizeof(data), 0,
                         reinterpret_cast<sockaddr*>(&to), sizeof(to));
            if (recv(fd, data, sizeof(data), 0) == 100) ++answers;
          }
          return answers;
        });
  };
  EXPECT_THAT(exchange(kAllowed), IsOkAndHolds(3));
  EXPECT_THAT(exchange(kDenied), IsOkAndHolds(0));
  auto client = Connect();
  ASSERT_NE(client, nullptr);
  auto stats = client->Stats();
  ASSERT_THAT(stats, IsOk());
  TrafficCounters rx, tx;
  for (const StatsRow& row : stats->rows) {
    EXPECT_NE(row.uid, Uid{kDenied});
    if (row.uid != Uid{kAllowed}) continue;
    rx.packets += row.rx.packets;
    rx.bytes += row.rx.bytes;
    tx.packets += row.tx.packets;
    tx.bytes += row.tx.bytes;
  }
  // 20 of IPv4 and 8 of UDP, not 40 of IPv6.
  EXPECT_EQ(tx.packets, 3u);
  EXPECT_EQ(tx.bytes, 3u * 128u);
  EXPECT_EQ(rx.packets, 3u);
  EXPECT_EQ(rx.bytes, 3u * 128u);
  uint64_t refused = 0;
  for (const DropRow& row : stats->drops) {
    if (row.uid == Uid{kDenied}) refused += row.packets;
  }
  EXPECT_GT(refused, 0u);
  Stop(*netd);
}

TEST_F(NetdClatTest, NdcTranslatesWithoutIt) {
  const std::string direct = absl::StrCat("--direct --pin-dir ", PinDir(), " ");
  EXPECT_EQ(Ndc(direct + "clat status"), "no uplink is looked after\n");
  EXPECT_EQ(
      Ndc(absl::StrCat(direct, "clat start eth0 --prefix ", Testbed::kPrefix)),
      "");
  ExpectPing();
  EXPECT_THAT(Ndc(direct + "clat status eth0"),
              HasSubstr("eth0 (asked): translates\n"));
  EXPECT_THAT(
      Ndc(direct + "clat start nosuch0"),
      HasSubstr("ndc: start translation on nosuch0: no such interface"));
  EXPECT_EQ(Ndc(direct + "clat stop eth0"), "");
  EXPECT_EQ(Ndc(direct + "clat status"), "no uplink is looked after\n");
  EXPECT_THAT(Testbed::Shell(bed_->host(), "ip addr; ip route"),
              IsOkAndHolds(Not(HasSubstr("192.0.0."))));
}

TEST_F(NetdClatTest, DoesNotTranslateUnlessItIsConfigured) {
  auto netd = StartReady(Inside({}));
  ASSERT_NE(netd, nullptr);
  EXPECT_THAT(Ndc("clat status"), HasSubstr("clat_interfaces is not set"));
  Stop(*netd);
}

}  // namespace
}  // namespace netpolicy::testing
