// SPDX-License-Identifier: Apache-2.0

#include "netd/service/listener.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/kernel/errno_status.h"
#include "netd/service/unix_address.h"

namespace netpolicy {
namespace {

constexpr int kBacklog = 64;

// Removes a socket that its server has left behind. Called with the lock held,
// so that no netd serves it.
absl::Status RemoveStale(const std::string& path, const UnixAddress& address,
                         const std::string& what) {
  struct stat found = {};
  if (lstat(path.c_str(), &found) != 0) {
    return errno == ENOENT ? absl::OkStatus() : StatusFromErrno(errno, what);
  }
  if (!S_ISSOCK(found.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat(what, ": it exists and is not a socket"));
  }
  // Another program's socket can't be told from a stale one but by trying.
  const UniqueFd probe(
      socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe.ok()) return StatusFromErrno(errno, what);
  if (connect(probe.get(), address.get(), address.size()) == 0 ||
      errno == EAGAIN) {
    return absl::UnavailableError(
        absl::StrCat(what, ": another program serves this socket"));
  }
  if (unlink(path.c_str()) != 0) return StatusFromErrno(errno, what);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Listener> Listener::Open(const std::string& path, mode_t mode) {
  const std::string what = absl::StrCat("listen on ", path);
  NP_ASSIGN_OR_RETURN(const UnixAddress address, UnixAddress::Of(path));

  absl::StatusOr<FileLock> lock =
      FileLock::Acquire(absl::StrCat(path, ".lock"));
  if (!lock.ok()) {
    // "lock PATH.lock: cause" -> "listen on PATH: cause"
    const absl::string_view message = lock.status().message();
    return absl::Status(lock.status().code(),
                        absl::StrCat(what, message.substr(message.find(": "))));
  }
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.ok()) return StatusFromErrno(errno, what);
  NP_RETURN_IF_ERROR(RemoveStale(path, address, what));
  // bind(2) makes the file with the socket's own mode less the umask
  // (net/unix/af_unix.c, unix_bind_bsd), so it is never more open than it
  // should be; chmod gives what the umask took.
  if (fchmod(fd.get(), mode) != 0 ||
      bind(fd.get(), address.get(), address.size()) != 0) {
    return StatusFromErrno(errno, what);
  }
  Listener listener(path, *std::move(lock), std::move(fd));
  if (chmod(path.c_str(), mode) != 0 || listen(listener.fd(), kBacklog) != 0) {
    return StatusFromErrno(errno, what);
  }
  return listener;
}

Listener::~Listener() {
  // Before the lock goes: a socket of the next netd must not be removed.
  if (fd_.ok()) unlink(path_.c_str());
}

}  // namespace netpolicy
