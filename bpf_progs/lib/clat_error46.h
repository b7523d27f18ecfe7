// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_CLAT_ERROR46_H_
#define NETPOLICY_BPF_PROGS_LIB_CLAT_ERROR46_H_

#include "bpf_progs/lib/clat_error.h"

// ICMPv4 errors on their way out (RFC 7915, 4.2 and 4.3).

// An ICMPv4 error. w->ip6 is complete but for the payload length. Returns the
// result.
NP_GLOBAL __u32 np_clat_error46(struct __sk_buff* skb) {
  const struct np_clat_instance* instance = np_clat_instance_of(skb);
  struct np_clat_scratch* scratch = np_clat_scratch_here();
  struct np_clat_work* work = np_clat_work_here();
  struct np_clat_inner* inner;
  struct np_clat_46* w;
  __u32 at;
  struct np_icmp in;
  struct np_icmp out;
  struct np_ip4 ip4;
  struct np_ip6* ip6;
  __u32 available;
  __u32 header_len;
  __u32 original;
  __u32 outcome;
  __u32 total;
  __u32 len;
  __u64 old_sum;

  if (!instance || !scratch || !work) return NP_CLAT_KERNEL;
  w = &work->w46;
  at = w->l2 + w->header_len;
  inner = &work->inner;
  inner->unit = 0;
  inner->extension = 0;
  if (w->payload < NP_ICMP_LEN + NP_IP4_LEN) return NP_CLAT_ICMP_INNER;
  if (bpf_skb_load_bytes(skb, at, &in, sizeof(in)) ||
      bpf_skb_load_bytes(skb, at + NP_ICMP_LEN, &ip4, sizeof(ip4)))
    return NP_CLAT_KERNEL;
  total = NP_WIRE16(ip4.len);
  if (np_icmp_error46(&in, total, instance->mtu4, instance->mtu6, &out))
    return NP_CLAT_ICMP_TYPE;

  // 1. How long the original datagram is, and what is behind it.
  available = w->payload - NP_ICMP_LEN;
  original = np_original_len4(&in);
  if (original && original <= available) {
    if (out.type == NP_ICMP6_UNREACHABLE ||
        out.type == NP_ICMP6_TIME_EXCEEDED) {
      inner->unit = 8;
      inner->extension = available - original;
    }
    available = original;
  }

  // 2. Its header, which may well speak of more than is there.
  header_len = (ip4.version_ihl & 0xf) * 4;
  if (ip4.version_ihl >> 4 != 4 || header_len < NP_IP4_LEN ||
      header_len > available || header_len > total)
    return NP_CLAT_ICMP_INNER;
  if (np_clat_not_from4(ip4.protocol)) return NP_CLAT_ICMP_INNER;
  ip6 = (struct np_ip6*)(scratch->data + NP_ERROR_INNER6);
  np_ip6_from_ip4(&ip4, ip4.ttl, ip6);
  {
    struct np_in6 src;
    struct np_in6 dst;

    outcome = np_clat_to6(skb, instance, ip4.src, &src, NP_CLAT_ICMP_INNER);
    if (outcome) return outcome;
    outcome = np_clat_to6(skb, instance, ip4.dst, &dst, NP_CLAT_ICMP_INNER);
    if (outcome) return outcome;
    ip6->src = src;
    ip6->dst = dst;
    inner->growth = np_sum_in6(&src) + np_sum_in6(&dst);
  }
  inner->present = available - header_len;
  inner->protocol = ip6->next;
  inner->first = np_ip4_is_first(&ip4);
  inner->at = NP_ERROR_INNER6 + NP_IP6_LEN;
  inner->type = -1;
  if (ip4.protocol == NP_PROTO_ICMP) {
    __u8 type = 0;

    if (np_ip4_is_fragment(&ip4)) return NP_CLAT_ICMP_FRAGMENT;
    if (!inner->present) return NP_CLAT_ICMP_INNER;
    if (bpf_skb_load_bytes(skb, at + NP_ICMP_LEN + header_len, &type, 1))
      return NP_CLAT_KERNEL;
    if (np_icmp4_is_error(type)) return NP_CLAT_ICMP_NESTED;
    inner->type = np_icmp_echo46(type);
    if (inner->type < 0) return NP_CLAT_ICMP_INNER;
    // By the length that the header tells, not by what has come.
    inner->growth += np_sum_number(total - header_len) +
                     np_sum_number(NP_PROTO_ICMP6) +
                     np_sum_number((__u16)(inner->type << 8));
    inner->growth =
        np_sum_sub(inner->growth, np_sum_number((__u16)(type << 8)));
  } else {
    inner->growth = np_sum_sub(inner->growth, (__u64)ip4.src + ip4.dst);
  }
  ip6->payload_len = NP_WIRE16(total - header_len);
  if (np_ip4_is_fragment(&ip4)) {
    if (total - header_len + NP_FRAGMENT_LEN > 65535) return NP_CLAT_TOO_LONG;
    np_fragment_from_ip4(
        &ip4, ip6->next,
        (struct np_fragment*)(scratch->data + NP_ERROR_INNER6 + NP_IP6_LEN));
    ip6->next = NP_PROTO_FRAGMENT;
    ip6->payload_len = NP_WIRE16(total - header_len + NP_FRAGMENT_LEN);
    inner->at += NP_FRAGMENT_LEN;
  }

  // 3. What is behind that, and the headers in front.
  len = np_clat_fill(skb, at + NP_ICMP_LEN + header_len, NP_ERROR_INNER6);
  if (!len || len > NP_ICMP6_ERROR_MAX) return NP_CLAT_KERNEL;
  out.word |= NP_WIRE32(inner->attribute << 24);
  w->ip6.payload_len = NP_WIRE16(len - NP_IP6_LEN);
  *(struct np_ip6*)scratch->data = w->ip6;
  *(struct np_icmp*)(scratch->data + NP_IP6_LEN) = out;
  old_sum = np_clat_sum(skb, at, w->payload);
  if (old_sum == ~0ULL) return NP_CLAT_KERNEL;
  ((struct np_icmp*)(scratch->data + NP_IP6_LEN))->check =
      np_clat_icmp_checksum(
          scratch, NP_IP6_LEN, len - NP_IP6_LEN,
          np_sum_icmp6_pseudo(&w->ip6.src, &w->ip6.dst, len - NP_IP6_LEN),
          old_sum);
  if (np_clat_change_version(skb, w->l2, ETH_P_IPV6)) return NP_CLAT_KERNEL;
  outcome = np_clat_put(skb, w->l2, scratch, len);
  return outcome ? outcome : NP_CLAT_TRANSLATED_46;
}

#endif  // NETPOLICY_BPF_PROGS_LIB_CLAT_ERROR46_H_
