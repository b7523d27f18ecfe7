// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_MAPS_QUOTA_MAPS_H_
#define NETPOLICY_BPF_PROGS_MAPS_QUOTA_MAPS_H_

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf_progs/abi/quota.h"

// The tables of quotas (bpf_progs/abi/quota.h).

// Missing entry: impossible (array).
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, NP_QUOTAS);
  __type(key, __u32);
  __type(value, struct np_quota);
} np_quotas SEC(".maps");

// Missing entry: the subject has no quota. Not preallocated, for the reason
// that np_counter_set is not.
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, NP_QUOTAS);
  __type(key, struct np_quota_key);
  __type(value, struct np_quota_set);
} np_quota_set SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, NP_QUOTA_WAKE_BYTES);
} np_quota_wake SEC(".maps");

#endif  // NETPOLICY_BPF_PROGS_MAPS_QUOTA_MAPS_H_
