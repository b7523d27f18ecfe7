// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_CLAT_QUICK_H_
#define NETPOLICY_BPF_PROGS_LIB_CLAT_QUICK_H_

#include "bpf_progs/lib/clat_6to4.h"
#include "bpf_progs/lib/clat_map.h"
#include "bpf_progs/lib/clat_work.h"

// TCP and UDP as they nearly always are. Everything else, and what is not sure
// to fit, goes the long way (clat_4to6.h, clat_6to4.h).
//
// The headers are read and written in place, as calls are most of what
// translating costs. A program that writes through pointers makes the kernel
// own the headers of every cloned skb before it runs (tc_cls_act_prologue()),
// also of those it leaves alone: TCP's clones own them already, those of packet
// captures are copied.
//
// Not so without an Ethernet header: then kernels that can't read words from
// anywhere (those without CONFIG_HAVE_EFFICIENT_UNALIGNED_ACCESS) would refuse
// the program.

// The first `len` bytes behind the link layer's header, in place or in a copy;
// null: too short, or not in one piece.
static __always_inline const void* np_clat_peek(struct __sk_buff* skb,
                                                const __u32 l2,
                                                const __u32 len) {
  const void* at = (const void*)(long)skb->data + l2;
  struct np_clat_work* work;

  if (l2) return at + len > (const void*)(long)skb->data_end ? 0 : at;
  work = np_clat_work_here();
  if (!work || bpf_skb_load_bytes(skb, 0, work->headers, len)) return 0;
  return work->headers;
}

// Makes the skb's IP header the one of `len` bytes at `header`, of the version
// that `protocol` names, where the kernel has just made room for it. Leaves a
// CHECKSUM_COMPLETE sum as it is.
static __always_inline long np_clat_poke(struct __sk_buff* skb, const __u32 l2,
                                         __u16 protocol, const __u32* header,
                                         const __u32 len) {
  __u32* at = (void*)(long)skb->data + l2;
  __u32 i;

  if (!l2) return bpf_skb_store_bytes(skb, 0, header, len, 0);
  if ((void*)at + len > (void*)(long)skb->data_end) return -1;
  *((__be16*)at - 1) = NP_WIRE16(protocol);
#pragma unroll
  for (i = 0; i < len / 4; i++) at[i] = header[i];
  return 0;
}

// The end of the quick ways: what the header's change means for a transport
// checksum `check_at` bytes behind it. `sum` is by how much the sum of the
// header and of what is behind it grew, `growth` that of the pseudo header.
static __always_inline long np_clat_settle(struct __sk_buff* skb, __u32 at,
                                           __u32 protocol, __u64 sum,
                                           __u64 growth) {
  __u64 flags = BPF_F_PSEUDO_HDR;

  // Refused, and needless, where the sum is not CHECKSUM_COMPLETE.
  bpf_csum_update(skb, np_sum_fold32(sum));
  // Addresses that are checksum-neutral (RFC 6052, 4.1).
  if (np_sum_is_zero(growth)) return 0;
  if (protocol == NP_PROTO_UDP) flags |= BPF_F_MARK_MANGLED_0;
  return bpf_l4_csum_replace(skb, at, 0, np_sum_fold32(growth), flags);
}

// IPv4 packets on their way out. Returns whether the packet has been dealt
// with.
static __always_inline int np_clat_quick46(
    struct __sk_buff* skb, const struct np_clat_instance* instance,
    const __u32 l2, __u32* result) {
  const struct np_ip4_udp* in = np_clat_peek(skb, l2, sizeof(*in));
  const struct np_ip4* ip4 = &in->ip;
  struct np_ip6 ip6;
  __u32 check_at = NP_IP6_LEN;
  __u32 wire_len;
  __u32 protocol;
  __u32 ttl;
  __u32 len;
  __u64 growth;
  __u64 sum;

  if (!in || instance->flags & NP_CLAT_MAPPINGS ||
      ip4->src != instance->local4 || !ip4->src)
    return 0;
  protocol = ip4->protocol;
  ttl = ip4->ttl;
  len = NP_WIRE16(ip4->len);
  wire_len = len + 20;
  if (ip4->version_ihl != 0x45 || ip4->frag & NP_WIRE16(0xbfff) ||
      len != skb->len - l2 || !np_ip4_checksum_ok(ip4))
    return 0;
  if (!(instance->flags & NP_CLAT_TTL_COPY) && ttl-- <= 1) return 0;
  if (ip4->dst == instance->local4 ||
      np_clat_embeddable(instance->flags, ip4->dst, NP_CLAT_DESTINATION))
    return 0;
  if (skb->gso_size) wire_len = skb->gso_size + NP_IP6_LEN + 60;
  if (wire_len > instance->mtu6) return 0;
  if (!(ip4->frag & NP_WIRE16(NP_IP4_DF)) &&
      wire_len > instance->lowest_ipv6_mtu)
    return 0;
  if (protocol == NP_PROTO_TCP) {
    if (len < NP_IP4_LEN + 20) return 0;
    check_at += 16;
  } else if (protocol == NP_PROTO_UDP) {
    if (len < NP_IP4_LEN + 8 || !in->udp.check) return 0;
    check_at += 6;
  } else {
    return 0;
  }

  ip6.src = instance->local6;
  np_embed(&instance->prefix, instance->prefix_len, ip4->dst, &ip6.dst);
  np_ip6_from_ip4(ip4, ttl, &ip6);
  ip6.payload_len = NP_WIRE16(len - NP_IP4_LEN);
  sum = np_sum_in6(&ip6.src) + np_sum_in6(&ip6.dst);
  growth = np_sum_sub(sum, (__u64)ip4->src + ip4->dst);
  // With a right checksum the old header adds up to nothing.
  sum += np_ip6_sum_fields(&ip6);
  if (bpf_skb_change_proto(skb, NP_WIRE16(ETH_P_IPV6), 0) ||
      np_clat_poke(skb, l2, ETH_P_IPV6, (const __u32*)&ip6, sizeof(ip6)) ||
      np_clat_settle(skb, l2 + check_at, protocol, sum, growth))
    *result = NP_CLAT_KERNEL;
  else
    *result = NP_CLAT_TRANSLATED_46;
  return 1;
}

// IPv6 packets coming in, likewise.
static __always_inline int np_clat_quick64(
    struct __sk_buff* skb, const struct np_clat_instance* instance,
    const __u32 l2, __u32* result) {
  const struct np_ip6_udp* in = np_clat_peek(skb, l2, sizeof(*in));
  const struct np_ip6* ip6 = &in->ip;
  struct np_ip4 ip4;
  __u32 check_at = NP_IP4_LEN;
  __u32 hop_limit;
  __u32 protocol;
  __u32 wire_len;
  __u32 payload;
  __be32 source;
  __u64 growth;
  __u64 sum;

  if (!in || instance->flags & NP_CLAT_MAPPINGS ||
      !np_in6_equal(&ip6->dst, &instance->local6) || !instance->local4)
    return 0;
  protocol = ip6->next;
  hop_limit = ip6->hop_limit;
  payload = NP_WIRE16(ip6->payload_len);
  wire_len = payload + NP_IP4_LEN;
  if (NP_WIRE32(ip6->first) >> 28 != 6 ||
      payload != skb->len - l2 - NP_IP6_LEN || wire_len > 65535)
    return 0;
  if (!(instance->flags & NP_CLAT_TTL_COPY) && hop_limit-- <= 1) return 0;
  if (np_in6_equal(&ip6->src, &instance->local6) ||
      !np_extract(&instance->prefix, instance->prefix_len, &ip6->src,
                  &source) ||
      np_clat_embeddable(instance->flags, source, NP_CLAT_SOURCE))
    return 0;
  if (protocol == NP_PROTO_TCP) {
    if (payload < 20) return 0;
    check_at += 16;
  } else if (protocol == NP_PROTO_UDP) {
    if (payload < 8 || !in->udp.check) return 0;
    check_at += 6;
  } else {
    return 0;
  }

  ip4.src = source;
  ip4.dst = instance->local4;
  np_ip4_from_ip6(ip6, protocol, hop_limit, payload + NP_IP4_LEN, &ip4);
  growth = np_sum_sub((__u64)source + instance->local4,
                      np_sum_in6(&ip6->src) + np_sum_in6(&ip6->dst));
  // The kernel takes the first half of the header away. The new one is in the
  // place of the second, and adds up to nothing.
  sum = np_sum_sub(0, ip6->src.word[3] + np_sum_in6(&ip6->dst));
  wire_len =
      np_clat_wire_len(skb, l2 + NP_IP6_LEN, protocol, NP_IP4_LEN, wire_len);
  if (instance->mtu4 && wire_len > instance->mtu4) return 0;
  ip4.id = np_clat_identification();
  ip4.frag = wire_len > NP_DF_CLEAR_MAX ? NP_WIRE16(NP_IP4_DF) : 0;
  ip4.check = np_ip4_checksum(&ip4);
  if (bpf_skb_change_proto(skb, NP_WIRE16(ETH_P_IP), 0) ||
      np_clat_poke(skb, l2, ETH_P_IP, (const __u32*)&ip4, sizeof(ip4)) ||
      np_clat_settle(skb, l2 + check_at, protocol, sum, growth))
    *result = NP_CLAT_KERNEL;
  else
    *result = NP_CLAT_TRANSLATED_64;
  return 1;
}

#endif  // NETPOLICY_BPF_PROGS_LIB_CLAT_QUICK_H_
