// SPDX-License-Identifier: Apache-2.0
//
// The values of PolicyInterface as messages of netd/service/service.proto, and
// back. The policy itself, transactions and deltas: libpolicy/model/wire.h.
//
// FromWire() refuses with kInvalidArgument messages that lack a needed field.

#ifndef NETPOLICY_NETD_SERVICE_WIRE_H_
#define NETPOLICY_NETD_SERVICE_WIRE_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "libpolicy/engine/policy_interface.h"
#include "netd/service/doctor.h"
#include "netd/service/history.h"
#include "netd/service/service.pb.h"

namespace netpolicy {

struct CommitCall {
  Transaction transaction;
  CommitOptions options;
};

// Requests.
service::CommitRequest ToWire(const Transaction& transaction,
                              const CommitOptions& options);
absl::StatusOr<CommitCall> FromWire(const service::CommitRequest& message);
service::ExplainRequest ToWire(const ExplainQuery& query);
absl::StatusOr<ExplainQuery> FromWire(const service::ExplainRequest& message);

// kInvalidArgument when the request or the call in it has fields, or enum
// values, that are not known.
absl::Status CheckKnown(const service::Request& request);

// Results.
service::GetPolicyResponse ToWire(const PolicySnapshot& snapshot);
absl::StatusOr<PolicySnapshot> FromWire(
    const service::GetPolicyResponse& message);
service::CommitResponse ToWire(const CommitResult& result);
absl::StatusOr<CommitResult> FromWire(const service::CommitResponse& message);
service::ExplainResponse ToWire(const Explanation& explanation);
absl::StatusOr<Explanation> FromWire(const service::ExplainResponse& message);
service::StatsResponse ToWire(const StatsSnapshot& stats);
absl::StatusOr<StatsSnapshot> FromWire(const service::StatsResponse& message);
service::StatusResponse ToWire(const EngineStatus& status);
absl::StatusOr<EngineStatus> FromWire(const service::StatusResponse& message);
service::LogResponse ToWire(const CommitLogSnapshot& log);
absl::StatusOr<CommitLogSnapshot> FromWire(const service::LogResponse& message);
service::DoctorResponse ToWire(const DoctorReport& report);
absl::StatusOr<DoctorReport> FromWire(const service::DoctorResponse& message);

// The error that a response carries; OK when it carries none. A code that is no
// absl::StatusCode is kUnknown.
absl::Status StatusFromWire(const service::Response& response);
void StatusToWire(const absl::Status& status, service::Response& response);

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_SERVICE_WIRE_H_
