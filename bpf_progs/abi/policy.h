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

// np_policy_config[slot]: what holds for all UIDs. A set of rules is a word of
// bits numbered by reason; a set of interfaces is a word of selectors (see
// struct np_interface). All zero: no rule is on, everything passes.
struct np_policy_config {
  __u64 enabled;     // rules that are on; a bit that is 0 never blocks
  __u64 allowlists;  // rules that block the UIDs whose bit is 0; the others
                     // block where it is 1
  __u64 not_on_loopback;  // rules that leave loopback traffic alone
  __u64 metered_only;     // rules that count on metered interfaces only
  __u64
      at_socket;  // rules checked when a socket is created, not at each packet
  __u64 icmp6_passes;    // rules that let the ICMPv6 of neighbour discovery and
                         // Packet Too Big pass
  __u64 closing_passes;  // rules that let ESP, TCP RST and incoming FIN pass
  __u64 resolver_passes;      // rules that leave the resolver's sockets alone
  __u64 default_interfaces;   // of the UIDs whose entry names none
  __u32 default_network_set;  // struct np_prefix_key.set of the UIDs that have
                              // none; 0: none
  __u32 local_network_set;    // struct np_prefix_key.set of local networks; 0:
                              // none
  __u32 uids_per_user;  // the app id of a UID is its remainder by this; 0: the
                        // UID is the app id
  __u32 exempt_below;   // packets of app ids below this pass; 0: of none
  __u32 no_owner_uid;   // whose packets those without an owner are taken for;
                        // NP_UID_NONE: nobody's, they have a rule of their own
  __u32 resolver_uid;   // the resolver's sockets are those of this UID that
  __u32 resolver_tag;   // have this tag; tag 0: there is no resolver
  __u32 flags;          // NP_POLICY_*
};
NP_ASSERT_SIZE(struct np_policy_config, 9 * 8 + 8 * 4);

// What a slot has entries for: a table whose flag is 0 need not be looked up.
#define NP_POLICY_INTERFACES (1U << 0) /* np_interface */
#define NP_POLICY_NETWORK_RULES                                               \
  (1U << 1)                               /* np_prefix: UIDs', or the default \
                                           */
#define NP_POLICY_LOCAL_NETWORK (1U << 2) /* np_prefix: local_network_set */
#define NP_POLICY_DISCARD (1U << 3)       /* np_discard */
#define NP_POLICY_BIND_PORTS (1U << 4)    /* np_bind_ports */

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
  __u64 interfaces;   // selectors of the interfaces that it may use, while rule
                      // NP_REASON_INTERFACE_RULE or _LOCKDOWN_VPN holds for it;
                      // 0: the default's
  __u32 network_set;  // struct np_prefix_key.set; 0: the default's
  __u32 pad;          // 0
};

NP_ASSERT_SIZE(struct np_uid_policy, 8 + 4 + 4 + 8 + 4 + 4);

// A rule that says what the default says anyway leaves no bit in `rules`; it is
// kept here, so that it is not lost when the tables are read back and holds
// when the default changes.
#define NP_STATED_RULE_ALLOW (1U << 0)
#define NP_STATED_RULE_DENY (1U << 1)
#define NP_STATED_INTERNET_GRANTED (1U << 2)
#define NP_STATED_INTERNET_REVOKED (1U << 3)
#define NP_STATED_LOCKDOWN_ON (1U << 4)
#define NP_STATED_LOCKDOWN_OFF (1U << 5)
#define NP_STATED_LOCAL_NETWORK_GRANTED (1U << 6)
#define NP_STATED_LOCAL_NETWORK_REVOKED (1U << 7)
#define NP_STATED_UPDATE_DEVICE_STATS (1U << 8) /* may charge other UIDs */
#define NP_STATED_INTERFACES (1U << 9)          /* `interfaces` is its own */
#define NP_STATED_NETWORK_RULES (1U << 10)      /* `network_set` is its own */

// np_chain[slot * NP_REASONS + N]: the name of chain N, so that every reader of
// the tables can name what it finds. Programs do not read it.
#define NP_CHAIN_NAME_LEN 32

struct np_chain {
  char
      name[NP_CHAIN_NAME_LEN];  // NUL-terminated; empty: there is no such chain
};

NP_ASSERT_SIZE(struct np_chain, NP_CHAIN_NAME_LEN);

// np_bind_ports[slot * NP_BIND_PORT_WORDS + port / 64]: bit port % 64 is set
// when nobody may bind(2) a socket to the port. Host order.
#define NP_BIND_PORT_WORDS 1024

#endif  // NETPOLICY_BPF_PROGS_ABI_POLICY_H_
