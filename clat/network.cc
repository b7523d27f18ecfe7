// SPDX-License-Identifier: Apache-2.0

#include "clat/network.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/ipv6.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"

namespace netpolicy::clat {
namespace {

template <typename Address>
std::optional<Address> ReadAddress(std::optional<absl::string_view> bytes) {
  Address address;
  if (!bytes.has_value() || bytes->size() != address.bytes.size()) {
    return std::nullopt;
  }
  std::memcpy(address.bytes.data(), bytes->data(), bytes->size());
  return address;
}

template <typename Address>
absl::string_view Bytes(const Address& address) {
  return {reinterpret_cast<const char*>(address.bytes.data()),
          address.bytes.size()};
}

// What the routers on the link said, or its own; from IFLA_AF_SPEC.
uint32_t ReadMtu6(const NetlinkAttributes& link, uint32_t mtu) {
  const std::optional<absl::string_view> values =
      link.FindNested(IFLA_AF_SPEC).FindNested(AF_INET6).Find(IFLA_INET6_CONF);
  constexpr size_t kOffset = DEVCONF_MTU6 * sizeof(int32_t);
  if (!values.has_value() || values->size() < kOffset + sizeof(uint32_t)) {
    return mtu;
  }
  uint32_t mtu6;
  std::memcpy(&mtu6, values->data() + kOffset, sizeof(mtu6));
  return std::min(mtu6, mtu);
}

void AddLink(const NetlinkMessage& message, NetworkState& state) {
  const auto header = message.Get<ifinfomsg>();
  const NetlinkAttributes attributes(message.Attributes(sizeof(header)));
  if (header.ifi_index <= 0 || header.ifi_family != AF_UNSPEC) return;
  const uint32_t mtu = attributes.FindU32(IFLA_MTU).value_or(0);
  // IFF_LOWER_UP (<linux/if.h>, which <net/if.h> shuts out): the carrier. What
  // IFF_RUNNING says comes up to a second later (linkwatch).
  constexpr unsigned kRunning = IFF_UP | 0x10000;
  state.links.push_back(
      {.ifindex = IfIndex{static_cast<uint32_t>(header.ifi_index)},
       .name = attributes.FindText(IFLA_IFNAME),
       .carrier = (header.ifi_flags & kRunning) == kRunning ? Presence::kPresent
                                                            : Presence::kAbsent,
       .loopback = (header.ifi_flags & IFF_LOOPBACK) != 0 ? Presence::kPresent
                                                          : Presence::kAbsent,
       .type = header.ifi_type == ARPHRD_ETHER ? LinkType::kEthernet
                                               : LinkType::kRawIp,
       .mtu = mtu,
       .mtu6 = ReadMtu6(attributes, mtu)});
}

InterfaceAddress6::State StateOf(uint32_t flags) {
  using State = InterfaceAddress6::State;
  if ((flags & IFA_F_DADFAILED) != 0) return State::kDuplicate;
  if ((flags & IFA_F_TENTATIVE) != 0 && (flags & IFA_F_OPTIMISTIC) == 0) {
    return State::kTentative;
  }
  if ((flags & IFA_F_DEPRECATED) != 0) return State::kDeprecated;
  return State::kPreferred;
}

void AddAddress(const NetlinkMessage& message, NetworkState& state) {
  const auto header = message.Get<ifaddrmsg>();
  const NetlinkAttributes attributes(message.Attributes(sizeof(header)));
  const IfIndex ifindex{header.ifa_index};
  if (header.ifa_family == AF_INET) {
    // Of a point-to-point link IFA_ADDRESS is the peer.
    auto address = ReadAddress<Ipv4Address>(attributes.Find(IFA_LOCAL));
    if (!address.has_value()) return;
    state.addresses4.push_back({ifindex, *address, header.ifa_prefixlen});
    return;
  }
  if (header.ifa_family != AF_INET6) return;
  auto address = ReadAddress<Ipv6Address>(attributes.Find(IFA_LOCAL));
  if (!address.has_value()) {
    address = ReadAddress<Ipv6Address>(attributes.Find(IFA_ADDRESS));
  }
  if (!address.has_value()) return;
  // A link-local address is of no use outside.
  if (header.ifa_scope != RT_SCOPE_UNIVERSE) return;
  const uint32_t flags =
      attributes.FindU32(IFA_FLAGS).value_or(header.ifa_flags);
  state.addresses6.push_back({.ifindex = ifindex,
                              .address = *address,
                              .prefix_length = header.ifa_prefixlen,
                              .state = StateOf(flags),
                              .temporary = (flags & IFA_F_TEMPORARY) != 0
                                               ? Presence::kPresent
                                               : Presence::kAbsent});
}

std::optional<Ipv6Address> ReadVia6(const NetlinkAttributes& attributes) {
  const std::optional<absl::string_view> via = attributes.Find(RTA_VIA);
  sa_family_t family;
  if (!via.has_value() || via->size() <= sizeof(family)) return std::nullopt;
  std::memcpy(&family, via->data(), sizeof(family));
  if (family != AF_INET6) return std::nullopt;
  return ReadAddress<Ipv6Address>(via->substr(sizeof(family)));
}

void AddRoute(const NetlinkMessage& message, NetworkState& state) {
  const auto header = message.Get<rtmsg>();
  const NetlinkAttributes attributes(message.Attributes(sizeof(header)));
  const uint32_t table =
      attributes.FindU32(RTA_TABLE).value_or(header.rtm_table);
  if (table != RT_TABLE_MAIN || header.rtm_dst_len != 0 ||
      header.rtm_type != RTN_UNICAST ||
      (header.rtm_flags & RTM_F_CLONED) != 0) {
    return;
  }
  const uint32_t metric = attributes.FindU32(RTA_PRIORITY).value_or(0);
  struct Hop {
    IfIndex ifindex;
    NetlinkAttributes attributes;
  };
  std::vector<Hop> hops;
  if (auto oif = attributes.FindU32(RTA_OIF)) {
    hops.push_back({IfIndex{*oif}, attributes});
  }
  // Several next hops in one route.
  absl::string_view rest =
      attributes.Find(RTA_MULTIPATH).value_or(absl::string_view());
  rtnexthop hop;
  while (rest.size() >= sizeof(hop)) {
    std::memcpy(&hop, rest.data(), sizeof(hop));
    if (hop.rtnh_len < sizeof(hop) || hop.rtnh_len > rest.size()) break;
    hops.push_back({IfIndex{static_cast<uint32_t>(hop.rtnh_ifindex)},
                    NetlinkAttributes(
                        rest.substr(sizeof(hop), hop.rtnh_len - sizeof(hop)))});
    rest.remove_prefix(std::min<size_t>(rest.size(), RTNH_ALIGN(hop.rtnh_len)));
  }
  for (const Hop& one : hops) {
    if (header.rtm_family == AF_INET) {
      state.routes4.push_back(
          {.ifindex = one.ifindex,
           .metric = metric,
           .protocol = header.rtm_protocol,
           .via6 = ReadVia6(one.attributes),
           .source = ReadAddress<Ipv4Address>(attributes.Find(RTA_PREFSRC)),
           .mtu = attributes.FindNested(RTA_METRICS)
                      .FindU32(RTAX_MTU)
                      .value_or(0)});
    } else if (header.rtm_family == AF_INET6) {
      state.routes6.push_back(
          {.ifindex = one.ifindex,
           .metric = metric,
           .via = ReadAddress<Ipv6Address>(one.attributes.Find(RTA_GATEWAY))});
    }
  }
}

// An error that says that there is nothing to do.
absl::Status Settle(NetlinkSocket& socket, const NetlinkRequest& request,
                    absl::string_view operation,
                    std::initializer_list<int> fine) {
  NP_ASSIGN_OR_RETURN(NetlinkOutcome outcome, socket.Ask(request, operation));
  if (std::find(fine.begin(), fine.end(), outcome.error) != fine.end()) {
    return absl::OkStatus();
  }
  return outcome.ToStatus(operation);
}

template <typename Address>
NetlinkRequest AddressRequest(uint16_t type, uint16_t flags, uint8_t family,
                              IfIndex ifindex, const Address& address) {
  ifaddrmsg header{};
  header.ifa_family = family;
  header.ifa_prefixlen = static_cast<uint8_t>(address.bytes.size() * 8);
  header.ifa_scope = RT_SCOPE_UNIVERSE;
  header.ifa_index = ToInt(ifindex);
  NetlinkRequest request(type, flags, header);
  request.Put(IFA_LOCAL, Bytes(address));
  request.Put(IFA_ADDRESS, Bytes(address));
  return request;
}

template <typename Address>
std::string Operation(absl::string_view verb, const Address& address,
                      IfIndex ifindex) {
  return absl::StrCat(verb, " address ", address.ToString(), " of interface ",
                      ToInt(ifindex));
}

NetlinkRequest RouteRequest(uint16_t type, uint16_t flags,
                            const DefaultRoute4& route) {
  rtmsg header{};
  header.rtm_family = AF_INET;
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = kRouteProtocol;
  header.rtm_scope = type == RTM_DELROUTE     ? RT_SCOPE_NOWHERE
                     : route.via6.has_value() ? RT_SCOPE_UNIVERSE
                                              : RT_SCOPE_LINK;
  header.rtm_type = RTN_UNICAST;
  NetlinkRequest request(type, flags, header);
  request.PutU32(RTA_OIF, ToInt(route.ifindex));
  request.PutU32(RTA_PRIORITY, route.metric);
  if (route.via6.has_value()) {
    const sa_family_t family = AF_INET6;
    std::string via(reinterpret_cast<const char*>(&family), sizeof(family));
    via.append(Bytes(*route.via6).data(), route.via6->bytes.size());
    request.Put(RTA_VIA, via);
  }
  if (route.source.has_value()) request.Put(RTA_PREFSRC, Bytes(*route.source));
  if (route.mtu != 0) {
    request.Nest(RTA_METRICS, [&] { request.PutU32(RTAX_MTU, route.mtu); });
  }
  return request;
}

}  // namespace

const Link* NetworkState::FindLink(IfIndex ifindex) const {
  for (const Link& link : links) {
    if (link.ifindex == ifindex) return &link;
  }
  return nullptr;
}

const Link* NetworkState::FindLink(absl::string_view name) const {
  for (const Link& link : links) {
    if (link.name == name) return &link;
  }
  return nullptr;
}

const InterfaceAddress6* NetworkState::FindAddress(
    IfIndex ifindex, const Ipv6Address& address) const {
  for (const InterfaceAddress6& one : addresses6) {
    if (one.ifindex == ifindex && one.address == address) return &one;
  }
  return nullptr;
}

const DefaultRoute6* NetworkState::BestRoute6(IfIndex ifindex) const {
  const DefaultRoute6* best = nullptr;
  for (const DefaultRoute6& route : routes6) {
    if (route.ifindex != ifindex) continue;
    if (best == nullptr || route.metric < best->metric) best = &route;
  }
  return best;
}

void AddToState(const NetlinkMessage& message, NetworkState& state) {
  switch (message.type()) {
    case RTM_NEWLINK:
      return AddLink(message, state);
    case RTM_NEWADDR:
      return AddAddress(message, state);
    case RTM_NEWROUTE:
      return AddRoute(message, state);
    default:
      return;
  }
}

absl::StatusOr<NetworkState> ReadNetwork(NetlinkSocket& socket) {
  rtmsg route4{};
  route4.rtm_family = AF_INET;
  rtmsg route6{};
  route6.rtm_family = AF_INET6;
  const std::pair<NetlinkRequest, absl::string_view> requests[] = {
      {NetlinkRequest(RTM_GETLINK, 0, ifinfomsg{}), "list interfaces"},
      {NetlinkRequest(RTM_GETADDR, 0, ifaddrmsg{}), "list addresses"},
      {NetlinkRequest(RTM_GETROUTE, 0, route4), "list IPv4 routes"},
      {NetlinkRequest(RTM_GETROUTE, 0, route6), "list IPv6 routes"}};
  NetworkState state;
  for (const auto& [request, operation] : requests) {
    NP_ASSIGN_OR_RETURN(std::vector<NetlinkMessage> messages,
                        socket.Dump(request, operation));
    for (const NetlinkMessage& message : messages) AddToState(message, state);
  }
  return state;
}

absl::StatusOr<NetlinkMonitor> MonitorNetwork() {
  return NetlinkMonitor::Open({RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR,
                               RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
                               RTNLGRP_IPV6_ROUTE, RTNLGRP_ND_USEROPT});
}

absl::Status AddAddress4(NetlinkSocket& socket, IfIndex ifindex,
                         const Ipv4Address& address) {
  return Settle(socket,
                AddressRequest(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, AF_INET,
                               ifindex, address),
                Operation("add", address, ifindex), {EEXIST});
}

absl::Status RemoveAddress4(NetlinkSocket& socket, IfIndex ifindex,
                            const Ipv4Address& address) {
  return Settle(socket,
                AddressRequest(RTM_DELADDR, 0, AF_INET, ifindex, address),
                Operation("remove", address, ifindex), {EADDRNOTAVAIL, ENODEV});
}

absl::Status AddAddress6(NetlinkSocket& socket, IfIndex ifindex,
                         const Ipv6Address& address) {
  NetlinkRequest request = AddressRequest(
      RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, AF_INET6, ifindex, address);
  request.PutU32(IFA_FLAGS, IFA_F_NOPREFIXROUTE);
  const ifa_cacheinfo lifetimes = {
      .ifa_prefered = 0, .ifa_valid = 0xffffffff, .cstamp = 0, .tstamp = 0};
  request.Put(IFA_CACHEINFO,
              {reinterpret_cast<const char*>(&lifetimes), sizeof(lifetimes)});
  return Settle(socket, request, Operation("add", address, ifindex), {EEXIST});
}

absl::Status RemoveAddress6(NetlinkSocket& socket, IfIndex ifindex,
                            const Ipv6Address& address) {
  return Settle(socket,
                AddressRequest(RTM_DELADDR, 0, AF_INET6, ifindex, address),
                Operation("remove", address, ifindex), {EADDRNOTAVAIL, ENODEV});
}

absl::Status SetDefaultRoute4(NetlinkSocket& socket,
                              const DefaultRoute4& route) {
  return socket.Transact(
      RouteRequest(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route),
      absl::StrCat("set IPv4 default route of interface ",
                   ToInt(route.ifindex)));
}

absl::Status RemoveDefaultRoute4(NetlinkSocket& socket,
                                 const DefaultRoute4& route) {
  return Settle(socket, RouteRequest(RTM_DELROUTE, 0, route),
                absl::StrCat("remove IPv4 default route of interface ",
                             ToInt(route.ifindex)),
                {ESRCH, ENODEV});
}

}  // namespace netpolicy::clat
