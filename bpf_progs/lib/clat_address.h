// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_CLAT_ADDRESS_H_
#define NETPOLICY_BPF_PROGS_LIB_CLAT_ADDRESS_H_

#include "bpf_progs/lib/clat_packet.h"

// Addresses: RFC 6052 (embedded in a prefix) and RFC 7757 (explicit mappings).
// Compiled into the programs and on the host.

// The two halves of an IPv6 address as numbers.
struct np_halves {
  __u64 high;
  __u64 low;
};

NP_INLINE struct np_halves np_halves_of(const struct np_in6* address) {
  struct np_halves halves;

  halves.high =
      (__u64)NP_WIRE32(address->word[0]) << 32 | NP_WIRE32(address->word[1]);
  halves.low =
      (__u64)NP_WIRE32(address->word[2]) << 32 | NP_WIRE32(address->word[3]);
  return halves;
}

NP_INLINE void np_in6_of(struct np_halves halves, struct np_in6* address) {
  address->word[0] = NP_WIRE32(halves.high >> 32);
  address->word[1] = NP_WIRE32(halves.high);
  address->word[2] = NP_WIRE32(halves.low >> 32);
  address->word[3] = NP_WIRE32(halves.low);
}

NP_INLINE int np_in6_equal(const struct np_in6* a, const struct np_in6* b) {
  return a->word[0] == b->word[0] && a->word[1] == b->word[1] &&
         a->word[2] == b->word[2] && a->word[3] == b->word[3];
}

NP_INLINE int np_in6_is_zero(const struct np_in6* a) {
  return !(a->word[0] | a->word[1] | a->word[2] | a->word[3]);
}

// Whether `address`, in host order, is in the network written like
// NP_IN_NET(address, 192, 0, 2, 0, 24).
#define NP_IN_NET(address, a, b, c, d, len)                         \
  (((address) ^ ((__u32)(a) << 24 | (b) << 16 | (c) << 8 | (d))) >> \
       (32 - (len)) ==                                              \
   0)

// Whether a router may forward to or from this address: not 0/8, loopback,
// link-local, multicast, reserved or broadcast (RFC 1122, 3.2.1.3; RFC 1812,
// 5.3.7; RFC 3927, 7).
NP_INLINE int np_ip4_forwardable(__be32 wire) {
  __u32 address = NP_WIRE32(wire);

  return address >> 24 != 0 && address >> 24 != 127 && address >> 29 != 7 &&
         !NP_IN_NET(address, 169, 254, 0, 0, 16);
}

// Networks that documents use for examples (RFC 5737).
NP_INLINE int np_ip4_documentation(__be32 wire) {
  __u32 address = NP_WIRE32(wire);

  return NP_IN_NET(address, 192, 0, 2, 0, 24) ||
         NP_IN_NET(address, 198, 51, 100, 0, 24) ||
         NP_IN_NET(address, 203, 0, 113, 0, 24);
}

// Whether a forwardable address is not globally reachable (RFC 5735, 3; RFC
// 6598; RFC 6890), those of documentation apart.
NP_INLINE int np_ip4_private(__be32 wire) {
  __u32 address = NP_WIRE32(wire);

  return NP_IN_NET(address, 10, 0, 0, 0, 8) ||
         NP_IN_NET(address, 100, 64, 0, 0, 10) ||
         NP_IN_NET(address, 172, 16, 0, 0, 12) ||
         NP_IN_NET(address, 192, 0, 0, 0, 24) ||
         NP_IN_NET(address, 192, 168, 0, 0, 16) ||
         NP_IN_NET(address, 198, 18, 0, 0, 15);
}

// 0 when the instance's prefix may hold this IPv4 address, else the outcome
// (NP_CLAT_*); `unusable` is the one for an address that nobody may use.
NP_INLINE __u32 np_clat_embeddable(__u32 flags, __be32 address,
                                   __u32 unusable) {
  if (!np_ip4_forwardable(address)) return unusable;
  if (flags & NP_CLAT_GLOBAL_ONLY) {
    if (np_ip4_private(address)) return NP_CLAT_NOT_GLOBAL;
    if (flags & NP_CLAT_NO_DOCUMENTATION && np_ip4_documentation(address))
      return NP_CLAT_NOT_GLOBAL;
  }
  return 0;
}

// RFC 6052, 2.2: the address in `prefix` that stands for `ip4`. Prefixes of 32
// to 64 bits have the IPv4 address right behind them, in one piece but for the
// octet of bits 64 to 71, which is 0 as the rest is.
NP_INLINE void np_embed(const struct np_in6* prefix, __u32 prefix_len,
                        __be32 ip4, struct np_in6* out) {
  struct np_halves halves;
  __u64 address = NP_WIRE32(ip4);
  __u32 low_bits;

  if (prefix_len == 96) {
    *out = *prefix;
    out->word[3] = ip4;
    return;
  }
  low_bits = (prefix_len - 32) & 63;  // & 63: for the verifier
  halves = np_halves_of(prefix);
  halves.high |= address >> low_bits;
  halves.low = address << (56 - low_bits) & 0x00ffffffffffffffULL;
  np_in6_of(halves, out);
}

// RFC 6052, 2.3: the reverse. Returns whether `address` is in the prefix with
// the octet and the suffix zero.
NP_INLINE int np_extract(const struct np_in6* prefix, __u32 prefix_len,
                         const struct np_in6* address, __be32* ip4) {
  struct np_halves halves;
  struct np_halves want;
  __u64 low;
  __u32 low_bits;

  if (prefix_len == 96) {
    *ip4 = address->word[3];
    return address->word[0] == prefix->word[0] &&
           address->word[1] == prefix->word[1] &&
           address->word[2] == prefix->word[2];
  }
  low_bits = (prefix_len - 32) & 63;
  halves = np_halves_of(address);
  want = np_halves_of(prefix);
  // 1ULL << 32 at most: the bits of the upper half that hold the address.
  if ((halves.high ^ want.high) & ~((1ULL << (32 - low_bits)) - 1)) return 0;
  low = halves.low >> (56 - low_bits);
  if (low << (56 - low_bits) != halves.low || low >> low_bits) return 0;
  *ip4 = NP_WIRE32(halves.high << low_bits | low);
  return 1;
}

// A number of `bits` bits, at most 32, whose first bit is bit `at` of a 128-bit
// number counted from the left, as the two halves. at + bits <= 128.
NP_INLINE struct np_halves np_place(__u32 number, __u32 at, __u32 bits) {
  struct np_halves halves = {0, 0};
  __u32 shift = 128 - at - bits;  // 0 to 128
  __u64 wide = number;

  if (shift >= 128) return halves;  // no bits
  if (shift >= 64) {
    halves.high = wide << (shift & 63);
  } else {
    halves.low = wide << (shift & 63);
    if (shift > 32) halves.high = wide >> ((64 - shift) & 63);
  }
  return halves;
}

// The reverse: the `bits` bits from bit `at` on.
NP_INLINE __u32 np_pick(struct np_halves halves, __u32 at, __u32 bits) {
  __u32 shift = 128 - at - bits;
  __u64 mask = (1ULL << (bits & 63)) - 1;
  __u64 number;

  if (shift >= 128) return 0;
  if (shift >= 64) {
    number = halves.high >> (shift & 63);
  } else {
    number = halves.low >> (shift & 63);
    if (shift > 32) number |= halves.high << ((64 - shift) & 63);
  }
  return (__u32)(number & mask);
}

// RFC 7757, 3.3.1: the IPv4 suffix goes right behind the IPv6 prefix, zeros
// behind that.
NP_INLINE void np_eam_to6(const struct np_clat_eam* eam, __be32 ip4,
                          struct np_in6* out) {
  struct np_halves halves = np_halves_of(&eam->prefix6);
  __u32 bits = 32 - eam->len4;
  __u32 suffix = (__u32)(NP_WIRE32(ip4) & ((1ULL << (bits & 63)) - 1));
  struct np_halves placed = np_place(suffix, eam->len6, bits);

  halves.high |= placed.high;
  halves.low |= placed.low;
  np_in6_of(halves, out);
}

// RFC 7757, 3.3.2: the reverse; bits behind the suffix are ignored.
NP_INLINE __be32 np_eam_to4(const struct np_clat_eam* eam,
                            const struct np_in6* address) {
  __u32 suffix = np_pick(np_halves_of(address), eam->len6, 32 - eam->len4);

  return eam->prefix4 | NP_WIRE32(suffix);
}

// The IPv4 address that stands for the sender of an ICMPv6 error without one
// (RFC 6791, 3.2): always the same for the same sender.
NP_INLINE __be32 np_clat_stand_in(const struct np_clat_instance* instance,
                                  const struct np_in6* sender) {
  __u32 hash =
      sender->word[0] ^ sender->word[1] ^ sender->word[2] ^ sender->word[3];

  if (instance->icmp_source4_count <= 1) return instance->icmp_source4;
  hash = (hash ^ hash >> 16) * 0x9e3779b1U >> 16;
  return NP_WIRE32(NP_WIRE32(instance->icmp_source4) +
                   hash % instance->icmp_source4_count);
}

#endif  // NETPOLICY_BPF_PROGS_LIB_CLAT_ADDRESS_H_
