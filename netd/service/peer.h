// SPDX-License-Identifier: Apache-2.0
//
// Who is at the other end of a unix socket, and what that one may do.

#ifndef NETPOLICY_NETD_SERVICE_PEER_H_
#define NETPOLICY_NETD_SERVICE_PEER_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace netpolicy {

// The process that called connect(2), as it was then: a descriptor handed on to
// another process keeps the rights of the one that made it. Ids are those of
// this process's user namespace (an id that is not mapped into it is the
// overflow id, which has no rights).
struct Peer {
  uid_t uid = static_cast<uid_t>(-1);
  pid_t pid = 0;
  std::vector<gid_t> groups;  // the effective and the supplementary ones
  // Its command line when it was asked for, words separated by spaces, perhaps
  // cut; "" when the process can't be seen. The peer could choose it: for
  // people, not for decisions.
  std::string command = "";
};

// Asks the kernel (SO_PEERCRED, SO_PEERGROUPS) about a connected unix socket.
// Errors: kInternal.
absl::StatusOr<Peer> PeerOf(int fd);

// Each includes those before it.
enum class Right {
  kNone,
  kRead,    // get the policy, explain, stats, status, doctor, dry runs
  kChange,  // commit
};

// "nothing", "read", "change".
absl::string_view RightName(Right right);

// Who may do what. Root and `own_uid` may change.
struct AccessRules {
  uid_t own_uid = 0;
  absl::optional<gid_t> read_group;    // its members may read
  absl::optional<gid_t> change_group;  // its members may change
};

Right RightOf(const Peer& peer, const AccessRules& rules);

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_SERVICE_PEER_H_
