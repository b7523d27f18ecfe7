// SPDX-License-Identifier: Apache-2.0
//
// Interfaces to watch, for the tests of ndc.

#ifndef NETPOLICY_NETD_CLI_FAKE_INTERFACES_H_
#define NETPOLICY_NETD_CLI_FAKE_INTERFACES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "libpolicy/traffic/interface_traffic.h"
#include "netd/cli/session.h"

namespace netpolicy::cli {

// An interface of each fate; eth0 can be watched and unwatched.
inline void AddFakeInterfaces(Environment& environment) {
  environment.read_interfaces = [](const GlobalOptions&) {
    return std::vector<InterfaceTraffic>{
        {IfIndex{2},
         "eth0",
         TcMethod::kTcx,
         {.packets = 1200, .bytes = 1500000, .skbs = 40, .skb_bytes = 1450000},
         {.packets = 600, .bytes = 31200, .skbs = 600, .skb_bytes = 31200},
         0},
        {IfIndex{7}, "nk0", TcMethod::kNetkit, {}, {}, 0},
        {IfIndex{8},
         "vxlan0",
         absl::nullopt,
         {.packets = 3, .bytes = 180, .skbs = 3, .skb_bytes = 180},
         {.packets = 2, .bytes = 64000, .skbs = 2, .skb_bytes = 64000},
         2},
        {IfIndex{9}, "", absl::nullopt, {}, {}, 0}};
  };
  environment.watch_interface =
      [](const GlobalOptions&,
         const std::string& interface) -> absl::StatusOr<TcMethod> {
    if (interface == "eth0") return TcMethod::kFilter;
    return absl::NotFoundError(
        absl::StrCat("watch interface ", interface, ": no such interface"));
  };
  environment.unwatch_interface = [](const GlobalOptions&,
                                     const std::string& interface) {
    if (interface == "eth0") return absl::OkStatus();
    return absl::NotFoundError(
        absl::StrCat("unwatch interface ", interface, ": it is not watched"));
  };
}

}  // namespace netpolicy::cli

#endif  // NETPOLICY_NETD_CLI_FAKE_INTERFACES_H_
