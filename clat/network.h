// SPDX-License-Identifier: Apache-2.0
//
// The network as the kernel has it: what deciding about translation needs to
// know of it, and what setting up translation changes in it.
//
//   NP_ASSIGN_OR_RETURN(NetworkState state, ReadNetwork(socket));
//   const Link* uplink = state.FindLink("wwan0");
//
// All of it is that of one network namespace: the socket's.

#ifndef NETPOLICY_CLAT_NETWORK_H_
#define NETPOLICY_CLAT_NETWORK_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "clat/address.h"
#include "clat/translator_object.h"
#include "libpolicy/kernel/netlink.h"
#include "libpolicy/model/ids.h"

namespace netpolicy::clat {

// What marks routes as ours (rtm_protocol; /etc/iproute2/rt_protos has no name
// for it).
inline constexpr uint8_t kRouteProtocol = 46;

enum class Presence : uint8_t { kAbsent, kPresent };

struct Link {
  IfIndex ifindex{};
  std::string name;
  Presence carrier = Presence::kAbsent;  // up, and with a peer
  Presence loopback = Presence::kAbsent;
  LinkType type = LinkType::kEthernet;
  // Of packets, in bytes. The second is what routers advertised, or the first.
  uint32_t mtu = 0;
  uint32_t mtu6 = 0;
};

struct InterfaceAddress4 {
  IfIndex ifindex{};
  Ipv4Address address;
  int prefix_length = 32;
};

struct InterfaceAddress6 {
  enum class State : uint8_t {
    kTentative,   // duplicate address detection goes on
    kDuplicate,   // somebody else has it
    kDeprecated,  // not for new connections
    kPreferred,
  };
  IfIndex ifindex{};
  Ipv6Address address;
  int prefix_length = 128;
  State state = State::kPreferred;
  Presence temporary = Presence::kAbsent;  // RFC 8981
};

// A default route of the main table.
struct DefaultRoute4 {
  IfIndex ifindex{};
  uint32_t metric = 0;
  uint8_t protocol = 0;                  // kRouteProtocol: ours
  std::optional<Ipv6Address> via6 = {};  // of ours
  std::optional<Ipv4Address> source = {};
  uint32_t mtu = 0;  // 0: the link's
};

struct DefaultRoute6 {
  IfIndex ifindex{};
  uint32_t metric = 0;
  std::optional<Ipv6Address> via = {};  // nothing: directly on the link
};

struct NetworkState {
  std::vector<Link> links;
  std::vector<InterfaceAddress4> addresses4;
  std::vector<InterfaceAddress6> addresses6;
  std::vector<DefaultRoute4> routes4;
  std::vector<DefaultRoute6> routes6;

  // Nothing when there is none. Valid as long as `links` doesn't change.
  const Link* FindLink(IfIndex ifindex) const;
  const Link* FindLink(absl::string_view name) const;
  const InterfaceAddress6* FindAddress(IfIndex ifindex,
                                       const Ipv6Address& address) const;
  // Of several the one that the kernel would take.
  const DefaultRoute6* BestRoute6(IfIndex ifindex) const;
};

// Parts of messages that make up a state; for tests and fuzzing. What is not of
// the kinds above is ignored.
void AddToState(const NetlinkMessage& message, NetworkState& state);

// Reads all of it. The parts are read one after the other: a change meanwhile
// can be in one and not in the next, but a monitor that was opened before
// reports it.
absl::StatusOr<NetworkState> ReadNetwork(NetlinkSocket& socket);

// A monitor that hears of whatever ReadNetwork() reads, and of the options in
// router advertisements that are for user space (RTM_NEWNDUSEROPT).
absl::StatusOr<NetlinkMonitor> MonitorNetwork();

// Each is OK when the kernel is in that state already.
absl::Status AddAddress4(NetlinkSocket& socket, IfIndex ifindex,
                         const Ipv4Address& address);
absl::Status RemoveAddress4(NetlinkSocket& socket, IfIndex ifindex,
                            const Ipv4Address& address);

// An address that the kernel defends (duplicate address detection, answers to
// neighbour solicitations), but takes for no connection of its own: deprecated
// from the start, and without a route to a network.
absl::Status AddAddress6(NetlinkSocket& socket, IfIndex ifindex,
                         const Ipv6Address& address);
absl::Status RemoveAddress6(NetlinkSocket& socket, IfIndex ifindex,
                            const Ipv6Address& address);

// Replaces a default route of ours that has this metric.
absl::Status SetDefaultRoute4(NetlinkSocket& socket,
                              const DefaultRoute4& route);
absl::Status RemoveDefaultRoute4(NetlinkSocket& socket,
                                 const DefaultRoute4& route);

}  // namespace netpolicy::clat

#endif  // NETPOLICY_CLAT_NETWORK_H_
