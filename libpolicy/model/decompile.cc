#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/model/edit.h"
#include "libpolicy/model/image.h"
#include "libpolicy/model/reason.h"
#include "libpolicy/model/text.h"

namespace netpolicy {
namespace {

constexpr uint64_t kUidRule = NP_REASON_BIT(NP_REASON_UID_RULE);
constexpr uint64_t kInternet = NP_REASON_BIT(NP_REASON_INTERNET_PERMISSION);
constexpr uint64_t kLockdown = NP_REASON_BIT(NP_REASON_LOCKDOWN_VPN);
constexpr uint64_t kLocal = NP_REASON_BIT(NP_REASON_LOCAL_NETWORK);
constexpr uint64_t kNetworkReasons =
    kLockdown | kLocal | NP_REASON_BIT(NP_REASON_INTERFACE_RULE) |
    NP_REASON_BIT(NP_REASON_INGRESS_DISCARD) |
    NP_REASON_BIT(NP_REASON_NETWORK_RULE) | NP_REASON_BIT(NP_REASON_NO_OWNER);
// Those that a UID has a bit of.
constexpr uint64_t kUidNetworkReasons =
    kLockdown | kLocal | NP_REASON_BIT(NP_REASON_INTERFACE_RULE);
constexpr uint64_t kUserChains = ~0ULL << NP_REASON_USER_CHAIN_0;
constexpr uint64_t kAndroidChains =
    (NP_REASON_BIT(NP_REASON_METERED_DENY_ADMIN + 1) - 1) &
    ~(NP_REASON_BIT(NP_REASON_DOZABLE) - 1);

constexpr uint32_t kStatedRule = NP_STATED_RULE_ALLOW | NP_STATED_RULE_DENY;
constexpr uint32_t kStatedInternet =
    NP_STATED_INTERNET_GRANTED | NP_STATED_INTERNET_REVOKED;
constexpr uint32_t kStatedLockdown =
    NP_STATED_LOCKDOWN_ON | NP_STATED_LOCKDOWN_OFF;
constexpr uint32_t kStatedLocal =
    NP_STATED_LOCAL_NETWORK_GRANTED | NP_STATED_LOCAL_NETWORK_REVOKED;
constexpr uint32_t kStatedKnown =
    kStatedRule | kStatedInternet | kStatedLockdown | kStatedLocal |
    NP_STATED_UPDATE_DEVICE_STATS | NP_STATED_INTERFACES |
    NP_STATED_NETWORK_RULES;

absl::Status OtherVersion(absl::string_view where, absl::string_view cause) {
  return absl::FailedPreconditionError(
      absl::StrCat("read ", where, ": ", cause));
}

absl::Status Corrupt(absl::string_view where, absl::string_view cause) {
  return absl::DataLossError(absl::StrCat("read ", where, ": ", cause));
}

// Whether each rule in `bits` is one that this version writes and, if a
// chain's, is there. `chains`: the numbers that have a name.
absl::Status CheckRules(absl::string_view where, uint64_t bits,
                        uint64_t chains) {
  constexpr uint64_t kKnown =
      kUidRule | kInternet | kNetworkReasons | kAndroidChains | kUserChains;
  if (const uint64_t unknown = bits & ~kKnown; unknown != 0) {
    const int reason = ReasonSet(unknown).numbers().front();
    return OtherVersion(
        where, absl::StrCat("rule ", ReasonName(reason), " is not known here"));
  }
  if (const uint64_t missing = bits & kUserChains & ~chains; missing != 0) {
    const int reason = ReasonSet(missing).numbers().front();
    return Corrupt(where, absl::StrCat("bit ", reason,
                                       " is set, but there is no such chain"));
  }
  return absl::OkStatus();
}

// The name that chain `number` has; empty when there is none.
absl::StatusOr<std::string> ChainName(const np_chain& chain, int number,
                                      const Policy& fixed) {
  const std::string where = absl::StrCat("np_chain[", number, "]");
  constexpr size_t kSize = sizeof(chain.name);
  const char* end = std::find(chain.name, chain.name + kSize, '\0');
  if (std::find_if(end, chain.name + kSize, [](char c) { return c != '\0'; }) !=
      chain.name + kSize) {
    return Corrupt(where, "something follows the name");
  }
  std::string name(chain.name, end);
  if (name.size() == kSize) return Corrupt(where, "the name does not end");
  if (IsAndroidChain(number)) {
    const std::string& expected = fixed.FindChain(number)->name;
    if (name != expected) {
      return Corrupt(
          where, absl::StrCat("chain ", Quote(name), " should be ", expected));
    }
  } else if (name.empty()) {
    return name;
  } else if (number < NP_REASON_USER_CHAIN_0) {
    return OtherVersion(
        where, absl::StrCat("chain ", Quote(name), " is not known here"));
  } else if (absl::Status status = CheckUserChainName(name); !status.ok()) {
    return Corrupt(where, status.message());
  }
  return name;
}

absl::StatusOr<std::vector<Chain>> ReadChains(
    const np_policy_config& config, absl::Span<const np_chain> names) {
  if (names.size() != NP_REASONS) {
    return OtherVersion("np_chain",
                        absl::StrCat(names.size(), " entries, expected ",
                                     static_cast<int>(NP_REASONS)));
  }
  const Policy fixed;
  std::vector<Chain> chains;
  for (int number = 0; number < NP_REASONS; ++number) {
    NP_ASSIGN_OR_RETURN(
        std::string name,
        ChainName(names[static_cast<size_t>(number)], number, fixed));
    if (name.empty()) continue;
    for (const Chain& other : chains) {
      if (other.name == name) {
        return Corrupt(
            absl::StrCat("np_chain[", number, "]"),
            absl::StrCat("chain ", name, " is also number ", other.number));
      }
    }
    const uint64_t bit = NP_REASON_BIT(number);
    const ChainSense sense = (config.allowlists & bit) != 0
                                 ? ChainSense::kAllowlist
                                 : ChainSense::kDenylist;
    if (const Chain* android = fixed.FindChain(number);
        android != nullptr && android->sense != sense) {
      return Corrupt("np_policy_config.allowlists",
                     absl::StrCat("chain ", name, " should be ",
                                  ChainSenseName(android->sense)));
    }
    chains.push_back(
        {number, std::move(name), sense,
         (config.enabled & bit) != 0 ? Switch::kOn : Switch::kOff});
  }
  return chains;
}

// Whether every word is what the decompiled parts compile to.
absl::Status CheckConfig(const np_policy_config& config,
                         const np_policy_config& expected, uint64_t chains) {
  NP_RETURN_IF_ERROR(
      CheckRules("np_policy_config.enabled", config.enabled, chains));
  NP_RETURN_IF_ERROR(
      CheckRules("np_policy_config.allowlists", config.allowlists, chains));
  constexpr uint64_t kAlways = kUidRule | kInternet;
  if ((config.enabled & kAlways) != kAlways) {
    return Corrupt("np_policy_config.enabled",
                   "uid_rule and internet_permission are always on");
  }
  const struct {
    absl::string_view where;
    uint64_t value;
    uint64_t expected;
  } words[] = {
      {".enabled", config.enabled, expected.enabled},
      {".allowlists", config.allowlists, expected.allowlists},
      {".not_on_loopback", config.not_on_loopback, expected.not_on_loopback},
      {".metered_only", config.metered_only, expected.metered_only},
      {".at_socket", config.at_socket, expected.at_socket},
      {".icmp6_passes", config.icmp6_passes, expected.icmp6_passes},
      {".closing_passes", config.closing_passes, expected.closing_passes},
      {".resolver_passes", config.resolver_passes, expected.resolver_passes},
      {".default_interfaces", config.default_interfaces,
       expected.default_interfaces},
      {".default_network_set", config.default_network_set,
       expected.default_network_set},
      {".local_network_set", config.local_network_set,
       expected.local_network_set},
      {".uids_per_user", config.uids_per_user, expected.uids_per_user},
      {".exempt_below", config.exempt_below, expected.exempt_below},
      {".no_owner_uid", config.no_owner_uid, expected.no_owner_uid},
      {".resolver_uid", config.resolver_uid, expected.resolver_uid},
      {".resolver_tag", config.resolver_tag, expected.resolver_tag},
      {".flags", config.flags, expected.flags},
  };
  for (const auto& word : words) {
    if (word.value != word.expected) {
      return OtherVersion(
          absl::StrCat("np_policy_config", word.where),
          absl::StrCat("0x", absl::Hex(word.value), ", expected 0x",
                       absl::Hex(word.expected)));
    }
  }
  return absl::OkStatus();
}

// "np_uid_policy[uid=N].field", for a fault.
std::string Where(const np_uid_policy& entry, absl::string_view field) {
  return absl::StrCat("np_uid_policy[uid=", entry.uid, "]", field);
}

absl::StatusOr<UidPolicy> ReadUid(const np_uid_policy& entry,
                                  const PolicyDefaults& defaults,
                                  const NetworkSource& source,
                                  uint64_t chains) {
  if (Uid{entry.uid} > kMaxUid) {
    return OtherVersion(Where(entry, ""), "is not a uid");
  }
  if ((entry.rules & ~(kUidRule | kInternet | kUidNetworkReasons | chains)) !=
      0) {
    return CheckRules(Where(entry, ".rules"), entry.rules, chains);
  }
  if ((entry.stated & ~kStatedKnown) != 0) {
    return OtherVersion(Where(entry, ".stated"),
                        absl::StrCat("0x", absl::Hex(entry.stated),
                                     " has flags that are not known here"));
  }
  if (entry.pad != 0) return OtherVersion(Where(entry, ".pad"), "is not 0");
  if ((entry.stated & kStatedRule) == kStatedRule) {
    return Corrupt(Where(entry, ".stated"), "rule is allow and deny");
  }
  if ((entry.stated & kStatedInternet) == kStatedInternet) {
    return Corrupt(Where(entry, ".stated"), "internet is granted and revoked");
  }
  if ((entry.stated & kStatedLockdown) == kStatedLockdown) {
    return Corrupt(Where(entry, ".stated"), "lockdown is on and off");
  }
  if ((entry.stated & kStatedLocal) == kStatedLocal) {
    return Corrupt(Where(entry, ".stated"),
                   "local_network is granted and revoked");
  }
  UidPolicy policy;
  policy.chains = entry.rules & chains;
  if ((entry.stated & kStatedRule) != 0) {
    policy.rule = (entry.stated & NP_STATED_RULE_DENY) != 0 ? Action::kDeny
                                                            : Action::kAllow;
  }
  if ((entry.stated & kStatedInternet) != 0) {
    policy.internet = (entry.stated & NP_STATED_INTERNET_REVOKED) != 0
                          ? Permission::kRevoked
                          : Permission::kGranted;
  }
  if ((entry.stated & kStatedLockdown) != 0) {
    policy.lockdown = (entry.stated & NP_STATED_LOCKDOWN_ON) != 0
                          ? Switch::kOn
                          : Switch::kOff;
  }
  if ((entry.stated & kStatedLocal) != 0) {
    policy.local_network = (entry.stated & NP_STATED_LOCAL_NETWORK_REVOKED) != 0
                               ? Permission::kRevoked
                               : Permission::kGranted;
  }
  if ((entry.stated & NP_STATED_UPDATE_DEVICE_STATS) != 0) {
    policy.update_device_stats = Permission::kGranted;
  }
  const UidPolicy& part = source.policy.Find(Uid{entry.uid});
  policy.interfaces = part.interfaces;
  policy.network_rules = part.network_rules;
  const np_uid_policy compiled = CompileUid(
      Uid{entry.uid}, policy, defaults, source.selectors, entry.network_set);
  if (entry.stated != compiled.stated) {
    return Corrupt(Where(entry, ".stated"), "is not as np_source says");
  }
  if (entry.interfaces != compiled.interfaces) {
    return Corrupt(Where(entry, ".interfaces"), "is not as np_source says");
  }
  if ((entry.network_set != 0) != !policy.network_rules.empty()) {
    return Corrupt(Where(entry, ".network_set"), "is not as np_source says");
  }
  if (const uint64_t wrong = entry.rules ^ compiled.rules; wrong != 0) {
    const int reason = ReasonSet(wrong).numbers().front();
    return Corrupt(Where(entry, ".rules"),
                   absl::StrCat(ReasonName(reason), " is not as stated"));
  }
  return policy;
}

}  // namespace

absl::StatusOr<Policy> Decompile(const np_policy_config& config,
                                 absl::Span<const np_chain> chains,
                                 absl::Span<const np_uid_policy> uids,
                                 absl::string_view source_bytes) {
  NP_ASSIGN_OR_RETURN(const NetworkSource source, ParseSource(source_bytes));
  PolicyDelta delta;
  NP_ASSIGN_OR_RETURN(delta.chains, ReadChains(config, chains));
  uint64_t numbers = 0;
  for (const Chain& chain : *delta.chains) {
    numbers |= NP_REASON_BIT(chain.number);
  }

  PolicyDefaults defaults;
  if ((config.allowlists & kUidRule) != 0) defaults.rule = Action::kDeny;
  if ((config.allowlists & kInternet) != 0) {
    defaults.internet = Permission::kRevoked;
  }
  if ((config.allowlists & kLockdown) != 0) defaults.lockdown = Switch::kOn;
  if ((config.allowlists & kLocal) != 0) {
    defaults.local_network = Permission::kRevoked;
  }
  defaults.interfaces = source.policy.defaults().interfaces;
  defaults.network_rules = source.policy.defaults().network_rules;
  delta.defaults = defaults;
  delta.network = source.policy.network();
  // Which set has which number is not the policy's business; that there is one
  // is.
  const auto set_of = [](const NetworkRules& rules, uint32_t number) {
    if (rules.empty()) return uint32_t{0};
    return number == 0 ? uint32_t{1} : number;
  };
  NP_RETURN_IF_ERROR(CheckConfig(
      config,
      CompileConfig(defaults, *delta.chains, *delta.network,
                    {.selectors = source.selectors,
                     .default_set = set_of(defaults.network_rules,
                                           config.default_network_set),
                     .local_set = set_of(delta.network->local_network,
                                         config.local_network_set)}),
      numbers));

  for (const np_uid_policy& entry : uids) {
    if (entry.rules == 0 && entry.stated == 0) continue;
    NP_ASSIGN_OR_RETURN(const UidPolicy policy,
                        ReadUid(entry, defaults, source, numbers));
    // The hint makes reading in order linear.
    const size_t before = delta.uids.size();
    delta.uids.emplace_hint(delta.uids.end(), Uid{entry.uid}, policy);
    if (delta.uids.size() == before) {
      return Corrupt(Where(entry, ""), "there are two entries");
    }
  }
  Policy policy;
  PolicyEdit::ApplyDelta(std::move(delta), policy);
  return policy;
}

}  // namespace netpolicy
