// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_MAPS_NETWORK_MAPS_H_
#define NETPOLICY_BPF_PROGS_MAPS_NETWORK_MAPS_H_

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf_progs/abi/control.h"
#include "bpf_progs/abi/network.h"
#include "bpf_progs/abi/policy.h"

// The tables of rules about networks and interfaces (bpf_progs/abi/network.h);
// sizes marked "load" are set by libpolicy when it creates the tables.

// Missing entry: the policy says nothing of the interface.
struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 1);  // load
  __type(key, struct np_interface_key);
  __type(value, struct np_interface);
} np_interface SEC(".maps");

// Missing entry: no rule of the set matches.
struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 1);  // load
  __type(key, struct np_prefix_key);
  __type(value, struct np_prefix);
} np_prefix SEC(".maps");

// Missing entry: impossible while np_prefix keeps its promise; denied.
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);  // load
  __type(key, __u32);
  __type(value, struct np_network_rule);
} np_network_rule SEC(".maps");

// Missing entry: the address may be reached over every interface.
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1);  // load
  __type(key, struct np_discard_key);
  __type(value, struct np_discard);
} np_discard SEC(".maps");

// Missing entry: impossible (array).
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, NP_SLOTS* NP_BIND_PORT_WORDS);
  __type(key, __u32);
  __type(value, __u64);
} np_bind_ports SEC(".maps");

// Missing entry: impossible (array). Each slot begins with a struct
// np_source_header.
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, NP_SLOTS);  // load
  __type(key, __u32);
  __type(value, __u64);
} np_source SEC(".maps");

// Missing entry: nothing was refused there lately.
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 1);  // load
  __type(key, struct np_refused_key);
  __type(value, struct np_refused);
} np_refused SEC(".maps");

#endif  // NETPOLICY_BPF_PROGS_MAPS_NETWORK_MAPS_H_
