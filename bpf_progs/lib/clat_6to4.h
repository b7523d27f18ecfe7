// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_CLAT_6TO4_H_
#define NETPOLICY_BPF_PROGS_LIB_CLAT_6TO4_H_

#include "bpf_progs/lib/clat_answer.h"
#include "bpf_progs/lib/clat_error64.h"
#include "bpf_progs/lib/clat_map.h"
#include "bpf_progs/lib/clat_split.h"
#include "bpf_progs/lib/clat_work.h"

// IPv6 packets coming in (RFC 7915, 5).

// An identification (RFC 7915, 5.1): random, so that it tells nobody anything
// (RFC 7739), and never 0.
static __always_inline __be16 np_clat_identification(void) {
  __u16 id = (__u16)bpf_get_prandom_u32();

  return id ? id : 1;
}

// Makes the skb the IPv4 packet that `w` says.
static __always_inline __u32 np_clat_make4(struct __sk_buff* skb,
                                           struct np_clat_64* w) {
  __u32 flags = BPF_F_PSEUDO_HDR;
  __u32 at = w->l2 + NP_IP4_LEN;

  w->ip4.check = np_ip4_checksum(&w->ip4);
  if (w->chain.len &&
      bpf_skb_adjust_room(
          skb, -(__s32)w->chain.len, BPF_ADJ_ROOM_NET,
          BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET))
    return NP_CLAT_KERNEL;
  if (np_clat_change_version(skb, w->l2, ETH_P_IP)) return NP_CLAT_KERNEL;
  // Also takes the rest of the IPv6 header out of a CHECKSUM_COMPLETE sum.
  if (bpf_skb_store_bytes(skb, w->l2, &w->ip4, NP_IP4_LEN,
                          BPF_F_RECOMPUTE_CSUM))
    return NP_CLAT_KERNEL;
  if (w->type >= 0) {
    __u8 type = (__u8)w->type;

    if (bpf_skb_store_bytes(skb, at, &type, 1, BPF_F_RECOMPUTE_CSUM))
      return NP_CLAT_KERNEL;
  }
  if (w->check_at < 0) return NP_CLAT_TRANSLATED_64;
  if (w->ip4.protocol == NP_PROTO_UDP) flags |= BPF_F_MARK_MANGLED_0;
  if (bpf_l4_csum_replace(skb, at + w->check_at, 0, np_sum_fold32(w->growth),
                          flags))
    return NP_CLAT_KERNEL;
  return NP_CLAT_TRANSLATED_64;
}

// The source address. Only an ICMPv6 error may come from one without a
// counterpart (RFC 6791). Returns 0 or the result.
static __always_inline __u32
np_clat_source64(struct __sk_buff* skb, const struct np_clat_instance* instance,
                 struct np_clat_64* w, int type) {
  __be32 source = 0;
  struct np_in6 address = w->ip6.src;
  __u32 outcome = np_clat_to4(skb, instance, &address, &source, NP_CLAT_SOURCE);

  w->ip4.src = source;
  if (outcome != NP_CLAT_SOURCE) return outcome;
  // Neighbour discovery for our address is the stack's business.
  if (type >= NP_ICMP6_FIRST_ND && type <= NP_ICMP6_REDIRECT &&
      w->ip6.hop_limit == 255)
    return NP_RESULT(NP_CLAT_NOT_OURS, 1);
  if (type < 0 || type >= NP_ICMP6_INFORMATIONAL) return outcome;
  // Multicast, unspecified and loopback never send.
  if (NP_WIRE32(address.word[0]) >> 24 == 0xff ||
      !(address.word[0] | address.word[1] | address.word[2] |
        (address.word[3] & ~NP_WIRE32(1))))
    return outcome;
  // Nor does one in the prefix that is not well formed.
  w->ip4.src = np_clat_stand_in(instance, &address);
  return 0;
}

// Any IPv6 packet. Returns the result.
NP_GLOBAL __u32 np_clat_any64(struct __sk_buff* skb, __u32 l2) {
  const struct np_clat_instance* instance = np_clat_instance_of(skb);
  struct np_clat_work* work = np_clat_work_here();
  __u32 available = skb->len - l2;
  struct np_clat_64* w;
  struct np_in6 address;
  __u32 hop_limit;
  __u32 walked;
  __u32 result;
  __be32 dst = 0;
  __u32 len;
  int type = -1;

  if (!instance || !work) return NP_CLAT_KERNEL;
  w = &work->w64;
  w->l2 = l2;
  if (bpf_skb_load_bytes(skb, l2, &w->ip6, sizeof(w->ip6)))
    return NP_CLAT_NOT_OURS;
  hop_limit = w->ip6.hop_limit;

  // 1. To one of ours?
  address = w->ip6.dst;
  if (!np_clat_own6(skb, instance, &address, &dst)) return NP_CLAT_NOT_OURS;
  w->ip4.dst = dst;

  // 2. As it should be?
  len = NP_WIRE16(w->ip6.payload_len);
  if (NP_WIRE32(w->ip6.first) >> 28 != 6) return NP_CLAT_MALFORMED;
  if (!len && (w->ip6.next == NP_PROTO_HOPOPTS || skb->gso_size))
    return NP_CLAT_TOO_LONG;  // a jumbogram
  len += NP_IP6_LEN;
  if (len > available) return NP_CLAT_MALFORMED;
  np_clat_trim(skb, w->l2 + len);
  walked = np_clat_walk(skb, w->l2 + NP_IP6_LEN, w->l2 + len, w->ip6.next, 0);
  if (NP_RESULT_OUTCOME(walked) &&
      NP_RESULT_OUTCOME(walked) != NP_CLAT_SEGMENTS_LEFT)
    return walked;
  w->payload = len - NP_IP6_LEN - w->chain.len;
  len = NP_IP4_LEN + w->payload;
  if (len > 65535) return NP_CLAT_TOO_LONG;
  if (w->chain.has_fragment &&
      (NP_WIRE16(w->chain.fragment.offset) & 0xfff8) + len > 65535)
    return NP_CLAT_TOO_LONG;

  // 3. From somewhere?
  if (w->chain.next == NP_PROTO_ICMP6) {
    __u8 byte;

    if (!w->chain.has_fragment || np_fragment_is_whole(&w->chain.fragment)) {
      if (w->payload < NP_ICMP_LEN ||
          bpf_skb_load_bytes(skb, w->l2 + NP_IP6_LEN + w->chain.len, &byte, 1))
        return NP_CLAT_MALFORMED;
      type = byte;
    }
  }
  result = np_clat_source64(skb, instance, w, type);
  if (result) return NP_RESULT_OUTCOME(result);
  if (walked) return walked;  // segments left

  // 4. A router counts hops.
  if (!(instance->flags & NP_CLAT_TTL_COPY)) {
    if (hop_limit <= 1) return NP_CLAT_TTL;
    hop_limit--;
  }
  if (np_clat_not_from6(w->chain.next)) return NP_CLAT_PROTOCOL;
  np_ip4_from_ip6(&w->ip6, w->chain.next, hop_limit, len, &w->ip4);

  // 5. Identification and fragmentation. An error is cut below 1260 bytes.
  if (w->chain.has_fragment) {
    w->ip4.id = NP_WIRE16(NP_WIRE32(w->chain.fragment.id));
    w->ip4.frag = np_fragment_offset64(w->chain.fragment.offset);
  } else {
    w->ip4.id = np_clat_identification();
    w->ip4.frag = 0;
    if (type < 0 || type >= NP_ICMP6_INFORMATIONAL) {
      len = np_clat_wire_len(skb, w->l2 + NP_IP6_LEN + w->chain.len,
                             w->chain.next, NP_IP4_LEN, len);
      if (len > NP_DF_CLEAR_MAX) w->ip4.frag = NP_WIRE16(NP_IP4_DF);
    }
  }
  if (type >= 0 && type < NP_ICMP6_INFORMATIONAL) return np_clat_error64(skb);
  if (instance->mtu4 && len > instance->mtu4 &&
      w->ip4.frag & NP_WIRE16(NP_IP4_DF)) {
    __u32 mtu = instance->mtu4 + 20;

    return NP_RESULT(NP_CLAT_TOO_BIG,
                     mtu < NP_IPV6_MIN_MTU ? NP_IPV6_MIN_MTU : mtu);
  }

  // 6. The payload.
  w->check_at = -1;
  w->type = -1;
  if (w->chain.next == NP_PROTO_ICMP6) {
    if (type < 0) return NP_CLAT_ICMP_FRAGMENT;
    w->type = np_icmp_echo64(type);
    if (w->type < 0) return NP_CLAT_ICMP_TYPE;
    w->check_at = 2;
    w->growth = np_sum_sub(
        np_sum_number((__u16)(w->type << 8)),
        np_sum_fold(np_sum_icmp6_pseudo(&w->ip6.src, &w->ip6.dst, w->payload) +
                    np_sum_number((__u16)(type << 8))));
  } else if (!w->chain.has_fragment ||
             np_fragment_is_first(&w->chain.fragment)) {
    w->check_at = np_checksum_offset(w->chain.next);
    w->growth = np_sum_sub(
        (__u64)w->ip4.src + w->ip4.dst,
        np_sum_fold(np_sum_in6(&w->ip6.src) + np_sum_in6(&w->ip6.dst)));
    if (w->check_at >= 0 && w->payload < (__u32)w->check_at + 2)
      return NP_CLAT_MALFORMED;
    if (w->chain.next == NP_PROTO_UDP) {
      __be16 check;

      if (bpf_skb_load_bytes(skb, w->l2 + NP_IP6_LEN + w->chain.len + 6, &check,
                             sizeof(check)))
        return NP_CLAT_MALFORMED;
      if (!check)
        return w->chain.has_fragment ? NP_CLAT_UDP_ZERO_FRAGMENT
                                     : NP_CLAT_UDP_ZERO;
    }
  }

  // 7. The packet.
  if (instance->mtu4 && len > instance->mtu4) {
    if (skb->gso_size) return NP_CLAT_TOO_BIG;
    return np_clat_split64(skb, instance->mtu4);
  }
  return np_clat_make4(skb, w);
}

#endif  // NETPOLICY_BPF_PROGS_LIB_CLAT_6TO4_H_
