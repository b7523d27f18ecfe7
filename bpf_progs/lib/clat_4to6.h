// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_CLAT_4TO6_H_
#define NETPOLICY_BPF_PROGS_LIB_CLAT_4TO6_H_

#include "bpf_progs/lib/clat_answer.h"
#include "bpf_progs/lib/clat_error46.h"
#include "bpf_progs/lib/clat_map.h"
#include "bpf_progs/lib/clat_split.h"
#include "bpf_progs/lib/clat_work.h"

// IPv4 packets on their way out (RFC 7915, 4).

// Makes the skb the IPv6 packet that `w` says.
static __always_inline __u32 np_clat_make6(struct __sk_buff* skb,
                                           struct np_clat_46* w,
                                           __u32 is_fragment) {
  __u32 header_len = NP_IP6_LEN;
  __u32 flags = BPF_F_PSEUDO_HDR;
  __u32 options = w->header_len - NP_IP4_LEN;

  if (options && bpf_skb_adjust_room(
                     skb, -(__s32)options, BPF_ADJ_ROOM_NET,
                     BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET))
    return NP_CLAT_KERNEL;
  if (np_clat_change_version(skb, w->l2, ETH_P_IPV6)) return NP_CLAT_KERNEL;
  if (is_fragment) {
    if (bpf_skb_adjust_room(skb, NP_FRAGMENT_LEN, BPF_ADJ_ROOM_NET,
                            BPF_F_ADJ_ROOM_NO_CSUM_RESET))
      return NP_CLAT_KERNEL;
    header_len += NP_FRAGMENT_LEN;
    if (bpf_skb_store_bytes(skb, w->l2, &w->ip6, NP_IP6_LEN + NP_FRAGMENT_LEN,
                            BPF_F_RECOMPUTE_CSUM))
      return NP_CLAT_KERNEL;
  } else if (bpf_skb_store_bytes(skb, w->l2, &w->ip6, NP_IP6_LEN,
                                 BPF_F_RECOMPUTE_CSUM)) {
    return NP_CLAT_KERNEL;
  }
  if (w->type >= 0) {
    __u8 type = (__u8)w->type;

    if (bpf_skb_store_bytes(skb, w->l2 + header_len, &type, 1,
                            BPF_F_RECOMPUTE_CSUM))
      return NP_CLAT_KERNEL;
  }
  if (w->check_at < 0) return NP_CLAT_TRANSLATED_46;
  if (w->has_check) {
    if (bpf_skb_store_bytes(skb, w->l2 + header_len + w->check_at, &w->check,
                            sizeof(w->check), BPF_F_RECOMPUTE_CSUM))
      return NP_CLAT_KERNEL;
    return NP_CLAT_TRANSLATED_46;
  }
  if (w->protocol == NP_PROTO_UDP) flags |= BPF_F_MARK_MANGLED_0;
  if (bpf_l4_csum_replace(skb, w->l2 + header_len + w->check_at, 0,
                          np_sum_fold32(w->growth), flags))
    return NP_CLAT_KERNEL;
  return NP_CLAT_TRANSLATED_46;
}

// Lengths, header checksum and options of w->ip4. Returns 0 or the result; the
// skb ends where the packet does afterwards.
static __always_inline __u32 np_clat_check4(struct __sk_buff* skb,
                                            struct np_clat_46* w) {
  __u32 available = skb->len - w->l2;
  __u32 len = NP_WIRE16(w->ip4.len);

  w->header_len = (w->ip4.version_ihl & 0xf) * 4;
  if (w->ip4.version_ihl >> 4 != 4 || w->header_len < NP_IP4_LEN)
    return NP_CLAT_MALFORMED;
  // BIG TCP super-packets say 0.
  if (!len && skb->gso_size) return NP_CLAT_TOO_LONG;
  if (len < w->header_len || len > available) return NP_CLAT_MALFORMED;
  if (np_sum_fold(np_clat_sum(skb, w->l2, w->header_len)) != 0xffff)
    return NP_CLAT_MALFORMED;
  w->payload = len - w->header_len;
  // A fragment that ends behind the end of any datagram.
  if ((NP_WIRE16(w->ip4.frag) & NP_IP4_OFFSET) * 8 + len > 65535)
    return NP_CLAT_MALFORMED;
  np_clat_trim(skb, w->l2 + len);
  return 0;
}

NP_GLOBAL int np_clat_has_source_route(struct __sk_buff* skb, __u32 at,
                                       __u32 len) {
  __u8 options[NP_IP4_OPTIONS_MAX] = {};

  if (!np_clat_size_fits(&len, sizeof(options))) return 0;
  if (bpf_skb_load_bytes(skb, at, options, len)) return 0;
  return np_ip4_source_routed(options, len);
}

// What becomes of the payload; sets check_at, growth, type and the like.
// Returns 0, or the result: also when an ICMP error has been translated.
static __always_inline __u32 np_clat_transport46(
    struct __sk_buff* skb, const struct np_clat_instance* instance,
    struct np_clat_46* w) {
  __u32 at = w->l2 + w->header_len;

  w->check_at = -1;
  w->type = -1;
  w->has_check = 0;
  if (w->ip4.protocol == NP_PROTO_ICMP) {
    __u8 type;

    if (np_ip4_is_fragment(&w->ip4)) return NP_CLAT_ICMP_FRAGMENT;
    if (w->payload < NP_ICMP_LEN || bpf_skb_load_bytes(skb, at, &type, 1))
      return NP_CLAT_MALFORMED;
    w->type = np_icmp_echo46(type);
    if (w->type < 0)
      return np_icmp4_is_error(type) ? np_clat_error46(skb) : NP_CLAT_ICMP_TYPE;
    w->check_at = 2;
    w->growth = np_sum_icmp6_pseudo(&w->ip6.src, &w->ip6.dst, w->payload) +
                np_sum_sub(np_sum_number((__u16)(w->type << 8)),
                           np_sum_number((__u16)(type << 8)));
    return 0;
  }
  if (!np_ip4_is_first(&w->ip4)) return 0;
  w->check_at = np_checksum_offset(w->protocol);
  if (w->check_at < 0) return 0;
  if (w->payload < (__u32)w->check_at + 2) return NP_CLAT_MALFORMED;
  w->growth = np_sum_sub(np_sum_in6(&w->ip6.src) + np_sum_in6(&w->ip6.dst),
                         np_sum_fold((__u64)w->ip4.src + w->ip4.dst));
  if (w->protocol == NP_PROTO_UDP) {
    __be16 udp[2];  // length, checksum
    __u32 len;
    __u64 sum;

    if (bpf_skb_load_bytes(skb, at + 4, udp, sizeof(udp)))
      return NP_CLAT_MALFORMED;
    if (udp[1]) return 0;
    if (np_ip4_is_fragment(&w->ip4)) return NP_CLAT_UDP_ZERO_FRAGMENT;
    if (instance->flags & NP_CLAT_UDP_ZERO_DROP || skb->gso_size)
      return NP_CLAT_UDP_ZERO;
    len = NP_WIRE16(udp[0]);
    if (len < 8 || len > w->payload) return NP_CLAT_MALFORMED;
    sum = np_clat_sum(skb, at, len);
    if (sum == ~0ULL) return NP_CLAT_KERNEL;
    w->check =
        np_checksum(sum + np_sum_in6(&w->ip6.src) + np_sum_in6(&w->ip6.dst) +
                    udp[0] + np_sum_number(NP_PROTO_UDP));
    if (!w->check) w->check = 0xffff;
    w->has_check = 1;
  }
  return 0;
}

// Any IPv4 packet. Returns the result.
NP_GLOBAL __u32 np_clat_any46(struct __sk_buff* skb, __u32 l2) {
  const struct np_clat_instance* instance = np_clat_instance_of(skb);
  struct np_clat_work* work = np_clat_work_here();
  struct np_clat_46* w;
  struct np_in6 address;
  __u32 is_fragment;
  __u32 hop_limit;
  __u32 result;
  __u32 len;

  if (!instance || !work) return NP_CLAT_KERNEL;
  w = &work->w46;
  w->l2 = l2;
  if (bpf_skb_load_bytes(skb, l2, &w->ip4, sizeof(w->ip4)))
    return NP_CLAT_NOT_OURS;
  is_fragment = np_ip4_is_fragment(&w->ip4);
  hop_limit = w->ip4.ttl;

  // 1. One of ours? What comes from an address that can't be, to one that may,
  // is nobody's (RFC 7915, 4.1).
  if (!np_clat_own4(skb, instance, w->ip4.src, &address)) {
    if (!np_ip4_forwardable(w->ip4.src) && np_ip4_forwardable(w->ip4.dst) &&
        w->ip4.version_ihl >> 4 == 4)
      return NP_CLAT_SOURCE;
    return NP_CLAT_NOT_OURS;
  }
  w->ip6.src = address;

  // 2. As it should be, and to somewhere?
  result = np_clat_check4(skb, w);
  if (result) return result;
  result =
      np_clat_to6(skb, instance, w->ip4.dst, &address, NP_CLAT_DESTINATION);
  if (result) return result;
  w->ip6.dst = address;
  if (w->header_len > NP_IP4_LEN &&
      np_clat_has_source_route(skb, w->l2 + NP_IP4_LEN,
                               w->header_len - NP_IP4_LEN))
    return NP_CLAT_SOURCE_ROUTE;

  // 3. A router counts hops.
  if (!(instance->flags & NP_CLAT_TTL_COPY)) {
    if (hop_limit <= 1) return NP_CLAT_TTL;
    hop_limit--;
  }
  if (np_clat_not_from4(w->ip4.protocol)) return NP_CLAT_PROTOCOL;
  np_ip6_from_ip4(&w->ip4, hop_limit, &w->ip6);
  w->protocol = w->ip6.next;

  // 4. Does it fit? A super-packet can't be made fragments of here.
  len = NP_IP6_LEN + w->payload;
  if (is_fragment) len += NP_FRAGMENT_LEN;
  if (w->ip4.protocol != NP_PROTO_ICMP || w->payload < 1) {
    len = np_clat_wire_len(skb, w->l2 + w->header_len, w->protocol, NP_IP6_LEN,
                           len);
  } else {
    __u8 type = 0;

    // Errors are cut to fit anyway.
    bpf_skb_load_bytes(skb, w->l2 + w->header_len, &type, 1);
    if (np_icmp4_is_error(type)) len = 0;
  }
  if (w->ip4.frag & NP_WIRE16(NP_IP4_DF)) {
    if (len > instance->mtu6)
      return NP_RESULT(NP_CLAT_TOO_BIG,
                       instance->mtu6 - (is_fragment ? 28 : 20));
  } else if (skb->gso_size && len > instance->mtu6) {
    return NP_CLAT_TOO_BIG;
  }

  // 5. The payload.
  result = np_clat_transport46(skb, instance, w);
  if (result) return result;

  // 6. The packet.
  if (!(w->ip4.frag & NP_WIRE16(NP_IP4_DF)) && !skb->gso_size) {
    __u32 mtu = instance->lowest_ipv6_mtu;

    if (mtu > instance->mtu6) mtu = instance->mtu6;
    if (len > mtu) return np_clat_split46(skb, mtu);
  }
  w->ip6.payload_len = NP_WIRE16(w->payload);
  if (is_fragment) {
    if (w->payload + NP_FRAGMENT_LEN > 65535) return NP_CLAT_TOO_LONG;
    np_fragment_from_ip4(&w->ip4, w->protocol, &w->fragment);
    w->ip6.next = NP_PROTO_FRAGMENT;
    w->ip6.payload_len = NP_WIRE16(w->payload + NP_FRAGMENT_LEN);
  }
  return np_clat_make6(skb, w, is_fragment);
}

#endif  // NETPOLICY_BPF_PROGS_LIB_CLAT_4TO6_H_
