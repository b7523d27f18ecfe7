// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/engine/socket_closer.h"

#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include "absl/strings/str_cat.h"
#include "bpf_progs/abi/socket.h"
#include "bpf_progs/lib/decision.h"
#include "libpolicy/base/status_macros.h"

namespace netpolicy {
namespace {

// The root of the hierarchy, which every socket is below of.
constexpr uint64_t kRootCgroup = 1;

struct Owner {
  Uid uid{};
  uint32_t tag = 0;
};

// As the programs take it: from the socket's storage, else from the socket.
// Unset: not known, as of what no descriptor leads to.
absl::optional<Owner> OwnerOf(const ConnectedSocket& socket) {
  np_socket storage;
  if (socket.storage.size() == sizeof(storage)) {
    std::memcpy(&storage, socket.storage.data(), sizeof(storage));
    return Owner{Uid{storage.uid}, storage.tag};
  }
  if (socket.inode == 0) return absl::nullopt;
  return Owner{Uid{socket.uid}};
}

}  // namespace

void SocketCloser::NoteBlocked(uint32_t slot) {
  for (size_t i = 0; i < kProtocols.size(); ++i) {
    noted_[i] =
        ForEachBlocked(slot, kProtocols[i],
                       [this](SocketDiag&, const ConnectedSocket& socket) {
                         blocked_before_.insert(socket.cookie);
                       });
  }
}

ClosedSockets SocketCloser::CloseNewlyBlocked(uint32_t slot) {
  ClosedSockets result;
  const auto close = [&](SocketDiag& diag, const ConnectedSocket& socket) {
    if (blocked_before_.contains(socket.cookie)) return;
    const absl::StatusOr<SocketDiag::Outcome> outcome = diag.Destroy(socket);
    if (!outcome.ok()) {
      ++result.failed;
      result.error.Update(outcome.status());
    } else if (*outcome == SocketDiag::Outcome::kDestroyed) {
      ++result.closed;
    }
  };
  for (size_t i = 0; i < kProtocols.size(); ++i) {
    // Which ones are new could not be told.
    result.error.Update(noted_[i]);
    if (!noted_[i].ok()) continue;
    result.error.Update(ForEachBlocked(slot, kProtocols[i], close));
  }
  return result;
}

absl::Status SocketCloser::ForEachBlocked(uint32_t slot, uint8_t protocol,
                                          const Visit& visit) {
  NP_ASSIGN_OR_RETURN(SocketDiag diag, SocketDiag::Open());
  NP_ASSIGN_OR_RETURN(RouteFinder routes, RouteFinder::Open());
  names_.clear();
  for (const uint8_t family : {uint8_t{AF_INET}, uint8_t{AF_INET6}}) {
    NP_ASSIGN_OR_RETURN(
        const std::vector<ConnectedSocket> sockets,
        diag.Connected(family, protocol, tables_.socket.raw().fd()));
    for (const ConnectedSocket& socket : sockets) {
      NP_ASSIGN_OR_RETURN(const bool blocked, IsBlocked(slot, socket, routes));
      if (blocked) visit(diag, socket);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> SocketCloser::IsBlocked(uint32_t slot,
                                             const ConnectedSocket& socket,
                                             RouteFinder& routes) {
  const absl::optional<Owner> owner = OwnerOf(socket);
  if (!owner.has_value() || IsLoopback(socket.remote)) return false;
  NP_ASSIGN_OR_RETURN(const bool may_be,
                      MayBeRefused(tables_, slot, owner->uid, owner->tag));
  if (!may_be) return false;
  NP_ASSIGN_OR_RETURN(const bool governed, IsGoverned(socket));
  if (!governed) return false;

  ExplainQuery query;
  query.uid = owner->uid;
  query.tag = owner->tag;
  query.remote = socket.remote;
  query.local = socket.local;
  query.protocol = socket.protocol;
  query.remote_port = socket.remote_port;
  query.local_port = socket.local_port;
  const absl::StatusOr<IfIndex> interface =
      routes.InterfaceOf(socket, ToInt(owner->uid));
  if (interface.ok()) {
    if (ToInt(*interface) == NP_LOOPBACK_IFINDEX) return false;
    query.interface = NameOf(*interface);
  }
  // It may have gone since.
  if (query.interface.empty()) {
    NP_ASSIGN_OR_RETURN(
        const ReasonSet reasons,
        Judge(tables_, slot, query, Direction::kConnect, Place::kElsewhere));
    return !reasons.empty();
  }
  return IsRefused(slot, query, socket.protocol);
}

absl::StatusOr<bool> SocketCloser::IsRefused(uint32_t slot,
                                             const ExplainQuery& query,
                                             uint8_t protocol) {
  NP_ASSIGN_OR_RETURN(
      const ReasonSet out,
      Judge(tables_, slot, query, Direction::kEgress, Place::kElsewhere));
  NP_ASSIGN_OR_RETURN(
      const ReasonSet in,
      Judge(tables_, slot, query, Direction::kIngress, Place::kElsewhere));
  return protocol == IPPROTO_TCP ? !out.empty() || !in.empty()
                                 : !out.empty() && !in.empty();
}

absl::StatusOr<bool> SocketCloser::IsGoverned(const ConnectedSocket& socket) {
  if (cgroup_.id == kRootCgroup) return true;
  if (!socket.cgroup_id.has_value()) {
    return absl::FailedPreconditionError(
        "close sockets: the kernel does not say which cgroup they are in");
  }
  if (!governed_.has_value()) {
    NP_ASSIGN_OR_RETURN(const std::vector<uint64_t> ids,
                        CgroupIdsBelow(cgroup_.path));
    governed_.emplace(ids.begin(), ids.end());
    governed_->insert(cgroup_.id);
  }
  return governed_->contains(*socket.cgroup_id);
}

const std::string& SocketCloser::NameOf(IfIndex interface) {
  const auto [it, added] = names_.try_emplace(ToInt(interface));
  if (added) {
    char name[IF_NAMESIZE];
    if (if_indextoname(ToInt(interface), name) != nullptr) it->second = name;
  }
  return it->second;
}

}  // namespace netpolicy
