#include "libpolicy/model/random_policy.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace netpolicy::testing {
namespace {

// More than there can be, but only a test of thousands of changes gets there.
constexpr uint32_t kOwnChains = 40;

template <typename T>
T Either(Random& random, T a, T b) {
  return Below(random, 2) == 0 ? a : b;
}

template <typename T>
absl::optional<T> Maybe(Random& random, T a, T b) {
  if (Below(random, 3) == 0) return absl::nullopt;
  return Either(random, a, b);
}

// Mostly of a chain that there is.
std::string ChainName(Random& random, const Policy& policy) {
  if (Below(random, 6) == 0) {
    return absl::StrCat("own_", Below(random, kOwnChains));
  }
  const auto chains = policy.chains();
  return chains[Below(random, static_cast<uint32_t>(chains.size()))].name;
}

Selectors RandomSelectors(Random& random) {
  constexpr const char* kSelectors[] = {"tun0", "wlan*", "@vpn", "*", "eth0"};
  Selectors selectors(1 + Below(random, 2));
  for (std::string& selector : selectors) {
    selector = kSelectors[Below(random, 5)];
  }
  return selectors;
}

NetworkRule RandomRule(Random& random) {
  constexpr const char* kPrefixes[] = {"10.0.0.0/8", "10.1.2.3", "0.0.0.0/0",
                                       "2001:db8::/32", "::/0"};
  NetworkRule rule;
  rule.action = Either(random, Action::kAllow, Action::kDeny);
  if (Below(random, 4) != 0) {
    rule.prefix = *ParseIpPrefix(kPrefixes[Below(random, 5)]);
  }
  rule.protocol = Either<uint8_t>(random, 0, 6);
  const uint16_t port = static_cast<uint16_t>(Below(random, 100));
  if (Below(random, 2) == 0) rule.ports = {port, port};
  rule.direction = static_cast<RuleDirection>(Below(random, 3));
  if (Below(random, 2) == 0) rule.interface = "wlan*";
  return rule;
}

absl::optional<Uid> RandomOwner(Random& random) {
  if (Below(random, 3) == 0) return absl::nullopt;
  return RandomUid(random);
}

}  // namespace

uint32_t Below(Random& random, uint32_t limit) {
  return static_cast<uint32_t>(random() % limit);
}

Uid RandomUid(Random& random) {
  switch (Below(random, 8)) {
    case 0:
      return Uid{Below(random, 3)};
    case 1:
      return Uid{ToInt(kMaxUid) - Below(random, 3)};
    default:
      return Uid{10000 + Below(random, 30)};
  }
}

Change RandomChange(Random& random, const Policy& policy) {
  const std::string name = ChainName(random, policy);
  switch (Below(random, 12)) {
    case 0:
      return SetDefaultRule{Either(random, Action::kAllow, Action::kDeny)};
    case 1:
      return SetDefaultInternet{
          Either(random, Permission::kGranted, Permission::kRevoked)};
    case 2:
      return DefineChain{
          absl::StrCat("own_", Below(random, kOwnChains)),
          Either(random, ChainSense::kAllowlist, ChainSense::kDenylist)};
    case 3:
      return Below(random, 3) == 0 ? Change(RemoveChain{name})
                                   : SetChainEnabled{name, Switch::kOn};
    case 4:
    case 5:
      return SetChainEnabled{name, Either(random, Switch::kOff, Switch::kOn)};
    case 6: {
      std::vector<Uid> uids(Below(random, 6));
      for (Uid& uid : uids) uid = RandomUid(random);
      return ReplaceChain{name, uids};
    }
    case 7:
    case 8:
      return SetChainMember{name, RandomUid(random),
                            Either(random, Switch::kOff, Switch::kOn)};
    case 9:
      return SetUidRule{RandomUid(random),
                        Maybe(random, Action::kAllow, Action::kDeny)};
    case 10:
      return SetInternet{RandomUid(random), Maybe(random, Permission::kGranted,
                                                  Permission::kRevoked)};
    default:
      return ClearUid{RandomUid(random)};
  }
}

Change RandomNetworkChange(Random& random) {
  switch (Below(random, 19)) {
    case 0: {
      SetSettings change;
      change.settings.uids_per_user = Below(random, 2) * 1000;
      change.settings.exempt_below = Below(random, 3);
      change.settings.no_owner = static_cast<NoOwnerRule>(Below(random, 3));
      change.settings.closing_packets =
          static_cast<ClosingPackets>(Below(random, 3));
      if (Below(random, 2) == 0) {
        change.settings.resolver = Resolver{RandomUid(random), 1};
      }
      return change;
    }
    case 1:
      return SetProfile{Either(random, Profile::kLinux, Profile::kAndroid)};
    case 2:
      return SetDefaultLockdown{Either(random, Switch::kOff, Switch::kOn)};
    case 3:
      return SetDefaultLocalNetwork{
          Either(random, Permission::kGranted, Permission::kRevoked)};
    case 4:
      return SetDefaultInterfaces{
          Below(random, 2) == 0 ? Selectors() : RandomSelectors(random)};
    case 5:
      return SetInterface{{Below(random, 2) == 0 ? "wlan0" : "tun*",
                           Maybe(random, Switch::kOff, Switch::kOn),
                           {"vpn"}}};
    case 6:
      return RemoveInterface{"wlan0"};
    case 7:
      return SetUidInterfaces{RandomUid(random), Below(random, 2) == 0
                                                     ? Selectors()
                                                     : RandomSelectors(random)};
    case 8:
      return SetLockdown{RandomUid(random),
                         Maybe(random, Switch::kOff, Switch::kOn)};
    case 9:
      return SetLocalNetworkAccess{
          RandomUid(random),
          Maybe(random, Permission::kGranted, Permission::kRevoked)};
    case 10:
      return SetUpdateDeviceStats{
          RandomUid(random),
          Either(random, Permission::kGranted, Permission::kRevoked)};
    case 11: {
      // In order, as messages keep them.
      NetworkRules rules(Below(random, 4));
      for (NetworkRule& rule : rules) rule = RandomRule(random);
      return SetNetworkRules{RandomOwner(random), CanonicalRules(rules)};
    }
    case 12:
    case 13:
      return AddNetworkRule{RandomOwner(random), RandomRule(random)};
    case 14:
      return RemoveNetworkRule{RandomOwner(random), RandomRule(random)};
    case 15:
      return SetIngressDiscard{
          {*ParseAddress("10.8.0.2"), Canonical(RandomSelectors(random))}};
    case 16:
      return RemoveIngressDiscard{*ParseAddress("10.8.0.2")};
    case 17: {
      NetworkRule rule = RandomRule(random);
      rule.prefix = *ParseIpPrefix("192.168.0.0/16");
      rule.direction = RuleDirection::kBoth;
      rule.interface = "wlan0";
      if (Below(random, 4) == 0) return RemoveLocalNetworkRule{rule};
      return SetLocalNetworkRule{rule};
    }
    default: {
      const uint16_t port = static_cast<uint16_t>(1 + Below(random, 65000));
      if (Below(random, 4) == 0) return SetBlockedBindPorts{};
      return SetBlockedBindPorts{
          {{port, static_cast<uint16_t>(port + Below(random, 500))}}};
    }
  }
}

Policy RandomNetworkPolicy(Random& random) {
  Policy policy = RandomPolicy(random);
  const uint32_t changes = Below(random, 40);
  for (uint32_t i = 0; i < changes; ++i) {
    PolicyEdit edit(policy);
    edit.Apply(RandomNetworkChange(random)).IgnoreError();
    PolicyEdit::ApplyDelta(edit.Delta(), policy);
  }
  return policy;
}

Policy RandomPolicy(Random& random) {
  Policy policy;
  const uint32_t changes = Below(random, 60);
  for (uint32_t i = 0; i < changes; ++i) {
    PolicyEdit edit(policy);
    // Those that do not apply change nothing.
    edit.Apply(RandomChange(random, policy)).IgnoreError();
    PolicyEdit::ApplyDelta(edit.Delta(), policy);
  }
  return policy;
}

}  // namespace netpolicy::testing
