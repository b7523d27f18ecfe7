// SPDX-License-Identifier: Apache-2.0

#include "clat/address.h"

#include <arpa/inet.h>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "libpolicy/base/status_macros.h"

namespace netpolicy::clat {
namespace {

absl::Status Wrong(absl::string_view kind, absl::string_view text,
                   absl::string_view cause) {
  return absl::InvalidArgumentError(
      absl::StrCat("parse ", kind, " \"", text, "\": ", cause));
}

template <typename Address>
bool AnyBitBehind(const Address& address, int length) {
  for (int bit = length; bit < static_cast<int>(address.bytes.size()) * 8;
       ++bit) {
    if (address.bytes[bit / 8] & (0x80 >> (bit % 8))) return true;
  }
  return false;
}

template <typename Prefix, typename Address>
absl::StatusOr<Prefix> ParsePrefix(absl::string_view text,
                                   absl::string_view kind) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '/');
  if (parts.size() > 2) return Wrong(kind, text, "more than one \"/\"");
  Prefix prefix;
  NP_ASSIGN_OR_RETURN(prefix.address, Address::Parse(parts[0]));
  const int bits = static_cast<int>(prefix.address.bytes.size()) * 8;
  prefix.length = bits;
  if (parts.size() == 2 && (!absl::SimpleAtoi(parts[1], &prefix.length) ||
                            prefix.length < 0 || prefix.length > bits)) {
    return Wrong(kind, text, absl::StrCat("length is not 0 to ", bits));
  }
  if (AnyBitBehind(prefix.address, prefix.length)) {
    return Wrong(kind, text, "bits behind the length are set");
  }
  return prefix;
}

}  // namespace

absl::StatusOr<Ipv4Address> Ipv4Address::Parse(absl::string_view text) {
  Ipv4Address address;
  if (inet_pton(AF_INET, std::string(text).c_str(), address.bytes.data()) !=
      1) {
    return Wrong("IPv4 address", text, "not four numbers from 0 to 255");
  }
  return address;
}

std::string Ipv4Address::ToString() const {
  return absl::StrCat(bytes[0], ".", bytes[1], ".", bytes[2], ".", bytes[3]);
}

uint32_t Ipv4Address::ToInt() const {
  return static_cast<uint32_t>(bytes[0]) << 24 |
         static_cast<uint32_t>(bytes[1]) << 16 |
         static_cast<uint32_t>(bytes[2]) << 8 | bytes[3];
}

Ipv4Address Ipv4Address::FromInt(uint32_t number) {
  return {{static_cast<uint8_t>(number >> 24),
           static_cast<uint8_t>(number >> 16),
           static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number)}};
}

absl::StatusOr<Ipv6Address> Ipv6Address::Parse(absl::string_view text) {
  Ipv6Address address;
  if (inet_pton(AF_INET6, std::string(text).c_str(), address.bytes.data()) !=
      1) {
    return Wrong("IPv6 address", text, "not an IPv6 address");
  }
  return address;
}

std::string Ipv6Address::ToString() const {
  char text[INET6_ADDRSTRLEN];
  return inet_ntop(AF_INET6, bytes.data(), text, sizeof(text));
}

bool Ipv6Address::Bit(int bit) const {
  return bytes[bit / 8] & (0x80 >> (bit % 8));
}

absl::StatusOr<Ipv4Prefix> Ipv4Prefix::Parse(absl::string_view text) {
  return ParsePrefix<Ipv4Prefix, Ipv4Address>(text, "IPv4 prefix");
}

std::string Ipv4Prefix::ToString() const {
  return absl::StrCat(address.ToString(), "/", length);
}

absl::StatusOr<Ipv6Prefix> Ipv6Prefix::Parse(absl::string_view text) {
  return ParsePrefix<Ipv6Prefix, Ipv6Address>(text, "IPv6 prefix");
}

std::string Ipv6Prefix::ToString() const {
  return absl::StrCat(address.ToString(), "/", length);
}

}  // namespace netpolicy::clat
