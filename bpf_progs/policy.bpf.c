// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

// Firewall and accounting at the sockets of a cgroup: np_ingress and np_egress
// judge and charge every packet, np_sock_create checks the network permission
// and remembers who made the socket. Loaded and attached by libpolicy.

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "bpf_progs/lib/account.h"
#include "bpf_progs/lib/decision.h"
#include "bpf_progs/lib/identity.h"
#include "bpf_progs/lib/loss.h"
#include "bpf_progs/lib/policy.h"
#include "bpf_progs/maps/policy_maps.h"

#define NP_REFUSE 0
#define NP_PASS 1

// Whether bpf_sk_storage_get() can be called when a socket is created (since
// Linux 5.12). Set by libpolicy before loading, from a probe.
const volatile bool np_storage_at_create = false;

// Load-time constants that turn the optimisations off, for tests that no
// verdict depends on them and for measuring what they bring.
const volatile bool np_use_verdict_cache = true;
const volatile bool np_use_socket_storage = true;

// A packet whose socket has no verdict of this policy and interface in its
// storage.
static __noinline int np_slow_path(struct __sk_buff* skb, __u32 direction,
                                   __u64 active) {
  struct bpf_sock* sk = skb->sk;
  struct np_socket* storage = NULL;
  struct np_counters* counters;
  struct np_row_key row_key;
  __u32 ifindex = skb->ifindex;
  __u32 facts = 0;
  __u64 reasons;
  __u32 uid;
  __u32 row;

  np_count_loss(NP_LOSS_SLOW_PATH);
  if (sk && np_use_socket_storage) {
    storage = bpf_sk_storage_get(&np_socket, sk, NULL, 0);
    if (!storage) {
      struct np_socket fresh = {.uid = np_socket_owner(skb)};

      storage = bpf_sk_storage_get(&np_socket, sk, &fresh,
                                   BPF_SK_STORAGE_GET_F_CREATE);
      if (!storage) np_count_loss(NP_LOSS_SOCKET_STORAGE);
    }
  }
  if (!sk) np_count_loss(NP_LOSS_NO_SOCKET);
  uid = storage ? storage->uid : np_socket_owner(skb);

  if (ifindex == NP_LOOPBACK_IFINDEX) facts |= NP_FACT_LOOPBACK;
  reasons = np_judge(active, uid, facts);
  if (reasons) {
    struct np_drop_key drop_key = {
        .uid = uid, .direction = direction, .reasons = reasons};
    __u64 extra = np_may_have_extra(skb) ? np_wire_extra(skb, direction) : 0;

    np_count_drop(&drop_key, 1 + (extra >> 32), skb->len + (__s64)(__s32)extra);
    return NP_REFUSE;
  }

  row_key = np_row_key_of(storage, uid, ifindex);
  row = np_row_of(&row_key);
  counters = bpf_map_lookup_elem(&np_counters, &row);
  if (!counters) {
    np_count_loss(NP_LOSS_TABLES);
    return NP_PASS;
  }
  np_charge(counters, skb, direction);
  if (storage && row != NP_OVERFLOW_ROW) {
    struct np_socket_path* path = &storage->path[direction & 1];

    // The row first: whoever sees the verdict of this generation also sees its
    // row.
    *(volatile __u64*)&path->row = (__u64)ifindex << 32 | row;
    *(volatile __u64*)&path->passed = active << 32 | ifindex;
  }
  return NP_PASS;
}

static __always_inline int np_filter(struct __sk_buff* skb, __u32 direction) {
  __u64 active = np_read_active();
  struct bpf_sock* sk = skb->sk;

  if (sk && np_use_socket_storage && np_use_verdict_cache) {
    const struct np_socket* storage =
        bpf_sk_storage_get(&np_socket, sk, NULL, 0);

    if (storage) {
      const struct np_socket_path* path = &storage->path[direction];
      __u64 row = path->row;

      if (path->passed == (active << 32 | skb->ifindex) &&
          row >> 32 == skb->ifindex) {
        __u32 index = (__u32)row;
        struct np_counters* counters =
            bpf_map_lookup_elem(&np_counters, &index);

        if (counters) {
          np_charge(counters, skb, direction);
          return NP_PASS;
        }
      }
    }
  }
  // The verifier wants to see that the result is 0 or 1.
  return np_slow_path(skb, direction, active) & 1;
}

SEC("cgroup_skb/ingress")
int np_ingress(struct __sk_buff* skb) { return np_filter(skb, NP_INGRESS); }

SEC("cgroup_skb/egress")
int np_egress(struct __sk_buff* skb) { return np_filter(skb, NP_EGRESS); }

SEC("cgroup/sock_create")
int np_sock_create(struct bpf_sock* sk) {
  __u32 uid = (__u32)bpf_get_current_uid_gid();
  __u64 reasons = np_judge(np_read_active(), uid, NP_FACT_SOCKET_CREATE);

  if (reasons) {
    struct np_drop_key key = {
        .uid = uid, .direction = NP_SOCKET_CREATE, .reasons = reasons};

    np_count_drop(&key, 1, 0);
    return NP_REFUSE;
  }
  if (np_storage_at_create) {
    struct np_socket fresh = {.uid = uid};

    // Without it the first packet tries again.
    bpf_sk_storage_get(&np_socket, sk, &fresh, BPF_SK_STORAGE_GET_F_CREATE);
  }
  return NP_PASS;
}

char _license[] SEC("license") = "GPL";
