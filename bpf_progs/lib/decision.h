// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_DECISION_H_
#define NETPOLICY_BPF_PROGS_LIB_DECISION_H_

#include "bpf_progs/abi/policy.h"

// The decision. Compiled into the programs and into libpolicy (explain, tests):
// a pure function of one policy and the facts of one packet or socket call.
//
// There is no precedence among rules: every rule that is on and applies
// contributes its reason, and anything with a reason is refused.

#define NP_FACT_LOOPBACK (1U << 0) /* the interface is the loopback device */
#define NP_FACT_METERED (1U << 1)  /* the interface is metered */
#define NP_FACT_SOCKET_CREATE \
  (1U << 2) /* a socket is being created; there is no packet */

// The loopback device has this index in every network namespace (net/core/dev.c
// insists on it).
#define NP_LOOPBACK_IFINDEX 1

// Reasons to refuse what `facts` describes to the UID whose rule word is
// `rules` (0: unlisted).
static inline __attribute__((always_inline)) __u64 np_decide(
    const struct np_policy_config* config, __u64 rules, __u32 facts) {
  __u64 applies = config->enabled;

  // 1. A rule is checked either when the socket is created or at each packet.
  applies &=
      facts & NP_FACT_SOCKET_CREATE ? config->at_socket : ~config->at_socket;
  // 2. Some rules leave loopback alone.
  if (facts & NP_FACT_LOOPBACK) applies &= ~config->not_on_loopback;
  // 3. Some rules count on metered interfaces only.
  if (!(facts & NP_FACT_METERED)) applies &= ~config->metered_only;

  // A denylist blocks where the UID's bit is set, an allowlist where it is not.
  return applies & (rules ^ config->allowlists);
}

#endif  // NETPOLICY_BPF_PROGS_LIB_DECISION_H_
