// SPDX-License-Identifier: Apache-2.0

#include "netd/service/usage_wire.h"

#include "libpolicy/base/status_macros.h"

namespace netpolicy {

service::UsageRequest UsageToWire(const UsageQuery& query) {
  service::UsageRequest message;
  if (query.uid.has_value()) message.set_uid(*query.uid);
  if (query.tag.has_value()) message.set_tag(*query.tag);
  if (query.counter_set.has_value()) {
    message.set_counter_set(*query.counter_set);
  }
  if (query.interface.has_value()) message.set_interface(*query.interface);
  if (query.since.has_value()) message.set_since(*query.since);
  if (query.until.has_value()) message.set_until(*query.until);
  message.set_bucket(static_cast<service::UsageRequest::Bucket>(query.bucket));
  message.set_by_uid(query.by_uid);
  message.set_by_tag(query.by_tag);
  message.set_by_counter_set(query.by_counter_set);
  message.set_by_interface(query.by_interface);
  return message;
}

UsageQuery UsageQueryFromWire(const service::UsageRequest& request) {
  UsageQuery query;
  if (request.has_uid()) query.uid = request.uid();
  if (request.has_tag()) query.tag = request.tag();
  if (request.has_counter_set()) query.counter_set = request.counter_set();
  if (request.has_interface()) query.interface = request.interface();
  if (request.has_since()) query.since = request.since();
  if (request.has_until()) query.until = request.until();
  if (request.has_bucket()) {
    query.bucket = static_cast<UsagePeriod>(request.bucket());
  }
  query.by_uid = request.by_uid();
  query.by_tag = request.by_tag();
  query.by_counter_set = request.by_counter_set();
  query.by_interface = request.by_interface();
  return query;
}

std::vector<UsageRow> UsageRowsFromWire(
    const service::UsageResponse& response) {
  std::vector<UsageRow> rows;
  for (const service::UsageResponse::Row& row : response.rows()) {
    rows.push_back(
        {row.start(),
         {row.uid(), row.tag(), row.counter_set(), row.interface()},
         {row.rx_packets(), row.rx_bytes(), row.tx_packets(), row.tx_bytes()},
         row.flags()});
  }
  return rows;
}

absl::StatusOr<service::UsageResponse> RunUsage(
    const service::UsageRequest& request, UsageHistory& history) {
  service::UsageResponse response;
  if (request.has_forget_uid()) {
    NP_RETURN_IF_ERROR(history.ForgetUsage(request.forget_uid()));
    return response;
  }
  NP_ASSIGN_OR_RETURN(const std::vector<UsageRow> rows,
                      history.Usage(UsageQueryFromWire(request)));
  for (const UsageRow& row : rows) {
    service::UsageResponse::Row* const message = response.add_rows();
    message->set_start(row.start);
    message->set_uid(row.key.uid);
    message->set_tag(row.key.tag);
    message->set_counter_set(row.key.counter_set);
    message->set_interface(row.key.interface);
    message->set_rx_packets(row.counters.rx_packets);
    message->set_rx_bytes(row.counters.rx_bytes);
    message->set_tx_packets(row.counters.tx_packets);
    message->set_tx_bytes(row.counters.tx_bytes);
    message->set_flags(row.flags);
  }
  return response;
}

}  // namespace netpolicy
