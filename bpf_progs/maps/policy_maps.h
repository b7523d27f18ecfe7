// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_MAPS_POLICY_MAPS_H_
#define NETPOLICY_BPF_PROGS_MAPS_POLICY_MAPS_H_

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf_progs/abi/control.h"
#include "bpf_progs/abi/loss.h"
#include "bpf_progs/abi/policy.h"
#include "bpf_progs/abi/socket.h"
#include "bpf_progs/abi/stats.h"

// The tables of the policy programs. What they hold is said in bpf_progs/abi/;
// sizes marked "load" are set by libpolicy when it creates the tables.

// Missing entry: impossible (array).
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct np_control);
} np_control SEC(".maps");

// Missing entry: impossible (array).
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, NP_SLOTS);
  __type(key, __u32);
  __type(value, struct np_policy_config);
} np_config SEC(".maps");

// Missing entry: impossible (array).
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, NP_SLOTS* NP_REASONS);
  __type(key, __u32);
  __type(value, struct np_chain);
} np_chain SEC(".maps");

// Missing entry: the UID is unlisted.
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1);  // load
  __type(key, struct np_uid_key);
  __type(value, struct np_uid_position);
} np_uid_index SEC(".maps");

// Missing entry: impossible while np_uid_index keeps its promise; judged as
// unlisted.
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, NP_SLOTS);  // load
  __type(key, __u32);
  __type(value, struct np_uid_policy);
} np_uid_policy SEC(".maps");

// Missing entry: the key has no row yet.
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1);  // load
  __type(key, struct np_row_key);
  __type(value, struct np_row);
} np_rows SEC(".maps");

// Missing entry: the UID has taken no row.
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1);  // load
  __type(key, struct np_uid_key);
  __type(value, struct np_uid_share);
} np_uid_share SEC(".maps");

// Missing entry: counter set 0. Not preallocated, as the kernel would give the
// memory of a removed entry to another UID while a program may be reading it.
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 1);  // load
  __type(key, struct np_uid_key);
  __type(value, struct np_counter_set);
} np_counter_set SEC(".maps");

// Empty: every row is taken.
struct {
  __uint(type, BPF_MAP_TYPE_QUEUE);
  __uint(max_entries, 1);  // load
  __type(value, struct np_row);
} np_free_rows SEC(".maps");

// Empty: every row for a UID alone is taken.
struct {
  __uint(type, BPF_MAP_TYPE_QUEUE);
  __uint(max_entries, 1);  // load
  __type(value, struct np_row);
} np_free_uid SEC(".maps");

// Missing entry: impossible (array).
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);  // load
  __type(key, __u32);
  __type(value, struct np_counters);
} np_counters SEC(".maps");

// Missing entry: nothing was refused for these reasons.
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
  __uint(max_entries, 1);  // load
  __type(key, struct np_drop_key);
  __type(value, struct np_drop_counters);
} np_drops SEC(".maps");

// Missing entry: impossible (array).
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, NP_LOSSES);
  __type(key, __u32);
  __type(value, __u64);
} np_loss SEC(".maps");

// Missing entry: see abi/socket.h. Cloned to the sockets that accept() returns.
struct {
  __uint(type, BPF_MAP_TYPE_SK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
  __type(key, int);
  __type(value, struct np_socket);
} np_socket SEC(".maps");

// Never read by a program: libpolicy writes it because the kernel waits for an
// RCU grace period before such a write returns (maybe_wait_bpf_programs() in
// kernel/bpf/syscall.c), which is the fence of a commit.
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, 1);
  __type(key, __u32);
  __array(
      values, struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, __u32);
      });
} np_fence SEC(".maps");

#endif  // NETPOLICY_BPF_PROGS_MAPS_POLICY_MAPS_H_
