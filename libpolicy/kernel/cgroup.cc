// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/kernel/cgroup.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "libpolicy/kernel/errno_status.h"

namespace netpolicy {
namespace {

// The kernel writes blanks, tabs, newlines and backslashes in a mount's path as
// three octal digits (mangle() in fs/proc_namespace.c).
std::string Unescape(absl::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out.push_back(static_cast<char>((text[i + 1] - '0') * 64 +
                                      (text[i + 2] - '0') * 8 +
                                      (text[i + 3] - '0')));
      i += 3;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

}  // namespace

absl::StatusOr<std::string> FindCgroup2MountIn(absl::string_view mounts) {
  for (absl::string_view line : absl::StrSplit(mounts, '\n')) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ');
    if (fields.size() >= 3 && fields[2] == "cgroup2") {
      return Unescape(fields[1]);
    }
  }
  return absl::NotFoundError(
      "find cgroup2: not mounted (mount -t cgroup2 none DIRECTORY)");
}

absl::StatusOr<std::string> FindCgroup2Mount() {
  std::ifstream file("/proc/self/mounts");
  if (!file) return absl::NotFoundError("find cgroup2: /proc is not mounted");
  std::stringstream mounts;
  mounts << file.rdbuf();
  return FindCgroup2MountIn(mounts.str());
}

absl::StatusOr<Cgroup> OpenCgroup(absl::string_view path) {
  Cgroup cgroup;
  cgroup.path = std::string(path);
  const std::string operation = absl::StrCat("open cgroup ", path);
  cgroup.fd =
      UniqueFd(open(cgroup.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!cgroup.fd.ok()) return StatusFromErrno(errno, operation);
  struct statfs fs;
  if (fstatfs(cgroup.fd.get(), &fs) != 0) {
    return StatusFromErrno(errno, operation);
  }
  if (fs.f_type != CGROUP2_SUPER_MAGIC) {
    return absl::FailedPreconditionError(operation +
                                         ": not a cgroup v2 directory");
  }
  alignas(file_handle) char space[sizeof(file_handle) + sizeof(cgroup.id)] = {};
  auto* handle = reinterpret_cast<file_handle*>(space);
  handle->handle_bytes = sizeof(cgroup.id);
  int mount_id = 0;
  if (name_to_handle_at(cgroup.fd.get(), "", handle, &mount_id,
                        AT_EMPTY_PATH) != 0) {
    return StatusFromErrno(errno, absl::StrCat("read id of cgroup ", path));
  }
  std::memcpy(&cgroup.id, handle->f_handle, sizeof(cgroup.id));
  return cgroup;
}

absl::StatusOr<std::vector<uint64_t>> CgroupIdsBelow(absl::string_view path) {
  absl::StatusOr<Cgroup> top = OpenCgroup(path);
  if (!top.ok()) return top.status();
  std::vector<uint64_t> ids;
  std::vector<std::filesystem::path> rest = {top->path};
  while (!rest.empty()) {
    const std::filesystem::path directory = std::move(rest.back());
    rest.pop_back();
    std::error_code error;
    std::filesystem::directory_iterator it(directory, error);
    // One that goes while it is read ends by an error, which is none here.
    for (; !error && it != std::filesystem::directory_iterator();
         it.increment(error)) {
      std::error_code unreadable;
      if (!it->is_directory(unreadable)) continue;
      const absl::StatusOr<Cgroup> cgroup = OpenCgroup(it->path().native());
      if (!cgroup.ok()) continue;
      ids.push_back(cgroup->id);
      rest.push_back(it->path());
    }
  }
  return ids;
}

std::string CgroupName(absl::string_view mount, uint64_t id) {
  const std::string fallback = absl::StrCat("cgroup id ", id);
  UniqueFd mount_fd(
      open(std::string(mount).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!mount_fd.ok()) return fallback;
  alignas(file_handle) char space[sizeof(file_handle) + sizeof(id)] = {};
  auto* handle = reinterpret_cast<file_handle*>(space);
  handle->handle_bytes = sizeof(id);
  handle->handle_type = 0xfe;  // FILEID_KERNFS
  std::memcpy(handle->f_handle, &id, sizeof(id));
  UniqueFd fd(open_by_handle_at(mount_fd.get(), handle, O_PATH | O_CLOEXEC));
  if (!fd.ok()) return fallback;
  char path[4096];
  const ssize_t length = readlink(
      absl::StrCat("/proc/self/fd/", fd.get()).c_str(), path, sizeof(path));
  if (length <= 0) return fallback;
  return std::string(path, static_cast<size_t>(length));
}

}  // namespace netpolicy
