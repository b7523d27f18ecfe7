#ifndef NETPOLICY_LIBPOLICY_MODEL_EXPLAIN_H_
#define NETPOLICY_LIBPOLICY_MODEL_EXPLAIN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/optional.h"
#include "libpolicy/model/ids.h"
#include "libpolicy/model/policy.h"

namespace netpolicy {

// What rules about networks look at.
struct PacketFacts {
  AddressBytes remote{};
  uint8_t protocol = 0;
  absl::optional<uint16_t> remote_port;
  RuleDirection direction = RuleDirection::kOut;  // kIn or kOut
  std::string interface;                          // empty: not known
};

// The first rule that matches; nullptr when none does. A denial matches a
// packet whose ports are not known, a permission with ports does not. The words
// of docs/policy_language.md, without any table: explanations name the rule by
// it.
const NetworkRule* FirstMatch(const NetworkRules& rules,
                              const std::vector<Interface>& interfaces,
                              const PacketFacts& packet);

// What in the policy gives `uid` this reason, in words:
//   uid 10007 is not listed in allowlist dozable, which is on
//   uid 10007 is listed in denylist kids, which is on
//   uid 10007 is denied by its own rule
//   the default rule is deny and uid 10007 has no rule of its own
//   uid 10007 has no internet permission, by its own entry
//   uid 10007 has no internet permission, by default
//   uid 10007 network_rules[deny 10.0.0.0/8 tcp 1-1023]
//   uid 10007 may use interfaces @vpn tun0 only
// Whether the facts of the packet let the reason apply is np_decide()'s answer;
// for a reason that this policy never gives to `uid` the text says so. kNoOwner
// is "a packet without an owner". Requires 0 <= reason < NP_REASONS.
// `packet` names the rule about its address.
std::string ExplainReason(
    const Policy& policy, Uid uid, int reason,
    const absl::optional<PacketFacts>& packet = absl::nullopt);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_MODEL_EXPLAIN_H_
