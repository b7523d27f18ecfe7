// SPDX-License-Identifier: Apache-2.0

// The controller against a router that says what a test wants: what it does to
// the kernel. What that does to traffic is in traffic_test.cc.

#include "clat/controller.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "clat/direct.h"
#include "clat/testing/fake_router.h"
#include "clat/testing/program.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/kernel/tc_link.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/process.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/test_environment.h"
#include "libpolicy/testing/veth_pair.h"

namespace netpolicy::clat {
namespace {

using netpolicy::testing::BpfFs;
using netpolicy::testing::IsOk;
using netpolicy::testing::IsOkAndHolds;
using netpolicy::testing::NetNamespace;
using netpolicy::testing::ScopedNetns;
using netpolicy::testing::StatusIs;
using netpolicy::testing::VethPair;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kPrefix[] = "2001:db8:64::/96";
constexpr char kOther[] = "2001:db8:65::/96";
constexpr char kNetwork[] = "2001:db8:1::";

class ControllerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (auto missing = netpolicy::testing::MissingForBpfTests()) {
      GTEST_SKIP() << *missing;
    }
    for (auto* ns : {&host_, &router_}) {
      auto created = NetNamespace::Create();
      ASSERT_THAT(created, IsOk());
      *ns = std::make_unique<NetNamespace>(*std::move(created));
    }
    // As interfaces are outside of tests.
    ASSERT_THAT(host_->WriteSysctl("net/ipv6/conf/default/accept_dad", "1"),
                IsOk());
    ASSERT_THAT(host_->WriteSysctl("net/ipv6/conf/default/dad_transmits", "1"),
                IsOk());
    cables_.push_back(Cable("eth0"));
    auto bpffs = BpfFs::Mount();
    ASSERT_THAT(bpffs, IsOk());
    bpffs_ = std::make_unique<BpfFs>(*std::move(bpffs));
    auto inside = ScopedNetns::Enter(*host_);
    ASSERT_THAT(inside, IsOk());
    inside_.emplace(*std::move(inside));
  }

  VethPair Cable(const std::string& name) {
    auto cable = VethPair::Create(
        *host_, *router_,
        {.left_name = name,
         .right_name = name,
         .left_v4 = std::nullopt,
         .right_v4 = std::nullopt,
         .left_v6 = std::nullopt,
         .right_v6 = std::nullopt,
         .neighbours = netpolicy::testing::Neighbours::kDiscovered});
    EXPECT_THAT(cable, IsOk());
    EXPECT_THAT(host_->WriteSysctl(
                    absl::StrCat("net/ipv6/conf/", name, "/accept_ra"), "2"),
                IsOk());
    return *std::move(cable);
  }

  ControllerOptions Options() {
    return {.pin_dir = PinDir(),
            .automatic = {"eth*"},
            .dns_servers = {"[::1]:9"},
            .secret = SecretKey{7},
            .observer = [this](const ControllerEvent& event) {
              absl::StrAppend(&events_, event.interface, ": ", event.detail,
                              "\n");
            }};
  }
  std::string PinDir() { return bpffs_->path() + "/clat"; }

  void Open(const ControllerOptions& options) {
    auto controller = Controller::Open(options);
    ASSERT_THAT(controller, IsOk());
    controller_ = *std::move(controller);
  }
  void Open() { Open(Options()); }

  void Advertise(std::vector<testing::Advertisement::Nat64> nat64,
                 const std::string& interface = "eth0",
                 const std::string& network = kNetwork) {
    ASSERT_THAT(testing::Advertise(
                    *router_, interface,
                    {.networks = {{network}}, .nat64 = std::move(nat64)}),
                IsOk());
  }

  UplinkStatus Status(const std::string& interface = "eth0") {
    auto all = controller_->Uplinks();
    EXPECT_THAT(all, IsOk());
    if (all.ok()) {
      for (const UplinkStatus& one : *all) {
        if (one.interface == interface) return one;
      }
    }
    return {.interface = "none", .origin = ""};
  }

  // Lets the controller work until something is so.
  bool Until(const std::function<bool()>& so,
             absl::Duration limit = absl::Seconds(8)) {
    const absl::Time end = absl::Now() + limit;
    while (!so()) {
      if (absl::Now() > end) return false;
      pollfd wait = {controller_->fd(), POLLIN, 0};
      if (poll(&wait, 1, 100) == 1) controller_->Process();
    }
    return true;
  }
  bool UntilOn(const std::string& prefix, const std::string& name = "eth0",
               absl::Duration limit = absl::Seconds(8)) {
    return Until(
        [&] {
          const UplinkStatus status = Status(name);
          return status.translation.has_value() &&
                 status.translation->prefix.ToString() == prefix;
        },
        limit);
  }
  bool UntilOff(const std::string& reason, const std::string& name = "eth0",
                absl::Duration limit = absl::Seconds(8)) {
    return Until(
        [&] {
          const UplinkStatus status = Status(name);
          return !status.translation.has_value() && status.off_reason == reason;
        },
        limit);
  }

  NetworkState Network() {
    auto socket = NetlinkSocket::Open();
    EXPECT_THAT(socket, IsOk());
    return *ReadNetwork(*socket);
  }

  // What is left in the kernel of translation.
  std::string Traces() {
    std::string traces;
    const NetworkState network = Network();
    for (const auto& route : network.routes4) {
      absl::StrAppend(&traces, "route ", route.metric, "\n");
    }
    for (const auto& address : network.addresses4) {
      if (address.address.bytes[0] == 127) continue;
      absl::StrAppend(&traces, "address ", address.address.ToString(), "\n");
    }
    for (const auto& address : network.addresses6) {
      if (address.prefix_length != 128) continue;
      absl::StrAppend(&traces, "address ", address.address.ToString(), "\n");
    }
    auto pins = ListPins(PinDir());
    if (pins.ok()) {
      for (const std::string& pin : *pins) {
        if (pin.rfind("tc_", 0) == 0) absl::StrAppend(&traces, pin, "\n");
      }
    }
    for (const Link& link : network.links) {
      for (TcHook hook : {TcHook::kIngress, TcHook::kEgress}) {
        auto filters = ListTcFilters({link.ifindex, hook});
        if (!filters.ok()) continue;
        for (const TcFilter& filter : *filters) {
          absl::StrAppend(&traces, "filter ", filter.name, "\n");
        }
      }
    }
    return traces;
  }

  const std::vector<testing::Advertisement::Nat64> nat64_ = {
      {*Pref64::Parse(kPrefix)}};
  std::unique_ptr<NetNamespace> host_, router_;
  std::vector<VethPair> cables_;
  std::unique_ptr<BpfFs> bpffs_;
  std::optional<ScopedNetns> inside_;
  std::string events_;
  std::unique_ptr<Controller> controller_;
};

TEST_F(ControllerTest, TranslatesAsSoonAsARouterTellsAPrefix) {
  Open();
  EXPECT_TRUE(UntilOff("no_ipv6_router"));
  Advertise({});
  EXPECT_TRUE(UntilOff("no_prefix")) << Status().off_reason;
  Advertise(nat64_);
  ASSERT_TRUE(UntilOn(kPrefix)) << Status().off_reason << events_;
  const UplinkStatus status = Status();
  EXPECT_EQ(status.origin, "automatic");
  EXPECT_EQ(status.translation->source, "router");
  EXPECT_EQ(status.translation->pair.ip4.ToString(), "192.0.0.1");
  EXPECT_EQ(NetworkOf(status.translation->pair.ip6).ToString(),
            "2001:db8:1::/64");
  EXPECT_EQ(status.translation->mtu4, 1472u);
  ASSERT_EQ(status.prefixes.size(), 1u);
  EXPECT_GT(status.prefixes[0].lifetime, absl::Minutes(9));
  const NetworkState network = Network();
  ASSERT_EQ(network.routes4.size(), 1u);
  EXPECT_EQ(network.routes4[0].via6, network.routes6[0].via);
  const InterfaceAddress6* address = network.FindAddress(
      network.FindLink("eth0")->ifindex, status.translation->pair.ip6);
  ASSERT_NE(address, nullptr);
  EXPECT_EQ(address->state, InterfaceAddress6::State::kDeprecated);
}

TEST_F(ControllerTest, EndsWhenIpv4AppearsAndBeginsWhenItGoes) {
  Open();
  Advertise(nat64_);
  ASSERT_TRUE(UntilOn(kPrefix)) << events_;
  ASSERT_THAT(host_->AddAddress("eth0", "10.7.0.1", 24), IsOk());
  ASSERT_THAT(host_->AddRoute({.via = "10.7.0.2"}), IsOk());
  ASSERT_TRUE(UntilOff("native_ipv4")) << events_;
  EXPECT_EQ(Traces(), "route 0\naddress 10.7.0.1\n");
  ASSERT_THAT(host_->DeleteRoute({.via = "10.7.0.2"}), IsOk());
  EXPECT_TRUE(UntilOn(kPrefix)) << events_;
}

TEST_F(ControllerTest, FollowsThePrefix) {
  Open();
  Advertise(nat64_);
  ASSERT_TRUE(UntilOn(kPrefix)) << events_;
  const AddressPair before = Status().translation->pair;
  Advertise({{*Pref64::Parse(kPrefix), absl::ZeroDuration()},
             {*Pref64::Parse(kOther)}});
  ASSERT_TRUE(UntilOn(kOther)) << events_;
  const AddressPair after = Status().translation->pair;
  EXPECT_EQ(after.ip4, before.ip4) << "connections of applications go on";
  EXPECT_NE(after.ip6, before.ip6);
  const NetworkState network = Network();
  const IfIndex ifindex = network.FindLink("eth0")->ifindex;
  EXPECT_EQ(network.FindAddress(ifindex, before.ip6), nullptr);
  EXPECT_NE(network.FindAddress(ifindex, after.ip6), nullptr);
}

TEST_F(ControllerTest, EndsWithTheLifetimeOfThePrefix) {
  Open();
  Advertise({{*Pref64::Parse(kPrefix), absl::Seconds(8)}});
  ASSERT_TRUE(UntilOn(kPrefix)) << events_;
  EXPECT_TRUE(UntilOff("no_prefix", "eth0", absl::Seconds(12))) << events_;
  EXPECT_EQ(Traces(), "");
}

// Debian's unbound, with DNS64 in front of a zone of its own.
TEST_F(ControllerTest, Rfc9872DnsIsAskedWhereNoRouterTells) {
  constexpr char kUnbound[] = "/usr/sbin/unbound";
  if (access(kUnbound, X_OK) != 0) GTEST_SKIP() << "needs " << kUnbound;
  ASSERT_THAT(router_->AddAddress("eth0", "2001:db8:1::53", 64), IsOk());
  auto scratch = netpolicy::testing::ScratchDir::Create();
  ASSERT_THAT(scratch, IsOk());
  const std::string common =
      "server:\n  username: \"\"\n  chroot: \"\"\n  pidfile: \"\"\n"
      "  use-syslog: no\n  do-daemonize: no\n  num-threads: 1\n"
      "  do-not-query-localhost: no\n  access-control: ::0/0 allow\n";
  ASSERT_THAT(
      testing::WriteFile(
          scratch->File("zone"),
          common + "  interface: ::1\n  port: 5301\n"
                   "  local-zone: ipv4only.arpa. static\n"
                   "  local-data: \"ipv4only.arpa. 600 A 192.0.0.170\"\n"),
      IsOk());
  ASSERT_THAT(testing::WriteFile(
                  scratch->File("dns64"),
                  absl::StrCat(common,
                               "  interface: 2001:db8:1::53\n  port: 53\n"
                               "  module-config: \"dns64 iterator\"\n"
                               "  dns64-prefix: ",
                               kPrefix,
                               "\nforward-zone:\n  name: \".\"\n"
                               "  forward-addr: ::1@5301\n")),
              IsOk());
  std::vector<netpolicy::testing::ChildProcess> servers;
  for (const char* name : {"zone", "dns64"}) {
    auto server = testing::StartProgram(
        *router_, {kUnbound, "-d", "-c", scratch->File(name)},
        scratch->File("log"));
    ASSERT_THAT(server, IsOk());
    servers.push_back(*std::move(server));
  }
  ControllerOptions options = Options();
  options.dns_servers = {"2001:db8:1::53"};
  Open(options);
  Advertise({});
  ASSERT_TRUE(UntilOn(kPrefix, "eth0", absl::Seconds(25)))
      << Status().off_reason << events_
      << testing::ReadFile(scratch->File("log"));
  EXPECT_EQ(Status().translation->source, "dns");
  Advertise({{*Pref64::Parse(kOther)}});
  ASSERT_TRUE(UntilOn(kOther)) << "routers come first";
  EXPECT_EQ(Status().translation->source, "router");
}

TEST_F(ControllerTest, AnAddressThatSomebodyHasIsNotTaken) {
  const Ipv6Prefix network = *Ipv6Prefix::Parse("2001:db8:1::/64");
  const Ipv6Address first =
      MakeLocal6(network, StableInterfaceId(SecretKey{7}, network, "eth0", 0),
                 *Pref64::Parse(kPrefix), *Ipv4Address::Parse("192.0.0.1"));
  ASSERT_THAT(router_->AddAddress("eth0", first.ToString().c_str(), 64),
              IsOk());
  Open();
  Advertise(nat64_);
  ASSERT_TRUE(UntilOn(kPrefix, "eth0", absl::Seconds(15))) << events_;
  EXPECT_EQ(
      Status().translation->pair.ip6,
      MakeLocal6(network, StableInterfaceId(SecretKey{7}, network, "eth0", 1),
                 *Pref64::Parse(kPrefix), *Ipv4Address::Parse("192.0.0.1")));
}

TEST_F(ControllerTest, TheNextControllerTakesOver) {
  Open();
  Advertise(nat64_);
  ASSERT_TRUE(UntilOn(kPrefix)) << events_;
  const UplinkStatus before = Status();
  const std::string traces = Traces();
  controller_.reset();
  EXPECT_EQ(Traces(), traces) << "goes on without it";

  ControllerOptions by_hand = Options();
  by_hand.automatic.clear();
  Open(by_hand);
  const UplinkStatus after = Status();
  ASSERT_TRUE(after.translation.has_value()) << after.off_reason;
  EXPECT_EQ(after.origin, "asked");
  EXPECT_EQ(after.translation->pair, before.translation->pair);
  EXPECT_EQ(Traces(), traces);
  ASSERT_THAT(controller_->Stop("eth0"), IsOk());
  EXPECT_EQ(Traces(), "");
  EXPECT_THAT(controller_->Uplinks(), IsOkAndHolds(IsEmpty()));
}

TEST_F(ControllerTest, ThePrefixOfBeforeServesUntilOneIsTold) {
  Open();
  Advertise(nat64_);
  ASSERT_TRUE(UntilOn(kPrefix)) << events_;
  const AddressPair before = Status().translation->pair;
  controller_.reset();
  events_.clear();
  Open();
  ASSERT_TRUE(Status().translation.has_value()) << Status().off_reason;
  EXPECT_EQ(Status().translation->source, "adopted");
  EXPECT_EQ(Status().translation->pair, before);
  EXPECT_EQ(events_, "") << "no packet was in its way";
  Advertise({{*Pref64::Parse(kOther)}});
  EXPECT_TRUE(UntilOn(kOther)) << events_;
}

TEST_F(ControllerTest, WhatOthersTookAwayIsPutBack) {
  Open();
  Advertise(nat64_);
  ASSERT_TRUE(UntilOn(kPrefix)) << events_;
  const Ipv6Address address = Status().translation->pair.ip6;
  controller_.reset();
  auto socket = NetlinkSocket::Open();
  ASSERT_THAT(socket, IsOk());
  const IfIndex ifindex = Network().FindLink("eth0")->ifindex;
  ASSERT_THAT(RemoveAddress6(*socket, ifindex, address), IsOk());
  ASSERT_THAT(RemoveDefaultRoute4(*socket, Network().routes4.at(0)), IsOk());
  ControllerOptions by_hand = Options();
  by_hand.automatic.clear();
  Open(by_hand);
  EXPECT_TRUE(Until([&] {
    return Network().FindAddress(ifindex, address) != nullptr &&
           Network().routes4.size() == 1 && Status().off_reason.empty();
  })) << Traces()
      << Status().off_reason;
}

// What traffic sees of it is in uplink_change_test.cc.
TEST_F(ControllerTest, ConnectionsEndWithTheirTranslationAndTheLogSaysSo) {
  const auto connect_to_server = [] {
    UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(7);
    to.sin_addr.s_addr = htonl(0xcb007109);  // 203.0.113.9
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)),
              0)
        << errno;
    return fd;
  };
  const auto error_of = [](const UniqueFd& fd) {
    int error = 0;
    socklen_t size = sizeof(error);
    getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    return error;
  };
  // The router is the server, too.
  for (const char* server :
       {"2001:db8:64::cb00:7109", "2001:db8:65::cb00:7109"}) {
    ASSERT_THAT(router_->AddAddress("lo", server, 128), IsOk());
  }
  auto listener = router_->OpenSocket(AF_INET6, SOCK_STREAM);
  ASSERT_THAT(listener, IsOk());
  sockaddr_in6 any{};
  any.sin6_family = AF_INET6;
  any.sin6_port = htons(7);
  ASSERT_EQ(
      bind(listener->get(), reinterpret_cast<sockaddr*>(&any), sizeof(any)), 0);
  ASSERT_EQ(listen(listener->get(), 8), 0);
  Open();
  Advertise(nat64_);
  ASSERT_TRUE(UntilOn(kPrefix)) << events_;
  const UniqueFd first = connect_to_server();
  const UniqueFd second = connect_to_server();
  Advertise({{*Pref64::Parse(kPrefix), absl::ZeroDuration()},
             {*Pref64::Parse(kOther)}});
  ASSERT_TRUE(UntilOn(kOther)) << events_;
  EXPECT_EQ(error_of(first), ECONNABORTED);
  EXPECT_EQ(error_of(second), ECONNABORTED);
  EXPECT_THAT(events_, HasSubstr("; 2 connections ended\n"));

  const UniqueFd third = connect_to_server();
  events_.clear();
  // Nothing is heard any more: the interface goes, and all with it.
  cables_.clear();
  ASSERT_TRUE(Until([&] { return controller_->Uplinks()->empty(); }));
  EXPECT_EQ(error_of(third), ECONNABORTED);
  EXPECT_EQ(events_, "eth0: there is no such interface; 1 connection ended\n");
}

TEST_F(ControllerTest, OnlyOneCanBeOpen) {
  Open();
  EXPECT_THAT(Controller::Open(Options()).status(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("lock ")));
}

TEST_F(ControllerTest, StoppedStaysOffUntilStarted) {
  Open();
  Advertise(nat64_);
  ASSERT_TRUE(UntilOn(kPrefix)) << events_;
  ASSERT_THAT(controller_->Stop("eth0"), IsOk());
  EXPECT_EQ(Traces(), "");
  Advertise(nat64_);
  EXPECT_FALSE(Until([&] { return Status().translation.has_value(); },
                     absl::Seconds(1)));
  EXPECT_EQ(Status().off_reason, "stopped");
  ASSERT_THAT(
      controller_->Start("eth0", {.prefix = *Pref64::Parse(kOther),
                                  .local4 = *Ipv4Address::Parse("10.1.1.1")}),
      IsOk());
  ASSERT_TRUE(UntilOn(kOther)) << events_;
  EXPECT_EQ(Status().translation->source, "configured");
  EXPECT_EQ(Status().translation->pair.ip4.ToString(), "10.1.1.1");
}

TEST_F(ControllerTest, SeveralUplinksEachHaveTheirOwn) {
  cables_.push_back(Cable("eth1"));
  Open();
  Advertise(nat64_);
  Advertise({{*Pref64::Parse(kOther)}}, "eth1", "2001:db8:2::");
  ASSERT_TRUE(UntilOn(kPrefix, "eth0")) << events_;
  ASSERT_TRUE(UntilOn(kOther, "eth1")) << events_;
  EXPECT_NE(Status("eth0").translation->pair.ip4,
            Status("eth1").translation->pair.ip4);
  // The one goes, the other stays.
  const std::string gone = Status("eth1").translation->pair.ip4.ToString();
  cables_.pop_back();
  ASSERT_TRUE(Until([&] { return controller_->Uplinks()->size() == 1; }));
  EXPECT_TRUE(Status("eth0").translation.has_value());
  controller_->Process();
  EXPECT_THAT(Traces(), ::testing::Not(HasSubstr(gone)));
}

TEST_F(ControllerTest, ALinkThatGoesDownMayComeBackElsewhere) {
  Open();
  Advertise(nat64_);
  ASSERT_TRUE(UntilOn(kPrefix)) << events_;
  ASSERT_THAT(router_->SetLink("eth0", netpolicy::testing::Toggle::kOff),
              IsOk());
  ASSERT_TRUE(UntilOff("no_carrier")) << Status().off_reason;
  EXPECT_THAT(Status().prefixes, IsEmpty());
}

TEST_F(ControllerTest, DetachLeavesNothing) {
  Open();
  Advertise(nat64_);
  ASSERT_TRUE(UntilOn(kPrefix)) << events_;
  ASSERT_THAT(controller_->Detach(), IsOk());
  controller_.reset();
  EXPECT_EQ(Traces(), "");
  struct stat info;
  EXPECT_NE(stat(PinDir().c_str(), &info), 0);
}

TEST_F(ControllerTest, WithoutOneRoutersCanBeAsked) {
  DirectClat direct(PinDir(), {"[::1]:9"});
  std::atomic<bool> done = false;
  std::thread router([&] {
    while (!done) {
      testing::Advertise(*router_, "eth0", {.nat64 = nat64_}).IgnoreError();
      absl::SleepFor(absl::Milliseconds(200));
    }
  });
  auto prefixes = direct.Discover("eth0");
  done = true;
  router.join();
  ASSERT_THAT(prefixes, IsOk());
  ASSERT_EQ(prefixes->size(), 1u);
  EXPECT_EQ((*prefixes)[0].prefix.ToString(), kPrefix);
  EXPECT_EQ((*prefixes)[0].source, "router");
  EXPECT_EQ((*prefixes)[0].lifetime, absl::Minutes(10));
  EXPECT_THAT(direct.Discover("wlan7").status(),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ControllerTest, WhatCannotBeStartedIsSaid) {
  Open();
  EXPECT_THAT(controller_->Start("wlan7", {}),
              StatusIs(absl::StatusCode::kNotFound,
                       "start translation on wlan7: no such interface"));
  EXPECT_THAT(
      controller_->Start("eth0",
                         {.network6 = *Ipv6Prefix::Parse("2001:db8::/56")}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is no /64")));
  EXPECT_THAT(controller_->Stop("wlan7"),
              StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace netpolicy::clat
