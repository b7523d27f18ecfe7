// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_ABI_CLAT_H_
#define NETPOLICY_BPF_PROGS_ABI_CLAT_H_

#include <linux/types.h>

#include "bpf_progs/abi/assert.h"

// The translator's tables. One instance translates on one interface, the
// uplink; everything an instance is made of is keyed by that interface's index.
//
// Written by: libpolicy's clat package alone. Read by: the programs of
// clat.bpf.c. Addresses are in wire order, lengths and MTUs in host order and
// in bytes of the whole IP packet.

struct np_in6 {
  __be32 word[4];
};

NP_ASSERT_SIZE(struct np_in6, 4 * 4);

// np_clat_instance[ifindex]: how to translate on this interface.
struct np_clat_instance {
  struct np_in6 prefix;        // RFC 6052; bits behind prefix_len are 0
  struct np_in6 local6;        // IPv6 side of the pair; all zero: no pair
  struct np_in6 icmp_source6;  // of ICMPv6 errors made here; all zero: the
                               // address that the packet was sent to
  __be32 local4;               // IPv4 side of the pair
  __be32 icmp_source4;  // first address that stands for senders of ICMP errors
                        // without an IPv4 address (RFC 6791)
  __u32 icmp_source4_count;  // so many addresses from there on, from 1
  __u32 prefix_len;          // 32, 40, 48, 56, 64 or 96
  __u32 flags;               // NP_CLAT_*
  __u32 slot;                // whose counters: 0 <= slot < NP_CLAT_SLOTS
  __u32 mtu4;  // of the next IPv4 hop; 0: unknown, the stack will judge
  __u32 mtu6;  // of the next IPv6 hop, at least 1280
  __u32 lowest_ipv6_mtu;  // longest IPv6 packet made of an IPv4 packet that may
                          // be fragmented, at least 1280 (RFC 7915, 4.1)
  __u32 icmp_per_second;  // ICMP errors made per CPU; 0: none,
                          // NP_CLAT_UNLIMITED: any number
  __u32 icmp_burst;       // how many at once, from 1
  __u32 pad;              // 0
};

NP_ASSERT_SIZE(struct np_clat_instance, 3 * 16 + 2 * 4 + 10 * 4);

#define NP_CLAT_UNLIMITED 0xffffffffU
#define NP_CLAT_SLOTS 64

// There are entries in np_clat_eam4 and np_clat_eam6 (the pair above among
// them): look there.
#define NP_CLAT_MAPPINGS (1U << 0)
// Copy TTL and hop limit; never answer that they have run out.
#define NP_CLAT_TTL_COPY (1U << 1)
// Drop UDP over IPv4 without a checksum instead of computing one.
#define NP_CLAT_UDP_ZERO_DROP (1U << 2)
// The prefix is 64:ff9b::/96: it must not hold an IPv4 address that is not
// global (RFC 6052, 3.1); the second flag counts the networks for documentation
// among these.
#define NP_CLAT_GLOBAL_ONLY (1U << 3)
#define NP_CLAT_NO_DOCUMENTATION (1U << 4)

// np_clat_eam4, np_clat_eam6 (longest prefix match): explicit address mappings
// (RFC 7757) of an instance, each in both tables. A pair of addresses is a /32
// and a /128.
struct np_clat_eam4_key {
  __u32 prefixlen;  // 32 + length of the IPv4 prefix
  __u32 ifindex;
  __be32 address;
};

NP_ASSERT_SIZE(struct np_clat_eam4_key, 4 + 4 + 4);

struct np_clat_eam6_key {
  __u32 prefixlen;  // 32 + length of the IPv6 prefix
  __u32 ifindex;
  struct np_in6 address;
};

NP_ASSERT_SIZE(struct np_clat_eam6_key, 4 + 4 + 16);

struct np_clat_eam {
  struct np_in6 prefix6;
  __be32 prefix4;
  __u8 len4;    // 0 to 32
  __u8 len6;    // 0 to 128; 32 - len4 <= 128 - len6
  __u8 pad[2];  // 0
};

NP_ASSERT_SIZE(struct np_clat_eam, 16 + 4 + 1 + 1 + 2);

// What became of a packet. Numbers are for ever: a retired one stays reserved.
#define NP_CLAT_NOT_OURS 0      /* left alone */
#define NP_CLAT_TRANSLATED_46 1 /* became one IPv6 packet */
#define NP_CLAT_TRANSLATED_64 2 /* became one IPv4 packet */
#define NP_CLAT_SPLIT_46 3      /* became several IPv6 fragments */
#define NP_CLAT_SPLIT_64 4      /* became several IPv4 fragments */
/* 5 to 15: reserved */
#define NP_CLAT_FIRST_DROP 16
#define NP_CLAT_MALFORMED \
  16 /* lengths, version or IPv4 header checksum wrong, or too short */
#define NP_CLAT_SOURCE 17 /* source address without a counterpart */
#define NP_CLAT_DESTINATION 18
#define NP_CLAT_NOT_GLOBAL 19    /* RFC 6052, 3.1 */
#define NP_CLAT_TTL 20           /* TTL or hop limit has run out; answered */
#define NP_CLAT_SOURCE_ROUTE 21  /* unexpired source route; answered */
#define NP_CLAT_SEGMENTS_LEFT 22 /* unexpired Routing header; answered */
#define NP_CLAT_TOO_BIG 23       /* and must not be fragmented; answered */
#define NP_CLAT_PROTOCOL 24      /* protocol of the other IP version only */
#define NP_CLAT_UDP_ZERO 25      /* UDP without a checksum */
#define NP_CLAT_UDP_ZERO_FRAGMENT 26
#define NP_CLAT_ICMP_TYPE 27     /* ICMP message without a counterpart */
#define NP_CLAT_ICMP_FRAGMENT 28 /* fragmented ICMP */
#define NP_CLAT_ICMP_NESTED 29   /* ICMP error about an ICMP error */
#define NP_CLAT_ICMP_INNER 30    /* packet in an ICMP error not translatable */
#define NP_CLAT_EXTENSION_HEADER                                         \
  31                            /* behind a Fragment header, or too many \
                                 */
#define NP_CLAT_TOO_LONG 32     /* jumbogram, or over 65535 bytes after it */
#define NP_CLAT_CANNOT_SPLIT 33 /* too long or too many fragments for us */
#define NP_CLAT_KERNEL 34       /* a kernel function refused */
#define NP_CLAT_OUTCOMES 48

// Of those that are answered: how often an ICMP error went out, and how often
// one was withheld (rate, or nobody may be told).
#define NP_CLAT_ANSWERS_SENT 0
#define NP_CLAT_ANSWERS_WITHHELD 1
#define NP_CLAT_ANSWERS 2

// np_clat_counters[slot], per CPU. Counters only grow.
struct np_clat_counters {
  __u64 outcomes[NP_CLAT_OUTCOMES];  // packets, by the numbers above
  __u64 answers[NP_CLAT_ANSWERS];
  __u64 bytes46;  // of IPv4 packets translated, skb bytes of layer 3
  __u64 bytes64;  // of IPv6 packets translated
};

NP_ASSERT_SIZE(struct np_clat_counters, NP_CLAT_OUTCOMES * 8 + 2 * 8 + 8 + 8);

#endif  // NETPOLICY_BPF_PROGS_ABI_CLAT_H_
