// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_CLAT_PACKET_H_
#define NETPOLICY_BPF_PROGS_LIB_CLAT_PACKET_H_

#include <linux/types.h>

#include "bpf_progs/abi/clat.h"

// Headers as they are on the wire, byte order helpers, and the names of the
// numbers in them. Compiled into the programs and on the host.

#define NP_INLINE static inline __attribute__((always_inline))

// Wire order <-> host order; the same on both sides, usable in constants.
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define NP_WIRE16(x) ((__u16)__builtin_bswap16((__u16)(x)))
#define NP_WIRE32(x) ((__u32)__builtin_bswap32((__u32)(x)))
#else
#define NP_WIRE16(x) ((__u16)(x))
#define NP_WIRE32(x) ((__u32)(x))
#endif

#define NP_IP4_LEN 20
#define NP_IP6_LEN 40
#define NP_FRAGMENT_LEN 8
#define NP_ICMP_LEN 8

#define NP_PROTO_HOPOPTS 0
#define NP_PROTO_ICMP 1
#define NP_PROTO_IGMP 2
#define NP_PROTO_TCP 6
#define NP_PROTO_UDP 17
#define NP_PROTO_DCCP 33
#define NP_PROTO_ROUTING 43
#define NP_PROTO_FRAGMENT 44
#define NP_PROTO_AH 51
#define NP_PROTO_ICMP6 58
#define NP_PROTO_DSTOPTS 60
#define NP_PROTO_MOBILITY 135
#define NP_PROTO_UDPLITE 136
#define NP_PROTO_HIP 139
#define NP_PROTO_SHIM6 140

#define NP_IP4_DF 0x4000
#define NP_IP4_MF 0x2000
#define NP_IP4_OFFSET 0x1fff

struct np_ip4 {
  __u8 version_ihl;
  __u8 tos;
  __be16 len;
  __be16 id;
  __be16 frag;  // flags and fragment offset
  __u8 ttl;
  __u8 protocol;
  __be16 check;
  __be32 src;
  __be32 dst;
};

NP_ASSERT_SIZE(struct np_ip4, NP_IP4_LEN);

struct np_ip6 {
  __be32 first;  // version, traffic class, flow label
  __be16 payload_len;
  __u8 next;
  __u8 hop_limit;
  struct np_in6 src;
  struct np_in6 dst;
};

NP_ASSERT_SIZE(struct np_ip6, NP_IP6_LEN);

struct np_fragment {
  __u8 next;
  __u8 reserved;
  __be16 offset;  // in units of 8 in the upper 13 bits; bit 0: more follow
  __be32 id;
};

NP_ASSERT_SIZE(struct np_fragment, NP_FRAGMENT_LEN);

struct np_icmp {
  __u8 type;
  __u8 code;
  __be16 check;
  __be32 word;  // what the type makes of it
};

NP_ASSERT_SIZE(struct np_icmp, NP_ICMP_LEN);

struct np_udp {
  __be16 ports[2];
  __be16 len;
  __be16 check;
};

NP_ASSERT_SIZE(struct np_udp, 4 * 2);

// What is looked at of a packet without options or extension headers.
struct np_ip4_udp {
  struct np_ip4 ip;
  struct np_udp udp;
};

struct np_ip6_udp {
  struct np_ip6 ip;
  struct np_udp udp;
};

// Where a transport's checksum over a pseudo header is; -1: it has none.
NP_INLINE int np_checksum_offset(__u32 protocol) {
  switch (protocol) {
    case NP_PROTO_TCP:
      return 16;
    case NP_PROTO_UDP:
    case NP_PROTO_UDPLITE:
    case NP_PROTO_DCCP:
      return 6;
    case NP_PROTO_ICMP:
    case NP_PROTO_ICMP6:
      return 2;
    default:
      return -1;
  }
}

#endif  // NETPOLICY_BPF_PROGS_LIB_CLAT_PACKET_H_
