// SPDX-License-Identifier: Apache-2.0
//
// The connected sockets of a network namespace, and how one of them is ended
// from outside (sock_diag(7), SOCK_DESTROY).
//
//   NP_ASSIGN_OR_RETURN(SocketDiag diag, SocketDiag::Open());
//   NP_ASSIGN_OR_RETURN(auto sockets,
//                       diag.Connected(AF_INET6, IPPROTO_TCP, storage_fd));
//   NP_RETURN_IF_ERROR(diag.Destroy(sockets[0]).status());

#ifndef NETPOLICY_LIBPOLICY_KERNEL_SOCKET_DIAG_H_
#define NETPOLICY_LIBPOLICY_KERNEL_SOCKET_DIAG_H_

#include <linux/inet_diag.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "libpolicy/kernel/netlink.h"
#include "libpolicy/model/ids.h"
#include "libpolicy/model/ip_prefix.h"

namespace netpolicy {

struct ConnectedSocket {
  uint8_t family = 0;    // AF_INET, AF_INET6; IPv4 may be spoken by the latter
  uint8_t protocol = 0;  // IPPROTO_TCP, IPPROTO_UDP
  AddressBytes local{};  // IPv4 as ::ffff:a.b.c.d
  AddressBytes remote{};
  uint16_t local_port = 0;
  uint16_t remote_port = 0;
  uint32_t bound_interface = 0;  // SO_BINDTODEVICE; 0: to none
  uint32_t mark = 0;             // SO_MARK
  // As the kernel keeps it with the socket. Some kernels say 0 of a socket that
  // no descriptor leads to (`inode` is 0), whoever it belongs to.
  uint32_t uid = 0;
  uint32_t inode = 0;
  // The cgroup (v2) that its programs hang at; unset: the kernel does not say.
  std::optional<uint64_t> cgroup_id;
  // Of the map that was asked for; empty: the socket has none.
  std::string storage;
  // Never two of the same in a namespace, also not one after the other.
  uint64_t cookie = 0;
  // What the kernel finds it by.
  inet_diag_sockid id{};
};

// A socket of one's own, as SocketDiag finds it: addresses and cookie from the
// descriptor, nothing else. Errors: kInvalidArgument when it is no connected
// IPv4 or IPv6 socket.
absl::StatusOr<ConnectedSocket> DescribeSocket(int socket);

// Thread-compatible. Sees and ends sockets of the network namespace of the
// thread that opened it.
class SocketDiag {
 public:
  // Errors: kFailedPrecondition when the kernel has no sock_diag
  // (CONFIG_INET_DIAG).
  static absl::StatusOr<SocketDiag> Open();

  // Sockets of the protocol that have a peer, or are connecting to one; TCP
  // that both ends have closed, and requests that no socket was made for yet,
  // are none. `storage_map`: a map of socket storage whose values are read,
  // too; -1: none. Needs CAP_NET_ADMIN for marks, CAP_BPF for storage. Errors:
  // kFailedPrecondition when the kernel can't list these (CONFIG_INET_TCP_DIAG,
  // CONFIG_INET_UDP_DIAG); kPermissionDenied.
  absl::StatusOr<std::vector<ConnectedSocket>> Connected(uint8_t family,
                                                         uint8_t protocol,
                                                         int storage_map);

  enum class Outcome : uint8_t {
    kDestroyed,
    kGone,  // it had ended, or got another peer, before
  };
  // What its process waits for fails with ECONNABORTED, and so does its next
  // call. A peer of TCP gets a reset, as far as packets of the socket may pass.
  // Errors: kFailedPrecondition when the kernel can't
  // (CONFIG_INET_DIAG_DESTROY); kPermissionDenied without CAP_NET_ADMIN.
  absl::StatusOr<Outcome> Destroy(const ConnectedSocket& socket);

 private:
  explicit SocketDiag(NetlinkSocket netlink) : netlink_(std::move(netlink)) {}

  NetlinkSocket netlink_;
};

// Reads routes. Thread-compatible; of the opening thread's namespace.
class RouteFinder {
 public:
  static absl::StatusOr<RouteFinder> Open();

  // The interface by which packets of the socket leave: the loopback device
  // when the peer is this machine itself. kNotFound when they can't leave now.
  absl::StatusOr<IfIndex> InterfaceOf(const ConnectedSocket& socket,
                                      uint32_t uid);

 private:
  explicit RouteFinder(NetlinkSocket netlink) : netlink_(std::move(netlink)) {}

  NetlinkSocket netlink_;
};

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_KERNEL_SOCKET_DIAG_H_
