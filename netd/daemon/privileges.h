// SPDX-License-Identifier: Apache-2.0
//
// What netd gives up when it has opened everything.

#ifndef NETPOLICY_NETD_DAEMON_PRIVILEGES_H_
#define NETPOLICY_NETD_DAEMON_PRIVILEGES_H_

#include <string>

#include "absl/status/status.h"

namespace netpolicy {

// Keeps, of the capabilities that the process has, those that a running netd
// needs, in the effective and the permitted set, and gives up all others for
// ever (bounding set and ambient set included where the process may); sets
// no_new_privs. To be called while there is one thread.
//
// Kept:
//   CAP_BPF        bpf(2) on descriptors that are open, which kernels before
//                  5.19 refuse to the unprivileged where
//                  kernel.unprivileged_bpf_disabled is set
//   CAP_NET_ADMIN  reading links and programs
// Not needed any more: CAP_PERFMON and CAP_SYS_ADMIN (loading programs),
// CAP_CHOWN and CAP_DAC_OVERRIDE (pins, socket).
//
// Errors: kInternal.
absl::Status DropPrivileges();

// The effective capabilities, "cap_bpf,cap_net_admin"; "none"; for the log.
std::string EffectiveCapabilities();

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_DAEMON_PRIVILEGES_H_
