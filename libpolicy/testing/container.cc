// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/testing/container.h"

#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/testing/errno_status.h"

namespace netpolicy::testing {
namespace {

absl::StatusOr<UniqueFd> OpenFile(const std::string& path, int flags) {
  UniqueFd fd(open(path.c_str(), flags | O_CLOEXEC));
  if (!fd.ok()) return ErrnoStatus(errno, absl::StrCat("open ", path));
  return fd;
}

absl::Status WriteFile(const std::string& path, absl::string_view text) {
  NP_ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(path, O_WRONLY));
  if (write(fd.get(), text.data(), text.size()) !=
      static_cast<ssize_t>(text.size())) {
    return ErrnoStatus(errno, absl::StrCat("write ", path));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Container> Container::Create(const IdMaps& maps) {
  int ready[2], done[2];
  if (pipe2(ready, O_CLOEXEC) != 0) return ErrnoStatus(errno, "create pipe");
  UniqueFd ready_read(ready[0]), ready_write(ready[1]);
  if (pipe2(done, O_CLOEXEC) != 0) return ErrnoStatus(errno, "create pipe");
  UniqueFd done_read(done[0]), done_write(done[1]);
  // Only a process with one thread may make a user namespace.
  const pid_t child = fork();
  if (child < 0) return ErrnoStatus(errno, "fork container");
  if (child == 0) {
    int error = unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0 ? errno : 0;
    done_write.reset();
    if (write(ready_write.get(), &error, sizeof(error)) > 0) {
      (void)!read(done_read.get(), &error, 1);  // Until the parent has it all.
    }
    _exit(0);
  }
  ready_write.reset();
  absl::StatusOr<Container> container = [&]() -> absl::StatusOr<Container> {
    int error = 0;
    if (read(ready_read.get(), &error, sizeof(error)) != sizeof(error)) {
      return absl::InternalError("create user namespace: child died");
    }
    if (error != 0) return ErrnoStatus(error, "create user namespace");
    const std::string proc = absl::StrCat("/proc/", child);
    NP_RETURN_IF_ERROR(WriteFile(proc + "/uid_map", maps.uid_map));
    NP_RETURN_IF_ERROR(WriteFile(proc + "/gid_map", maps.gid_map));
    NP_ASSIGN_OR_RETURN(UniqueFd user, OpenFile(proc + "/ns/user", O_RDONLY));
    NP_ASSIGN_OR_RETURN(UniqueFd net_fd, OpenFile(proc + "/ns/net", O_RDONLY));
    NP_ASSIGN_OR_RETURN(NetNamespace net, NetNamespace::Adopt(net_fd.get()));
    NP_RETURN_IF_ERROR(net.PrepareForTests());
    return Container{std::move(user), std::move(net)};
  }();
  done_write.reset();
  while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  return container;
}

}  // namespace netpolicy::testing
