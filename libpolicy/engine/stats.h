// SPDX-License-Identifier: Apache-2.0
//
// Counters as the tables hold them, summed over CPUs.

#ifndef NETPOLICY_LIBPOLICY_ENGINE_STATS_H_
#define NETPOLICY_LIBPOLICY_ENGINE_STATS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "libpolicy/engine/policy_interface.h"
#include "libpolicy/engine/tables.h"
#include "libpolicy/model/policy.h"

namespace netpolicy {

// PolicyInterface::Stats(). `policy` names the reasons.
absl::StatusOr<StatsSnapshot> ReadStats(const Tables& tables,
                                        const Policy& policy);

// StatsSnapshot::drops.
absl::StatusOr<std::vector<DropRow>> ReadDrops(const Tables& tables,
                                               const Policy& policy);

// Every kind of loss, by number, also those at 0.
absl::StatusOr<std::vector<LossCounter>> ReadLosses(const Tables& tables);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_ENGINE_STATS_H_
