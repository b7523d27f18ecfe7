// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_ACCOUNT_H_
#define NETPOLICY_BPF_PROGS_LIB_ACCOUNT_H_

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf_progs/abi/socket.h"
#include "bpf_progs/abi/stats.h"
#include "bpf_progs/lib/loss.h"
#include "bpf_progs/lib/policy.h"
#include "bpf_progs/lib/wire_length.h"
#include "bpf_progs/maps/policy_maps.h"

// Charges the skb to a row. The adds are atomic although the row is this CPU's
// own: a program that runs for a process is interrupted by softirqs that charge
// the same row.
static __always_inline void np_charge(struct np_counters* counters,
                                      struct __sk_buff* skb, __u32 direction) {
  struct np_direction_counters* c = &counters->direction[direction];

  __sync_fetch_and_add(&c->skbs, 1);
  __sync_fetch_and_add(&c->skb_bytes, skb->len);
  if (np_may_have_extra(skb)) {
    __u64 extra = np_wire_extra(skb, direction);

    if (extra) {
      __sync_fetch_and_add(&c->extra_packets, extra >> 32);
      __sync_fetch_and_add(&c->extra_bytes, (__s64)(__s32)extra);
    }
  }
}

// Whom and what a packet of `owner` is charged to. `storage`: its socket's, may
// be null. The owner is charged unless the socket's tag says otherwise.
static __always_inline struct np_row_key np_row_key_of(
    const struct np_socket* storage, __u32 owner, __u32 ifindex) {
  struct np_row_key key = {.uid = owner, .ifindex = ifindex};
  const struct np_counter_set* set;
  struct np_uid_key uid_key = {};

  if (storage) {
    key.tag = storage->tag;
    if (storage->charges_other) key.uid = storage->charge_uid;
  }
  uid_key.uid = key.uid;
  set = bpf_map_lookup_elem(&np_counter_set, &uid_key);
  if (set) key.counter_set = set->counter_set;
  return key;
}

// Takes a row out of `free` for a key that has none and adds one to `taken`,
// which may be null. NP_OVERFLOW_ROW: there is none.
static __always_inline __u32 np_take_row(void* free,
                                         const struct np_row_key* key,
                                         __u32* taken) {
  const struct np_row* found;
  struct np_row row;

  if (bpf_map_pop_elem(free, &row)) return NP_OVERFLOW_ROW;
  if (bpf_map_update_elem(&np_rows, key, &row, BPF_NOEXIST)) {
    bpf_map_push_elem(free, &row, 0);
    found = bpf_map_lookup_elem(&np_rows, key);  // another CPU was first
    return found ? found->row : NP_OVERFLOW_ROW;
  }
  if (taken) __sync_fetch_and_add(taken, 1);
  return row.row;
}

// The UID's share, made when it is the UID's first row; null when np_uid_share
// is full.
static __always_inline struct np_uid_share* np_share_of(__u32 uid) {
  struct np_uid_key key = {.uid = uid};
  struct np_uid_share* share = bpf_map_lookup_elem(&np_uid_share, &key);
  struct np_uid_share none = {};

  if (share) return share;
  bpf_map_update_elem(&np_uid_share, &key, &none, BPF_NOEXIST);
  return bpf_map_lookup_elem(&np_uid_share, &key);
}

// The row of a key, made when it is the key's first packet. When the UID may
// have no more rows or none is left: the UID's own; last, NP_OVERFLOW_ROW.
static __always_inline __u32 np_row_of(const struct np_row_key* key) {
  const struct np_row* found = bpf_map_lookup_elem(&np_rows, key);
  struct np_row_key uid_key = {.uid = key->uid, .ifindex = NP_NO_IFINDEX};
  __u32 limit = np_rows_per_uid();
  struct np_uid_share* share = NULL;
  __u32 why = NP_LOSS_ROWS_SHARE;
  __u32 row;

  if (found) return found->row;
  if (limit) share = np_share_of(key->uid);
  if (!limit || (share && share->rows < limit)) {
    row = np_take_row(&np_free_rows, key, share ? &share->rows : NULL);
    if (row != NP_OVERFLOW_ROW) return row;
    why = NP_LOSS_ROWS_TAKEN;
  }
  found = bpf_map_lookup_elem(&np_rows, &uid_key);
  row = found ? found->row : np_take_row(&np_free_uid, &uid_key, NULL);
  np_count_loss(row == NP_OVERFLOW_ROW ? NP_LOSS_ROWS_FULL : why);
  return row;
}

static __always_inline void np_count_drop(const struct np_drop_key* key,
                                          __u64 packets, __u64 bytes) {
  struct np_drop_counters* counters = bpf_map_lookup_elem(&np_drops, key);

  if (!counters) {
    struct np_drop_counters zero = {};

    bpf_map_update_elem(&np_drops, key, &zero, BPF_NOEXIST);
    counters = bpf_map_lookup_elem(&np_drops, key);
  }
  if (!counters) {
    np_count_loss(NP_LOSS_DROPS_FULL);
    return;
  }
  __sync_fetch_and_add(&counters->packets, packets);
  // clang makes an add of a constant 0 an atomic load, which 5.10 does not
  // have.
  if (bytes) __sync_fetch_and_add(&counters->bytes, bytes);
}

#endif  // NETPOLICY_BPF_PROGS_LIB_ACCOUNT_H_
