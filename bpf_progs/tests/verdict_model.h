// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//
// The policy programs' verdicts, said once more: a model that is as plain as
// can be, slow, and shares no code with the programs; and random policies and
// packets to compare the two with.

#ifndef NETPOLICY_BPF_PROGS_TESTS_VERDICT_MODEL_H_
#define NETPOLICY_BPF_PROGS_TESTS_VERDICT_MODEL_H_

#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "bpf_progs/abi/network.h"
#include "bpf_progs/abi/policy.h"

namespace netpolicy {

using Random = std::mt19937_64;
using Address = std::array<uint8_t, 16>;  // IPv4 as ::ffff:a.b.c.d

struct InterfaceEntry {
  std::string name;
  bool is_prefix = false;
  np_interface value{};
};

struct PrefixEntry {
  uint32_t set = 0;
  Address address{};
  uint32_t length = 0;  // bits, 0 to 128
  np_prefix run{};
};

struct DiscardEntry {
  Address address{};
  np_discard value{};
};

// One slot of the tables, as far as one UID and any packet of its meet it.
struct World {
  np_policy_config config{};
  np_uid_policy uid{};
  std::vector<InterfaceEntry> interfaces;
  std::vector<PrefixEntry> prefixes;
  std::vector<np_network_rule> rules;
  std::vector<DiscardEntry> discards;
};

World RandomWorld(Random& random);

enum class Ports : uint8_t {
  kNone,    // the protocol has none
  kKnown,   // read
  kUnread,  // there are, but a later fragment or a short packet hides them
};

// A packet, and what is to be understood of it. The bytes are written by hand,
// not by what the programs read them with.
struct Packet {
  std::string bytes;  // from the IP header on
  bool egress = false;
  Address remote{};
  Address local{};
  uint8_t protocol = 0;
  Ports ports = Ports::kNone;
  uint16_t remote_port = 0;
  bool closing = false;        // ESP, TCP RST, incoming FIN
  bool icmp6_control = false;  // Packet Too Big, neighbour discovery
};

Packet RandomPacket(Random& random);

// Where a packet comes from or goes to.
struct Link {
  std::string name;
  bool loopback = false;
  bool foreign = false;  // in another network namespace than the policy's
};

// All reasons to refuse the packet. Empty: it passes.
std::vector<int> Judge(const World& world, const Packet& packet,
                       const Link& link);

// The rules of one list in order; the first that matches decides. Whether it
// denies.
bool ListDenies(const World& world, uint32_t set, const Packet& packet,
                uint64_t selectors);

// What the policy says of the link.
np_interface LinkEntry(const World& world, const Link& link);

}  // namespace netpolicy

#endif  // NETPOLICY_BPF_PROGS_TESTS_VERDICT_MODEL_H_
