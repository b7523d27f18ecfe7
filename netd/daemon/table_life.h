// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_DAEMON_TABLE_LIFE_H_
#define NETPOLICY_NETD_DAEMON_TABLE_LIFE_H_

#include <initializer_list>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libpolicy/engine/policy_interface.h"

namespace netpolicy {

// The kernel's name of this boot; "" when it does not say.
std::string BootId();

// Names these tables as long as they live, and no others ever: the kernel gives
// the ids of maps one after the other, so within one boot they are no other
// table's. Errors: kInternal when boot or tables are not known.
absl::StatusOr<std::string> LifeOfTables(
    const EngineStatus& status, const std::string& boot,
    std::initializer_list<absl::string_view> names);

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_DAEMON_TABLE_LIFE_H_
