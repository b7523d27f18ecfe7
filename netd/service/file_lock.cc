// SPDX-License-Identifier: Apache-2.0

#include "netd/service/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "libpolicy/kernel/errno_status.h"

namespace netpolicy {
namespace {

// "pid N" of the holder; "pid unknown" when it hasn't written it yet.
std::string Holder(int fd) {
  char text[16];
  const ssize_t size = pread(fd, text, sizeof(text), 0);
  const absl::string_view digits = absl::StripAsciiWhitespace(
      absl::string_view(text, size > 0 ? static_cast<size_t>(size) : 0));
  uint32_t pid = 0;
  if (!absl::SimpleAtoi(digits, &pid)) return "pid unknown";
  return absl::StrCat("pid ", pid);
}

}  // namespace

absl::StatusOr<FileLock> FileLock::Acquire(const std::string& path) {
  const std::string what = absl::StrCat("lock ", path);
  // Somebody (an administrator, a removed RuntimeDirectory) may remove the file
  // between open and flock; then the lock is on a file that nobody else will
  // find.
  for (int attempt = 0; attempt < 8; ++attempt) {
    UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
                     S_IRUSR | S_IWUSR));
    if (!fd.ok()) return StatusFromErrno(errno, what);
    if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return StatusFromErrno(errno, what);
      return absl::UnavailableError(absl::StrCat(
          what, ": another netd (", Holder(fd.get()), ") is running"));
    }
    struct stat locked = {};
    struct stat found = {};
    if (fstat(fd.get(), &locked) != 0) return StatusFromErrno(errno, what);
    if (lstat(path.c_str(), &found) != 0 || found.st_dev != locked.st_dev ||
        found.st_ino != locked.st_ino) {
      continue;
    }
    // Only for the message above: a failure here hurts nobody.
    const std::string pid = absl::StrCat(getpid(), "\n");
    if (ftruncate(fd.get(), 0) == 0) {
      const ssize_t written = pwrite(fd.get(), pid.data(), pid.size(), 0);
      static_cast<void>(written);
    }
    return FileLock(std::move(fd));
  }
  return absl::UnavailableError(
      absl::StrCat(what, ": somebody keeps removing it"));
}

}  // namespace netpolicy
