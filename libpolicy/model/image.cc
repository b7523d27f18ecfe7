#include "libpolicy/model/image.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/model/reason.h"
#include "libpolicy/model/text.h"

namespace netpolicy {
namespace {

constexpr uint64_t kUidRule = NP_REASON_BIT(NP_REASON_UID_RULE);
constexpr uint64_t kInternet = NP_REASON_BIT(NP_REASON_INTERNET_PERMISSION);

uint32_t StatedFlags(const UidPolicy& policy) {
  uint32_t stated = 0;
  if (policy.rule.has_value()) {
    stated |= *policy.rule == Action::kAllow ? NP_STATED_RULE_ALLOW
                                             : NP_STATED_RULE_DENY;
  }
  if (policy.internet.has_value()) {
    stated |= *policy.internet == Permission::kGranted
                  ? NP_STATED_INTERNET_GRANTED
                  : NP_STATED_INTERNET_REVOKED;
  }
  if (policy.lockdown.has_value()) {
    stated |= *policy.lockdown == Switch::kOn ? NP_STATED_LOCKDOWN_ON
                                              : NP_STATED_LOCKDOWN_OFF;
  }
  if (policy.local_network.has_value()) {
    stated |= *policy.local_network == Permission::kGranted
                  ? NP_STATED_LOCAL_NETWORK_GRANTED
                  : NP_STATED_LOCAL_NETWORK_REVOKED;
  }
  if (policy.update_device_stats == Permission::kGranted) {
    stated |= NP_STATED_UPDATE_DEVICE_STATS;
  }
  if (!policy.interfaces.empty()) stated |= NP_STATED_INTERFACES;
  if (!policy.network_rules.empty()) stated |= NP_STATED_NETWORK_RULES;
  return stated;
}

std::string ReasonNames(uint64_t bits, const ChainNames& chains) {
  if (bits == 0) return "-";
  return absl::StrJoin(
      ReasonSet(bits).numbers(), " ", [&](std::string* out, int reason) {
        // The length is bounded: text of an image nobody checked must not run
        // past the name.
        const np_chain& chain = chains[static_cast<size_t>(reason)];
        const size_t length = strnlen(chain.name, sizeof(chain.name));
        if (length == 0) {
          out->append(ReasonName(reason));
        } else {
          out->append(chain.name, length);
        }
      });
}

std::string StatedNames(uint32_t stated) {
  constexpr struct {
    uint32_t flag;
    const char* name;
  } kFlags[] = {
      {NP_STATED_RULE_ALLOW, "rule=allow"},
      {NP_STATED_RULE_DENY, "rule=deny"},
      {NP_STATED_INTERNET_GRANTED, "internet=granted"},
      {NP_STATED_INTERNET_REVOKED, "internet=revoked"},
      {NP_STATED_LOCKDOWN_ON, "lockdown=on"},
      {NP_STATED_LOCKDOWN_OFF, "lockdown=off"},
      {NP_STATED_LOCAL_NETWORK_GRANTED, "local_network=granted"},
      {NP_STATED_LOCAL_NETWORK_REVOKED, "local_network=revoked"},
      {NP_STATED_UPDATE_DEVICE_STATS, "update_device_stats"},
      {NP_STATED_INTERFACES, "interfaces"},
      {NP_STATED_NETWORK_RULES, "network_rules"},
  };
  std::vector<std::string> names;
  for (const auto& flag : kFlags) {
    if (stated & flag.flag) names.push_back(flag.name);
  }
  return names.empty() ? "-" : absl::StrJoin(names, " ");
}

}  // namespace

np_policy_config CompileConfig(const PolicyDefaults& defaults,
                               absl::Span<const Chain> chains,
                               const NetworkPolicy& network,
                               const NetworkNumbers& numbers) {
  np_policy_config config = {};
  config.enabled = kUidRule | kInternet;
  config.not_on_loopback = NP_REASON_BIT(NP_REASON_BACKGROUND);
  config.at_socket = kInternet;
  config.metered_only = NP_REASON_BIT(NP_REASON_DATA_SAVER) |
                        NP_REASON_BIT(NP_REASON_METERED_DENY_USER) |
                        NP_REASON_BIT(NP_REASON_METERED_DENY_ADMIN);
  if (defaults.rule == Action::kDeny) config.allowlists |= kUidRule;
  if (defaults.internet == Permission::kRevoked) config.allowlists |= kInternet;
  for (const Chain& chain : chains) {
    const uint64_t bit = NP_REASON_BIT(chain.number);
    if (chain.enabled == Switch::kOn) config.enabled |= bit;
    if (chain.sense == ChainSense::kAllowlist) config.allowlists |= bit;
  }
  CompileNetworkConfig(defaults, network, numbers, config);
  return config;
}

ChainNames CompileChains(absl::Span<const Chain> chains) {
  ChainNames names = {};
  for (const Chain& chain : chains) {
    np_chain& entry = names[static_cast<size_t>(chain.number)];
    chain.name.copy(entry.name, sizeof(entry.name) - 1);
  }
  return names;
}

np_uid_policy CompileUid(Uid uid, const UidPolicy& policy,
                         const PolicyDefaults& defaults,
                         const SelectorNumbers& selectors,
                         uint32_t network_set) {
  np_uid_policy entry = {};
  entry.rules = policy.chains;
  if (policy.rule.value_or(defaults.rule) != defaults.rule) {
    entry.rules |= kUidRule;
  }
  if (policy.internet.value_or(defaults.internet) != defaults.internet) {
    entry.rules |= kInternet;
  }
  if (policy.lockdown.value_or(defaults.lockdown) != defaults.lockdown) {
    entry.rules |= NP_REASON_BIT(NP_REASON_LOCKDOWN_VPN);
  }
  if (policy.local_network.value_or(defaults.local_network) !=
      defaults.local_network) {
    entry.rules |= NP_REASON_BIT(NP_REASON_LOCAL_NETWORK);
  }
  if (!policy.interfaces.empty() && defaults.interfaces.empty()) {
    entry.rules |= NP_REASON_BIT(NP_REASON_INTERFACE_RULE);
  }
  entry.interfaces = selectors.Mask(policy.interfaces);
  entry.network_set = network_set;
  entry.uid = ToInt(uid);
  entry.stated = StatedFlags(policy);
  return entry;
}

absl::StatusOr<MapImage> Compile(const Policy& policy) {
  NetworkNumbers numbers;
  NP_ASSIGN_OR_RETURN(numbers.selectors, SelectorNumbers().Renumber(policy));
  const NetworkRules& default_rules = policy.defaults().network_rules;
  uint32_t sets = 0;
  MapImage image;
  const auto add_set = [&](const NetworkRules& own,
                           const NetworkRules& defaults) -> absl::Status {
    NP_ASSIGN_OR_RETURN(image.sets[sets + 1],
                        CompileRuleSet(own, defaults, numbers.selectors));
    ++sets;
    return absl::OkStatus();
  };
  if (!default_rules.empty()) {
    NP_RETURN_IF_ERROR(add_set({}, default_rules));
    numbers.default_set = sets;
  }
  if (!policy.network().local_network.empty()) {
    NP_RETURN_IF_ERROR(add_set(policy.network().local_network, {}));
    numbers.local_set = sets;
  }
  std::vector<std::pair<const NetworkRules*, uint32_t>> known;
  for (const auto& [uid, value] : policy.uids()) {
    uint32_t set = 0;
    if (!value.network_rules.empty()) {
      const auto found = std::find_if(
          known.begin(), known.end(), [&value = value](const auto& each) {
            return *each.first == value.network_rules;
          });
      if (found != known.end()) {
        set = found->second;
      } else {
        NP_RETURN_IF_ERROR(add_set(value.network_rules, default_rules));
        set = sets;
        known.emplace_back(&value.network_rules, set);
      }
    }
    image.uids.emplace_hint(
        image.uids.end(), uid,
        CompileUid(uid, value, policy.defaults(), numbers.selectors, set));
  }
  image.config = CompileConfig(policy.defaults(), policy.chains(),
                               policy.network(), numbers);
  image.chains = CompileChains(policy.chains());
  image.interfaces =
      CompileInterfaces(policy.network().interfaces, numbers.selectors, 0);
  image.discards =
      CompileDiscards(policy.network().ingress_discard, numbers.selectors, 0);
  image.source = SerializeSource(policy, numbers.selectors);
  return image;
}

absl::StatusOr<Policy> Decompile(const MapImage& image) {
  std::vector<np_uid_policy> uids;
  uids.reserve(image.uids.size());
  for (const auto& [uid, entry] : image.uids) uids.push_back(entry);
  return Decompile(image.config, image.chains, uids, image.source);
}

std::string ImageToText(const MapImage& image) {
  std::string text = "np_policy_config\n";
  const np_policy_config& config = image.config;
  const struct {
    absl::string_view name;
    uint64_t bits;
  } words[] = {
      {"enabled", config.enabled},
      {"allowlists", config.allowlists},
      {"not_on_loopback", config.not_on_loopback},
      {"metered_only", config.metered_only},
      {"at_socket", config.at_socket},
      {"icmp6_passes", config.icmp6_passes},
      {"closing_passes", config.closing_passes},
      {"resolver_passes", config.resolver_passes},
  };
  // Of rules that there are.
  const uint64_t known = config.enabled | config.allowlists |
                         config.not_on_loopback | config.metered_only |
                         config.at_socket;
  for (const auto& word : words) {
    absl::StrAppendFormat(&text, "  %-15s  0x%016x  %s\n", word.name, word.bits,
                          ReasonNames(word.bits & known, image.chains));
  }
  text.append("np_chain\n");
  for (int number = 0; number < NP_REASONS; ++number) {
    const uint64_t bit = NP_REASON_BIT(number);
    const np_chain& chain = image.chains[static_cast<size_t>(number)];
    if (chain.name[0] == '\0') continue;
    absl::StrAppendFormat(&text, "  %2d  %s\n", number,
                          ReasonNames(bit, image.chains));
  }
  text.append("np_uid_policy\n");
  for (auto it = image.uids.begin(); it != image.uids.end();) {
    const np_uid_policy& entry = it->second;
    UidRange range{it->first, it->first};
    for (++it;
         it != image.uids.end() && ToInt(it->first) == ToInt(range.last) + 1 &&
         it->second.rules == entry.rules && it->second.stated == entry.stated;
         ++it) {
      range.last = it->first;
    }
    absl::StrAppendFormat(
        &text, "  %s  rules: %s  stated: %s\n", UidRangeName(range),
        ReasonNames(entry.rules, image.chains), StatedNames(entry.stated));
  }
  return text;
}

}  // namespace netpolicy
