// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_MAPS_TRAFFIC_MAPS_H_
#define NETPOLICY_BPF_PROGS_MAPS_TRAFFIC_MAPS_H_

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf_progs/abi/traffic.h"

// Missing entry: impossible (array).
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct np_traffic);
} np_traffic SEC(".maps");

#endif  // NETPOLICY_BPF_PROGS_MAPS_TRAFFIC_MAPS_H_
