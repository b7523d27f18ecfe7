// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_CLI_EXIT_CODE_H_
#define NETPOLICY_NETD_CLI_EXIT_CODE_H_

namespace netpolicy::cli {

// What ndc's exit code says. Numbers are for ever: scripts know them. `ndc
// --help` and ndc(8) list them.
enum ExitCode : int {
  kExitOk = 0,           // done; explain: allowed
  kExitFailed = 1,       // refused or gone wrong, standard error says why
  kExitUsage = 2,        // the command line is wrong; nothing was tried
  kExitBlocked = 3,      // explain: blocked in a direction that was asked about
  kExitLostRace = 4,     // --expect-generation N, but N is not in force
  kExitUnreachable = 5,  // no netd at the socket, or no pins at the directory
  kExitNotClosed = 6,    // --close-sockets: the policy is in force, but sockets
                         // that it blocks are not closed; the output says why
};

}  // namespace netpolicy::cli

#endif  // NETPOLICY_NETD_CLI_EXIT_CODE_H_
