// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_ABI_NETWORK_H_
#define NETPOLICY_BPF_PROGS_ABI_NETWORK_H_

#include <linux/types.h>

#include "bpf_progs/abi/assert.h"

// The tables of rules about networks and interfaces.
//
// Written by: libpolicy alone, under the lock on the pin directory. Read by:
// the programs that judge, on their slow path; libpolicy (explain).

// A set of interfaces is a word of selectors. The policy numbers the selectors
// that it uses from 0 (np_source says what each stands for: a name, a prefix of
// names, a class); an interface is in a set when they have a bit in common.
#define NP_SELECTORS 63
#define NP_SELECTOR_ANY (1ULL << 63) /* every interface has this bit */

// np_interface: what the policy says of interfaces, by longest prefix of their
// name. Missing entry: in no set but "any", not metered.
struct np_interface_key {
  __u32 prefixlen;  // bits of slot and name that count: 32 + 8 * length of the
                    // prefix, or of the whole name with its NUL
  __u32 slot;
  char name[16];  // IFNAMSIZ, filled with NUL
};
NP_ASSERT_SIZE(struct np_interface_key, 4 + 4 + 16);
#define NP_INTERFACE_PREFIX_BITS 32 /* of np_interface_key before the name */

struct np_interface {
  __u64 selectors;  // also those of the shorter prefixes that it matches
  __u32 metered;    // 1: metered, 0: not
  __u32 pad;        // 0
};
NP_ASSERT_SIZE(struct np_interface, 8 + 4 + 4);

// np_prefix: which network rules may match a remote address, by longest prefix.
// Sets do not belong to a slot: what a set holds never changes, and its number
// is not given to another one while a packet could still be judged by it.
// Missing entry: no rule of the set matches.
struct np_prefix_key {
  __u32 prefixlen;   // bits of set and address that count, 32 to 160
  __u32 set;         // from 1
  __u8 address[16];  // IPv4 as ::ffff:a.b.c.d
};
NP_ASSERT_SIZE(struct np_prefix_key, 4 + 4 + 16);
#define NP_PREFIX_SET_BITS 32  /* of np_prefix_key before the address */
#define NP_PREFIX_IPV4_BITS 96 /* of an address before an IPv4 one */

// A run of np_network_rule. The first rule of it that matches decides.
struct np_prefix {
  __u32 first;
  __u32 count;  // 0 to NP_NETWORK_LIST_MAX
};
NP_ASSERT_SIZE(struct np_prefix, 4 + 4);
#define NP_NETWORK_LIST_MAX 32

struct np_network_rule {
  __u64 interfaces;  // selectors; ~0: any interface, also an unknown one
  __u16 port_first;  // remote port, host order, both ends included;
  __u16 port_last;   // 0 to 65535: any, also of protocols without ports
  __u8 protocol;     // IPPROTO_*; 0: any
  __u8 directions;   // 1 << NP_INGRESS, 1 << NP_EGRESS, or both
  __u8 action;       // NP_NETWORK_ALLOW or NP_NETWORK_DENY
  __u8 pad;          // 0
};
NP_ASSERT_SIZE(struct np_network_rule, 8 + 2 + 2 + 1 + 1 + 1 + 1);
#define NP_NETWORK_ALLOW 0
#define NP_NETWORK_DENY 1
#define NP_NETWORK_ANY_INTERFACE (~0ULL)

// np_discard: local addresses that packets may reach over some interfaces only.
// Missing entry: over all.
struct np_discard_key {
  __u32 slot;
  __u8 address[16];  // IPv4 as ::ffff:a.b.c.d
};
NP_ASSERT_SIZE(struct np_discard_key, 4 + 16);
struct np_discard {
  __u64 interfaces;  // selectors
};
NP_ASSERT_SIZE(struct np_discard, 8);

// np_source[slot * bytes of a slot...]: what the compiled tables can't give
// back, as a struct np_source_header and a message
// netpolicy.proto.PolicySource. Programs do not read it.
struct np_source_header {
  __u32 length;  // bytes of the message behind it; 0: there is none
  __u32 crc32;   // of the message, as zlib's crc32()
};
NP_ASSERT_SIZE(struct np_source_header, 4 + 4);

// np_refused: the peers of which something was refused last; the least recently
// refused are forgotten first. Written by: every program that judges. Read by:
// libpolicy.
struct np_refused_key {
  __u32 uid;
  __u8 direction;     // as np_drop_key.direction
  __u8 protocol;      // IPPROTO_*
  __u16 remote_port;  // host order; 0: has none
  __u8 remote[16];    // IPv4 as ::ffff:a.b.c.d
};
NP_ASSERT_SIZE(struct np_refused_key, 4 + 1 + 1 + 2 + 16);
struct np_refused {
  __u64 reasons;  // of the last time
  __u64 count;    // skbs, or calls
  __u64 last_ns;  // CLOCK_MONOTONIC
};
NP_ASSERT_SIZE(struct np_refused, 3 * 8);

#endif  // NETPOLICY_BPF_PROGS_ABI_NETWORK_H_
