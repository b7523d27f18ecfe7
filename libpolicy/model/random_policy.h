#ifndef NETPOLICY_LIBPOLICY_MODEL_RANDOM_POLICY_H_
#define NETPOLICY_LIBPOLICY_MODEL_RANDOM_POLICY_H_

#include <random>

#include "libpolicy/model/edit.h"
#include "libpolicy/model/ids.h"
#include "libpolicy/model/policy.h"

// Random values for property tests. The same seed gives the same values with
// every standard library.

namespace netpolicy::testing {

using Random = std::mt19937_64;

// 0 <= result < limit.
uint32_t Below(Random& random, uint32_t limit);

// One of a few dozen UIDs, the smallest and the largest among them, so that
// policies and changes meet.
Uid RandomUid(Random& random);

// A change of any kind but ReplacePolicy that may or may not apply to `policy`
// (unknown and redefined chains are among them).
Change RandomChange(Random& random, const Policy& policy);

// A change of any kind of network_change.h that may or may not apply.
Change RandomNetworkChange(Random& random);

// As RandomPolicy(), with changes of both sorts.
Policy RandomNetworkPolicy(Random& random);

// A policy that some dozens of changes made, with gaps among the numbers of its
// chains.
Policy RandomPolicy(Random& random);

}  // namespace netpolicy::testing

#endif  // NETPOLICY_LIBPOLICY_MODEL_RANDOM_POLICY_H_
