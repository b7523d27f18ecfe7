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
// Kept: CAP_BPF, and CAP_NET_ADMIN to close sockets that a commit blocks
// (CommitOptions::close_sockets), to attach programs to interfaces and to set
// addresses and routes as the network changes.
//
// CAP_BPF: Before Linux 5.19, where kernel.unprivileged_bpf_disabled is
// set, the kernel refuses bpf(2) altogether without it, also on descriptors
// that are open; later ones let whoever holds a descriptor use it. Measured:
// on 5.10 every call fails without CAP_BPF and every call works with it alone;
// on 6.1 and 7.3 everything works without any capability.
//
// Needed to open the engine, and not any more: CAP_PERFMON or CAP_SYS_ADMIN
// (loading), CAP_CHOWN (a group for the pins).
//
// Errors: kInternal.
absl::Status DropPrivileges();

// The effective capabilities, "cap_bpf,cap_net_admin"; "none"; for the log.
std::string EffectiveCapabilities();

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_DAEMON_PRIVILEGES_H_
