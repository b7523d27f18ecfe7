#ifndef NETPOLICY_LIBPOLICY_MODEL_IP_PREFIX_H_
#define NETPOLICY_LIBPOLICY_MODEL_IP_PREFIX_H_

#include <array>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// Addresses as the tables have them: 16 bytes, IPv4 as ::ffff:a.b.c.d.

namespace netpolicy {

using AddressBytes = std::array<uint8_t, 16>;

// ::ffff:a.b.c.d, in network byte order.
AddressBytes MappedAddress(const std::array<uint8_t, 4>& ipv4);

// Whether it is one of these.
bool IsIpv4(const AddressBytes& address);

// 127.0.0.0/8 and ::1.
bool IsLoopback(const AddressBytes& address);

// Which addresses a prefix can hold.
enum class IpFamily : uint8_t {
  kAny,   // every address there is; the length is 0
  kIpv4,  // "10.0.0.0/8"; the length counts from the start of the 16 bytes: 104
  kIpv6,  // "2001:db8::/32"; "::/0" is all IPv6 and no IPv4
};

// A set of addresses that begin alike. Default-constructed: all of both
// families. Bits beyond the length are 0.
struct IpPrefix {
  IpFamily family = IpFamily::kAny;
  uint8_t length = 0;  // 0 to 128
  AddressBytes address{};

  friend bool operator==(const IpPrefix&, const IpPrefix&) = default;
};

// Whether a packet's address is in it.
bool Contains(const IpPrefix& prefix, const AddressBytes& address);

// "10.0.0.0/8", "2001:db8::/32"; one address needs no length. Errors:
// kInvalidArgument for anything else, for bits beyond the length, and for IPv4
// written as IPv6.
absl::StatusOr<IpPrefix> ParseIpPrefix(absl::string_view text);

// "10.8.0.2" or "2001:db8::1". Errors: as ParseIpPrefix().
absl::StatusOr<AddressBytes> ParseAddress(absl::string_view text);

// The shortest text that is parsed to the same: without the length if it is one
// address; "any" for kAny, which is no text of a prefix.
std::string IpPrefixText(const IpPrefix& prefix);
std::string AddressText(const AddressBytes& address);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_MODEL_IP_PREFIX_H_
