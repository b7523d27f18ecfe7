// SPDX-License-Identifier: Apache-2.0
//
// The socket that netd serves: a path that belongs to one netd at a time.

#ifndef NETPOLICY_NETD_SERVICE_LISTENER_H_
#define NETPOLICY_NETD_SERVICE_LISTENER_H_

#include <sys/types.h>

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "libpolicy/base/unique_fd.h"
#include "netd/service/file_lock.h"

namespace netpolicy {

// A listening unix stream socket at a path, which it removes at its end. Holds
// the lock PATH.lock meanwhile.
class Listener {
 public:
  // Makes and binds the socket; a socket that nobody serves any more is
  // replaced. `mode` are the permissions of the socket file: connect(2) needs
  // write permission. Errors, which change nothing:
  //   kUnavailable: "listen on PATH: another netd (pid N) is running", or
  //     another program serves a socket there
  //   kFailedPrecondition: what is at PATH is not a socket
  //   kInvalidArgument: the path is empty or too long for a socket (107 bytes)
  //   kPermissionDenied, kInternal: the system's refusal
  static absl::StatusOr<Listener> Open(const std::string& path, mode_t mode);

  Listener(Listener&&) = default;
  Listener& operator=(Listener&&) = delete;
  ~Listener();

  // Non-blocking. Owned by this object.
  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }

 private:
  Listener(std::string path, FileLock lock, UniqueFd fd)
      : path_(std::move(path)), lock_(std::move(lock)), fd_(std::move(fd)) {}

  std::string path_;
  FileLock lock_;
  UniqueFd fd_;
};

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_SERVICE_LISTENER_H_
