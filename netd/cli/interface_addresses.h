// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_CLI_INTERFACE_ADDRESSES_H_
#define NETPOLICY_NETD_CLI_INTERFACE_ADDRESSES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "libpolicy/model/ip_prefix.h"

namespace netpolicy::cli {

// An address of an interface.
struct InterfaceAddress {
  AddressBytes address{};
  uint8_t prefix_length = 0;  // of what is on the link; counted as in IpPrefix
};

// The addresses of an interface of this process's network namespace, by
// getifaddrs(3). Errors: kNotFound when there is no such interface.
absl::StatusOr<std::vector<InterfaceAddress>> ReadAddresses(
    const std::string& interface);

}  // namespace netpolicy::cli

#endif  // NETPOLICY_NETD_CLI_INTERFACE_ADDRESSES_H_
