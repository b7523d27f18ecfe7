// SPDX-License-Identifier: Apache-2.0

#include "netd/service/charging_wire.h"

#include "libpolicy/base/status_macros.h"

namespace netpolicy {

service::TagSocketRequest TagToWire(const SocketTag& tag) {
  service::TagSocketRequest request;
  request.set_tag(tag.tag);
  if (tag.charge.has_value()) request.set_charge_uid(ToInt(*tag.charge));
  return request;
}

service::CounterSetRequest CounterSetToWire(Uid uid, uint32_t counter_set) {
  service::CounterSetRequest request;
  request.set_uid(ToInt(uid));
  request.set_counter_set(counter_set);
  return request;
}

bool SetsCounterSet(const service::CounterSetRequest& request) {
  return request.has_uid() || request.has_counter_set();
}

absl::Status RunTagSocket(const service::TagSocketRequest& request,
                          absl::optional<int> socket,
                          const ChargingCaller& caller,
                          ChargingService& charging) {
  if (!socket.has_value()) {
    return absl::InvalidArgumentError(
        "tag socket: no descriptor came with the request");
  }
  SocketTag tag{.tag = request.tag()};
  if (request.has_charge_uid()) tag.charge = Uid{request.charge_uid()};
  return caller.authority == ChargingCaller::Authority::kAll
             ? charging.TagSocket(*socket, tag)
             : charging.TagSocketFor(caller.uid, *socket, tag);
}

absl::StatusOr<service::CounterSetResponse> RunCounterSet(
    const service::CounterSetRequest& request, const ChargingCaller& caller,
    ChargingService& charging) {
  service::CounterSetResponse response;
  if (SetsCounterSet(request)) {
    if (!request.has_uid() || !request.has_counter_set()) {
      return absl::InvalidArgumentError(
          "set counter set: the uid or the counter set is missing");
    }
    const Uid uid{request.uid()};
    NP_RETURN_IF_ERROR(caller.authority == ChargingCaller::Authority::kAll
                           ? charging.SetCounterSet(uid, request.counter_set())
                           : charging.SetCounterSetFor(caller.uid, uid,
                                                       request.counter_set()));
    return response;
  }
  NP_ASSIGN_OR_RETURN(const std::vector<UidCounterSet> sets,
                      charging.CounterSets());
  for (const UidCounterSet& set : sets) {
    service::CounterSetResponse::Entry& entry = *response.add_entries();
    entry.set_uid(ToInt(set.uid));
    entry.set_counter_set(set.counter_set);
  }
  return response;
}

std::vector<UidCounterSet> CounterSetsFromWire(
    const service::CounterSetResponse& response) {
  std::vector<UidCounterSet> sets;
  for (const service::CounterSetResponse::Entry& entry : response.entries()) {
    sets.push_back(
        {.uid = Uid{entry.uid()}, .counter_set = entry.counter_set()});
  }
  return sets;
}

}  // namespace netpolicy
