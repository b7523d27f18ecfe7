// SPDX-License-Identifier: Apache-2.0
//
// IPv4 and IPv6 addresses as values, in wire order.
//
//   NP_ASSIGN_OR_RETURN(Ipv4Address a, Ipv4Address::Parse("192.0.0.4"));
//   a.ToString();  // "192.0.0.4"

#ifndef NETPOLICY_CLAT_ADDRESS_H_
#define NETPOLICY_CLAT_ADDRESS_H_

#include <array>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace netpolicy::clat {

struct Ipv4Address {
  std::array<uint8_t, 4> bytes{};

  // Dotted quad only. Errors: kInvalidArgument `parse IPv4 address "x": ...`.
  static absl::StatusOr<Ipv4Address> Parse(absl::string_view text);
  std::string ToString() const;

  // As a number whose upper byte is the first of the address.
  uint32_t ToInt() const;
  static Ipv4Address FromInt(uint32_t number);

  auto operator<=>(const Ipv4Address&) const = default;
};

struct Ipv6Address {
  std::array<uint8_t, 16> bytes{};

  // What inet_pton(3) takes; no zone. Errors: kInvalidArgument.
  static absl::StatusOr<Ipv6Address> Parse(absl::string_view text);
  std::string ToString() const;

  // Bit 0 is the first on the wire. 0 <= bit < 128.
  bool Bit(int bit) const;

  auto operator<=>(const Ipv6Address&) const = default;
};

// An address and how many of its first bits count; the others are 0.
struct Ipv4Prefix {
  Ipv4Address address;
  int length = 32;  // 0 to 32

  // "192.0.2.0/24"; an address alone is a /32. Errors: kInvalidArgument, also
  // when bits behind the length are set.
  static absl::StatusOr<Ipv4Prefix> Parse(absl::string_view text);
  std::string ToString() const;

  auto operator<=>(const Ipv4Prefix&) const = default;
};

struct Ipv6Prefix {
  Ipv6Address address;
  int length = 128;  // 0 to 128

  // "2001:db8::/64"; an address alone is a /128. Errors as above.
  static absl::StatusOr<Ipv6Prefix> Parse(absl::string_view text);
  std::string ToString() const;

  auto operator<=>(const Ipv6Prefix&) const = default;
};

}  // namespace netpolicy::clat

#endif  // NETPOLICY_CLAT_ADDRESS_H_
