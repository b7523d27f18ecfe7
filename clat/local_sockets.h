// SPDX-License-Identifier: Apache-2.0
//
// What this host's applications do by an IPv4 address that is translated, when
// its translation becomes another one or ends. Their connections lead nowhere
// then: the NAT64 knows the old IPv6 address. Whoever waits in one would wait
// for as long as TCP tries, so it is ended and the application told at once.
//
//   LocalSockets sockets = LocalSockets::Open();
//   sockets.EndConnections(local4);
//   ... the translation ends, the address goes ...
//   sockets.EndAll(local4);
//   EndedSockets ended = sockets.TakeEnded();

#ifndef NETPOLICY_CLAT_LOCAL_SOCKETS_H_
#define NETPOLICY_CLAT_LOCAL_SOCKETS_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clat/address.h"
#include "libpolicy/kernel/socket_diag.h"

namespace netpolicy::clat {

struct EndedSockets {
  uint64_t count = 0;
  absl::Status error;  // why there may be others that were not ended

  // "; 2 connections ended"; "" when there is nothing to tell.
  std::string ToString() const;
};

// Of the network namespace of the thread that opened it. Nothing fails for it:
// what could not be done is in TakeEnded(). Thread-compatible.
class LocalSockets {
 public:
  static LocalSockets Open();

  // Ends TCP connections from this address to other hosts, also those that are
  // being made. UDP goes on: what is sent next takes the new way. So does what
  // is begun afterwards: its first packet is sent again when it is not
  // answered.
  void EndConnections(const Ipv4Address& local);

  // Ends what is connected by TCP or UDP from this address, also to this host
  // itself: for when the address is gone.
  void EndAll(const Ipv4Address& local);

  // Since the last call.
  EndedSockets TakeEnded() { return std::exchange(ended_, {}); }

 private:
  explicit LocalSockets(absl::StatusOr<SocketDiag> sockets)
      : sockets_(std::move(sockets)) {}
  // Of both address families.
  std::vector<ConnectedSocket> List(
      uint8_t protocol, absl::FunctionRef<bool(const ConnectedSocket&)> which);
  void End(const std::vector<ConnectedSocket>& sockets);

  absl::StatusOr<SocketDiag> sockets_;
  EndedSockets ended_;
};

}  // namespace netpolicy::clat

#endif  // NETPOLICY_CLAT_LOCAL_SOCKETS_H_
