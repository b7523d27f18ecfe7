// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/engine/socket_tag.h"

#include <linux/bpf.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/kernel/errno_status.h"
#include "libpolicy/model/ids.h"

namespace netpolicy {
namespace {

constexpr absl::string_view kOperation = "tag socket";

// Entries come once in a socket's life and never go before it does, so the
// second attempt finds what the first one missed.
constexpr int kAttempts = 3;

absl::Status Invalid(absl::string_view cause) {
  return absl::InvalidArgumentError(absl::StrCat(kOperation, ": ", cause));
}

absl::Status CheckFamily(int socket) {
  int family = 0;
  socklen_t size = sizeof(family);
  if (getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &family, &size) != 0) {
    if (errno == ENOTSOCK) return Invalid("it is no socket");
    if (errno == EBADF) return Invalid("it is no open descriptor");
    return StatusFromErrno(errno, kOperation);
  }
  if (family == AF_INET || family == AF_INET6) return absl::OkStatus();
  return Invalid(absl::StrCat("its address family is ", family,
                              ", not that of IPv4 or IPv6"));
}

// The UID that the kernel keeps with a socket, which is that of its inode
// (sockfs_setattr() in net/socket.c): what np_socket_owner() in
// bpf_progs/lib/identity.h finds.
absl::StatusOr<uint32_t> OwnerOf(int socket) {
  struct stat inode = {};
  if (fstat(socket, &inode) != 0) return StatusFromErrno(errno, kOperation);
  return inode.st_uid;
}

}  // namespace

absl::Status WriteSocketTag(const Map<int, np_socket>& sockets, int socket,
                            const SocketTag& tag) {
  if (tag.charge.has_value() && ToInt(*tag.charge) > ToInt(kMaxUid)) {
    return Invalid(absl::StrCat(ToInt(*tag.charge), " is no uid"));
  }
  NP_RETURN_IF_ERROR(CheckFamily(socket));
  absl::Status status;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    NP_ASSIGN_OR_RETURN(const auto found, sockets.Lookup(socket));
    np_socket entry = {};
    if (found.has_value()) {
      entry.uid = found->uid;
    } else {
      if (tag.tag == 0 && !tag.charge.has_value()) return absl::OkStatus();
      NP_ASSIGN_OR_RETURN(entry.uid, OwnerOf(socket));
    }
    entry.tag = tag.tag;
    entry.charge_uid = tag.charge.has_value() ? ToInt(*tag.charge) : 0;
    entry.charges_other = tag.charge.has_value() ? 1 : 0;
    // The kernel puts a new entry into the place of the old one
    // (bpf_local_storage_update()). Nothing that programs write to the old one
    // meanwhile is missed: who owns the socket was written before anybody had
    // its descriptor, and what they remember of its last packets must go.
    status = sockets.Update(socket, entry,
                            found.has_value() ? BPF_EXIST : BPF_NOEXIST);
    if (!absl::IsAlreadyExists(status) && !absl::IsNotFound(status)) break;
  }
  return status;
}

absl::StatusOr<Uid> ReadSocketOwner(const Map<int, np_socket>& sockets,
                                    int socket) {
  NP_RETURN_IF_ERROR(CheckFamily(socket));
  NP_ASSIGN_OR_RETURN(const auto found, sockets.Lookup(socket));
  if (found.has_value()) return Uid{found->uid};
  NP_ASSIGN_OR_RETURN(const uint32_t owner, OwnerOf(socket));
  return Uid{owner};
}

}  // namespace netpolicy
