// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_CLAT_ICMP_H_
#define NETPOLICY_BPF_PROGS_LIB_CLAT_ICMP_H_

#include "bpf_progs/lib/clat_packet.h"

// The tables of RFC 7915, 4.2 and 5.2. Compiled into the programs and on the
// host.

#define NP_ICMP4_ECHO_REPLY 0
#define NP_ICMP4_UNREACHABLE 3
#define NP_ICMP4_SOURCE_QUENCH 4
#define NP_ICMP4_REDIRECT 5
#define NP_ICMP4_ECHO 8
#define NP_ICMP4_TIME_EXCEEDED 11
#define NP_ICMP4_PARAMETER 12

#define NP_ICMP6_UNREACHABLE 1
#define NP_ICMP6_TOO_BIG 2
#define NP_ICMP6_TIME_EXCEEDED 3
#define NP_ICMP6_PARAMETER 4
#define NP_ICMP6_INFORMATIONAL 128 /* first that is not an error */
#define NP_ICMP6_ECHO 128
#define NP_ICMP6_ECHO_REPLY 129
#define NP_ICMP6_FIRST_ND 133
#define NP_ICMP6_REDIRECT 137

// Longest errors: RFC 4443, 2.4(c), and RFC 1812, 4.3.2.3.
#define NP_ICMP6_ERROR_MAX 1280
#define NP_ICMP4_ERROR_MAX 576

#define NP_IPV6_MIN_MTU 1280

NP_INLINE int np_icmp4_is_error(__u32 type) {
  return type == NP_ICMP4_UNREACHABLE || type == NP_ICMP4_SOURCE_QUENCH ||
         type == NP_ICMP4_REDIRECT || type == NP_ICMP4_TIME_EXCEEDED ||
         type == NP_ICMP4_PARAMETER;
}

// An echo's type in the other version; -1: not an echo.
NP_INLINE int np_icmp_echo46(__u32 type) {
  if (type == NP_ICMP4_ECHO) return NP_ICMP6_ECHO;
  return type == NP_ICMP4_ECHO_REPLY ? NP_ICMP6_ECHO_REPLY : -1;
}

NP_INLINE int np_icmp_echo64(__u32 type) {
  if (type == NP_ICMP6_ECHO) return NP_ICMP4_ECHO;
  return type == NP_ICMP6_ECHO_REPLY ? NP_ICMP4_ECHO_REPLY : -1;
}

// RFC 1191, 7: the path MTU to try when a router did not say it: the greatest
// plateau below the length of the packet that did not fit.
NP_INLINE __u32 np_plateau(__u32 len) {
  if (len > 32000) return 32000;
  if (len > 17914) return 17914;
  if (len > 8166) return 8166;
  if (len > 4352) return 4352;
  if (len > 2002) return 2002;
  if (len > 1492) return 1492;
  if (len > 1006) return 1006;
  if (len > 508) return 508;
  if (len > 296) return 296;
  return 68;
}

// RFC 7915, 4.2, "Code 4": the MTU to tell the IPv6 side. `total` is the length
// of the packet in the error as its header says; mtu4 0: unknown.
NP_INLINE __u32 np_mtu46(__u32 mtu, __u32 total, __u32 mtu4, __u32 mtu6) {
  if (!mtu) mtu = np_plateau(total);
  mtu += 20;
  if (mtu > mtu6) mtu = mtu6;
  if (mtu4 && mtu > mtu4 + 20) mtu = mtu4 + 20;
  return mtu < NP_IPV6_MIN_MTU ? NP_IPV6_MIN_MTU : mtu;
}

// RFC 7915, 5.2, "Packet Too Big": the MTU to tell the IPv4 side. IPv4 knows no
// MTU below 68.
NP_INLINE __u32 np_mtu64(__u32 mtu, __u32 mtu4, __u32 mtu6) {
  if (mtu > mtu6) mtu = mtu6;
  mtu = mtu < 68 + 20 ? 68 : mtu - 20;
  if (mtu4 && mtu > mtu4) mtu = mtu4;
  return mtu > 65535 ? 65535 : mtu;
}

// RFC 7915, figure 3: what an IPv4 pointer points to in an IPv6 header; -1:
// nothing.
NP_INLINE int np_pointer46(__u32 pointer) {
  if (pointer <= 1) return (int)pointer;
  if (pointer <= 3) return 4;  // total length
  if (pointer == 8) return 7;  // TTL
  if (pointer == 9) return 6;  // protocol
  if (pointer >= 12 && pointer <= 15) return 8;
  if (pointer >= 16 && pointer <= 19) return 24;
  return -1;
}

// RFC 7915, figure 6.
NP_INLINE int np_pointer64(__u32 pointer) {
  if (pointer <= 1) return (int)pointer;
  if (pointer == 4 || pointer == 5) return 2;  // payload length
  if (pointer == 6) return 9;                  // next header
  if (pointer == 7) return 8;                  // hop limit
  if (pointer >= 8 && pointer <= 23) return 12;
  if (pointer >= 24 && pointer <= 39) return 16;
  return -1;
}

// What the ICMPv6 header of a translated ICMPv4 error starts with. `total` as
// above. Returns 0, or -1 when the error is not translated. `out->check` stays
// 0, and the RFC 4884 length is not in `out->word` yet.
NP_INLINE int np_icmp_error46(const struct np_icmp* in, __u32 total, __u32 mtu4,
                              __u32 mtu6, struct np_icmp* out) {
  int pointer;

  out->check = 0;
  out->word = 0;
  out->code = 0;
  switch (in->type) {
    case NP_ICMP4_UNREACHABLE:
      out->type = NP_ICMP6_UNREACHABLE;
      switch (in->code) {
        case 0:
        case 1:
        case 5:
        case 6:
        case 7:
        case 8:
        case 11:
        case 12:
          return 0;  // no route to destination
        case 2:      // protocol unreachable
          out->type = NP_ICMP6_PARAMETER;
          out->code = 1;             // unrecognized next header
          out->word = NP_WIRE32(6);  // where the next header is said
          return 0;
        case 3:
          out->code = 4;  // port unreachable
          return 0;
        case 4:
          out->type = NP_ICMP6_TOO_BIG;
          out->word = NP_WIRE32(
              np_mtu46(NP_WIRE32(in->word) & 0xffff, total, mtu4, mtu6));
          return 0;
        case 9:
        case 10:
        case 13:
        case 15:
          out->code = 1;  // administratively prohibited
          return 0;
        default:
          return -1;
      }
    case NP_ICMP4_TIME_EXCEEDED:
      out->type = NP_ICMP6_TIME_EXCEEDED;
      out->code = in->code;
      return 0;
    case NP_ICMP4_PARAMETER:
      if (in->code != 0 && in->code != 2) return -1;
      pointer = np_pointer46(NP_WIRE32(in->word) >> 24);
      if (pointer < 0) return -1;
      out->type = NP_ICMP6_PARAMETER;
      out->word = NP_WIRE32(pointer);
      return 0;
    default:
      return -1;
  }
}

// The reverse.
NP_INLINE int np_icmp_error64(const struct np_icmp* in, __u32 mtu4, __u32 mtu6,
                              struct np_icmp* out) {
  int pointer;

  out->check = 0;
  out->word = 0;
  out->code = 0;
  out->type = NP_ICMP4_UNREACHABLE;
  switch (in->type) {
    case NP_ICMP6_UNREACHABLE:
      switch (in->code) {
        case 0:
        case 2:
        case 3:
          out->code = 1;  // host unreachable
          return 0;
        case 1:
          out->code = 10;  // host administratively prohibited
          return 0;
        case 4:
          out->code = 3;  // port unreachable
          return 0;
        default:
          return -1;
      }
    case NP_ICMP6_TOO_BIG:
      out->code = 4;
      out->word = NP_WIRE32(np_mtu64(NP_WIRE32(in->word), mtu4, mtu6));
      return 0;
    case NP_ICMP6_TIME_EXCEEDED:
      out->type = NP_ICMP4_TIME_EXCEEDED;
      out->code = in->code;
      return 0;
    case NP_ICMP6_PARAMETER:
      if (in->code == 1) {
        out->code = 2;  // protocol unreachable
        return 0;
      }
      if (in->code != 0) return -1;
      pointer = np_pointer64(NP_WIRE32(in->word));
      if (pointer < 0) return -1;
      out->type = NP_ICMP4_PARAMETER;
      out->word = NP_WIRE32((__u32)pointer << 24);
      return 0;
    default:
      return -1;
  }
}

// RFC 4884: the length of the original datagram in an error with extensions, in
// bytes; 0: there are none. In ICMPv4 it is in the second byte of the word in
// units of 4, in ICMPv6 in the first byte in units of 8.
NP_INLINE __u32 np_original_len4(const struct np_icmp* icmp) {
  if (icmp->type != NP_ICMP4_UNREACHABLE &&
      icmp->type != NP_ICMP4_TIME_EXCEEDED && icmp->type != NP_ICMP4_PARAMETER)
    return 0;
  return (NP_WIRE32(icmp->word) >> 16 & 0xff) * 4;
}

NP_INLINE __u32 np_original_len6(const struct np_icmp* icmp) {
  if (icmp->type != NP_ICMP6_UNREACHABLE &&
      icmp->type != NP_ICMP6_TIME_EXCEEDED)
    return 0;
  return (NP_WIRE32(icmp->word) >> 24) * 8;
}

// What follows the ICMP header of a translated error.
struct np_icmp_layout {
  __u32 original;   // of the translated original datagram, cut if it must be
  __u32 padding;    // zeros behind it
  __u32 extension;  // of the extensions, cut if it must be
  __u32 attribute;  // original datagram and padding in units; 0: no extensions
};

#define NP_ORIGINAL_MIN 128 /* RFC 4884, 3 */

// `translated` bytes of original datagram and `extension` bytes shall fit into
// `room`. `unit`: 8 for ICMPv6, 4 for ICMPv4; 0: the error can't have
// extensions. The datagram gives way first, down to 128 bytes; what is then too
// much is cut off the extensions (RFC 7915, 4.2 and 5.2, "ICMP Error Payload").
NP_INLINE void np_icmp_lay_out(__u32 translated, __u32 extension, __u32 unit,
                               __u32 room, struct np_icmp_layout* out) {
  __u32 padded;
  __u32 most;

  out->padding = 0;
  out->extension = 0;
  out->attribute = 0;
  if (!unit) {
    out->original = translated < room ? translated : room;
    return;
  }
  if (extension > room - NP_ORIGINAL_MIN) extension = room - NP_ORIGINAL_MIN;
  most = (room - extension) & ~(unit - 1);
  padded = (translated + unit - 1) & ~(unit - 1);
  if (padded < NP_ORIGINAL_MIN) padded = NP_ORIGINAL_MIN;
  if (padded > most) padded = most;
  out->original = translated < padded ? translated : padded;
  out->padding = padded - out->original;
  out->extension = extension;
  out->attribute = unit == 8 ? padded >> 3 : padded >> 2;
}

#endif  // NETPOLICY_BPF_PROGS_LIB_CLAT_ICMP_H_
