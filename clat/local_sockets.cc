// SPDX-License-Identifier: Apache-2.0

#include "clat/local_sockets.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "libpolicy/model/ip_prefix.h"

namespace netpolicy::clat {

std::string EndedSockets::ToString() const {
  std::string text;
  if (count != 0) {
    absl::StrAppend(&text, "; ", count,
                    count == 1 ? " connection" : " connections", " ended");
  }
  if (!error.ok()) absl::StrAppend(&text, "; ", error.message());
  return text;
}

LocalSockets LocalSockets::Open() { return LocalSockets(SocketDiag::Open()); }

std::vector<ConnectedSocket> LocalSockets::List(
    uint8_t protocol, absl::FunctionRef<bool(const ConnectedSocket&)> which) {
  std::vector<ConnectedSocket> found;
  if (!sockets_.ok()) {
    ended_.error.Update(sockets_.status());
    return found;
  }
  // Those of AF_INET6 may speak IPv4.
  for (const uint8_t family : {AF_INET, AF_INET6}) {
    auto all = sockets_->Connected(family, protocol, -1);
    if (!all.ok()) {
      ended_.error.Update(all.status());
      continue;
    }
    std::copy_if(all->begin(), all->end(), std::back_inserter(found), which);
  }
  return found;
}

void LocalSockets::End(const std::vector<ConnectedSocket>& sockets) {
  for (const ConnectedSocket& socket : sockets) {
    const auto outcome = sockets_->Destroy(socket);
    ended_.error.Update(outcome.status());
    if (outcome.ok() && *outcome == SocketDiag::Outcome::kDestroyed) {
      ++ended_.count;
    }
  }
}

void LocalSockets::EndConnections(const Ipv4Address& local) {
  const auto address = MappedAddress(local.bytes);
  End(List(IPPROTO_TCP, [&](const ConnectedSocket& socket) {
    return socket.local == address && socket.remote != address &&
           !IsLoopback(socket.remote);
  }));
}

void LocalSockets::EndAll(const Ipv4Address& local) {
  const auto address = MappedAddress(local.bytes);
  for (const uint8_t protocol : {IPPROTO_TCP, IPPROTO_UDP}) {
    End(List(protocol, [&](const ConnectedSocket& socket) {
      return socket.local == address;
    }));
  }
}

}  // namespace netpolicy::clat
