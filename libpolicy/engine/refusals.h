// SPDX-License-Identifier: Apache-2.0
//
// What was refused, and of whom.

#ifndef NETPOLICY_LIBPOLICY_ENGINE_REFUSALS_H_
#define NETPOLICY_LIBPOLICY_ENGINE_REFUSALS_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "libpolicy/engine/policy_interface.h"
#include "libpolicy/engine/tables.h"
#include "libpolicy/model/policy.h"

namespace netpolicy {

// PolicyInterface::Refused() under the policy of `snapshot`. Peers that are
// refused meanwhile may be missing or counted for once less.
absl::StatusOr<Refusals> ReadRefusals(const Tables& tables,
                                      const PolicySnapshot& snapshot, Uid uid,
                                      uint32_t max_peers);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_ENGINE_REFUSALS_H_
