// SPDX-License-Identifier: Apache-2.0
//
// The owner of one file descriptor.
//
//   UniqueFd fd(open(path, O_RDONLY | O_CLOEXEC));
//   if (!fd.ok()) return errno_to_status(...);
//   read(fd.get(), ...);                       // closed at the end of the
//   scope
//
// Threads: like an int. Closing keeps errno, so a failed call can be reported
// after the owner is gone.

#ifndef NETPOLICY_LIBPOLICY_BASE_UNIQUE_FD_H_
#define NETPOLICY_LIBPOLICY_BASE_UNIQUE_FD_H_

#include <unistd.h>

#include <cerrno>
#include <utility>

namespace netpolicy {

class UniqueFd {
 public:
  UniqueFd() = default;

  // Takes ownership; any negative number means "none".
  explicit UniqueFd(int fd) : fd_(fd) {}

  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  // True when a descriptor is owned.
  [[nodiscard]] bool ok() const { return fd_ >= 0; }

  // The descriptor, still owned by this object; negative when there is none.
  [[nodiscard]] int get() const { return fd_; }

  // Gives ownership to the caller.
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }

  // Closes what is owned and takes `fd` instead. close() is not repeated on
  // EINTR: Linux has freed the number by then.
  void reset(int fd = -1) {
    const int old = std::exchange(fd_, fd);
    if (old < 0) return;
    const int saved_errno = errno;
    close(old);
    errno = saved_errno;
  }

 private:
  int fd_ = -1;
};

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_BASE_UNIQUE_FD_H_
