// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_ABI_STATS_H_
#define NETPOLICY_BPF_PROGS_ABI_STATS_H_

#include <linux/types.h>

#include "bpf_progs/abi/assert.h"

// What passed, per (UID, tag, counter set, interface).
//
// A row is a position in the per-CPU array np_counters; np_rows says which one
// belongs to which key; np_free_rows holds the positions nobody uses. The first
// packet of a key pops a free row and enters it in np_rows; later packets find
// it in their socket's storage.
//
// When no row is free, or the UID has np_control.rows_per_uid of them already
// (np_uid_share), the packet goes to the row of its UID alone, whose key is
// (UID, 0, 0, NP_NO_IFINDEX) and which comes from np_free_uid, where
// nothing else takes rows from. Row 0 takes what is left when that is empty.
//
// Written by: the cgroup_skb programs; the free rows also by libpolicy, which
// fills them in once. Read by: libpolicy. Counters only grow.

#define NP_INGRESS 0
#define NP_EGRESS 1
#define NP_DIRECTIONS 2
// In struct np_drop_key and np_refused_key only: refused system calls.
#define NP_SOCKET_CREATE 2 /* socket() */
#define NP_CONNECT 3       /* connect(), sendto(), sendmsg() */
#define NP_BIND 4          /* bind() */

#define NP_OVERFLOW_ROW 0
#define NP_NO_IFINDEX 0 /* in np_row_key: a UID's own row, any interface */

struct np_row_key {
  __u32 uid;          // charged UID; NP_UID_NONE: no owner
  __u32 tag;          // 0: untagged
  __u32 counter_set;  // 0: default
  __u32 ifindex;      // in the packet's network namespace, from 1; or
                      // NP_NO_IFINDEX
};

NP_ASSERT_SIZE(struct np_row_key, 4 * 4);

struct np_row {
  __u32 row;  // NP_OVERFLOW_ROW < row < size of np_counters
};

NP_ASSERT_SIZE(struct np_row, 4);

// np_uid_share: rows that a charged UID has taken from np_free_rows.
//
// Written by: the cgroup_skb programs, when a key gets its row. Read by: them,
// when a packet has no row yet. CPUs that make rows of one UID at once may each
// pass the limit by one.
struct np_uid_share {
  __u32 rows;
};

NP_ASSERT_SIZE(struct np_uid_share, 4);

// np_counter_set: the counter set that a charged UID's traffic goes to, such as
// 1 while it is in the foreground.
//
// Written by: libpolicy, which then publishes a new generation, so that sockets
// forget the rows of the set before. Read by: the cgroup_skb programs, when a
// packet has no row yet.
struct np_counter_set {
  __u32 counter_set;  // 0: default
};

NP_ASSERT_SIZE(struct np_counter_set, 4);

// One direction of one row on one CPU. An skb stands for several packets when
// the stack cuts it up later (GSO, IP fragmentation) or has put it together
// (GRO, reassembly); the packets and bytes on the wire are skbs + extra_packets
// and skb_bytes + extra_bytes. Bytes are layer 3.
struct np_direction_counters {
  __u64 skbs;
  __u64 skb_bytes;
  __u64 extra_packets;
  __u64 extra_bytes;  // the headers repeated in each further packet
};

NP_ASSERT_SIZE(struct np_direction_counters, 4 * 8);

struct np_counters {
  struct np_direction_counters
      direction[NP_DIRECTIONS];  // by NP_INGRESS, NP_EGRESS
};

NP_ASSERT_SIZE(struct np_counters, 2 * 4 * 8);

// np_drops: what was refused, by exact set of reasons. Per CPU.
struct np_drop_key {
  __u32 uid;
  __u32 direction;  // NP_INGRESS, NP_EGRESS, or a system call
  __u64 reasons;    // never 0
};

NP_ASSERT_SIZE(struct np_drop_key, 4 + 4 + 8);

struct np_drop_counters {
  __u64 packets;  // on the wire had they passed; of a system call: calls
  __u64 bytes;    // likewise; of a system call: 0
};

NP_ASSERT_SIZE(struct np_drop_counters, 2 * 8);

#endif  // NETPOLICY_BPF_PROGS_ABI_STATS_H_
