// SPDX-License-Identifier: Apache-2.0
//
// Between libpolicy/engine/charging.h and netd's protocol.

#ifndef NETPOLICY_NETD_SERVICE_CHARGING_WIRE_H_
#define NETPOLICY_NETD_SERVICE_CHARGING_WIRE_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "libpolicy/engine/charging.h"
#include "netd/service/charging.pb.h"

namespace netpolicy {

// For whom a request is carried out.
struct ChargingCaller {
  Uid uid{};
  // Whether it may change the policy, and so grant itself anything.
  enum class Authority { kByPolicy, kAll } authority = Authority::kByPolicy;
};

service::TagSocketRequest TagToWire(const SocketTag& tag);
service::CounterSetRequest CounterSetToWire(Uid uid, uint32_t counter_set);

// Whether the request changes something.
bool SetsCounterSet(const service::CounterSetRequest& request);

// Carry out requests. Errors: those of ChargingService; kInvalidArgument for
// half a request, or one that lacks its socket.
absl::Status RunTagSocket(const service::TagSocketRequest& request,
                          absl::optional<int> socket,
                          const ChargingCaller& caller,
                          ChargingService& charging);
absl::StatusOr<service::CounterSetResponse> RunCounterSet(
    const service::CounterSetRequest& request, const ChargingCaller& caller,
    ChargingService& charging);

std::vector<UidCounterSet> CounterSetsFromWire(
    const service::CounterSetResponse& response);

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_SERVICE_CHARGING_WIRE_H_
