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

enum class Place : uint8_t { kLoopback, kElsewhere };

// The UID that is judged; NP_UID_NONE where settings leave packets without an
// owner to themselves.
uint32_t OwnerOf(const np_policy_config& config, const ExplainQuery& query);

// Whether the query's interface is this network namespace's loopback device.
bool IsOnLoopback(const ExplainQuery& query);

// Why `query` is refused in one direction by the policy in `slot`, which must
// not change meanwhile. Rules about addresses are judged where the query names
// the address. Errors: those of looking up.
absl::StatusOr<ReasonSet> Judge(const Tables& tables, uint32_t slot,
                                const ExplainQuery& query, Direction direction,
                                Place place);

// False: whatever packets a socket of the UID sends or receives, elsewhere than
// on loopback, they pass.
absl::StatusOr<bool> MayBeRefused(const Tables& tables, uint32_t slot, Uid uid,
                                  uint32_t tag);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_ENGINE_JUDGEMENT_H_
