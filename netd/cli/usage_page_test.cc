// SPDX-License-Identifier: Apache-2.0

#include "netd/cli/usage_page.h"

#include <cstddef>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy::cli {
namespace {

using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kDay = 86400;
constexpr int64_t kMonday = 1795392000;  // 2026-11-23T00:00Z

size_t Times(absl::string_view text, absl::string_view part) {
  size_t times = 0;
  for (size_t at = text.find(part); at != absl::string_view::npos;
       at = text.find(part, at + part.size())) {
    ++times;
  }
  return times;
}

UsagePageContent TwoApps() {
  UsagePageContent content;
  content.by = "uid";
  content.bucket = UsagePeriod::kDay;
  content.zone = absl::UTCTimeZone();
  content.made = absl::FromUnixSeconds(kMonday + 3 * kDay);
  content.series = {{"10002 (bob)", {{kMonday, {9, 900, 8, 124}, 0}}},
                    {"10001 (alice)",
                     {{kMonday, {10, 2048, 5, 1024}, 0},
                      {kMonday + 2 * kDay, {1, 100, 0, 0}, kUsageEstimated}}}};
  return content;
}

TEST(UsagePage, HasAChartForEachAppTheBusiestFirst) {
  const auto page = UsagePage(TwoApps());
  ASSERT_THAT(page, IsOk());
  EXPECT_EQ(Times(*page, "<section "), 2u);
  EXPECT_EQ(Times(*page, "<svg "), 2u);
  EXPECT_LT(page->find("<h2>10001 (alice)</h2>"),
            page->find("<h2>10002 (bob)</h2>"));
  EXPECT_THAT(*page, HasSubstr("by uid and day, 2026-11-23 to 2026-11-25; made "
                               "2026-11-26 00:00 UTC"));
  // In and out, of two buckets and of one, but nothing where there was none.
  EXPECT_EQ(Times(*page, "<rect class=\"in\""), 3u);
  EXPECT_EQ(Times(*page, "<rect class=\"out\""), 2u);
  EXPECT_THAT(
      *page, HasSubstr("<title>2026-11-23: 2.00 KiB in, 1.00 KiB out</title>"));
  EXPECT_THAT(
      *page,
      HasSubstr(
          "<title>2026-11-25: 100 B in, 0 B out, time estimated</title>"));
  EXPECT_THAT(*page, HasSubstr("<td>75.6 %</td>"));
  EXPECT_THAT(*page, HasSubstr("Paler bars: the time was estimated"));
}

TEST(UsagePage, AllChartsHaveTheSameTimes) {
  UsagePageContent content = TwoApps();
  content.series[0].buckets[0].start = kMonday + 2 * kDay;
  const auto page = UsagePage(content);
  ASSERT_THAT(page, IsOk());
  EXPECT_EQ(Times(*page, ">2026-11-23</text>"), 2u);
  EXPECT_EQ(Times(*page, ">2026-11-24</text>"), 2u);
}

TEST(UsagePage, LoadsNothingAndRunsNothing) {
  const auto page = UsagePage(TwoApps());
  ASSERT_THAT(page, IsOk());
  EXPECT_THAT(*page, HasSubstr("default-src 'none'"));
  for (const char* outside :
       {"<script", "http://", "https://", "src=", "@import", "url("}) {
    EXPECT_THAT(*page, Not(HasSubstr(outside)));
  }
}

TEST(UsagePage, NamesAreText) {
  UsagePageContent content = TwoApps();
  content.series[0].name = "<script>\"&'";
  content.question = "interface <b>";
  const auto page = UsagePage(content);
  ASSERT_THAT(page, IsOk());
  EXPECT_THAT(*page, Not(HasSubstr("<script>")));
  EXPECT_THAT(*page, Not(HasSubstr("<b>")));
  EXPECT_THAT(*page, HasSubstr("&lt;script&gt;&quot;&amp;&#39;"));
}

TEST(UsagePage, MonthsAndHoursStandWhereTheyBelong) {
  UsagePageContent content = TwoApps();
  content.bucket = UsagePeriod::kMonth;
  content.series[1].buckets = {{1790812800, {1, 1, 1, 1}, 0},   // October
                               {1798761600, {1, 1, 1, 1}, 0}};  // January
  auto page = UsagePage(content);
  ASSERT_THAT(page, IsOk());
  EXPECT_THAT(*page, HasSubstr("2026-10 to 2027-01"));
  EXPECT_THAT(*page, HasSubstr(">2026-11</text>"));

  content.bucket = UsagePeriod::kHour;
  content.series[1].buckets = {{kMonday, {1, 1, 1, 1}, 0},
                               {kMonday + 5 * 3600, {1, 1, 1, 1}, 0}};
  page = UsagePage(content);
  ASSERT_THAT(page, IsOk());
  EXPECT_THAT(*page, HasSubstr(">2026-11-23 04:00</text>"));
}

TEST(UsagePage, ATotalHasNoTime) {
  UsagePageContent content = TwoApps();
  content.bucket = UsagePeriod::kTotal;
  const auto page = UsagePage(content);
  ASSERT_THAT(page, IsOk());
  EXPECT_THAT(*page, HasSubstr("10001 (alice)"));
  EXPECT_THAT(*page, Not(HasSubstr("<svg")));
}

TEST(UsagePage, NothingIsSaid) {
  UsagePageContent content = TwoApps();
  content.series.clear();
  const auto page = UsagePage(content);
  ASSERT_THAT(page, IsOk());
  EXPECT_THAT(*page, HasSubstr("No usage is stored of that."));
}

TEST(UsagePage, MoreThanCanBeSeenIsRefused) {
  UsagePageContent content = TwoApps();
  content.bucket = UsagePeriod::kHour;
  content.series[1].buckets[1].start = kMonday + kMaxChartBuckets * 3600;
  EXPECT_THAT(UsagePage(content), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("1501 buckets")));
  content.series[1].buckets[1].start -= 3600;
  EXPECT_THAT(UsagePage(content), IsOk());
}

TEST(UsagePage, OnlyTheFirstHundredHaveAChart) {
  UsagePageContent content = TwoApps();
  content.series.clear();
  for (int i = 0; i < 103; ++i) {
    content.series.push_back(
        {absl::StrCat("app", i), {{kMonday, {1, 100, 1, 100}, 0}}});
  }
  const auto page = UsagePage(content);
  ASSERT_THAT(page, IsOk());
  EXPECT_EQ(Times(*page, "<svg "), 100u);
  EXPECT_THAT(*page, HasSubstr("app102"));
  EXPECT_THAT(*page, HasSubstr("The first 100 have a chart."));
}

}  // namespace
}  // namespace netpolicy::cli
