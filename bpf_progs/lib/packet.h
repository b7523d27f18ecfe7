// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_PACKET_H_
#define NETPOLICY_BPF_PROGS_LIB_PACKET_H_

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf_progs/abi/network.h"
#include "bpf_progs/abi/stats.h"
#include "bpf_progs/lib/loss.h"
#include "bpf_progs/lib/network_rule.h"

// What rules want to know of an skb that begins with its IP header.

#define NP_EXTENSION_HEADERS 8 /* more are not looked behind */
#define NP_EXTENSION_PROTOCOLS                         \
  (1ULL << IPPROTO_HOPOPTS | 1ULL << IPPROTO_ROUTING | \
   1ULL << IPPROTO_FRAGMENT | 1ULL << IPPROTO_AH | 1ULL << IPPROTO_DSTOPTS)
#define NP_TCP_FLAGS_OFFSET 13
#define NP_TCP_FIN 0x01
#define NP_TCP_RST 0x04

// ICMPv6 that the network cannot do without (RFC 4890, 4.3.1 and 4.4.1).
static __always_inline int np_is_icmp6_control(__u8 type) {
  return type == 2 /* Packet Too Big */ || (type >= 133 && type <= 137);
}

// The skb in one word (lib/network_rule.h). A function that the verifier checks
// by itself: inlined, its branches would multiply those of its callers.
__noinline __u64 np_parse_packet(struct __sk_buff* skb, __u32 direction) {
  __u32 flags = direction == NP_EGRESS ? NP_PACKET_EGRESS : 0;
  __u8 head[12];  // up to where both versions say the protocol
  // Up to the flags of TCP; each load costs more than what it copies.
  __u8 transport[NP_TCP_FLAGS_OFFSET + 1] = {};
  __u8 protocol;
  __u32 offset;
  __be16 ports[2];
  __u64 later_fragment = 0;
  __u8 byte;

  if (!skb || bpf_skb_load_bytes(skb, 0, head, sizeof(head))) goto unparsable;
  if (head[0] >> 4 == 4) {
    offset = (head[0] & 0xf) * 4;
    later_fragment = np_is_zero((head[6] & 0x1f) | head[7]) ^ 1;
    protocol = head[9];
  } else if (head[0] >> 4 == 6) {
    flags |= NP_PACKET_IPV6;
    offset = 40;
    protocol = head[6];
    for (int i = 0; i < NP_EXTENSION_HEADERS; i++) {
      __u8 next[4];
      __u64 is_fragment;
      __u64 is_ah;

      if (protocol > 63 || !(NP_EXTENSION_PROTOCOLS >> protocol & 1)) break;
      if (bpf_skb_load_bytes(skb, offset, next, sizeof(next))) goto unparsable;
      // Without branches, or the verifier would walk every order of headers.
      is_fragment = np_is_equal(protocol, IPPROTO_FRAGMENT);
      is_ah = np_is_equal(protocol, IPPROTO_AH);
      later_fragment |=
          is_fragment & (np_is_zero(next[2] | (next[3] & 0xf8)) ^ 1);
      offset += is_fragment * 8 + is_ah * (next[1] + 2) * 4 +
                (1 ^ is_fragment ^ is_ah) * (next[1] + 1) * 8;
      protocol = next[0];
    }
  } else {
    goto unparsable;
  }

  if (np_has_ports(protocol)) flags |= NP_PACKET_PORTS_UNREAD;
  if (later_fragment) return np_packet(protocol, flags, 0, 0);
  if (protocol == IPPROTO_ESP) flags |= NP_PACKET_CLOSING;
  if (protocol == IPPROTO_ICMPV6 && (flags & NP_PACKET_IPV6) &&
      !bpf_skb_load_bytes(skb, offset, &byte, 1) && np_is_icmp6_control(byte))
    flags |= NP_PACKET_ICMP6_CONTROL;
  if (flags & NP_PACKET_PORTS_UNREAD) {
    if (protocol == IPPROTO_TCP &&
        !bpf_skb_load_bytes(skb, offset, transport, sizeof(transport))) {
      flags ^= NP_PACKET_PORTS | NP_PACKET_PORTS_UNREAD;
      if (transport[NP_TCP_FLAGS_OFFSET] &
          (direction == NP_INGRESS ? NP_TCP_RST | NP_TCP_FIN : NP_TCP_RST))
        flags |= NP_PACKET_CLOSING;
    } else if (!bpf_skb_load_bytes(skb, offset, transport, sizeof(ports))) {
      flags ^= NP_PACKET_PORTS | NP_PACKET_PORTS_UNREAD;
    }
  }
  __builtin_memcpy(ports, transport, sizeof(ports));
  return direction == NP_EGRESS
             ? np_packet(protocol, flags, bpf_ntohs(ports[1]),
                         bpf_ntohs(ports[0]))
             : np_packet(protocol, flags, bpf_ntohs(ports[0]),
                         bpf_ntohs(ports[1]));

unparsable:
  np_count_loss(NP_LOSS_UNPARSABLE);
  return np_packet(0, flags | NP_PACKET_UNPARSABLE, 0, 0);
}

enum np_end { NP_REMOTE, NP_LOCAL };

// The address of one end, an IPv4 one as ::ffff:a.b.c.d. Zero if it can't be
// read.
static __always_inline void np_load_address(struct __sk_buff* skb, __u64 packet,
                                            enum np_end end, __u8 address[16]) {
  __u32 second = ((packet & NP_PACKET_EGRESS) != 0) == (end == NP_REMOTE);

  __builtin_memset(address, 0, 16);
  if (packet & NP_PACKET_IPV6) {
    bpf_skb_load_bytes(skb, second ? 24 : 8, address, 16);
  } else {
    address[10] = address[11] = 0xff;
    bpf_skb_load_bytes(skb, second ? 16 : 12, address + 12, 4);
  }
}

#endif  // NETPOLICY_BPF_PROGS_LIB_PACKET_H_
