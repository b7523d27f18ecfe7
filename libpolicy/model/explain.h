#ifndef NETPOLICY_LIBPOLICY_MODEL_EXPLAIN_H_
#define NETPOLICY_LIBPOLICY_MODEL_EXPLAIN_H_

#include <string>

#include "libpolicy/model/ids.h"
#include "libpolicy/model/policy.h"

namespace netpolicy {

// What in the policy gives `uid` this reason, in words:
//   uid 10007 is not listed in allowlist dozable, which is on
//   uid 10007 is listed in denylist kids, which is on
//   uid 10007 is denied by its own rule
//   the default rule is deny and uid 10007 has no rule of its own
//   uid 10007 has no internet permission, by its own entry
//   uid 10007 has no internet permission, by default
// Whether the facts of the packet let the reason apply is np_decide()'s answer;
// for a reason that this policy never gives to `uid` the text says so. kNoOwner
// is "a packet without an owner". Requires 0 <= reason < NP_REASONS.
std::string ExplainReason(const Policy& policy, Uid uid, int reason);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_MODEL_EXPLAIN_H_
