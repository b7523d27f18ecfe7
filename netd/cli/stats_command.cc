// SPDX-License-Identifier: Apache-2.0

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libpolicy/base/status_macros.h"
#include "netd/cli/commands.h"
#include "netd/cli/stats_reading.h"
#include "netd/cli/stats_text.h"
#include "netd/cli/units.h"

namespace netpolicy::cli {
namespace {

bool HasTraffic(const Sum& sum) { return sum.rx.skbs != 0 || sum.tx.skbs != 0; }

class Table {
 public:
  enum class Drops { kShown, kNone };

  Table(const char* subject, Drops drops)
      : drops_(drops), table_(Columns(subject, drops)) {}

  void Add(std::string subject, const Sum& sum, Ink ink = Ink::kPlain) {
    const auto count = [](uint64_t n, Ink ink_of_count) {
      return TextTable::Cell(FormatCount(n), n == 0 ? Ink::kDim : ink_of_count);
    };
    std::vector<TextTable::Cell> cells = {{std::move(subject), ink},
                                          count(sum.rx.packets, ink),
                                          FormatBytes(sum.rx.bytes),
                                          count(sum.tx.packets, ink),
                                          FormatBytes(sum.tx.bytes)};
    if (drops_ == Drops::kShown) {
      cells.push_back(count(sum.refused.ingress, Ink::kBad));
      cells.push_back(count(sum.refused.egress, Ink::kBad));
      cells.push_back(count(sum.refused.calls(), Ink::kBad));
    }
    table_.AddRow(std::move(cells));
  }

  void Print(Session& session) const {
    session.Print(table_.ToString(session.colour()));
  }

 private:
  static std::vector<TextTable::Column> Columns(const char* subject,
                                                Drops drops) {
    std::vector<TextTable::Column> columns = {{subject},
                                              {"rx packets", TextTable::kRight},
                                              {"rx bytes", TextTable::kRight},
                                              {"tx packets", TextTable::kRight},
                                              {"tx bytes", TextTable::kRight}};
    if (drops == Drops::kShown) {
      columns.push_back({"rx refused", TextTable::kRight});
      columns.push_back({"tx refused", TextTable::kRight});
      columns.push_back({"calls refused", TextTable::kRight});
    }
    return columns;
  }

  Drops drops_;
  TextTable table_;
};

void PrintDrops(const StatsSnapshot& stats, Session& session) {
  if (stats.drops.empty()) return;
  TextTable table({{"uid"},
                   {"refused"},
                   {"reasons"},
                   {"packets", TextTable::kRight},
                   {"bytes", TextTable::kRight}});
  for (const DropRow& drop : stats.drops) {
    table.AddRow({session.Who(drop.uid),
                  std::string(DirectionName(drop.direction)),
                  Printable(absl::StrJoin(drop.reason_names, ", ")),
                  FormatCount(drop.packets),
                  IsPacket(drop.direction) ? FormatBytes(drop.bytes) : "-"});
  }
  session.Print("\n");
  session.Print(table.ToString(session.colour()));
}

enum class Since { kTheTablesWereMade, kEarlierReading };

Json StatsJson(const StatsSnapshot& stats, const StatsReading& reading,
               Since since, Names& names) {
  Json rows = Json::array();
  for (const auto& [subject, sum] : reading.rows) {
    Json row = SubjectJson(subject, reading.by, names);
    row.update(SumJson(sum));
    if (reading.by == StatsCommand::By::kUid) {
      row["refused"] = RefusedJson(sum.refused);
    }
    rows.push_back(std::move(row));
  }
  Json drops = Json::array();
  for (const DropRow& drop : stats.drops) {
    Json row = UidJson(drop.uid, names);
    row["direction"] = std::string(DirectionName(drop.direction));
    row["reasons"] = Json::array();
    const std::vector<int> numbers = drop.reasons.numbers();
    for (size_t i = 0; i < numbers.size(); ++i) {
      row["reasons"].push_back(
          {{"number", numbers[i]},
           {"name",
            TextJson(i < drop.reason_names.size() ? drop.reason_names[i]
                                                  : ReasonName(numbers[i]))}});
    }
    row["packets"] = drop.packets;
    row["bytes"] = drop.bytes;
    drops.push_back(std::move(row));
  }
  Json json = {{"by", std::string(ByName(reading.by))}};
  if (reading.uid.has_value()) json["only_uid"] = ToInt(*reading.uid);
  json["tables"] = {{"boot", reading.life.boot}, {"rows", reading.life.rows}};
  if (since == Since::kEarlierReading) json["difference"] = true;
  json["rows"] = std::move(rows);
  json["overflow"] = SumJson(reading.overflow);
  json["drops"] = std::move(drops);
  return json;
}

void KeepOnly(Uid uid, StatsSnapshot& stats) {
  const auto is_other = [uid](const auto& row) { return row.uid != uid; };
  std::erase_if(stats.rows, is_other);
  std::erase_if(stats.drops, is_other);
  // What overflowed is nobody's.
  stats.overflow_rx = {};
  stats.overflow_tx = {};
}

absl::StatusOr<TablesLife> LifeOf(PolicyInterface& policy, Session& session) {
  TablesLife life;
  NP_ASSIGN_OR_RETURN(const EngineStatus status, policy.Status());
  for (const MapStatus& map : status.maps) {
    if (map.name == "np_rows") life.rows = map.id;
  }
  absl::StatusOr<std::string> boot =
      session.environment().read_file("/proc/sys/kernel/random/boot_id");
  if (boot.ok()) {
    life.boot = std::string(absl::StripTrailingAsciiWhitespace(*boot));
  }
  return life;
}

// Leaves of the snapshot's drops those that the reading has.
void KeepDrops(const StatsReading& reading, StatsSnapshot& stats) {
  std::vector<DropRow> drops;
  for (DropRow& drop : stats.drops) {
    const auto it =
        reading.drops.find({drop.uid, drop.direction, drop.reasons.bits()});
    if (it == reading.drops.end()) continue;
    drop.packets = it->second.first;
    drop.bytes = it->second.second;
    drops.push_back(std::move(drop));
  }
  stats.drops = std::move(drops);
}

}  // namespace

absl::Status RunStats(const StatsCommand& command, Session& session) {
  // Whoever compares wants to know first that it can be done.
  absl::optional<StatsReading> before;
  if (!command.since.empty()) {
    NP_ASSIGN_OR_RETURN(const std::string text,
                        session.environment().read_file(command.since));
    NP_ASSIGN_OR_RETURN(before, ParseReading(text, command.since));
  }
  NP_ASSIGN_OR_RETURN(PolicyInterface * policy, session.policy());
  TablesLife life;
  if (session.json() || before.has_value()) {
    NP_ASSIGN_OR_RETURN(life, LifeOf(*policy, session));
  }
  NP_ASSIGN_OR_RETURN(StatsSnapshot stats, policy->Stats());
  if (command.uid.has_value()) KeepOnly(*command.uid, stats);
  StatsReading reading = SumUp(stats, command.by);
  reading.uid = command.uid;
  reading.life = life;
  if (before.has_value()) {
    NP_RETURN_IF_ERROR(Subtract(*before, command.since, reading));
    KeepDrops(reading, stats);
  }

  if (session.json()) {
    session.PrintJson(StatsJson(
        stats, reading,
        before.has_value() ? Since::kEarlierReading : Since::kTheTablesWereMade,
        session.names()));
    return absl::OkStatus();
  }
  Sum total;
  // What was refused did not go through an interface.
  Table table(SubjectTitle(command.by), command.by == StatsCommand::By::kUid
                                            ? Table::Drops::kShown
                                            : Table::Drops::kNone);
  for (const auto& [subject, sum] : reading.rows) {
    table.Add(SubjectText(subject, command.by, session), sum);
    total += sum;
  }
  if (HasTraffic(reading.overflow)) {
    table.Add("unknown (table full)", reading.overflow, Ink::kWarning);
    total += reading.overflow;
  }
  table.Add("total", total, Ink::kStrong);
  table.Print(session);
  PrintDrops(stats, session);
  return absl::OkStatus();
}

}  // namespace netpolicy::cli
