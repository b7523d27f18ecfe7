// SPDX-License-Identifier: Apache-2.0
//
// Ends the sockets that a commit blocks (CloseSockets).

#ifndef NETPOLICY_LIBPOLICY_ENGINE_SOCKET_CLOSER_H_
#define NETPOLICY_LIBPOLICY_ENGINE_SOCKET_CLOSER_H_

#include <netinet/in.h>

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "libpolicy/engine/judgement.h"
#include "libpolicy/engine/policy_interface.h"
#include "libpolicy/engine/tables.h"
#include "libpolicy/kernel/cgroup.h"
#include "libpolicy/kernel/socket_diag.h"

namespace netpolicy {

// One for each commit. Both calls are made with the lock on the pin directory
// held, so that the policy in the slot stands still. Not thread-safe.
//
// A socket counts as blocked when the programs would refuse
//   - a packet of a TCP connection in either direction: without
//     acknowledgements there is none
//   - packets of a datagram socket in both directions
// on the interface that a route leads by now. Where none does, only what is
// refused on every interface counts. Sockets made after the first call and
// before the commit count as not blocked before.
class SocketCloser {
 public:
  // Both must outlive it. `cgroup`: where the programs are attached.
  SocketCloser(const Tables& tables, const Cgroup& cgroup)
      : tables_(tables), cgroup_(cgroup) {}

  // Before the commit: what the policy in `slot` blocks stays.
  void NoteBlocked(uint32_t slot);

  // After it.
  ClosedSockets CloseNewlyBlocked(uint32_t slot);

 private:
  using Visit = std::function<void(SocketDiag&, const ConnectedSocket&)>;

  static constexpr std::array<uint8_t, 2> kProtocols = {IPPROTO_TCP,
                                                        IPPROTO_UDP};

  // Calls `visit` for every socket that is blocked.
  absl::Status ForEachBlocked(uint32_t slot, uint8_t protocol,
                              const Visit& visit);
  absl::StatusOr<bool> IsBlocked(uint32_t slot, const ConnectedSocket& socket,
                                 RouteFinder& routes);
  absl::StatusOr<bool> IsRefused(uint32_t slot, const ExplainQuery& query,
                                 uint8_t protocol);
  // Whether the programs see packets of the socket.
  absl::StatusOr<bool> IsGoverned(const ConnectedSocket& socket);
  const std::string& NameOf(IfIndex interface);

  const Tables& tables_;
  const Cgroup& cgroup_;
  // Why NoteBlocked() did not get to its end.
  std::array<absl::Status, kProtocols.size()> noted_;
  absl::flat_hash_set<uint64_t> blocked_before_;  // cookies
  // The cgroup and those below it. Unset: not looked at yet.
  absl::optional<absl::flat_hash_set<uint64_t>> governed_;
  absl::flat_hash_map<uint32_t, std::string> names_;
};

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_ENGINE_SOCKET_CLOSER_H_
