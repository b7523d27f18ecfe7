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

// Rows of counters that a UID may take; 0: any number.
static __always_inline __u32 np_rows_per_uid(void) {
  __u32 zero = 0;
  const struct np_control* control = bpf_map_lookup_elem(&np_control, &zero);

  return control ? control->rows_per_uid : 0;
}

static __always_inline const struct np_policy_config* np_config_of(__u32 slot) {
  const struct np_policy_config* config =
      bpf_map_lookup_elem(&np_config, &slot);

  if (!config) np_count_loss(NP_LOSS_TABLES);
  return config;
}

// What one slot says of a UID.
struct np_subject {
  __u64 rules;
  __u64 interfaces;
  __u32 network_set;
};

static __always_inline struct np_subject np_subject_of(
    const struct np_policy_config* config, __u32 slot, __u32 uid) {
  struct np_subject subject = {.interfaces = config->default_interfaces,
                               .network_set = config->default_network_set};
  struct np_uid_key key = {.uid = uid};
  const struct np_uid_position* position =
      bpf_map_lookup_elem(&np_uid_index, &key);

  if (position) {
    __u32 index = slot * np_slot_size + position->position;
    const struct np_uid_policy* policy =
        bpf_map_lookup_elem(&np_uid_policy, &index);

    if (policy) {
      subject.rules = *(const volatile __u64*)&policy->rules;
      if (policy->interfaces) subject.interfaces = policy->interfaces;
      if (policy->network_set) subject.network_set = policy->network_set;
    }
  }
  return subject;
}

#endif  // NETPOLICY_BPF_PROGS_LIB_POLICY_H_
