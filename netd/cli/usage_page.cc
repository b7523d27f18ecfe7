// SPDX-License-Identifier: Apache-2.0

#include "netd/cli/usage_page.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/time/civil_time.h"
#include "libpolicy/base/status_macros.h"
#include "netd/cli/units.h"

namespace netpolicy::cli {
namespace {

// Charts beyond these would make a page that nobody can scroll.
constexpr size_t kMaxCharts = 100;

// In the units of the drawing; the browser scales it.
constexpr double kWidth = 760;
constexpr double kHeight = 150;
constexpr double kLeft = 64;    // for the numbers
constexpr double kBottom = 22;  // for the times
constexpr double kTop = 8;
constexpr int kTimeLabels = 6;

constexpr char kHead[] =
    R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Data usage</title>
<style>
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --line: #dfe3e8; --text: #1c2430;
  --soft: #5b6675; --in: #2f6fb7; --out: #d9822b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14181f; --card: #1d232c; --line: #343d49; --text: #e6eaf0;
    --soft: #9aa6b5; --in: #6aa5e3; --out: #eda55a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2rem 1rem 4rem; max-width: 56rem;
  background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif;
}
h1 { font-size: 1.6rem; margin: 0; }
h2 { font-size: 1.1rem; margin: 0; overflow-wrap: anywhere; }
p { margin: .2rem 0; }
a { color: inherit; }
.soft { color: var(--soft); }
.card {
  background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 1rem 1.2rem; margin-top: 1.2rem; overflow-x: auto;
}
.figures { display: flex; flex-wrap: wrap; gap: .4rem 2.4rem; margin-top: .8rem; }
.figures div { font-size: 1.4rem; font-weight: 600; }
.figures span { display: block; font-size: .85rem; font-weight: 400; color: var(--soft); }
.key { display: inline-block; width: .75em; height: .75em; border-radius: 2px; margin-right: .35em; }
.in { background: var(--in); fill: var(--in); }
.out { background: var(--out); fill: var(--out); }
.unsure { opacity: .55; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .5rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 500; color: var(--soft); }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
td:first-child { overflow-wrap: anywhere; white-space: normal; min-width: 7rem; }
td.bar { width: 34%; min-width: 8rem; text-align: left; }
tr:last-child td { border-bottom: 0; }
.bar i { display: inline-block; height: .8em; min-width: 1px; vertical-align: middle; }
.bar i:first-child { border-radius: 3px 0 0 3px; }
.bar i:last-child { border-radius: 0 3px 3px 0; }
svg { display: block; width: 100%; height: auto; min-width: 30rem; margin-top: .6rem; }
svg text { fill: var(--soft); font-size: 11px; }
svg line { stroke: var(--line); stroke-width: 1; }
svg g:hover rect { opacity: .75; }
details { margin-top: .6rem; }
summary { cursor: pointer; color: var(--soft); }
@media (max-width: 40rem) { .bar { display: none; } }
@media print { body { background: none; } .card { break-inside: avoid; } }
</style>
</head>
<body>
)";

std::string Escaped(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"&", "&amp;"},
                                    {"<", "&lt;"},
                                    {">", "&gt;"},
                                    {"\"", "&quot;"},
                                    {"'", "&#39;"}});
}

// A series in the order of the page.
struct Chart {
  const UsagePageSeries* series;
  UsageCounters sum;
};

// Where a time is on the axis that all charts share: buckets since the first.
class Axis {
 public:
  static absl::StatusOr<Axis> Make(const UsagePageContent& content) {
    Axis axis(content.bucket, content.zone);
    bool any = false;
    int64_t last = 0;
    for (const UsagePageSeries& series : content.series) {
      for (const auto& bucket : series.buckets) {
        axis.first_ = any ? std::min(axis.first_, bucket.start) : bucket.start;
        last = any ? std::max(last, bucket.start) : bucket.start;
        any = true;
      }
    }
    if (!any) return axis;
    axis.size_ = axis.IndexOf(last) + 1;
    if (axis.size_ > kMaxChartBuckets) {
      return absl::InvalidArgumentError(
          absl::StrCat("usage: ", axis.size_,
                       " buckets are too many for a chart, which has "
                       "at most ",
                       kMaxChartBuckets,
                       "; a coarser --bucket or a later --since has fewer"));
    }
    return axis;
  }

  int64_t size() const { return size_; }

  int64_t IndexOf(int64_t start) const {
    switch (bucket_) {
      case UsagePeriod::kDay:
        return absl::CivilDay(Civil(start)) - absl::CivilDay(Civil(first_));
      case UsagePeriod::kMonth:
        return absl::CivilMonth(Civil(start)) - absl::CivilMonth(Civil(first_));
      case UsagePeriod::kHour:
        return (start - first_) / 3600;
      case UsagePeriod::kTotal:
        break;
    }
    return 0;
  }

  // The name of a bucket.
  std::string Text(int64_t index) const {
    switch (bucket_) {
      case UsagePeriod::kDay:
        return absl::FormatCivilTime(absl::CivilDay(Civil(first_)) + index);
      case UsagePeriod::kMonth:
        return absl::FormatCivilTime(absl::CivilMonth(Civil(first_)) + index);
      case UsagePeriod::kHour:
      case UsagePeriod::kTotal:
        break;
    }
    return TimeText(first_ + index * 3600);
  }

  // The name of what begins then; it may be a bucket that was rolled up.
  std::string StartText(int64_t start) const {
    return bucket_ == UsagePeriod::kHour ? TimeText(start)
                                         : Text(IndexOf(start));
  }

 private:
  Axis(UsagePeriod bucket, absl::TimeZone zone)
      : bucket_(bucket), zone_(zone) {}

  absl::CivilSecond Civil(int64_t seconds) const {
    return absl::ToCivilSecond(absl::FromUnixSeconds(seconds), zone_);
  }
  std::string TimeText(int64_t seconds) const {
    return absl::FormatTime("%Y-%m-%d %H:%M", absl::FromUnixSeconds(seconds),
                            zone_);
  }

  UsagePeriod bucket_;
  absl::TimeZone zone_;
  int64_t first_ = 0;
  int64_t size_ = 0;
};

// A round size so that three or four of it reach `most`.
uint64_t GridStep(uint64_t most) {
  uint64_t unit = 1;
  while (most / 4 / unit >= 1024) unit *= 1024;
  for (const uint64_t factor : {1, 2, 5, 10, 20, 50, 100, 200, 500}) {
    if (factor * unit * 4 >= most) return factor * unit;
  }
  return unit * 1024;
}

std::string FlagsText(uint32_t flags) {
  return absl::StrCat(
      (flags & kUsageClockSet) != 0 ? ", the clock was set" : "",
      (flags & kUsageEstimated) != 0 ? ", time estimated" : "");
}

// A bar on another, in and out, as large as they are of `most`.
std::string Bars(const UsagePageSeries::Bucket& bucket, uint64_t most,
                 const Axis& axis) {
  const double step = (kWidth - kLeft) / static_cast<double>(axis.size());
  const double width = std::max(0.5, step - std::min(3.0, step * 0.2));
  const double x = kLeft +
                   step * static_cast<double>(axis.IndexOf(bucket.start)) +
                   (step - width) / 2;
  const double scale = (kHeight - kTop - kBottom) /
                       static_cast<double>(std::max<uint64_t>(1, most));
  double y = kHeight - kBottom;
  std::string text = absl::StrCat(
      bucket.flags != 0 ? "<g class=\"unsure\">" : "<g>", "<title>",
      axis.StartText(bucket.start), ": ", FormatBytes(bucket.counters.rx_bytes),
      " in, ", FormatBytes(bucket.counters.tx_bytes), " out",
      FlagsText(bucket.flags), "</title>");
  const std::pair<const char*, uint64_t> parts[] = {
      {"in", bucket.counters.rx_bytes}, {"out", bucket.counters.tx_bytes}};
  for (const auto& [name, bytes] : parts) {
    if (bytes == 0) continue;
    // What isn't 0 is seen.
    const double height = std::max(0.8, static_cast<double>(bytes) * scale);
    y -= height;
    absl::StrAppendFormat(&text,
                          "<rect class=\"%s\" x=\"%.2f\" y=\"%.2f\" "
                          "width=\"%.2f\" height=\"%.2f\"/>",
                          name, x, y, width, height);
  }
  absl::StrAppend(&text, "</g>\n");
  return text;
}

std::string Drawing(const Chart& chart, const Axis& axis) {
  uint64_t most = 1;
  for (const auto& bucket : chart.series->buckets) {
    most = std::max(most, bucket.counters.bytes());
  }
  const uint64_t grid = GridStep(most);
  const uint64_t top = (most + grid - 1) / grid * grid;
  std::string text = absl::StrFormat(
      "<svg viewBox=\"0 0 %g %g\" role=\"img\" aria-label=\"%s over time\">\n",
      kWidth, kHeight, Escaped(chart.series->name));
  for (uint64_t at = 0; at <= top; at += grid) {
    const double y = kHeight - kBottom -
                     (kHeight - kTop - kBottom) * static_cast<double>(at) /
                         static_cast<double>(top);
    absl::StrAppendFormat(&text,
                          "<line x1=\"%g\" x2=\"%g\" y1=\"%.2f\" "
                          "y2=\"%.2f\"/><text x=\"%g\" y=\"%.2f\" "
                          "text-anchor=\"end\">%s</text>\n",
                          kLeft, kWidth, y, y, kLeft - 6, y + 4,
                          at == 0 ? "0" : FormatBytes(at));
  }
  const double step = (kWidth - kLeft) / static_cast<double>(axis.size());
  const int64_t each = (axis.size() + kTimeLabels - 1) / kTimeLabels;
  for (int64_t i = 0; i < axis.size(); i += each) {
    absl::StrAppendFormat(&text, "<text x=\"%.2f\" y=\"%g\">%s</text>\n",
                          kLeft + step * static_cast<double>(i), kHeight - 6,
                          axis.Text(i));
  }
  for (const auto& bucket : chart.series->buckets) {
    text += Bars(bucket, top, axis);
  }
  return absl::StrCat(text, "</svg>\n");
}

std::string Numbers(const Chart& chart, const Axis& axis,
                    absl::string_view bucket) {
  std::string text = absl::StrCat(
      "<details><summary>Numbers</summary>\n<table><tr><th>", bucket,
      "</th><th>in</th><th>packets</th><th>out</th><th>packets</th></tr>\n");
  for (const auto& row : chart.series->buckets) {
    absl::StrAppend(&text, "<tr><td>", axis.StartText(row.start),
                    FlagsText(row.flags));
    absl::StrAppend(&text, "</td><td>", FormatBytes(row.counters.rx_bytes),
                    "</td><td>", FormatCount(row.counters.rx_packets));
    absl::StrAppend(&text, "</td><td>", FormatBytes(row.counters.tx_bytes),
                    "</td><td>", FormatCount(row.counters.tx_packets),
                    "</td></tr>\n");
  }
  return absl::StrCat(text, "</table></details>\n");
}

// Everybody beside one another, with bars to compare.
std::string Overview(const std::vector<Chart>& charts, uint64_t all,
                     absl::string_view by) {
  std::string text = absl::StrCat(
      "<div class=\"card\">\n<table><tr><th>", Escaped(by),
      "</th><th class=\"bar\"></th><th>in</th><th>out</th><th>total</th>"
      "<th>share</th></tr>\n");
  const uint64_t most =
      charts.empty() ? 1 : std::max<uint64_t>(1, charts[0].sum.bytes());
  for (size_t i = 0; i < charts.size(); ++i) {
    const Chart& chart = charts[i];
    const std::string name = Escaped(chart.series->name);
    absl::StrAppend(&text, "<tr><td>");
    if (i < kMaxCharts) {
      absl::StrAppend(&text, "<a href=\"#c", i, "\">", name, "</a>");
    } else {
      absl::StrAppend(&text, name);
    }
    absl::StrAppendFormat(
        &text,
        "</td><td class=\"bar\"><i class=\"in\" style=\"width:%.2f%%\"></i>"
        "<i class=\"out\" style=\"width:%.2f%%\"></i></td>",
        100.0 * static_cast<double>(chart.sum.rx_bytes) /
            static_cast<double>(most),
        100.0 * static_cast<double>(chart.sum.tx_bytes) /
            static_cast<double>(most));
    absl::StrAppend(&text, "<td>", FormatBytes(chart.sum.rx_bytes), "</td><td>",
                    FormatBytes(chart.sum.tx_bytes), "</td><td>",
                    FormatBytes(chart.sum.bytes()), "</td>");
    absl::StrAppendFormat(&text, "<td>%.1f %%</td></tr>\n",
                          all == 0
                              ? 0.0
                              : 100.0 * static_cast<double>(chart.sum.bytes()) /
                                    static_cast<double>(all));
  }
  return absl::StrCat(text, "</table>\n</div>\n");
}

bool HasUnsureTimes(const UsagePageContent& content) {
  for (const UsagePageSeries& series : content.series) {
    for (const auto& bucket : series.buckets) {
      if (bucket.flags != 0) return true;
    }
  }
  return false;
}

absl::string_view BucketName(UsagePeriod bucket) {
  switch (bucket) {
    case UsagePeriod::kHour:
      return "hour";
    case UsagePeriod::kDay:
      return "day";
    case UsagePeriod::kMonth:
      return "month";
    case UsagePeriod::kTotal:
      break;
  }
  return "total";
}

}  // namespace

absl::StatusOr<std::string> UsagePage(const UsagePageContent& content) {
  NP_ASSIGN_OR_RETURN(const Axis axis, Axis::Make(content));
  std::vector<Chart> charts;
  UsageCounters all;
  for (const UsagePageSeries& series : content.series) {
    Chart chart = {&series, {}};
    for (const auto& bucket : series.buckets) chart.sum += bucket.counters;
    all += chart.sum;
    charts.push_back(chart);
  }
  std::stable_sort(charts.begin(), charts.end(),
                   [](const Chart& a, const Chart& b) {
                     return a.sum.bytes() > b.sum.bytes();
                   });

  const bool over_time = content.bucket != UsagePeriod::kTotal;
  std::string page = kHead;
  absl::StrAppend(&page, "<h1>Data usage</h1>\n<p class=\"soft\">",
                  Escaped(content.question),
                  content.question.empty() ? "" : "; ", "by ",
                  Escaped(content.by));
  if (over_time && axis.size() > 0) {
    absl::StrAppend(&page, " and ", BucketName(content.bucket), ", ",
                    axis.Text(0), " to ", axis.Text(axis.size() - 1));
  }
  absl::StrAppend(
      &page, "; made ",
      absl::FormatTime("%Y-%m-%d %H:%M %Z", content.made, content.zone),
      "</p>\n");
  if (charts.empty()) {
    return absl::StrCat(page,
                        "<div class=\"card\">No usage is stored of that.</div>"
                        "\n</body>\n</html>\n");
  }
  absl::StrAppend(&page, "<div class=\"figures\"><div>",
                  FormatBytes(all.bytes()), "<span>total</span></div><div>",
                  FormatBytes(all.rx_bytes),
                  "<span><i class=\"key in\"></i>in</span></div><div>",
                  FormatBytes(all.tx_bytes),
                  "<span><i class=\"key out\"></i>out</span></div></div>\n");
  if (over_time && HasUnsureTimes(content)) {
    absl::StrAppend(&page,
                    "<p class=\"soft\">Paler bars: the time was estimated, as "
                    "netd did not run, or the clock was set.</p>\n");
  }
  page += Overview(charts, all.bytes(), content.by);
  for (size_t i = 0; over_time && i < charts.size() && i < kMaxCharts; ++i) {
    const Chart& chart = charts[i];
    absl::StrAppend(&page, "<section class=\"card\" id=\"c", i, "\">\n<h2>",
                    Escaped(chart.series->name), "</h2>\n<p class=\"soft\">",
                    FormatBytes(chart.sum.rx_bytes), " in, ",
                    FormatBytes(chart.sum.tx_bytes), " out</p>\n");
    page += Drawing(chart, axis);
    page += Numbers(chart, axis, BucketName(content.bucket));
    page += "</section>\n";
  }
  if (over_time && charts.size() > kMaxCharts) {
    absl::StrAppend(&page, "<p class=\"soft\">The first ", kMaxCharts,
                    " have a chart.</p>\n");
  }
  return absl::StrCat(page, "</body>\n</html>\n");
}

}  // namespace netpolicy::cli
