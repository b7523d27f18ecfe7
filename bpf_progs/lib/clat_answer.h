// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_CLAT_ANSWER_H_
#define NETPOLICY_BPF_PROGS_LIB_CLAT_ANSWER_H_

#include "bpf_progs/lib/clat_error.h"
#include "bpf_progs/lib/clat_icmp.h"
#include "bpf_progs/lib/clat_skb.h"
#include "bpf_progs/lib/clat_work.h"

// ICMP errors that the translator sends back itself (RFC 7915, 4.4 and 5.4),
// made of the packet that gave rise to them, which must be as it came. Both
// functions return whether the skb is now that error.

#define NP_CLAT_ANSWER_TTL 64

// The error for an outcome; returns 0 when there is none.
static __always_inline int np_clat_answer4_head(__u32 result,
                                                struct np_icmp* icmp) {
  icmp->check = 0;
  icmp->word = 0;
  icmp->code = 0;
  switch (NP_RESULT_OUTCOME(result)) {
    case NP_CLAT_TTL:
      icmp->type = NP_ICMP4_TIME_EXCEEDED;
      return 1;
    case NP_CLAT_SOURCE_ROUTE:
      icmp->type = NP_ICMP4_UNREACHABLE;
      icmp->code = 5;
      return 1;
    case NP_CLAT_TOO_BIG:
      if (!NP_RESULT_WORD(result)) return 0;
      icmp->type = NP_ICMP4_UNREACHABLE;
      icmp->code = 4;
      icmp->word = NP_WIRE32(NP_RESULT_WORD(result) & 0xffff);
      return 1;
    default:
      return 0;
  }
}

static __always_inline int np_clat_answer6_head(__u32 result,
                                                struct np_icmp* icmp) {
  icmp->check = 0;
  icmp->word = 0;
  icmp->code = 0;
  switch (NP_RESULT_OUTCOME(result)) {
    case NP_CLAT_TTL:
      icmp->type = NP_ICMP6_TIME_EXCEEDED;
      return 1;
    case NP_CLAT_SEGMENTS_LEFT:
      icmp->type = NP_ICMP6_PARAMETER;
      icmp->word = NP_WIRE32(NP_RESULT_WORD(result));
      return 1;
    case NP_CLAT_TOO_BIG:
      if (!NP_RESULT_WORD(result)) return 0;
      icmp->type = NP_ICMP6_TOO_BIG;
      icmp->word = NP_WIRE32(NP_RESULT_WORD(result));
      return 1;
    default:
      return 0;
  }
}

// Nobody is told of fragments other than the first and of ICMP errors (RFC
// 1812, 4.3.2.7). The sender's address is one of our own.
NP_GLOBAL int np_clat_answer4(struct __sk_buff* skb, __u32 result) {
  const struct np_clat_instance* instance = np_clat_instance_of(skb);
  struct np_clat_scratch* scratch = np_clat_scratch_here();
  struct np_clat_work* work = np_clat_work_here();
  struct np_clat_46* w;
  struct np_icmp icmp;
  struct np_ip4 ip4;
  __u32 copied;
  __u32 room = NP_ICMP4_ERROR_MAX - NP_ERROR_INNER4;
  __u8 type = 0;

  if (!instance || !scratch || !work) return 0;
  w = &work->w46;
  copied = w->header_len + w->payload;
  if (!np_clat_answer4_head(result, &icmp)) return 0;
  if (!np_ip4_is_first(&w->ip4)) return 0;
  if (w->ip4.protocol == NP_PROTO_ICMP &&
      (!w->payload ||
       bpf_skb_load_bytes(skb, w->l2 + w->header_len, &type, 1) ||
       np_icmp4_is_error(type)))
    return 0;
  if (!np_clat_may_answer(instance)) return 0;

  if (copied > room) copied = room;
  ip4.version_ihl = 0x45;
  ip4.tos = 0xc0;  // internetwork control (RFC 1812, 4.3.2.5)
  ip4.len = NP_WIRE16(NP_ERROR_INNER4 + copied);
  ip4.id = 0;
  ip4.frag = NP_WIRE16(NP_IP4_DF);
  ip4.ttl = NP_CLAT_ANSWER_TTL;
  ip4.protocol = NP_PROTO_ICMP;
  ip4.check = 0;
  ip4.src = instance->icmp_source4;
  ip4.dst = w->ip4.src;
  ip4.check = np_ip4_checksum(&ip4);
  if (np_clat_copy(skb, w->l2, scratch, NP_ERROR_INNER4, copied)) return 0;
  *(struct np_ip4*)scratch->data = ip4;
  *(struct np_icmp*)(scratch->data + NP_IP4_LEN) = icmp;
  ((struct np_icmp*)(scratch->data + NP_IP4_LEN))->check = np_checksum(
      np_clat_sum_memory(scratch->data + NP_IP4_LEN, NP_ICMP_LEN + copied));

  if (np_clat_blank(skb, w->l2, NP_IP4_LEN, w->header_len,
                    NP_ICMP_LEN + copied) ||
      np_clat_put(skb, w->l2, scratch, NP_ERROR_INNER4 + copied))
    return 0;
  if (w->l2) np_clat_swap_macs(skb);
  return 1;
}

// Nobody is told of ICMPv6 errors and redirects, nor a sender that is not one
// (RFC 4443, 2.4(e)). w->chain must say what is behind the headers as far as
// they could be read.
NP_GLOBAL int np_clat_answer6(struct __sk_buff* skb, __u32 result) {
  const struct np_clat_instance* instance = np_clat_instance_of(skb);
  struct np_clat_scratch* scratch = np_clat_scratch_here();
  struct np_clat_work* work = np_clat_work_here();
  struct np_clat_64* w;
  struct np_icmp icmp;
  struct np_ip6 ip6;
  __u32 copied;
  __u32 room = NP_ICMP6_ERROR_MAX - NP_ERROR_INNER6;
  __u8 type = 0;

  if (!instance || !scratch || !work) return 0;
  w = &work->w64;
  copied = NP_IP6_LEN + NP_WIRE16(w->ip6.payload_len);
  if (!np_clat_answer6_head(result, &icmp)) return 0;
  if (w->chain.next == NP_PROTO_ICMP6 &&
      (!w->payload ||
       (w->chain.has_fragment && !np_fragment_is_first(&w->chain.fragment)) ||
       bpf_skb_load_bytes(skb, w->l2 + NP_IP6_LEN + w->chain.len, &type, 1) ||
       type < NP_ICMP6_INFORMATIONAL || type == NP_ICMP6_REDIRECT))
    return 0;
  if (np_in6_is_zero(&w->ip6.src) ||
      NP_WIRE32(w->ip6.src.word[0]) >> 24 == 0xff)
    return 0;
  if (!np_clat_may_answer(instance)) return 0;

  if (copied > room) copied = room;
  ip6.first = NP_WIRE32(6U << 28);
  ip6.payload_len = NP_WIRE16(NP_ICMP_LEN + copied);
  ip6.next = NP_PROTO_ICMP6;
  ip6.hop_limit = NP_CLAT_ANSWER_TTL;
  ip6.src = np_in6_is_zero(&instance->icmp_source6) ? w->ip6.dst
                                                    : instance->icmp_source6;
  ip6.dst = w->ip6.src;
  if (np_clat_copy(skb, w->l2, scratch, NP_ERROR_INNER6, copied)) return 0;
  *(struct np_ip6*)scratch->data = ip6;
  *(struct np_icmp*)(scratch->data + NP_IP6_LEN) = icmp;
  ((struct np_icmp*)(scratch->data + NP_IP6_LEN))->check = np_checksum(
      np_clat_sum_memory(scratch->data + NP_IP6_LEN, NP_ICMP_LEN + copied) +
      np_sum_icmp6_pseudo(&ip6.src, &ip6.dst, NP_ICMP_LEN + copied));

  if (np_clat_blank(skb, w->l2, NP_IP6_LEN, NP_IP6_LEN + w->chain.len,
                    NP_ICMP_LEN + copied) ||
      np_clat_put(skb, w->l2, scratch, NP_ERROR_INNER6 + copied))
    return 0;
  if (w->l2) np_clat_swap_macs(skb);
  return 1;
}

#endif  // NETPOLICY_BPF_PROGS_LIB_CLAT_ANSWER_H_
