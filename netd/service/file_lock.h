// SPDX-License-Identifier: Apache-2.0
//
// "Only one netd at a time": a lock that the kernel gives back when its holder
// dies, in a file that says who holds it.

#ifndef NETPOLICY_NETD_SERVICE_FILE_LOCK_H_
#define NETPOLICY_NETD_SERVICE_FILE_LOCK_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "libpolicy/base/unique_fd.h"

namespace netpolicy {

// Holds flock(2) on a file for as long as it lives. The file holds the pid of
// the last holder and is never removed: who removed it could take the lock of
// one who is just about to.
class FileLock {
 public:
  // Takes the lock on the file `path`, making it (mode 0600) when it isn't
  // there. Doesn't wait. Errors: kUnavailable when another process has it:
  // "lock PATH: another netd (pid N) is running"; kPermissionDenied, kInternal
  // when the file can't be opened or made.
  static absl::StatusOr<FileLock> Acquire(const std::string& path);

  FileLock(FileLock&&) = default;
  FileLock& operator=(FileLock&&) = default;

 private:
  explicit FileLock(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_SERVICE_FILE_LOCK_H_
