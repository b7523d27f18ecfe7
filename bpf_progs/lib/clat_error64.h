// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_CLAT_ERROR64_H_
#define NETPOLICY_BPF_PROGS_LIB_CLAT_ERROR64_H_

#include "bpf_progs/lib/clat_error.h"

// ICMPv6 errors coming in (RFC 7915, 5.2 and 5.3).

// An ICMPv6 error. w->ip4 has addresses, TOS and TTL. Returns the result.
NP_GLOBAL __u32 np_clat_error64(struct __sk_buff* skb) {
  const struct np_clat_instance* instance = np_clat_instance_of(skb);
  struct np_clat_scratch* scratch = np_clat_scratch_here();
  struct np_clat_work* work = np_clat_work_here();
  struct np_clat_chain* chain;
  struct np_clat_inner* inner;
  struct np_clat_64* w;
  __u32 at;
  struct np_icmp in;
  struct np_icmp out;
  struct np_ip6 ip6;
  struct np_ip4 ip4;
  __u32 available;
  __u32 original;
  __u32 outcome;
  __u32 payload;
  __u32 len;
  __u64 old_sum;

  if (!instance || !scratch || !work) return NP_CLAT_KERNEL;
  w = &work->w64;
  at = w->l2 + NP_IP6_LEN + w->chain.len;
  inner = &work->inner;
  inner->unit = 0;
  inner->extension = 0;
  inner->growth = 0;
  chain = &inner->chain;
  if (w->payload < NP_ICMP_LEN + NP_IP6_LEN) return NP_CLAT_ICMP_INNER;
  if (bpf_skb_load_bytes(skb, at, &in, sizeof(in)) ||
      bpf_skb_load_bytes(skb, at + NP_ICMP_LEN, &ip6, sizeof(ip6)))
    return NP_CLAT_KERNEL;
  if (np_icmp_error64(&in, instance->mtu4, instance->mtu6, &out))
    return NP_CLAT_ICMP_TYPE;

  // 1. How long the original datagram is, and what is behind it.
  available = w->payload - NP_ICMP_LEN;
  original = np_original_len6(&in);
  if (original && original <= available) {
    inner->unit = 4;
    inner->extension = available - original;
    available = original;
  }

  // 2. Its headers.
  if (available < NP_IP6_LEN || NP_WIRE32(ip6.first) >> 28 != 6)
    return NP_CLAT_ICMP_INNER;
  if (np_clat_walk(skb, at + NP_ICMP_LEN + NP_IP6_LEN,
                   at + NP_ICMP_LEN + available, ip6.next, 1))
    return NP_CLAT_ICMP_INNER;
  payload = NP_WIRE16(ip6.payload_len);
  if (payload < chain->len || np_clat_not_from6(chain->next))
    return NP_CLAT_ICMP_INNER;
  payload -= chain->len;
  if (payload + NP_IP4_LEN > 65535) return NP_CLAT_TOO_LONG;
  inner->present = available - NP_IP6_LEN - chain->len;
  inner->at = NP_ERROR_INNER4 + NP_IP4_LEN;
  inner->first = 1;
  inner->type = -1;
  np_ip4_from_ip6(&ip6, chain->next, ip6.hop_limit, payload + NP_IP4_LEN, &ip4);
  inner->protocol = ip4.protocol;
  ip4.id = 0;
  ip4.frag = payload + NP_IP4_LEN > NP_DF_CLEAR_MAX ? NP_WIRE16(NP_IP4_DF) : 0;
  if (chain->has_fragment) {
    ip4.id = NP_WIRE16(NP_WIRE32(chain->fragment.id));
    ip4.frag = np_fragment_offset64(chain->fragment.offset);
    inner->first = np_fragment_is_first(&chain->fragment);
  }
  outcome = np_clat_to4(skb, instance, &ip6.src, &ip4.src, NP_CLAT_ICMP_INNER);
  if (outcome) return outcome;
  outcome = np_clat_to4(skb, instance, &ip6.dst, &ip4.dst, NP_CLAT_ICMP_INNER);
  if (outcome) return outcome;
  if (chain->next == NP_PROTO_ICMP6) {
    __u8 type = 0;

    if (chain->has_fragment && !np_fragment_is_whole(&chain->fragment))
      return NP_CLAT_ICMP_FRAGMENT;
    if (!inner->present) return NP_CLAT_ICMP_INNER;
    if (bpf_skb_load_bytes(skb, at + NP_ICMP_LEN + NP_IP6_LEN + chain->len,
                           &type, 1))
      return NP_CLAT_KERNEL;
    if (type < NP_ICMP6_INFORMATIONAL) return NP_CLAT_ICMP_NESTED;
    inner->type = np_icmp_echo64(type);
    if (inner->type < 0) return NP_CLAT_ICMP_INNER;
    inner->growth = np_sum_sub(
        np_sum_number((__u16)(inner->type << 8)),
        np_sum_fold(np_sum_icmp6_pseudo(&ip6.src, &ip6.dst, payload) +
                    np_sum_number((__u16)(type << 8))));
  } else {
    inner->growth =
        np_sum_sub((__u64)ip4.src + ip4.dst,
                   np_sum_fold(np_sum_in6(&ip6.src) + np_sum_in6(&ip6.dst)));
  }
  ip4.check = np_ip4_checksum(&ip4);
  *(struct np_ip4*)(scratch->data + NP_ERROR_INNER4) = ip4;

  // 3. What is behind that, and the headers in front.
  len = np_clat_fill(skb, at + NP_ICMP_LEN + NP_IP6_LEN + chain->len,
                     NP_ERROR_INNER4);
  if (!len || len > NP_ICMP4_ERROR_MAX) return NP_CLAT_KERNEL;
  out.word |= NP_WIRE32(inner->attribute << 16);
  w->ip4.len = NP_WIRE16(len);
  w->ip4.check = 0;
  w->ip4.check = np_ip4_checksum(&w->ip4);
  *(struct np_ip4*)scratch->data = w->ip4;
  *(struct np_icmp*)(scratch->data + NP_IP4_LEN) = out;
  old_sum = np_clat_sum(skb, at, w->payload);
  if (old_sum == ~0ULL) return NP_CLAT_KERNEL;
  old_sum += np_sum_icmp6_pseudo(&w->ip6.src, &w->ip6.dst, w->payload);
  ((struct np_icmp*)(scratch->data + NP_IP4_LEN))->check =
      np_clat_icmp_checksum(scratch, NP_IP4_LEN, len - NP_IP4_LEN, 0, old_sum);
  // The extension headers go first: bpf_skb_change_tail() does not cut into
  // what is in front of the transport header.
  if (w->chain.len &&
      bpf_skb_adjust_room(skb, -(__s32)w->chain.len, BPF_ADJ_ROOM_NET, 0))
    return NP_CLAT_KERNEL;
  if (np_clat_change_version(skb, w->l2, ETH_P_IP)) return NP_CLAT_KERNEL;
  outcome = np_clat_put(skb, w->l2, scratch, len);
  return outcome ? outcome : NP_CLAT_TRANSLATED_64;
}

#endif  // NETPOLICY_BPF_PROGS_LIB_CLAT_ERROR64_H_
