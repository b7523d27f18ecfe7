// SPDX-License-Identifier: Apache-2.0

#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "libpolicy/engine/quota.h"

namespace netpolicy {
namespace {

using Kind = QuotaPeriod::Kind;

absl::Time At(const char* text) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime("%Y-%m-%d %H:%M", text, &time, &error)) << error;
  return time;
}

struct Row {
  const char* what;
  QuotaPeriod period;
  const char* before;  // the period before began; null: none
  const char* now;
  const char* start;
  const char* end;  // null: never
};

TEST(QuotaPeriod, BeginsAndEnds) {
  const Row rows[] = {
      {"none",
       {Kind::kNone, 0},
       nullptr,
       "2026-05-04 10:00",
       "2026-05-04 10:00",
       nullptr},
      {"none goes on",
       {Kind::kNone, 0},
       "2025-01-01 00:00",
       "2026-05-04 10:00",
       "2025-01-01 00:00",
       nullptr},
      {"hours begin now",
       {Kind::kHours, 6},
       nullptr,
       "2026-05-04 10:10",
       "2026-05-04 10:10",
       "2026-05-04 16:10"},
      {"hours skip whole periods",
       {Kind::kHours, 6},
       "2026-05-04 10:10",
       "2026-05-05 05:00",
       "2026-05-05 04:10",
       "2026-05-05 10:10"},
      {"hours, clock set back",
       {Kind::kHours, 6},
       "2036-05-04 10:10",
       "2026-05-05 05:00",
       "2026-05-05 05:00",
       "2026-05-05 11:00"},
      {"day",
       {Kind::kDay, 0},
       nullptr,
       "2026-05-04 10:10",
       "2026-05-04 00:00",
       "2026-05-05 00:00"},
      {"day at midnight",
       {Kind::kDay, 0},
       nullptr,
       "2026-05-04 00:00",
       "2026-05-04 00:00",
       "2026-05-05 00:00"},
      {"month, before its day",
       {Kind::kMonth, 15},
       nullptr,
       "2026-05-14 23:59",
       "2026-04-15 00:00",
       "2026-05-15 00:00"},
      {"month, on its day",
       {Kind::kMonth, 15},
       nullptr,
       "2026-05-15 00:00",
       "2026-05-15 00:00",
       "2026-06-15 00:00"},
      {"month over new year",
       {Kind::kMonth, 20},
       nullptr,
       "2026-01-03 00:00",
       "2025-12-20 00:00",
       "2026-01-20 00:00"},
      {"day 31 in January",
       {Kind::kMonth, 31},
       nullptr,
       "2026-01-31 00:00",
       "2026-01-31 00:00",
       "2026-02-28 00:00"},
      {"day 31 in February",
       {Kind::kMonth, 31},
       nullptr,
       "2026-02-28 10:00",
       "2026-02-28 00:00",
       "2026-03-31 00:00"},
      {"day 31 in a leap year",
       {Kind::kMonth, 31},
       nullptr,
       "2028-03-01 10:00",
       "2028-02-29 00:00",
       "2028-03-31 00:00"},
      {"day 31 in April",
       {Kind::kMonth, 31},
       nullptr,
       "2026-04-29 10:00",
       "2026-03-31 00:00",
       "2026-04-30 00:00"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    const absl::Time before =
        row.before == nullptr ? absl::InfinitePast() : At(row.before);
    const absl::Time start =
        QuotaPeriodStart(row.period, before, At(row.now), absl::UTCTimeZone());
    EXPECT_EQ(start, At(row.start));
    EXPECT_EQ(QuotaPeriodEnd(row.period, start, absl::UTCTimeZone()),
              row.end == nullptr ? absl::InfiniteFuture() : At(row.end));
  }
}

TEST(QuotaPeriod, DaysAreThoseOfTheTimeZoneAlsoWhenItsClocksChange) {
  absl::TimeZone berlin;
  if (!absl::LoadTimeZone("Europe/Berlin", &berlin)) {
    GTEST_SKIP() << "no tzdata";
  }
  // The clocks went ahead by an hour on that day, which had 23.
  const absl::Time now =
      absl::FromCivil(absl::CivilHour(2026, 3, 29, 12), berlin);
  const absl::Time start =
      QuotaPeriodStart({Kind::kDay, 0}, absl::InfinitePast(), now, berlin);
  EXPECT_EQ(start, absl::FromCivil(absl::CivilDay(2026, 3, 29), berlin));
  EXPECT_EQ(QuotaPeriodEnd({Kind::kDay, 0}, start, berlin) - start,
            absl::Hours(23));
}

}  // namespace
}  // namespace netpolicy
