// SPDX-License-Identifier: Apache-2.0
//
// Between Refusals and netd's protocol. FromWire() refuses with
// kInvalidArgument what makes no sense.

#ifndef NETPOLICY_NETD_SERVICE_REFUSED_WIRE_H_
#define NETPOLICY_NETD_SERVICE_REFUSED_WIRE_H_

#include "absl/status/statusor.h"
#include "libpolicy/engine/policy_interface.h"
#include "netd/service/refused.pb.h"

namespace netpolicy {

service::RefusedRequest RefusedToWire(Uid uid, uint32_t max_peers);

// Carries out a request.
absl::StatusOr<service::RefusedResponse> RunRefused(
    const service::RefusedRequest& request, PolicyInterface& policy);

absl::StatusOr<Refusals> FromWire(const service::RefusedResponse& response);

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_SERVICE_REFUSED_WIRE_H_
