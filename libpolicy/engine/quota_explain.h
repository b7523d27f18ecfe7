// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_LIBPOLICY_ENGINE_QUOTA_EXPLAIN_H_
#define NETPOLICY_LIBPOLICY_ENGINE_QUOTA_EXPLAIN_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libpolicy/engine/policy_interface.h"
#include "libpolicy/engine/quota.h"
#include "libpolicy/engine/tables.h"

namespace netpolicy {

// What quotas say of packets of `uid` in one direction, in words, one for each
// that refuses them all from now on. `interface`: "" for any but loopback.
// Nothing for other directions than kIngress and kEgress.
std::vector<ExplainedReason> ExhaustedQuotas(const std::vector<Quota>& quotas,
                                             Uid uid, Direction direction,
                                             absl::string_view interface);

// Adds that to the verdicts that the policy allows: only what it lets pass
// meets a quota. Errors: those of reading the tables.
absl::Status AddExhaustedQuotas(const Tables& tables, Explanation& explanation);

// Why a quota has refused a packet to `uid`, as far as it still does. Those of
// interfaces are all named, as it is not known which one it was.
std::string ExplainQuotaRefusal(const std::vector<Quota>& quotas, Uid uid,
                                Direction direction);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_ENGINE_QUOTA_EXPLAIN_H_
