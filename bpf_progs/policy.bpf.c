// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

// Firewall and accounting at the sockets of a cgroup: np_ingress and np_egress
// judge and charge every packet; np_sock_create checks the network permission
// and remembers who made the socket; np_connect* and np_sendmsg* let a call
// fail whose packets would be refused for certain; np_bind* block ports. Loaded
// and attached by libpolicy.

#include <linux/bpf.h>
#include <linux/in.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf_progs/lib/account.h"
#include "bpf_progs/lib/decision.h"
#include "bpf_progs/lib/identity.h"
#include "bpf_progs/lib/judge.h"
#include "bpf_progs/lib/loss.h"
#include "bpf_progs/lib/policy.h"
#include "bpf_progs/lib/quota.h"
#include "bpf_progs/maps/policy_maps.h"

#define NP_REFUSE 0
#define NP_PASS 1

// Whether bpf_sk_storage_get() can be called when a socket is created (since
// Linux 5.12), and when it gets an address (since 5.8 or a backport). Set by
// libpolicy before loading, from probes.
const volatile bool np_storage_at_create = false;
const volatile bool np_storage_at_connect = false;

// Load-time constants that turn the optimisations off, for tests that no
// verdict depends on them and for measuring what they bring.
const volatile bool np_use_verdict_cache = true;
const volatile bool np_use_socket_storage = true;

// Likewise, for measuring what accounting adds to the firewall: off, what is
// judged from the verdict cache is not charged.
const volatile bool np_use_accounting = true;

// Whether every packet of the socket has the same peer: then a verdict that
// depends on the peer holds for all of them. np_connect* forget it when the
// socket gets another one.
static __always_inline bool np_has_one_peer(const struct bpf_sock* sk,
                                            __u64 packet) {
  return np_storage_at_connect && np_packet_protocol(packet) == IPPROTO_TCP &&
         sk->state != BPF_TCP_LISTEN && sk->state != BPF_TCP_CLOSE &&
         sk->state != BPF_TCP_NEW_SYN_RECV;
}

// Counts a refused packet. A function that the verifier checks by itself.
__noinline int np_refuse_packet(struct __sk_buff* skb, __u32 uid,
                                __u32 direction, __u64 reasons, __u64 packet) {
  struct np_drop_key drop_key = {
      .uid = uid, .direction = direction, .reasons = reasons};
  struct np_refused_key refused_key = {
      .uid = uid,
      .direction = direction,
      .protocol = np_packet_protocol(packet),
      .remote_port = np_packet_remote_port(packet)};
  __u64 extra;

  if (!skb) return NP_REFUSE;
  extra = np_may_have_extra(skb) ? np_wire_extra(skb, direction) : 0;
  np_count_drop(&drop_key, 1 + (extra >> 32), skb->len + (__s64)(__s32)extra);
  np_load_address(skb, packet, NP_REMOTE, refused_key.remote);
  np_note_refused(&refused_key, reasons);
  return NP_REFUSE;
}

// A packet whose socket has no verdict of this policy and interface in its
// storage.
static __noinline int np_slow_path(struct __sk_buff* skb, __u32 direction,
                                   __u64 active) {
  struct bpf_sock* sk = skb->sk;
  struct np_socket* storage = NULL;
  struct np_case c = {.slot = np_active_slot(active), .direction = direction};
  const struct np_policy_config* config = np_config_of(c.slot);
  struct np_judgement judgement;
  struct np_counters* counters;
  struct np_row_key row_key;
  __u32 ifindex = skb->ifindex;
  __u32 quotas;
  __u32 row;

  if (!config) return NP_REFUSE;
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
  c.uid = storage ? storage->uid : np_socket_owner(skb);
  if (c.uid == NP_UID_NONE) c.uid = config->no_owner_uid;

  if (c.uid == NP_UID_NONE)
    c.facts |= NP_FACT_NO_OWNER;
  else
    c.facts |= np_owner_facts(config, c.uid, storage ? storage->tag : 0);
  if (ifindex == NP_LOOPBACK_IFINDEX) c.facts |= NP_FACT_LOOPBACK;
  np_judge(skb, config, &c, &judgement);
  row_key = np_row_key_of(storage, c.uid, ifindex);
  quotas = judgement.reasons ? 0 : np_quota_kinds();
  if (quotas) {
    quotas = np_judge_quotas(skb, row_key.uid, direction, quotas);
    if (quotas == NP_QUOTA_REFUSED) {
      judgement.reasons = NP_REASON_BIT(NP_REASON_QUOTA);
      if (!judgement.packet) judgement.packet = np_parse_packet(skb, direction);
    }
  }
  if (judgement.reasons) {
    np_refuse_packet(skb, c.uid, direction, judgement.reasons,
                     judgement.packet);
    return NP_REFUSE;
  }

  row = np_row_of(&row_key);
  counters = bpf_map_lookup_elem(&np_counters, &row);
  if (!counters) {
    np_count_loss(NP_LOSS_TABLES);
    return NP_PASS;
  }
  np_charge(counters, skb, direction);
  // Quotas want to see every packet.
  if (sk && storage && row != NP_OVERFLOW_ROW && quotas == NP_QUOTA_NONE &&
      (judgement.depends == NP_DEPENDS_ON_NOTHING ||
       (judgement.depends == NP_DEPENDS_ON_PEER &&
        np_has_one_peer(sk, judgement.packet)))) {
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

      if (!np_use_accounting && path->passed == (active << 32 | skb->ifindex))
        return NP_PASS;
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

static __always_inline int np_refuse_call(__u32 uid, __u32 call,
                                          __u64 reasons) {
  struct np_drop_key key = {.uid = uid, .direction = call, .reasons = reasons};

  np_count_drop(&key, 1, 0);
  return NP_REFUSE;
}

SEC("cgroup/sock_create")
int np_sock_create(struct bpf_sock* sk) {
  __u32 uid = (__u32)bpf_get_current_uid_gid();
  __u32 slot = np_active_slot(np_read_active());
  const struct np_policy_config* config = np_config_of(slot);
  struct np_subject subject;
  __u64 reasons;

  if (!config) return NP_REFUSE;
  subject = np_subject_of(config, slot, np_app_id(config, uid));
  reasons = np_decide(config, subject.rules, NP_FACT_SOCKET_CREATE, 0);
  if (reasons) return np_refuse_call(uid, NP_SOCKET_CREATE, reasons);
  if (np_storage_at_create) {
    struct np_socket fresh = {.uid = uid};

    // Without it the first packet tries again.
    bpf_sk_storage_get(&np_socket, sk, &fresh, BPF_SK_STORAGE_GET_F_CREATE);
  }
  return NP_PASS;
}

static __always_inline struct np_socket* np_storage_of_call(
    struct bpf_sock_addr* ctx) {
  struct bpf_sock* sk = ctx->sk;

  if (!np_storage_at_connect || !np_use_socket_storage || !sk) return NULL;
  return bpf_sk_storage_get(&np_socket, sk, NULL, 0);
}

enum np_call { NP_CALL_CONNECT, NP_CALL_SENDMSG };

// Whether packets of the socket to `peer` could pass, on whatever interface
// they leave. What depends on the interface is left to the packet.
static __always_inline int np_judge_call(struct bpf_sock_addr* ctx,
                                         enum np_call call,
                                         struct np_prefix_key* peer) {
  __u64 active = np_read_active();
  __u32 slot = np_active_slot(active);
  struct np_socket* storage = np_storage_of_call(ctx);
  const struct np_policy_config* config;
  struct np_subject subject;
  __u32 facts = NP_FACT_CONNECT;
  __u64 violated = 0;
  __u64 reasons;
  __u64 packet;
  __u32 uid;

  if (storage && call == NP_CALL_CONNECT) {
    storage->path[NP_INGRESS].passed = 0;
    storage->path[NP_EGRESS].passed = 0;
  }
  // What passed on one interface for whatever peer, as of a datagram socket's
  // packets is remembered only then, is refused for certain on none.
  if (storage && call == NP_CALL_SENDMSG && np_use_verdict_cache &&
      storage->path[NP_EGRESS].passed >> 32 == (__u32)active)
    return NP_PASS;
  config = np_config_of(slot);
  if (!config) return NP_REFUSE;
  uid = storage ? storage->uid : np_call_owner(ctx);
  facts |= np_owner_facts(config, uid, storage ? storage->tag : 0);
  subject = np_subject_of(config, slot, uid);
  packet =
      np_packet((__u8)ctx->protocol,
                NP_PACKET_EGRESS | NP_PACKET_NO_INTERFACE |
                    (np_has_ports((__u8)ctx->protocol) ? NP_PACKET_PORTS : 0),
                bpf_ntohs((__u16)ctx->user_port), 0);
  if (config->flags & NP_POLICY_NETWORK_RULES && subject.network_set &&
      np_match_set(peer, subject.network_set, packet, 0) == NP_NETWORK_DENY)
    violated |= NP_REASON_BIT(NP_REASON_NETWORK_RULE);
  reasons = np_decide(config, subject.rules, facts, violated);
  if (!reasons) return NP_PASS;

  {
    struct np_refused_key key = {.uid = uid,
                                 .direction = NP_CONNECT,
                                 .protocol = (__u8)ctx->protocol,
                                 .remote_port = np_packet_remote_port(packet)};

    __builtin_memcpy(key.remote, peer->address, sizeof(key.remote));
    np_note_refused(&key, reasons);
  }
  return np_refuse_call(uid, NP_CONNECT, reasons);
}

static __always_inline int np_judge_call4(struct bpf_sock_addr* ctx,
                                          enum np_call call) {
  struct np_prefix_key peer = {};
  __u32 address = ctx->user_ip4;

  peer.address[10] = peer.address[11] = 0xff;
  __builtin_memcpy(peer.address + 12, &address, sizeof(address));
  return np_judge_call(ctx, call, &peer);
}

static __always_inline int np_judge_call6(struct bpf_sock_addr* ctx,
                                          enum np_call call) {
  struct np_prefix_key peer = {};
  __u32 address[4] = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2],
                      ctx->user_ip6[3]};

  __builtin_memcpy(peer.address, address, sizeof(address));
  return np_judge_call(ctx, call, &peer);
}

SEC("cgroup/connect4")
int np_connect4(struct bpf_sock_addr* ctx) {
  return np_judge_call4(ctx, NP_CALL_CONNECT);
}

SEC("cgroup/connect6")
int np_connect6(struct bpf_sock_addr* ctx) {
  return np_judge_call6(ctx, NP_CALL_CONNECT);
}

SEC("cgroup/sendmsg4")
int np_sendmsg4(struct bpf_sock_addr* ctx) {
  return np_judge_call4(ctx, NP_CALL_SENDMSG);
}

SEC("cgroup/sendmsg6")
int np_sendmsg6(struct bpf_sock_addr* ctx) {
  return np_judge_call6(ctx, NP_CALL_SENDMSG);
}

static __always_inline int np_judge_bind(struct bpf_sock_addr* ctx) {
  __u32 slot = np_active_slot(np_read_active());
  const struct np_policy_config* config = np_config_of(slot);
  __u32 port = bpf_ntohs((__u16)ctx->user_port);
  __u32 index = slot * NP_BIND_PORT_WORDS + port / 64;
  const struct np_socket* storage;
  const __u64* word;

  if (!config) return NP_REFUSE;
  // Port 0 asks for any port, and raw sockets have none.
  if (!(config->flags & NP_POLICY_BIND_PORTS) || port == 0 ||
      !np_has_ports((__u8)ctx->protocol))
    return NP_PASS;
  word = bpf_map_lookup_elem(&np_bind_ports, &index);
  if (!word || !(*word >> (port % 64) & 1)) return NP_PASS;
  storage = np_storage_of_call(ctx);
  return np_refuse_call(storage ? storage->uid : np_call_owner(ctx), NP_BIND,
                        NP_REASON_BIT(NP_REASON_BIND_PORT));
}

SEC("cgroup/bind4")
int np_bind4(struct bpf_sock_addr* ctx) { return np_judge_bind(ctx); }

SEC("cgroup/bind6")
int np_bind6(struct bpf_sock_addr* ctx) { return np_judge_bind(ctx); }

char _license[] SEC("license") = "GPL";
