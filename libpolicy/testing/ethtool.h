// SPDX-License-Identifier: Apache-2.0
//
// The ethtool requests that tests need, as ioctls. For net_namespace.cc; a test
// uses NetNamespace::SetOffload and SetFeature. `socket` is any socket of the
// link's network namespace. Errors carry errno.

#ifndef NETPOLICY_LIBPOLICY_TESTING_ETHTOOL_H_
#define NETPOLICY_LIBPOLICY_TESTING_ETHTOOL_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace netpolicy::testing {

// A command with struct ethtool_value, such as ETHTOOL_GTSO; returns what the
// kernel left there.
absl::StatusOr<uint32_t> EthtoolValue(int socket, const std::string& link,
                                      uint32_t command, uint32_t value);

// Sets one of netdev_features_strings ("tx-udp-segmentation"). kNotFound when
// the kernel has no such feature, kFailedPrecondition when the link refuses.
absl::Status SetEthtoolFeature(int socket, const std::string& link,
                               const std::string& feature, bool on);

}  // namespace netpolicy::testing

#endif  // NETPOLICY_LIBPOLICY_TESTING_ETHTOOL_H_
