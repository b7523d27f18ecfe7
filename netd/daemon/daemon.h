// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_DAEMON_DAEMON_H_
#define NETPOLICY_NETD_DAEMON_DAEMON_H_

#include "netd/daemon/exit_code.h"
#include "netd/daemon/notify.h"
#include "netd/daemon/options.h"

namespace netpolicy {

// Serves until SIGTERM or SIGINT, or what the system refuses; logs. To be
// called by main() alone: changes signal dispositions and the process's
// privileges.
ExitCode RunDaemon(const DaemonOptions& options,
                   const ServiceNotifier& notifier);

// netd --detach: ends enforcement and removes the pins. The state file stays.
ExitCode RunDetach(const DaemonOptions& options);

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_DAEMON_DAEMON_H_
