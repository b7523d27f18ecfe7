// SPDX-License-Identifier: Apache-2.0
//
// What is asked and said of past usage.

#ifndef NETPOLICY_NETD_USAGE_USAGE_H_
#define NETPOLICY_NETD_USAGE_USAGE_H_

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"

namespace netpolicy {

// Packets and bytes as on the wire.
struct UsageCounters {
  uint64_t rx_packets = 0;
  uint64_t rx_bytes = 0;
  uint64_t tx_packets = 0;
  uint64_t tx_bytes = 0;

  // Both ways.
  uint64_t bytes() const { return rx_bytes + tx_bytes; }

  bool empty() const {
    return rx_packets == 0 && rx_bytes == 0 && tx_packets == 0 && tx_bytes == 0;
  }
  UsageCounters& operator+=(const UsageCounters& other) {
    rx_packets += other.rx_packets;
    rx_bytes += other.rx_bytes;
    tx_packets += other.tx_packets;
    tx_bytes += other.tx_bytes;
    return *this;
  }
  friend bool operator==(const UsageCounters&, const UsageCounters&) = default;
};

// Whom traffic was charged to.
struct UsageKey {
  uint32_t uid = 0;
  uint32_t tag = 0;
  uint32_t counter_set = 0;
  std::string interface;  // a name; kOverflowInterface

  friend auto operator<=>(const UsageKey&, const UsageKey&) = default;
};

// In the place of a name: traffic for which the kernel's table had no row. Its
// UID is 4294967295.
inline constexpr char kOverflowInterface[] = "(overflow)";

// Numbers are those of the file and of the service, for ever.
enum class UsagePeriod : uint8_t {
  kHour = 0,
  kDay = 1,
  kMonth = 2,
  kTotal = 3,  // of queries only: everything in one
};

// What is known of a bucket's time. Bits, for ever.
enum UsageFlags : uint32_t {
  // The clock of the day was set while it was counted.
  kUsageClockSet = 1,
  // Nobody looked at the counters for longer than a bucket, so traffic was
  // spread evenly over the time in between, or all put at its end.
  kUsageEstimated = 2,
};

// Unset: any, or all.
struct UsageQuery {
  absl::optional<uint32_t> uid;
  absl::optional<uint32_t> tag;
  absl::optional<uint32_t> counter_set;
  absl::optional<std::string> interface;
  // Seconds since 1970: stored buckets that begin at or after `since` and
  // before `until`.
  absl::optional<int64_t> since;
  absl::optional<int64_t> until;
  UsagePeriod bucket = UsagePeriod::kTotal;
  // What rows are kept apart by; the other parts of their keys are empty.
  bool by_uid = true;
  bool by_tag = true;
  bool by_counter_set = true;
  bool by_interface = true;
};

struct UsageRow {
  int64_t start = 0;  // of the bucket, in seconds since 1970; of a total: the
                      // first stored bucket's
  UsageKey key;
  UsageCounters counters;
  uint32_t flags = 0;
};

// Most rows that a query gives.
inline constexpr size_t kMaxUsageRows = 100000;

// The history, in this process or in netd.
class UsageHistory {
 public:
  virtual ~UsageHistory() = default;

  // By start and key. What was counted until now is in it. Errors:
  // kResourceExhausted when there are more than kMaxUsageRows; those of the
  // file; kFailedPrecondition when nobody keeps a history.
  virtual absl::StatusOr<std::vector<UsageRow>> Usage(
      const UsageQuery& query) = 0;

  // Removes all that was stored of a UID, as when its app is removed. What is
  // charged to it later begins at 0. Errors: as Usage().
  virtual absl::Status ForgetUsage(uint32_t uid) = 0;
};

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_USAGE_USAGE_H_
