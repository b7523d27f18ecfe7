// SPDX-License-Identifier: Apache-2.0

#include "clat/uplink_plan.h"

#include <functional>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace netpolicy::clat {
namespace {

Ipv4Address Ip4(const std::string& text) { return *Ipv4Address::Parse(text); }
Ipv6Address Ip6(const std::string& text) { return *Ipv6Address::Parse(text); }

constexpr IfIndex kUplink{3};

// What a test changes of an uplink that translates.
struct World {
  NetworkState network;
  UplinkSettings settings;
  std::optional<KnownPrefix> known;
  std::optional<Identity> now;
  std::set<Ipv4Address> taken;
  SecretKey secret{};

  World() {
    network.links = {{.ifindex = kUplink,
                      .name = "wwan0",
                      .carrier = Presence::kPresent,
                      .mtu = 1500,
                      .mtu6 = 1500}};
    network.addresses6 = {
        {kUplink, Ip6("2001:db8:1:2:aaaa:bbbb:cccc:dddd"), 64}};
    network.routes6 = {{kUplink, 1024, Ip6("fe80::1")}};
    known = KnownPrefix{.ifindex = kUplink,
                        .source = PrefixSource::kRouter,
                        .prefix = *Pref64::Parse("64:ff9b::/96"),
                        .expires = absl::InfiniteFuture()};
  }

  absl::variant<UplinkPlan, OffReason> Plan() const {
    return PlanUplink({.network = network,
                       .settings = settings,
                       .interface = "wwan0",
                       .known = known,
                       .now = now,
                       .taken = taken,
                       .secret = secret});
  }
};

UplinkPlan PlanOf(const World& world) {
  const auto answer = world.Plan();
  if (absl::holds_alternative<OffReason>(answer)) {
    ADD_FAILURE() << "off: " << OffReasonText(absl::get<OffReason>(answer));
    return {.config = {.prefix = *Pref64::Parse("64:ff9b::/96")}};
  }
  return absl::get<UplinkPlan>(answer);
}

TEST(PlanUplink, TranslatesWhereThereIsOnlyIpv6) {
  const UplinkPlan plan = PlanOf(World());
  EXPECT_EQ(plan.ifindex, kUplink);
  EXPECT_EQ(plan.config.prefix.ToString(), "64:ff9b::/96");
  ASSERT_EQ(plan.config.pairs.size(), 1u);
  EXPECT_EQ(plan.config.pairs[0].ip4, Ip4("192.0.0.1"));
  EXPECT_EQ(NetworkOf(plan.config.pairs[0].ip6).ToString(),
            "2001:db8:1:2::/64");
  EXPECT_EQ(plan.place, Local6Place::kOnLink);
  EXPECT_EQ(plan.source, PrefixSource::kRouter);
  EXPECT_EQ(plan.route.via6, Ip6("fe80::1"));
  EXPECT_EQ(plan.route.source, Ip4("192.0.0.1"));
  EXPECT_EQ(plan.route.mtu, 1472u) << "1500 less 20 and 8";
  EXPECT_EQ(plan.route.metric, 1048576u + 1024u);
}

struct Row {
  const char* description;
  std::function<void(World&)> change;
  const char* reason;  // "": on
};

const Row kRows[] = {
    {"as it is", [](World&) {}, ""},
    {"no such interface", [](World& w) { w.network.links.clear(); },
     "no_interface"},
    {"link down",
     [](World& w) { w.network.links[0].carrier = Presence::kAbsent; },
     "no_carrier"},
    {"no IPv6 default route", [](World& w) { w.network.routes6.clear(); },
     "no_ipv6_router"},
    {"another interface's IPv6 default route",
     [](World& w) { w.network.routes6[0].ifindex = IfIndex{9}; },
     "no_ipv6_router"},
    {"Ethernet without a router to send to",
     [](World& w) { w.network.routes6[0].via.reset(); }, "no_ipv6_router"},
    {"a raw IP link needs none",
     [](World& w) {
       w.network.routes6[0].via.reset();
       w.network.links[0].type = LinkType::kRawIp;
     },
     ""},
    {"only an address without a network",
     [](World& w) { w.network.addresses6[0].prefix_length = 128; },
     "no_ipv6_network"},
    {"only an address that is not known to be free",
     [](World& w) {
       w.network.addresses6[0].state = InterfaceAddress6::State::kTentative;
     },
     "no_ipv6_network"},
    {"an IPv4 default route",
     [](World& w) {
       w.network.routes4 = {{.ifindex = kUplink, .metric = 100}};
     },
     "native_ipv4"},
    {"an IPv4 default route of ours",
     [](World& w) {
       w.network.routes4 = {{.ifindex = kUplink,
                             .metric = kMetricBase,
                             .protocol = kRouteProtocol}};
     },
     ""},
    {"another interface's IPv4 default route",
     [](World& w) {
       w.network.routes4 = {{.ifindex = IfIndex{9}, .metric = 100}};
     },
     ""},
    {"an IPv4 default route that is not to matter",
     [](World& w) {
       w.network.routes4 = {{.ifindex = kUplink, .metric = 100}};
       w.settings.native4 = NativeIpv4::kIsIgnored;
     },
     ""},
    {"no prefix", [](World& w) { w.known.reset(); }, "no_prefix"},
    {"a configured prefix",
     [](World& w) {
       w.known.reset();
       w.settings.prefix = *Pref64::Parse("2001:db8:64::/96");
     },
     ""},
    {"192.0.0.0/29 is full",
     [](World& w) {
       for (uint32_t i = 1; i < 8; ++i) {
         w.taken.insert(Ipv4Address::FromInt(0xc0000000 + i));
       }
     },
     "no_free_address"},
};

TEST(PlanUplink, SaysWhyNot) {
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.description);
    World world;
    row.change(world);
    const auto answer = world.Plan();
    EXPECT_EQ(absl::holds_alternative<OffReason>(answer)
                  ? OffReasonName(absl::get<OffReason>(answer))
                  : "",
              row.reason);
  }
}

TEST(PlanUplink, Rfc9872AConfiguredPrefixWins) {
  World world;
  world.settings.prefix = *Pref64::Parse("2001:db8:64::/96");
  const UplinkPlan plan = PlanOf(world);
  EXPECT_EQ(plan.config.prefix.ToString(), "2001:db8:64::/96");
  EXPECT_EQ(plan.source, PrefixSource::kConfigured);
}

TEST(PlanUplink, TakesNoAddressThatAnyoneHas) {
  World world;
  world.network.addresses4 = {{IfIndex{9}, Ip4("192.0.0.1"), 29}};
  world.taken = {Ip4("192.0.0.2")};
  EXPECT_EQ(PlanOf(world).config.pairs[0].ip4, Ip4("192.0.0.3"));
  world.settings.local4 = Ip4("10.1.2.3");
  EXPECT_EQ(PlanOf(world).config.pairs[0].ip4, Ip4("10.1.2.3"));
}

TEST(PlanUplink, KeepsItsAddressesWhileThePrefixStays) {
  World world;
  world.now = Identity{world.known->prefix,
                       {Ip4("192.0.0.5"), Ip6("2001:db8:1:2::7777")}};
  world.network.addresses4 = {{kUplink, Ip4("192.0.0.5"), 32}};
  EXPECT_EQ(PlanOf(world).config.pairs[0], world.now->pair);
  world.known->prefix = *Pref64::Parse("2001:db8:64::/96");
  EXPECT_EQ(PlanOf(world).config.pairs[0].ip4, world.now->pair.ip4);
  EXPECT_NE(PlanOf(world).config.pairs[0].ip6, world.now->pair.ip6)
      << "would not be checksum-neutral";
}

TEST(PlanUplink, MovesWhenTheLinkHasAnotherNetwork) {
  World world;
  world.now = Identity{world.known->prefix,
                       {Ip4("192.0.0.1"), Ip6("2001:db8:1:2::7777")}};
  world.network.addresses6[0].address = Ip6("2001:db8:1:3::1");
  EXPECT_EQ(NetworkOf(PlanOf(world).config.pairs[0].ip6).ToString(),
            "2001:db8:1:3::/64");
}

TEST(PlanUplink, PrefersGlobalNetworks) {
  World world;
  world.network.addresses6.insert(world.network.addresses6.begin(),
                                  {kUplink, Ip6("fd00::1"), 64});
  EXPECT_EQ(NetworkOf(PlanOf(world).config.pairs[0].ip6).ToString(),
            "2001:db8:1:2::/64");
}

TEST(PlanUplink, Rfc6877TakesANetworkThatIsRoutedToUs) {
  World world;
  world.settings.network6 = *Ipv6Prefix::Parse("2001:db8:ff::/64");
  const UplinkPlan plan = PlanOf(world);
  EXPECT_EQ(NetworkOf(plan.config.pairs[0].ip6).ToString(), "2001:db8:ff::/64");
  EXPECT_EQ(plan.place, Local6Place::kRouted);
}

TEST(PlanUplink, TheRouteFollowsTheLinksMtu) {
  World world;
  world.network.links[0].mtu6 = 1400;
  EXPECT_EQ(PlanOf(world).route.mtu, 1372u);
  EXPECT_EQ(PlanOf(world).config.mtu6, 1400u);
}

TEST(PlanUplink, EachAttemptHasAnotherAddress) {
  World world;
  const Ipv6Address first = PlanOf(world).config.pairs[0].ip6;
  const auto second = PlanUplink({.network = world.network,
                                  .settings = world.settings,
                                  .interface = "wwan0",
                                  .known = world.known,
                                  .secret = world.secret,
                                  .attempt = 1});
  EXPECT_NE(absl::get<UplinkPlan>(second).config.pairs[0].ip6, first);
}

}  // namespace
}  // namespace netpolicy::clat
