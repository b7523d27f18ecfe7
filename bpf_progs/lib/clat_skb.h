// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_CLAT_SKB_H_
#define NETPOLICY_BPF_PROGS_LIB_CLAT_SKB_H_

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

#include "bpf_progs/lib/clat_checksum.h"
#include "bpf_progs/lib/clat_packet.h"
#include "bpf_progs/maps/clat_maps.h"

// What the translator does to an skb, whichever way it translates. `l2` is
// always the length of the link layer's header, 14 (Ethernet) or 0 (raw IP).

// Stops the compiler from reasoning about a value, so that the check in front
// of it is also in the instructions that the verifier reads.
#define NP_OPAQUE(value) asm volatile("" : "+r"(value))

#define NP_CLAT_ROOM_MAX 4000  /* bpf_skb_adjust_room() takes 4095 at once */
#define NP_GSO_BY_FRAGS 0xffff /* include/linux/skbuff.h */

static __always_inline struct np_clat_scratch* np_clat_scratch_here(void) {
  __u32 zero = 0;

  return bpf_map_lookup_elem(&np_clat_scratch, &zero);
}

static __always_inline struct np_clat_scratch* np_clat_scratch_part(
    __u32 part) {
  return bpf_map_lookup_elem(&np_clat_scratch, &part);
}

// Whether a helper may be given `size` bytes of something that has `most`:
// from 1 to `most`. Of `size != 0` verifiers before Linux 6.8 learn nothing
// (regs_refine_cond_op() in kernel/bpf/verifier.c), of `size - 1 < most` all
// do.
static __always_inline int np_clat_size_fits(__u32* size, __u32 most) {
  __u32 less = *size - 1;

  NP_OPAQUE(less);
  if (less >= most) return 0;
  *size = less + 1;
  return 1;
}

// Sum of `len` bytes from `offset` on; all ones: they could not be read. A
// global function, so that the verifier walks its loop once and not for each
// caller.
__attribute__((noinline)) __u64 np_clat_sum(struct __sk_buff* skb, __u32 offset,
                                            __u32 len) {
  struct np_clat_scratch* scratch = np_clat_scratch_here();
  __u64 sum = 0;
  __u32 i;

  if (!scratch) return ~0ULL;
  for (i = 0; i < 65536 / NP_CLAT_CHUNK && len >= NP_CLAT_CHUNK; i++) {
    if (bpf_skb_load_bytes(skb, offset, scratch->chunk, NP_CLAT_CHUNK))
      return ~0ULL;
    sum = (__u32)bpf_csum_diff(0, 0, (__be32*)scratch->chunk, NP_CLAT_CHUNK,
                               (__u32)sum);
    offset += NP_CLAT_CHUNK;
    len -= NP_CLAT_CHUNK;
  }
  if (!len) return sum;
  if (!np_clat_size_fits(&len, NP_CLAT_CHUNK)) return ~0ULL;
  *(__u32*)(scratch->chunk + (len & ~3U)) = 0;
  if (bpf_skb_load_bytes(skb, offset, scratch->chunk, len)) return ~0ULL;
  return (__u32)bpf_csum_diff(0, 0, (__be32*)scratch->chunk, (len + 3) & ~3U,
                              (__u32)sum);
}

// Sum of the first `len` bytes of `bytes`, at most 1280, which has 3 more that
// may be zeroed.
static __always_inline __u64 np_clat_sum_memory(__u8* bytes, __u32 len) {
  __u64 sum = 0;
  int i;

  NP_OPAQUE(len);
  if (len > 1280) return 0;
  bytes[len] = bytes[len + 1] = bytes[len + 2] = 0;
  len = (len + 3) & ~3U;
#pragma unroll
  for (i = 0; i < 3; i++) {
    __u32 n = len;

    if (n > NP_CLAT_CHUNK) n = NP_CLAT_CHUNK;
    if (!np_clat_size_fits(&n, NP_CLAT_CHUNK)) break;
    sum = (__u32)bpf_csum_diff(0, 0, (__be32*)(bytes + i * NP_CLAT_CHUNK), n,
                               (__u32)sum);
    len -= n;
  }
  return sum;
}

// Makes what is behind the link layer's header IP of this version to the
// kernel, 20 bytes longer or shorter at the front.
static __always_inline long np_clat_change_version(struct __sk_buff* skb,
                                                   __u32 l2, __u16 protocol) {
  __be16 wire = NP_WIRE16(protocol);

  if (bpf_skb_change_proto(skb, wire, 0)) return -1;
  if (l2) return bpf_skb_store_bytes(skb, l2 - 2, &wire, sizeof(wire), 0);
  return 0;
}

// How long the packet is on the wire, in its longest segment, when its headers
// up to the transport's are `header_len` long; `transport_at` is where that is
// now. Packets that are no super-packets are `len` long.
static __always_inline __u32 np_clat_wire_len(struct __sk_buff* skb,
                                              __u32 transport_at,
                                              __u32 protocol, __u32 header_len,
                                              __u32 len) {
  __u32 size = skb->gso_size;
  __u8 data_offset = 0;

  if (!size) return len;
  if (size == NP_GSO_BY_FRAGS) return 0;  // SCTP: its chunks fit, it knows why
  if (protocol == NP_PROTO_TCP) {
    bpf_skb_load_bytes(skb, transport_at + 12, &data_offset, 1);
    return header_len + (data_offset >> 4) * 4 + size;
  }
  return header_len + 8 + size;
}

// Whether the checksum field at `offset` is still to be completed by the device
// (CHECKSUM_PARTIAL), which programs are not told: bpf_l4_csum_replace() counts
// the other way then.
static __always_inline int np_clat_is_partial(struct __sk_buff* skb,
                                              __u32 offset) {
  __u16 before;
  __u16 after;

  if (bpf_skb_load_bytes(skb, offset, &before, sizeof(before))) return 0;
  if (bpf_l4_csum_replace(skb, offset, 0, 1, BPF_F_PSEUDO_HDR)) return 0;
  if (bpf_skb_load_bytes(skb, offset, &after, sizeof(after))) return 0;
  bpf_l4_csum_replace(skb, offset, 0, ~1U, BPF_F_PSEUDO_HDR);
  bpf_skb_store_bytes(skb, offset, &before, sizeof(before), 0);
  return after != np_checksum_adjust(before, 1);
}

// Takes `len` bytes away behind the base IP header.
__attribute__((noinline)) int np_clat_shorten(struct __sk_buff* skb,
                                              __u32 len) {
  int i;

  for (i = 0; i < 17; i++) {  // 65535 bytes in all
    __u32 n = len > NP_CLAT_ROOM_MAX ? NP_CLAT_ROOM_MAX : len;

    if (!n) return 0;
    if (bpf_skb_adjust_room(skb, -(__s32)n, BPF_ADJ_ROOM_NET, 0)) return -1;
    len -= n;
  }
  return len ? -1 : 0;
}

// Makes the skb carry `len` bytes of undefined contents behind the base IP
// header (`base_len`, the version stays), no longer a super-packet and no
// longer CHECKSUM_PARTIAL. `header_len` is that of the IP header with all that
// follows it in front of the transport's.
//
// What is too much goes from the front. Pulling that past the place where the
// checksum starts is the only way to be rid of CHECKSUM_PARTIAL
// (__skb_postpull_rcsum()), and bpf_skb_change_tail() never cuts into what it
// takes for the headers up to the transport's, which virtual devices look for
// deep in the packet.
static __always_inline long np_clat_blank(struct __sk_buff* skb, __u32 l2,
                                          __u32 base_len, __u32 header_len,
                                          __u32 len) {
  __u32 want = l2 + base_len + len;
  __u32 first = want + l2 + header_len + 8;

  // Also ends its being a super-packet. It may refuse to make the packet
  // shorter.
  if (bpf_skb_change_tail(skb, first, 0)) {
    __u32 now = skb->len;

    if (now < first) return -1;
    if (skb->gso_size && bpf_skb_change_tail(skb, now, 0)) return -1;
  }
  return np_clat_shorten(skb, skb->len - want);
}

// The link layer may have padded a short packet. When the kernel does not let
// us take that off, it stays: the IP header says where the packet ends.
static __always_inline void np_clat_trim(struct __sk_buff* skb, __u32 len) {
  if (skb->len > len) bpf_skb_change_tail(skb, len, 0);
}

// The frame goes back where it came from.
static __always_inline void np_clat_swap_macs(struct __sk_buff* skb) {
  __u8 macs[2 * ETH_ALEN];
  __u8 swapped[2 * ETH_ALEN];

  if (bpf_skb_load_bytes(skb, 0, macs, sizeof(macs))) return;
  __builtin_memcpy(swapped, macs + ETH_ALEN, ETH_ALEN);
  __builtin_memcpy(swapped + ETH_ALEN, macs, ETH_ALEN);
  bpf_skb_store_bytes(skb, 0, swapped, sizeof(swapped), 0);
}

// Whether one more ICMP error may be made now (RFC 7915, 4.4; RFC 4443,
// 2.4(f)): a token bucket per CPU.
static __always_inline int np_clat_may_answer(
    const struct np_clat_instance* instance) {
  __u64 rate = instance->icmp_per_second;
  struct np_clat_bucket* bucket;
  __u32 slot = instance->slot;
  __u64 now;
  __u64 fresh;

  if (rate == NP_CLAT_UNLIMITED) return 1;
  if (!rate) return 0;
  bucket = bpf_map_lookup_elem(&np_clat_bucket, &slot);
  if (!bucket) return 0;
  now = bpf_ktime_get_ns();
  fresh = now - bucket->filled_ns;
  if (fresh > 1000000000ULL) fresh = 1000000000ULL;
  fresh = fresh * rate / 1000000000ULL;
  if (fresh) {
    bucket->tokens += fresh;
    bucket->filled_ns = now;
    if (bucket->tokens > instance->icmp_burst)
      bucket->tokens = instance->icmp_burst;
  }
  if (!bucket->tokens) return 0;
  bucket->tokens--;
  return 1;
}

#endif  // NETPOLICY_BPF_PROGS_LIB_CLAT_SKB_H_
