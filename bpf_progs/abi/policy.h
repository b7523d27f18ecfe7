// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_ABI_POLICY_H_
#define NETPOLICY_BPF_PROGS_ABI_POLICY_H_

#include <linux/types.h>

#include "bpf_progs/abi/assert.h"
#include "bpf_progs/abi/control.h"
#include "bpf_progs/abi/reason.h"

// The policy tables. Each exists NP_SLOTS times in one array; programs read the
// slot that np_control names, libpolicy fills the other one and then publishes
// it.
//
// Written by: libpolicy alone, under the lock on the pin directory, through a
// memory mapping. Read by: every program that judges; libpolicy (explain, dump,
// adoption).

// np_policy_config[slot]: what holds for all UIDs. Each word is a set of bits
// numbered by reason. All zero: no chain is on, everything passes.
struct np_policy_config {
  __u64 enabled;     // rules that are on; a bit that is 0 never blocks
  __u64 allowlists;  // rules that block the UIDs whose bit is 0; the others
                     // block where it is 1
  __u64 not_on_loopback;  // rules that leave loopback traffic alone
  __u64 metered_only;     // rules that count on metered interfaces only
  __u64
      at_socket;  // rules checked when a socket is created, not at each packet
  __u64 pad[3];   // 0
};

NP_ASSERT_SIZE(struct np_policy_config, 5 * 8 + 3 * 8);

// np_uid_index: UID -> position in each slot of np_uid_policy. Shared by both
// slots. An entry is never removed or moved while a packet could still be
// judged by it; a UID without one is unlisted and is judged by the word 0.
struct np_uid_key {
  __u32 uid;  // in the initial user namespace; NP_UID_NONE: packets without an
              // owner
};

NP_ASSERT_SIZE(struct np_uid_key, 4);

#define NP_UID_NONE 0xffffffffU

struct np_uid_position {
  __u32 position;  // 0 <= position < size of a slot of np_uid_policy
};

NP_ASSERT_SIZE(struct np_uid_position, 4);

// np_uid_policy[slot * size of a slot + position]: what holds for one UID. All
// zero: as unlisted. The rules are one aligned word, so that a change of one
// UID's rules is one atomic store.
struct np_uid_policy {
  __u64 rules;   // bit N set: the UID is listed in chain N, or differs from the
                 // default of rule N
  __u32 uid;     // whose entry this is; programs do not read it
  __u32 stated;  // NP_STATED_*: what the policy says of the UID by name;
                 // programs do not read it
  __u64 pad[2];  // 0
};

NP_ASSERT_SIZE(struct np_uid_policy, 8 + 4 + 4 + 2 * 8);

// A rule that says what the default says anyway leaves no bit in `rules`; it is
// kept here, so that it is not lost when the tables are read back and holds
// when the default changes.
#define NP_STATED_RULE_ALLOW (1U << 0)
#define NP_STATED_RULE_DENY (1U << 1)
#define NP_STATED_INTERNET_GRANTED (1U << 2)
#define NP_STATED_INTERNET_REVOKED (1U << 3)

// np_chain[slot * NP_REASONS + N]: the name of chain N, so that every reader of
// the tables can name what it finds. Programs do not read it.
#define NP_CHAIN_NAME_LEN 32

struct np_chain {
  char
      name[NP_CHAIN_NAME_LEN];  // NUL-terminated; empty: there is no such chain
};

NP_ASSERT_SIZE(struct np_chain, NP_CHAIN_NAME_LEN);

#endif  // NETPOLICY_BPF_PROGS_ABI_POLICY_H_
