// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_WIRE_LENGTH_H_
#define NETPOLICY_BPF_PROGS_LIB_WIRE_LENGTH_H_

#include <linux/bpf.h>
#include <linux/rtnetlink.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "bpf_progs/abi/stats.h"
#include "bpf_progs/lib/gso_length.h"
#include "bpf_progs/lib/kernel_types.h"
#include "bpf_progs/lib/loss.h"

// How many packets an skb is on the wire beyond one, and how many bytes of
// repeated headers that makes. Three things make one skb several packets:
//   1. GSO and GRO: every segment carries the network and transport headers
//      (gso_length.h).
//   2. Egress, longer than the MTU: ip_do_fragment() and ip6_fragment() cut
//      the packet after this hook.
//   3. Ingress, reassembled: the stack keeps the size of the largest fragment.

#define NP_IPV6_FRAGMENT_HEADER_LEN 8

// Every IPv4 path carries 576 bytes and every IPv6 path 1280 (RFC 791, RFC
// 8200), but links may be set lower for IPv4. Below this length the MTU is not
// looked up.
#define NP_NEVER_FRAGMENTED 576

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
__noinline __u64 np_wire_extra(struct __sk_buff* skb, __u32 direction) {
  struct np_network network;
  struct np_extra extra = {};

  if (!skb || np_parse_network(skb, 0, &network)) goto unparsable;
  if (!skb->gso_size)
    extra = np_fragment_extra(skb, direction, &network);
  else if (np_gso_extra(skb, 0, &network, &extra))
    goto unparsable;
  return (__u64)extra.packets << 32 | (__u32)extra.bytes;

unparsable:
  np_count_loss(NP_LOSS_UNPARSABLE);
  return 0;
}

#endif  // NETPOLICY_BPF_PROGS_LIB_WIRE_LENGTH_H_
