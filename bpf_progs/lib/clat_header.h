// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_CLAT_HEADER_H_
#define NETPOLICY_BPF_PROGS_LIB_CLAT_HEADER_H_

#include "bpf_progs/lib/clat_checksum.h"
#include "bpf_progs/lib/clat_packet.h"

// The fields of IP headers (RFC 7915, 4.1 and 5.1). Compiled into the programs
// and on the host.

// Longest IPv4 packet that is sent without DF (RFC 7915, 5.1).
#define NP_DF_CLEAR_MAX 1260

// Protocols that make no sense behind an IPv4 header: IPv6's own, and IGMP
// (RFC 7915, 4.2), which never leaves its link.
NP_INLINE int np_clat_not_from4(__u32 protocol) {
  return protocol == NP_PROTO_HOPOPTS || protocol == NP_PROTO_ROUTING ||
         protocol == NP_PROTO_FRAGMENT || protocol == NP_PROTO_ICMP6 ||
         protocol == NP_PROTO_DSTOPTS || protocol == NP_PROTO_IGMP;
}

// Protocols that make no sense behind an IPv6 header. ICMPv4 would get through
// with a packet inside that nobody has translated.
NP_INLINE int np_clat_not_from6(__u32 protocol) {
  return protocol == NP_PROTO_ICMP || protocol == NP_PROTO_IGMP;
}

// Headers that are skipped when they precede the transport's.
NP_INLINE int np_clat_skipped(__u32 next) {
  return next == NP_PROTO_HOPOPTS || next == NP_PROTO_ROUTING ||
         next == NP_PROTO_DSTOPTS;
}

// Extension headers other than ESP: not translated behind a Fragment header
// (RFC 7915, 5.1.1; the list of RFC 7045).
NP_INLINE int np_clat_is_extension(__u32 next) {
  return np_clat_skipped(next) || next == NP_PROTO_FRAGMENT ||
         next == NP_PROTO_AH || next == NP_PROTO_MOBILITY ||
         next == NP_PROTO_HIP || next == NP_PROTO_SHIM6;
}

NP_INLINE int np_ip4_is_fragment(const struct np_ip4* ip) {
  return (ip->frag & NP_WIRE16(NP_IP4_OFFSET | NP_IP4_MF)) != 0;
}

NP_INLINE int np_ip4_is_first(const struct np_ip4* ip) {
  return !(ip->frag & NP_WIRE16(NP_IP4_OFFSET));
}

// Flags and offset from one version's form to the other's.
NP_INLINE __be16 np_fragment_offset46(__be16 frag) {
  __u32 host = NP_WIRE16(frag);

  return NP_WIRE16((host & NP_IP4_OFFSET) << 3 | (host & NP_IP4_MF) >> 13);
}

NP_INLINE __be16 np_fragment_offset64(__be16 offset) {
  __u32 host = NP_WIRE16(offset);

  return NP_WIRE16(host >> 3 | (host & 1) << 13);
}

NP_INLINE int np_fragment_is_first(const struct np_fragment* fragment) {
  return !(fragment->offset & NP_WIRE16(0xfff8));
}

// Neither the first nor one of several: RFC 6946's atomic fragment.
NP_INLINE int np_fragment_is_whole(const struct np_fragment* fragment) {
  return !(fragment->offset & NP_WIRE16(0xfff9));
}

// All but the addresses and the payload length. The flow label is 0.
NP_INLINE void np_ip6_from_ip4(const struct np_ip4* in, __u32 hop_limit,
                               struct np_ip6* out) {
  out->first = NP_WIRE32(6U << 28 | (__u32)in->tos << 20);
  out->next = in->protocol == NP_PROTO_ICMP ? NP_PROTO_ICMP6 : in->protocol;
  out->hop_limit = (__u8)hop_limit;
}

NP_INLINE void np_fragment_from_ip4(const struct np_ip4* in, __u32 next,
                                    struct np_fragment* out) {
  out->next = (__u8)next;
  out->reserved = 0;
  out->offset = np_fragment_offset46(in->frag);
  out->id = NP_WIRE32(NP_WIRE16(in->id));
}

// All but the addresses, identification, fragment fields and checksum.
NP_INLINE void np_ip4_from_ip6(const struct np_ip6* in, __u32 next,
                               __u32 hop_limit, __u32 len, struct np_ip4* out) {
  out->version_ihl = 0x45;
  out->tos = (__u8)(NP_WIRE32(in->first) >> 20);
  out->len = NP_WIRE16(len);
  out->ttl = (__u8)hop_limit;
  out->protocol = next == NP_PROTO_ICMP6 ? NP_PROTO_ICMP : (__u8)next;
  out->check = 0;
}

#define NP_IP4_OPTIONS_MAX 40

// The options of an IPv4 header, `len` bytes and zeros behind them: whether a
// loose or strict source route among them has still somewhere to go (RFC 791,
// 3.1). Options that can't be read end the search.
NP_INLINE int np_ip4_source_routed(const __u8 options[NP_IP4_OPTIONS_MAX],
                                   __u32 len) {
  __u32 next = 0;  // where the next option starts
  __u32 i;

  // Goes by position rather than by option so that every access is at a
  // constant place, which keeps the verifier's work small.
  for (i = 0; i + 2 < NP_IP4_OPTIONS_MAX; i++) {
    __u8 type = options[i];
    __u8 option_len = options[i + 1];

    if (i >= len) break;
    if (i != next) continue;
    if (type == 0) break;  // end of the list
    if (type == 1) {       // no operation
      next = i + 1;
      continue;
    }
    if (option_len < 2) break;
    // LSRR and SSRR: the pointer, from 1, is behind the last address when done.
    if (type == 131 || type == 137)
      return option_len >= 3 && i + 2 < len && options[i + 2] <= option_len;
    next = i + option_len;
  }
  return 0;
}

#endif  // NETPOLICY_BPF_PROGS_LIB_CLAT_HEADER_H_
