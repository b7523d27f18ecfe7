#include "libpolicy/model/explain.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "bpf_progs/abi/reason.h"
#include "libpolicy/model/text.h"

namespace netpolicy {
namespace {

bool Selects(absl::string_view selector,
             const std::vector<Interface>& interfaces,
             const std::string& name) {
  if (selector == "*") return true;
  if (name.empty()) return false;
  if (selector[0] != '@') return MatchesPattern(selector, name);
  for (const Interface& interface : interfaces) {
    if (!MatchesPattern(interface.name, name)) continue;
    for (const std::string& each : interface.classes) {
      if (each == selector.substr(1)) return true;
    }
  }
  return false;
}

bool Matches(const NetworkRule& rule, const std::vector<Interface>& interfaces,
             const PacketFacts& packet) {
  if (!Contains(rule.prefix, packet.remote)) return false;
  if (rule.protocol != 0 && rule.protocol != packet.protocol) return false;
  if (rule.direction != RuleDirection::kBoth &&
      rule.direction != packet.direction) {
    return false;
  }
  if (rule.ports != kAnyPort) {
    if (!HasPorts(packet.protocol)) return false;
    if (!packet.remote_port.has_value()) {
      if (rule.action == Action::kAllow) return false;
    } else if (*packet.remote_port < rule.ports.first ||
               *packet.remote_port > rule.ports.last) {
      return false;
    }
  }
  return rule.interface.empty() ||
         Selects(rule.interface, interfaces, packet.interface);
}

// Why by networks and interfaces; empty when the policy does not give `uid` the
// reason.
std::string ExplainNetworkReason(const Policy& policy, Uid uid, int reason,
                                 const std::string& who,
                                 const absl::optional<PacketFacts>& packet) {
  const UidPolicy& own = policy.Find(uid);
  const PolicyDefaults& defaults = policy.defaults();
  const NetworkPolicy& network = policy.network();
  const Selectors& interfaces =
      own.interfaces.empty() ? defaults.interfaces : own.interfaces;
  const std::string allowed =
      interfaces.empty()
          ? "no interface"
          : absl::StrCat("interfaces ", absl::StrJoin(interfaces, " "),
                         " only");
  switch (reason) {
    case NP_REASON_LOCKDOWN_VPN:
      if (own.lockdown.value_or(defaults.lockdown) == Switch::kOff) return "";
      return absl::StrCat(who, " is locked down",
                          own.lockdown.has_value() ? "" : " by default",
                          ", and may use ", allowed);
    case NP_REASON_INTERFACE_RULE:
      if (interfaces.empty()) return "";
      return absl::StrCat(who, " may use ", allowed,
                          own.interfaces.empty() ? ", by default" : "");
    case NP_REASON_INGRESS_DISCARD:
      if (network.ingress_discard.empty()) return "";
      return "ingress_discard keeps the address to other interfaces";
    case NP_REASON_LOCAL_NETWORK: {
      if (network.local_network.empty() ||
          own.local_network.value_or(defaults.local_network) ==
              Permission::kGranted) {
        return "";
      }
      const NetworkRule* rule =
          packet.has_value()
              ? FirstMatch(network.local_network, network.interfaces, *packet)
              : nullptr;
      return absl::StrCat(who, " has no access to local_network",
                          rule == nullptr
                              ? ""
                              : absl::StrCat("[", NetworkRuleText(*rule), "]"));
    }
    case NP_REASON_NETWORK_RULE: {
      if (own.network_rules.empty() && defaults.network_rules.empty()) {
        return "";
      }
      if (!packet.has_value()) {
        return absl::StrCat(who, " has network_rules that deny");
      }
      const NetworkRule* rule =
          FirstMatch(own.network_rules, network.interfaces, *packet);
      if (rule != nullptr) {
        return absl::StrCat(who, " network_rules[", NetworkRuleText(*rule),
                            "]");
      }
      rule = FirstMatch(defaults.network_rules, network.interfaces, *packet);
      if (rule == nullptr) return "";
      return absl::StrCat("defaults.network_rules[", NetworkRuleText(*rule),
                          "]");
    }
    case NP_REASON_BIND_PORT:
      if (network.blocked_bind_ports.empty()) return "";
      return "the port is one of blocked_bind_ports";
    case NP_REASON_NO_OWNER:
      if (network.settings.no_owner != NoOwnerRule::kDeny) return "";
      return "no application owns the packet, and settings.no_owner is deny";
    default:
      return "";
  }
}

}  // namespace

const NetworkRule* FirstMatch(const NetworkRules& rules,
                              const std::vector<Interface>& interfaces,
                              const PacketFacts& packet) {
  for (const NetworkRule& rule : rules) {
    if (Matches(rule, interfaces, packet)) return &rule;
  }
  return nullptr;
}

std::string ExplainReason(const Policy& policy, Uid uid, int reason,
                          const absl::optional<PacketFacts>& packet) {
  const std::string who = uid == kNoOwner ? "a packet without an owner"
                                          : absl::StrCat("uid ", ToInt(uid));
  const UidPolicy own = policy.Find(uid);
  const PolicyDefaults& defaults = policy.defaults();

  if (reason == NP_REASON_UID_RULE) {
    if (own.rule == absl::optional<Action>(Action::kDeny)) {
      return absl::StrCat(who, " is denied by its own rule");
    }
    if (!own.rule.has_value() && defaults.rule == Action::kDeny) {
      return absl::StrCat("the default rule is deny and ", who,
                          " has no rule of its own");
    }
  } else if (reason == NP_REASON_INTERNET_PERMISSION) {
    if (own.internet == absl::optional<Permission>(Permission::kRevoked)) {
      return absl::StrCat(who, " has no internet permission, by its own entry");
    }
    if (!own.internet.has_value() &&
        defaults.internet == Permission::kRevoked) {
      return absl::StrCat(who, " has no internet permission, by default");
    }
  } else if (const Chain* chain = policy.FindChain(reason);
             chain != nullptr && chain->enabled == Switch::kOn) {
    const bool listed = (own.chains & NP_REASON_BIT(reason)) != 0;
    if (listed == (chain->sense == ChainSense::kDenylist)) {
      return absl::StrCat(who, listed ? " is listed in " : " is not listed in ",
                          ChainSenseName(chain->sense), " ", chain->name,
                          ", which is on");
    }
  } else if (std::string text =
                 ExplainNetworkReason(policy, uid, reason, who, packet);
             !text.empty()) {
    return text;
  }
  return absl::StrCat("the policy does not give ", who, " the reason ",
                      policy.ReasonName(reason));
}

}  // namespace netpolicy
