// SPDX-License-Identifier: Apache-2.0
//
// What can only be found out with a socket, a packet or an interface.

#ifndef NETPOLICY_LIBPOLICY_KERNEL_PROBE_NETWORK_H_
#define NETPOLICY_LIBPOLICY_KERNEL_PROBE_NETWORK_H_

#include "absl/status/statusor.h"

namespace netpolicy {

// Whether egress programs of a cgroup see the SYN-ACKs of servers. A kernel
// runs them only when the socket that sends is the one that owns the skb
// (BPF_CGROUP_RUN_PROG_INET_EGRESS in include/linux/bpf-cgroup.h). A SYN-ACK is
// owned by the request; over IPv4 the request is also what sends it
// (ip_build_and_send_pkt()), over IPv6 the listener is (ip6_xmit() in
// tcp_v6_send_synack()), so that older kernels run no program for it.
//
// Found out by a connection over loopback, within the calling thread's network
// namespace, and a program that only looks, at the cgroup of this process for
// the time of the call. An error says why it could not be tried: no such
// addresses, a connection that was refused, a missing capability
// (CAP_NET_ADMIN, CAP_BPF), or a program in the way that lets none beside it.
absl::StatusOr<bool> EgressSeesSynAcks(int family);

// Whether a process may have a connected socket of another one closed
// (CONFIG_INET_DIAG_DESTROY): makes a pair of sockets on loopback, and closes
// one of them so. Nobody else's socket is looked at. `type`: SOCK_STREAM,
// SOCK_DGRAM. An error says why it could not be tried.
absl::StatusOr<bool> SocketsCanBeDestroyed(int type);

// What the calls above and the probes of interfaces say in a network namespace
// made for it; in the caller's where making one is not allowed (CAP_SYS_ADMIN).
struct NetworkProbe {
  absl::StatusOr<bool> syn_acks_v4;
  absl::StatusOr<bool> syn_acks_v6;
  absl::StatusOr<bool> destroy_tcp;
  absl::StatusOr<bool> destroy_udp;
  // Programs at an interface: by links (tcx), by filters of a clsact queueing
  // discipline, by links to a netkit pair.
  absl::StatusOr<bool> tcx;
  absl::StatusOr<bool> clsact;
  absl::StatusOr<bool> netkit;
};

NetworkProbe ProbeNetwork();

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_KERNEL_PROBE_NETWORK_H_
