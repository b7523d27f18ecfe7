// SPDX-License-Identifier: Apache-2.0

#include "clat/prefix.h"

#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "bpf_progs/lib/clat_address.h"
#include "libpolicy/base/status_macros.h"

namespace netpolicy::clat {
namespace {

np_in6 ToWire(const Ipv6Address& address) {
  np_in6 wire;
  static_assert(sizeof(wire) == sizeof(address.bytes));
  std::memcpy(&wire, address.bytes.data(), sizeof(wire));
  return wire;
}

absl::Status Refuse(const Ipv6Prefix& prefix, absl::string_view cause) {
  return absl::InvalidArgumentError(
      absl::StrCat("use NAT64 prefix ", prefix.ToString(), ": ", cause));
}

}  // namespace

absl::StatusOr<Pref64> Pref64::Create(const Ipv6Prefix& prefix) {
  switch (prefix.length) {
    case 32:
    case 40:
    case 48:
    case 56:
    case 64:
    case 96:
      break;
    default:
      return Refuse(prefix, "length is not 32, 40, 48, 56, 64 or 96");
  }
  if (prefix.address.bytes[8] != 0) {
    return Refuse(prefix, "bits 64 to 71 are not zero");
  }
  if (prefix.address.bytes[0] == 0xff) return Refuse(prefix, "multicast");
  if (prefix.address.bytes[0] == 0xfe &&
      (prefix.address.bytes[1] & 0xc0) == 0x80) {
    return Refuse(prefix, "link-local");
  }
  if (prefix.address == Ipv6Address{}) return Refuse(prefix, "all zero");
  return Pref64(prefix);
}

absl::StatusOr<Pref64> Pref64::Parse(absl::string_view text) {
  NP_ASSIGN_OR_RETURN(Ipv6Prefix prefix, Ipv6Prefix::Parse(text));
  return Create(prefix);
}

bool Pref64::IsWellKnown() const {
  return prefix_.length == 96 &&
         prefix_.address == Ipv6Address{{0x00, 0x64, 0xff, 0x9b}};
}

Ipv6Address Pref64::Embed(const Ipv4Address& address) const {
  const np_in6 prefix = ToWire(prefix_.address);
  np_in6 out;
  np_embed(&prefix, static_cast<__u32>(prefix_.length),
           NP_WIRE32(address.ToInt()), &out);
  Ipv6Address result;
  std::memcpy(result.bytes.data(), &out, sizeof(out));
  return result;
}

std::optional<Ipv4Address> Pref64::Extract(const Ipv6Address& address) const {
  const np_in6 prefix = ToWire(prefix_.address);
  const np_in6 in = ToWire(address);
  __be32 out = 0;
  if (!np_extract(&prefix, static_cast<__u32>(prefix_.length), &in, &out)) {
    return std::nullopt;
  }
  return Ipv4Address::FromInt(NP_WIRE32(out));
}

}  // namespace netpolicy::clat
