// SPDX-License-Identifier: Apache-2.0

// quota set, list, remove, reset, alerts, watch.

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/engine/quota.h"
#include "netd/cli/commands.h"
#include "netd/cli/session.h"
#include "netd/cli/text_table.h"
#include "netd/cli/units.h"
#include "netd/service/quotas.h"

namespace netpolicy::cli {
namespace {

using Kind = QuotaDefinition::Kind;
using Unit = QuotaDefinition::Unit;
using Directions = QuotaDefinition::Directions;

constexpr absl::Duration kInterval = absl::Milliseconds(200);

std::string SubjectText(const QuotaSubject& subject, Session& session) {
  switch (subject.kind) {
    case QuotaSubject::Kind::kUid:
      return absl::StrCat("uid ", session.Who(subject.uid));
    case QuotaSubject::Kind::kInterface:
      return absl::StrCat("interface ", Printable(subject.interface));
    case QuotaSubject::Kind::kAll:
      break;
  }
  return "everything";
}

std::string AmountText(const QuotaDefinition& definition, uint64_t amount) {
  return definition.unit == Unit::kBytes
             ? FormatBytes(amount)
             : absl::StrCat(FormatCount(amount), " packets");
}

std::string PeriodText(const QuotaPeriod& period) {
  switch (period.kind) {
    case QuotaPeriod::Kind::kNone:
      break;
    case QuotaPeriod::Kind::kHours:
      return absl::StrCat("hours:", period.value);
    case QuotaPeriod::Kind::kDay:
      return "daily";
    case QuotaPeriod::Kind::kMonth:
      return absl::StrCat("monthly:", period.value);
  }
  return "none";
}

const char* DirectionsText(Directions directions) {
  return directions == Directions::kIn    ? "in"
         : directions == Directions::kOut ? "out"
                                          : "both";
}

absl::Time EndOf(const Quota& quota) {
  if (quota.period_start == absl::InfinitePast()) return absl::InfiniteFuture();
  return QuotaPeriodEnd(quota.definition.period, quota.period_start,
                        absl::LocalTimeZone());
}

// "limit 4.65 GiB (out, daily) of uid 10007"
std::string WhatText(const QuotaDefinition& definition, Session& session) {
  std::string how;
  if (definition.directions != Directions::kBoth) {
    how = DirectionsText(definition.directions);
  }
  if (definition.period.kind != QuotaPeriod::Kind::kNone) {
    absl::StrAppend(&how, how.empty() ? "" : ", ",
                    PeriodText(definition.period));
  }
  return absl::StrCat(definition.kind == Kind::kLimit ? "limit " : "alert ",
                      AmountText(definition, definition.limit),
                      how.empty() ? "" : absl::StrCat(" (", how, ")"), " of ",
                      SubjectText(definition.subject, session));
}

TextTable::Cell StateCell(const Quota& quota) {
  if (quota.exhausted()) return {"used up", Ink::kBad};
  if (!quota.crossed) return "";
  return quota.definition.kind == Kind::kAlert
             ? TextTable::Cell("reached", Ink::kWarning)
             : TextTable::Cell("has refused", Ink::kWarning);
}

Json QuotaJson(const Quota& quota, Session& session) {
  const QuotaDefinition& definition = quota.definition;
  Json json = {{"quota", ToInt(quota.id)}};
  switch (definition.subject.kind) {
    case QuotaSubject::Kind::kUid:
      json["subject"] = "uid";
      json.update(UidJson(definition.subject.uid, session.names()));
      break;
    case QuotaSubject::Kind::kInterface:
      json["subject"] = "iface";
      json["interface"] = TextJson(definition.subject.interface);
      break;
    case QuotaSubject::Kind::kAll:
      json["subject"] = "global";
      break;
  }
  json["kind"] = definition.kind == Kind::kLimit ? "limit" : "alert";
  json["unit"] = definition.unit == Unit::kBytes ? "bytes" : "packets";
  json["dir"] = DirectionsText(definition.directions);
  json["period"] = PeriodText(definition.period);
  json["amount"] = definition.limit;
  json["used"] = quota.used;
  json["crossed"] = quota.crossed;
  json["exhausted"] = quota.exhausted();
  const bool begun = quota.period_start != absl::InfinitePast();
  json["period_start"] = begun ? Json(FormatUtc(quota.period_start)) : Json();
  const absl::Time end = EndOf(quota);
  json["period_end"] =
      end == absl::InfiniteFuture() ? Json() : Json(FormatUtc(end));
  json["packets"] = quota.packets;
  json["bytes"] = quota.bytes;
  json["refused_packets"] = quota.refused_packets;
  json["refused_bytes"] = quota.refused_bytes;
  return json;
}

Json AlertJson(const QuotaAlert& alert, Session& session) {
  Json json = {{"alert", alert.number}, {"time", FormatUtc(alert.time)}};
  json.update(QuotaJson(alert.quota, session));
  return json;
}

// One line, also of JSON.
std::string Line(const QuotaAlert& alert, Session& session) {
  if (session.json()) {
    Json json = {{"version", kJsonVersion}};
    json.update(AlertJson(alert, session));
    return absl::StrCat(json.dump(-1, ' ', /*ensure_ascii=*/false,
                                  Json::error_handler_t::replace),
                        "\n");
  }
  return absl::StrCat(FormatUtc(alert.time), "  alert ", alert.number,
                      "  quota ", ToInt(alert.quota.id), "  ",
                      WhatText(alert.quota.definition, session), "\n");
}

std::string LostLine(uint64_t lost, Session& session) {
  if (session.json()) {
    return absl::StrCat(
        Json({{"version", kJsonVersion}, {"lost", lost}}).dump(), "\n");
  }
  return absl::StrCat(lost, " alerts were not kept\n");
}

}  // namespace

absl::Status RunQuotaSet(const QuotaSetCommand& command, Session& session) {
  NP_ASSIGN_OR_RETURN(QuotaKeeper * quotas, session.quotas());
  NP_ASSIGN_OR_RETURN(const QuotaId id, quotas->SetQuota(command.definition));
  if (session.json()) {
    session.PrintJson({{"quota", ToInt(id)}});
  } else {
    session.Print(absl::StrCat("quota ", ToInt(id), ": ",
                               WhatText(command.definition, session), "\n"));
  }
  return absl::OkStatus();
}

absl::Status RunQuotaList(const QuotaListCommand&, Session& session) {
  NP_ASSIGN_OR_RETURN(QuotaKeeper * keeper, session.quotas());
  NP_ASSIGN_OR_RETURN(const std::vector<Quota> quotas, keeper->Quotas());
  if (session.json()) {
    Json list = Json::array();
    for (const Quota& quota : quotas) {
      list.push_back(QuotaJson(quota, session));
    }
    session.PrintJson({{"quotas", std::move(list)}});
    return absl::OkStatus();
  }
  if (quotas.empty()) {
    session.Print("there are no quotas\n");
    return absl::OkStatus();
  }
  TextTable table({{"quota", TextTable::kRight},
                   {"of"},
                   {"kind"},
                   {"used", TextTable::kRight},
                   {"amount", TextTable::kRight},
                   {"dir"},
                   {"period"},
                   {"until"},
                   {"refused", TextTable::kRight},
                   {""}});
  for (const Quota& quota : quotas) {
    const QuotaDefinition& definition = quota.definition;
    const absl::Time end = EndOf(quota);
    table.AddRow(
        {absl::StrCat(ToInt(quota.id)),
         SubjectText(definition.subject, session),
         definition.kind == Kind::kLimit ? "limit" : "alert",
         AmountText(definition, quota.used),
         AmountText(definition, definition.limit),
         DirectionsText(definition.directions), PeriodText(definition.period),
         end == absl::InfiniteFuture()
             ? "-"
             : absl::FormatTime("%Y-%m-%d %H:%M", end, absl::LocalTimeZone()),
         definition.kind == Kind::kAlert
             ? "-"
             : absl::StrCat(FormatCount(quota.refused_packets), " packets"),
         StateCell(quota)});
  }
  session.Print(table.ToString(session.colour()));
  return absl::OkStatus();
}

absl::Status RunQuotaChange(const QuotaChangeCommand& command,
                            Session& session) {
  NP_ASSIGN_OR_RETURN(QuotaKeeper * quotas, session.quotas());
  NP_ASSIGN_OR_RETURN(const std::vector<Quota> there, quotas->Quotas());
  // Before any is changed.
  const std::set<QuotaId> wanted(command.ids.begin(), command.ids.end());
  for (const QuotaId id : wanted) {
    if (std::none_of(there.begin(), there.end(),
                     [id](const Quota& quota) { return quota.id == id; })) {
      return absl::NotFoundError(
          absl::StrCat("quota: there is no quota ", ToInt(id)));
    }
  }
  Json ids = Json::array();
  for (const QuotaId id : wanted) {
    NP_RETURN_IF_ERROR(command.what == QuotaChangeCommand::What::kRemove
                           ? quotas->RemoveQuota(id)
                           : quotas->ResetQuota(id));
    ids.push_back(ToInt(id));
  }
  // Silence is success, but for machines.
  if (session.json()) session.PrintJson({{"quotas", std::move(ids)}});
  return absl::OkStatus();
}

absl::Status RunQuotaAlerts(const QuotaAlertsCommand& command,
                            Session& session) {
  NP_ASSIGN_OR_RETURN(QuotaKeeper * quotas, session.quotas());
  NP_ASSIGN_OR_RETURN(const QuotaAlerts alerts, quotas->Alerts());
  if (command.acknowledge && !alerts.list.empty()) {
    NP_RETURN_IF_ERROR(quotas->AcknowledgeAlerts(alerts.list.back().number));
  }
  if (session.json()) {
    Json list = Json::array();
    for (const QuotaAlert& alert : alerts.list) {
      list.push_back(AlertJson(alert, session));
    }
    session.PrintJson({{"alerts", std::move(list)}, {"lost", alerts.lost}});
    return absl::OkStatus();
  }
  if (alerts.list.empty()) {
    session.Print("there are no alerts\n");
    return absl::OkStatus();
  }
  if (alerts.lost > 0) session.Print(LostLine(alerts.lost, session));
  TextTable table({{"alert", TextTable::kRight},
                   {"time"},
                   {"quota", TextTable::kRight},
                   {"what"}});
  for (const QuotaAlert& alert : alerts.list) {
    table.AddRow({absl::StrCat(alert.number), FormatUtc(alert.time),
                  absl::StrCat(ToInt(alert.quota.id)),
                  WhatText(alert.quota.definition, session)});
  }
  session.Print(table.ToString(session.colour()));
  return absl::OkStatus();
}

absl::Status RunQuotaWatch(const QuotaWatchCommand& command, Session& session) {
  NP_ASSIGN_OR_RETURN(QuotaKeeper * quotas, session.quotas());
  uint64_t seen = 0;
  uint32_t printed = 0;
  for (bool first = true;; first = false) {
    if (!first && !session.Wait(kInterval)) return absl::OkStatus();
    NP_ASSIGN_OR_RETURN(const QuotaAlerts alerts, quotas->Alerts());
    for (const QuotaAlert& alert : alerts.list) {
      if (alert.number <= seen) continue;
      seen = alert.number;
      if (first && !command.all) continue;
      if (!session.Stream(Line(alert, session))) return absl::OkStatus();
      if (++printed == command.count) return absl::OkStatus();
    }
  }
}

}  // namespace netpolicy::cli
