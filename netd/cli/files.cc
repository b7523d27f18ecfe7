// SPDX-License-Identifier: Apache-2.0

#include "netd/cli/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/model/document.h"
#include "netd/cli/text_table.h"

namespace netpolicy::cli {

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  const bool is_input = path == "-";
  const std::string name = is_input ? "standard input" : Printable(path);
  UniqueFd file;
  if (!is_input) {
    file.reset(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.ok()) {
      const absl::string_view cause = std::strerror(errno);
      return absl::NotFoundError(absl::StrCat("read ", name, ": ", cause));
    }
  }
  std::string text;
  std::vector<char> buffer(size_t{1} << 16);
  for (;;) {
    const ssize_t got = read(is_input ? STDIN_FILENO : file.get(),
                             buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      const absl::string_view cause = std::strerror(errno);
      return absl::UnavailableError(absl::StrCat("read ", name, ": ", cause));
    }
    if (got == 0) return text;
    text.append(buffer.data(), got);
    if (text.size() > kMaxPolicyJsonBytes) {
      return absl::InvalidArgumentError(absl::StrCat(
          "read ", name, ": larger than ", kMaxPolicyJsonBytes >> 20, " MiB"));
    }
  }
}

absl::Status WriteFile(const std::string& path, absl::string_view text) {
  const auto fault = [&path](int error) {
    return absl::UnavailableError(absl::StrCat(
        "write ", path == "-" ? "standard output" : Printable(path), ": ",
        std::strerror(error)));
  };
  if (path == "-") {
    return WriteAll(STDOUT_FILENO, text) ? absl::OkStatus() : fault(errno);
  }
  struct stat there = {};
  if (lstat(path.c_str(), &there) == 0 && !S_ISREG(there.st_mode)) {
    // A rename would put a file in the place of a device, a pipe or a link.
    const UniqueFd file(open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
    return file.ok() && WriteAll(file.get(), text) ? absl::OkStatus()
                                                   : fault(errno);
  }
  // Beside it, as a rename does not cross file systems.
  const std::string fresh = absl::StrCat(path, ".", getpid(), ".new");
  UniqueFd file(
      open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!file.ok()) return fault(errno);
  if (!WriteAll(file.get(), text) || rename(fresh.c_str(), path.c_str()) != 0) {
    const int error = errno;
    unlink(fresh.c_str());
    return fault(error);
  }
  return absl::OkStatus();
}

bool WriteAll(int fd, absl::string_view text) {
  while (!text.empty()) {
    const ssize_t put = write(fd, text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return false;
    text.remove_prefix(put);
  }
  return true;
}

}  // namespace netpolicy::cli
