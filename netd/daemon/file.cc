// SPDX-License-Identifier: Apache-2.0

#include "netd/daemon/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/kernel/errno_status.h"

namespace netpolicy {

absl::StatusOr<std::string> ReadFile(const std::string& path,
                                     size_t max_bytes) {
  const std::string what = absl::StrCat("read ", path);
  // Non-blocking: a FIFO must not hang us before we see that it is one.
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.ok()) return StatusFromErrno(errno, what);
  struct stat info = {};
  if (fstat(fd.get(), &info) != 0) return StatusFromErrno(errno, what);
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": not a file"));
  }
  std::string content;
  size_t size = 0;
  while (true) {
    // One byte more than allowed, to see that there is more.
    content.resize(std::min(size + (64 << 10), max_bytes + 1));
    const ssize_t got =
        read(fd.get(), content.data() + size, content.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return StatusFromErrno(errno, what);
    size += static_cast<size_t>(got);
    if (size > max_bytes) {
      return absl::InvalidArgumentError(
          absl::StrCat(what, ": larger than ", max_bytes, " bytes"));
    }
    if (got == 0) break;
  }
  content.resize(size);
  return content;
}

absl::Status WriteAll(int fd, absl::string_view bytes,
                      const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      return StatusFromErrno(errno, absl::StrCat("write ", path));
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace netpolicy
