// SPDX-License-Identifier: Apache-2.0
//
// Headers, checksums and RFC 4884 for the reference translator.

#ifndef NETPOLICY_CLAT_TESTING_REFERENCE_HEADERS_H_
#define NETPOLICY_CLAT_TESTING_REFERENCE_HEADERS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace netpolicy::clat::testing {

inline constexpr uint32_t kIcmp = 1, kIgmp = 2, kTcp = 6, kUdp = 17, kDccp = 33,
                          kIcmp6 = 58, kUdpLite = 136;

struct Ip4Header {
  uint32_t tos = 0, id = 0, ttl = 0, protocol = 0, offset = 0;  // in bytes
  bool df = false, mf = false;
  std::string src, dst;

  bool fragment() const { return mf || offset != 0; }

  // For `payload` bytes behind it.
  std::string Write(size_t payload) const;
};

struct Ip6Header {
  uint32_t traffic_class = 0, hop_limit = 0, next = 0;
  std::string src, dst;
  bool has_fragment = false, mf = false;
  uint32_t id = 0, offset = 0;

  // For `payload` bytes behind it and its Fragment header.
  std::string Write(size_t payload) const;
};

// What is found walking down the headers of an IPv6 packet.
struct Chain {
  size_t length = 0;  // of everything behind the first 40 bytes
  uint32_t last = 0;  // next header there
  std::optional<size_t> segments_left;  // where a nonzero one is
  bool has_fragment = false, mf = false;
  uint32_t id = 0, offset = 0;
  std::string trouble;

  bool whole() const { return !mf && offset == 0; }
};

Chain Walk(absl::string_view packet);

Ip4Header Read4(absl::string_view in);

// The sum of a pseudo header; of ICMPv4 there is none.
uint32_t Pseudo(absl::string_view src, absl::string_view dst, uint32_t protocol,
                size_t length);

// Where a transport has its checksum, if it has one over a pseudo header.
std::optional<size_t> ChecksumPlace(uint32_t protocol);

// `after` is `before` but for fields that the checksum covers, or a shorter or
// longer message. Its checksum is made to be as right or wrong as it was.
void CarryChecksum(absl::string_view before, uint32_t pseudo_before,
                   std::string& after, uint32_t pseudo_after,
                   uint32_t protocol);

bool IsError4(uint32_t type);

// RFC 4884: pads and joins original datagram and extensions for a message that
// has `room` bytes behind its header and counts in units of `unit`. Returns the
// length attribute.
uint32_t JoinExtensions(std::string& original, std::string extensions,
                        uint32_t unit, size_t room);

}  // namespace netpolicy::clat::testing

#endif  // NETPOLICY_CLAT_TESTING_REFERENCE_HEADERS_H_
