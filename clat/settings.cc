// SPDX-License-Identifier: Apache-2.0

#include "clat/settings.h"

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"

namespace netpolicy::clat {

absl::StatusOr<PrefixPair> ParsePrefixPair(absl::string_view text) {
  const size_t sign = text.find('=');
  if (sign == absl::string_view::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("parse mapping \"", text, "\": not IPv4=IPv6"));
  }
  PrefixPair pair;
  NP_ASSIGN_OR_RETURN(pair.ip4, Ipv4Prefix::Parse(text.substr(0, sign)));
  NP_ASSIGN_OR_RETURN(pair.ip6, Ipv6Prefix::Parse(text.substr(sign + 1)));
  return pair;
}

std::string ToString(const PrefixPair& pair) {
  return absl::StrCat(pair.ip4.ToString(), "=", pair.ip6.ToString());
}

absl::Status CheckSettings(const UplinkSettings& settings) {
  if (settings.network6.has_value() && settings.network6->length != 64) {
    return absl::InvalidArgumentError(
        absl::StrCat("start translation: network ",
                     settings.network6->ToString(), " is no /64"));
  }
  for (const PrefixPair& pair : settings.mappings) {
    if (32 - pair.ip4.length > 128 - pair.ip6.length) {
      return absl::InvalidArgumentError(
          absl::StrCat("start translation: mapping ", ToString(pair),
                       ": the IPv6 suffix is shorter than the IPv4 suffix"));
    }
  }
  return absl::OkStatus();
}

}  // namespace netpolicy::clat
