#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "bpf_progs/abi/reason.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/model/document.h"
#include "libpolicy/model/edit.h"
#include "libpolicy/model/faults.h"
#include "libpolicy/model/network_wire.h"
#include "libpolicy/model/text.h"

namespace netpolicy {
namespace {

constexpr uint32_t kVersion = 1;

// A range of the document and where it stands.
struct Listed {
  UidRange range;
  std::string path;
};

uint64_t Size(const UidRange& range) {
  return uint64_t{ToInt(range.last)} - ToInt(range.first) + 1;
}

// Collects the policy and the faults at once; the policy counts only without
// faults.
class Validator {
 public:
  Validator(const PolicyDocument& document, const PolicyLimits& limits)
      : document_(document), limits_(limits) {}

  absl::StatusOr<Policy> Run() {
    if (!document_.has_version()) {
      Fault("version", "is missing");
    } else if (document_.version() != kVersion) {
      Fault("version", absl::StrCat(document_.version(), " is not known, only ",
                                    kVersion));
    }
    ValidateDefaults();
    ValidateNetwork();
    ValidateChains();
    ValidateUids();
    if (rules_ > limits_.network_rules) {
      Fault("policy", absl::StrCat("has ", rules_, " network rules, at most ",
                                   limits_.network_rules, " allowed"));
    }
    if (listed_ > limits_.listed_uids) {
      Fault("policy", absl::StrCat("lists ", listed_, " uids, at most ",
                                   limits_.listed_uids, " allowed"));
    }
    NP_RETURN_IF_ERROR(faults_.status());
    for (const Member& member : members_) Expand(member);
    Policy policy;
    PolicyEdit::ApplyDelta(std::move(delta_), policy);
    return policy;
  }

 private:
  // What a list says of a range. Expanded only when all is well, so that a bad
  // document costs no more than its own size.
  struct Member {
    UidRange range;
    UidPolicy policy;
  };

  void Expand(const Member& member) {
    auto it = delta_.uids.lower_bound(member.range.first);
    for (uint64_t i = 0; i < Size(member.range); ++i, ++it) {
      const Uid uid{ToInt(member.range.first) + static_cast<uint32_t>(i)};
      if (it == delta_.uids.end() || it->first != uid) {
        it = delta_.uids.emplace_hint(it, uid, UidPolicy());
      }
      UidPolicy& policy = it->second;
      const uint64_t chains = policy.chains | member.policy.chains;
      // Only an entry of `uids` says more than a chain, and only one does.
      if (member.policy.chains == 0) policy = member.policy;
      policy.chains = chains;
    }
  }

  void Fault(absl::string_view path, absl::string_view cause) {
    faults_.Add(absl::StrCat(path, ": ", cause));
  }

  absl::optional<Action> ValidateRule(absl::string_view path,
                                      proto::Action action) {
    if (action == proto::ACTION_ALLOW) return Action::kAllow;
    if (action == proto::ACTION_DENY) return Action::kDeny;
    Fault(path, absl::StrCat("unknown value ", static_cast<int>(action)));
    return absl::nullopt;
  }

  // What UIDs and defaults have both.
  template <typename Message, typename Values>
  void ValidateSubject(const std::string& path, const Message& entry,
                       Values& values) {
    if (entry.has_rule()) {
      values.rule =
          ValidateRule(path + ".rule", entry.rule()).value_or(Action::kAllow);
    }
    if (entry.has_internet()) {
      values.internet = ToPermission(entry.internet());
    }
    if (entry.has_local_network()) {
      values.local_network = ToPermission(entry.local_network());
    }
    if (entry.has_lockdown()) {
      values.lockdown = entry.lockdown() ? Switch::kOn : Switch::kOff;
    }
    if (absl::StatusOr<Selectors> interfaces =
            SelectorsFromProto(entry.interfaces());
        interfaces.ok()) {
      values.interfaces = *std::move(interfaces);
    } else {
      faults_.Add(absl::StrCat(path, ".", interfaces.status().message()));
    }
    values.network_rules = ValidateRules(
        path + ".network_rules", entry.network_rules(),
        [](const proto::NetworkRule& rule) { return FromProto(rule); });
  }

  static Permission ToPermission(bool granted) {
    return granted ? Permission::kGranted : Permission::kRevoked;
  }

  template <typename Repeated, typename Function>
  NetworkRules ValidateRules(const std::string& path, const Repeated& messages,
                             Function read) {
    NetworkRules rules;
    std::map<NetworkRule, int, decltype(&RuleLess)> seen(&RuleLess);
    for (int i = 0; i < messages.size(); ++i) {
      absl::StatusOr<NetworkRule> rule = read(messages[i]);
      const std::string rule_path = absl::StrCat(path, "[", i, "]");
      if (!rule.ok()) {
        faults_.Add(absl::StrCat(rule_path, ".", rule.status().message()));
        continue;
      }
      const auto [it, is_new] = seen.emplace(*rule, i);
      if (!is_new) {
        Fault(rule_path, absl::StrCat(NetworkRuleText(*rule), " is already ",
                                      path, "[", it->second, "]"));
      }
      rules.push_back(*std::move(rule));
    }
    return CanonicalRules(std::move(rules));
  }

  void ValidateDefaults() {
    PolicyDefaults defaults;
    ValidateSubject("defaults", document_.defaults(), defaults);
    delta_.defaults = std::move(defaults);
  }

  // A list whose entries have a key that is there once. `key`: the field that
  // has it, for faults.
  template <typename Entry, typename Repeated, typename KeyFunction>
  std::vector<Entry> ValidateKeyed(const std::string& list,
                                   absl::string_view field,
                                   const Repeated& messages, KeyFunction key) {
    std::vector<Entry> entries;
    std::map<std::string, int> seen;
    for (int i = 0; i < messages.size(); ++i) {
      absl::StatusOr<Entry> entry = FromProto(messages[i]);
      const std::string path = absl::StrCat(list, "[", i, "].");
      if (!entry.ok()) {
        faults_.Add(path + std::string(entry.status().message()));
        continue;
      }
      const auto [it, is_new] = seen.emplace(key(*entry), i);
      if (!is_new) {
        Fault(absl::StrCat(path, field),
              absl::StrCat(it->first, " is already ", list, "[", it->second,
                           "]"));
      }
      entries.push_back(*std::move(entry));
    }
    return entries;
  }

  void ValidateNetwork() {
    NetworkPolicy network;
    Settings base;
    if (document_.has_profile()) {
      const absl::StatusOr<Profile> profile =
          ProfileFromProto(document_.profile());
      if (profile.ok()) {
        base = SettingsOf(*profile);
      } else {
        faults_.Add(std::string(profile.status().message()));
      }
    }
    const absl::StatusOr<Settings> settings =
        SettingsFromProto(document_.settings(), base);
    if (settings.ok()) {
      network.settings = *settings;
    } else {
      faults_.Add(absl::StrCat("settings.", settings.status().message()));
    }
    network.interfaces = ValidateKeyed<Interface>(
        "interfaces", "name", document_.interfaces(),
        [](const Interface& interface) { return interface.name; });
    std::sort(
        network.interfaces.begin(), network.interfaces.end(),
        [](const Interface& a, const Interface& b) { return a.name < b.name; });
    network.ingress_discard = ValidateKeyed<IngressDiscard>(
        "ingress_discard", "address", document_.ingress_discard(),
        [](const IngressDiscard& discard) {
          return AddressText(discard.address);
        });
    std::sort(network.ingress_discard.begin(), network.ingress_discard.end(),
              [](const IngressDiscard& a, const IngressDiscard& b) {
                return a.address < b.address;
              });
    network.local_network = ValidateRules(
        "local_network", document_.local_network(), LocalRuleFromProto);
    network.blocked_bind_ports = ValidateBindPorts();
    delta_.network = std::move(network);
  }

  std::vector<PortRange> ValidateBindPorts() {
    std::vector<PortRange> ports;
    std::vector<int> listed_by(0x10000, -1);  // by port: the first entry
    for (int i = 0; i < document_.blocked_bind_ports_size(); ++i) {
      const std::string path = absl::StrCat("blocked_bind_ports[", i, "]");
      const absl::StatusOr<PortRange> range =
          FromProto(document_.blocked_bind_ports(i));
      if (!range.ok()) {
        faults_.Add(absl::StrCat(path, ".", range.status().message()));
        continue;
      }
      const std::string name = PortRangeText(*range);
      if (range->first > range->last) {
        Fault(path, name + ": the first port is above the last");
        continue;
      }
      if (range->first == 0) {
        Fault(path, name + ": port 0 stands for any free port");
        continue;
      }
      const auto begin = listed_by.begin() + range->first;
      const auto end = listed_by.begin() + range->last + 1;
      const auto other =
          std::find_if(begin, end, [](int entry) { return entry >= 0; });
      if (other != end) {
        Fault(path,
              absl::StrCat("port ", other - listed_by.begin(),
                           " is already in blocked_bind_ports[", *other, "]"));
      } else {
        std::fill(begin, end, i);
      }
      ports.push_back(*range);
    }
    return CanonicalPorts(std::move(ports));
  }

  void ValidateChains() {
    const Policy fixed;
    std::vector<Chain> chains(fixed.chains().begin(), fixed.chains().end());
    std::map<std::string, std::string> seen;  // name, path
    int number = NP_REASON_USER_CHAIN_0;
    for (int i = 0; i < document_.chains_size(); ++i) {
      const proto::DocumentChain& entry = document_.chains(i);
      const std::string path = absl::StrCat("chains[", i, "]");
      uint64_t bit = 0;
      const Chain* android = fixed.FindChain(entry.name());
      Switch enabled = entry.enabled() ? Switch::kOn : Switch::kOff;
      if (!entry.has_enabled() && android != nullptr) {
        enabled = android->enabled;
      }
      const bool named = ValidateName(path, entry, android);
      if (named && !seen.emplace(entry.name(), path).second) {
        Fault(path + ".name", absl::StrCat("chain ", entry.name(),
                                           " is already ", seen[entry.name()]));
      } else if (android != nullptr) {
        ValidateAndroidType(path, entry, *android);
        chains[static_cast<size_t>(android - fixed.chains().data())].enabled =
            enabled;
        bit = NP_REASON_BIT(android->number);
      } else {
        const ChainSense sense = ValidateType(path, entry);
        if (named && number == NP_REASONS) {
          Fault(path, absl::StrCat("too many chains, at most ", NP_USER_CHAINS,
                                   " that are not Android's"));
        } else if (named) {
          bit = NP_REASON_BIT(number);
          chains.push_back({number++, entry.name(), sense, enabled});
        }
      }
      std::vector<Listed> ranges;
      for (int j = 0; j < entry.uids_size(); ++j) {
        const std::string range_path = absl::StrCat(path, ".uids[", j, "]");
        if (ValidateRange(range_path, entry.uids(j), ranges)) {
          UidPolicy listed;
          listed.chains = bit;
          members_.push_back({ranges.back().range, std::move(listed)});
        }
      }
      ValidateDisjoint(ranges);
    }
    delta_.chains = std::move(chains);
  }

  bool ValidateName(const std::string& path, const proto::DocumentChain& entry,
                    const Chain* android) {
    if (!entry.has_name()) {
      Fault(path + ".name", "is missing");
      return false;
    }
    if (android != nullptr) return true;
    const absl::Status status = CheckUserChainName(entry.name());
    if (!status.ok()) Fault(path + ".name", status.message());
    return status.ok();
  }

  void ValidateAndroidType(const std::string& path,
                           const proto::DocumentChain& entry,
                           const Chain& android) {
    if (!entry.has_type()) return;
    const proto::ChainSense expected = android.sense == ChainSense::kAllowlist
                                           ? proto::CHAIN_SENSE_ALLOWLIST
                                           : proto::CHAIN_SENSE_DENYLIST;
    if (entry.type() != expected) {
      Fault(path + ".type",
            absl::StrCat("chain ", android.name, " is Android's ",
                         ChainSenseName(android.sense)));
    }
  }

  ChainSense ValidateType(const std::string& path,
                          const proto::DocumentChain& entry) {
    if (!entry.has_type()) {
      Fault(path + ".type", "is missing; only Android's chains have one");
    } else if (entry.type() == proto::CHAIN_SENSE_ALLOWLIST) {
      return ChainSense::kAllowlist;
    } else if (entry.type() != proto::CHAIN_SENSE_DENYLIST) {
      Fault(path + ".type",
            absl::StrCat("unknown value ", static_cast<int>(entry.type())));
    }
    return ChainSense::kDenylist;
  }

  // Adds a range that makes sense by itself to `ranges`.
  bool ValidateRange(const std::string& path,
                     const proto::DocumentUidRange& entry,
                     std::vector<Listed>& ranges) {
    const UidRange range{Uid{entry.first()}, Uid{entry.last()}};
    const std::string name = UidRangeName(range);
    if (range.first > kMaxUid || range.last > kMaxUid) {
      Fault(path,
            absl::StrCat(name, ": ", ToInt(kMaxUid) + 1, " is not a uid"));
      return false;
    }
    if (range.first > range.last) {
      Fault(path, absl::StrCat(name, ": the first uid is above the last"));
      return false;
    }
    if (Size(range) > limits_.range_uids) {
      Fault(path, absl::StrCat(name, ": ", Size(range), " uids, at most ",
                               limits_.range_uids, " allowed in a range"));
      return false;
    }
    listed_ += Size(range);
    ranges.push_back({range, path});
    return true;
  }

  // Says of each range whether one before it in the list has a UID of it.
  void ValidateDisjoint(std::vector<Listed>& ranges) {
    std::vector<size_t> order(ranges.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return std::make_pair(ranges[a].range.first, a) <
             std::make_pair(ranges[b].range.first, b);
    });
    std::vector<std::pair<size_t, std::string>> found;
    for (size_t i = 1, widest = 0; i < order.size(); ++i) {
      const Listed& reaching = ranges[order[widest]];
      const Listed& next = ranges[order[i]];
      if (next.range.first <= reaching.range.last) {
        const size_t later = std::max(order[widest], order[i]);
        const size_t earlier = std::min(order[widest], order[i]);
        found.emplace_back(
            later, absl::StrCat("uid ", ToInt(next.range.first),
                                " is already in ", ranges[earlier].path));
      }
      if (next.range.last > reaching.range.last) widest = i;
    }
    std::sort(found.begin(), found.end());
    for (const auto& [index, cause] : found) Fault(ranges[index].path, cause);
  }

  void ValidateUids() {
    std::vector<Listed> ranges;
    for (int i = 0; i < document_.uids_size(); ++i) {
      const proto::DocumentUid& entry = document_.uids(i);
      const std::string path = absl::StrCat("uids[", i, "]");
      UidPolicy policy;
      ValidateSubject(path, entry, policy);
      policy.update_device_stats = ToPermission(entry.update_device_stats());
      const bool says_something =
          entry.has_rule() || entry.has_internet() || entry.has_lockdown() ||
          entry.has_local_network() || entry.update_device_stats() ||
          !entry.interfaces().empty() || !entry.network_rules().empty();
      if (!says_something) Fault(path, "says nothing of the uid");
      if (!entry.has_uid()) {
        Fault(path + ".uid", "is missing");
      } else if (ValidateRange(path + ".uid", entry.uid(), ranges)) {
        rules_ += Size(ranges.back().range) * policy.network_rules.size();
        members_.push_back({ranges.back().range, std::move(policy)});
      }
    }
    ValidateDisjoint(ranges);
  }

  const PolicyDocument& document_;
  const PolicyLimits limits_;
  Faults faults_;
  PolicyDelta delta_;
  std::vector<Member> members_;
  uint64_t listed_ = 0;
  uint64_t rules_ = 0;
};

}  // namespace

absl::StatusOr<Policy> Validate(const PolicyDocument& document,
                                const PolicyLimits& limits) {
  return Validator(document, limits).Run();
}

}  // namespace netpolicy
