// SPDX-License-Identifier: Apache-2.0

// usage, usage forget.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "libpolicy/base/status_macros.h"
#include "netd/cli/commands.h"
#include "netd/cli/session.h"
#include "netd/cli/text_table.h"
#include "netd/cli/units.h"

namespace netpolicy::cli {
namespace {

constexpr size_t kBarWidth = 30;  // so that a line fits 80 columns

uint64_t Bytes(const UsageRow& row) {
  return row.counters.rx_bytes + row.counters.tx_bytes;
}

std::string StartText(const UsageCommand& command, const UsageRow& row) {
  const char* const format = command.bucket == "month" ? "%Y-%m"
                             : command.bucket == "day" ? "%Y-%m-%d"
                                                       : "%Y-%m-%d %H:%M";
  return absl::FormatTime(format, absl::FromUnixSeconds(row.start),
                          absl::LocalTimeZone());
}

std::string IsoTime(const UsageRow& row) {
  return FormatUtc(absl::FromUnixSeconds(row.start));
}

std::string WhatText(const UsageCommand& command, const UsageRow& row,
                     Session& session) {
  if (command.by == "tag") return absl::StrCat(row.key.tag);
  if (command.by == "set") return absl::StrCat(row.key.counter_set);
  if (command.by == "iface") return Printable(row.key.interface);
  return session.Who(Uid{row.key.uid});
}

std::string FlagsText(uint32_t flags) {
  std::string text;
  if ((flags & kUsageClockSet) != 0) text = "clock set";
  if ((flags & kUsageEstimated) != 0) {
    absl::StrAppend(&text, text.empty() ? "" : ", ", "time estimated");
  }
  return text;
}

Json RowJson(const UsageCommand& command, const UsageRow& row,
             Session& session) {
  Json json = {{"start", IsoTime(row)}};
  if (command.by == "uid")
    json.update(UidJson(Uid{row.key.uid}, session.names()));
  if (command.by == "tag") json["tag"] = row.key.tag;
  if (command.by == "set") json["counter_set"] = row.key.counter_set;
  if (command.by == "iface") json["interface"] = TextJson(row.key.interface);
  json["rx_packets"] = row.counters.rx_packets;
  json["rx_bytes"] = row.counters.rx_bytes;
  json["tx_packets"] = row.counters.tx_packets;
  json["tx_bytes"] = row.counters.tx_bytes;
  json["clock_set"] = (row.flags & kUsageClockSet) != 0;
  json["time_estimated"] = (row.flags & kUsageEstimated) != 0;
  return json;
}

// RFC 4180, but with plain line ends.
std::string CsvField(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

std::string Csv(const UsageCommand& command,
                const std::vector<UsageRow>& rows) {
  std::string text = absl::StrCat(
      "start,", command.by, ",rx_packets,rx_bytes,tx_packets,tx_bytes,flags\n");
  for (const UsageRow& row : rows) {
    const std::string what =
        command.by == "tag"     ? absl::StrCat(row.key.tag)
        : command.by == "set"   ? absl::StrCat(row.key.counter_set)
        : command.by == "iface" ? CsvField(row.key.interface)
                                : absl::StrCat(row.key.uid);
    const UsageCounters& c = row.counters;
    absl::StrAppend(&text, IsoTime(row), ",", what, ",");
    absl::StrAppend(&text, c.rx_packets, ",", c.rx_bytes, ",", c.tx_packets,
                    ",", c.tx_bytes);
    absl::StrAppend(&text, ",", row.flags, "\n");
  }
  return text;
}

// `part` of `whole` as a bar, in eighths of a column; what isn't 0 is seen.
std::string Bar(uint64_t part, uint64_t whole, bool ascii) {
  static constexpr const char* kEighths[] = {"",  "▏", "▎", "▍",
                                             "▌", "▋", "▊", "▉"};
  if (part == 0 || whole == 0) return "";
  const double columns =
      static_cast<double>(part) / static_cast<double>(whole) * kBarWidth;
  if (ascii) {
    return std::string(std::max<size_t>(1, static_cast<size_t>(columns + 0.5)),
                       '#');
  }
  const auto eighths = std::max<size_t>(1, static_cast<size_t>(columns * 8));
  std::string bar;
  for (size_t i = 0; i < eighths / 8; ++i) bar += "█";
  return bar + kEighths[eighths % 8];
}

std::string Table(const UsageCommand& command,
                  const std::vector<UsageRow>& rows, Session& session) {
  const bool chart = command.output != UsageCommand::Output::kTable;
  uint64_t most = 0;
  for (const UsageRow& row : rows) most = std::max(most, Bytes(row));
  std::vector<TextTable::Column> columns;
  const bool total = command.bucket == "total";
  if (!total) columns.push_back({command.bucket});
  columns.push_back({command.by});
  if (chart) {
    columns.push_back({"bytes", TextTable::kRight});
    columns.push_back({""});
  } else {
    for (const char* title : {"in", "packets", "out", "packets"}) {
      columns.push_back({title, TextTable::kRight});
    }
    columns.push_back({""});
  }
  TextTable table(std::move(columns));
  for (const UsageRow& row : rows) {
    std::vector<TextTable::Cell> cells;
    if (!total) cells.emplace_back(StartText(command, row));
    cells.emplace_back(WhatText(command, row, session));
    if (chart) {
      cells.emplace_back(FormatBytes(Bytes(row)));
      cells.emplace_back(
          Bar(Bytes(row), most,
              command.output == UsageCommand::Output::kAsciiChart));
    } else {
      const UsageCounters& c = row.counters;
      cells.emplace_back(FormatBytes(c.rx_bytes));
      cells.emplace_back(FormatCount(c.rx_packets));
      cells.emplace_back(FormatBytes(c.tx_bytes));
      cells.emplace_back(FormatCount(c.tx_packets));
      cells.emplace_back(FlagsText(row.flags), Ink::kDim);
    }
    table.AddRow(std::move(cells));
  }
  return table.ToString(session.colour());
}

}  // namespace

absl::Status RunUsage(const UsageCommand& command, Session& session) {
  NP_ASSIGN_OR_RETURN(UsageHistory * history, session.usage());
  NP_ASSIGN_OR_RETURN(std::vector<UsageRow> rows,
                      history->Usage(command.query));
  if (session.json()) {
    Json list = Json::array();
    for (const UsageRow& row : rows) {
      list.push_back(RowJson(command, row, session));
    }
    session.PrintJson({{"bucket", command.bucket},
                       {"by", command.by},
                       {"rows", std::move(list)}});
    return absl::OkStatus();
  }
  if (command.output == UsageCommand::Output::kCsv) {
    session.Print(Csv(command, rows));
    return absl::OkStatus();
  }
  // Of a total, the most first.
  if (command.query.bucket == UsagePeriod::kTotal) {
    std::stable_sort(rows.begin(), rows.end(),
                     [](const UsageRow& a, const UsageRow& b) {
                       return Bytes(a) > Bytes(b);
                     });
  }
  session.Print(rows.empty() ? "no usage is stored of that\n"
                             : Table(command, rows, session));
  return absl::OkStatus();
}

absl::Status RunUsageForget(const UsageForgetCommand& command,
                            Session& session) {
  NP_ASSIGN_OR_RETURN(UsageHistory * history, session.usage());
  NP_RETURN_IF_ERROR(history->ForgetUsage(ToInt(command.uid)));
  // Silence is success, but for machines.
  if (session.json()) session.PrintJson(UidJson(command.uid, session.names()));
  return absl::OkStatus();
}

}  // namespace netpolicy::cli
