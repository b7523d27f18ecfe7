// SPDX-License-Identifier: Apache-2.0
//
// Whether an uplink is to translate, and how. Pure: the network, what is known
// of prefixes, and what was asked for go in; a plan or a reason comes out.

#ifndef NETPOLICY_CLAT_UPLINK_PLAN_H_
#define NETPOLICY_CLAT_UPLINK_PLAN_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/variant.h"
#include "clat/address.h"
#include "clat/address_plan.h"
#include "clat/network.h"
#include "clat/prefix_table.h"
#include "clat/settings.h"
#include "clat/translator_config.h"

namespace netpolicy::clat {

// Why an uplink does not translate.
enum class OffReason : uint8_t {
  kNoInterface,
  kNoCarrier,
  kNoIpv6Router,   // no IPv6 default route
  kNoIpv6Network,  // no address of which a /64 can be had
  kNativeIpv4,
  kNoPrefix,
  kNoFreeAddress,
  kDetectingDuplicates,  // for a second or two
  kFailed,               // the kernel refused something
  kStopped,              // until it is started again
};

// "native_ipv4": for machines and logs.
absl::string_view OffReasonName(OffReason reason);
// "the link has IPv4": for people.
absl::string_view OffReasonText(OffReason reason);

// The addresses of a translation; what of them goes on is kept when plans
// change.
struct Identity {
  Pref64 prefix;
  AddressPair pair;

  bool operator==(const Identity&) const = default;
};

// Whether the IPv6 address is one of the link's, which has to be defended and
// answered for, or in a network that is routed to us.
enum class Local6Place : uint8_t { kOnLink, kRouted };

struct UplinkPlan {
  IfIndex ifindex{};
  LinkType link = LinkType::kEthernet;
  TranslatorConfig config;
  Local6Place place = Local6Place::kOnLink;
  DefaultRoute4 route = {};
  PrefixSource source = PrefixSource::kConfigured;
};

struct UplinkQuestion {
  const NetworkState& network;
  const UplinkSettings& settings;
  absl::string_view interface;
  std::optional<KnownPrefix> known = {};
  std::optional<Identity> now = {};  // of the translation that goes on
  std::set<Ipv4Address> taken = {};  // by translations of other uplinks
  const SecretKey& secret;
  uint32_t attempt = 0;  // addresses that others turned out to have
};

// The IPv4 default routes of ours are behind any that others make; among each
// other they are in the order of the uplinks' IPv6 routes.
inline constexpr uint32_t kMetricBase = 1U << 20;

// How much longer IPv6 packets can be: 20 bytes of header, 8 of a Fragment
// header.
inline constexpr uint32_t kGrowth = 28;

absl::variant<UplinkPlan, OffReason> PlanUplink(const UplinkQuestion& question);

}  // namespace netpolicy::clat

#endif  // NETPOLICY_CLAT_UPLINK_PLAN_H_
