// SPDX-License-Identifier: Apache-2.0

// usage, usage forget.

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "libpolicy/base/status_macros.h"
#include "netd/cli/commands.h"
#include "netd/cli/session.h"
#include "netd/cli/text_table.h"
#include "netd/cli/units.h"
#include "netd/cli/usage_page.h"

namespace netpolicy::cli {
namespace {

// Bars take what the other columns leave of a terminal. Where there is none, a
// line fits 80 columns.
constexpr size_t kBarWidth = 30;
constexpr size_t kLeastBarWidth = 10;

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
std::string Bar(uint64_t part, uint64_t whole, size_t width, bool ascii) {
  static constexpr const char* kEighths[] = {"",  "▏", "▎", "▍",
                                             "▌", "▋", "▊", "▉"};
  if (part == 0 || whole == 0) return "";
  const double columns = static_cast<double>(part) /
                         static_cast<double>(whole) *
                         static_cast<double>(width);
  if (ascii) {
    return std::string(std::max<size_t>(1, static_cast<size_t>(columns + 0.5)),
                       '#');
  }
  const auto eighths = std::max<size_t>(1, static_cast<size_t>(columns * 8));
  std::string bar;
  for (size_t i = 0; i < eighths / 8; ++i) bar += "█";
  return bar + kEighths[eighths % 8];
}

// The columns that say of when and of what a row is.
std::vector<TextTable::Column> KeyColumns(const UsageCommand& command) {
  std::vector<TextTable::Column> columns;
  if (command.bucket != "total") columns.push_back({command.bucket});
  columns.push_back({command.by});
  return columns;
}

std::vector<TextTable::Cell> KeyCells(const UsageCommand& command,
                                      const UsageRow& row, Session& session) {
  std::vector<TextTable::Cell> cells;
  if (command.bucket != "total") cells.emplace_back(StartText(command, row));
  cells.emplace_back(WhatText(command, row, session));
  return cells;
}

std::string Table(const UsageCommand& command,
                  const std::vector<UsageRow>& rows, Session& session) {
  std::vector<TextTable::Column> columns = KeyColumns(command);
  for (const char* title : {"in", "packets", "out", "packets"}) {
    columns.push_back({title, TextTable::kRight});
  }
  columns.push_back({""});
  TextTable table(std::move(columns));
  for (const UsageRow& row : rows) {
    std::vector<TextTable::Cell> cells = KeyCells(command, row, session);
    const UsageCounters& c = row.counters;
    cells.emplace_back(FormatBytes(c.rx_bytes));
    cells.emplace_back(FormatCount(c.rx_packets));
    cells.emplace_back(FormatBytes(c.tx_bytes));
    cells.emplace_back(FormatCount(c.tx_packets));
    cells.emplace_back(FlagsText(row.flags), Ink::kDim);
    table.AddRow(std::move(cells));
  }
  return table.ToString(session.colour());
}

std::string ChartOfWidth(const UsageCommand& command,
                         const std::vector<UsageRow>& rows, size_t bar_width,
                         Colour colour, Session& session) {
  uint64_t most = 0;
  for (const UsageRow& row : rows) most = std::max(most, row.counters.bytes());
  std::vector<TextTable::Column> columns = KeyColumns(command);
  columns.push_back({"bytes", TextTable::kRight});
  columns.push_back({""});
  TextTable table(std::move(columns));
  for (const UsageRow& row : rows) {
    std::vector<TextTable::Cell> cells = KeyCells(command, row, session);
    cells.emplace_back(FormatBytes(row.counters.bytes()));
    cells.emplace_back(
        Bar(row.counters.bytes(), most, bar_width,
            command.output == UsageCommand::Output::kAsciiChart));
    table.AddRow(std::move(cells));
  }
  return table.ToString(colour);
}

std::string Chart(const UsageCommand& command,
                  const std::vector<UsageRow>& rows, Session& session) {
  size_t width = kBarWidth;
  if (const absl::optional<TerminalSize>& terminal =
          session.environment().terminal) {
    const std::string others =
        ChartOfWidth(command, rows, 0, Colour::kNever, session);
    size_t used = 0;
    for (absl::string_view line : absl::StrSplit(others, '\n')) {
      used = std::max(used, line.size());
    }
    const auto columns = static_cast<size_t>(terminal->columns);
    width = std::max(kLeastBarWidth,
                     columns > used + 2 ? columns - used - 2 : size_t{0});
  }
  return ChartOfWidth(command, rows, width, session.colour(), session);
}

absl::Status WritePage(const UsageCommand& command,
                       const std::vector<UsageRow>& rows, Session& session) {
  UsagePageContent content;
  content.by = command.by;
  content.question = command.question;
  content.bucket = command.query.bucket;
  content.zone = absl::LocalTimeZone();
  content.made = absl::Now();
  std::map<UsageKey, UsagePageSeries> series;
  for (const UsageRow& row : rows) {
    UsagePageSeries& one = series[row.key];
    one.buckets.push_back({row.start, row.counters, row.flags});
    if (one.name.empty()) one.name = WhatText(command, row, session);
  }
  for (auto& [key, one] : series) content.series.push_back(std::move(one));
  NP_ASSIGN_OR_RETURN(const std::string page, UsagePage(content));
  return session.environment().write_file(command.html_file, page);
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
  if (command.output == UsageCommand::Output::kHtml) {
    return WritePage(command, rows, session);
  }
  // Of a total, the most first.
  if (command.query.bucket == UsagePeriod::kTotal) {
    std::stable_sort(rows.begin(), rows.end(),
                     [](const UsageRow& a, const UsageRow& b) {
                       return a.counters.bytes() > b.counters.bytes();
                     });
  }
  if (rows.empty()) {
    session.Print("no usage is stored of that\n");
  } else if (command.output == UsageCommand::Output::kTable) {
    session.Print(Table(command, rows, session));
  } else {
    session.Print(Chart(command, rows, session));
  }
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
