// SPDX-License-Identifier: Apache-2.0
//
// Prefixes in which IPv4 addresses are embedded (RFC 6052), also called PREF64.
//
//   NP_ASSIGN_OR_RETURN(Pref64 prefix, Pref64::Parse("64:ff9b::/96"));
//   prefix.Embed(*Ipv4Address::Parse("192.0.2.33"));  // 64:ff9b::c000:221
//
// The same rules that the BPF program compiles (bpf_progs/lib/clat_address.h).

#ifndef NETPOLICY_CLAT_PREFIX_H_
#define NETPOLICY_CLAT_PREFIX_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "clat/address.h"

namespace netpolicy::clat {

class Pref64 {
 public:
  // Errors: kInvalidArgument when the length is not one of 32, 40, 48, 56, 64
  // and 96, when bits 64 to 71 are not 0 (RFC 6052, 2.2), or when the prefix is
  // not one of unicast addresses.
  static absl::StatusOr<Pref64> Create(const Ipv6Prefix& prefix);
  static absl::StatusOr<Pref64> Parse(absl::string_view text);

  const Ipv6Prefix& prefix() const { return prefix_; }
  std::string ToString() const { return prefix_.ToString(); }

  // Whether it is 64:ff9b::/96, which must not hold private addresses (3.1).
  bool IsWellKnown() const;

  Ipv6Address Embed(const Ipv4Address& address) const;
  // Nothing when `address` is not in the prefix, or its octet of bits 64 to 71
  // or its suffix are not 0.
  std::optional<Ipv4Address> Extract(const Ipv6Address& address) const;

  auto operator<=>(const Pref64&) const = default;

 private:
  explicit Pref64(const Ipv6Prefix& prefix) : prefix_(prefix) {}

  Ipv6Prefix prefix_;
};

}  // namespace netpolicy::clat

#endif  // NETPOLICY_CLAT_PREFIX_H_
