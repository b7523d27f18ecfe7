// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_ABI_CONTROL_H_
#define NETPOLICY_BPF_PROGS_ABI_CONTROL_H_

#include <linux/types.h>

#include "bpf_progs/abi/assert.h"

// np_control: one entry that names the layout of all tables and the policy in
// force.
//
// Written by: libpolicy alone, under the lock on the pin directory. Read by:
// every program, once a packet; libpolicy. Memory-mapped by libpolicy, so that
// publishing is one store.

#define NP_ABI_MAGIC 0x6e706f6c /* "npol" */
// The major number changes when a program of one version must not run over the
// tables of the other; the minor number when something was added that the older
// side may ignore.
#define NP_ABI_MAJOR 3
#define NP_ABI_MINOR 1 /* quotas */

#define NP_SLOTS 2

struct np_control {
  __u32 magic;      // NP_ABI_MAGIC; 0: the tables were never set up
  __u16 abi_major;  // NP_ABI_MAJOR of the creator
  __u16 abi_minor;  // NP_ABI_MINOR of the creator
  __u64 active;     // policy in force: its generation, from 1, and its slot, in
                    // one word (np_active()), so that one store publishes it
  __u64 fenced_generation;  // no packet is judged by a policy older than this
                            // one any more; 0: not even removed entries of
                            // np_uid_index are out of use
  __u64 ready;  // 1 when set-up was complete; 0: creator died half-way, nothing
                // is enforced
  __u32 netns;  // network namespace that names of interfaces are meant in: its
                // inode number. That of whoever set up or adopted the tables.
  __u32 rows_per_uid;  // detailed rows of np_counters that a UID may take; 0:
                       // any number. Written once.

  // Programs read none of what follows.
  __u64 sequence;  // steps on before anybody changes any policy table; odd
                   // while the entry of the slot in force that the next three
                   // words name is being changed in place
  __u64 change_position;  // position in the slot in force
  __u64 change_rules;     // struct np_uid_policy.rules to be
  __u32 change_uid;       // struct np_uid_policy.uid to be
  __u32 change_stated;    // struct np_uid_policy.stated to be
};

NP_ASSERT_SIZE(struct np_control,
               4 + 2 + 2 + 8 + 8 + 8 + 4 + 4 + 8 + 8 + 8 + 4 + 4);

static inline __u64 np_active(__u64 generation, __u32 slot) {
  return generation << 1 | slot;
}
static inline __u64 np_active_generation(__u64 active) { return active >> 1; }
static inline __u32 np_active_slot(__u64 active) { return active & 1; }

#endif  // NETPOLICY_BPF_PROGS_ABI_CONTROL_H_
