// SPDX-License-Identifier: Apache-2.0

#include "clat/testing/reference_headers.h"

#include <algorithm>

#include "clat/testing/reference_bytes.h"

namespace netpolicy::clat::testing {

std::string Ip4Header::Write(size_t payload) const {
  std::string out(20, '\0');
  Put8(out, 0, 0x45);
  Put8(out, 1, tos);
  Put16(out, 2, static_cast<uint32_t>(20 + payload));
  Put16(out, 4, id);
  Put16(out, 6, (df ? 0x4000 : 0) | (mf ? 0x2000 : 0) | offset / 8);
  Put8(out, 8, ttl);
  Put8(out, 9, protocol);
  out.replace(12, 4, src);
  out.replace(16, 4, dst);
  Put16(out, 10, Complement(Sum(out)));
  return out;
}

std::string Ip6Header::Write(size_t payload) const {
  std::string out(has_fragment ? 48 : 40, '\0');
  Put32(out, 0, 6U << 28 | traffic_class << 20);
  Put16(out, 4, static_cast<uint32_t>(has_fragment ? payload + 8 : payload));
  Put8(out, 6, has_fragment ? 44 : next);
  Put8(out, 7, hop_limit);
  out.replace(8, 16, src);
  out.replace(24, 16, dst);
  if (has_fragment) {
    Put8(out, 40, next);
    Put16(out, 42, offset | (mf ? 1 : 0));
    Put32(out, 44, id);
  }
  return out;
}

Ip4Header Read4(absl::string_view in) {
  Ip4Header header;
  header.tos = Get8(in, 1);
  header.id = Get16(in, 4);
  header.df = Get16(in, 6) & 0x4000;
  header.mf = Get16(in, 6) & 0x2000;
  header.offset = (Get16(in, 6) & 0x1fff) * 8;
  header.ttl = Get8(in, 8);
  header.protocol = Get8(in, 9);
  header.src = std::string(in.substr(12, 4));
  header.dst = std::string(in.substr(16, 4));
  return header;
}

uint32_t Pseudo(absl::string_view src, absl::string_view dst, uint32_t protocol,
                size_t length) {
  if (src.size() == 4 && protocol == kIcmp) return 0;
  return (Sum(src) + Sum(dst) + protocol +
          static_cast<uint32_t>(length / 65536 + length % 65536)) %
         65535;
}

std::optional<size_t> ChecksumPlace(uint32_t protocol) {
  switch (protocol) {
    case kTcp:
      return 16;
    case kUdp:
    case kUdpLite:
    case kDccp:
      return 6;
    case kIcmp:
    case kIcmp6:
      return 2;
    default:
      return std::nullopt;
  }
}

void CarryChecksum(absl::string_view before, uint32_t pseudo_before,
                   std::string& after, uint32_t pseudo_after,
                   uint32_t protocol) {
  const auto place = ChecksumPlace(protocol);
  if (!place.has_value() || after.size() < *place + 2) return;
  if (protocol == kUdp && Get16(after, *place) == 0) return;
  Put16(after, *place, 0);
  const uint32_t wanted = Sum(before) + pseudo_before;
  const uint32_t there = Sum(after) + pseudo_after;
  uint32_t check = (wanted + 65535 * 4 - there) % 65535;
  if (protocol == kUdp && check == 0) check = 0xffff;
  Put16(after, *place, check);
}

bool IsError4(uint32_t type) {
  return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

uint32_t JoinExtensions(std::string& original, std::string extensions,
                        uint32_t unit, size_t room) {
  extensions.resize(std::min(extensions.size(), room - 128));
  size_t length =
      std::max<size_t>((original.size() + unit - 1) / unit * unit, 128);
  length = std::min(length, (room - extensions.size()) / unit * unit);
  original.resize(length, '\0');
  original += extensions;
  return static_cast<uint32_t>(length / unit);
}

Chain Walk(absl::string_view packet) {
  Chain chain;
  uint32_t next = Get8(packet, 6);
  size_t at = 40;
  int headers = 0;
  while (next == 0 || next == 43 || next == 60) {
    // Limits of the implementation.
    if (++headers > 8) {
      chain.trouble = "too many extension headers";
      return chain;
    }
    if (at + 8 > packet.size()) {
      chain.trouble = "cut off";
      return chain;
    }
    if (next == 43 && Get8(packet, at + 3) != 0 &&
        !chain.segments_left.has_value()) {
      chain.segments_left = at + 3;
    }
    next = Get8(packet, at);
    at += (Get8(packet, at + 1) + 1) * 8;
    if (at > packet.size()) {
      chain.trouble = "cut off";
      return chain;
    }
    if (at - 40 > 3900) {
      chain.trouble = "extension headers too long";
      return chain;
    }
  }
  if (next == 44) {
    if (at + 8 > packet.size()) {
      chain.trouble = "cut off";
      return chain;
    }
    chain.has_fragment = true;
    next = Get8(packet, at);
    chain.offset = Get16(packet, at + 2) & 0xfff8;
    chain.mf = Get16(packet, at + 2) & 1;
    chain.id = Get32(packet, at + 4);
    at += 8;
    for (const uint32_t header : {0, 43, 44, 51, 60, 135, 139, 140}) {
      if (next == header) {
        chain.trouble = "extension header behind a Fragment header";
        return chain;
      }
    }
  }
  chain.last = next;
  chain.length = at - 40;
  return chain;
}

}  // namespace netpolicy::clat::testing
