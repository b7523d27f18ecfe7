// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_ABI_SOCKET_H_
#define NETPOLICY_BPF_PROGS_ABI_SOCKET_H_

#include <linux/types.h>

#include "bpf_progs/abi/assert.h"
#include "bpf_progs/abi/stats.h"

// np_socket: storage of each socket (BPF_MAP_TYPE_SK_STORAGE); sockets made by
// accept() inherit a copy from the listener.
//
// Written by: np_sock_create (identity), the cgroup_skb programs (cache), and
// libpolicy (tag, charge), which replaces the entry by one without a cache: a
// program that holds the old entry writes to what nobody reads any more.
// Read by: the cgroup_skb programs, libpolicy. No entry: the socket was made
// before attachment, or storage was not to be had; identity is then the
// socket's own UID.

// Verdict and row of the socket's last packet in one direction. Two programs
// may write it at once on different CPUs, so each word says by itself what it
// is good for.
struct np_socket_path {
  __u64 passed;  // np_control.active << 32 | ifindex under which a packet
                 // passed; 0: nothing
  __u64 row;     // ifindex << 32 | row that it was charged to; 0: nothing
};

NP_ASSERT_SIZE(struct np_socket_path, 2 * 8);

struct np_socket {
  __u32 uid;            // owner, in the initial user namespace; judged
  __u32 tag;            // 0: untagged
  __u32 charge_uid;     // who is charged, if charges_other is 1; never judged
  __u32 charges_other;  // 0: the owner is charged
  struct np_socket_path path[NP_DIRECTIONS];  // by NP_INGRESS, NP_EGRESS
};

NP_ASSERT_SIZE(struct np_socket, 4 + 4 + 4 + 4 + 2 * 16);

#endif  // NETPOLICY_BPF_PROGS_ABI_SOCKET_H_
