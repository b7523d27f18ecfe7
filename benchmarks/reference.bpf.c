// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

// What the benchmarks compare with: a program that makes, packet by packet, the
// map lookups and shared atomic adds of Android's firewall and accounting
// programs with interface counters on (docs/android.md), and nothing clever.
//
//   ingress 8 hash + 3 array lookups, 6 shared atomic adds
//   egress  7 hash + 3 array lookups, 6 shared atomic adds

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct uid_tag {
  __u32 uid;
  __u32 tag;
};

struct rules {
  __u32 ifindex;
  __u32 bits;
};

struct stats_key {
  __u32 uid;
  __u32 tag;
  __u32 counter_set;
  __u32 ifindex;
};

struct stats {
  __u64 rx_packets;
  __u64 rx_bytes;
  __u64 tx_packets;
  __u64 tx_bytes;
};

struct address {
  __u32 word[4];
};

#define HASH(map, key_type, value_type, entries) \
  struct {                                       \
    __uint(type, BPF_MAP_TYPE_HASH);             \
    __uint(max_entries, entries);                \
    __type(key, key_type);                       \
    __type(value, value_type);                   \
  } map SEC(".maps")

#define ARRAY(map, value_type, entries) \
  struct {                              \
    __uint(type, BPF_MAP_TYPE_ARRAY);   \
    __uint(max_entries, entries);       \
    __type(key, __u32);                 \
    __type(value, value_type);          \
  } map SEC(".maps")

HASH(cookie_tag, __u64, struct uid_tag, 10000);
HASH(uid_rules, __u32, struct rules, 4000);
HASH(discard, struct address, struct rules, 100);
HASH(local_blocked, __u32, __u8, 4000);
HASH(counter_set, __u32, __u8, 2000);
HASH(stats_a, struct stats_key, struct stats, 5000);
HASH(stats_b, struct stats_key, struct stats, 5000);
HASH(uid_total, __u32, struct stats, 10000);
HASH(iface_total, __u32, struct stats, 1000);
ARRAY(configuration, __u32, 3);
ARRAY(trace_on, __u8, 1);

static __always_inline void add(struct stats* s, struct __sk_buff* skb,
                                bool egress) {
  // A large skb stands for as many packets as an MTU of 1500 makes of it.
  __u64 packets = skb->len > 1500 ? (skb->len - 52 + 1447) / 1448 : 1;
  __u64 bytes = skb->len + (packets - 1) * 52;

  if (egress) {
    __sync_fetch_and_add(&s->tx_packets, packets);
    __sync_fetch_and_add(&s->tx_bytes, bytes);
  } else {
    __sync_fetch_and_add(&s->rx_packets, packets);
    __sync_fetch_and_add(&s->rx_bytes, bytes);
  }
}

static __always_inline int reference(struct __sk_buff* skb, bool egress) {
  __u32 enabled_key = 0, selected_key = 1, trace_key = 0;
  __u32 uid = bpf_get_socket_uid(skb);
  __u64 cookie = bpf_get_socket_cookie(skb);
  __u32 ifindex = skb->ifindex;
  struct stats_key key = {.uid = uid, .ifindex = ifindex};
  struct stats zero = {};
  struct iphdr ip;
  struct tcphdr tcp;
  struct stats* row;
  const struct uid_tag* tagged;
  const struct rules* rules;
  const __u32* enabled;
  const __u32* selected;
  const __u8* set;
  const __u8* trace;
  __u32 blocked;

  tagged = bpf_map_lookup_elem(&cookie_tag, &cookie);
  if (tagged) {
    key.uid = tagged->uid;
    key.tag = tagged->tag;
  }

  if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip))) return 1;
  if (ip.protocol == IPPROTO_TCP &&
      bpf_skb_load_bytes(skb, ip.ihl * 4, &tcp, sizeof(tcp)))
    return 1;
  enabled = bpf_map_lookup_elem(&configuration, &enabled_key);
  rules = bpf_map_lookup_elem(&uid_rules, &uid);
  if (!enabled) return 1;
  blocked = *enabled & (rules ? rules->bits : 0);
  if (!egress) {
    struct address to = {.word = {ip.daddr}};
    const struct rules* only = bpf_map_lookup_elem(&discard, &to);

    if (only && only->ifindex != ifindex) blocked |= 1;
  }
  if (bpf_map_lookup_elem(&local_blocked, &uid)) blocked |= 1;

  set = bpf_map_lookup_elem(&counter_set, &uid);
  if (set) key.counter_set = *set;
  selected = bpf_map_lookup_elem(&configuration, &selected_key);
  trace = bpf_map_lookup_elem(&trace_on, &trace_key);
  if (!selected || (trace && *trace)) return 1;

  if (*selected) {
    row = bpf_map_lookup_elem(&stats_b, &key);
    if (!row) {
      bpf_map_update_elem(&stats_b, &key, &zero, BPF_NOEXIST);
      row = bpf_map_lookup_elem(&stats_b, &key);
    }
  } else {
    row = bpf_map_lookup_elem(&stats_a, &key);
    if (!row) {
      bpf_map_update_elem(&stats_a, &key, &zero, BPF_NOEXIST);
      row = bpf_map_lookup_elem(&stats_a, &key);
    }
  }
  if (row) add(row, skb, egress);

  row = bpf_map_lookup_elem(&uid_total, &uid);
  if (!row) {
    bpf_map_update_elem(&uid_total, &uid, &zero, BPF_NOEXIST);
    row = bpf_map_lookup_elem(&uid_total, &uid);
  }
  if (row) add(row, skb, egress);

  row = bpf_map_lookup_elem(&iface_total, &ifindex);
  if (!row) {
    bpf_map_update_elem(&iface_total, &ifindex, &zero, BPF_NOEXIST);
    row = bpf_map_lookup_elem(&iface_total, &ifindex);
  }
  if (row) add(row, skb, egress);

  return blocked ? 0 : 1;
}

SEC("cgroup_skb/ingress")
int ref_ingress(struct __sk_buff* skb) { return reference(skb, false); }

SEC("cgroup_skb/egress")
int ref_egress(struct __sk_buff* skb) { return reference(skb, true) & 1; }

SEC("cgroup_skb/ingress")
int empty(struct __sk_buff* skb) { return skb != 0; }

char _license[] SEC("license") = "GPL";
