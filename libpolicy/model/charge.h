// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_LIBPOLICY_MODEL_CHARGE_H_
#define NETPOLICY_LIBPOLICY_MODEL_CHARGE_H_

#include "libpolicy/model/ids.h"
#include "libpolicy/model/policy.h"

namespace netpolicy {

// Whether the policy lets `caller` have traffic of its sockets charged to
// whomever it likes, and say which counter set that goes to: it is root, or its
// application has update_device_stats.
bool MayChargeOthers(const Policy& policy, Uid caller);

// Whether the policy lets `caller` have traffic of its sockets charged to
// `charged`: itself always, others as above.
bool MayCharge(const Policy& policy, Uid caller, Uid charged);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_MODEL_CHARGE_H_
