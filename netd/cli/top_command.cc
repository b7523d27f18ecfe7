// SPDX-License-Identifier: Apache-2.0

// top: what passes now, again and again.

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/engine/stats_reader.h"
#include "netd/cli/commands.h"
#include "netd/cli/screen.h"
#include "netd/cli/stats_reading.h"
#include "netd/cli/stats_text.h"
#include "netd/cli/units.h"

namespace netpolicy::cli {
namespace {

using Sort = TopCommand::Sort;

// What passed in an interval.
struct Interval {
  StatsReading grown;
  absl::Duration length;

  double Rate(uint64_t count) const {
    return static_cast<double>(count) / absl::ToDoubleSeconds(length);
  }
};

uint64_t Weight(const Sum& sum, Sort sort) {
  switch (sort) {
    case Sort::kRx:
      return sum.rx.bytes;
    case Sort::kTx:
      return sum.tx.bytes;
    case Sort::kRefused:
      return sum.refused.all();
    case Sort::kTotal:
      break;
  }
  return sum.rx.bytes + sum.tx.bytes;
}

std::string ByteRate(double rate) {
  return absl::StrCat(FormatBytes(static_cast<uint64_t>(rate)), "/s");
}

// Few are worth a digit more: "0.5", "9.9", "1,234".
std::string CountRate(double rate) {
  if (rate > 0 && rate < 9.95) return absl::StrFormat("%.1f", rate);
  return FormatCount(static_cast<uint64_t>(std::llround(rate)));
}

TextTable::Cell Dimmed(std::string text, bool is_zero,
                       Ink otherwise = Ink::kPlain) {
  return {std::move(text), is_zero ? Ink::kDim : otherwise};
}

Sum Total(const Interval& interval) {
  Sum total = interval.grown.overflow;
  for (const auto& [subject, sum] : interval.grown.rows) total += sum;
  return total;
}

// Subjects seen since the beginning, the busiest first.
class Ranking {
 public:
  explicit Ranking(Sort sort) : sort_(sort) {}

  struct Row {
    uint32_t subject = 0;
    Sum now;    // in the last interval
    Sum since;  // from the beginning
  };

  void Add(const StatsReading& grown) {
    for (auto& [subject, row] : rows_) row.now = Sum();
    for (const auto& [subject, sum] : grown.rows) {
      Row& row = rows_[subject];
      row.subject = subject;
      row.now = sum;
      row.since += sum;
    }
  }

  // Those who do nothing now stay in the order of what they did.
  std::vector<const Row*> Sorted() const {
    std::vector<const Row*> sorted;
    for (const auto& [subject, row] : rows_) sorted.push_back(&row);
    std::stable_sort(sorted.begin(), sorted.end(),
                     [this](const Row* a, const Row* b) {
                       const auto key = [this](const Row* row) {
                         return std::make_tuple(Weight(row->now, sort_),
                                                Weight(row->now, Sort::kTotal),
                                                Weight(row->since, sort_));
                       };
                       return key(a) > key(b);
                     });
    return sorted;
  }

 private:
  Sort sort_;
  std::map<uint32_t, Row> rows_;
};

std::string HeadLine(const TopCommand& command, const Interval& interval) {
  const Sum total = Total(interval);
  std::string line = absl::StrFormat("ndc top, %.1f s: %s in, %s out",
                                     absl::ToDoubleSeconds(interval.length),
                                     ByteRate(interval.Rate(total.rx.bytes)),
                                     ByteRate(interval.Rate(total.tx.bytes)));
  if (command.by == StatsCommand::By::kUid) {
    absl::StrAppend(&line, ", ", CountRate(interval.Rate(total.refused.all())),
                    " refused/s");
  }
  return line;
}

// At most `lines` lines, and for most names 80 columns. Overflow, which is
// nobody's, comes first: something is wrong.
std::string Page(const TopCommand& command, const Interval& interval,
                 const Ranking& ranking, size_t lines, Session& session) {
  const bool by_uid = command.by == StatsCommand::By::kUid;
  std::vector<TextTable::Column> columns = {{SubjectTitle(command.by)}};
  for (const char* title : {"rx", "tx", "rx pkt/s", "tx pkt/s"}) {
    columns.push_back({title, TextTable::kRight});
  }
  if (by_uid) columns.push_back({"refused/s", TextTable::kRight});
  columns.push_back({"since", TextTable::kRight});
  TextTable table(std::move(columns));

  const auto add = [&](std::string name, Ink ink, const Sum& now,
                       const Sum* since) {
    std::vector<TextTable::Cell> cells = {{std::move(name), ink}};
    for (const uint64_t bytes : {now.rx.bytes, now.tx.bytes}) {
      cells.push_back(Dimmed(ByteRate(interval.Rate(bytes)), bytes == 0));
    }
    for (const uint64_t packets : {now.rx.packets, now.tx.packets}) {
      cells.push_back(Dimmed(CountRate(interval.Rate(packets)), packets == 0));
    }
    if (by_uid) {
      const uint64_t refused = now.refused.all();
      cells.push_back(
          Dimmed(CountRate(interval.Rate(refused)), refused == 0, Ink::kBad));
    }
    cells.emplace_back(since == nullptr
                           ? "-"
                           : FormatBytes(since->rx.bytes + since->tx.bytes));
    table.AddRow(std::move(cells));
  };

  // The head line, an empty one, the header, and the one of those left out.
  constexpr size_t kOtherLines = 4;
  size_t room = lines > kOtherLines ? lines - kOtherLines : 1;
  const Sum& overflow = interval.grown.overflow;
  if (overflow.rx.skbs != 0 || overflow.tx.skbs != 0) {
    add("unknown (table full)", Ink::kWarning, overflow, nullptr);
    --room;
  }
  const std::vector<const Ranking::Row*> sorted = ranking.Sorted();
  const size_t shown = std::min(room, sorted.size());
  for (size_t i = 0; i < shown; ++i) {
    add(SubjectText(sorted[i]->subject, command.by, session), Ink::kPlain,
        sorted[i]->now, &sorted[i]->since);
  }
  std::string page = absl::StrCat(
      Paint(HeadLine(command, interval), Ink::kStrong, session.colour()),
      "\n\n", table.ToString(session.colour()));
  if (shown < sorted.size()) {
    absl::StrAppend(&page, "and ", sorted.size() - shown, " more\n");
  }
  return page;
}

Json RatesJson(const Interval& interval, const Sum& sum) {
  Json json = SumJson(sum);
  json["rx_bytes_per_second"] = interval.Rate(sum.rx.bytes);
  json["tx_bytes_per_second"] = interval.Rate(sum.tx.bytes);
  return json;
}

// One line of JSON.
std::string JsonLine(const TopCommand& command, const Interval& interval,
                     const Ranking& ranking, Session& session) {
  const bool by_uid = command.by == StatsCommand::By::kUid;
  const auto fill = [&](Json json, const Sum& sum) {
    json.update(RatesJson(interval, sum));
    if (by_uid) json["refused"] = RefusedJson(sum.refused);
    return json;
  };
  Json rows = Json::array();
  for (const Ranking::Row* row : ranking.Sorted()) {
    if (interval.grown.rows.count(row->subject) == 0) continue;
    rows.push_back(
        fill(SubjectJson(row->subject, command.by, session.names()), row->now));
  }
  const Json json = {{"version", kJsonVersion},
                     {"by", std::string(ByName(command.by))},
                     {"seconds", absl::ToDoubleSeconds(interval.length)},
                     {"rows", std::move(rows)},
                     {"overflow", RatesJson(interval, interval.grown.overflow)},
                     {"total", fill(Json::object(), Total(interval))}};
  return absl::StrCat(json.dump(-1, ' ', /*ensure_ascii=*/false,
                                Json::error_handler_t::replace),
                      "\n");
}

}  // namespace

absl::Status RunTop(const TopCommand& command, Session& session) {
  NP_ASSIGN_OR_RETURN(PolicyInterface * policy, session.policy());
  StatsReader reader(*policy);
  absl::Duration before = session.Uptime();
  NP_RETURN_IF_ERROR(reader.Next().status());

  // From here on every return gives the terminal back.
  std::unique_ptr<Screen> screen;
  if (!session.json() && !command.plain) screen = session.OpenScreen();
  if (screen != nullptr) {
    screen->Show(absl::StrCat("ndc top: counting for ",
                              absl::FormatDuration(command.interval),
                              "; q ends"));
  }
  const auto wait = [&](absl::Duration time) {
    return screen != nullptr ? screen->Wait(time) : session.Wait(time);
  };

  Ranking ranking(command.sort);
  absl::Duration due = before + command.interval;
  for (uint32_t shown = 0; command.count == 0 || shown < command.count;) {
    const absl::Duration left = due - session.Uptime();
    if (!wait(std::max(left, absl::ZeroDuration()))) break;
    const absl::StatusOr<StatsGrowth> read = reader.Next();
    const absl::Duration now = session.Uptime();
    if (screen != nullptr && absl::IsUnavailable(read.status())) {
      // A netd that is started again counts on where it was. Scripts are told.
      if (!screen->Show(absl::StrCat("ndc top: waiting for netd: ",
                                     read.status().message(), "; q ends"))) {
        break;
      }
      due = now + command.interval;
      continue;
    }
    NP_RETURN_IF_ERROR(read.status());
    const StatsGrowth& growth = *read;
    // By the clock, but nothing is made up for.
    due = std::max(due + command.interval, now);
    const Interval interval = {SumUp(growth.grown, command.by), now - before};
    before = now;
    // Of tables made anew nobody knows since when: the next interval is good.
    if (growth.began_anew || interval.length <= absl::ZeroDuration()) continue;
    ranking.Add(interval.grown);
    ++shown;
    if (session.json()) {
      if (!session.Stream(JsonLine(command, interval, ranking, session))) break;
    } else if (screen == nullptr) {
      constexpr size_t kPlainRows = 1000;
      const std::string page =
          Page(command, interval, ranking, kPlainRows, session);
      if (!session.Stream(absl::StrCat(shown > 1 ? "\n" : "", page))) break;
    } else if (!screen->Show(Page(command, interval, ranking,
                                  screen->size().rows, session))) {
      break;
    }
  }
  return absl::OkStatus();
}

}  // namespace netpolicy::cli
