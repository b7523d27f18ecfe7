// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_POLICY_H_
#define NETPOLICY_BPF_PROGS_LIB_POLICY_H_

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf_progs/lib/decision.h"
#include "bpf_progs/lib/loss.h"
#include "bpf_progs/maps/policy_maps.h"

// Entries in one slot of np_uid_policy. Set by libpolicy before loading.
const volatile __u32 np_slot_size = 1;

// The policy in force (np_active()). A program reads it once, so that one
// packet is judged by one policy. 0: tables not set up.
static __always_inline __u64 np_read_active(void) {
  __u32 zero = 0;
  const struct np_control* control = bpf_map_lookup_elem(&np_control, &zero);

  return control ? *(const volatile __u64*)&control->active : 0;
}

// Reasons to refuse what `facts` describes to `uid` under the policy `active`.
static __always_inline __u64 np_judge(__u64 active, __u32 uid, __u32 facts) {
  __u32 slot = np_active_slot(active);
  struct np_uid_key key = {.uid = uid};
  const struct np_policy_config* config =
      bpf_map_lookup_elem(&np_config, &slot);
  const struct np_uid_position* position =
      bpf_map_lookup_elem(&np_uid_index, &key);
  __u64 rules = 0;

  if (!config) {
    np_count_loss(NP_LOSS_TABLES);
    return ~0ULL;
  }
  if (position) {
    __u32 index = slot * np_slot_size + position->position;
    const struct np_uid_policy* policy =
        bpf_map_lookup_elem(&np_uid_policy, &index);

    if (policy) rules = *(const volatile __u64*)&policy->rules;
  }
  return np_decide(config, rules, facts);
}

#endif  // NETPOLICY_BPF_PROGS_LIB_POLICY_H_
