// SPDX-License-Identifier: Apache-2.0
//
// What InterfaceMeter tells of an interface.

#ifndef NETPOLICY_LIBPOLICY_TRAFFIC_INTERFACE_TRAFFIC_H_
#define NETPOLICY_LIBPOLICY_TRAFFIC_INTERFACE_TRAFFIC_H_

#include <cstdint>
#include <string>

#include "absl/types/optional.h"
#include "libpolicy/engine/policy_interface.h"
#include "libpolicy/kernel/tc_link.h"
#include "libpolicy/model/ids.h"

namespace netpolicy {

struct InterfaceTraffic {
  IfIndex ifindex{};
  std::string name;  // empty: the interface is gone; what it counted is not
  // Unset: somebody has taken the programs away, or the interface is gone.
  // Watch() puts them back.
  absl::optional<TcMethod> method;
  TrafficCounters rx;
  TrafficCounters tx;
  // Super-packets counted as one packet each, as their headers were not
  // understood or were a tunnel's.
  uint64_t unparsable = 0;
};

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_TRAFFIC_INTERFACE_TRAFFIC_H_
