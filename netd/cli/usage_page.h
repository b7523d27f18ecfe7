// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_CLI_USAGE_PAGE_H_
#define NETPOLICY_NETD_CLI_USAGE_PAGE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "netd/usage/usage.h"

// `ndc usage --html`: usage as a page of HTML with a chart for each app.

namespace netpolicy::cli {

struct UsagePageSeries {
  struct Bucket {
    int64_t start = 0;  // seconds since 1970
    UsageCounters counters;
    uint32_t flags = 0;  // UsageFlags
  };
  std::string name;
  std::vector<Bucket> buckets;  // by start
};

struct UsagePageContent {
  std::string by;        // what a series is of: "uid", "iface"
  std::string question;  // what was asked for, in words; "" all
  UsagePeriod bucket = UsagePeriod::kDay;
  std::vector<UsagePageSeries> series;
  absl::TimeZone zone;
  absl::Time made;
};

// Most buckets of a chart, of which each must stay visible.
inline constexpr int64_t kMaxChartBuckets = 1500;

// The page, the busiest first. It is whole by itself: it loads nothing, runs no
// script, and forbids both to a browser. Errors: kInvalidArgument when the time
// has more than kMaxChartBuckets buckets.
absl::StatusOr<std::string> UsagePage(const UsagePageContent& content);

}  // namespace netpolicy::cli

#endif  // NETPOLICY_NETD_CLI_USAGE_PAGE_H_
