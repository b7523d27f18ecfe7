// SPDX-License-Identifier: Apache-2.0

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libpolicy/base/status_macros.h"
#include "netd/cli/commands.h"
#include "netd/cli/units.h"

namespace netpolicy::cli {
namespace {

void Add(const TrafficCounters& from, TrafficCounters& to) {
  to.packets += from.packets;
  to.bytes += from.bytes;
  to.skbs += from.skbs;
  to.skb_bytes += from.skb_bytes;
}

// Packets that were refused, by Direction.
struct Refused {
  uint64_t ingress = 0;
  uint64_t egress = 0;
  uint64_t socket_create = 0;
  uint64_t connect = 0;
  uint64_t bind = 0;

  uint64_t calls() const { return socket_create + connect + bind; }
};

struct Sum {
  TrafficCounters rx;
  TrafficCounters tx;
  Refused refused;
};

void Add(const Sum& from, Sum& to) {
  Add(from.rx, to.rx);
  Add(from.tx, to.tx);
  to.refused.ingress += from.refused.ingress;
  to.refused.egress += from.refused.egress;
  to.refused.socket_create += from.refused.socket_create;
  to.refused.connect += from.refused.connect;
  to.refused.bind += from.refused.bind;
}

void AddDrop(const DropRow& drop, Refused& refused) {
  switch (drop.direction) {
    case Direction::kIngress:
      refused.ingress += drop.packets;
      break;
    case Direction::kEgress:
      refused.egress += drop.packets;
      break;
    case Direction::kSocketCreate:
      refused.socket_create += drop.packets;
      break;
    case Direction::kConnect:
      refused.connect += drop.packets;
      break;
    case Direction::kBind:
      refused.bind += drop.packets;
      break;
  }
}

Json CountersJson(const TrafficCounters& counters) {
  return {{"packets", counters.packets},
          {"bytes", counters.bytes},
          {"skbs", counters.skbs},
          {"skb_bytes", counters.skb_bytes}};
}

Json SumJson(const Sum& sum) {
  return {{"rx", CountersJson(sum.rx)}, {"tx", CountersJson(sum.tx)}};
}

Json RefusedJson(const Refused& refused) {
  return {{"ingress", refused.ingress},
          {"egress", refused.egress},
          {"socket_create", refused.socket_create},
          {"connect", refused.connect},
          {"bind", refused.bind}};
}

std::string InterfaceText(IfIndex ifindex, Names& names) {
  const absl::optional<std::string> name = names.InterfaceName(ifindex);
  return name.has_value()
             ? absl::StrCat(ToInt(ifindex), " (", Printable(*name), ")")
             : absl::StrCat(ToInt(ifindex));
}

bool HasTraffic(const StatsSnapshot& stats) {
  return stats.overflow_rx.skbs != 0 || stats.overflow_tx.skbs != 0;
}

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
    table.AddRow(
        {session.Who(drop.uid), std::string(DirectionName(drop.direction)),
         Printable(absl::StrJoin(drop.reason_names, ", ")),
         FormatCount(drop.packets),
         drop.direction == Direction::kSocketCreate ? "-"
                                                    : FormatBytes(drop.bytes)});
  }
  session.Print("\n");
  session.Print(table.ToString(session.colour()));
}

Json StatsJson(const StatsSnapshot& stats, const std::map<Uid, Sum>& by_uid,
               const std::map<IfIndex, Sum>& by_interface, StatsCommand::By by,
               Names& names) {
  Json rows = Json::array();
  if (by == StatsCommand::By::kUid) {
    for (const auto& [uid, sum] : by_uid) {
      Json row = UidJson(uid, names);
      row.update(SumJson(sum));
      row["refused"] = RefusedJson(sum.refused);
      rows.push_back(std::move(row));
    }
  } else {
    for (const auto& [ifindex, sum] : by_interface) {
      Json row = {{"ifindex", ToInt(ifindex)}};
      if (const absl::optional<std::string> name =
              names.InterfaceName(ifindex)) {
        row["interface"] = TextJson(*name);
      }
      row.update(SumJson(sum));
      rows.push_back(std::move(row));
    }
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
  return {{"by", by == StatsCommand::By::kUid ? "uid" : "iface"},
          {"rows", std::move(rows)},
          {"overflow", SumJson({stats.overflow_rx, stats.overflow_tx, {}})},
          {"drops", std::move(drops)}};
}

void KeepOnly(Uid uid, StatsSnapshot& stats) {
  const auto is_other = [uid](const auto& row) { return row.uid != uid; };
  std::erase_if(stats.rows, is_other);
  std::erase_if(stats.drops, is_other);
  // What overflowed is nobody's.
  stats.overflow_rx = {};
  stats.overflow_tx = {};
}

}  // namespace

absl::Status RunStats(const StatsCommand& command, Session& session) {
  NP_ASSIGN_OR_RETURN(PolicyInterface * policy, session.policy());
  NP_ASSIGN_OR_RETURN(StatsSnapshot stats, policy->Stats());
  if (command.uid.has_value()) KeepOnly(*command.uid, stats);

  std::map<Uid, Sum> by_uid;
  std::map<IfIndex, Sum> by_interface;
  for (const StatsRow& row : stats.rows) {
    const Sum sum = {row.rx, row.tx, {}};
    Add(sum, by_uid[row.uid]);
    Add(sum, by_interface[row.ifindex]);
  }
  for (const DropRow& drop : stats.drops) {
    AddDrop(drop, by_uid[drop.uid].refused);
  }

  if (session.json()) {
    session.PrintJson(
        StatsJson(stats, by_uid, by_interface, command.by, session.names()));
    return absl::OkStatus();
  }
  Sum total;
  const bool uids = command.by == StatsCommand::By::kUid;
  // What was refused did not go through an interface.
  Table table(uids ? "uid" : "interface",
              uids ? Table::Drops::kShown : Table::Drops::kNone);
  if (uids) {
    for (const auto& [uid, sum] : by_uid) {
      table.Add(session.Who(uid), sum);
      Add(sum, total);
    }
  } else {
    for (const auto& [ifindex, sum] : by_interface) {
      table.Add(InterfaceText(ifindex, session.names()), sum);
      Add(sum, total);
    }
  }
  if (HasTraffic(stats)) {
    const Sum overflow = {stats.overflow_rx, stats.overflow_tx, {}};
    table.Add("unknown (table full)", overflow, Ink::kWarning);
    Add(overflow, total);
  }
  table.Add("total", total, Ink::kStrong);
  table.Print(session);
  PrintDrops(stats, session);
  return absl::OkStatus();
}

}  // namespace netpolicy::cli
