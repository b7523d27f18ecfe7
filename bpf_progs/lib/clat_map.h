// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_CLAT_MAP_H_
#define NETPOLICY_BPF_PROGS_LIB_CLAT_MAP_H_

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf_progs/lib/clat_address.h"
#include "bpf_progs/maps/clat_maps.h"

// From one address to the other, by what the tables of an instance say.
// RFC 7757, 3.2 order: explicit mappings (the longest), then the prefix.

// Whether `ip4` is mapped explicitly, that is: one of our own.
static __always_inline int np_clat_own4(struct __sk_buff* skb,
                                        const struct np_clat_instance* instance,
                                        __be32 ip4, struct np_in6* out) {
  struct np_clat_eam4_key key;
  const struct np_clat_eam* eam;

  if (!(instance->flags & NP_CLAT_MAPPINGS)) {
    if (ip4 != instance->local4 || !ip4) return 0;
    *out = instance->local6;
    return 1;
  }
  key.prefixlen = 64;
  key.ifindex = skb->ifindex;
  key.address = ip4;
  eam = bpf_map_lookup_elem(&np_clat_eam4, &key);
  if (!eam) return 0;
  np_eam_to6(eam, ip4, out);
  return 1;
}

static __always_inline int np_clat_own6(struct __sk_buff* skb,
                                        const struct np_clat_instance* instance,
                                        const struct np_in6* ip6, __be32* out) {
  struct np_clat_eam6_key key;
  const struct np_clat_eam* eam;

  if (!(instance->flags & NP_CLAT_MAPPINGS)) {
    if (!np_in6_equal(ip6, &instance->local6) || np_in6_is_zero(ip6)) return 0;
    *out = instance->local4;
    return 1;
  }
  key.prefixlen = 32 + 128;
  key.ifindex = skb->ifindex;
  key.address = *ip6;
  eam = bpf_map_lookup_elem(&np_clat_eam6, &key);
  if (!eam) return 0;
  *out = np_eam_to4(eam, ip6);
  return 1;
}

// Any address. Returns 0, or the outcome; `unusable` is the one for an address
// without a counterpart.
static __noinline __u32 np_clat_to6(struct __sk_buff* skb,
                                    const struct np_clat_instance* instance,
                                    __be32 ip4, struct np_in6* out,
                                    __u32 unusable) {
  __u32 outcome;

  if (np_clat_own4(skb, instance, ip4, out)) return 0;
  outcome = np_clat_embeddable(instance->flags, ip4, unusable);
  if (!outcome) np_embed(&instance->prefix, instance->prefix_len, ip4, out);
  return outcome;
}

static __noinline __u32 np_clat_to4(struct __sk_buff* skb,
                                    const struct np_clat_instance* instance,
                                    const struct np_in6* ip6, __be32* out,
                                    __u32 unusable) {
  __be32 ip4;

  if (np_clat_own6(skb, instance, ip6, out)) return 0;
  if (!np_extract(&instance->prefix, instance->prefix_len, ip6, &ip4))
    return unusable;
  *out = ip4;
  return np_clat_embeddable(instance->flags, ip4, unusable);
}

#endif  // NETPOLICY_BPF_PROGS_LIB_CLAT_MAP_H_
