// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/kernel/lock.h"

#include <sys/file.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libpolicy/kernel/errno_status.h"

namespace netpolicy {

absl::StatusOr<DirectoryLock> DirectoryLock::Acquire(int fd,
                                                     absl::string_view path,
                                                     Kind kind,
                                                     absl::Duration timeout) {
  // flock() has no deadline of its own, and a signal to interrupt it would be
  // the process's business. Holders keep the lock for microseconds to some
  // milliseconds.
  const int operation = kind == Kind::kShared ? LOCK_SH : LOCK_EX;
  const absl::Time deadline = absl::Now() + timeout;
  absl::Duration pause = absl::Microseconds(50);
  while (flock(fd, operation | LOCK_NB) != 0) {
    const int error = errno;
    if (error != EWOULDBLOCK && error != EINTR) {
      return StatusFromErrno(error, absl::StrCat("lock ", path));
    }
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) {
      return absl::UnavailableError(
          absl::StrCat("lock ", path, ": held by another process"));
    }
    absl::SleepFor(std::min(pause, left));
    pause = std::min(pause * 2, absl::Milliseconds(5));
  }
  return DirectoryLock(fd);
}

DirectoryLock::~DirectoryLock() {
  if (fd_ >= 0) flock(fd_, LOCK_UN);
}

}  // namespace netpolicy
