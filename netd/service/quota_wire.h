// SPDX-License-Identifier: Apache-2.0
//
// Between what is asked and said of quotas and netd's protocol. FromWire()
// refuses with kInvalidArgument what makes no sense; what the engine refuses it
// leaves to the engine.

#ifndef NETPOLICY_NETD_SERVICE_QUOTA_WIRE_H_
#define NETPOLICY_NETD_SERVICE_QUOTA_WIRE_H_

#include <vector>

#include "absl/status/statusor.h"
#include "netd/service/quota.pb.h"
#include "netd/service/quotas.h"

namespace netpolicy {

service::QuotaDefinition ToWire(const QuotaDefinition& definition);
absl::StatusOr<QuotaDefinition> FromWire(
    const service::QuotaDefinition& message);
service::Quota ToWire(const Quota& quota);
absl::StatusOr<Quota> FromWire(const service::Quota& message);
service::QuotaAlert ToWire(const QuotaAlert& alert);
absl::StatusOr<QuotaAlert> FromWire(const service::QuotaAlert& message);

// Carries out a request.
absl::StatusOr<service::QuotaResponse> RunQuota(
    const service::QuotaRequest& request, QuotaKeeper& quotas);

absl::StatusOr<std::vector<Quota>> QuotasFromWire(
    const service::QuotaResponse& response);
absl::StatusOr<QuotaAlerts> AlertsFromWire(
    const service::QuotaResponse& response);

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_SERVICE_QUOTA_WIRE_H_
