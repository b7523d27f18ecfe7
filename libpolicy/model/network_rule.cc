#include "libpolicy/model/network_rule.h"

#include <netinet/in.h>

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/model/text.h"

namespace netpolicy {
namespace {

constexpr struct {
  absl::string_view name;
  uint8_t number;
  bool ports;
} kProtocols[] = {
    {"icmp", IPPROTO_ICMP, false}, {"tcp", IPPROTO_TCP, true},
    {"udp", IPPROTO_UDP, true},    {"dccp", IPPROTO_DCCP, true},
    {"gre", IPPROTO_GRE, false},   {"esp", IPPROTO_ESP, false},
    {"ah", IPPROTO_AH, false},     {"icmpv6", IPPROTO_ICMPV6, false},
    {"sctp", IPPROTO_SCTP, true},  {"udplite", IPPROTO_UDPLITE, true},
};

// Less is asked before; what is equal in all of it differs in nothing that
// matters to precedence.
int InterfaceRank(absl::string_view selector) {
  constexpr int kLongest = static_cast<int>(kMaxInterfaceNameLength);
  if (selector.empty()) return kLongest + 3;
  if (selector[0] == '@') return kLongest + 2;
  if (absl::EndsWith(selector, "*")) {
    return kLongest + 1 - static_cast<int>(selector.size() - 1);
  }
  return 0;
}

// Also that of "any address", which is shorter than any IPv6 address.
int PrefixRank(const IpPrefix& prefix) {
  return prefix.family == IpFamily::kAny ? 1 : -int{prefix.length};
}

}  // namespace

bool RuleLess(const NetworkRule& a, const NetworkRule& b) {
  const auto key = [](const NetworkRule& rule) {
    return std::make_tuple(
        PrefixRank(rule.prefix), rule.protocol == 0,
        rule.ports.last - rule.ports.first, InterfaceRank(rule.interface),
        rule.direction == RuleDirection::kBoth, rule.action == Action::kAllow);
  };
  const auto rest = [](const NetworkRule& rule) {
    return std::tie(rule.prefix.family, rule.prefix.address, rule.protocol,
                    rule.ports, rule.interface, rule.direction);
  };
  const auto key_of_a = key(a);
  const auto key_of_b = key(b);
  if (key_of_a != key_of_b) return key_of_a < key_of_b;
  return rest(a) < rest(b);
}

NetworkRules CanonicalRules(NetworkRules rules) {
  std::sort(rules.begin(), rules.end(), RuleLess);
  rules.erase(std::unique(rules.begin(), rules.end()), rules.end());
  return rules;
}

absl::Status CheckNetworkRule(const NetworkRule& rule) {
  if (rule.ports.first > rule.ports.last) {
    return absl::InvalidArgumentError(
        absl::StrCat("ports: ", PortRangeText(rule.ports),
                     ": the first port is above the last"));
  }
  if (rule.ports != kAnyPort && rule.protocol != 0 &&
      !HasPorts(rule.protocol)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "ports: protocol ", ProtocolName(rule.protocol), " has no ports"));
  }
  if (rule.interface.empty()) return absl::OkStatus();
  if (rule.interface == "*") {
    return absl::InvalidArgumentError(
        "interface: \"*\": a rule for any interface names none");
  }
  if (absl::Status status = CheckSelector(rule.interface); !status.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("interface: ", status.message()));
  }
  return absl::OkStatus();
}

absl::Status CheckLocalNetworkRule(const NetworkRule& rule) {
  NP_RETURN_IF_ERROR(CheckNetworkRule(rule));
  if (rule.interface.empty()) {
    return absl::InvalidArgumentError("interface: is missing");
  }
  if (rule.prefix.family == IpFamily::kAny) {
    return absl::InvalidArgumentError("prefix: is missing");
  }
  if (rule.direction != RuleDirection::kBoth) {
    return absl::InvalidArgumentError(
        "direction: rules about local networks hold in both");
  }
  return absl::OkStatus();
}

absl::Status CheckBindPorts(const std::vector<PortRange>& ports) {
  int next = 1;  // the lowest that may follow
  for (size_t i = 0; i < ports.size(); ++i) {
    absl::string_view cause;
    if (ports[i].first > ports[i].last) {
      cause = "the first port is above the last";
    } else if (ports[i].first == 0) {
      cause = "port 0 stands for any free port";
    } else if (ports[i].first < next) {
      cause = "is not in order, or touches the one before";
    }
    if (!cause.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "ports[", i, "]: ", PortRangeText(ports[i]), ": ", cause));
    }
    next = ports[i].last + 2;
  }
  return absl::OkStatus();
}

std::vector<PortRange> CanonicalPorts(std::vector<PortRange> ports) {
  std::sort(ports.begin(), ports.end());
  std::vector<PortRange> merged;
  for (const PortRange& range : ports) {
    if (!merged.empty() && range.first <= merged.back().last + 1) {
      merged.back().last = std::max(merged.back().last, range.last);
    } else {
      merged.push_back(range);
    }
  }
  return merged;
}

bool HasPorts(uint8_t protocol) {
  for (const auto& known : kProtocols) {
    if (known.number == protocol) return known.ports;
  }
  return false;
}

std::string ProtocolName(uint8_t protocol) {
  if (protocol == 0) return "any";
  for (const auto& known : kProtocols) {
    if (known.number == protocol) return std::string(known.name);
  }
  return absl::StrCat(int{protocol});
}

absl::StatusOr<uint8_t> ParseProtocol(absl::string_view name) {
  for (const auto& known : kProtocols) {
    if (known.name == name) return known.number;
  }
  for (int number = 1; number < 256; ++number) {
    if (absl::StrCat(number) == name) return static_cast<uint8_t>(number);
  }
  return absl::InvalidArgumentError(
      absl::StrCat(Quote(name), ": is no protocol"));
}

absl::string_view RuleDirectionName(RuleDirection direction) {
  switch (direction) {
    case RuleDirection::kBoth:
      return "both";
    case RuleDirection::kIn:
      return "in";
    case RuleDirection::kOut:
      return "out";
  }
  return "unknown";
}

std::string PortRangeText(const PortRange& ports) {
  if (ports.first == ports.last) return absl::StrCat(ports.first);
  return absl::StrCat(ports.first, "-", ports.last);
}

absl::StatusOr<PortRange> ParsePortRange(absl::string_view text) {
  const std::vector<absl::string_view> ends = absl::StrSplit(text, '-');
  uint32_t first = 0;
  uint32_t last = 0;
  const auto is_written_so = [](char c) {
    return c == '-' || absl::ascii_isdigit(c);
  };
  // StrSplit() makes no piece of a string_view without data.
  if (ends.empty() || ends.size() > 2 || !absl::c_all_of(text, is_written_so) ||
      !absl::SimpleAtoi(ends.front(), &first) ||
      !absl::SimpleAtoi(ends.back(), &last) || first > 0xffff ||
      last > 0xffff) {
    return absl::InvalidArgumentError(absl::StrCat(
        Quote(text), ": is no port (0 to 65535) and no FIRST-LAST"));
  }
  return PortRange{static_cast<uint16_t>(first), static_cast<uint16_t>(last)};
}

std::string NetworkRuleText(const NetworkRule& rule) {
  std::string text =
      absl::StrCat(ActionName(rule.action), " ", IpPrefixText(rule.prefix));
  if (rule.protocol != 0) {
    absl::StrAppend(&text, " ", ProtocolName(rule.protocol));
  }
  if (rule.ports != kAnyPort) {
    absl::StrAppend(&text, rule.protocol == 0 ? " port " : " ",
                    PortRangeText(rule.ports));
  }
  if (rule.direction != RuleDirection::kBoth) {
    absl::StrAppend(&text, " ", RuleDirectionName(rule.direction));
  }
  if (!rule.interface.empty()) absl::StrAppend(&text, " on ", rule.interface);
  return text;
}

}  // namespace netpolicy
