// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/kernel/pin.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/kernel/errno_status.h"

namespace netpolicy {
namespace {

absl::Status SetAccess(const std::string& path, const PinAccess& access,
                       mode_t alone, mode_t with_group) {
  if (access.group.has_value() &&
      chown(path.c_str(), static_cast<uid_t>(-1), *access.group) != 0) {
    return StatusFromErrno(errno, absl::StrCat("set group of ", path));
  }
  const mode_t mode = access.group.has_value() ? with_group : alone;
  if (chmod(path.c_str(), mode) != 0) {
    return StatusFromErrno(errno, absl::StrCat("set mode of ", path));
  }
  return absl::OkStatus();
}

// What the descriptor's link in /proc calls it (the names given to
// anon_inode_getfd() in kernel/bpf/syscall.c; links are "bpf_link" since 5.7).
bool LooksLike(int fd, PinKind kind) {
  char target[64];
  const ssize_t length = readlink(absl::StrCat("/proc/self/fd/", fd).c_str(),
                                  target, sizeof(target));
  if (length <= 0) return true;  // No /proc: the next call will tell.
  const absl::string_view name(target, static_cast<size_t>(length));
  switch (kind) {
    case PinKind::kMap:
      return absl::StrContains(name, "bpf-map");
    case PinKind::kProgram:
      return absl::StrContains(name, "bpf-prog");
    case PinKind::kLink:
      return absl::StrContains(name, "bpf_link") ||
             absl::StrContains(name, "bpf-link");
  }
  return false;
}

absl::string_view KindName(PinKind kind) {
  switch (kind) {
    case PinKind::kMap:
      return "map";
    case PinKind::kProgram:
      return "program";
    case PinKind::kLink:
      return "link";
  }
  return "object";
}

}  // namespace

absl::Status CheckOnBpfFs(absl::string_view directory) {
  const std::string operation = absl::StrCat("open pin directory ", directory);
  struct statfs fs;
  if (statfs(std::string(directory).c_str(), &fs) != 0) {
    return StatusFromErrno(errno, operation);
  }
  if (fs.f_type != BPF_FS_MAGIC) {
    return absl::FailedPreconditionError(
        operation + ": not on a bpffs (mount -t bpf bpf DIRECTORY)");
  }
  return absl::OkStatus();
}

absl::Status MakePinDirectory(const std::string& path,
                              const PinAccess& access) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0) {
    // Look at the parent first, so as not to leave a directory on a disk.
    std::string parent = path;
    while (parent.size() > 1 && parent.back() == '/') parent.pop_back();
    const size_t slash = parent.rfind('/');
    parent = slash == std::string::npos ? "."
             : slash == 0               ? "/"
                                        : parent.substr(0, slash);
    NP_RETURN_IF_ERROR(CheckOnBpfFs(parent));
    if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
      return StatusFromErrno(errno, absl::StrCat("make pin directory ", path));
    }
  }
  NP_RETURN_IF_ERROR(CheckOnBpfFs(path));
  return SetAccess(path, access, 0700, 0750);
}

absl::StatusOr<UniqueFd> OpenPinDirectory(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.ok()) {
    return StatusFromErrno(errno, absl::StrCat("open pin directory ", path));
  }
  return fd;
}

absl::StatusOr<std::vector<std::string>> ListPins(
    const std::string& directory) {
  std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(directory.c_str()), closedir);
  if (dir == nullptr) {
    return StatusFromErrno(errno, absl::StrCat("list pins in ", directory));
  }
  std::vector<std::string> names;
  while (const dirent* entry = readdir(dir.get())) {
    const absl::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

absl::Status SetPinAccess(const std::string& path, const PinAccess& access) {
  return SetAccess(path, access, 0600, 0640);
}

absl::Status Pin(int fd, const std::string& path, const PinAccess& access) {
  if (bpf_obj_pin(fd, path.c_str()) != 0) {
    return BpfStatusFromErrno(errno, absl::StrCat("pin ", path), "CAP_BPF");
  }
  return SetPinAccess(path, access);
}

absl::Status ReplacePin(int fd, const std::string& path,
                        const PinAccess& access) {
  const std::string fresh = absl::StrCat(path, kNewPinSuffix);
  NP_RETURN_IF_ERROR(Unpin(fresh));  // Of somebody who died here.
  NP_RETURN_IF_ERROR(Pin(fd, fresh, access));
  if (rename(fresh.c_str(), path.c_str()) != 0) {
    const int error = errno;
    NP_RETURN_IF_ERROR(Unpin(fresh));
    return StatusFromErrno(error, absl::StrCat("replace pin ", path));
  }
  return absl::OkStatus();
}

absl::Status Unpin(const std::string& path) {
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return StatusFromErrno(errno, absl::StrCat("remove pin ", path));
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> OpenPin(const std::string& path, PinKind kind) {
  const std::string operation = absl::StrCat("open pin ", path);
  UniqueFd fd(bpf_obj_get(path.c_str()));
  if (!fd.ok()) return BpfStatusFromErrno(errno, operation, "CAP_BPF");
  if (!LooksLike(fd.get(), kind)) {
    return absl::FailedPreconditionError(
        absl::StrCat(operation, ": not a ", KindName(kind)));
  }
  return fd;
}

}  // namespace netpolicy
