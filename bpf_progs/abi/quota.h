// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_ABI_QUOTA_H_
#define NETPOLICY_BPF_PROGS_ABI_QUOTA_H_

#include <linux/types.h>

#include "bpf_progs/abi/assert.h"

// Quotas: how much a subject may transfer in a period (a limit), or how much
// before somebody is told (an alert).
//
// np_quota_set says which positions of np_quotas count for a subject; a packet
// counts for all quotas of the UID it is charged to, of its interface, and of
// everything. Loopback traffic counts for quotas of its interface only.
// Names of interfaces are meant as in np_interface.
//
// How exact. A program adds the packet to `charged` of every quota first, and
// then looks whether that is too much for a limit; if so it takes all of it
// back and refuses the packet. A packet that passes has seen itself and all
// that passed before it, so what passes never exceeds a limit. Meanwhile a
// packet that will be refused is part of `charged`: beside it another one may
// be refused that would have fitted, and an alert may come early, by at most
// the packets in flight on the CPUs.
//
// Written by: the cgroup_skb programs (charged, packets, bytes, refused_*,
// crossed*, wakes_lost); libpolicy, under the lock on the pin directory (the
// rest). Read by: both.

#define NP_QUOTA_PER_SUBJECT 4
#define NP_QUOTAS 1024 /* positions; 0 is struct np_quota_header */

#define NP_QUOTA_OF_UID 0
#define NP_QUOTA_OF_INTERFACE 1
#define NP_QUOTA_OF_ALL 2
#define NP_QUOTA_SUBJECTS 3

struct np_quota_key {
  __u32 subject;  // NP_QUOTA_OF_*
  __u32 uid;      // that is charged; 0 when `subject` is something else
  char name[16];  // of the interface, filled with NUL; or all NUL
};
NP_ASSERT_SIZE(struct np_quota_key, 4 + 4 + 16);

// Missing entry: the subject has no quota.
struct np_quota_set {
  __u64 positions;  // 16 bits each; 0: none
};
NP_ASSERT_SIZE(struct np_quota_set, 8);

#define NP_QUOTA_INGRESS                                                      \
  (1U << 0)                        /* 1 << NP_INGRESS: incoming packets count \
                                    */
#define NP_QUOTA_EGRESS (1U << 1)  /* 1 << NP_EGRESS: outgoing packets count */
#define NP_QUOTA_PACKETS (1U << 2) /* the unit is packets, else bytes */
#define NP_QUOTA_ALERT (1U << 3)   /* tells, else refuses */

// Packets and bytes are those on the wire, as in struct np_direction_counters.
struct np_quota {
  __u64 end;      // what `charged` may become in this period; an alert is
                  // crossed when it is reached
  __u64 charged;  // in the quota's unit, since ever, and packets being judged
  __u64 packets;  // that passed since ever
  __u64 bytes;
  __u64 refused_packets;  // because of this quota
  __u64 refused_bytes;
  __u64 crossed;  // `end` when it was crossed last: an alert reached, a limit
                  // refused a packet; 0: never. Equal to `end`: in this period
  __u64 crossed_ns;  // CLOCK_BOOTTIME of it
  __u64 wakes_lost;  // crossings that found np_quota_wake full
  __u32 flags;       // NP_QUOTA_*
  __u32 id;          // 0: the position is free

  // Programs read none of what follows. `end` is base + limit, unless somebody
  // died over a change of these.
  __u64 limit;         // of a period
  __u64 base;          // `charged` when the period began
  __u64 told;          // the last `crossed` that somebody was told of
  __s64 period_start;  // seconds since 1970; 0: not begun
  __u32 period;        // NP_QUOTA_PERIOD_*
  __u32 period_value;  // hours; day of the month, from 1; else 0
  struct np_quota_key key;
};
NP_ASSERT_SIZE(struct np_quota, 9 * 8 + 4 + 4 + 4 * 8 + 4 + 4 + 24);

#define NP_QUOTA_PERIOD_NONE 0
#define NP_QUOTA_PERIOD_HOURS 1
#define NP_QUOTA_PERIOD_DAY 2
#define NP_QUOTA_PERIOD_MONTH 3

// np_quotas[0], by fields of struct np_quota: `flags` has the bit
// 1 << NP_QUOTA_OF_* of each kind of subject that has a quota, and `id` is the
// last one that was given out.

// np_quota_wake, a ring: that there are crossings to tell of, which quotas says
// the table itself. A full ring loses nothing but a wake-up.
struct np_quota_wake {
  __u32 position;
  __u32 id;
};
NP_ASSERT_SIZE(struct np_quota_wake, 4 + 4);
#define NP_QUOTA_WAKE_BYTES 4096

#endif  // NETPOLICY_BPF_PROGS_ABI_QUOTA_H_
