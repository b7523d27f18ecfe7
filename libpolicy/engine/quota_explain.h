// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_LIBPOLICY_ENGINE_QUOTA_EXPLAIN_H_
#define NETPOLICY_LIBPOLICY_ENGINE_QUOTA_EXPLAIN_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libpolicy/engine/judgement.h"
#include "libpolicy/engine/policy_interface.h"
#include "libpolicy/engine/quota.h"
#include "libpolicy/engine/tables.h"

namespace netpolicy {

// Adds the quotas that refuse all such packets from now on to the verdicts that
// the policy allows: only what it lets pass meets a quota. Errors: those of
// reading the tables.
absl::Status AddExhaustedQuotas(const Tables& tables, Place place,
                                Explanation& explanation);

// Why a quota has refused a packet to `uid`, as far as it still does. Those of
// interfaces are all named, as it is not known which one it was.
std::string ExplainQuotaRefusal(const std::vector<Quota>& quotas, Uid uid,
                                Direction direction);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_ENGINE_QUOTA_EXPLAIN_H_
