// SPDX-License-Identifier: Apache-2.0
//
// Between what is asked and said of past usage and netd's protocol.

#ifndef NETPOLICY_NETD_SERVICE_USAGE_WIRE_H_
#define NETPOLICY_NETD_SERVICE_USAGE_WIRE_H_

#include <vector>

#include "absl/status/statusor.h"
#include "netd/service/usage.pb.h"
#include "netd/usage/usage.h"

namespace netpolicy {

service::UsageRequest UsageToWire(const UsageQuery& query);
UsageQuery UsageQueryFromWire(const service::UsageRequest& request);

std::vector<UsageRow> UsageRowsFromWire(const service::UsageResponse& response);

// Carries out a request.
absl::StatusOr<service::UsageResponse> RunUsage(
    const service::UsageRequest& request, UsageHistory& history);

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_SERVICE_USAGE_WIRE_H_
