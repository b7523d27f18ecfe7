// SPDX-License-Identifier: Apache-2.0

#include "netd/service/peer.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/kernel/errno_status.h"

namespace netpolicy {
namespace {

absl::Status Error(absl::string_view what) {
  return absl::InternalError(
      absl::StrCat("identify peer: ", what, ": ", ErrnoText(errno)));
}

constexpr size_t kMaxCommandBytes = 256;

std::string CommandOf(pid_t pid) {
  // 0: in another process namespace.
  if (pid <= 0) return "";
  const UniqueFd fd(open(absl::StrCat("/proc/", pid, "/cmdline").c_str(),
                         O_RDONLY | O_CLOEXEC));
  if (!fd.ok()) return "";
  std::string command(kMaxCommandBytes, '\0');
  const ssize_t got = read(fd.get(), command.data(), command.size());
  command.resize(static_cast<size_t>(std::max<ssize_t>(got, 0)));
  // Every word ends with a zero.
  while (!command.empty() && command.back() == '\0') command.pop_back();
  std::replace(command.begin(), command.end(), '\0', ' ');
  return command;
}

}  // namespace

absl::StatusOr<Peer> PeerOf(int fd) {
  ucred credentials = {};
  socklen_t size = sizeof(credentials);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return Error("SO_PEERCRED");
  }
  Peer peer = {.uid = credentials.uid,
               .pid = credentials.pid,
               .groups = {},
               .command = CommandOf(credentials.pid)};

  // The kernel says in `size` how much room there should have been
  // (net/core/sock.c, sk_getsockopt, SO_PEERGROUPS). The groups of a connection
  // never change, so the second call fits.
  std::vector<gid_t> groups(32);
  for (int attempt = 0; attempt < 2; ++attempt) {
    size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) == 0) {
      groups.resize(size / sizeof(gid_t));
      groups.push_back(credentials.gid);
      peer.groups = std::move(groups);
      return peer;
    }
    if (errno != ERANGE) break;
    groups.resize(size / sizeof(gid_t));
  }
  return Error("SO_PEERGROUPS");
}

absl::string_view RightName(Right right) {
  switch (right) {
    case Right::kNone:
      return "nothing";
    case Right::kRead:
      return "read";
    case Right::kChange:
      return "change";
  }
  return "?";
}

Right RightOf(const Peer& peer, const AccessRules& rules) {
  const auto is_in = [&peer](absl::optional<gid_t> group) {
    return group.has_value() &&
           std::find(peer.groups.begin(), peer.groups.end(), *group) !=
               peer.groups.end();
  };
  if (peer.uid == 0 || peer.uid == rules.own_uid || is_in(rules.change_group)) {
    return Right::kChange;
  }
  return is_in(rules.read_group) ? Right::kRead : Right::kNone;
}

}  // namespace netpolicy
