// SPDX-License-Identifier: Apache-2.0
//
// pidfd_open(2) and pidfd_send_signal(2), Linux 5.3. glibc has them since 2.36,
// whose header forgets extern "C".

#ifndef NETPOLICY_LIBPOLICY_TESTING_PIDFD_H_
#define NETPOLICY_LIBPOLICY_TESTING_PIDFD_H_

#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "libpolicy/base/unique_fd.h"

namespace netpolicy::testing {

// A descriptor of a process, which can't become another one's as a number can.
// Not ok() with errno set when there is no such process.
inline UniqueFd OpenPidfd(pid_t pid) {
  return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

// 0, or -1 with errno.
inline int SignalPidfd(int pidfd, int signal) {
  return static_cast<int>(
      syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0));
}

}  // namespace netpolicy::testing

#endif  // NETPOLICY_LIBPOLICY_TESTING_PIDFD_H_
