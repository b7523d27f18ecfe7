// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_CLAT_SPLIT_H_
#define NETPOLICY_BPF_PROGS_LIB_CLAT_SPLIT_H_

#include "bpf_progs/lib/clat_skb.h"
#include "bpf_progs/lib/clat_work.h"

// Packets that become fragments (RFC 7915, 4.1 and 5.1.1). The payload is kept
// in the scratch entry; the skb is made as long as a fragment, filled, cloned
// on its way, and filled again, as bpf_clone_redirect() is the only way to make
// two packets of one.

#define NP_CLAT_PIECES 64

// Reads the payload of the packet in hand and makes its transport checksum
// final, in the scratch entry: unlike a whole packet's it can't be left to the
// device. `version`: what the packet still is. Returns 0 or the result.
NP_GLOBAL __u32 np_clat_load_payload(struct __sk_buff* skb, __u32 version) {
  struct np_clat_scratch* scratch = np_clat_scratch_here();
  struct np_clat_work* work = np_clat_work_here();
  __u32 protocol;
  __u32 part;
  __u32 len;
  __u32 at;
  __u64 growth;
  __u16 check = 0;
  int has_check;
  int check_at;
  int type;

  if (!scratch || !work) return NP_CLAT_KERNEL;
  if (version == 4) {
    const struct np_clat_46* w = &work->w46;

    at = w->l2 + w->header_len;
    len = w->payload;
    protocol = w->protocol;
    check_at = w->check_at;
    type = w->type;
    growth = w->growth;
    has_check = w->has_check;
    check = w->check;
  } else {
    const struct np_clat_64* w = &work->w64;

    at = w->l2 + NP_IP6_LEN + w->chain.len;
    len = w->payload;
    protocol = w->ip4.protocol;
    check_at = w->check_at;
    type = w->type;
    growth = w->growth;
    has_check = 0;
  }
  if (check_at >= 0 && !has_check) {
    if (bpf_skb_load_bytes(skb, at + check_at, &check, sizeof(check)))
      return NP_CLAT_KERNEL;
    if (np_clat_is_partial(skb, at + check_at)) {
      // The field holds the sum of the pseudo header.
      __u64 sum = np_clat_sum(skb, at, len);

      if (sum == ~0ULL) return NP_CLAT_KERNEL;
      check = np_checksum(sum + growth);
    } else {
      check = np_checksum_adjust(check, growth);
    }
    if (protocol == NP_PROTO_UDP && !check) check = 0xffff;
  }
  for (part = 0; part < NP_CLAT_PARTS; part++) {
    struct np_clat_scratch* here = np_clat_scratch_part(part);
    __u32 from = part * NP_CLAT_PART;
    __u32 n = len - from;

    if (len <= from) break;
    if (n > sizeof(here->data)) n = sizeof(here->data);
    if (!here || !np_clat_size_fits(&n, sizeof(here->data)) ||
        bpf_skb_load_bytes(skb, at + from, here->data, n))
      return NP_CLAT_KERNEL;
  }
  if (type >= 0) scratch->data[0] = (__u8)type;
  NP_OPAQUE(check_at);
  if (check_at >= 0 && check_at <= 16)
    __builtin_memcpy(scratch->data + check_at, &check, sizeof(check));
  return 0;
}

// Stores `n` bytes from `pos` of the payload.
static __always_inline long np_clat_store_piece(struct __sk_buff* skb, __u32 at,
                                                __u32 pos, __u32 n) {
  struct np_clat_scratch* scratch = np_clat_scratch_part(pos / NP_CLAT_PART);

  pos %= NP_CLAT_PART;
  NP_OPAQUE(pos);
  if (!scratch || pos > NP_CLAT_PART ||
      !np_clat_size_fits(&n, NP_CLAT_PIECE_MAX))
    return -1;
  return bpf_skb_store_bytes(skb, at, scratch->data + pos, n,
                             BPF_F_RECOMPUTE_CSUM);
}

// Makes the skb, of the right version and long enough, the fragment with `n`
// bytes from `pos` on. Returns 0 or the result.
NP_GLOBAL __u32 np_clat_piece46(struct __sk_buff* skb, __u32 pos, __u32 n) {
  struct np_clat_work* work = np_clat_work_here();
  struct np_clat_46* w;
  __u32 frag;
  __u32 more;

  if (!work) return NP_CLAT_KERNEL;
  w = &work->w46;
  frag = NP_WIRE16(w->ip4.frag);
  more = pos + n < w->payload || frag & NP_IP4_MF;
  w->ip6.payload_len = NP_WIRE16(NP_FRAGMENT_LEN + n);
  w->fragment.offset =
      NP_WIRE16(((frag & NP_IP4_OFFSET) << 3) + pos + (more ? 1 : 0));
  if (bpf_skb_store_bytes(skb, w->l2, &w->ip6, NP_IP6_LEN + NP_FRAGMENT_LEN,
                          BPF_F_RECOMPUTE_CSUM) ||
      np_clat_store_piece(skb, w->l2 + NP_IP6_LEN + NP_FRAGMENT_LEN, pos, n))
    return NP_CLAT_KERNEL;
  return 0;
}

NP_GLOBAL __u32 np_clat_piece64(struct __sk_buff* skb, __u32 pos, __u32 n) {
  struct np_clat_work* work = np_clat_work_here();
  struct np_clat_64* w;
  struct np_ip4 ip4;
  __u32 frag;
  __u32 more;

  if (!work) return NP_CLAT_KERNEL;
  w = &work->w64;
  ip4 = w->ip4;
  frag = NP_WIRE16(ip4.frag);
  more = pos + n < w->payload || frag & NP_IP4_MF;
  ip4.len = NP_WIRE16(NP_IP4_LEN + n);
  ip4.frag =
      NP_WIRE16((frag & NP_IP4_OFFSET) + (pos >> 3) + (more ? NP_IP4_MF : 0));
  ip4.check = 0;
  ip4.check = np_ip4_checksum(&ip4);
  if (bpf_skb_store_bytes(skb, w->l2, &ip4, NP_IP4_LEN, BPF_F_RECOMPUTE_CSUM) ||
      np_clat_store_piece(skb, w->l2 + NP_IP4_LEN, pos, n))
    return NP_CLAT_KERNEL;
  return 0;
}

// An IPv4 packet into IPv6 fragments of at most `mtu` bytes; ip6 is complete
// but for payload length and next header. All but the last go out at once; the
// last one is what the skb is when this returns.
NP_GLOBAL __u32 np_clat_split46(struct __sk_buff* skb, __u32 mtu) {
  struct np_clat_work* work = np_clat_work_here();
  __u32 header_len = NP_IP6_LEN + NP_FRAGMENT_LEN;
  __u32 ifindex = skb->ifindex;
  struct np_clat_46* w;
  __u32 piece = (mtu - header_len) & ~7U;
  __u32 pos = 0;
  __u32 result;
  __u32 len;
  __u32 l2;
  int i;

  result = np_clat_load_payload(skb, 4);
  if (result) return result;
  if (!work) return NP_CLAT_KERNEL;
  w = &work->w46;
  l2 = w->l2;
  len = w->payload;
  if (piece > NP_CLAT_PIECE_MAX) piece = NP_CLAT_PIECE_MAX;
  if (len > piece * NP_CLAT_PIECES) return NP_CLAT_CANNOT_SPLIT;
  if (np_clat_blank(skb, l2, NP_IP4_LEN, w->header_len, piece) ||
      np_clat_change_version(skb, l2, ETH_P_IPV6) ||
      bpf_skb_adjust_room(skb, NP_FRAGMENT_LEN, BPF_ADJ_ROOM_NET, 0))
    return NP_CLAT_KERNEL;
  np_fragment_from_ip4(&w->ip4, w->protocol, &w->fragment);
  w->ip6.next = NP_PROTO_FRAGMENT;
  for (i = 0; i < NP_CLAT_PIECES; i++) {
    if (len - pos <= piece) {
      if (np_clat_shorten(skb, piece - (len - pos))) return NP_CLAT_KERNEL;
      result = np_clat_piece46(skb, pos, len - pos);
      return result ? result : NP_CLAT_SPLIT_46;
    }
    if (np_clat_piece46(skb, pos, piece) || bpf_clone_redirect(skb, ifindex, 0))
      return NP_CLAT_KERNEL;
    pos += piece;
  }
  return NP_CLAT_CANNOT_SPLIT;
}

// An IPv6 packet into IPv4 fragments; ip4 is complete but for length, MF,
// offset and checksum, its frag field being that of the whole. They come in
// again at the same interface, in their order: the last one, too, must be
// redirected there.
NP_GLOBAL __u32 np_clat_split64(struct __sk_buff* skb, __u32 mtu) {
  struct np_clat_work* work = np_clat_work_here();
  __u32 ifindex = skb->ifindex;
  struct np_clat_64* w;
  __u32 piece = (mtu - NP_IP4_LEN) & ~7U;
  __u32 pos = 0;
  __u32 result;
  __u32 len;
  __u32 l2;
  int i;

  result = np_clat_load_payload(skb, 6);
  if (result) return result;
  if (!work) return NP_CLAT_KERNEL;
  w = &work->w64;
  l2 = w->l2;
  len = w->payload;
  if (piece > NP_CLAT_PIECE_MAX) piece = NP_CLAT_PIECE_MAX;
  if (len > piece * NP_CLAT_PIECES) return NP_CLAT_CANNOT_SPLIT;
  if (np_clat_blank(skb, l2, NP_IP6_LEN, NP_IP6_LEN + w->chain.len, piece) ||
      np_clat_change_version(skb, l2, ETH_P_IP))
    return NP_CLAT_KERNEL;
  for (i = 0; i < NP_CLAT_PIECES; i++) {
    if (len - pos <= piece) {
      if (np_clat_shorten(skb, piece - (len - pos))) return NP_CLAT_KERNEL;
      result = np_clat_piece64(skb, pos, len - pos);
      return result ? result : NP_CLAT_SPLIT_64;
    }
    if (np_clat_piece64(skb, pos, piece) ||
        bpf_clone_redirect(skb, ifindex, BPF_F_INGRESS))
      return NP_CLAT_KERNEL;
    pos += piece;
  }
  return NP_CLAT_CANNOT_SPLIT;
}

#endif  // NETPOLICY_BPF_PROGS_LIB_CLAT_SPLIT_H_
