// What policies say of interfaces, networks and the machine, through documents,
// changes, messages and texts.

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/model/document.h"
#include "libpolicy/model/edit.h"
#include "libpolicy/model/image.h"
#include "libpolicy/model/random_policy.h"
#include "libpolicy/model/wire.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy {
namespace {

using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::IsOkAndHolds;
using ::netpolicy::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr auto kInvalidArgument = absl::StatusCode::kInvalidArgument;
constexpr auto kNotFound = absl::StatusCode::kNotFound;

constexpr absl::string_view kEverything = R"({
  "version": 1,
  "settings": {"uids_per_user": 1000, "exempt_below": 5, "no_owner": "deny",
               "closing_packets": "judged", "resolver": {"uid": 0, "tag": 7}},
  "defaults": {"rule": "allow", "internet": true, "local_network": false,
               "lockdown": true, "interfaces": ["tun0", "*", "@vpn"],
               "network_rules": [{"action": "allow"}]},
  "interfaces": [{"name": "wwan*", "metered": true, "classes": ["b", "a"]}],
  "chains": [{"name": "metered_allow", "enabled": true, "uids": [10007]}],
  "uids": [{"uid": "10007-10008", "update_device_stats": true, "lockdown": false,
            "local_network": true, "interfaces": ["@vpn"],
            "network_rules": [
              {"action": "deny", "prefix": "10.0.0.0/8", "protocol": "tcp",
               "ports": "1-1023", "direction": "out", "interface": "wlan0"},
              {"action": "allow", "prefix": "2001:db8::1", "protocol": 99}]}],
  "ingress_discard": [{"address": "10.8.0.2", "interfaces": ["tun0"]}],
  "local_network": [{"interface": "wlan0", "prefix": "192.168.0.0/16",
                     "protocol": "udp", "ports": 53, "action": "allow"},
                    {"interface": "wlan0", "prefix": "192.168.0.0/16"}],
  "blocked_bind_ports": ["8000-8010", 5353, 8011]
})";

Policy Parse(absl::string_view text) {
  const absl::StatusOr<PolicyDocument> document = ParsePolicyJson(text, "p");
  EXPECT_THAT(document, IsOk());
  if (!document.ok()) return Policy();
  const absl::StatusOr<Policy> policy = Validate(*document);
  EXPECT_THAT(policy, IsOk());
  return policy.ok() ? *policy : Policy();
}

std::string RuleTexts(const NetworkRules& rules) {
  std::string text;
  for (const NetworkRule& rule : rules) text += NetworkRuleText(rule) + "\n";
  return text;
}

// An entry that is there for its classes says nothing of money: a wider one's
// word holds.
TEST(Document, ClassesAloneDoNotSayWhetherMetered) {
  const Policy policy = Parse(R"({"version": 1, "interfaces": [
      {"name": "wwan*", "metered": true},
      {"name": "wwan0", "classes": ["cellular"]},
      {"name": "wwan1", "metered": false}]})");
  ASSERT_THAT(policy.network().interfaces, SizeIs(3));
  EXPECT_EQ(policy.network().interfaces[1].metered, absl::nullopt);
  EXPECT_EQ(policy.network().interfaces[2].metered, Switch::kOff);
  const MapImage image = Compile(policy).value();
  std::map<std::string, int> metered;
  for (const auto& [key, value] : image.interfaces) {
    metered[key.name] = value.metered;
  }
  EXPECT_EQ(metered, (std::map<std::string, int>{
                         {"wwan", 1}, {"wwan0", 1}, {"wwan1", 0}}));
  // It is written as it was read, as JSON and in the store.
  EXPECT_EQ(Parse(ToJson(ToDocument(policy))), policy);
}

TEST(Document, SaysEverythingOfNetworks) {
  const Policy policy = Parse(kEverything);
  EXPECT_EQ(policy.network().settings,
            (Settings{.uids_per_user = 1000,
                      .exempt_below = 5,
                      .no_owner = NoOwnerRule::kDeny,
                      .closing_packets = ClosingPackets::kJudged,
                      .resolver = Resolver{Uid{0}, 7}}));
  EXPECT_EQ(policy.defaults().local_network, Permission::kRevoked);
  EXPECT_EQ(policy.defaults().lockdown, Switch::kOn);
  EXPECT_THAT(policy.defaults().interfaces, ElementsAre("*", "@vpn", "tun0"));
  EXPECT_EQ(RuleTexts(policy.defaults().network_rules), "allow any\n");
  ASSERT_THAT(policy.network().interfaces, SizeIs(1));
  EXPECT_EQ(policy.network().interfaces[0],
            (Interface{"wwan*", Switch::kOn, {"a", "b"}}));
  EXPECT_EQ(policy.FindChain("metered_allow")->enabled, Switch::kOn);
  // Not mentioned: they are on by default.
  EXPECT_EQ(policy.FindChain("metered_deny_user")->enabled, Switch::kOn);
  const UidPolicy& uid = policy.Find(Uid{10008});
  EXPECT_EQ(uid.update_device_stats, Permission::kGranted);
  EXPECT_EQ(uid.lockdown, Switch::kOff);
  EXPECT_EQ(uid.local_network, Permission::kGranted);
  EXPECT_THAT(uid.interfaces, ElementsAre("@vpn"));
  EXPECT_EQ(RuleTexts(uid.network_rules),
            "allow 2001:db8::1 99\n"
            "deny 10.0.0.0/8 tcp 1-1023 out on wlan0\n");
  ASSERT_THAT(policy.network().ingress_discard, SizeIs(1));
  EXPECT_EQ(AddressText(policy.network().ingress_discard[0].address),
            "10.8.0.2");
  EXPECT_EQ(RuleTexts(policy.network().local_network),
            "allow 192.168.0.0/16 udp 53 on wlan0\n"
            "deny 192.168.0.0/16 on wlan0\n");
  EXPECT_THAT(policy.network().blocked_bind_ports,
              ElementsAre(PortRange{5353, 5353}, PortRange{8000, 8011}));
}

TEST(Document, ComesBackFromThePolicyAndFromMessages) {
  const Policy policy = Parse(kEverything);
  const std::string json = ToJson(ToDocument(policy));
  EXPECT_EQ(Parse(json), policy) << json;
  EXPECT_EQ(ToJson(ToDocument(Parse(json))), json);
  EXPECT_THAT(FromProto(ToProto(policy)), IsOkAndHolds(policy));
  const PolicyDelta delta = Diff(Policy(), policy);
  EXPECT_THAT(FromProto(ToProto(delta)), IsOkAndHolds(delta));
}

TEST(Document, ComesBackFromAnyPolicy) {
  testing::Random random(1);
  for (int round = 0; round < 300; ++round) {
    const Policy policy = testing::RandomNetworkPolicy(random);
    const std::string json = ToJson(ToDocument(policy));
    // Up to the numbers of chains.
    ASSERT_TRUE(Diff(policy, Parse(json)).empty()) << json;
  }
}

TEST(Document, TakesASettingBeforeTheProfile) {
  const Policy policy = Parse(
      R"({"version": 1, "profile": "android", "settings": {"exempt_below": 0}})");
  Settings expected = SettingsOf(Profile::kAndroid);
  expected.exempt_below = 0;
  EXPECT_EQ(policy.network().settings, expected);
  EXPECT_EQ(Parse(ToJson(ToDocument(policy))), policy);
  const Policy android = Parse(R"({"version": 1, "profile": "android"})");
  EXPECT_EQ(ToDocument(android).profile(), proto::PROFILE_ANDROID);
  EXPECT_FALSE(ToDocument(android).has_settings());
}

TEST(Document, SaysWhereFaultsAre) {
  const struct {
    absl::string_view text;
    absl::string_view message;
  } kRows[] = {
      {"'interfaces': [{'name': 'a b'}]",
       "interfaces[0].name: \"a b\": is no name of an interface, of 1 to 15 "
       "characters, and no PREFIX*"},
      {"'interfaces': [{'name': 'a'}, {'name': 'a'}]",
       "interfaces[1].name: a is already interfaces[0]"},
      {"'uids': [{'uid': 1, 'network_rules': [{'prefix': '10.0.0.0/8'}]}]",
       "uids[0].network_rules[0].action: is missing"},
      {"'uids': [{'uid': 1, 'network_rules': [{'action': 'deny'}, "
       "{'action': 'deny', 'prefix': '10.0.0.1/8'}]}]",
       "uids[0].network_rules[1].prefix: \"10.0.0.1/8\": has bits beyond its "
       "length, unlike 10.0.0.0/8"},
      {"'uids': [{'uid': 1, 'network_rules': [{'action': 'deny'}, "
       "{'action': 'deny'}]}]",
       "uids[0].network_rules[1]: deny any is already "
       "uids[0].network_rules[0]"},
      {"'uids': [{'uid': 1, 'interfaces': ['@']}]",
       "uids[0].interfaces[0]: \"\": is no class, which is a letter and at "
       "most 30 of a-z, 0-9 and _"},
      {"'local_network': [{'prefix': '10.0.0.0/8'}]",
       "local_network[0].interface: is missing"},
      {"'ingress_discard': [{'address': '10.0.0.1'}]",
       "ingress_discard[0].interfaces: names none"},
      {"'blocked_bind_ports': [5, '1-9']",
       "blocked_bind_ports[1]: port 5 is already in blocked_bind_ports[0]"},
      {"'settings': {'resolver': {'uid': 5}}",
       "settings.resolver.tag: is missing"},
  };
  for (const auto& row : kRows) {
    const absl::StatusOr<PolicyDocument> document = ParsePolicyJson(
        absl::StrReplaceAll("{'version': 1, " + std::string(row.text) + "}",
                            {{"'", "\""}}),
        "p");
    ASSERT_THAT(document, IsOk()) << row.text;
    EXPECT_THAT(Validate(*document),
                StatusIs(kInvalidArgument, std::string(row.message)));
  }
}

// The policy after a change, and back over the wire on the way.
absl::Status Apply(const Change& change, Policy& policy) {
  const Transaction transaction = {change};
  EXPECT_THAT(FromProto(ToProto(transaction)), IsOkAndHolds(transaction));
  PolicyEdit edit(policy);
  if (absl::Status status = edit.Apply(change); !status.ok()) return status;
  const PolicyDelta delta = edit.Delta();
  EXPECT_THAT(FromProto(ToProto(delta)), IsOkAndHolds(delta));
  PolicyEdit::ApplyDelta(delta, policy);
  return absl::OkStatus();
}

NetworkRule Deny(absl::string_view prefix, absl::string_view interface = "") {
  NetworkRule rule;
  rule.prefix = *ParseIpPrefix(prefix);
  rule.interface = std::string(interface);
  return rule;
}

TEST(NetworkChanges, AreAppliedAndUndone) {
  Policy policy;
  const AddressBytes address = *ParseAddress("10.8.0.2");
  NetworkRule local = Deny("10.0.0.0/8", "wlan0");
  for (const Change& change : Transaction{
           SetProfile{Profile::kAndroid}, SetDefaultLockdown{Switch::kOn},
           SetDefaultLocalNetwork{Permission::kRevoked},
           SetDefaultInterfaces{{"tun0"}},
           SetInterface{{"wwan0", Switch::kOn, {"cellular"}}},
           SetUidInterfaces{Uid{7}, {"tun0", "wwan0"}},
           SetLockdown{Uid{7}, Switch::kOff},
           SetLocalNetworkAccess{Uid{7}, Permission::kGranted},
           SetUpdateDeviceStats{Uid{7}, Permission::kGranted},
           SetNetworkRules{absl::nullopt, {Deny("10.0.0.0/8")}},
           AddNetworkRule{Uid{7}, Deny("11.0.0.0/8")},
           SetIngressDiscard{{address, {"tun0"}}}, SetLocalNetworkRule{local},
           SetBlockedBindPorts{{{53, 53}}}}) {
    EXPECT_THAT(Apply(change, policy), IsOk());
  }
  EXPECT_EQ(DeltaToText(Policy(), Diff(Policy(), policy)),
            R"(~ default lockdown: off -> on
~ default local network: granted -> revoked
~ default interfaces: any -> tun0
+ default network rule deny 10.0.0.0/8
~ setting uids_per_user: 0 -> 100000
~ setting exempt_below: 0 -> 10000
~ setting no_owner: allow -> root
~ setting closing_packets: pass_chains -> pass_all
~ setting resolver: none -> uid 1051 with tag 4294967170
+ interface wwan0: metered @cellular
+ ingress discard 10.8.0.2: but over tun0
+ local network deny 10.0.0.0/8 on wlan0
~ blocked bind ports: none -> 53
+ uid 7: interfaces tun0 wwan0
+ uid 7: local network granted
+ uid 7: lockdown off
+ uid 7: network rule deny 11.0.0.0/8
+ uid 7: update_device_stats
)");
  local.action = Action::kAllow;
  EXPECT_THAT(Apply(SetLocalNetworkRule{local}, policy), IsOk());
  EXPECT_THAT(policy.network().local_network, ElementsAre(local));

  for (const Change& change : Transaction{
           SetSettings{}, SetDefaultLockdown{Switch::kOff},
           SetDefaultLocalNetwork{Permission::kGranted}, SetDefaultInterfaces{},
           RemoveInterface{"wwan0"}, SetUidInterfaces{Uid{7}, {}},
           SetLockdown{Uid{7}, absl::nullopt},
           SetLocalNetworkAccess{Uid{7}, absl::nullopt},
           SetUpdateDeviceStats{Uid{7}, Permission::kRevoked},
           RemoveNetworkRule{absl::nullopt, Deny("10.0.0.0/8")},
           SetNetworkRules{Uid{7}, {}}, RemoveIngressDiscard{address},
           RemoveLocalNetworkRule{local}, SetBlockedBindPorts{}}) {
    EXPECT_THAT(Apply(change, policy), IsOk());
  }
  EXPECT_EQ(policy, Policy());
}

TEST(NetworkChanges, ThatDoNotApplyChangeNothing) {
  Policy policy;
  const AddressBytes address = *ParseAddress("::1");
  EXPECT_THAT(
      Apply(RemoveInterface{"a"}, policy),
      StatusIs(kNotFound, "remove interface \"a\": nothing is said of it"));
  EXPECT_THAT(
      Apply(RemoveNetworkRule{Uid{7}, Deny("::1")}, policy),
      StatusIs(kNotFound, "remove deny ::1 of uid 7: there is no such rule"));
  EXPECT_THAT(
      Apply(RemoveIngressDiscard{address}, policy),
      StatusIs(kNotFound, "remove ingress discard of ::1: there is none"));
  PolicyEdit edit(policy);
  EXPECT_THAT(
      edit.Apply(SetLockdown{kNoOwner, Switch::kOn}),
      StatusIs(kInvalidArgument, "set lockdown of uid 4294967295: not a uid"));
  EXPECT_THAT(edit.Apply(SetUidInterfaces{Uid{7}, {"a b"}}),
              StatusIs(kInvalidArgument));
  EXPECT_THAT(edit.Apply(SetInterface{{"", Switch::kOff, {}}}),
              StatusIs(kInvalidArgument));
  EXPECT_THAT(edit.Apply(SetIngressDiscard{{address, {}}}),
              StatusIs(kInvalidArgument,
                       "set ingress discard of ::1: interfaces: names none"));
  EXPECT_TRUE(edit.Delta().empty());
  EXPECT_EQ(policy, Policy());
}

}  // namespace
}  // namespace netpolicy
