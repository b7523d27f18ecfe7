// SPDX-License-Identifier: Apache-2.0
//
// A router that says what a test wants it to say.

#ifndef NETPOLICY_CLAT_TESTING_FAKE_ROUTER_H_
#define NETPOLICY_CLAT_TESTING_FAKE_ROUTER_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "clat/prefix.h"
#include "libpolicy/testing/net_namespace.h"

namespace netpolicy::clat::testing {

struct Advertisement {
  struct Network {
    std::string address;  // of a /64 to make addresses in (SLAAC)
    absl::Duration valid = absl::Hours(1);
    absl::Duration preferred = absl::Hours(1);
  };
  // 0: not a router for packets.
  absl::Duration router_lifetime = absl::Minutes(30);
  std::vector<Network> networks = {};
  struct Nat64 {
    Pref64 prefix;
    absl::Duration lifetime = absl::Minutes(10);
  };
  std::vector<Nat64> nat64 = {};
  int hop_limit = 255;  // of the packet; others are not valid
};

// Sends one to all nodes on a link, from the interface's link-local address.
absl::Status Advertise(const netpolicy::testing::NetNamespace& router,
                       const std::string& interface,
                       const Advertisement& advertisement);

}  // namespace netpolicy::clat::testing

#endif  // NETPOLICY_CLAT_TESTING_FAKE_ROUTER_H_
