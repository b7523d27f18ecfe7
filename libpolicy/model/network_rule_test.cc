#include "libpolicy/model/network_rule.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/model/policy.h"
#include "libpolicy/model/settings.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy {
namespace {

using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::IsOkAndHolds;
using ::netpolicy::testing::StatusIs;
using ::testing::ElementsAre;

constexpr auto kInvalidArgument = absl::StatusCode::kInvalidArgument;

IpPrefix Prefix(absl::string_view text) {
  const absl::StatusOr<IpPrefix> prefix = ParseIpPrefix(text);
  EXPECT_THAT(prefix, IsOk()) << text;
  return prefix.value_or(IpPrefix());
}

AddressBytes Address(absl::string_view text) {
  const absl::StatusOr<AddressBytes> address = ParseAddress(text);
  EXPECT_THAT(address, IsOk()) << text;
  return address.value_or(AddressBytes());
}

TEST(ParseIpPrefix, ReadsWhatIpPrefixTextWrites) {
  for (const absl::string_view text :
       {"0.0.0.0/0", "10.0.0.0/8", "192.0.2.1", "255.255.255.254/31", "::/0",
        "2001:db8::/32", "2001:db8::1", "fe80::/10"}) {
    EXPECT_EQ(IpPrefixText(Prefix(text)), text);
  }
  EXPECT_EQ(IpPrefixText(Prefix("192.0.2.1/32")), "192.0.2.1");
  EXPECT_EQ(IpPrefixText(Prefix("2001:DB8:0:0::1/128")), "2001:db8::1");
  EXPECT_EQ(Prefix("10.0.0.0/8").length, 104);
  EXPECT_EQ(Prefix("2001:db8::/32").length, 32);
}

TEST(ParseIpPrefix, RefusesWhatIsNone) {
  const struct {
    absl::string_view text;
    absl::string_view cause;
  } kRows[] = {
      {"", "is no address, and no prefix such as 10.0.0.0/8"},
      {"10.0.0", "is no address, and no prefix such as 10.0.0.0/8"},
      {"10.0.0.0/33", "the length is no number from 0 to 32"},
      {"10.0.0.0/", "the length is no number from 0 to 32"},
      {"10.0.0.0/08", "the length is no number from 0 to 32"},
      {"10.0.0.0/+8", "the length is no number from 0 to 32"},
      {"::/129", "the length is no number from 0 to 128"},
      {"10.0.0.1/8", "has bits beyond its length, unlike 10.0.0.0/8"},
      {"::ffff:10.0.0.0/104", "is IPv4, to be written as such"},
      {"fe80::1%eth0", "is no address, and no prefix such as 10.0.0.0/8"},
  };
  for (const auto& row : kRows) {
    EXPECT_THAT(ParseIpPrefix(row.text),
                StatusIs(kInvalidArgument,
                         absl::StrCat("\"", row.text, "\": ", row.cause)));
  }
  EXPECT_THAT(ParseAddress("10.0.0.0/8"),
              StatusIs(kInvalidArgument, "\"10.0.0.0/8\": is no address"));
}

TEST(IpPrefix, ContainsAddressesOfItsFamilyOnly) {
  EXPECT_TRUE(Contains(IpPrefix(), Address("192.0.2.1")));
  EXPECT_TRUE(Contains(IpPrefix(), Address("::1")));
  EXPECT_TRUE(Contains(Prefix("10.0.0.0/8"), Address("10.255.0.1")));
  EXPECT_FALSE(Contains(Prefix("10.0.0.0/8"), Address("11.0.0.1")));
  EXPECT_TRUE(Contains(Prefix("0.0.0.0/0"), Address("11.0.0.1")));
  EXPECT_FALSE(Contains(Prefix("0.0.0.0/0"), Address("2001:db8::1")));
  EXPECT_TRUE(Contains(Prefix("::/0"), Address("2001:db8::1")));
  EXPECT_FALSE(Contains(Prefix("::/0"), Address("10.0.0.1")));
}

NetworkRule Rule(absl::string_view prefix = "", uint8_t protocol = 0,
                 PortRange ports = kAnyPort, absl::string_view interface = "",
                 RuleDirection direction = RuleDirection::kBoth,
                 Action action = Action::kDeny) {
  NetworkRule rule;
  rule.action = action;
  if (!prefix.empty()) rule.prefix = Prefix(prefix);
  rule.protocol = protocol;
  rule.ports = ports;
  rule.direction = direction;
  rule.interface = std::string(interface);
  return rule;
}

constexpr auto kBoth = RuleDirection::kBoth;
constexpr auto kOut = RuleDirection::kOut;

TEST(NetworkRules, AreAskedInTheOrderOfPrecedence) {
  // Each of a pair wins by one criterion, and loses by all that come after it.
  const struct {
    absl::string_view name;
    NetworkRule first;
    NetworkRule second;
  } kRows[] = {
      {"longer prefix",
       Rule("10.0.0.0/9", 0, kAnyPort, "", kBoth, Action::kAllow),
       Rule("10.0.0.0/8", 6, {80, 80}, "wlan0", kOut)},
      {"any of a family before any",
       Rule("0.0.0.0/0", 0, kAnyPort, "", kBoth, Action::kAllow),
       Rule("", 6, {80, 80}, "wlan0", kOut)},
      {"any IPv6 before any",
       Rule("::/0", 0, kAnyPort, "", kBoth, Action::kAllow),
       Rule("", 6, {80, 80}, "wlan0", kOut)},
      {"named protocol", Rule("", 6, kAnyPort, "", kBoth, Action::kAllow),
       Rule("", 0, {80, 80}, "wlan0", kOut)},
      {"narrower ports", Rule("", 6, {1, 100}, "", kBoth, Action::kAllow),
       Rule("", 6, {1, 101}, "wlan0", kOut)},
      {"interface by name",
       Rule("", 0, kAnyPort, "wlan0", kBoth, Action::kAllow),
       Rule("", 0, kAnyPort, "wlan0*", kOut)},
      {"longer prefix of a name",
       Rule("", 0, kAnyPort, "wlan*", kBoth, Action::kAllow),
       Rule("", 0, kAnyPort, "wla*", kOut)},
      {"prefix of a name before class",
       Rule("", 0, kAnyPort, "w*", kBoth, Action::kAllow),
       Rule("", 0, kAnyPort, "@wifi", kOut)},
      {"class before any interface",
       Rule("", 0, kAnyPort, "@wifi", kBoth, Action::kAllow),
       Rule("", 0, kAnyPort, "", kOut)},
      {"named direction", Rule("", 0, kAnyPort, "", kOut, Action::kAllow),
       Rule()},
      {"deny", Rule(), Rule("", 0, kAnyPort, "", kBoth, Action::kAllow)},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.name);
    EXPECT_TRUE(RuleLess(row.first, row.second));
    EXPECT_FALSE(RuleLess(row.second, row.first));
  }
}

TEST(NetworkRules, HaveOneOrderHoweverEntered) {
  NetworkRules rules = {Rule("10.0.0.0/8"),
                        Rule("11.0.0.0/8"),
                        Rule("", 6),
                        Rule("", 17),
                        Rule("", 0, kAnyPort, "a"),
                        Rule("", 0, kAnyPort, "b"),
                        Rule("", 6, {1, 2}),
                        Rule("", 6, {2, 3})};
  const NetworkRules expected = CanonicalRules(rules);
  ASSERT_EQ(expected.size(), rules.size());
  for (int i = 0; i < 200; ++i) {
    std::rotate(rules.begin(), rules.begin() + 1 + i % 3, rules.end());
    std::swap(rules[static_cast<size_t>(i % 8)], rules[0]);
    NetworkRules twice = rules;
    twice.insert(twice.end(), rules.begin(), rules.end());
    EXPECT_EQ(CanonicalRules(twice), expected);
  }
}

TEST(CheckNetworkRule, SaysWhatIsWrong) {
  const struct {
    NetworkRule rule;
    absl::string_view message;
  } kRows[] = {
      {Rule("", 6, {2, 1}), "ports: 2-1: the first port is above the last"},
      {Rule("", 1, {1, 2}), "ports: protocol icmp has no ports"},
      {Rule("", 0, kAnyPort, "*"),
       "interface: \"*\": a rule for any interface names none"},
      {Rule("", 0, kAnyPort, "@A"),
       "interface: \"A\": is no class, which is a letter and at most 30 of "
       "a-z, 0-9 and _"},
  };
  for (const auto& row : kRows) {
    EXPECT_THAT(CheckNetworkRule(row.rule),
                StatusIs(kInvalidArgument, std::string(row.message)));
  }
  EXPECT_THAT(CheckNetworkRule(Rule("10.0.0.0/8", 0, {1, 2}, "wlan*")), IsOk());
  EXPECT_THAT(CheckLocalNetworkRule(Rule("10.0.0.0/8")),
              StatusIs(kInvalidArgument, "interface: is missing"));
  EXPECT_THAT(CheckLocalNetworkRule(Rule("", 0, kAnyPort, "wlan0")),
              StatusIs(kInvalidArgument, "prefix: is missing"));
}

TEST(NetworkRuleText, LeavesOutWhatIsAny) {
  EXPECT_EQ(NetworkRuleText(Rule()), "deny any");
  EXPECT_EQ(NetworkRuleText(Rule("10.0.0.0/8", 6, {1, 1023}, "wlan0", kOut)),
            "deny 10.0.0.0/8 tcp 1-1023 out on wlan0");
  EXPECT_EQ(
      NetworkRuleText(Rule("::1", 0, {53, 53}, "", kBoth, Action::kAllow)),
      "allow ::1 port 53");
}

TEST(Protocols, HaveNamesOrNumbers) {
  EXPECT_THAT(ParseProtocol("udplite"), IsOkAndHolds(136));
  EXPECT_THAT(ParseProtocol("99"), IsOkAndHolds(99));
  EXPECT_THAT(ParseProtocol("0"), StatusIs(kInvalidArgument));
  EXPECT_THAT(ParseProtocol("256"), StatusIs(kInvalidArgument));
  EXPECT_THAT(ParseProtocol("any"), StatusIs(kInvalidArgument));
  EXPECT_EQ(ProtocolName(58), "icmpv6");
  EXPECT_EQ(ProtocolName(99), "99");
}

TEST(BindPorts, AreTheFewestRanges) {
  EXPECT_THAT(
      CanonicalPorts({{9, 9}, {1, 3}, {4, 5}, {2, 2}, {65535, 65535}}),
      ElementsAre(PortRange{1, 5}, PortRange{9, 9}, PortRange{65535, 65535}));
  EXPECT_THAT(CheckBindPorts({{1, 5}, {7, 65535}}), IsOk());
  EXPECT_THAT(CheckBindPorts({{1, 5}, {6, 7}}),
              StatusIs(kInvalidArgument,
                       "ports[1]: 6-7: is not in order, or touches the one "
                       "before"));
  EXPECT_THAT(CheckBindPorts({{0, 5}}),
              StatusIs(kInvalidArgument,
                       "ports[0]: 0-5: port 0 stands for any free port"));
}

TEST(Selectors, AreNamesPrefixesClassesOrAll) {
  for (const absl::string_view good :
       {"tun0", "wwan*", "@vpn", "*", "a", "fifteen-letters", "eth0.100"}) {
    EXPECT_THAT(CheckSelector(good), IsOk()) << good;
  }
  for (const absl::string_view bad :
       {"", "sixteen--letters", "a b", "a/b", "a:b", ".", "..", "@", "@Vpn",
        "a*b", "**", "\xc3\xa9"}) {
    EXPECT_THAT(CheckSelector(bad), StatusIs(kInvalidArgument)) << bad;
  }
  EXPECT_TRUE(MatchesPattern("wwan*", "wwan0"));
  EXPECT_TRUE(MatchesPattern("wwan*", "wwan"));
  EXPECT_FALSE(MatchesPattern("wwan*", "wlan0"));
  EXPECT_FALSE(MatchesPattern("wwan", "wwan0"));
}

TEST(Settings, OfProfileAndroidAreAndroids) {
  const Settings android = SettingsOf(Profile::kAndroid);
  EXPECT_EQ(android.uids_per_user, 100000u);
  EXPECT_EQ(android.exempt_below, 10000u);
  EXPECT_EQ(android.no_owner, NoOwnerRule::kRoot);
  EXPECT_EQ(android.closing_packets, ClosingPackets::kPassAll);
  EXPECT_EQ(android.resolver, (Resolver{Uid{1051}, 0xffffff82}));
  EXPECT_THAT(CheckSettings(android), IsOk());
  EXPECT_EQ(SettingsOf(Profile::kLinux), Settings());
  Settings all_exempt;
  all_exempt.uids_per_user = 10;
  all_exempt.exempt_below = 10;
  EXPECT_THAT(CheckSettings(all_exempt),
              StatusIs(kInvalidArgument,
                       "exempt_below: 10 exempts every uid, as there are 10 "
                       "of each user"));
  Settings no_tag;
  no_tag.resolver = Resolver{Uid{5}, 0};
  EXPECT_THAT(CheckSettings(no_tag),
              StatusIs(kInvalidArgument, "resolver.tag: 0 is no tag"));
}

}  // namespace
}  // namespace netpolicy
