// SPDX-License-Identifier: Apache-2.0
//
// "One netd on a pin directory". The library lets several engines share one;
// for two daemons, each with a state file, that would be one too many.

#ifndef NETPOLICY_NETD_DAEMON_PIN_LOCK_H_
#define NETPOLICY_NETD_DAEMON_PIN_LOCK_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/kernel/lock.h"

namespace netpolicy {

// Holds a lock on the directory "links" in a pin directory: the directory
// itself is what engines lock to commit, and no other file can be made there.
// The kernel gives the lock back when the process dies.
class PinLock {
 public:
  // Doesn't wait. Unset when there are no pins, so nobody can be at work on
  // them. Errors: kUnavailable "lock pins in DIR: another netd is running".
  static absl::StatusOr<absl::optional<PinLock>> Acquire(
      const std::string& pin_dir);

  // Whether the directory that was locked is still the one in the pin
  // directory: false when pins have been removed and made again since.
  bool IsCurrent() const;

 private:
  PinLock(std::string path, UniqueFd fd, DirectoryLock lock)
      : path_(std::move(path)), fd_(std::move(fd)), lock_(std::move(lock)) {}

  std::string path_;
  UniqueFd fd_;  // outlives the lock on it
  DirectoryLock lock_;
};

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_DAEMON_PIN_LOCK_H_
