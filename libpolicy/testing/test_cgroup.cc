// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/testing/test_cgroup.h"

#include <fcntl.h>
#include <mntent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/testing/errno_status.h"

namespace netpolicy::testing {
namespace {

absl::Status MoveProcess(const std::string& cgroup, pid_t pid) {
  const std::string what =
      absl::StrCat("move process ", pid, " to cgroup ", cgroup);
  UniqueFd fd(open((cgroup + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.ok()) return ErrnoStatus(errno, what);
  const std::string text = absl::StrCat(pid);
  if (write(fd.get(), text.data(), text.size()) < 0)
    return ErrnoStatus(errno, what);
  return absl::OkStatus();
}

// The directory of the cgroup this process is in.
absl::StatusOr<std::string> OwnCgroup() {
  NP_ASSIGN_OR_RETURN(const std::string mount, FindCgroup2Mount());
  std::ifstream lines("/proc/self/cgroup");
  for (std::string line; std::getline(lines, line);) {
    if (absl::StartsWith(line, "0::")) return mount + line.substr(3);
  }
  return absl::NotFoundError("find own cgroup: no cgroup2 entry");
}

}  // namespace

absl::StatusOr<std::string> FindCgroup2Mount() {
  const std::unique_ptr<FILE, int (*)(FILE*)> mounts(
      setmntent("/proc/self/mounts", "re"), endmntent);
  if (mounts == nullptr) return ErrnoStatus(errno, "open /proc/self/mounts");
  mntent entry;
  char buffer[8192];
  while (getmntent_r(mounts.get(), &entry, buffer, sizeof(buffer)) != nullptr) {
    if (strcmp(entry.mnt_type, "cgroup2") == 0)
      return std::string(entry.mnt_dir);
  }
  return absl::NotFoundError("find cgroup2 mount: none in /proc/self/mounts");
}

absl::StatusOr<TestCgroup> TestCgroup::Create() {
  NP_ASSIGN_OR_RETURN(const std::string mount, FindCgroup2Mount());
  static unsigned counter = 0;
  while (true) {
    const std::string path =
        absl::StrCat(mount, "/netpolicy-test-", getpid(), "-", ++counter);
    if (access(path.c_str(), F_OK) == 0) continue;  // Not ours.
    return CreateAt(path);
  }
}

absl::StatusOr<TestCgroup> TestCgroup::CreateChild(
    absl::string_view name) const {
  const std::string path = absl::StrCat(path_, "/", name);
  if (access(path.c_str(), F_OK) == 0) {
    return ErrnoStatus(EEXIST, absl::StrCat("create cgroup ", path));
  }
  return CreateAt(path);
}

absl::StatusOr<TestCgroup> TestCgroup::CreateAt(const std::string& path) {
  NP_ASSIGN_OR_RETURN(JanitorTicket ticket, JanitorTicket::ForCgroup(path));
  const std::string what = absl::StrCat("create cgroup ", path);
  if (mkdir(path.c_str(), 0755) != 0) return ErrnoStatus(errno, what);
  absl::StatusOr<std::string> home = OwnCgroup();
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat info;
  if (!fd.ok() || fstat(fd.get(), &info) != 0) {
    const int error = errno;
    rmdir(path.c_str());
    return ErrnoStatus(error, what);
  }
  return TestCgroup(path, home.value_or(path.substr(0, path.rfind('/'))),
                    std::move(fd), info.st_ino, std::move(ticket));
}

TestCgroup& TestCgroup::operator=(TestCgroup&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(home_, other.home_);
  std::swap(fd_, other.fd_);
  std::swap(id_, other.id_);
  std::swap(ticket_, other.ticket_);
  return *this;
}

TestCgroup::~TestCgroup() {
  if (!ticket_.owns()) return;
  fd_.reset();
  absl::StatusOr<std::vector<pid_t>> inside = Processes();
  if (inside.ok() && std::count(inside->begin(), inside->end(), getpid()) > 0) {
    (void)MoveProcess(home_, 0);
  }
  if (!RemoveCgroup(path_).ok()) ticket_.Abandon();
}

absl::Status TestCgroup::AddProcess(pid_t pid) const {
  return MoveProcess(path_, pid);
}

absl::StatusOr<std::vector<pid_t>> TestCgroup::Processes() const {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(
      fopen((path_ + "/cgroup.procs").c_str(), "re"), fclose);
  if (file == nullptr)
    return ErrnoStatus(errno, absl::StrCat("read cgroup ", path_));
  std::vector<pid_t> pids;
  int pid;
  while (fscanf(file.get(), "%d", &pid) == 1) pids.push_back(pid);
  return pids;
}

}  // namespace netpolicy::testing
