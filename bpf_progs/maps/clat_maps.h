// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_MAPS_CLAT_MAPS_H_
#define NETPOLICY_BPF_PROGS_MAPS_CLAT_MAPS_H_

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf_progs/abi/clat.h"

// The tables of the translator. What they hold is said in bpf_progs/abi/clat.h.

// Missing entry: nothing is translated on this interface.
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, NP_CLAT_SLOTS);
  __type(key, __u32);  // ifindex
  __type(value, struct np_clat_instance);
} np_clat_inst SEC(".maps");

// Missing entry: the address is not mapped explicitly.
struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 4096);
  __type(key, struct np_clat_eam4_key);
  __type(value, struct np_clat_eam);
} np_clat_eam4 SEC(".maps");

// Missing entry: the address is not mapped explicitly.
struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 4096);
  __type(key, struct np_clat_eam6_key);
  __type(value, struct np_clat_eam);
} np_clat_eam6 SEC(".maps");

// Missing entry: impossible (array).
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, NP_CLAT_SLOTS);
  __type(key, __u32);  // np_clat_instance.slot
  __type(value, struct np_clat_counters);
} np_clat_count SEC(".maps");

// How many ICMP errors may still be made, for the programs alone.
// Missing entry: impossible (array).
struct np_clat_bucket {
  __u64 filled_ns;  // when last; bpf_ktime_get_ns()
  __u64 tokens;
};

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, NP_CLAT_SLOTS);
  __type(key, __u32);  // np_clat_instance.slot
  __type(value, struct np_clat_bucket);
} np_clat_bucket SEC(".maps");

// Where packets are put together that can't be made in place. tc programs run
// with softirqs off, so nothing else uses this CPU's entries meanwhile.
//
// A packet that is split into fragments is held here whole, in parts, as a
// per-CPU entry may have 32 KiB. Each part has the beginning of the next one
// behind it, so that a fragment is always in one piece.
#define NP_CLAT_PART 24576     /* a fragment's payload starts below that */
#define NP_CLAT_PARTS 3        /* 65535 bytes and more */
#define NP_CLAT_PIECE_MAX 7600 /* payload of one fragment */
#define NP_CLAT_CHUNK 512      /* what bpf_csum_diff() takes at once */

struct np_clat_scratch {
  __u8 data[NP_CLAT_PART + NP_CLAT_PIECE_MAX];
  __u8 chunk[NP_CLAT_CHUNK + 8];
};

// Missing entry: impossible (array).
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, NP_CLAT_PARTS);
  __type(key, __u32);  // the first entry is for everything else, too
  __type(value, struct np_clat_scratch);
} np_clat_scratch SEC(".maps");

#endif  // NETPOLICY_BPF_PROGS_MAPS_CLAT_MAPS_H_
