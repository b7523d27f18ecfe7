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
constexpr uint64_t kUserChains = ~0ULL << NP_REASON_USER_CHAIN_0;
constexpr uint64_t kAndroidChains =
    (NP_REASON_BIT(NP_REASON_METERED_DENY_ADMIN + 1) - 1) &
    ~(NP_REASON_BIT(NP_REASON_DOZABLE) - 1);

constexpr uint32_t kStatedRule = NP_STATED_RULE_ALLOW | NP_STATED_RULE_DENY;
constexpr uint32_t kStatedInternet =
    NP_STATED_INTERNET_GRANTED | NP_STATED_INTERNET_REVOKED;

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
      kUidRule | kInternet | kAndroidChains | kUserChains;
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

absl::Status CheckConfig(const np_policy_config& config, uint64_t chains) {
  const np_policy_config expected =
      CompileConfig(PolicyDefaults(), Policy().chains());
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
    uint64_t bits;
    uint64_t expected;
  } words[] = {
      {"np_policy_config.not_on_loopback", config.not_on_loopback,
       expected.not_on_loopback},
      {"np_policy_config.metered_only", config.metered_only,
       expected.metered_only},
      {"np_policy_config.at_socket", config.at_socket, expected.at_socket},
      {"np_policy_config.icmp6_passes", config.icmp6_passes,
       expected.icmp6_passes},
  };
  for (const auto& word : words) {
    if (word.bits != word.expected) {
      return OtherVersion(
          word.where, absl::StrCat("0x", absl::Hex(word.bits), ", expected 0x",
                                   absl::Hex(word.expected)));
    }
  }
  const struct {
    absl::string_view where;
    uint64_t value;
  } unused[] = {
      {"np_policy_config.closing_passes", config.closing_passes},
      {"np_policy_config.resolver_passes", config.resolver_passes},
      {"np_policy_config.default_interfaces", config.default_interfaces},
      {"np_policy_config.default_network_set", config.default_network_set},
      {"np_policy_config.local_network_set", config.local_network_set},
      {"np_policy_config.uids_per_user", config.uids_per_user},
      {"np_policy_config.exempt_below", config.exempt_below},
      {"np_policy_config.resolver_uid", config.resolver_uid},
      {"np_policy_config.resolver_tag", config.resolver_tag},
      {"np_policy_config.flags", config.flags},
  };
  for (const auto& word : unused) {
    if (word.value != 0) return OtherVersion(word.where, "is not 0");
  }
  return absl::OkStatus();
}

// "np_uid_policy[uid=N].field", for a fault.
std::string Where(const np_uid_policy& entry, absl::string_view field) {
  return absl::StrCat("np_uid_policy[uid=", entry.uid, "]", field);
}

absl::StatusOr<UidPolicy> ReadUid(const np_uid_policy& entry,
                                  const PolicyDefaults& defaults,
                                  uint64_t chains) {
  if (Uid{entry.uid} > kMaxUid) {
    return OtherVersion(Where(entry, ""), "is not a uid");
  }
  if ((entry.rules & ~(kUidRule | kInternet | chains)) != 0) {
    return CheckRules(Where(entry, ".rules"), entry.rules, chains);
  }
  if ((entry.stated & ~(kStatedRule | kStatedInternet)) != 0) {
    return OtherVersion(Where(entry, ".stated"),
                        absl::StrCat("0x", absl::Hex(entry.stated),
                                     " has flags that are not known here"));
  }
  if (entry.interfaces != 0) {
    return OtherVersion(Where(entry, ".interfaces"), "is not 0");
  }
  if (entry.network_set != 0) {
    return OtherVersion(Where(entry, ".network_set"), "is not 0");
  }
  if (entry.pad != 0) return OtherVersion(Where(entry, ".pad"), "is not 0");
  if ((entry.stated & kStatedRule) == kStatedRule) {
    return Corrupt(Where(entry, ".stated"), "rule is allow and deny");
  }
  if ((entry.stated & kStatedInternet) == kStatedInternet) {
    return Corrupt(Where(entry, ".stated"), "internet is granted and revoked");
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
  const uint64_t expected = CompileUid(Uid{entry.uid}, policy, defaults).rules;
  if (const uint64_t wrong = entry.rules ^ expected; wrong != 0) {
    const int reason = ReasonSet(wrong).numbers().front();
    return Corrupt(Where(entry, ".rules"),
                   absl::StrCat(ReasonName(reason), " is not as stated"));
  }
  return policy;
}

}  // namespace

absl::StatusOr<Policy> Decompile(const np_policy_config& config,
                                 absl::Span<const np_chain> chains,
                                 absl::Span<const np_uid_policy> uids) {
  PolicyDelta delta;
  NP_ASSIGN_OR_RETURN(delta.chains, ReadChains(config, chains));
  uint64_t numbers = 0;
  for (const Chain& chain : *delta.chains) {
    numbers |= NP_REASON_BIT(chain.number);
  }
  NP_RETURN_IF_ERROR(CheckConfig(config, numbers));

  PolicyDefaults defaults;
  if ((config.allowlists & kUidRule) != 0) defaults.rule = Action::kDeny;
  if ((config.allowlists & kInternet) != 0) {
    defaults.internet = Permission::kRevoked;
  }
  delta.defaults = defaults;

  for (const np_uid_policy& entry : uids) {
    if (entry.rules == 0 && entry.stated == 0) continue;
    NP_ASSIGN_OR_RETURN(const UidPolicy policy,
                        ReadUid(entry, defaults, numbers));
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
