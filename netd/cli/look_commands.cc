// SPDX-License-Identifier: Apache-2.0

// status, explain.

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/model/text.h"
#include "netd/cli/commands.h"
#include "netd/cli/units.h"

namespace netpolicy::cli {
namespace {

std::vector<std::string> EnabledChains(const Policy& policy) {
  std::vector<std::string> names;
  for (const Chain& chain : policy.chains()) {
    if (chain.enabled == Switch::kOn) names.push_back(Printable(chain.name));
  }
  return names;
}

Json StatusJson(const EngineStatus& status, const PolicySnapshot& snapshot) {
  Json programs = Json::array();
  for (const ProgramStatus& program : status.programs) {
    programs.push_back(
        {{"name", TextJson(program.name)},
         {"id", program.id},
         {"link_id", program.link_id == 0 ? Json() : Json(program.link_id)},
         {"tag", TextJson(program.tag)},
         {"xlated_bytes", program.xlated_bytes},
         {"jited_bytes", program.jited_bytes}});
  }
  Json maps = Json::array();
  for (const MapStatus& map : status.maps) {
    maps.push_back(
        {{"name", TextJson(map.name)},
         {"id", map.id},
         {"max_entries", map.max_entries},
         {"used_entries",
          map.used_entries.has_value() ? Json(*map.used_entries) : Json()},
         {"memory_bytes",
          map.memory_bytes == 0 ? Json() : Json(map.memory_bytes)}});
  }
  Json losses = Json::object();
  for (const LossCounter& loss : status.losses) losses[loss.name] = loss.count;
  Json enabled = Json::array();
  for (const Chain& chain : snapshot.policy.chains()) {
    if (chain.enabled == Switch::kOn) enabled.push_back(TextJson(chain.name));
  }
  const PolicyDefaults& defaults = snapshot.policy.defaults();
  return {
      {"generation", ToInt(status.generation)},
      {"fenced_generation", ToInt(status.fenced_generation)},
      {"abi", {{"major", status.abi_major}, {"minor", status.abi_minor}}},
      {"cgroup", {{"path", TextJson(status.cgroup)}, {"id", status.cgroup_id}}},
      {"pin_dir", TextJson(status.pin_dir)},
      {"defaults",
       {{"rule", std::string(ActionName(defaults.rule))},
        {"internet", defaults.internet == Permission::kGranted}}},
      {"enabled_chains", std::move(enabled)},
      {"uids_mentioned", snapshot.policy.uids().size()},
      {"programs", std::move(programs)},
      {"maps", std::move(maps)},
      {"losses", std::move(losses)},
      {"absent_interfaces", AbsentInterfacesJson(status)}};
}

// As --kind takes it.
std::string KindText(PacketKind kind) {
  switch (kind) {
    case PacketKind::kOrdinary:
      return "ordinary";
    case PacketKind::kTcpReset:
      return "tcp-reset";
    case PacketKind::kTcpFin:
      return "tcp-fin";
    case PacketKind::kIcmp6Control:
      return "icmp6-control";
  }
  return "";
}

std::string Where(const ExplainQuery& query) {
  std::string text =
      query.interface.empty()
          ? "any interface but loopback"
          : absl::StrCat("interface ", Printable(query.interface));
  if (query.metered.has_value()) {
    absl::StrAppend(
        &text, *query.metered == Switch::kOn ? ", metered" : ", not metered");
  }
  if (query.protocol != 0) {
    absl::StrAppend(&text, ", ", ProtocolName(query.protocol));
  }
  if (query.kind != PacketKind::kOrdinary) {
    absl::StrAppend(&text, ", ", KindText(query.kind));
  }
  if (query.tag != 0) absl::StrAppend(&text, ", tag ", query.tag);
  if (query.remote.has_value()) {
    absl::StrAppend(&text, ", remote ", AddressText(*query.remote));
  }
  if (query.remote_port.has_value()) {
    absl::StrAppend(&text, ", remote port ", *query.remote_port);
  }
  if (query.local.has_value()) {
    absl::StrAppend(&text, ", local ", AddressText(*query.local));
  }
  if (query.local_port.has_value()) {
    absl::StrAppend(&text, ", local port ", *query.local_port);
  }
  return text;
}

// What a direction is about, for people.
absl::string_view DirectionText(Direction direction) {
  switch (direction) {
    case Direction::kIngress:
      return "receiving packets";
    case Direction::kEgress:
      return "sending packets";
    case Direction::kSocketCreate:
      return "making sockets";
    case Direction::kConnect:
      return "connecting";
    case Direction::kBind:
      return "binding";
  }
  return "";
}

Json ExplanationJson(const Explanation& explanation, bool allowed,
                     Names& names) {
  const ExplainQuery& query = explanation.query;
  Json verdicts = Json::array();
  for (const ExplainedVerdict& verdict : explanation.verdicts) {
    Json reasons = Json::array();
    for (const ExplainedReason& reason : verdict.reasons) {
      reasons.push_back({{"number", reason.number},
                         {"name", TextJson(reason.name)},
                         {"detail", TextJson(reason.detail)}});
    }
    verdicts.push_back(
        {{"direction", std::string(DirectionName(verdict.direction))},
         {"allowed", verdict.reasons.empty()},
         {"reasons", std::move(reasons)}});
  }
  Json json = {{"generation", ToInt(explanation.generation)}};
  json.update(UidJson(query.uid, names));
  json["interface"] =
      query.interface.empty() ? Json() : TextJson(query.interface);
  const auto address = [](const absl::optional<AddressBytes>& bytes) {
    return bytes.has_value() ? Json(AddressText(*bytes)) : Json();
  };
  const auto port = [](const absl::optional<uint16_t>& number) {
    return number.has_value() ? Json(*number) : Json();
  };
  json["remote"] = address(query.remote);
  json["remote_port"] = port(query.remote_port);
  json["local"] = address(query.local);
  json["local_port"] = port(query.local_port);
  json["protocol"] =
      query.protocol == 0 ? Json() : Json(ProtocolName(query.protocol));
  json["metered"] =
      query.metered.has_value() ? Json(*query.metered == Switch::kOn) : Json();
  json["kind"] = KindText(query.kind);
  json["tag"] = query.tag;
  json["allowed"] = allowed;
  json["verdicts"] = std::move(verdicts);
  return json;
}

}  // namespace

std::string AbsentInterfacesText(const EngineStatus& status) {
  return Printable(absl::StrJoin(status.absent_interfaces, ", "));
}

Json AbsentInterfacesJson(const EngineStatus& status) {
  Json json = Json::array();
  for (const std::string& pattern : status.absent_interfaces) {
    json.push_back(TextJson(pattern));
  }
  return json;
}

absl::Status RunStatus(const StatusCommand&, Session& session) {
  NP_ASSIGN_OR_RETURN(PolicyInterface * policy, session.policy());
  NP_ASSIGN_OR_RETURN(const EngineStatus status, policy->Status());
  NP_ASSIGN_OR_RETURN(const PolicySnapshot snapshot, policy->GetPolicy());
  if (session.json()) {
    session.PrintJson(StatusJson(status, snapshot));
    return absl::OkStatus();
  }
  const PolicyDefaults& defaults = snapshot.policy.defaults();
  const std::vector<std::string> enabled = EnabledChains(snapshot.policy);
  TextTable head({{""}, {""}});
  head.AddRow(
      {"generation", absl::StrCat(ToInt(status.generation), " (fenced ",
                                  ToInt(status.fenced_generation), ")")});
  head.AddRow({"default rule", std::string(ActionName(defaults.rule))});
  head.AddRow(
      {"default internet", std::string(PermissionName(defaults.internet))});
  head.AddRow({"enabled chains",
               enabled.empty() ? "none" : absl::StrJoin(enabled, ", ")});
  head.AddRow({"uids mentioned", FormatCount(snapshot.policy.uids().size())});
  head.AddRow({"cgroup", absl::StrCat(Printable(status.cgroup), " (id ",
                                      status.cgroup_id, ")")});
  head.AddRow({"pins", Printable(status.pin_dir)});
  head.AddRow(
      {"table layout", absl::StrCat(status.abi_major, ".", status.abi_minor)});
  if (!status.absent_interfaces.empty()) {
    head.AddRow({"no such interface now",
                 {AbsentInterfacesText(status), Ink::kWarning}});
  }
  session.Print(head.ToString(session.colour()));

  TextTable programs({{"program"},
                      {"id", TextTable::kRight},
                      {"link", TextTable::kRight},
                      {"tag"},
                      {"bytecode", TextTable::kRight},
                      {"machine code", TextTable::kRight}});
  for (const ProgramStatus& program : status.programs) {
    programs.AddRow({Printable(program.name), absl::StrCat(program.id),
                     program.link_id == 0
                         ? TextTable::Cell("not attached", Ink::kBad)
                         : TextTable::Cell(absl::StrCat(program.link_id)),
                     Printable(program.tag), FormatBytes(program.xlated_bytes),
                     FormatBytes(program.jited_bytes)});
  }
  session.Print("\n");
  session.Print(programs.ToString(session.colour()));

  TextTable maps({{"table"},
                  {"id", TextTable::kRight},
                  {"used", TextTable::kRight},
                  {"entries", TextTable::kRight},
                  {"memory", TextTable::kRight}});
  for (const MapStatus& map : status.maps) {
    maps.AddRow(
        {Printable(map.name), absl::StrCat(map.id),
         map.used_entries.has_value() ? FormatCount(*map.used_entries) : "-",
         FormatCount(map.max_entries),
         map.memory_bytes == 0 ? "-" : FormatBytes(map.memory_bytes)});
  }
  session.Print("\n");
  session.Print(maps.ToString(session.colour()));

  TextTable losses({{"fallback or loss"}, {"count", TextTable::kRight}});
  for (const LossCounter& loss : status.losses) {
    losses.AddRow(
        {Printable(loss.name),
         {FormatCount(loss.count), loss.count == 0 ? Ink::kDim : Ink::kPlain}});
  }
  session.Print("\n");
  session.Print(losses.ToString(session.colour()));
  return absl::OkStatus();
}

absl::Status RunExplain(const ExplainCommand& command, Session& session) {
  NP_ASSIGN_OR_RETURN(PolicyInterface * policy, session.policy());
  NP_ASSIGN_OR_RETURN(const Explanation explanation,
                      policy->Explain(command.query));
  bool allowed = true;
  for (const ExplainedVerdict& verdict : explanation.verdicts) {
    allowed &= verdict.reasons.empty();
  }
  if (!allowed) session.set_exit_code(kExitBlocked);
  if (session.json()) {
    session.PrintJson(ExplanationJson(explanation, allowed, session.names()));
    return absl::OkStatus();
  }
  const std::string who =
      explanation.query.uid == kNoOwner
          ? "packet without an owner"
          : absl::StrCat("uid ", session.Who(explanation.query.uid));
  session.Print(absl::StrCat(who, ", ", Where(explanation.query),
                             ", generation ", ToInt(explanation.generation),
                             "\n"));
  TextTable table({{""}, {""}, {""}});
  for (const ExplainedVerdict& verdict : explanation.verdicts) {
    const bool passes = verdict.reasons.empty();
    table.AddRow({std::string(DirectionText(verdict.direction)),
                  passes ? TextTable::Cell("allowed", Ink::kGood)
                         : TextTable::Cell("blocked", Ink::kBad),
                  passes
                      ? ""
                      : absl::StrCat(Printable(verdict.reasons[0].name), ": ",
                                     Printable(verdict.reasons[0].detail))});
    for (size_t i = 1; i < verdict.reasons.size(); ++i) {
      table.AddRow({"", "",
                    absl::StrCat(Printable(verdict.reasons[i].name), ": ",
                                 Printable(verdict.reasons[i].detail))});
    }
  }
  session.Print(table.ToString(session.colour(), 2));
  return absl::OkStatus();
}

}  // namespace netpolicy::cli
