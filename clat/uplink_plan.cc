// SPDX-License-Identifier: Apache-2.0

#include "clat/uplink_plan.h"

#include <algorithm>
#include <utility>

namespace netpolicy::clat {
namespace {

struct ReasonWords {
  OffReason reason;
  absl::string_view name;
  absl::string_view text;
};

constexpr ReasonWords kReasons[] = {
    {OffReason::kNoInterface, "no_interface", "there is no such interface"},
    {OffReason::kNoCarrier, "no_carrier", "the link is down"},
    {OffReason::kNoIpv6Router, "no_ipv6_router",
     "there is no IPv6 default route"},
    {OffReason::kNoIpv6Network, "no_ipv6_network",
     "the link has no IPv6 network to take an address of"},
    {OffReason::kNativeIpv4, "native_ipv4", "the link has IPv4 itself"},
    {OffReason::kNoPrefix, "no_prefix", "no NAT64 prefix is known"},
    {OffReason::kNoFreeAddress, "no_free_address",
     "all of 192.0.0.0/29 are taken"},
    {OffReason::kDetectingDuplicates, "detecting_duplicates",
     "waiting whether somebody has the IPv6 address"},
    {OffReason::kFailed, "failed", "it could not be set up"},
    {OffReason::kStopped, "stopped", "it was told to"},
};

// Global unicast addresses before others, which a NAT64 may not serve (ULA).
int Rank(const InterfaceAddress6& address) {
  const bool global = (address.address.bytes[0] & 0xe0) == 0x20;
  const bool preferred = address.state == InterfaceAddress6::State::kPreferred;
  return (preferred ? 0 : 2) + (global ? 0 : 1);
}

// Networks of the link, the best first. Addresses of translation themselves are
// alone in theirs.
std::vector<Ipv6Prefix> NetworksOf(const NetworkState& network,
                                   IfIndex ifindex) {
  std::vector<const InterfaceAddress6*> addresses;
  for (const InterfaceAddress6& address : network.addresses6) {
    using State = InterfaceAddress6::State;
    if (address.ifindex == ifindex && address.prefix_length <= 64 &&
        (address.state == State::kPreferred ||
         address.state == State::kDeprecated)) {
      addresses.push_back(&address);
    }
  }
  std::stable_sort(
      addresses.begin(), addresses.end(),
      [](const auto* a, const auto* b) { return Rank(*a) < Rank(*b); });
  std::vector<Ipv6Prefix> networks;
  for (const InterfaceAddress6* address : addresses) {
    networks.push_back(NetworkOf(address->address));
  }
  return networks;
}

bool HasNativeIpv4(const NetworkState& network, IfIndex ifindex) {
  return std::any_of(network.routes4.begin(), network.routes4.end(),
                     [&](const DefaultRoute4& route) {
                       return route.ifindex == ifindex &&
                              route.protocol != kRouteProtocol;
                     });
}

std::optional<Ipv4Address> Local4(const UplinkQuestion& question) {
  if (question.settings.local4.has_value()) return question.settings.local4;
  std::set<Ipv4Address> taken = question.taken;
  if (question.now.has_value() && taken.count(question.now->pair.ip4) == 0 &&
      IsServiceContinuity(question.now->pair.ip4)) {
    return question.now->pair.ip4;
  }
  for (const InterfaceAddress4& address : question.network.addresses4) {
    taken.insert(address.address);
  }
  auto chosen = ChooseLocal4(taken);
  if (!chosen.ok()) return std::nullopt;
  return *chosen;
}

// The address that goes on, when it can.
Ipv6Address Local6(const UplinkQuestion& question,
                   const std::vector<Ipv6Prefix>& networks,
                   const Pref64& prefix, const Ipv4Address& local4) {
  if (question.now.has_value() && question.now->prefix == prefix &&
      question.now->pair.ip4 == local4) {
    const Ipv6Prefix network = NetworkOf(question.now->pair.ip6);
    if (std::find(networks.begin(), networks.end(), network) !=
        networks.end()) {
      return question.now->pair.ip6;
    }
  }
  return MakeLocal6(networks.front(),
                    StableInterfaceId(question.secret, networks.front(),
                                      question.interface, question.attempt),
                    prefix, local4);
}

}  // namespace

absl::string_view OffReasonName(OffReason reason) {
  for (const ReasonWords& words : kReasons) {
    if (words.reason == reason) return words.name;
  }
  return "unknown";
}

absl::string_view OffReasonText(OffReason reason) {
  for (const ReasonWords& words : kReasons) {
    if (words.reason == reason) return words.text;
  }
  return "unknown";
}

absl::variant<UplinkPlan, OffReason> PlanUplink(
    const UplinkQuestion& question) {
  const Link* link = question.network.FindLink(question.interface);
  if (link == nullptr) return OffReason::kNoInterface;
  if (link->carrier == Presence::kAbsent) return OffReason::kNoCarrier;
  const DefaultRoute6* route6 = question.network.BestRoute6(link->ifindex);
  // On Ethernet somebody has to be asked for the way.
  if (route6 == nullptr ||
      (link->type == LinkType::kEthernet && !route6->via.has_value())) {
    return OffReason::kNoIpv6Router;
  }
  const UplinkSettings& settings = question.settings;
  if (settings.native4 == NativeIpv4::kTurnsOff &&
      HasNativeIpv4(question.network, link->ifindex)) {
    return OffReason::kNativeIpv4;
  }
  const std::vector<Ipv6Prefix> networks =
      settings.network6.has_value()
          ? std::vector<Ipv6Prefix>{*settings.network6}
          : NetworksOf(question.network, link->ifindex);
  if (networks.empty()) return OffReason::kNoIpv6Network;
  if (!settings.prefix.has_value() && !question.known.has_value()) {
    return OffReason::kNoPrefix;
  }
  const Pref64 prefix =
      settings.prefix.has_value() ? *settings.prefix : question.known->prefix;
  const std::optional<Ipv4Address> local4 = Local4(question);
  if (!local4.has_value()) return OffReason::kNoFreeAddress;

  UplinkPlan plan{.config = {.prefix = prefix}};
  plan.ifindex = link->ifindex;
  plan.link = link->type;
  plan.config.pairs = {{*local4, Local6(question, networks, prefix, *local4)}};
  plan.config.mappings = settings.mappings;
  plan.config.mtu6 = std::max(link->mtu6, 1280U);
  plan.place = settings.network6.has_value() ? Local6Place::kRouted
                                             : Local6Place::kOnLink;
  plan.route = {
      .ifindex = link->ifindex,
      .metric = kMetricBase + std::min(route6->metric, kMetricBase - 1),
      .protocol = kRouteProtocol,
      .via6 = route6->via,
      .source = *local4,
      .mtu = plan.config.mtu6 - kGrowth};
  plan.source = settings.prefix.has_value() ? PrefixSource::kConfigured
                                            : question.known->source;
  return plan;
}

}  // namespace netpolicy::clat
