// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_LOSS_H_
#define NETPOLICY_BPF_PROGS_LIB_LOSS_H_

#include "bpf_progs/maps/policy_maps.h"

// Counts one loss of the given kind (abi/loss.h) on this CPU. The add is atomic
// because a softirq may interrupt the program on the same CPU.
static __always_inline void np_count_loss(__u32 kind) {
  __u64* count = bpf_map_lookup_elem(&np_loss, &kind);
  if (count) __sync_fetch_and_add(count, 1);
}

#endif  // NETPOLICY_BPF_PROGS_LIB_LOSS_H_
