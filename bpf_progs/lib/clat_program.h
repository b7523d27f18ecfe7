// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_CLAT_PROGRAM_H_
#define NETPOLICY_BPF_PROGS_LIB_CLAT_PROGRAM_H_

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

#include "bpf_progs/lib/clat_4to6.h"
#include "bpf_progs/lib/clat_6to4.h"
#include "bpf_progs/lib/clat_quick.h"
#include "bpf_progs/maps/clat_maps.h"

// The two directions, from context to verdict.

static __always_inline void np_clat_count_outcome(
    const struct np_clat_instance* instance, __u32 outcome, __u32 direction,
    __u32 bytes) {
  __u32 slot = instance->slot;
  struct np_clat_counters* counters =
      bpf_map_lookup_elem(&np_clat_count, &slot);

  if (!counters || outcome >= NP_CLAT_OUTCOMES) return;
  counters->outcomes[outcome]++;
  if (outcome == NP_CLAT_NOT_OURS || outcome >= NP_CLAT_FIRST_DROP) return;
  if (direction == 4)
    counters->bytes46 += bytes;
  else
    counters->bytes64 += bytes;
}

static __always_inline void np_clat_count_answer(
    const struct np_clat_instance* instance, __u32 which) {
  __u32 slot = instance->slot;
  struct np_clat_counters* counters =
      bpf_map_lookup_elem(&np_clat_count, &slot);

  if (counters) counters->answers[which]++;
}

static __always_inline int np_clat_answerable(__u32 outcome) {
  return outcome >= NP_CLAT_TTL && outcome <= NP_CLAT_TOO_BIG;
}

static __always_inline int np_clat46(struct __sk_buff* skb, const __u32 l2) {
  const struct np_clat_instance* instance;
  __u32 ifindex = skb->ifindex;
  __u32 bytes = skb->len - l2;
  __u32 result;
  __u32 outcome;

  if (skb->protocol != NP_WIRE16(ETH_P_IP)) return TC_ACT_UNSPEC;
  instance = bpf_map_lookup_elem(&np_clat_inst, &ifindex);
  if (!instance) return TC_ACT_UNSPEC;
  result = l2 ? np_clat_quick46_eth(skb, instance)
              : np_clat_quick46_raw(skb, instance);
  if (result == NP_CLAT_NOT_QUICK) result = np_clat_any46(skb, l2);
  outcome = NP_RESULT_OUTCOME(result);
  np_clat_count_outcome(instance, outcome, 4, bytes);
  if (outcome < NP_CLAT_FIRST_DROP) return TC_ACT_UNSPEC;
  if (np_clat_answerable(outcome)) {
    if (np_clat_answer4(skb, result)) {
      np_clat_count_answer(instance, NP_CLAT_ANSWERS_SENT);
      return bpf_redirect(ifindex, BPF_F_INGRESS);
    }
    np_clat_count_answer(instance, NP_CLAT_ANSWERS_WITHHELD);
  }
  return TC_ACT_SHOT;
}

static __always_inline int np_clat64(struct __sk_buff* skb, const __u32 l2) {
  const struct np_clat_instance* instance;
  __u32 ifindex = skb->ifindex;
  __u32 bytes = skb->len - l2;
  __u32 result;
  __u32 outcome;

  if (skb->protocol != NP_WIRE16(ETH_P_IPV6)) return TC_ACT_UNSPEC;
  instance = bpf_map_lookup_elem(&np_clat_inst, &ifindex);
  if (!instance) return TC_ACT_UNSPEC;
  result = l2 ? np_clat_quick64_eth(skb, instance)
              : np_clat_quick64_raw(skb, instance);
  if (result == NP_CLAT_NOT_QUICK) result = np_clat_any64(skb, l2);
  outcome = NP_RESULT_OUTCOME(result);
  np_clat_count_outcome(instance, outcome, 6, bytes);
  // The fragments before it come in by the same door.
  if (outcome == NP_CLAT_SPLIT_64) return bpf_redirect(ifindex, BPF_F_INGRESS);
  if (outcome < NP_CLAT_FIRST_DROP) return TC_ACT_UNSPEC;
  if (np_clat_answerable(outcome)) {
    if (np_clat_answer6(skb, result)) {
      np_clat_count_answer(instance, NP_CLAT_ANSWERS_SENT);
      return bpf_redirect(ifindex, 0);
    }
    np_clat_count_answer(instance, NP_CLAT_ANSWERS_WITHHELD);
  }
  return TC_ACT_SHOT;
}

#endif  // NETPOLICY_BPF_PROGS_LIB_CLAT_PROGRAM_H_
