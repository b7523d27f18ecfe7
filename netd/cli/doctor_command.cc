// SPDX-License-Identifier: Apache-2.0

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "netd/cli/commands.h"
#include "netd/cli/units.h"

namespace netpolicy::cli {
namespace {

// What a counter of bpf_progs/abi/loss.h means for whoever runs the machine.
struct LossMeaning {
  absl::string_view name;
  enum class Kind {
    kNormal,  // happens in ordinary operation and costs next to nothing
    kCost,    // something is slower or less exact than it could be
    kFault,   // should never happen
  } kind;
  absl::string_view text;
};

constexpr LossMeaning kMeanings[] = {
    {"slow_path", LossMeaning::Kind::kNormal,
     "packets without a kept verdict: a connection's first, and those without "
     "a socket"},
    {"no_socket", LossMeaning::Kind::kNormal,
     "packets without a full socket: judged and counted as without an owner"},
    {"socket_storage", LossMeaning::Kind::kCost,
     "no memory to keep a socket's verdict: judged the slow way "
     "(net.core.optmem_max)"},
    {"rows_full", LossMeaning::Kind::kCost,
     "packets counted in the total, not for their UID: too few counter rows "
     "(max_uid_rows)"},
    {"rows_share", LossMeaning::Kind::kCost,
     "packets counted for their UID, not by tag and interface: the UID has its "
     "share of counter rows (max_rows_per_uid)"},
    {"rows_taken", LossMeaning::Kind::kCost,
     "packets counted for their UID, not by tag and interface: too few counter "
     "rows (max_rows)"},
    {"drops_full", LossMeaning::Kind::kCost,
     "refused packets that were not counted: too few drop rows"},
    {"unparsable", LossMeaning::Kind::kCost,
     "packets with unknown headers: large ones counted as one packet each, "
     "rules about ports met as if they had none"},
    {"tables", LossMeaning::Kind::kFault,
     "a table could not be read, so packets were refused: a fault in "
     "netpolicy"},
    {"refused", LossMeaning::Kind::kCost,
     "refused packets whose peer could not be remembered: no memory"},
};

const LossMeaning* MeaningOf(absl::string_view name) {
  for (const LossMeaning& meaning : kMeanings) {
    if (meaning.name == name) return &meaning;
  }
  return nullptr;
}

TextTable::Cell StateCell(DoctorFinding::State state) {
  switch (state) {
    case DoctorFinding::State::kPresent:
      return {"yes", Ink::kGood};
    case DoctorFinding::State::kFallback:
      return {"fallback", Ink::kWarning};
    case DoctorFinding::State::kMissing:
      return {"no", Ink::kBad};
    case DoctorFinding::State::kUnknown:
      return {"unknown", Ink::kWarning};
  }
  return "";
}

absl::string_view StateName(DoctorFinding::State state) {
  switch (state) {
    case DoctorFinding::State::kPresent:
      return "present";
    case DoctorFinding::State::kFallback:
      return "fallback";
    case DoctorFinding::State::kMissing:
      return "missing";
    case DoctorFinding::State::kUnknown:
      return "unknown";
  }
  return "";
}

}  // namespace

absl::Status RunDoctor(const DoctorCommand&, Session& session) {
  // Without anything in force the machine can still be looked at.
  absl::optional<EngineStatus> status;
  absl::StatusOr<PolicyInterface*> policy = session.policy();
  absl::Status unreachable = policy.status();
  if (policy.ok()) {
    absl::StatusOr<EngineStatus> asked = (*policy)->Status();
    unreachable = asked.status();
    if (asked.ok()) status = *std::move(asked);
  }
  session.set_exit_code(kExitOk);
  const DoctorReport report = session.environment().examine(
      session.options(), status.has_value() ? &*status : nullptr);
  const std::vector<LossCounter> losses =
      status.has_value() ? status->losses : std::vector<LossCounter>();

  if (session.json()) {
    Json findings = Json::array();
    for (const DoctorFinding& finding : report) {
      findings.push_back({{"name", TextJson(finding.name)},
                          {"state", std::string(StateName(finding.state))},
                          {"detail", TextJson(finding.detail)},
                          {"cost", TextJson(finding.cost)}});
    }
    Json counters = Json::array();
    for (const LossCounter& loss : losses) {
      const LossMeaning* meaning = MeaningOf(loss.name);
      counters.push_back(
          {{"name", TextJson(loss.name)},
           {"count", loss.count},
           {"meaning", meaning == nullptr ? Json() : TextJson(meaning->text)}});
    }
    session.PrintJson(
        {{"findings", std::move(findings)},
         {"policy_error",
          unreachable.ok() ? Json() : TextJson(unreachable.message())},
         {"losses", std::move(counters)}});
    return absl::OkStatus();
  }

  TextTable machine(
      {{"feature"}, {"there"}, {"found, or what its lack costs"}});
  for (const DoctorFinding& finding : report) {
    std::vector<TextTable::Cell> notes;
    if (!finding.detail.empty()) notes.push_back(Printable(finding.detail));
    if (!finding.cost.empty()) {
      notes.emplace_back(Printable(finding.cost), Ink::kWarning);
    }
    if (notes.empty()) notes.emplace_back("");
    machine.AddRow(
        {Printable(finding.name), StateCell(finding.state), notes.front()});
    for (size_t i = 1; i < notes.size(); ++i) {
      machine.AddRow({"", "", notes[i]});
    }
  }
  session.Print(machine.ToString(session.colour()));
  session.Print("\n");
  if (!unreachable.ok()) {
    session.Print(absl::StrCat(
        Paint("no policy to look at: ", Ink::kWarning, session.colour()),
        Printable(unreachable.message()), "\n"));
    return absl::OkStatus();
  }
  TextTable table(
      {{"fallback or loss"}, {"count", TextTable::kRight}, {"meaning"}});
  for (const LossCounter& loss : losses) {
    if (loss.count == 0) continue;
    const LossMeaning* meaning = MeaningOf(loss.name);
    const bool normal =
        meaning != nullptr && meaning->kind == LossMeaning::Kind::kNormal;
    table.AddRow(
        {Printable(loss.name),
         {FormatCount(loss.count), normal ? Ink::kPlain : Ink::kWarning},
         meaning == nullptr ? "unknown to this ndc"
                            : std::string(meaning->text)});
  }
  session.Print(table.empty()
                    ? "no packet was lost, miscounted or slowed down\n"
                    : table.ToString(session.colour()));
  return absl::OkStatus();
}

}  // namespace netpolicy::cli
