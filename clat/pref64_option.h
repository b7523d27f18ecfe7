// SPDX-License-Identifier: Apache-2.0
//
// NAT64 prefixes in what routers advertise (RFC 8781) and in what DNS64 servers
// answer (RFC 7050). Pure functions over bytes from the network: whatever they
// are, nothing is read beyond them.

#ifndef NETPOLICY_CLAT_PREF64_OPTION_H_
#define NETPOLICY_CLAT_PREF64_OPTION_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "clat/address.h"
#include "clat/prefix.h"

namespace netpolicy::clat {

// A prefix, and how long it may be used from now on. 0: no longer.
struct Pref64Notice {
  Pref64 prefix;
  absl::Duration lifetime;

  bool operator==(const Pref64Notice&) const = default;
};

// The PREF64 options among options of neighbour discovery (RFC 4861, 4.6), in
// their order. Those with a length or a prefix that doesn't exist are left out,
// as RFC 8781, 4, demands; what is broken ends the list.
std::vector<Pref64Notice> ParsePref64Options(absl::string_view options);

// Those of a router advertisement, beginning with its ICMPv6 type. Errors:
// kInvalidArgument when it is none.
absl::StatusOr<std::vector<Pref64Notice>> ParseRouterAdvertisement(
    absl::string_view message);

// The prefixes that a DNS64 server used for ipv4only.arpa, given the addresses
// it answered (RFC 7050, 3), in their order, each once. An address counts when
// exactly one of 192.0.0.170 and .171 is in it at exactly one of the places
// where RFC 6052 has IPv4 addresses.
std::vector<Pref64> FindPref64s(const std::vector<Ipv6Address>& addresses);

}  // namespace netpolicy::clat

#endif  // NETPOLICY_CLAT_PREF64_OPTION_H_
