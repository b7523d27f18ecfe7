#include "libpolicy/model/image.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
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
  std::vector<std::string> names;
  if (stated & NP_STATED_RULE_ALLOW) names.push_back("rule=allow");
  if (stated & NP_STATED_RULE_DENY) names.push_back("rule=deny");
  if (stated & NP_STATED_INTERNET_GRANTED) names.push_back("internet=granted");
  if (stated & NP_STATED_INTERNET_REVOKED) names.push_back("internet=revoked");
  return names.empty() ? "-" : absl::StrJoin(names, " ");
}

}  // namespace

np_policy_config CompileConfig(const PolicyDefaults& defaults,
                               absl::Span<const Chain> chains) {
  np_policy_config config = {};
  config.enabled = kUidRule | kInternet;
  config.no_owner_uid = NP_UID_NONE;
  config.not_on_loopback = NP_REASON_BIT(NP_REASON_BACKGROUND);
  config.at_socket = kInternet;
  config.metered_only = NP_REASON_BIT(NP_REASON_DATA_SAVER) |
                        NP_REASON_BIT(NP_REASON_METERED_DENY_USER) |
                        NP_REASON_BIT(NP_REASON_METERED_DENY_ADMIN);
  // Without them an IPv6 link stops working, which saves no data.
  config.icmp6_passes = NP_REASON_BIT(NP_REASON_DATA_SAVER);
  if (defaults.rule == Action::kDeny) config.allowlists |= kUidRule;
  if (defaults.internet == Permission::kRevoked) config.allowlists |= kInternet;
  for (const Chain& chain : chains) {
    const uint64_t bit = NP_REASON_BIT(chain.number);
    if (chain.enabled == Switch::kOn) config.enabled |= bit;
    if (chain.sense == ChainSense::kAllowlist) config.allowlists |= bit;
  }
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
                         const PolicyDefaults& defaults) {
  np_uid_policy entry = {};
  entry.rules = policy.chains;
  if (policy.rule.value_or(defaults.rule) != defaults.rule) {
    entry.rules |= kUidRule;
  }
  if (policy.internet.value_or(defaults.internet) != defaults.internet) {
    entry.rules |= kInternet;
  }
  entry.uid = ToInt(uid);
  entry.stated = StatedFlags(policy);
  return entry;
}

absl::Status CheckEnforceable(const PolicyDelta& delta) {
  const auto refuse = [](absl::string_view what) {
    return absl::FailedPreconditionError(
        absl::StrCat("commit policy: ", what, " can't be enforced yet"));
  };
  if (delta.network.has_value() && !(*delta.network == NetworkPolicy())) {
    return refuse(
        "settings, interfaces, ingress_discard, local_network and "
        "blocked_bind_ports");
  }
  if (delta.defaults.has_value()) {
    PolicyDefaults plain = *delta.defaults;
    plain.rule = Action::kAllow;
    plain.internet = Permission::kGranted;
    if (!(plain == PolicyDefaults())) {
      return refuse(
          "local_network, lockdown, interfaces and network_rules of defaults");
    }
  }
  for (const auto& [uid, policy] : delta.uids) {
    UidPolicy plain;
    plain.chains = policy.chains;
    plain.rule = policy.rule;
    plain.internet = policy.internet;
    if (policy == plain) continue;
    return refuse(absl::StrCat(
        "update_device_stats, local_network, lockdown, interfaces and "
        "network_rules of uid ",
        ToInt(uid)));
  }
  return absl::OkStatus();
}

MapImage Compile(const Policy& policy) {
  MapImage image;
  image.config = CompileConfig(policy.defaults(), policy.chains());
  image.chains = CompileChains(policy.chains());
  for (const auto& [uid, value] : policy.uids()) {
    image.uids.emplace_hint(image.uids.end(), uid,
                            CompileUid(uid, value, policy.defaults()));
  }
  return image;
}

absl::StatusOr<Policy> Decompile(const MapImage& image) {
  std::vector<np_uid_policy> uids;
  uids.reserve(image.uids.size());
  for (const auto& [uid, entry] : image.uids) uids.push_back(entry);
  return Decompile(image.config, image.chains, uids);
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
  };
  for (const auto& word : words) {
    absl::StrAppendFormat(&text, "  %-15s  0x%016x  %s\n", word.name, word.bits,
                          ReasonNames(word.bits, image.chains));
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
