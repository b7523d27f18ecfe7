// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/kernel/socket_diag.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/kernel/errno_status.h"

namespace netpolicy {
namespace {

// Where an IPv4 address begins among the bytes of a mapped one.
constexpr size_t kIpv4Offset = 12;

constexpr IfIndex kLoopback{1};

// A datagram socket with a peer is "established" to the kernel. Without
// SYN_RECV: that is what requests are in, of which the kernel tells no owner.
constexpr uint32_t kTcpStates = 1U << TCP_ESTABLISHED | 1U << TCP_SYN_SENT |
                                1U << TCP_FIN_WAIT1 | 1U << TCP_FIN_WAIT2 |
                                1U << TCP_CLOSE_WAIT;
constexpr uint32_t kUdpStates = 1U << TCP_ESTABLISHED;

absl::string_view ProtocolText(uint8_t protocol) {
  return protocol == IPPROTO_UDP ? "UDP" : "TCP";
}

AddressBytes AddressOf(uint8_t family, const __be32 (&words)[4]) {
  if (family == AF_INET) {
    std::array<uint8_t, 4> ipv4;
    std::memcpy(ipv4.data(), words, sizeof(ipv4));
    return MappedAddress(ipv4);
  }
  AddressBytes address;
  std::memcpy(address.data(), words, sizeof(words));
  return address;
}

// Fills in what `id` says.
void SetEnds(ConnectedSocket& socket) {
  const inet_diag_sockid& id = socket.id;
  socket.local = AddressOf(socket.family, id.idiag_src);
  socket.remote = AddressOf(socket.family, id.idiag_dst);
  socket.local_port = ntohs(id.idiag_sport);
  socket.remote_port = ntohs(id.idiag_dport);
  socket.bound_interface = id.idiag_if;
  socket.cookie =
      uint64_t{id.idiag_cookie[1]} << 32 | uint64_t{id.idiag_cookie[0]};
}

ConnectedSocket FromMessage(uint8_t protocol, const NetlinkMessage& message) {
  const auto header = message.Get<inet_diag_msg>();
  const NetlinkAttributes attributes(message.Attributes(sizeof(inet_diag_msg)));
  ConnectedSocket socket;
  socket.family = header.idiag_family;
  socket.protocol = protocol;
  socket.id = header.id;
  SetEnds(socket);
  socket.uid = header.idiag_uid;
  socket.inode = header.idiag_inode;
  socket.mark = attributes.FindU32(INET_DIAG_MARK).value_or(0);
  socket.cgroup_id = attributes.FindU64(INET_DIAG_CGROUP_ID);
  const auto value = attributes.FindNested(INET_DIAG_SK_BPF_STORAGES)
                         .FindNested(SK_DIAG_BPF_STORAGE)
                         .Find(SK_DIAG_BPF_STORAGE_MAP_VALUE);
  if (value.has_value()) socket.storage.assign(value->data(), value->size());
  return socket;
}

// One end's address and port, as the kernel finds a socket by them.
absl::Status SetEnd(const sockaddr_storage& from, __be32 (&address)[4],
                    __be16& port) {
  if (from.ss_family == AF_INET) {
    const auto& ipv4 = reinterpret_cast<const sockaddr_in&>(from);
    address[0] = ipv4.sin_addr.s_addr;
    port = ipv4.sin_port;
  } else if (from.ss_family == AF_INET6) {
    const auto& ipv6 = reinterpret_cast<const sockaddr_in6&>(from);
    std::memcpy(address, &ipv6.sin6_addr, sizeof(address));
    port = ipv6.sin6_port;
  } else {
    return absl::InvalidArgumentError("describe socket: neither IPv4 nor IPv6");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ConnectedSocket> DescribeSocket(int fd) {
  ConnectedSocket socket;
  sockaddr_storage local{};
  sockaddr_storage remote{};
  socklen_t local_size = sizeof(local);
  socklen_t remote_size = sizeof(remote);
  int protocol = 0;
  socklen_t protocol_size = sizeof(protocol);
  uint64_t cookie = 0;
  socklen_t cookie_size = sizeof(cookie);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&local), &local_size) != 0 ||
      getpeername(fd, reinterpret_cast<sockaddr*>(&remote), &remote_size) !=
          0 ||
      getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &protocol_size) != 0 ||
      getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &cookie_size) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("describe socket: ", ErrnoText(errno)));
  }
  NP_RETURN_IF_ERROR(SetEnd(local, socket.id.idiag_src, socket.id.idiag_sport));
  NP_RETURN_IF_ERROR(
      SetEnd(remote, socket.id.idiag_dst, socket.id.idiag_dport));
  socket.id.idiag_cookie[0] = static_cast<uint32_t>(cookie);
  socket.id.idiag_cookie[1] = static_cast<uint32_t>(cookie >> 32);
  socket.family = static_cast<uint8_t>(local.ss_family);
  socket.protocol = static_cast<uint8_t>(protocol);
  SetEnds(socket);
  return socket;
}

absl::StatusOr<SocketDiag> SocketDiag::Open() {
  absl::StatusOr<NetlinkSocket> netlink =
      NetlinkSocket::Open(NETLINK_SOCK_DIAG);
  if (absl::IsInternal(netlink.status())) {
    // EPROTONOSUPPORT.
    return absl::FailedPreconditionError(
        absl::StrCat(netlink.status().message(), " (CONFIG_INET_DIAG)"));
  }
  NP_RETURN_IF_ERROR(netlink.status());
  return SocketDiag(*std::move(netlink));
}

absl::StatusOr<std::vector<ConnectedSocket>> SocketDiag::Connected(
    uint8_t family, uint8_t protocol, int storage_map) {
  const std::string operation =
      absl::StrCat("list ", ProtocolText(protocol), " sockets");
  inet_diag_req_v2 header{};
  header.sdiag_family = family;
  header.sdiag_protocol = protocol;
  header.idiag_states = protocol == IPPROTO_TCP ? kTcpStates : kUdpStates;
  NetlinkRequest request(SOCK_DIAG_BY_FAMILY, 0, header);
  if (storage_map >= 0) {
    request.Nest(INET_DIAG_REQ_SK_BPF_STORAGES, [&] {
      request.PutU32(SK_DIAG_BPF_STORAGE_REQ_MAP_FD,
                     static_cast<uint32_t>(storage_map));
    });
  }
  const absl::StatusOr<std::vector<NetlinkMessage>> messages =
      netlink_.Dump(request, operation);
  if (absl::IsNotFound(messages.status())) {
    return absl::FailedPreconditionError(
        absl::StrCat(operation, ": not supported by this kernel (CONFIG_INET_",
                     ProtocolText(protocol), "_DIAG)"));
  }
  if (absl::IsPermissionDenied(messages.status())) {
    return StatusFromErrno(EPERM, operation, "needs CAP_BPF");
  }
  NP_RETURN_IF_ERROR(messages.status());
  std::vector<ConnectedSocket> sockets;
  sockets.reserve(messages->size());
  for (const NetlinkMessage& message : *messages) {
    if (message.type() != SOCK_DIAG_BY_FAMILY) continue;
    sockets.push_back(FromMessage(protocol, message));
  }
  return sockets;
}

absl::StatusOr<SocketDiag::Outcome> SocketDiag::Destroy(
    const ConnectedSocket& socket) {
  const std::string operation =
      absl::StrCat("close ", ProtocolText(socket.protocol), " sockets");
  inet_diag_req_v2 header{};
  header.sdiag_family = socket.family;
  header.sdiag_protocol = socket.protocol;
  header.idiag_states = ~0U;
  header.id = socket.id;
  NP_ASSIGN_OR_RETURN(
      const NetlinkOutcome outcome,
      netlink_.Ask(NetlinkRequest(SOCK_DESTROY, 0, header), operation));
  switch (outcome.error) {
    case 0:
      return Outcome::kDestroyed;
    case ENOENT:
    case ESTALE:
      return Outcome::kGone;
    case EPERM:
      return StatusFromErrno(EPERM, operation, "needs CAP_NET_ADMIN");
    case EINVAL:
    case EOPNOTSUPP:
      // Kernels that have never heard of the request say EINVAL.
      return absl::FailedPreconditionError(absl::StrCat(
          operation,
          ": not supported by this kernel (CONFIG_INET_DIAG_DESTROY)"));
    default:
      return outcome.ToStatus(operation);
  }
}

absl::StatusOr<RouteFinder> RouteFinder::Open() {
  NP_ASSIGN_OR_RETURN(NetlinkSocket netlink, NetlinkSocket::Open());
  return RouteFinder(std::move(netlink));
}

absl::StatusOr<IfIndex> RouteFinder::InterfaceOf(const ConnectedSocket& socket,
                                                 uint32_t uid) {
  const bool ipv4 = IsIpv4(socket.remote);
  const size_t skip = ipv4 ? kIpv4Offset : 0;
  const auto bytes = [skip](const AddressBytes& address) {
    return absl::string_view(
        reinterpret_cast<const char*>(address.data()) + skip,
        address.size() - skip);
  };
  rtmsg header{};
  header.rtm_family = ipv4 ? AF_INET : AF_INET6;
  header.rtm_dst_len = header.rtm_src_len = ipv4 ? 32 : 128;
  NetlinkRequest request(RTM_GETROUTE, 0, header);
  request.Put(RTA_DST, bytes(socket.remote));
  request.Put(RTA_SRC, bytes(socket.local));
  if (socket.bound_interface != 0) {
    request.PutU32(RTA_OIF, socket.bound_interface);
  }
  if (socket.mark != 0) request.PutU32(RTA_MARK, socket.mark);
  // What rules of policy routing go by.
  request.PutU32(RTA_UID, uid);
  request.PutU8(RTA_IP_PROTO, socket.protocol);
  request.PutBe16(RTA_SPORT, socket.local_port);
  request.PutBe16(RTA_DPORT, socket.remote_port);
  const absl::StatusOr<NetlinkMessage> route =
      netlink_.Get(request, "find route");
  const absl::Status none = absl::NotFoundError("find route: none");
  // Unreachable, prohibited, an address that went away: an errno for each.
  if (!route.ok()) return none;
  const auto answer = route->Get<rtmsg>();
  if (answer.rtm_type == RTN_LOCAL) return kLoopback;
  const auto interface =
      NetlinkAttributes(route->Attributes(sizeof(rtmsg))).FindU32(RTA_OIF);
  if (!interface.has_value() || answer.rtm_type == RTN_BLACKHOLE ||
      answer.rtm_type == RTN_UNREACHABLE || answer.rtm_type == RTN_PROHIBIT) {
    return none;
  }
  return IfIndex{*interface};
}

}  // namespace netpolicy
