// SPDX-License-Identifier: Apache-2.0
//
// What was counted between two readings. Counters are never reset, so every
// reader has differences of its own and takes nothing away from another.
//
//   StatsReader reader(*engine);  // or a client of netd
//   NP_RETURN_IF_ERROR(reader.Next().status());
//   ...
//   NP_ASSIGN_OR_RETURN(StatsGrowth growth, reader.Next());
//   for (const StatsRow& row : growth.grown.rows) Bill(row.uid, row.tx.bytes);

#ifndef NETPOLICY_LIBPOLICY_ENGINE_STATS_READER_H_
#define NETPOLICY_LIBPOLICY_ENGINE_STATS_READER_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "libpolicy/engine/policy_interface.h"

namespace netpolicy {

// Leaves in `now` what came after `before`. False, and `now` may be anything:
// `before` is more, so it is not an earlier reading of the same counters.
bool TakeAway(uint64_t before, uint64_t& now);
bool TakeAway(const TrafficCounters& before, TrafficCounters& now);

// By how much counters grew: rows, drops and losses that did not are left out.
struct StatsGrowth {
  StatsSnapshot grown;
  // The counters began at zero since the reading before, as the tables were
  // made anew: `grown` is all that they have, and what the tables of before
  // counted after that reading is not in it.
  bool began_anew = false;
};

// Not thread-safe.
class StatsReader {
 public:
  // `policy` must outlive it.
  explicit StatsReader(PolicyInterface& policy) : policy_(policy) {}

  // What was counted since the last call that worked; the first time: since the
  // tables were made. Errors: those of PolicyInterface::Stats().
  absl::StatusOr<StatsGrowth> Next();

 private:
  PolicyInterface& policy_;
  StatsSnapshot before_;
};

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_ENGINE_STATS_READER_H_
