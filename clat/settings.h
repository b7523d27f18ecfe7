// SPDX-License-Identifier: Apache-2.0
//
// What can be asked for of an uplink, as plain values with a text form.

#ifndef NETPOLICY_CLAT_SETTINGS_H_
#define NETPOLICY_CLAT_SETTINGS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "clat/address.h"
#include "clat/prefix.h"
#include "clat/translator_config.h"

namespace netpolicy::clat {

// What an IPv4 default route of somebody else's on the uplink does.
enum class NativeIpv4 : uint8_t { kTurnsOff, kIsIgnored };

// All that is not given is found out.
struct UplinkSettings {
  std::optional<Pref64> prefix = {};
  std::optional<Ipv4Address> local4 = {};
  // A /64 that is routed to this host, of which translation may take any
  // address (RFC 6877, 6.3).
  std::optional<Ipv6Prefix> network6 = {};
  // For hosts behind this one that have addresses of their own (RFC 7757).
  std::vector<PrefixPair> mappings = {};
  NativeIpv4 native4 = NativeIpv4::kTurnsOff;

  bool operator==(const UplinkSettings&) const = default;
};

// "10.9.0.0/24=2001:db8:9::/120". Errors: kInvalidArgument.
absl::StatusOr<PrefixPair> ParsePrefixPair(absl::string_view text);
std::string ToString(const PrefixPair& pair);

// Errors: kInvalidArgument when the settings contradict themselves.
absl::Status CheckSettings(const UplinkSettings& settings);

}  // namespace netpolicy::clat

#endif  // NETPOLICY_CLAT_SETTINGS_H_
