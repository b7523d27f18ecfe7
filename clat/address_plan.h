// SPDX-License-Identifier: Apache-2.0
//
// Which addresses a translation has.
//
//   NP_ASSIGN_OR_RETURN(Ipv4Address local4, ChooseLocal4(taken));
//   Ipv6Address local6 = MakeLocal6(network, seed, prefix, local4);
//
// No system call, no clock, no randomness but what is given.

#ifndef NETPOLICY_CLAT_ADDRESS_PLAN_H_
#define NETPOLICY_CLAT_ADDRESS_PLAN_H_

#include <array>
#include <cstdint>
#include <set>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "clat/address.h"
#include "clat/prefix.h"

namespace netpolicy::clat {

// 192.0.0.0/29 (RFC 7335): the addresses for IPv4 ends of translations, which
// mean nothing outside of this host.
bool IsServiceContinuity(const Ipv4Address& address);

// The first of 192.0.0.1 to 192.0.0.7 that is not taken. Errors:
// kResourceExhausted.
absl::StatusOr<Ipv4Address> ChooseLocal4(const std::set<Ipv4Address>& taken);

// What only this host knows, for addresses that are always the same in one
// network and can't be guessed.
using SecretKey = std::array<uint8_t, 16>;

// A pseudo-random number from a key (SipHash-2-4).
uint64_t KeyedHash(const SecretKey& key, absl::string_view bytes);

// An interface identifier for translation in this network (RFC 7217): the same
// for the same secret, network, interface and attempt. Each address that was
// found to be taken asks for the next attempt.
uint64_t StableInterfaceId(const SecretKey& secret, const Ipv6Prefix& network,
                           absl::string_view interface_name, uint32_t attempt);

// Identifiers that stand for something (RFC 5453): those of anycast addresses,
// and of proxies.
bool IsReservedInterfaceId(uint64_t interface_id);

// An address in a /64 whose last 16 bits are such that translating leaves the
// transport checksums as they are: its sum and the prefix's are that of
// `local4`. That can only be for prefixes of 32 and 96 bits: with the others,
// the octet of bits 64 to 71 splits the IPv4 address at an odd place, so that
// its sum depends on the address; they work as well, at the price of two
// updates of the checksum. The upper 48 bits of `interface_id` are kept, but
// for a bit where the identifier would be a reserved one.
Ipv6Address MakeLocal6(const Ipv6Prefix& network, uint64_t interface_id,
                       const Pref64& prefix, const Ipv4Address& local4);

// The first 64 bits.
Ipv6Prefix NetworkOf(const Ipv6Address& address);

}  // namespace netpolicy::clat

#endif  // NETPOLICY_CLAT_ADDRESS_PLAN_H_
