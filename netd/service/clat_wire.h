// SPDX-License-Identifier: Apache-2.0
//
// Between what is asked and said of translation and netd's protocol.
// FromWire() refuses with kInvalidArgument what makes no sense.

#ifndef NETPOLICY_NETD_SERVICE_CLAT_WIRE_H_
#define NETPOLICY_NETD_SERVICE_CLAT_WIRE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clat/clat_interface.h"
#include "netd/service/clat.pb.h"

namespace netpolicy {

service::ClatRequest ClatStartToWire(const std::string& interface,
                                     const clat::UplinkSettings& settings);
service::ClatRequest ClatToWire(service::ClatRequest::Operation operation,
                                const std::string& interface);

absl::StatusOr<clat::UplinkSettings> SettingsFromWire(
    const service::ClatRequest& request);

// Carries out a request.
absl::StatusOr<service::ClatResponse> RunClat(
    const service::ClatRequest& request, clat::ClatInterface& clat);

absl::StatusOr<std::vector<clat::UplinkStatus>> UplinksFromWire(
    const service::ClatResponse& response);
absl::StatusOr<std::vector<clat::DiscoveredPrefix>> PrefixesFromWire(
    const service::ClatResponse& response);
clat::Changes ChangesFromWire(const service::ClatResponse& response);

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_SERVICE_CLAT_WIRE_H_
