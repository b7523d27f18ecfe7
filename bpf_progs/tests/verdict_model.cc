// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

#include "bpf_progs/tests/verdict_model.h"

#include <netinet/in.h>

#include <algorithm>
#include <cstddef>

#include "bpf_progs/abi/reason.h"
#include "bpf_progs/abi/stats.h"

namespace netpolicy {
namespace {

uint64_t Below(Random& random, uint64_t n) { return random() % n; }
bool OneIn(Random& random, uint64_t n) { return Below(random, n) == 0; }

template <typename T, size_t kSize>
T Pick(Random& random, const std::array<T, kSize>& values) {
  return values[Below(random, kSize)];
}

// Few addresses, so that prefixes meet them.
Address RandomAddress(Random& random, bool v4) {
  Address address{};
  if (v4) {
    address[10] = address[11] = 0xff;
    address[12] = OneIn(random, 2) ? 10 : 192;
    address[13] = static_cast<uint8_t>(Below(random, 2));
    address[14] = static_cast<uint8_t>(Below(random, 2) * 0x80);
    address[15] = static_cast<uint8_t>(Below(random, 4));
  } else {
    address[0] = OneIn(random, 2) ? 0xfd : 0x20;
    address[1] = static_cast<uint8_t>(Below(random, 2));
    address[7] = static_cast<uint8_t>(Below(random, 2) * 0x80);
    address[15] = static_cast<uint8_t>(Below(random, 4));
  }
  return address;
}

constexpr std::array<uint8_t, 9> kProtocols = {
    IPPROTO_TCP, IPPROTO_UDP,  IPPROTO_UDPLITE, IPPROTO_SCTP, IPPROTO_DCCP,
    IPPROTO_ESP, IPPROTO_ICMP, IPPROTO_ICMPV6,  IPPROTO_GRE};
constexpr std::array<uint16_t, 6> kPorts = {0, 1, 53, 443, 1024, 65535};
constexpr int kSets = 3;
constexpr uint64_t kSelectorBits = 4;

uint64_t RandomSelectors(Random& random) {
  uint64_t selectors = Below(random, 1 << kSelectorBits);
  if (OneIn(random, 8)) selectors |= NP_SELECTOR_ANY;
  return selectors;
}

uint64_t RandomBits(Random& random, uint64_t one_in) {
  uint64_t bits = 0;
  for (int i = 0; i < NP_REASONS; ++i) {
    if (OneIn(random, one_in)) bits |= NP_REASON_BIT(i);
  }
  return bits;
}

np_network_rule RandomRule(Random& random) {
  np_network_rule rule{};
  rule.interfaces =
      OneIn(random, 3) ? RandomSelectors(random) : NP_NETWORK_ANY_INTERFACE;
  rule.port_last = 65535;
  if (OneIn(random, 2)) {
    rule.port_first = Pick(random, kPorts);
    rule.port_last = std::max(rule.port_first, Pick(random, kPorts));
  }
  rule.protocol = OneIn(random, 2) ? 0 : Pick(random, kProtocols);
  rule.directions = static_cast<uint8_t>(1 + Below(random, 3));
  rule.action = static_cast<uint8_t>(Below(random, 2));
  return rule;
}

constexpr uint64_t kConditional = NP_REASON_BIT(NP_REASON_LOCKDOWN_VPN) |
                                  NP_REASON_BIT(NP_REASON_INTERFACE_RULE) |
                                  NP_REASON_BIT(NP_REASON_INGRESS_DISCARD) |
                                  NP_REASON_BIT(NP_REASON_LOCAL_NETWORK) |
                                  NP_REASON_BIT(NP_REASON_NETWORK_RULE);

bool MatchesFirstBits(const Address& a, const Address& b, uint32_t bits) {
  for (uint32_t i = 0; i < bits; ++i) {
    const int shift = 7 - static_cast<int>(i % 8);
    if ((a[i / 8] >> shift & 1) != (b[i / 8] >> shift & 1)) return false;
  }
  return true;
}

bool Has(uint64_t set, int reason) { return (set >> reason & 1) != 0; }

}  // namespace

World RandomWorld(Random& random) {
  World world;
  np_policy_config& config = world.config;
  // Mostly few rules, so that packets pass often; the conditional ones often.
  config.enabled = RandomBits(random, 40) | (random() & kConditional);
  config.allowlists = RandomBits(random, 2);
  config.at_socket = NP_REASON_BIT(NP_REASON_INTERNET_PERMISSION);
  config.not_on_loopback = RandomBits(random, 2);
  config.metered_only = RandomBits(random, 4);
  config.icmp6_passes = RandomBits(random, 2);
  config.closing_passes = RandomBits(random, 2);
  config.default_interfaces = RandomSelectors(random);
  config.default_network_set = static_cast<uint32_t>(Below(random, kSets + 1));
  config.local_network_set = static_cast<uint32_t>(Below(random, kSets + 1));
  config.uids_per_user = OneIn(random, 4) ? 100'000 : 0;
  config.exempt_below = OneIn(random, 16) ? 1 : 0;
  config.no_owner_uid = NP_UID_NONE;
  config.flags = OneIn(random, 2) ? ~0U : static_cast<uint32_t>(random());
  world.uid.rules = random() & random();
  world.uid.interfaces = OneIn(random, 2) ? RandomSelectors(random) : 0;
  world.uid.network_set =
      OneIn(random, 2) ? static_cast<uint32_t>(Below(random, kSets + 1)) : 0;

  for (const InterfaceEntry& entry :
       {InterfaceEntry{.name = "wwan0"}, InterfaceEntry{.name = "wlan0"},
        InterfaceEntry{.name = "wwan", .is_prefix = true},
        InterfaceEntry{.name = "w", .is_prefix = true},
        InterfaceEntry{.name = "wwan0", .is_prefix = true},
        InterfaceEntry{.name = "", .is_prefix = true},
        InterfaceEntry{.name = "lo"}}) {
    if (OneIn(random, 2)) continue;
    world.interfaces.push_back(entry);
    world.interfaces.back().value = {
        .selectors = RandomSelectors(random),
        .metered = static_cast<uint32_t>(Below(random, 2)),
        .pad = 0};
  }
  for (int i = 0; i < 64; ++i) world.rules.push_back(RandomRule(random));
  const uint64_t prefixes = Below(random, 16);
  for (uint64_t i = 0; i < prefixes; ++i) {
    PrefixEntry entry;
    entry.set = static_cast<uint32_t>(1 + Below(random, kSets));
    const bool v4 = OneIn(random, 2);
    entry.address = RandomAddress(random, v4);
    entry.length = static_cast<uint32_t>(
        OneIn(random, 6) ? 0
                         : (v4 ? 96 + Below(random, 33) : Below(random, 129)));
    entry.run.count = static_cast<uint32_t>(
        OneIn(random, 8) ? NP_NETWORK_LIST_MAX : Below(random, 5));
    entry.run.first = static_cast<uint32_t>(
        Below(random, world.rules.size() - entry.run.count + 1));
    // The same prefix again would replace the one before.
    const bool again = std::any_of(
        world.prefixes.begin(), world.prefixes.end(),
        [&](const PrefixEntry& other) {
          return other.set == entry.set && other.length == entry.length &&
                 MatchesFirstBits(other.address, entry.address, entry.length);
        });
    if (!again) world.prefixes.push_back(entry);
  }
  for (bool v4 : {false, true}) {
    if (OneIn(random, 2)) continue;
    world.discards.push_back(
        {.address = RandomAddress(random, v4),
         .value = {.interfaces = RandomSelectors(random)}});
  }
  return world;
}

namespace {

// Appends the transport header and says what can be known of it.
void AddTransport(Random& random, bool v6, bool later_fragment,
                  Packet& packet) {
  std::string body(24, '\0');
  const uint16_t remote = Pick(random, kPorts);
  const uint16_t local = Pick(random, kPorts);
  const uint16_t source = packet.egress ? local : remote;
  const uint16_t destination = packet.egress ? remote : local;
  const auto put = [&body](size_t at, uint16_t value) {
    body[at] = static_cast<char>(value >> 8);
    body[at + 1] = static_cast<char>(value & 0xff);
  };
  const bool has_ports =
      packet.protocol == IPPROTO_TCP || packet.protocol == IPPROTO_UDP ||
      packet.protocol == IPPROTO_UDPLITE || packet.protocol == IPPROTO_SCTP ||
      packet.protocol == IPPROTO_DCCP;
  uint8_t flags = 0;
  uint8_t icmp_type = 0;
  if (has_ports) {
    put(0, source);
    put(2, destination);
  }
  if (packet.protocol == IPPROTO_TCP) {
    constexpr std::array<uint8_t, 6> kFlags = {0x10, 0x02, 0x12,
                                               0x04, 0x11, 0x14};
    flags = Pick(random, kFlags);
    body[12] = 0x50;
    body[13] = static_cast<char>(flags);
  } else if (packet.protocol == IPPROTO_ICMPV6) {
    constexpr std::array<uint8_t, 9> kTypes = {1,   2,   128, 132, 133,
                                               134, 135, 136, 137};
    icmp_type = Pick(random, kTypes);
    body[0] = static_cast<char>(icmp_type);
  }
  size_t length = body.size();
  if (OneIn(random, 8)) length = Below(random, 20);
  body.resize(length);
  packet.bytes += body;

  if (has_ports) {
    const bool known = !later_fragment && length >= 4;
    packet.ports = known ? Ports::kKnown : Ports::kUnread;
    packet.remote_port = known ? remote : 0;
  }
  if (later_fragment) return;
  packet.closing =
      packet.protocol == IPPROTO_ESP ||
      (packet.protocol == IPPROTO_TCP && length >= 14 &&
       ((flags & 0x04) != 0 || (!packet.egress && (flags & 0x01) != 0)));
  packet.icmp6_control =
      v6 && packet.protocol == IPPROTO_ICMPV6 && length >= 1 &&
      (icmp_type == 2 || (icmp_type >= 133 && icmp_type <= 137));
}

}  // namespace

Packet RandomPacket(Random& random) {
  Packet packet;
  const bool v4 = OneIn(random, 2);
  packet.egress = OneIn(random, 2);
  packet.local = RandomAddress(random, v4);
  packet.remote = RandomAddress(random, v4);
  packet.protocol = Pick(random, kProtocols);
  const Address& source = packet.egress ? packet.local : packet.remote;
  const Address& destination = packet.egress ? packet.remote : packet.local;
  const bool fragment = OneIn(random, 8);
  const bool later = fragment && OneIn(random, 2);

  if (v4) {
    const size_t words = OneIn(random, 4) ? 5 + Below(random, 11) : 5;
    std::string header(words * 4, '\x01');  // options: NOP
    std::fill(header.begin(), header.begin() + 20, '\0');
    header[0] = static_cast<char>(0x40 | words);
    if (fragment) header[6] = 0x20;  // MF
    if (later) {
      header[7] = static_cast<char>(1 + Below(random, 255));
    } else if (fragment) {
      header[7] = 0;
    }
    header[8] = 64;
    header[9] = static_cast<char>(packet.protocol);
    std::copy(source.begin() + 12, source.end(), header.begin() + 12);
    std::copy(destination.begin() + 12, destination.end(), header.begin() + 16);
    packet.bytes = header;
  } else {
    std::string header(40, '\0');
    header[0] = 0x60;
    header[7] = 64;
    std::copy(source.begin(), source.end(), header.begin() + 8);
    std::copy(destination.begin(), destination.end(), header.begin() + 24);
    packet.bytes = header;
    size_t next_at = 6;  // where the number of what follows goes
    const auto add = [&](uint8_t number, const std::string& extension) {
      packet.bytes[next_at] = static_cast<char>(number);
      next_at = packet.bytes.size();
      packet.bytes += extension;
    };
    while (OneIn(random, 4)) {
      std::string options(8 * (1 + Below(random, 2)), '\0');
      options[1] = static_cast<char>(options.size() / 8 - 1);
      add(OneIn(random, 2) ? IPPROTO_HOPOPTS : IPPROTO_DSTOPTS, options);
      if (packet.bytes.size() > 40 + 24) break;
    }
    if (OneIn(random, 16)) {
      std::string authentication(24, '\0');
      authentication[1] = 24 / 4 - 2;
      add(IPPROTO_AH, authentication);
    }
    if (fragment) {
      std::string extension(8, '\0');
      if (later) extension[3] = static_cast<char>(0x08 | Below(random, 2));
      add(IPPROTO_FRAGMENT, extension);
    }
    packet.bytes[next_at] = static_cast<char>(packet.protocol);
  }
  AddTransport(random, !v4, later, packet);
  return packet;
}

np_interface LinkEntry(const World& world, const Link& link) {
  np_interface found{};
  int longest = -1;
  if (!link.loopback && !link.foreign &&
      (world.config.flags & NP_POLICY_INTERFACES) != 0) {
    for (const InterfaceEntry& entry : world.interfaces) {
      // A whole name is longer than a prefix with the same letters.
      const int length =
          static_cast<int>(entry.name.size()) * 2 + (entry.is_prefix ? 0 : 1);
      const bool matches =
          entry.is_prefix
              ? link.name.compare(0, entry.name.size(), entry.name) == 0
              : link.name == entry.name;
      if (!matches || length <= longest) continue;
      longest = length;
      found = entry.value;
    }
  }
  found.selectors |= NP_SELECTOR_ANY;
  return found;
}

bool ListDenies(const World& world, uint32_t set, const Packet& packet,
                uint64_t selectors) {
  const PrefixEntry* best = nullptr;
  for (const PrefixEntry& entry : world.prefixes) {
    if (entry.set == set &&
        MatchesFirstBits(entry.address, packet.remote, entry.length) &&
        (best == nullptr || entry.length > best->length)) {
      best = &entry;
    }
  }
  if (best == nullptr) return false;
  for (uint32_t i = 0; i < best->run.count; ++i) {
    const np_network_rule& rule = world.rules[best->run.first + i];
    const bool denies = rule.action == NP_NETWORK_DENY;
    if (rule.protocol != 0 && rule.protocol != packet.protocol) continue;
    if ((rule.directions & (1 << (packet.egress ? NP_EGRESS : NP_INGRESS))) ==
        0) {
      continue;
    }
    if (rule.interfaces != NP_NETWORK_ANY_INTERFACE &&
        (rule.interfaces & selectors) == 0) {
      continue;
    }
    if (rule.port_first != 0 || rule.port_last != 65535) {
      if (packet.ports == Ports::kNone) continue;
      if (packet.ports == Ports::kUnread && !denies) continue;
      if (packet.ports == Ports::kKnown &&
          (packet.remote_port < rule.port_first ||
           packet.remote_port > rule.port_last)) {
        continue;
      }
    }
    return denies;
  }
  return false;
}

std::vector<int> Judge(const World& world, const Packet& packet,
                       const Link& link) {
  const np_policy_config& config = world.config;
  const np_interface entry = LinkEntry(world, link);
  const uint64_t allowed = world.uid.interfaces != 0
                               ? world.uid.interfaces
                               : config.default_interfaces;
  const uint32_t set = world.uid.network_set != 0 ? world.uid.network_set
                                                  : config.default_network_set;
  std::vector<int> reasons;

  // UID 0, the owner of all packets here, is app id 0.
  if (config.exempt_below > 0) return reasons;
  for (int reason = 0; reason < NP_REASONS; ++reason) {
    if (!Has(config.enabled, reason) || Has(config.at_socket, reason)) continue;
    if (reason == NP_REASON_NO_OWNER) continue;
    if (link.loopback && Has(config.not_on_loopback, reason)) continue;
    if (entry.metered == 0 && Has(config.metered_only, reason)) continue;
    if (packet.icmp6_control && Has(config.icmp6_passes, reason)) continue;
    if (packet.closing && Has(config.closing_passes, reason)) continue;
    if (Has(world.uid.rules, reason) == Has(config.allowlists, reason)) {
      continue;
    }
    bool violated = true;
    switch (reason) {
      case NP_REASON_LOCKDOWN_VPN:
      case NP_REASON_INTERFACE_RULE:
        violated = (allowed & entry.selectors) == 0;
        break;
      case NP_REASON_NETWORK_RULE:
        violated = (config.flags & NP_POLICY_NETWORK_RULES) != 0 &&
                   ListDenies(world, set, packet, entry.selectors);
        break;
      case NP_REASON_LOCAL_NETWORK:
        violated = (config.flags & NP_POLICY_LOCAL_NETWORK) != 0 &&
                   ListDenies(world, config.local_network_set, packet,
                              entry.selectors);
        break;
      case NP_REASON_INGRESS_DISCARD:
        violated = false;
        for (const DiscardEntry& discard : world.discards) {
          if ((config.flags & NP_POLICY_DISCARD) != 0 && !packet.egress &&
              discard.address == packet.local &&
              (discard.value.interfaces & entry.selectors) == 0) {
            violated = true;
          }
        }
        break;
      default:
        break;
    }
    if (violated) reasons.push_back(reason);
  }
  return reasons;
}

}  // namespace netpolicy
