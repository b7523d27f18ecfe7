// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/model/charge.h"

namespace netpolicy {

bool MayChargeOthers(const Policy& policy, Uid caller) {
  if (caller == Uid{0}) return true;
  const uint32_t per_user = policy.network().settings.uids_per_user;
  const Uid application =
      per_user == 0 ? caller : Uid{ToInt(caller) % per_user};
  return policy.Find(application).update_device_stats == Permission::kGranted;
}

bool MayCharge(const Policy& policy, Uid caller, Uid charged) {
  return caller == charged || MayChargeOthers(policy, caller);
}

}  // namespace netpolicy
