// SPDX-License-Identifier: Apache-2.0
//
// Usage over time, in one SQLite file (docs/usage_history.md).
//
// Readings of the kernel's counters go in; what they grew by since the last
// reading is added to the buckets of the time in between. Reading and buckets
// are written in one transaction, so that whatever happens to the process or
// the machine, what was added and what is known to have been added agree.

#ifndef NETPOLICY_NETD_USAGE_USAGE_STORE_H_
#define NETPOLICY_NETD_USAGE_USAGE_STORE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "netd/usage/sqlite.h"
#include "netd/usage/usage.h"

namespace netpolicy {

inline constexpr int kUsageSchemaVersion = 2;

struct UsageStoreOptions {
  // For how long hours and days are kept before they become days and months,
  // and how long months are kept. 0: for ever.
  int hours_kept_days = 31;
  int days_kept_days = 400;
  int months_kept_days = 0;
  // Days and months begin at its midnights.
  absl::TimeZone zone = absl::UTCTimeZone();
};

// When a reading was taken.
struct UsageClock {
  int64_t wall = 0;    // seconds since 1970
  int64_t uptime = 0;  // seconds since the machine's start, sleep included
  std::string boot;    // changes with each start of the machine
};

// One row of the kernel's table: all that it counted since it was made.
struct UsageReading {
  uint32_t ifindex = 0;
  UsageKey key;  // interface "": not known any more
  UsageCounters counters;
};

// Not thread-safe. One process at a time should use a file.
class UsageStore {
 public:
  // Opens or makes the file. One that is damaged is moved to PATH.damaged (or
  // PATH.damaged.1, ...), and a new one is begun: see damage(). Errors: as of
  // SqliteDatabase; kFailedPrecondition for a file of a later version.
  static absl::StatusOr<std::unique_ptr<UsageStore>> Open(
      const std::string& path, const UsageStoreOptions& options);

  // What was wrong with the file, and where it is now; "": nothing.
  const std::string& damage() const { return damage_; }

  // Adds what counters grew by. `life` names the tables that were read: when it
  // is another one than last time, counters began at 0. After an error nothing
  // was added, and the next call adds it.
  absl::Status Add(const std::string& life, const UsageClock& clock,
                   const std::vector<UsageReading>& readings);

  absl::StatusOr<std::vector<UsageRow>> Query(const UsageQuery& query);

  // Removes the buckets of a UID; what its counters were is still known.
  absl::Status Forget(uint32_t uid);

  // Bytes of the file, its journal not included.
  absl::StatusOr<int64_t> FileBytes();

 private:
  struct RowId {
    uint32_t uid, tag, counter_set, ifindex;
    friend auto operator<=>(const RowId&, const RowId&) = default;
  };
  struct Known {
    std::string interface;
    UsageCounters counters;
  };
  // The time that a reading's growth belongs to.
  struct Span {
    int64_t from, until;
    uint32_t flags;
  };

  UsageStore(std::string path, const UsageStoreOptions& options)
      : path_(std::move(path)), options_(options) {}

  absl::Status OpenFile();
  absl::Status Migrate();
  absl::Status LoadReadings();
  absl::StatusOr<std::string> State(const char* name);
  absl::Status SetState(const char* name, absl::string_view value);
  absl::StatusOr<int64_t> InterfaceId(const std::string& name);
  Span SpanOf(const UsageClock& clock) const;
  absl::Status AddGrowth(const UsageKey& key, const UsageCounters& growth,
                         const Span& span);
  absl::Status AddToBucket(UsagePeriod period, int64_t start, uint32_t uid,
                           uint32_t tag, uint32_t counter_set,
                           int64_t interface, const UsageCounters& counters,
                           uint32_t flags);
  absl::Status WriteAll(const std::string& life, const UsageClock& clock,
                        const std::vector<UsageReading>& readings,
                        std::map<RowId, Known>& changed);
  absl::Status RollUp(UsagePeriod from, UsagePeriod to, int64_t before);
  absl::Status Retain(int64_t now);
  int64_t StartOf(UsagePeriod period, int64_t time) const;
  template <typename Body>
  absl::Status InTransaction(Body body);

  std::string path_;
  UsageStoreOptions options_;
  std::string damage_;
  absl::optional<SqliteDatabase> db_;
  SqliteStatement add_;
  SqliteStatement put_reading_;
  std::map<std::string, int64_t> interface_ids_;
  // As stored; read again after an error, when it is not known what was.
  bool loaded_ = false;
  std::string life_;
  absl::optional<UsageClock> last_;
  std::map<RowId, Known> readings_;
  int64_t retained_hour_ = -1;   // when old buckets were last looked for
  int64_t trusted_uptime_ = -1;  // before it the clock of the day is doubted
};

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_USAGE_USAGE_STORE_H_
