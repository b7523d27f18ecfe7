#ifndef NETPOLICY_LIBPOLICY_MODEL_NETWORK_RULE_H_
#define NETPOLICY_LIBPOLICY_MODEL_NETWORK_RULE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libpolicy/model/interface.h"
#include "libpolicy/model/ip_prefix.h"
#include "libpolicy/model/values.h"

// Rules about the other end of a connection.

namespace netpolicy {

// Both ends included.
struct PortRange {
  uint16_t first = 0;
  uint16_t last = 0xffff;

  friend bool operator==(const PortRange&, const PortRange&) = default;
  friend auto operator<=>(const PortRange&, const PortRange&) = default;
};
inline constexpr PortRange kAnyPort = {};

// Of packets; a connection has both.
enum class RuleDirection : uint8_t { kBoth, kIn, kOut };

// Default-constructed: denies everything.
struct NetworkRule {
  Action action = Action::kDeny;
  IpPrefix prefix;       // of the remote address
  uint8_t protocol = 0;  // IPPROTO_*; 0: any
  PortRange ports;       // remote; kAnyPort: also protocols without ports
  RuleDirection direction = RuleDirection::kBoth;
  std::string interface;  // a selector; empty: any

  friend bool operator==(const NetworkRule&, const NetworkRule&) = default;
};

// In order of precedence (RuleLess), none twice.
using NetworkRules = std::vector<NetworkRule>;

// The order in which rules are asked: of those of a list that match a packet
// the first one decides. Total, so that it never matters in which order they
// were entered. docs/policy_language.md has it in words:
//   1. the longer prefix; any IPv6 address before any address at all
//   2. a named protocol before any
//   3. the narrower range of ports
//   4. an interface by name, by the longer PREFIX*, by @CLASS, any
//   5. a named direction before both
//   6. deny before allow
bool RuleLess(const NetworkRule& a, const NetworkRule& b);

// In that order, without repetition.
NetworkRules CanonicalRules(NetworkRules rules);

// kInvalidArgument `FIELD: cause`: for ports of a protocol that has none, a
// range from above to below, what is no selector ("*" is to be left out).
absl::Status CheckNetworkRule(const NetworkRule& rule);

// The same for a rule of local_network, which names an interface and a prefix,
// and no direction.
absl::Status CheckLocalNetworkRule(const NetworkRule& rule);

// `ports` ascend, do not touch and have no port 0. kInvalidArgument
// `ports[N]: cause`.
absl::Status CheckBindPorts(const std::vector<PortRange>& ports);

// The fewest ranges of exactly these ports.
std::vector<PortRange> CanonicalPorts(std::vector<PortRange> ports);

// Whether the protocol's packets have ports that rules can name.
bool HasPorts(uint8_t protocol);

// "tcp", or the number of a protocol that has no name here. "any" for 0.
std::string ProtocolName(uint8_t protocol);

// A name that ProtocolName() gives, not "any". Errors: kInvalidArgument.
absl::StatusOr<uint8_t> ParseProtocol(absl::string_view name);

absl::string_view RuleDirectionName(RuleDirection direction);  // "in", "out"

// "53" or "1-1023".
std::string PortRangeText(const PortRange& ports);

// Of such a text, also "53-53". Errors: kInvalidArgument `"TEXT": cause`.
absl::StatusOr<PortRange> ParsePortRange(absl::string_view text);

// For people: "deny 10.0.0.0/8 tcp 1-1023 out on wlan0"; what is any is left
// out, but for the address.
std::string NetworkRuleText(const NetworkRule& rule);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_MODEL_NETWORK_RULE_H_
