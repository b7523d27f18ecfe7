// SPDX-License-Identifier: Apache-2.0

#include "netd/service/quota_wire.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libpolicy/base/status_macros.h"

namespace netpolicy {
namespace {

absl::Status Wrong(absl::string_view field, absl::string_view cause) {
  return absl::InvalidArgumentError(
      absl::StrCat("decode quota: ", field, ": ", cause));
}

template <typename Enum>
Enum Number(int value) {
  return static_cast<Enum>(value);
}

absl::StatusOr<QuotaId> IdFromWire(const service::QuotaRequest& request) {
  if (!request.has_id()) return Wrong("id", "missing");
  return QuotaId{request.id()};
}

}  // namespace

service::QuotaDefinition ToWire(const QuotaDefinition& definition) {
  using Message = service::QuotaDefinition;
  Message message;
  switch (definition.subject.kind) {
    case QuotaSubject::Kind::kUid:
      message.set_uid(ToInt(definition.subject.uid));
      break;
    case QuotaSubject::Kind::kInterface:
      message.set_interface(definition.subject.interface);
      break;
    case QuotaSubject::Kind::kAll:
      break;
  }
  message.set_kind(static_cast<Message::Kind>(definition.kind));
  message.set_unit(static_cast<Message::Unit>(definition.unit));
  message.set_directions(
      static_cast<Message::Directions>(definition.directions));
  message.set_period(static_cast<Message::Period>(definition.period.kind));
  message.set_period_value(definition.period.value);
  message.set_limit(definition.limit);
  return message;
}

absl::StatusOr<QuotaDefinition> FromWire(
    const service::QuotaDefinition& message) {
  // Also an enum value that is not known.
  if (!message.unknown_fields().empty()) {
    return Wrong("definition", "it has fields or values that are not known");
  }
  if (message.has_uid() && message.has_interface()) {
    return Wrong("definition", "both a uid and an interface");
  }
  for (const auto& [field, there] :
       {std::pair("kind", message.has_kind()),
        std::pair("unit", message.has_unit()),
        std::pair("directions", message.has_directions()),
        std::pair("period", message.has_period()),
        std::pair("limit", message.has_limit())}) {
    if (!there) return Wrong(absl::StrCat("definition.", field), "missing");
  }
  QuotaDefinition definition;
  if (message.has_uid()) {
    definition.subject = QuotaSubject::OfUid(Uid{message.uid()});
  }
  if (message.has_interface()) {
    definition.subject = QuotaSubject::OfInterface(message.interface());
  }
  definition.kind = Number<QuotaDefinition::Kind>(message.kind());
  definition.unit = Number<QuotaDefinition::Unit>(message.unit());
  definition.directions =
      Number<QuotaDefinition::Directions>(message.directions());
  definition.period = {Number<QuotaPeriod::Kind>(message.period()),
                       message.period_value()};
  definition.limit = message.limit();
  return definition;
}

service::Quota ToWire(const Quota& quota) {
  service::Quota message;
  message.set_id(ToInt(quota.id));
  *message.mutable_definition() = ToWire(quota.definition);
  message.set_used(quota.used);
  message.set_packets(quota.packets);
  message.set_bytes(quota.bytes);
  message.set_refused_packets(quota.refused_packets);
  message.set_refused_bytes(quota.refused_bytes);
  if (quota.period_start != absl::InfinitePast()) {
    message.set_period_start(absl::ToUnixSeconds(quota.period_start));
  }
  message.set_crossed(quota.crossed);
  return message;
}

absl::StatusOr<Quota> FromWire(const service::Quota& message) {
  if (message.id() == 0) return Wrong("quota.id", "missing");
  Quota quota;
  quota.id = QuotaId{message.id()};
  NP_ASSIGN_OR_RETURN(quota.definition, FromWire(message.definition()));
  quota.used = message.used();
  quota.packets = message.packets();
  quota.bytes = message.bytes();
  quota.refused_packets = message.refused_packets();
  quota.refused_bytes = message.refused_bytes();
  quota.period_start = message.has_period_start()
                           ? absl::FromUnixSeconds(message.period_start())
                           : absl::InfinitePast();
  quota.crossed = message.crossed();
  return quota;
}

service::QuotaAlert ToWire(const QuotaAlert& alert) {
  service::QuotaAlert message;
  message.set_number(alert.number);
  message.set_time_ns(absl::ToUnixNanos(alert.time));
  *message.mutable_quota() = ToWire(alert.quota);
  return message;
}

absl::StatusOr<QuotaAlert> FromWire(const service::QuotaAlert& message) {
  QuotaAlert alert;
  alert.number = message.number();
  alert.time = absl::FromUnixNanos(message.time_ns());
  NP_ASSIGN_OR_RETURN(alert.quota, FromWire(message.quota()));
  return alert;
}

absl::StatusOr<service::QuotaResponse> RunQuota(
    const service::QuotaRequest& request, QuotaKeeper& quotas) {
  service::QuotaResponse response;
  if (!request.has_operation()) return Wrong("operation", "missing");
  switch (request.operation()) {
    case service::QuotaRequest::OPERATION_LIST: {
      NP_ASSIGN_OR_RETURN(const std::vector<Quota> list, quotas.Quotas());
      for (const Quota& quota : list) *response.add_quotas() = ToWire(quota);
      break;
    }
    case service::QuotaRequest::OPERATION_SET: {
      if (!request.has_definition()) return Wrong("definition", "missing");
      NP_ASSIGN_OR_RETURN(const QuotaDefinition definition,
                          FromWire(request.definition()));
      NP_ASSIGN_OR_RETURN(const QuotaId id, quotas.SetQuota(definition));
      response.set_id(ToInt(id));
      break;
    }
    case service::QuotaRequest::OPERATION_REMOVE: {
      NP_ASSIGN_OR_RETURN(const QuotaId id, IdFromWire(request));
      NP_RETURN_IF_ERROR(quotas.RemoveQuota(id));
      break;
    }
    case service::QuotaRequest::OPERATION_RESET: {
      NP_ASSIGN_OR_RETURN(const QuotaId id, IdFromWire(request));
      NP_RETURN_IF_ERROR(quotas.ResetQuota(id));
      break;
    }
    case service::QuotaRequest::OPERATION_ALERTS: {
      NP_ASSIGN_OR_RETURN(const QuotaAlerts alerts, quotas.Alerts());
      for (const QuotaAlert& alert : alerts.list) {
        *response.add_alerts() = ToWire(alert);
      }
      response.set_lost_alerts(alerts.lost);
      break;
    }
    case service::QuotaRequest::OPERATION_ACKNOWLEDGE:
      if (!request.has_number()) return Wrong("number", "missing");
      NP_RETURN_IF_ERROR(quotas.AcknowledgeAlerts(request.number()));
      break;
  }
  return response;
}

absl::StatusOr<std::vector<Quota>> QuotasFromWire(
    const service::QuotaResponse& response) {
  std::vector<Quota> quotas;
  for (const service::Quota& message : response.quotas()) {
    NP_ASSIGN_OR_RETURN(Quota quota, FromWire(message));
    quotas.push_back(std::move(quota));
  }
  return quotas;
}

absl::StatusOr<QuotaAlerts> AlertsFromWire(
    const service::QuotaResponse& response) {
  QuotaAlerts alerts;
  for (const service::QuotaAlert& message : response.alerts()) {
    NP_ASSIGN_OR_RETURN(QuotaAlert alert, FromWire(message));
    alerts.list.push_back(std::move(alert));
  }
  alerts.lost = response.lost_alerts();
  return alerts;
}

}  // namespace netpolicy
