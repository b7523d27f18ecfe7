#include "libpolicy/model/network_image.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>
#include <set>
#include <tuple>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "bpf_progs/abi/reason.h"
#include "bpf_progs/abi/stats.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/model/edit.h"
#include "libpolicy/model/wire.h"
#include "libpolicy/proto/policy.pb.h"

namespace netpolicy {
namespace {

constexpr absl::string_view kAnyInterface = "*";
constexpr uint32_t kIpv4Length = NP_PREFIX_IPV4_BITS;

bool IsClass(absl::string_view selector) { return selector[0] == '@'; }

// What a pattern's name begins with; "wwan" for "wwan*".
absl::string_view Stem(absl::string_view pattern) {
  return absl::StripSuffix(pattern, "*");
}
bool IsPrefix(absl::string_view pattern) {
  return !pattern.empty() && pattern.back() == '*';
}

// Whether every interface that `inner` means is one that `outer` means.
bool Covers(absl::string_view outer, absl::string_view inner) {
  if (!IsPrefix(outer)) return outer == inner;
  return absl::StartsWith(Stem(inner), Stem(outer));
}

void Collect(const Selectors& selectors, std::set<std::string>& all) {
  for (const std::string& selector : selectors) {
    if (selector != kAnyInterface) all.insert(selector);
  }
}

void Collect(const NetworkRules& rules, std::set<std::string>& all) {
  for (const NetworkRule& rule : rules) {
    if (!rule.interface.empty()) Collect(Selectors{rule.interface}, all);
  }
}

np_network_rule CompileRule(const NetworkRule& rule,
                            const SelectorNumbers& numbers) {
  np_network_rule compiled = {};
  compiled.interfaces =
      rule.interface.empty() || rule.interface == kAnyInterface
          ? NP_NETWORK_ANY_INTERFACE
          : numbers.Mask({rule.interface});
  compiled.port_first = rule.ports.first;
  compiled.port_last = rule.ports.last;
  compiled.protocol = rule.protocol;
  if (rule.direction != RuleDirection::kOut) {
    compiled.directions |= 1 << NP_INGRESS;
  }
  if (rule.direction != RuleDirection::kIn) {
    compiled.directions |= 1 << NP_EGRESS;
  }
  compiled.action =
      rule.action == Action::kAllow ? NP_NETWORK_ALLOW : NP_NETWORK_DENY;
  return compiled;
}

// Nothing is asked behind such a rule.
bool MatchesAll(const np_network_rule& rule) {
  return rule.interfaces == NP_NETWORK_ANY_INTERFACE && rule.port_first == 0 &&
         rule.port_last == 0xffff && rule.protocol == 0 &&
         rule.directions == (1 << NP_INGRESS | 1 << NP_EGRESS);
}

// A place in the table of prefixes; those of IPv4 are at kIpv4Length bits or
// more, below ::ffff:0:0/96.
using Place = std::pair<uint32_t, AddressBytes>;

bool HoldsIpv4(const Place& place) {
  return place.first >= kIpv4Length && IsIpv4(place.second);
}

bool Covers(const IpPrefix& prefix, const Place& place) {
  if (prefix.family == IpFamily::kAny) return true;
  if ((prefix.family == IpFamily::kIpv4) != HoldsIpv4(place)) return false;
  return prefix.length <= place.first && Contains(prefix, place.second);
}

void AddPlaces(const NetworkRules& rules, std::set<Place>& places) {
  for (const NetworkRule& rule : rules) {
    places.emplace(rule.prefix.length, rule.prefix.address);
    // So that what is above holds no IPv4 address.
    if (rule.prefix.family != IpFamily::kIpv4) {
      places.emplace(kIpv4Length, MappedAddress({}));
    }
  }
}

}  // namespace

absl::StatusOr<SelectorNumbers> SelectorNumbers::Renumber(
    const Policy& policy) const {
  std::set<std::string> used;
  Collect(policy.defaults().interfaces, used);
  Collect(policy.defaults().network_rules, used);
  Collect(policy.network().local_network, used);
  for (const IngressDiscard& discard : policy.network().ingress_discard) {
    Collect(discard.interfaces, used);
  }
  for (const auto& [uid, entry] : policy.uids()) {
    Collect(entry.interfaces, used);
    Collect(entry.network_rules, used);
  }
  if (used.size() > NP_SELECTORS) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "commit policy: ", used.size(), " selectors of interfaces, room for ",
        static_cast<int>(NP_SELECTORS)));
  }
  SelectorNumbers next = *this;
  for (std::string& name : next.names_) {
    if (used.erase(name) == 0) name.clear();
  }
  for (const std::string& name : used) {
    const auto free = std::find(next.names_.begin(), next.names_.end(), "");
    if (free == next.names_.end()) {
      next.names_.push_back(name);
    } else {
      *free = name;
    }
  }
  while (!next.names_.empty() && next.names_.back().empty()) {
    next.names_.pop_back();
  }
  return next;
}

uint64_t SelectorNumbers::Mask(const Selectors& selectors) const {
  uint64_t mask = 0;
  for (const std::string& selector : selectors) {
    if (selector == kAnyInterface) {
      mask |= NP_SELECTOR_ANY;
      continue;
    }
    const auto found = std::find(names_.begin(), names_.end(), selector);
    if (found != names_.end()) mask |= 1ULL << (found - names_.begin());
  }
  return mask;
}

std::vector<std::pair<np_interface_key, np_interface>> CompileInterfaces(
    const std::vector<Interface>& interfaces, const SelectorNumbers& numbers,
    uint32_t slot) {
  std::set<std::string> patterns;
  for (const Interface& interface : interfaces) patterns.insert(interface.name);
  for (const std::string& selector : numbers.names()) {
    if (!selector.empty() && !IsClass(selector)) patterns.insert(selector);
  }
  std::vector<std::pair<np_interface_key, np_interface>> entries;
  for (const std::string& pattern : patterns) {
    np_interface value = {};
    const Interface* closest = nullptr;
    std::set<std::string> classes;
    for (const Interface& interface : interfaces) {
      if (!Covers(interface.name, pattern)) continue;
      classes.insert(interface.classes.begin(), interface.classes.end());
      if (!interface.metered.has_value()) continue;
      // A name is closer than a prefix of it, and a longer prefix than a
      // shorter one.
      const auto closeness = [](const Interface& one) {
        return std::make_pair(!IsPrefix(one.name), Stem(one.name).size());
      };
      if (closest == nullptr || closeness(*closest) < closeness(interface)) {
        closest = &interface;
      }
    }
    value.metered = closest != nullptr && closest->metered == Switch::kOn;
    for (size_t i = 0; i < numbers.names().size(); ++i) {
      const std::string& selector = numbers.names()[i];
      if (selector.empty()) continue;
      if (IsClass(selector) ? classes.count(selector.substr(1)) != 0
                            : Covers(selector, pattern)) {
        value.selectors |= 1ULL << i;
      }
    }
    np_interface_key key = {};
    key.slot = slot;
    const absl::string_view stem = Stem(pattern);
    stem.copy(key.name, sizeof(key.name));
    key.prefixlen =
        static_cast<uint32_t>(NP_INTERFACE_PREFIX_BITS +
                              8 * (stem.size() + (IsPrefix(pattern) ? 0 : 1)));
    entries.emplace_back(key, value);
  }
  return entries;
}

std::vector<std::pair<np_discard_key, np_discard>> CompileDiscards(
    const std::vector<IngressDiscard>& discards, const SelectorNumbers& numbers,
    uint32_t slot) {
  std::vector<std::pair<np_discard_key, np_discard>> entries;
  for (const IngressDiscard& discard : discards) {
    np_discard_key key = {};
    key.slot = slot;
    std::copy(discard.address.begin(), discard.address.end(), key.address);
    entries.emplace_back(
        key, np_discard{.interfaces = numbers.Mask(discard.interfaces)});
  }
  return entries;
}

std::array<uint64_t, NP_BIND_PORT_WORDS> CompileBindPorts(
    const std::vector<PortRange>& ports) {
  std::array<uint64_t, NP_BIND_PORT_WORDS> words{};
  for (const PortRange& range : ports) {
    for (uint32_t port = range.first; port <= range.last; ++port) {
      words[port / 64] |= 1ULL << (port % 64);
    }
  }
  return words;
}

absl::StatusOr<std::vector<CompiledPrefix>> CompileRuleSet(
    const NetworkRules& own, const NetworkRules& defaults,
    const SelectorNumbers& numbers) {
  std::set<Place> places;
  AddPlaces(own, places);
  AddPlaces(defaults, places);
  // Rules by the length of their prefix: most prefixes are covered by few.
  std::vector<std::pair<const NetworkRule*, np_network_rule>> rules;
  for (const NetworkRules* list : {&own, &defaults}) {
    for (const NetworkRule& rule : *list) {
      rules.emplace_back(&rule, CompileRule(rule, numbers));
    }
  }
  std::map<std::tuple<IpFamily, uint32_t, AddressBytes>, std::vector<size_t>>
      by_prefix;
  std::set<std::pair<IpFamily, uint32_t>> lengths;
  for (size_t i = 0; i < rules.size(); ++i) {
    const IpPrefix& prefix = rules[i].first->prefix;
    by_prefix[{prefix.family, prefix.length, prefix.address}].push_back(i);
    lengths.emplace(prefix.family, prefix.length);
  }

  std::vector<CompiledPrefix> compiled;
  for (const Place& place : places) {
    std::vector<size_t> covering;
    for (const auto& [family, length] : lengths) {
      if (length > place.first) continue;
      AddressBytes address = place.second;
      for (size_t bit = length; bit < 128; ++bit) {
        address[bit / 8] &= static_cast<uint8_t>(~(0x80 >> bit % 8));
      }
      const auto found = by_prefix.find({family, length, address});
      if (found == by_prefix.end() ||
          !Covers(rules[found->second.front()].first->prefix, place)) {
        continue;
      }
      covering.insert(covering.end(), found->second.begin(),
                      found->second.end());
    }
    // `own` and `defaults` are in order of precedence, one behind the other.
    std::sort(covering.begin(), covering.end());
    CompiledPrefix entry;
    entry.length = place.first;
    entry.address = place.second;
    for (size_t i : covering) {
      entry.rules.push_back(rules[i].second);
      if (MatchesAll(rules[i].second)) break;
    }
    if (entry.rules.size() > NP_NETWORK_LIST_MAX) {
      const IpPrefix& prefix = rules[covering.front()].first->prefix;
      return absl::ResourceExhaustedError(absl::StrCat(
          "commit policy: network rules of ", IpPrefixText(prefix), ": ",
          entry.rules.size(), " rules may match one address, room for ",
          static_cast<int>(NP_NETWORK_LIST_MAX)));
    }
    compiled.push_back(std::move(entry));
  }
  return compiled;
}

void CompileNetworkConfig(const PolicyDefaults& defaults,
                          const NetworkPolicy& network,
                          const NetworkNumbers& numbers,
                          np_policy_config& config) {
  constexpr uint64_t kLockdown = NP_REASON_BIT(NP_REASON_LOCKDOWN_VPN);
  constexpr uint64_t kInterface = NP_REASON_BIT(NP_REASON_INTERFACE_RULE);
  constexpr uint64_t kDiscard = NP_REASON_BIT(NP_REASON_INGRESS_DISCARD);
  constexpr uint64_t kLocal = NP_REASON_BIT(NP_REASON_LOCAL_NETWORK);
  constexpr uint64_t kNetwork = NP_REASON_BIT(NP_REASON_NETWORK_RULE);
  constexpr uint64_t kNoOwner = NP_REASON_BIT(NP_REASON_NO_OWNER);
  const Settings& settings = network.settings;

  config.enabled |= kLockdown | kInterface | kDiscard | kLocal | kNetwork;
  config.not_on_loopback |= kLockdown | kInterface | kDiscard | kLocal;
  // What holds for everybody, whatever a UID's bit.
  config.allowlists |= kDiscard | kNetwork | kNoOwner;
  if (settings.no_owner == NoOwnerRule::kDeny) config.enabled |= kNoOwner;
  if (defaults.lockdown == Switch::kOn) config.allowlists |= kLockdown;
  if (!defaults.interfaces.empty()) config.allowlists |= kInterface;
  if (defaults.local_network == Permission::kRevoked) {
    config.allowlists |= kLocal;
  }
  switch (settings.closing_packets) {
    case ClosingPackets::kJudged:
      break;
    case ClosingPackets::kPassChains:
      config.closing_passes = ~(kLockdown | kInterface | kDiscard);
      break;
    case ClosingPackets::kPassAll:
      config.closing_passes = ~0ULL;
      break;
  }
  config.icmp6_passes = NP_REASON_BIT(NP_REASON_DATA_SAVER);
  config.default_interfaces = numbers.selectors.Mask(defaults.interfaces);
  config.default_network_set = numbers.default_set;
  config.local_network_set = numbers.local_set;
  config.uids_per_user = settings.uids_per_user;
  config.exempt_below = settings.exempt_below;
  config.no_owner_uid =
      settings.no_owner == NoOwnerRule::kRoot ? 0 : NP_UID_NONE;
  if (settings.resolver.has_value()) {
    config.resolver_passes = kLockdown | kInterface;
    config.resolver_uid = ToInt(settings.resolver->uid);
    config.resolver_tag = settings.resolver->tag;
  }
  if (!network.interfaces.empty() || !numbers.selectors.names().empty()) {
    config.flags |= NP_POLICY_INTERFACES;
  }
  // A UID's own rules have a set of their own.
  config.flags |= NP_POLICY_NETWORK_RULES;
  if (numbers.local_set != 0) config.flags |= NP_POLICY_LOCAL_NETWORK;
  if (!network.ingress_discard.empty()) config.flags |= NP_POLICY_DISCARD;
  if (!network.blocked_bind_ports.empty()) {
    config.flags |= NP_POLICY_BIND_PORTS;
  }
}

std::string SerializeSource(const Policy& policy,
                            const SelectorNumbers& numbers) {
  PolicyDelta parts;
  parts.defaults.emplace();
  parts.defaults->interfaces = policy.defaults().interfaces;
  parts.defaults->network_rules = policy.defaults().network_rules;
  parts.network = policy.network();
  for (const auto& [uid, entry] : policy.uids()) {
    if (entry.interfaces.empty() && entry.network_rules.empty()) continue;
    UidPolicy& part = parts.uids[uid];
    part.interfaces = entry.interfaces;
    part.network_rules = entry.network_rules;
  }
  Policy reduced;
  PolicyEdit::ApplyDelta(std::move(parts), reduced);
  proto::PolicySource message;
  *message.mutable_policy() = ToProto(reduced);
  for (const std::string& name : numbers.names()) message.add_selectors(name);
  return message.SerializeAsString();
}

absl::StatusOr<NetworkSource> ParseSource(absl::string_view bytes) {
  proto::PolicySource message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::DataLossError("read np_source: is no message");
  }
  if (message.selectors_size() > NP_SELECTORS) {
    return absl::DataLossError("read np_source: too many selectors");
  }
  NetworkSource source;
  // As of tables that were never written.
  if (bytes.empty()) return source;
  absl::StatusOr<Policy> policy = FromProto(message.policy());
  if (!policy.ok()) {
    return absl::DataLossError(
        absl::StrCat("read np_source: ", policy.status().message()));
  }
  source.policy = *std::move(policy);
  source.selectors = SelectorNumbers(std::vector<std::string>(
      message.selectors().begin(), message.selectors().end()));
  return source;
}

}  // namespace netpolicy
