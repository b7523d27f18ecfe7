// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_ACCOUNT_H_
#define NETPOLICY_BPF_PROGS_LIB_ACCOUNT_H_

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf_progs/abi/socket.h"
#include "bpf_progs/abi/stats.h"
#include "bpf_progs/lib/loss.h"
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

// The row of a key, made when it is the key's first packet; NP_OVERFLOW_ROW
// when there is none.
static __always_inline __u32 np_row_of(const struct np_row_key* key) {
  struct np_row* found = bpf_map_lookup_elem(&np_rows, key);
  struct np_row row;

  if (found) return found->row;
  if (bpf_map_pop_elem(&np_free_rows, &row)) goto full;
  if (bpf_map_update_elem(&np_rows, key, &row, BPF_NOEXIST)) {
    bpf_map_push_elem(&np_free_rows, &row, 0);
    found = bpf_map_lookup_elem(&np_rows, key);  // another CPU was first
    if (!found) goto full;
    return found->row;
  }
  return row.row;

full:
  np_count_loss(NP_LOSS_ROWS_FULL);
  return NP_OVERFLOW_ROW;
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
