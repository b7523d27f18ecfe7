// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_WIRE_LENGTH_H_
#define NETPOLICY_BPF_PROGS_LIB_WIRE_LENGTH_H_

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/rtnetlink.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "bpf_progs/abi/stats.h"
#include "bpf_progs/lib/kernel_types.h"
#include "bpf_progs/lib/loss.h"

// How many packets an skb is on the wire beyond one, and how many bytes of
// repeated headers that makes. Three things make one skb several packets:
//   1. GSO and GRO: every segment carries the network and transport headers.
//   2. Egress, longer than the MTU: ip_do_fragment() and ip6_fragment() cut
//      the packet after this hook.
//   3. Ingress, reassembled: the stack keeps the size of the largest fragment.

#define NP_GSO_BY_FRAGS \
  0xffff /* include/linux/skbuff.h: gso_size says nothing (SCTP) */
#define NP_IPV6_HEADER_LEN 40
#define NP_IPV6_FRAGMENT_HEADER_LEN 8
#define NP_IPV6_JUMBO_LEN 8

// Every IPv4 path carries 576 bytes and every IPv6 path 1280 (RFC 791, RFC
// 8200), but links may be set lower for IPv4. Below this length the MTU is not
// looked up.
#define NP_NEVER_FRAGMENTED 576

struct np_extra {
  __u32 packets;
  __s32 bytes;  // negative when segmentation removes the IPv6 jumbo option
};

// The part of the headers that each fragment or segment repeats.
struct np_network {
  __u32 len;      // of the network header
  __u32 removed;  // what segmentation takes away behind it
  __u8 version;   // 4 or 6
  __u8 transport;
};

// Returns -1 when the packet is not IP.
static __always_inline int np_parse_network(struct __sk_buff* skb,
                                            struct np_network* network) {
  __u8 first[8];

  network->removed = 0;
  if (bpf_skb_load_bytes(skb, 0, first, sizeof(first))) return -1;
  network->version = first[0] >> 4;
  if (network->version == 4) {
    network->len = (first[0] & 0xf) * 4;
    return bpf_skb_load_bytes(skb, 9, &network->transport, 1);
  }
  if (network->version != 6) return -1;
  network->len = NP_IPV6_HEADER_LEN;
  network->transport = first[6];
  if (network->transport == IPPROTO_HOPOPTS && first[4] == 0 && first[5] == 0) {
    // BIG TCP: the stack adds a jumbo payload option to super-packets and takes
    // it off again when it cuts them up (ipv6_hopopt_jumbo_remove() in the
    // kernel).
    network->removed = NP_IPV6_JUMBO_LEN;
    return bpf_skb_load_bytes(skb, NP_IPV6_HEADER_LEN, &network->transport, 1);
  }
  return 0;
}

static __always_inline struct np_extra np_gso_extra(
    struct __sk_buff* skb, const struct np_network* network) {
  struct np_extra extra = {};
  __u32 header_len = network->len;
  __u32 removed = network->removed;
  __u32 gso_size = skb->gso_size;
  __u32 segments;
  __u8 data_offset;

  if (network->transport == IPPROTO_TCP) {
    if (bpf_skb_load_bytes(skb, header_len + removed + 12, &data_offset, 1))
      goto unparsable;
    header_len += (data_offset >> 4) * 4;
  } else if (network->transport == IPPROTO_UDP) {
    header_len += 8;
  } else if (network->transport == IPPROTO_SCTP) {
    header_len += 12;
  } else {
    goto unparsable;
  }
  if (skb->len <= header_len + removed) goto unparsable;

  // Not gso_segs: drivers and tun leave it 0 (SKB_GSO_DODGY).
  if (gso_size == NP_GSO_BY_FRAGS)
    segments = skb->gso_segs;
  else
    segments = (skb->len - removed - header_len + gso_size - 1) / gso_size;
  if (segments > 1) {
    extra.packets = segments - 1;
    extra.bytes = (segments - 1) * header_len;
  }
  extra.bytes -= removed;
  return extra;

unparsable:
  np_count_loss(NP_LOSS_UNPARSABLE);
  return extra;
}

// The MTU that ip_fragment() or ip6_fragment() would go by: what path MTU
// discovery or the route say, else the device. 0: unknown.
static __always_inline __u32 np_egress_mtu(struct __sk_buff* ctx,
                                           __u32 version) {
  struct sk_buff___np* skb = np_kernel_skb(ctx);
  struct dst_entry___np* dst;
  struct rtable___np* route;
  unsigned long metrics;
  __u32 mtu = 0;

  dst = (void*)(BPF_CORE_READ(skb, _skb_refdst) & ~1UL);  // SKB_DST_NOREF
  if (!dst) return 0;
  if (version == 4) {
    unsigned long expires = BPF_CORE_READ(dst, expires);
    route = (void*)dst;
    if (expires && (__s64)(expires - bpf_jiffies64()) > 0)
      mtu = BPF_CORE_READ_BITFIELD_PROBED(route, rt_pmtu);
    if (mtu) return mtu;
  }
  metrics = BPF_CORE_READ(dst, _metrics) & ~3UL;  // DST_METRICS_FLAGS
  if (metrics)
    bpf_probe_read_kernel(&mtu, sizeof(mtu),
                          (void*)(metrics + (RTAX_MTU - 1) * sizeof(__u32)));
  if (mtu) return mtu;
  if (version == 6) {
    mtu = BPF_CORE_READ(dst, dev, ip6_ptr, cnf.mtu6);
    if (mtu) return mtu;
  }
  return BPF_CORE_READ(dst, dev, mtu);
}

// Size of the largest fragment that an incoming datagram was put together from;
// 0: it came whole.
static __always_inline __u32 np_ingress_fragment_size(struct __sk_buff* ctx,
                                                      __u32 version) {
  struct sk_buff___np* skb = np_kernel_skb(ctx);
  void* cb = __builtin_preserve_access_index(&skb->cb);
  __u16 size = 0;

  if (version == 4)
    bpf_core_read(&size, sizeof(size),
                  &((struct inet_skb_parm___np*)cb)->frag_max_size);
  else
    bpf_core_read(&size, sizeof(size),
                  &((struct inet6_skb_parm___np*)cb)->frag_max_size);
  return size;
}

static __always_inline struct np_extra np_fragment_extra(
    struct __sk_buff* skb, __u32 direction, const struct np_network* network) {
  struct np_extra extra = {};
  __u32 overhead = network->len;
  __u32 limit;
  __u32 room;

  if (direction == NP_EGRESS) {
    limit = np_egress_mtu(skb, network->version);
    if (skb->len <= limit) return extra;
  } else {
    limit = np_ingress_fragment_size(skb, network->version);
  }
  if (network->version == 6) overhead += NP_IPV6_FRAGMENT_HEADER_LEN;
  if (limit < overhead + 8 || skb->len <= network->len) return extra;
  room = (limit - overhead) &
         ~7U;  // every fragment but the last is a multiple of 8
  extra.packets = (skb->len - network->len + room - 1) / room - 1;
  extra.bytes = extra.packets * overhead + (overhead - network->len);
  return extra;
}

// Most packets are one packet: for them this is two loads.
static __always_inline bool np_may_have_extra(struct __sk_buff* skb) {
  return skb->gso_size || skb->len > NP_NEVER_FRAGMENTED;
}

// Out of line, so that the fast path stays small. The packets are in the upper
// half of the result and the bytes in the lower one, as a function of its own
// can only return a scalar.
static __noinline __u64 np_wire_extra(struct __sk_buff* skb, __u32 direction) {
  struct np_network network;
  struct np_extra extra;

  if (np_parse_network(skb, &network)) {
    np_count_loss(NP_LOSS_UNPARSABLE);
    return 0;
  }
  extra = skb->gso_size ? np_gso_extra(skb, &network)
                        : np_fragment_extra(skb, direction, &network);
  return (__u64)extra.packets << 32 | (__u32)extra.bytes;
}

#endif  // NETPOLICY_BPF_PROGS_LIB_WIRE_LENGTH_H_
