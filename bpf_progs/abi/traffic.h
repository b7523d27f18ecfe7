// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_ABI_TRAFFIC_H_
#define NETPOLICY_BPF_PROGS_ABI_TRAFFIC_H_

#include <linux/types.h>

#include "bpf_progs/abi/assert.h"
#include "bpf_progs/abi/stats.h"

// np_traffic[0]: what passed one interface, whoever it belonged to; per CPU.
// Every watched interface has a table of its own, as programs at a netkit pair
// don't see which interface they are at.
//
// Written by: the programs of traffic.bpf.c. Read by: libpolicy. Counters only
// grow.

struct np_traffic {
  // By NP_INGRESS (received), NP_EGRESS (sent). Bytes are layer 3: without the
  // link's header, also of packets that are not IP.
  struct np_direction_counters direction[NP_DIRECTIONS];
  // Super-packets whose headers were not understood, or that are inside a
  // tunnel's: their further packets are unknown and counted as 0.
  __u64 unparsable;
};

NP_ASSERT_SIZE(struct np_traffic, 2 * 4 * 8 + 8);

#endif  // NETPOLICY_BPF_PROGS_ABI_TRAFFIC_H_
