// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_NETWORK_H_
#define NETPOLICY_BPF_PROGS_LIB_NETWORK_H_

#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "bpf_progs/abi/network.h"
#include "bpf_progs/lib/identity.h"
#include "bpf_progs/lib/kernel_types.h"
#include "bpf_progs/lib/loss.h"
#include "bpf_progs/lib/network_rule.h"
#include "bpf_progs/maps/network_maps.h"
#include "bpf_progs/maps/policy_maps.h"

// Looking up what the policy says of interfaces and peers.

// The action of the first rule of a run that matches; NP_NETWORK_ALLOW when
// none does, or when the interface must be known first. A function that the
// verifier checks by itself.
__noinline __u32 np_match_list(__u32 first, __u32 count, __u64 packet,
                               __u64 selectors) {
  for (__u32 i = 0; i < NP_NETWORK_LIST_MAX; i++) {
    __u32 index = first + i;
    const struct np_network_rule* rule;
    __u64 match;

    if (i >= count) break;
    rule = bpf_map_lookup_elem(&np_network_rule, &index);
    if (!rule) {
      np_count_loss(NP_LOSS_TABLES);
      return NP_NETWORK_DENY;
    }
    match = np_match_rule(rule, packet, selectors);
    if (match == NP_RULE_MAY_MATCH) return NP_NETWORK_ALLOW;
    if (match == NP_RULE_MATCHES) return rule->action;
  }
  return NP_NETWORK_ALLOW;
}

// What rule set `key->set` says of a packet from or to the address in `key`.
static __always_inline __u32 np_match_set(struct np_prefix_key* key, __u32 set,
                                          __u64 packet, __u64 selectors) {
  const struct np_prefix* prefix;

  key->prefixlen = NP_PREFIX_SET_BITS + 8 * sizeof(key->address);
  key->set = set;
  prefix = bpf_map_lookup_elem(&np_prefix, key);
  if (!prefix) return NP_NETWORK_ALLOW;
  return np_match_list(prefix->first, prefix->count, packet, selectors);
}

// Fills in the name of the skb's interface; false if it has one in another
// namespace.
static __always_inline bool np_name_link(struct __sk_buff* ctx,
                                         const struct np_control* control,
                                         struct np_interface_key* key) {
  struct sk_buff___np* skb;
  struct net_device___np* dev;

  if (np_has_typed_skb) {
    const __u64* name;

    dev = np_typed_skb(ctx)->dev;
    if (dev->nd_net.net->ns.inum != control->netns) return false;
    name = (const __u64*)__builtin_preserve_access_index(&dev->name);
    __builtin_memcpy(key->name, name, sizeof(key->name));
    return true;
  }
  skb = np_kernel_skb(ctx);
  dev = BPF_CORE_READ(skb, dev);
  if (BPF_CORE_READ(dev, nd_net.net, ns.inum) != control->netns) return false;
  bpf_core_read(&key->name, sizeof(key->name), &dev->name);
  return true;
}

// What the policy says of the skb's interface. By name, so that rules follow a
// name to whatever interface has it, with nobody's help. Names in another
// network namespace, where somebody else gives them, say nothing. Selectors,
// and whether it is metered. A function that the verifier checks by itself.
#define NP_LINK_METERED NP_SELECTOR_ANY /* that bit is free: all have it */
__noinline __u64 np_link_word(struct __sk_buff* ctx, __u32 slot) {
  struct np_interface_key key = {.slot = slot};
  __u32 zero = 0;
  const struct np_control* control = bpf_map_lookup_elem(&np_control, &zero);
  const struct np_interface* found;

  if (!ctx || !control || !np_name_link(ctx, control, &key)) return 0;
  key.prefixlen = NP_INTERFACE_PREFIX_BITS + 8 * sizeof(key.name);
  found = bpf_map_lookup_elem(&np_interface, &key);
  if (!found) return 0;
  return (found->selectors & ~NP_LINK_METERED) |
         (found->metered ? NP_LINK_METERED : 0);
}

// Whether packets to the local address in `key` may not come over such an
// interface.
static __always_inline bool np_is_discarded(const struct np_discard_key* key,
                                            __u64 selectors) {
  const struct np_discard* discard = bpf_map_lookup_elem(&np_discard, key);

  return discard && !(discard->interfaces & selectors);
}

// Remembers what was refused to or from whom.
static __always_inline void np_note_refused(const struct np_refused_key* key,
                                            __u64 reasons) {
  struct np_refused* refused = bpf_map_lookup_elem(&np_refused, key);

  if (refused) {
    refused->reasons = reasons;
    refused->last_ns = bpf_ktime_get_ns();
    __sync_fetch_and_add(&refused->count, 1);
  } else {
    struct np_refused fresh = {
        .reasons = reasons, .count = 1, .last_ns = bpf_ktime_get_ns()};

    if (bpf_map_update_elem(&np_refused, key, &fresh, BPF_ANY))
      np_count_loss(NP_LOSS_REFUSED);
  }
}

#endif  // NETPOLICY_BPF_PROGS_LIB_NETWORK_H_
