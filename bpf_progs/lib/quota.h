// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_QUOTA_H_
#define NETPOLICY_BPF_PROGS_LIB_QUOTA_H_

#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "bpf_progs/abi/quota.h"
#include "bpf_progs/lib/decision.h"
#include "bpf_progs/lib/kernel_types.h"
#include "bpf_progs/lib/wire_length.h"
#include "bpf_progs/maps/policy_maps.h"
#include "bpf_progs/maps/quota_maps.h"

// Charging packets to quotas, and refusing those that are too much. The
// algorithm and what it guarantees: abi/quota.h.

// What a packet counts: its bytes, and its packets in the upper half.
#define NP_QUOTA_SIZE(packets, bytes) ((__u64)(packets) << 32 | (__u32)(bytes))

// The n-th quota of a set, if it counts packets of this direction.
static __always_inline struct np_quota* np_quota_of(__u64 set, __u32 n,
                                                    __u32 direction) {
  __u32 position = set >> 16 * n & 0xffff;
  struct np_quota* quota;

  if (!position) return NULL;
  quota = bpf_map_lookup_elem(&np_quotas, &position);
  if (!quota || !(quota->flags >> (direction & 1) & 1)) return NULL;
  return quota;
}

// In the unit of the quota.
static __always_inline __u64 np_quota_amount(const struct np_quota* quota,
                                             __u64 size) {
  __u64 packets = -np_opaque(quota->flags / NP_QUOTA_PACKETS & 1);

  return (packets & size >> 32) | (~packets & (__u32)size);
}

// Adds a packet to the quotas of a set. Which of them refuse it, as bits. A
// function that the verifier checks by itself, as the next two.
__noinline __u32 np_quota_add(__u64 set, __u32 direction, __u64 size) {
  __u32 exceeded = 0;

  for (__u32 n = 0; n < NP_QUOTA_PER_SUBJECT; n++) {
    struct np_quota* quota = np_quota_of(set, n, direction);
    __u64 end;

    if (!quota) continue;
    // Before the add: if a new period begins meanwhile, the packet is judged by
    // the old one.
    end = *(volatile __u64*)&quota->end;
    __sync_fetch_and_add(&quota->charged, np_quota_amount(quota, size));
    if (*(volatile __u64*)&quota->charged > end &&
        !(quota->flags & NP_QUOTA_ALERT))
      exceeded |= 1U << n;
  }
  return exceeded;
}

static __always_inline void np_quota_cross(struct np_quota* quota,
                                           __u32 position, __u64 end) {
  struct np_quota_wake wake = {.position = position, .id = quota->id};

  if (*(volatile __u64*)&quota->crossed == end) return;
  // The time first: whoever sees the crossing sees when it was. Several CPUs
  // may come here for one crossing; they store the same.
  *(volatile __u64*)&quota->crossed_ns = bpf_ktime_get_boot_ns();
  *(volatile __u64*)&quota->crossed = end;
  if (bpf_ringbuf_output(&np_quota_wake, &wake, sizeof(wake), 0))
    __sync_fetch_and_add(&quota->wakes_lost, 1);
}

// After np_quota_add(): the packet passes.
__noinline int np_quota_keep(__u64 set, __u32 direction, __u64 size) {
  for (__u32 n = 0; n < NP_QUOTA_PER_SUBJECT; n++) {
    struct np_quota* quota = np_quota_of(set, n, direction);
    __u64 end;

    if (!quota) continue;
    __sync_fetch_and_add(&quota->packets, size >> 32);
    __sync_fetch_and_add(&quota->bytes, (__u32)size);
    end = *(volatile __u64*)&quota->end;
    if (quota->flags & NP_QUOTA_ALERT &&
        *(volatile __u64*)&quota->charged >= end)
      np_quota_cross(quota, set >> 16 * n & 0xffff, end);
  }
  return 0;
}

// After np_quota_add(): the packet is refused, by these of the set.
__noinline int np_quota_take_back(__u64 set, __u32 direction, __u64 size,
                                  __u32 exceeded) {
  for (__u32 n = 0; n < NP_QUOTA_PER_SUBJECT; n++) {
    struct np_quota* quota = np_quota_of(set, n, direction);
    __u64 amount;
    __u64 end;

    if (!quota) continue;
    amount = np_quota_amount(quota, size);
    __sync_fetch_and_add(&quota->charged, -amount);
    if (!(exceeded >> n & 1)) continue;
    __sync_fetch_and_add(&quota->refused_packets, size >> 32);
    __sync_fetch_and_add(&quota->refused_bytes, (__u32)size);
    // Unless a new period has begun meanwhile.
    end = *(volatile __u64*)&quota->end;
    if (*(volatile __u64*)&quota->charged + amount > end)
      np_quota_cross(quota, set >> 16 * n & 0xffff, end);
  }
  return 0;
}

static __always_inline __u64 np_quota_find(const struct np_quota_key* key) {
  const struct np_quota_set* set = bpf_map_lookup_elem(&np_quota_set, key);

  return set ? *(const volatile __u64*)&set->positions : 0;
}

// By name, as np_link_word() in lib/network.h.
__noinline __u64 np_quota_of_interface(struct __sk_buff* ctx) {
  struct np_quota_key key = {.subject = NP_QUOTA_OF_INTERFACE};
  __u32 zero = 0;
  const struct np_control* control = bpf_map_lookup_elem(&np_control, &zero);
  struct sk_buff___np* skb;
  struct net_device___np* dev;

  if (!ctx || !control) return 0;
  skb = np_kernel_skb(ctx);
  dev = BPF_CORE_READ(skb, dev);
  if (BPF_CORE_READ(dev, nd_net.net, ns.inum) != control->netns) return 0;
  // As a string: what the kernel leaves behind the NUL of a name that was
  // changed is not part of it.
  bpf_probe_read_kernel_str(
      &key.name, sizeof(key.name),
      (const void*)__builtin_preserve_access_index(&dev->name));
  return np_quota_find(&key);
}

enum np_quota_verdict {
  NP_QUOTA_NONE,     // no quota counts the packet
  NP_QUOTA_CHARGED,  // it passes
  NP_QUOTA_REFUSED,
};

// Which kinds of subject have quotas: bits 1 << NP_QUOTA_OF_*.
static __always_inline __u32 np_quota_kinds(void) {
  __u32 zero = 0;
  const struct np_quota* header = bpf_map_lookup_elem(&np_quotas, &zero);

  return header ? *(const volatile __u32*)&header->flags : 0;
}

// Judges by the quotas a packet that the policy lets pass. `uid`: whom it is
// charged to.
__noinline int np_judge_quotas(struct __sk_buff* skb, __u32 uid,
                               __u32 direction, __u32 kinds) {
  __u64 of_uid = 0;
  __u64 of_interface = 0;
  __u64 of_all = 0;
  __u64 extra;
  __u64 size;
  __u32 uid_exceeds;
  __u32 interface_exceeds;
  __u32 all_exceed;

  if (!skb) return NP_QUOTA_NONE;
  if (kinds & 1U << NP_QUOTA_OF_INTERFACE)
    of_interface = np_quota_of_interface(skb);
  if (skb->ifindex != NP_LOOPBACK_IFINDEX) {
    if (kinds & 1U << NP_QUOTA_OF_UID) {
      struct np_quota_key key = {.subject = NP_QUOTA_OF_UID, .uid = uid};

      of_uid = np_quota_find(&key);
    }
    if (kinds & 1U << NP_QUOTA_OF_ALL) {
      struct np_quota_key key = {.subject = NP_QUOTA_OF_ALL};

      of_all = np_quota_find(&key);
    }
  }
  if (!(of_uid | of_interface | of_all)) return NP_QUOTA_NONE;

  extra = np_may_have_extra(skb) ? np_wire_extra(skb, direction) : 0;
  size = NP_QUOTA_SIZE(1 + (extra >> 32), skb->len + (__u32)extra);
  uid_exceeds = np_quota_add(of_uid, direction, size);
  interface_exceeds = np_quota_add(of_interface, direction, size);
  all_exceed = np_quota_add(of_all, direction, size);
  if (!(uid_exceeds | interface_exceeds | all_exceed)) {
    np_quota_keep(of_uid, direction, size);
    np_quota_keep(of_interface, direction, size);
    np_quota_keep(of_all, direction, size);
    return NP_QUOTA_CHARGED;
  }
  np_quota_take_back(of_uid, direction, size, uid_exceeds);
  np_quota_take_back(of_interface, direction, size, interface_exceeds);
  np_quota_take_back(of_all, direction, size, all_exceed);
  return NP_QUOTA_REFUSED;
}

#endif  // NETPOLICY_BPF_PROGS_LIB_QUOTA_H_
