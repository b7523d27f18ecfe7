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
// captures are copied, or dropped where there is no memory for that.
//
// By halves of words where there is no Ethernet header in front: kernels that
// can't read words from anywhere (those without
// CONFIG_HAVE_EFFICIENT_UNALIGNED_ACCESS) would refuse the program otherwise.

// Where the first `len` bytes behind the link layer's header are, in place or
// in a copy. Returns whether they are there, and in one piece.
static __always_inline int np_clat_read_headers(struct __sk_buff* skb,
                                                const __u32 l2, const void** at,
                                                const __u32 len) {
  const __u16* raw = (const void*)(long)skb->data;
  struct np_clat_work* work;

  *at = (const void*)raw + l2;
  if (*at + len > (const void*)(long)skb->data_end) return 0;
  if (l2) return 1;
  work = np_clat_work_here();
  if (!work) return 0;
  __builtin_memcpy(work->headers, raw, len);
  *at = work->headers;
  return 1;
}

// Makes the skb's IP header the one of `len` bytes at `header`, of the version
// that `protocol` names, where the kernel has just made room for it. Leaves a
// CHECKSUM_COMPLETE sum as it is.
static __always_inline long np_clat_write_header(struct __sk_buff* skb,
                                                 const __u32 l2, __u16 protocol,
                                                 const __u32* header,
                                                 const __u32 len) {
  __u16* raw = (void*)(long)skb->data;
  __u32* at = (void*)raw + l2;

  if ((void*)at + len > (void*)(long)skb->data_end) return -1;
  if (!l2) {
    __builtin_memcpy(raw, header, len);
    return 0;
  }
  *((__be16*)at - 1) = NP_WIRE16(protocol);
  __builtin_memcpy(at, header, len);
  return 0;
}

// The end of the quick ways: what the header's change means for sums. `sum` is
// by how much that of the header grew, `growth` that of the pseudo header of
// the transport whose checksum is `at` there.
static __always_inline long np_clat_fix_checksums(struct __sk_buff* skb,
                                                  __u32 at, __u32 protocol,
                                                  __u64 sum, __u64 growth) {
  __u64 flags = BPF_F_PSEUDO_HDR;

  // Refused, and needless, where the sum is not CHECKSUM_COMPLETE.
  bpf_csum_update(skb, np_sum_fold32(sum));
  // Addresses that are checksum-neutral (RFC 6052, 4.1).
  if (np_sum_is_zero(growth)) return 0;
  if (protocol == NP_PROTO_UDP) flags |= BPF_F_MARK_MANGLED_0;
  return bpf_l4_csum_replace(skb, at, 0, np_sum_fold32(growth), flags);
}

// np_clat_to6() and np_clat_to4(), without a call where there are no mappings.
// These return that our own address, at the other end, is for the long way.
static __always_inline __u32 np_clat_quick_to6(
    struct __sk_buff* skb, const struct np_clat_instance* instance, __be32 ip4,
    struct np_in6* out) {
  if (instance->flags & NP_CLAT_MAPPINGS)
    return np_clat_to6(skb, instance, ip4, out, NP_CLAT_DESTINATION);
  if (ip4 == instance->local4) return NP_CLAT_DESTINATION;
  np_embed(&instance->prefix, instance->prefix_len, ip4, out);
  return np_clat_embeddable(instance->flags, ip4, NP_CLAT_DESTINATION);
}

static __always_inline __u32 np_clat_quick_to4(
    struct __sk_buff* skb, const struct np_clat_instance* instance,
    const struct np_in6* ip6, __be32* out) {
  if (instance->flags & NP_CLAT_MAPPINGS)
    return np_clat_to4(skb, instance, ip6, out, NP_CLAT_SOURCE);
  if (np_in6_equal(ip6, &instance->local6) ||
      !np_extract(&instance->prefix, instance->prefix_len, ip6, out))
    return NP_CLAT_SOURCE;
  return np_clat_embeddable(instance->flags, *out, NP_CLAT_SOURCE);
}

#define NP_CLAT_NOT_QUICK 0xffffffffU

// IPv4 packets on their way out. Returns the result, or NP_CLAT_NOT_QUICK and
// has done nothing.
static __always_inline __u32
np_clat_quick46(struct __sk_buff* skb, const struct np_clat_instance* instance,
                const __u32 l2) {
  const struct np_ip4_udp* in;
  const struct np_ip4* ip4;
  struct np_ip6 ip6;
  __u32 check_at = NP_IP6_LEN;
  __u32 wire_len;
  __u32 protocol;
  __u32 ttl;
  __u32 len;
  __u64 growth;
  __u64 sum;

  if (!np_clat_read_headers(skb, l2, (const void**)&in, sizeof(*in)))
    return NP_CLAT_NOT_QUICK;
  ip4 = &in->ip;
  if (!np_clat_own4(skb, instance, ip4->src, &ip6.src))
    return NP_CLAT_NOT_QUICK;
  protocol = ip4->protocol;
  ttl = ip4->ttl;
  len = NP_WIRE16(ip4->len);
  wire_len = len + 20;
  if (ip4->version_ihl != 0x45 || ip4->frag & NP_WIRE16(0xbfff) ||
      len != skb->len - l2 || !np_ip4_checksum_ok(ip4))
    return NP_CLAT_NOT_QUICK;
  if (!(instance->flags & NP_CLAT_TTL_COPY) && ttl-- <= 1)
    return NP_CLAT_NOT_QUICK;
  if (np_clat_quick_to6(skb, instance, ip4->dst, &ip6.dst))
    return NP_CLAT_NOT_QUICK;
  if (skb->gso_size) wire_len = skb->gso_size + NP_IP6_LEN + 60;
  if (wire_len > instance->mtu6) return NP_CLAT_NOT_QUICK;
  if (!(ip4->frag & NP_WIRE16(NP_IP4_DF)) &&
      wire_len > instance->lowest_ipv6_mtu)
    return NP_CLAT_NOT_QUICK;
  if (protocol == NP_PROTO_TCP) {
    if (len < NP_IP4_LEN + 20) return NP_CLAT_NOT_QUICK;
    check_at += 16;
  } else if (protocol == NP_PROTO_UDP) {
    if (len < NP_IP4_LEN + 8 || !in->udp.check) return NP_CLAT_NOT_QUICK;
    check_at += 6;
  } else {
    return NP_CLAT_NOT_QUICK;
  }

  np_ip6_from_ip4(ip4, ttl, &ip6);
  ip6.payload_len = NP_WIRE16(len - NP_IP4_LEN);
  sum = np_sum_in6(&ip6.src) + np_sum_in6(&ip6.dst);
  growth = np_sum_sub(sum, (__u64)ip4->src + ip4->dst);
  // With a right checksum the old header adds up to nothing.
  sum += np_ip6_sum_fields(&ip6);
  if (bpf_skb_change_proto(skb, NP_WIRE16(ETH_P_IPV6), 0) ||
      np_clat_write_header(skb, l2, ETH_P_IPV6, (const __u32*)&ip6,
                           sizeof(ip6)) ||
      np_clat_fix_checksums(skb, l2 + check_at, protocol, sum, growth))
    return NP_CLAT_KERNEL;
  return NP_CLAT_TRANSLATED_46;
}

// IPv6 packets coming in, likewise.
static __always_inline __u32
np_clat_quick64(struct __sk_buff* skb, const struct np_clat_instance* instance,
                const __u32 l2) {
  const struct np_ip6_udp* in;
  const struct np_ip6* ip6;
  struct np_ip4 ip4;
  __u32 check_at = NP_IP4_LEN;
  __u32 hop_limit;
  __u32 protocol;
  __u32 wire_len;
  __u32 payload;
  __be32 address;
  __u64 growth;
  __u64 sum;

  if (!np_clat_read_headers(skb, l2, (const void**)&in, sizeof(*in)))
    return NP_CLAT_NOT_QUICK;
  ip6 = &in->ip;
  if (!np_clat_own6(skb, instance, &ip6->dst, &address))
    return NP_CLAT_NOT_QUICK;
  ip4.dst = address;
  protocol = ip6->next;
  hop_limit = ip6->hop_limit;
  payload = NP_WIRE16(ip6->payload_len);
  wire_len = payload + NP_IP4_LEN;
  if (NP_WIRE32(ip6->first) >> 28 != 6 ||
      payload != skb->len - l2 - NP_IP6_LEN || wire_len > 65535)
    return NP_CLAT_NOT_QUICK;
  if (!(instance->flags & NP_CLAT_TTL_COPY) && hop_limit-- <= 1)
    return NP_CLAT_NOT_QUICK;
  if (np_clat_quick_to4(skb, instance, &ip6->src, &address))
    return NP_CLAT_NOT_QUICK;
  ip4.src = address;
  if (protocol == NP_PROTO_TCP) {
    if (payload < 20) return NP_CLAT_NOT_QUICK;
    check_at += 16;
  } else if (protocol == NP_PROTO_UDP) {
    if (payload < 8 || !in->udp.check) return NP_CLAT_NOT_QUICK;
    check_at += 6;
  } else {
    return NP_CLAT_NOT_QUICK;
  }

  np_ip4_from_ip6(ip6, protocol, hop_limit, payload + NP_IP4_LEN, &ip4);
  growth = np_sum_sub((__u64)ip4.src + ip4.dst,
                      np_sum_in6(&ip6->src) + np_sum_in6(&ip6->dst));
  // The kernel takes the first half of the header away. The new one is in the
  // place of the second, and adds up to nothing.
  sum = np_sum_sub(0, ip6->src.word[3] + np_sum_in6(&ip6->dst));
  wire_len =
      np_clat_wire_len(skb, l2 + NP_IP6_LEN, protocol, NP_IP4_LEN, wire_len);
  if (instance->mtu4 && wire_len > instance->mtu4) return NP_CLAT_NOT_QUICK;
  ip4.id = np_clat_identification();
  ip4.frag = wire_len > NP_DF_CLEAR_MAX ? NP_WIRE16(NP_IP4_DF) : 0;
  ip4.check = np_ip4_checksum(&ip4);
  if (bpf_skb_change_proto(skb, NP_WIRE16(ETH_P_IP), 0) ||
      np_clat_write_header(skb, l2, ETH_P_IP, (const __u32*)&ip4,
                           sizeof(ip4)) ||
      np_clat_fix_checksums(skb, l2 + check_at, protocol, sum, growth))
    return NP_CLAT_KERNEL;
  return NP_CLAT_TRANSLATED_64;
}

// Functions of their own, as their stacks need not be there while a packet goes
// the long way.
static __noinline __u32 np_clat_quick46_eth(
    struct __sk_buff* skb, const struct np_clat_instance* instance) {
  return np_clat_quick46(skb, instance, ETH_HLEN);
}

static __noinline __u32 np_clat_quick46_raw(
    struct __sk_buff* skb, const struct np_clat_instance* instance) {
  return np_clat_quick46(skb, instance, 0);
}

static __noinline __u32 np_clat_quick64_eth(
    struct __sk_buff* skb, const struct np_clat_instance* instance) {
  return np_clat_quick64(skb, instance, ETH_HLEN);
}

static __noinline __u32 np_clat_quick64_raw(
    struct __sk_buff* skb, const struct np_clat_instance* instance) {
  return np_clat_quick64(skb, instance, 0);
}

#endif  // NETPOLICY_BPF_PROGS_LIB_CLAT_QUICK_H_
