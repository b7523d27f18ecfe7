// SPDX-License-Identifier: Apache-2.0
//
// What there is to say about translation, as plain values; who asks need not
// have the controller in its process.

#ifndef NETPOLICY_CLAT_STATUS_H_
#define NETPOLICY_CLAT_STATUS_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "bpf_progs/abi/clat.h"
#include "clat/address.h"
#include "clat/prefix.h"
#include "clat/translator_config.h"

namespace netpolicy::clat {

// A prefix that somebody told, whether it is used or not.
struct DiscoveredPrefix {
  Pref64 prefix;
  std::string source;                 // PrefixSourceName()
  std::optional<Ipv6Address> router;  // who told
  absl::Duration lifetime;            // from now on
};

struct UplinkStatus {
  struct Translation {
    Pref64 prefix;
    std::string source = {};  // PrefixSourceName()
    AddressPair pair = {};
    std::vector<PrefixPair> mappings = {};
    std::optional<Ipv6Address> router = {};  // where IPv4 packets go
    uint32_t mtu4 = 0;                       // of the IPv4 route
    std::string method = {};                 // "tcx", "filter"
    np_clat_counters counters{};
  };
  std::string interface;
  uint32_t ifindex = 0;                         // 0: there is none now
  std::string origin;                           // "automatic", "asked"
  std::optional<Translation> translation = {};  // nothing: it is off
  // Why it is off (clat/uplink_plan.h), or not yet as it is going to be;
  // "" when all is as it should be.
  std::string off_reason = {};
  std::string detail = {};  // the same for people
  std::vector<DiscoveredPrefix> prefixes = {};
};

}  // namespace netpolicy::clat

#endif  // NETPOLICY_CLAT_STATUS_H_
