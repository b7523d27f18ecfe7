// SPDX-License-Identifier: Apache-2.0

#include <algorithm>

#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "libpolicy/engine/quota.h"

namespace netpolicy {
namespace {

// The day of that month on which its period begins.
absl::CivilDay FirstDay(absl::CivilMonth month, uint32_t day) {
  const absl::CivilDay last = absl::CivilDay(month + 1) - 1;
  return std::min(last, absl::CivilDay(month) + (static_cast<int>(day) - 1));
}

// The first moment of the day: where clocks are set at midnight, there may be
// two or none of that name.
absl::Time Midnight(absl::CivilDay day, absl::TimeZone zone) {
  return absl::FromCivil(day, zone);
}

}  // namespace

absl::Time QuotaPeriodStart(const QuotaPeriod& period, absl::Time start,
                            absl::Time now, absl::TimeZone zone) {
  switch (period.kind) {
    case QuotaPeriod::Kind::kNone:
      return start == absl::InfinitePast() ? now : start;
    case QuotaPeriod::Kind::kHours: {
      // Also when the clock was set back behind the start.
      if (start == absl::InfinitePast() || start > now) return now;
      const absl::Duration length = absl::Hours(period.value);
      return start + (now - start) / length * length;
    }
    case QuotaPeriod::Kind::kDay:
      return Midnight(absl::ToCivilDay(now, zone), zone);
    case QuotaPeriod::Kind::kMonth: {
      const absl::CivilDay today = absl::ToCivilDay(now, zone);
      absl::CivilDay day = FirstDay(absl::CivilMonth(today), period.value);
      if (day > today) {
        day = FirstDay(absl::CivilMonth(today) - 1, period.value);
      }
      return Midnight(day, zone);
    }
  }
  return start;
}

absl::Time QuotaPeriodEnd(const QuotaPeriod& period, absl::Time start,
                          absl::TimeZone zone) {
  const absl::CivilDay day = absl::ToCivilDay(start, zone);
  switch (period.kind) {
    case QuotaPeriod::Kind::kNone:
      break;
    case QuotaPeriod::Kind::kHours:
      return start + absl::Hours(period.value);
    case QuotaPeriod::Kind::kDay:
      return Midnight(day + 1, zone);
    case QuotaPeriod::Kind::kMonth: {
      const absl::CivilDay next = FirstDay(absl::CivilMonth(day), period.value);
      return Midnight(
          next > day ? next : FirstDay(absl::CivilMonth(day) + 1, period.value),
          zone);
    }
  }
  return absl::InfiniteFuture();
}

}  // namespace netpolicy
