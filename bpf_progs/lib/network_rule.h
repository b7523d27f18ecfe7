// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_NETWORK_RULE_H_
#define NETPOLICY_BPF_PROGS_LIB_NETWORK_RULE_H_

#include "bpf_progs/abi/network.h"
#include "bpf_progs/lib/decision.h"

// Whether a packet meets the conditions of rules about networks. Compiled into
// the programs and into libpolicy (explain, tests); pure.

// What rules look at beside the addresses, in one word, as functions that the
// verifier checks on their own can only take numbers on our oldest kernel.
//   bits 0-7    IPPROTO_*, behind IPv6 extension headers
//   bits 8-15   NP_PACKET_*
//   bits 16-31  remote port
//   bits 32-47  local port
#define NP_PACKET_PORTS (1U << 8)          /* the ports are known */
#define NP_PACKET_IPV6 (1U << 9)           /* the network header is IPv6's */
#define NP_PACKET_CLOSING (1U << 10)       /* as NP_FACT_CLOSING */
#define NP_PACKET_ICMP6_CONTROL (1U << 11) /* as NP_FACT_ICMP6_CONTROL */
#define NP_PACKET_EGRESS (1U << 12)
#define NP_PACKET_NO_INTERFACE (1U << 13) /* as NP_FACT_CONNECT */
#define NP_PACKET_UNPARSABLE (1U << 14)
#define NP_PACKET_PORTS_UNREAD \
  (1U << 15) /* there are, but they are not known */

static inline __attribute__((always_inline)) __u64 np_packet(__u8 protocol,
                                                             __u32 flags,
                                                             __u16 remote_port,
                                                             __u16 local_port) {
  return (__u64)local_port << 32 | (__u64)remote_port << 16 | flags | protocol;
}

static inline __attribute__((always_inline)) __u8 np_packet_protocol(
    __u64 packet) {
  return (__u8)packet;
}

static inline __attribute__((always_inline)) __u16 np_packet_remote_port(
    __u64 packet) {
  return (__u16)(packet >> 16);
}

// Comparisons as numbers, 0 or 1: the programs compare up to
// NP_NETWORK_LIST_MAX rules in a row (see np_opaque()).
static inline __attribute__((always_inline)) __u64 np_is_zero(__u64 x) {
  return (np_opaque(x | -x) >> 63) ^ 1;
}

static inline __attribute__((always_inline)) __u64 np_is_equal(__u64 a,
                                                               __u64 b) {
  return np_is_zero(a ^ b);
}

// Requires a, b < 2^63.
static inline __attribute__((always_inline)) __u64 np_is_at_most(__u64 a,
                                                                 __u64 b) {
  return (np_opaque(b - a) >> 63) ^ 1;
}

// TCP, UDP, UDP-Lite, SCTP and DCCP begin with source and destination port.
static inline __attribute__((always_inline)) __u64 np_has_ports(__u8 protocol) {
  return np_is_equal(protocol, 6) | np_is_equal(protocol, 17) |
         np_is_equal(protocol, 33) | np_is_equal(protocol, 132) |
         np_is_equal(protocol, 136);
}

#define NP_RULE_DIFFERS 0
#define NP_RULE_MATCHES 1
#define NP_RULE_MAY_MATCH 2 /* it depends on the interface, not yet known */

// Whether the rule, of the list that the remote address led to, matches a
// packet on an interface with these selectors.
static inline __attribute__((always_inline)) __u64 np_match_rule(
    const struct np_network_rule* rule, __u64 packet, __u64 selectors) {
  __u64 port = np_packet_remote_port(packet);
  __u64 first = rule->port_first;
  __u64 last = rule->port_last;
  __u64 any_port = np_is_zero(first) & np_is_equal(last, 0xffff);
  __u64 known = packet / NP_PACKET_PORTS & 1;
  // Where the port can't be read, it may be any: a denial holds.
  __u64 any_unread = (packet / NP_PACKET_PORTS_UNREAD & 1) &
                     np_is_equal(rule->action, NP_NETWORK_DENY);
  __u64 ports =
      any_port | any_unread |
      (known & np_is_at_most(first, port) & np_is_at_most(port, last));
  __u64 protocol = np_is_zero(rule->protocol) |
                   np_is_equal(rule->protocol, np_packet_protocol(packet));
  __u64 direction =
      (__u64)rule->directions >> (packet / NP_PACKET_EGRESS & 1) & 1;
  __u64 any_interface = np_is_equal(rule->interfaces, NP_NETWORK_ANY_INTERFACE);
  __u64 unknown = packet / NP_PACKET_NO_INTERFACE & 1;
  __u64 interface =
      any_interface | unknown | (np_is_zero(rule->interfaces & selectors) ^ 1);
  __u64 matches = ports & protocol & direction & interface;

  return matches + (matches & unknown & (any_interface ^ 1));
}

#endif  // NETPOLICY_BPF_PROGS_LIB_NETWORK_RULE_H_
