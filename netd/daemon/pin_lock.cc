// SPDX-License-Identifier: Apache-2.0

#include "netd/daemon/pin_lock.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/kernel/errno_status.h"

namespace netpolicy {

absl::StatusOr<absl::optional<PinLock>> PinLock::Acquire(
    const std::string& pin_dir) {
  const std::string path = absl::StrCat(pin_dir, "/links");
  const std::string what = absl::StrCat("lock pins in ", pin_dir);
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.ok()) {
    if (errno == ENOENT) return absl::nullopt;
    return StatusFromErrno(errno, what);
  }
  absl::StatusOr<DirectoryLock> lock = DirectoryLock::Acquire(
      fd.get(), path, DirectoryLock::Kind::kExclusive, absl::ZeroDuration());
  if (absl::IsUnavailable(lock.status())) {
    return absl::UnavailableError(
        absl::StrCat(what, ": another netd is running"));
  }
  NP_RETURN_IF_ERROR(lock.status());
  return absl::make_optional(PinLock(path, std::move(fd), *std::move(lock)));
}

bool PinLock::IsCurrent() const {
  struct stat locked = {};
  struct stat found = {};
  return fstat(fd_.get(), &locked) == 0 && stat(path_.c_str(), &found) == 0 &&
         locked.st_dev == found.st_dev && locked.st_ino == found.st_ino;
}

}  // namespace netpolicy
