// SPDX-License-Identifier: Apache-2.0
//
// What the programs would decide: the very functions of bpf_progs/lib/ that
// they run, over the tables that they read.

#ifndef NETPOLICY_LIBPOLICY_ENGINE_JUDGEMENT_H_
#define NETPOLICY_LIBPOLICY_ENGINE_JUDGEMENT_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "libpolicy/engine/policy_interface.h"
#include "libpolicy/engine/tables.h"

namespace netpolicy {

// Why `query` is refused in one direction by the policy in `slot`, which must
// not change meanwhile. Rules about addresses are judged where the query names
// the address. Errors: those of looking up.
absl::StatusOr<ReasonSet> Judge(const Tables& tables, uint32_t slot,
                                const ExplainQuery& query, Direction direction);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_ENGINE_JUDGEMENT_H_
