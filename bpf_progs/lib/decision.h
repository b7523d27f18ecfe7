// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_DECISION_H_
#define NETPOLICY_BPF_PROGS_LIB_DECISION_H_

#include "bpf_progs/abi/policy.h"

// The decision. Compiled into the programs and into libpolicy (explain, tests):
// a pure function of one policy and the facts of one packet or system call.
//
// There is no precedence among rules: every rule that is on and applies
// contributes its reason, and anything with a reason is refused.

#define NP_FACT_LOOPBACK (1U << 0) /* the interface is the loopback device */
#define NP_FACT_METERED (1U << 1)  /* the interface is metered */
#define NP_FACT_SOCKET_CREATE \
  (1U << 2) /* a socket is being created; there is no packet */
#define NP_FACT_NO_OWNER (1U << 3) /* no application's socket is behind it */
#define NP_FACT_CLOSING (1U << 4)  /* ESP, TCP RST, or incoming TCP FIN */
#define NP_FACT_ICMP6_CONTROL \
  (1U << 5) /* ICMPv6 Packet Too Big or neighbour discovery */
#define NP_FACT_RESOLVER (1U << 6) /* of the resolver's sockets */
#define NP_FACT_EXEMPT (1U << 7)   /* of an exempt UID */
#define NP_FACT_CONNECT \
  (1U << 8) /* a peer is being named to a socket; there is no interface yet */

// The loopback device has this index in every network namespace (net/core/dev.c
// insists on it).
#define NP_LOOPBACK_IFINDEX 1

// Reasons that need more than the UID's bit: they count where the packet
// violates the rule, too (`violated` of np_decide()).
#define NP_REASONS_CONDITIONAL                \
  (NP_REASON_BIT(NP_REASON_LOCKDOWN_VPN) |    \
   NP_REASON_BIT(NP_REASON_INTERFACE_RULE) |  \
   NP_REASON_BIT(NP_REASON_INGRESS_DISCARD) | \
   NP_REASON_BIT(NP_REASON_LOCAL_NETWORK) |   \
   NP_REASON_BIT(NP_REASON_NETWORK_RULE))

// The only rules that packets without an owner meet.
#define NP_REASONS_WITHOUT_OWNER \
  (NP_REASON_BIT(NP_REASON_NO_OWNER) | NP_REASON_BIT(NP_REASON_INGRESS_DISCARD))

// The UID under which the policy has what depends on the application alone.
static inline __attribute__((always_inline)) __u32 np_app_id(
    const struct np_policy_config* config, __u32 uid) {
  return config->uids_per_user ? uid % config->uids_per_user : uid;
}

// What the UID and tag of a packet's owner say about it.
static inline __attribute__((always_inline)) __u32 np_owner_facts(
    const struct np_policy_config* config, __u32 uid, __u32 tag) {
  __u32 facts = 0;

  if (np_app_id(config, uid) < config->exempt_below) facts |= NP_FACT_EXEMPT;
  if (config->resolver_tag && tag == config->resolver_tag &&
      uid == config->resolver_uid)
    facts |= NP_FACT_RESOLVER;
  return facts;
}

// Hides a number from the compiler, which else makes jumps of arithmetic that
// it recognises. The verifier walks both ways of a jump, and with several in a
// row every combination of them.
static inline __attribute__((always_inline)) __u64 np_opaque(__u64 x) {
  __asm__ volatile("" : "+r"(x));
  return x;
}

// All bits if `facts` has the fact, else none.
static inline __attribute__((always_inline)) __u64 np_if(__u32 facts,
                                                         __u32 fact) {
  return -np_opaque(facts / fact & 1);
}

// The rules that are on for what `facts` describes, whatever the UID.
static inline __attribute__((always_inline)) __u64 np_applicable(
    const struct np_policy_config* config, __u32 facts) {
  __u64 at_socket = np_if(facts, NP_FACT_SOCKET_CREATE);
  __u64 without_owner = np_if(facts, NP_FACT_NO_OWNER);
  __u64 applies = config->enabled;

  // 1. A rule is checked either when the socket is created or at each packet.
  applies &= config->at_socket ^ ~at_socket;
  // 2. Exempt UIDs meet no rule for packets.
  applies &= ~np_if(facts, NP_FACT_EXEMPT) | at_socket;
  // 3. Packets without an owner meet their own rules only.
  applies &= (without_owner & NP_REASONS_WITHOUT_OWNER) |
             (~without_owner & ~NP_REASON_BIT(NP_REASON_NO_OWNER));
  // 4. Some rules leave loopback alone. A peer that is being named may turn out
  //    to be this machine itself.
  applies &= ~(config->not_on_loopback & (np_if(facts, NP_FACT_LOOPBACK) |
                                          np_if(facts, NP_FACT_CONNECT)));
  // 5. Some rules count on metered interfaces only.
  applies &= ~config->metered_only | np_if(facts, NP_FACT_METERED);
  // 6. Some rules let some kinds of packets pass.
  applies &= ~(config->icmp6_passes & np_if(facts, NP_FACT_ICMP6_CONTROL));
  applies &= ~(config->closing_passes & np_if(facts, NP_FACT_CLOSING));
  applies &= ~(config->resolver_passes & np_if(facts, NP_FACT_RESOLVER));
  return applies;
}

// Reasons to refuse what `facts` describes to the UID whose rule word is
// `rules` (0: unlisted). `violated`: the conditional reasons whose condition
// the packet meets (see lib/network_rule.h).
static inline __attribute__((always_inline)) __u64 np_decide(
    const struct np_policy_config* config, __u64 rules, __u32 facts,
    __u64 violated) {
  // A denylist blocks where the UID's bit is set, an allowlist where it is not.
  return np_applicable(config, facts) & (rules ^ config->allowlists) &
         (violated | ~NP_REASONS_CONDITIONAL);
}

#endif  // NETPOLICY_BPF_PROGS_LIB_DECISION_H_
