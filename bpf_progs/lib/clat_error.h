// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_CLAT_ERROR_H_
#define NETPOLICY_BPF_PROGS_LIB_CLAT_ERROR_H_

#include "bpf_progs/lib/clat_icmp.h"
#include "bpf_progs/lib/clat_map.h"
#include "bpf_progs/lib/clat_skb.h"
#include "bpf_progs/lib/clat_work.h"

// What ICMP errors of both directions have in common, with the packet in them
// (RFC 7915, 4.2, 4.3, 5.2, 5.3). The
// result is at most 1280 or 576 bytes long: it is put together in the scratch
// entry and then stored over the packet, whose length is made to fit.
//
// In the scratch entry: outer header, ICMP header, inner header, the rest.
#define NP_ERROR_INNER6 (NP_IP6_LEN + NP_ICMP_LEN)
#define NP_ERROR_INNER4 (NP_IP4_LEN + NP_ICMP_LEN)

// Copies `len` bytes of the skb to the scratch entry.
static __always_inline long np_clat_copy(struct __sk_buff* skb, __u32 from,
                                         struct np_clat_scratch* scratch,
                                         __u32 to, __u32 len) {
  NP_OPAQUE(to);
  if (!len) return 0;
  if (!np_clat_size_fits(&len, NP_ICMP6_ERROR_MAX) || to > NP_ICMP6_ERROR_MAX)
    return -1;
  return bpf_skb_load_bytes(skb, from, scratch->data + to, len);
}

static __always_inline void np_clat_zero(struct np_clat_scratch* scratch,
                                         __u32 at, __u32 len) {
  __u32 i;

  NP_OPAQUE(at);
  if (at > NP_ICMP6_ERROR_MAX) return;
  for (i = 0; i < NP_ORIGINAL_MIN; i++) {
    if (i >= len) break;
    scratch->data[at + i] = 0;
  }
}

// Adjusts the transport checksum of the inner packet, if it is there, and an
// echo's type. A UDP checksum of 0 stays: what it would cover may be cut off.
static __always_inline void np_clat_fix_inner(struct np_clat_scratch* scratch,
                                              const struct np_clat_inner* in) {
  int offset = np_checksum_offset(in->protocol);
  __u32 at = in->at;
  __u16 check;

  if (!in->first || offset < 0) return;
  NP_OPAQUE(at);
  NP_OPAQUE(offset);
  if (at > 128 || offset < 0 || offset > 16) return;
  if (in->type >= 0 && in->present) scratch->data[at] = (__u8)in->type;
  if (in->present < (__u32)offset + 2) return;
  __builtin_memcpy(&check, scratch->data + at + offset, sizeof(check));
  if (in->protocol == NP_PROTO_UDP && !check) return;
  check = np_checksum_adjust(check, in->growth);
  if (in->protocol == NP_PROTO_UDP && !check) check = 0xffff;
  __builtin_memcpy(scratch->data + at + offset, &check, sizeof(check));
}

// Fills the scratch entry from the inner transport header on. `from` is where
// that is in the skb, `base` where the inner header is in the scratch entry.
// Returns how long the whole has become; 0: failed.
NP_GLOBAL __u32 np_clat_fill(struct __sk_buff* skb, __u32 from, __u32 base) {
  struct np_clat_scratch* scratch = np_clat_scratch_here();
  struct np_clat_work* work = np_clat_work_here();
  struct np_icmp_layout layout;
  struct np_clat_inner* in;
  __u32 extension_at;
  __u32 most =
      base == NP_ERROR_INNER6 ? NP_ICMP6_ERROR_MAX : NP_ICMP4_ERROR_MAX;
  __u32 len;

  if (!scratch || !work) return 0;
  in = &work->inner;
  extension_at = from + in->present;
  np_icmp_lay_out(in->at - base + in->present, in->extension, in->unit,
                  most - base, &layout);
  in->present = layout.original - (in->at - base);
  if (np_clat_copy(skb, from, scratch, in->at, in->present)) return 0;
  np_clat_fix_inner(scratch, in);
  len = base + layout.original;
  np_clat_zero(scratch, len, layout.padding);
  len += layout.padding;
  if (np_clat_copy(skb, extension_at, scratch, len, layout.extension)) return 0;
  in->attribute = layout.attribute;
  return len + layout.extension;
}

// Puts the first `len` bytes of the scratch entry in the packet's place.
static __always_inline __u32 np_clat_put(struct __sk_buff* skb, __u32 l2,
                                         struct np_clat_scratch* scratch,
                                         __u32 len) {
  NP_OPAQUE(len);
  if (len < NP_IP4_LEN || len > NP_ICMP6_ERROR_MAX) return NP_CLAT_KERNEL;
  if (skb->len != l2 + len && bpf_skb_change_tail(skb, l2 + len, 0))
    return NP_CLAT_KERNEL;
  if (bpf_skb_store_bytes(skb, l2, scratch->data, len, BPF_F_RECOMPUTE_CSUM))
    return NP_CLAT_KERNEL;
  return 0;
}

// The checksum of the ICMP message of `len` bytes at `at` in the scratch entry,
// whose field is 0. It takes over what was wrong with the old message, the sum
// of which is `old_sum`. `pseudo`: of both pseudo headers.
static __always_inline __u16
np_clat_icmp_checksum(struct np_clat_scratch* scratch, __u32 at, __u32 len,
                      __u64 pseudo, __u64 old_sum) {
  __u64 sum = np_clat_sum_memory(scratch->data + at, len);

  return np_checksum(np_sum_sub(sum + pseudo, np_sum_fold(old_sum)));
}

#endif  // NETPOLICY_BPF_PROGS_LIB_CLAT_ERROR_H_
