// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_DAEMON_EXIT_CODE_H_
#define NETPOLICY_NETD_DAEMON_EXIT_CODE_H_

namespace netpolicy {

// What netd ends with. For ever: init scripts depend on them
// (docs/operations.md).
enum ExitCode : int {
  kExitOk = 0,       // ended as asked, or --help, --version, --detach done
  kExitFailure = 1,  // the kernel or the system refused something
  kExitUsage = 2,    // flags or configuration file
  kExitRunning = 3,  // another netd is running
  kExitState = 4,    // the state file can't be used
};

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_DAEMON_EXIT_CODE_H_
