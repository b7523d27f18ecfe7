// SPDX-License-Identifier: Apache-2.0

// Against Debian's unbound: one that is authoritative for ipv4only.arpa, and
// one with DNS64 in front of it.

#include "clat/dns_query.h"

#include <unistd.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "clat/testing/program.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/capability.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/scratch_dir.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy::clat {
namespace {

using netpolicy::testing::ChildProcess;
using netpolicy::testing::IsOk;
using netpolicy::testing::NetNamespace;
using netpolicy::testing::ScopedNetns;
using netpolicy::testing::ScratchDir;
using netpolicy::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kUnbound[] = "/usr/sbin/unbound";

constexpr char kCommon[] =
    "server:\n"
    "  username: \"\"\n"
    "  chroot: \"\"\n"
    "  pidfile: \"\"\n"
    "  use-syslog: no\n"
    "  do-daemonize: no\n"
    "  num-threads: 1\n"
    "  do-not-query-localhost: no\n"
    "  access-control: ::0/0 allow\n";

class DnsQueryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (auto missing = netpolicy::testing::MissingForNetworkTests()) {
      GTEST_SKIP() << *missing;
    }
    if (access(kUnbound, X_OK) != 0) GTEST_SKIP() << "needs " << kUnbound;
    auto ns = NetNamespace::Create();
    ASSERT_THAT(ns, IsOk());
    ns_ = std::make_unique<NetNamespace>(*std::move(ns));
    auto scratch = ScratchDir::Create();
    ASSERT_THAT(scratch, IsOk());
    scratch_ = std::make_unique<ScratchDir>(*std::move(scratch));
    auto inside = ScopedNetns::Enter(*ns_);
    ASSERT_THAT(inside, IsOk());
    inside_.emplace(*std::move(inside));
  }

  // A server at [::1]:`port`; the object that keeps it going.
  absl::StatusOr<ChildProcess> Serve(int port, const std::string& more) {
    const std::string config = scratch_->File(absl::StrCat(port, ".conf"));
    auto written = testing::WriteFile(
        config,
        absl::StrCat(kCommon, "  port: ", port, "\n  interface: ::1\n", more));
    if (!written.ok()) return written;
    return testing::StartProgram(*ns_, {kUnbound, "-d", "-c", config}, Log());
  }
  std::string Log() { return scratch_->File("log"); }

  absl::StatusOr<ChildProcess> ServeIpv4Only(int port) {
    return Serve(port,
                 "  local-zone: ipv4only.arpa. static\n"
                 "  local-data: \"ipv4only.arpa. 600 A 192.0.0.170\"\n"
                 "  local-data: \"ipv4only.arpa. 600 A 192.0.0.171\"\n");
  }

  // Asks until there is an answer, as a server takes a moment to start.
  absl::StatusOr<DnsAnswer> Ask(int port, const std::string& interface = "") {
    const DnsOptions options{.interface = interface,
                             .servers = {absl::StrCat("[::1]:", port)}};
    const absl::Time end = absl::Now() + absl::Seconds(15);
    while (true) {
      auto answer = DnsQuery::Ask(options, absl::Seconds(10));
      if (answer.ok() || absl::Now() > end) return answer;
      absl::SleepFor(absl::Milliseconds(100));
    }
  }

  std::unique_ptr<NetNamespace> ns_;
  std::unique_ptr<ScratchDir> scratch_;
  std::optional<ScopedNetns> inside_;
};

TEST_F(DnsQueryTest, Rfc7050FindsThePrefixOfADns64Server) {
  auto authority = ServeIpv4Only(5301);
  ASSERT_THAT(authority, IsOk());
  auto dns64 = Serve(5300,
                     "  module-config: \"dns64 iterator\"\n"
                     "  dns64-prefix: 2001:db8:64::/96\n"
                     "forward-zone:\n  name: \".\"\n"
                     "  forward-addr: ::1@5301\n");
  ASSERT_THAT(dns64, IsOk());
  ASSERT_THAT(Ask(5301), IsOk());
  auto answer = Ask(5300, "lo");
  ASSERT_THAT(answer, IsOk()) << testing::ReadFile(Log());
  EXPECT_THAT(answer->prefixes, ElementsAre(*Pref64::Parse("2001:db8:64::/96")))
      << testing::ReadFile(Log());
  EXPECT_GT(answer->ttl, absl::Seconds(500));
  EXPECT_LE(answer->ttl, absl::Seconds(600));
}

TEST_F(DnsQueryTest, Rfc7050WithoutDns64ThereIsNoPrefix) {
  auto authority = ServeIpv4Only(5301);
  ASSERT_THAT(authority, IsOk());
  auto answer = Ask(5301);
  ASSERT_THAT(answer, IsOk());
  EXPECT_THAT(answer->prefixes, IsEmpty());
  EXPECT_EQ(answer->ttl, absl::Hours(1));
}

TEST_F(DnsQueryTest, AServerThatIsNotThereIsAnError) {
  EXPECT_THAT(
      DnsQuery::Ask({.servers = {"[::1]:5309"}}, absl::Seconds(10)).status(),
      StatusIs(absl::StatusCode::kUnavailable,
               HasSubstr("ask DNS for ipv4only.arpa: ")));
}

TEST_F(DnsQueryTest, WhatIsNoAddressIsNoServer) {
  EXPECT_THAT(
      DnsQuery::Start({.servers = {"one.example"}}).status(),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("one.example")));
}

}  // namespace
}  // namespace netpolicy::clat
