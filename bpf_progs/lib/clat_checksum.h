// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_CLAT_CHECKSUM_H_
#define NETPOLICY_BPF_PROGS_LIB_CLAT_CHECKSUM_H_

#include "bpf_progs/lib/clat_packet.h"

// The Internet checksum (RFC 1071), incrementally (RFC 1624). A sum is a __u64
// of 32-bit words as they lie in memory, so byte order never matters: what is
// added must be in wire order too. Up to 2^32 words may be added before it
// overflows.

// To 32 bits.
NP_INLINE __u32 np_sum_fold32(__u64 sum) {
  sum = (sum & 0xffffffffU) + (sum >> 32);
  return (__u32)(sum + (sum >> 32));
}

// To 16 bits; 0 only when nothing but zeros was added.
NP_INLINE __u16 np_sum_fold(__u64 sum) {
  __u32 folded = np_sum_fold32(sum);

  folded = (folded & 0xffff) + (folded >> 16);
  return (__u16)(folded + (folded >> 16));
}

// The checksum field that makes the sum of everything 0xffff.
NP_INLINE __u16 np_checksum(__u64 sum) { return (__u16)~np_sum_fold(sum); }

// Whether adding it changes no checksum: a multiple of 0xffff.
NP_INLINE int np_sum_is_zero(__u64 sum) {
  __u16 folded = np_sum_fold(sum);

  return !folded || folded == 0xffff;
}

// `sum` - `other`.
NP_INLINE __u64 np_sum_sub(__u64 sum, __u64 other) {
  return sum + (__u32)~np_sum_fold32(other);
}

NP_INLINE __u64 np_sum_in6(const struct np_in6* address) {
  return (__u64)address->word[0] + address->word[1] + address->word[2] +
         address->word[3];
}

// The checksum field `check` after the sum of what it covers grew by `growth`.
NP_INLINE __u16 np_checksum_adjust(__u16 check, __u64 growth) {
  return np_checksum(growth + (__u16)~check);
}

// A 16-bit number, in host order, as something to add.
NP_INLINE __u64 np_sum_number(__u16 number) { return NP_WIRE16(number); }

// What an IPv6 pseudo header has that an IPv4 one has not: nothing for TCP and
// its kin, as protocol and length are in both. ICMPv4 has no pseudo header.
NP_INLINE __u64 np_sum_icmp6_pseudo(const struct np_in6* src,
                                    const struct np_in6* dst, __u32 len) {
  return np_sum_in6(src) + np_sum_in6(dst) + NP_WIRE32(len) +
         NP_WIRE32(NP_PROTO_ICMP6);
}

// Of an IPv4 header without options whose field `check` is 0.
NP_INLINE __u16 np_ip4_checksum(const struct np_ip4* ip) {
  __u32 a = (__u32)NP_WIRE16(ip->version_ihl << 8 | ip->tos);
  __u32 b = (__u32)NP_WIRE16(ip->ttl << 8 | ip->protocol);

  return np_checksum((__u64)a + ip->len + ip->id + ip->frag + b + ip->src +
                     ip->dst);
}

// Of an IPv6 header without its addresses.
NP_INLINE __u64 np_ip6_sum_fields(const struct np_ip6* ip) {
  return (__u64)ip->first + ip->payload_len +
         NP_WIRE16(ip->next << 8 | ip->hop_limit);
}

// Whether the first 20 bytes of an IPv4 header sum up as they should when there
// are no options.
NP_INLINE int np_ip4_checksum_ok(const struct np_ip4* ip) {
  return np_ip4_checksum(ip) == ip->check;
}

#endif  // NETPOLICY_BPF_PROGS_LIB_CLAT_CHECKSUM_H_
