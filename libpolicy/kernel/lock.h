// SPDX-License-Identifier: Apache-2.0
//
// An advisory lock on a directory (flock(2)), which the kernel takes back when
// the process dies.

#ifndef NETPOLICY_LIBPOLICY_KERNEL_LOCK_H_
#define NETPOLICY_LIBPOLICY_KERNEL_LOCK_H_

#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace netpolicy {

// Holds the lock until destroyed. The descriptor must outlive it and is not
// owned. Two locks over one descriptor are one lock: threads that share a
// descriptor need a mutex besides.
class DirectoryLock {
 public:
  enum class Kind : uint8_t { kShared, kExclusive };

  // Tries until `timeout` has passed (zero: once). Errors: kUnavailable
  // `lock PATH: held by another process`.
  static absl::StatusOr<DirectoryLock> Acquire(int fd, absl::string_view path,
                                               Kind kind,
                                               absl::Duration timeout);

  DirectoryLock(DirectoryLock&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)) {}
  DirectoryLock& operator=(DirectoryLock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~DirectoryLock();

 private:
  explicit DirectoryLock(int fd) : fd_(fd) {}

  int fd_ = -1;
};

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_KERNEL_LOCK_H_
