// Compiled rule sets, looked up and matched as the programs do it, against the
// precedence of docs/policy_language.md applied word by word.

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "bpf_progs/abi/network.h"
#include "bpf_progs/lib/network_rule.h"
#include "gtest/gtest.h"
#include "libpolicy/model/edit.h"
#include "libpolicy/model/network_image.h"
#include "libpolicy/model/random_policy.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy {
namespace {

using ::netpolicy::testing::Below;
using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::Random;

constexpr absl::string_view kPrefixes[] = {
    "",     "0.0.0.0/0",     "10.0.0.0/8",  "10.1.0.0/16", "10.1.2.3",
    "::/0", "2001:db8::/32", "2001:db8::1", "192.0.2.0/24"};
constexpr absl::string_view kRemotes[] = {
    "10.0.0.1", "10.1.0.1",    "10.1.2.3",    "192.0.2.7",
    "8.8.8.8",  "2001:db8::1", "2001:db8::2", "2001:4860::1"};
constexpr absl::string_view kSelectors[] = {
    "", "wlan0", "wlan*", "wl*", "@wifi", "@cellular", "wwan0"};
constexpr absl::string_view kNames[] = {"wlan0", "wlan1", "wwan0", "eth0"};
constexpr uint8_t kProtocols[] = {0, 6, 17, 1};
constexpr PortRange kPorts[] = {{0, 65535}, {80, 80}, {1, 1023}, {80, 443}};
constexpr uint16_t kRemotePorts[] = {80, 443, 1000, 5000};

template <typename T, size_t N>
const T& OneOf(Random& random, const T (&values)[N]) {
  return values[Below(random, N)];
}

// What wifi and cellular are.
Transaction Classes() {
  return {SetInterface{{"wlan*", Switch::kOff, {"wifi"}}},
          SetInterface{{"wwan0", Switch::kOn, {"cellular"}}}};
}
bool IsOn(absl::string_view selector, absl::string_view name) {
  if (selector.empty()) return true;
  if (selector == "@wifi") return absl::StartsWith(name, "wlan");
  if (selector == "@cellular") return name == "wwan0";
  if (selector.back() == '*') {
    return absl::StartsWith(name, selector.substr(0, selector.size() - 1));
  }
  return selector == name;
}

struct Packet {
  AddressBytes remote{};
  uint8_t protocol = 6;
  uint16_t port = 0;
  bool egress = false;
  absl::string_view name;
};

NetworkRule RandomRule(Random& random) {
  NetworkRule rule;
  rule.action = Below(random, 2) == 0 ? Action::kAllow : Action::kDeny;
  const absl::string_view prefix = OneOf(random, kPrefixes);
  if (!prefix.empty()) rule.prefix = *ParseIpPrefix(prefix);
  rule.protocol = OneOf(random, kProtocols);
  if (rule.protocol != 1) rule.ports = OneOf(random, kPorts);
  rule.direction = static_cast<RuleDirection>(Below(random, 3));
  rule.interface = std::string(OneOf(random, kSelectors));
  return rule;
}

bool MatchesByWords(const NetworkRule& rule, const Packet& packet) {
  const bool has_ports = packet.protocol == 6 || packet.protocol == 17;
  return Contains(rule.prefix, packet.remote) &&
         (rule.protocol == 0 || rule.protocol == packet.protocol) &&
         ((rule.ports.first == 0 && rule.ports.last == 65535) ||
          (has_ports && rule.ports.first <= packet.port &&
           packet.port <= rule.ports.last)) &&
         (rule.direction == RuleDirection::kBoth ||
          packet.egress == (rule.direction == RuleDirection::kOut)) &&
         IsOn(rule.interface, packet.name);
}

// 1 when `a` comes first by one criterion, -1 when `b` does.
int Sooner(bool a, bool b) { return a == b ? 0 : (a ? 1 : -1); }
int Larger(int a, int b) { return a == b ? 0 : (a > b ? 1 : -1); }

bool ComesFirst(const NetworkRule& a, const NetworkRule& b) {
  const auto kind = [](const std::string& selector) {  // more is closer
    if (selector.empty()) return 0;
    if (selector[0] == '@') return 1;
    return selector.back() == '*' ? 2 : 3;
  };
  const int criteria[] = {
      Sooner(a.prefix.family != IpFamily::kAny,
             b.prefix.family != IpFamily::kAny),
      Larger(a.prefix.length, b.prefix.length),
      Sooner(a.protocol != 0, b.protocol != 0),
      Larger(b.ports.last - b.ports.first, a.ports.last - a.ports.first),
      Larger(kind(a.interface), kind(b.interface)),
      kind(a.interface) == 2 && kind(b.interface) == 2
          ? Larger(static_cast<int>(a.interface.size()),
                   static_cast<int>(b.interface.size()))
          : 0,
      Sooner(a.direction != RuleDirection::kBoth,
             b.direction != RuleDirection::kBoth),
      Sooner(a.action == Action::kDeny, b.action == Action::kDeny)};
  for (const int criterion : criteria) {
    if (criterion != 0) return criterion > 0;
  }
  return false;
}

// nullptr: none matches.
const NetworkRule* Best(const NetworkRules& rules, const Packet& packet) {
  const NetworkRule* best = nullptr;
  for (const NetworkRule& rule : rules) {
    if (!MatchesByWords(rule, packet)) continue;
    if (best == nullptr || ComesFirst(rule, *best)) best = &rule;
  }
  return best;
}

bool SameBits(const uint8_t* a, const uint8_t* b, uint32_t bits) {
  for (uint32_t i = 0; i < bits; ++i) {
    if (((a[i / 8] ^ b[i / 8]) >> (7 - i % 8) & 1) != 0) return false;
  }
  return true;
}

// As a lookup in np_interface.
uint64_t SelectorsOf(
    const std::vector<std::pair<np_interface_key, np_interface>>& table,
    absl::string_view name) {
  np_interface_key key = {};
  name.copy(key.name, sizeof(key.name) - 1);
  uint32_t longest = 0;
  uint64_t selectors = 0;
  for (const auto& [entry, value] : table) {
    const uint32_t bits = entry.prefixlen - NP_INTERFACE_PREFIX_BITS;
    uint8_t a[sizeof(key.name)];
    uint8_t b[sizeof(key.name)];
    std::memcpy(a, entry.name, sizeof(a));
    std::memcpy(b, key.name, sizeof(b));
    if (SameBits(a, b, bits) && entry.prefixlen >= longest) {
      longest = entry.prefixlen;
      selectors = value.selectors;
    }
  }
  return selectors | NP_SELECTOR_ANY;
}

// As np_match_set().
Action Compiled(const std::vector<CompiledPrefix>& set, const Packet& packet,
                uint64_t selectors) {
  const CompiledPrefix* found = nullptr;
  for (const CompiledPrefix& prefix : set) {
    if (SameBits(prefix.address.data(), packet.remote.data(), prefix.length) &&
        (found == nullptr || prefix.length > found->length)) {
      found = &prefix;
    }
  }
  if (found == nullptr) return Action::kAllow;
  const uint32_t flags =
      (packet.egress ? NP_PACKET_EGRESS : 0) |
      (np_has_ports(packet.protocol) != 0 ? NP_PACKET_PORTS : 0);
  const uint64_t word = np_packet(packet.protocol, flags, packet.port, 0);
  for (const np_network_rule& rule : found->rules) {
    if (np_match_rule(&rule, word, selectors) == NP_RULE_MATCHES) {
      return rule.action == NP_NETWORK_DENY ? Action::kDeny : Action::kAllow;
    }
  }
  return Action::kAllow;
}

TEST(NetworkRules, DecideByTheWrittenPrecedence) {
  Random random(1);
  int denied = 0;
  for (int round = 0; round < 2000; ++round) {
    NetworkRules own(Below(random, 9));
    NetworkRules defaults(Below(random, 9));
    for (NetworkRule& rule : own) rule = RandomRule(random);
    for (NetworkRule& rule : defaults) rule = RandomRule(random);
    const Policy base;
    PolicyEdit edit(base);
    for (const Change& change : Classes()) {
      ASSERT_THAT(edit.Apply(change), IsOk());
    }
    ASSERT_THAT(edit.Apply(SetNetworkRules{Uid{10007}, own}), IsOk());
    ASSERT_THAT(edit.Apply(SetNetworkRules{absl::nullopt, defaults}), IsOk());
    Policy policy;
    PolicyEdit::ApplyDelta(edit.Delta(), policy);

    const absl::StatusOr<SelectorNumbers> numbers =
        SelectorNumbers().Renumber(policy);
    ASSERT_THAT(numbers, IsOk());
    const auto interfaces =
        CompileInterfaces(policy.network().interfaces, *numbers, 0);
    const absl::StatusOr<std::vector<CompiledPrefix>> set =
        CompileRuleSet(policy.Find(Uid{10007}).network_rules,
                       policy.defaults().network_rules, *numbers);
    ASSERT_THAT(set, IsOk());

    for (int i = 0; i < 50; ++i) {
      Packet packet;
      packet.remote = *ParseAddress(OneOf(random, kRemotes));
      packet.protocol = std::max<uint8_t>(1, OneOf(random, kProtocols));
      packet.port = OneOf(random, kRemotePorts);
      packet.egress = Below(random, 2) == 0;
      packet.name = OneOf(random, kNames);
      const NetworkRule* rule = Best(own, packet);
      if (rule == nullptr) rule = Best(defaults, packet);
      const Action expected = rule == nullptr ? Action::kAllow : rule->action;
      ASSERT_EQ(Compiled(*set, packet, SelectorsOf(interfaces, packet.name)),
                expected)
          << "round " << round << ", "
          << (rule == nullptr ? "no rule" : NetworkRuleText(*rule)) << " for "
          << AddressText(packet.remote) << " protocol " << int{packet.protocol}
          << " port " << packet.port << (packet.egress ? " out" : " in")
          << " on " << packet.name;
      denied += expected == Action::kDeny ? 1 : 0;
    }
  }
  // Not a test of nothing.
  EXPECT_GT(denied, 10000);
}

}  // namespace
}  // namespace netpolicy
