// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

// What passes one interface, in packets and bytes on the wire. Never decides
// about a packet: the programs behind these see each one.

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "bpf_progs/lib/gso_length.h"
#include "bpf_progs/lib/kernel_types.h"
#include "bpf_progs/maps/traffic_maps.h"

char _license[] SEC("license") = "GPL";

// Of the link's header before the network header: 14 for Ethernet, 0 where
// packets begin with IP. Set on loading.
const volatile __u32 np_link_header_bytes = 14;

// A tunnel's device makes super-packets whose segments repeat the headers
// inside the tunnel, too.
static __always_inline int np_is_encapsulated(struct __sk_buff* skb) {
  return BPF_CORE_READ_BITFIELD_PROBED(np_kernel_skb(skb), encapsulation);
}

// The adds are atomic as real-time kernels let others run in between.
static __always_inline int np_watch(struct __sk_buff* skb, __u32 direction) {
  const __u32 start = np_link_header_bytes;
  struct np_direction_counters* c;
  struct np_network network;
  struct np_extra extra = {};
  struct np_traffic* traffic;
  __u32 key = 0;

  traffic = bpf_map_lookup_elem(&np_traffic, &key);
  if (!traffic) return TC_ACT_UNSPEC;
  c = &traffic->direction[direction];
  __sync_fetch_and_add(&c->skbs, 1);
  __sync_fetch_and_add(&c->skb_bytes, skb->len - start);
  if (!skb->gso_size) return TC_ACT_UNSPEC;
  if (np_is_encapsulated(skb) || np_parse_network(skb, start, &network) ||
      np_gso_extra(skb, start, &network, &extra)) {
    __sync_fetch_and_add(&traffic->unparsable, 1);
    return TC_ACT_UNSPEC;
  }
  __sync_fetch_and_add(&c->extra_packets, extra.packets);
  __sync_fetch_and_add(&c->extra_bytes, (__s64)extra.bytes);
  return TC_ACT_UNSPEC;
}

SEC("tc")
int np_if_ingress(struct __sk_buff* skb) { return np_watch(skb, NP_INGRESS); }

SEC("tc")
int np_if_egress(struct __sk_buff* skb) { return np_watch(skb, NP_EGRESS); }
