// SPDX-License-Identifier: Apache-2.0
//
// What the machine offers to netd, for `ndc doctor`; ndc itself looks, too,
// where there is no netd.

#ifndef NETPOLICY_NETD_DAEMON_MACHINE_H_
#define NETPOLICY_NETD_DAEMON_MACHINE_H_

#include <string>
#include <vector>

#include "libpolicy/engine/policy_interface.h"
#include "libpolicy/kernel/probe.h"
#include "netd/service/doctor.h"

namespace netpolicy {

// What was probed, and what /proc and /sys under `root` ("" in earnest) say
// now. `features` come from when netd still had the privileges to try them out;
// `status` is of the engine that is open, nullptr when there is none.
DoctorReport ExamineMachine(const std::vector<Feature>& features,
                            const EngineStatus* status,
                            const std::string& root = "");

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_DAEMON_MACHINE_H_
