// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_JUDGE_H_
#define NETPOLICY_BPF_PROGS_LIB_JUDGE_H_

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf_progs/lib/decision.h"
#include "bpf_progs/lib/network.h"
#include "bpf_progs/lib/packet.h"
#include "bpf_progs/lib/policy.h"

// Judging one packet by one policy.

#define NP_REASONS_ABOUT_INTERFACES        \
  (NP_REASON_BIT(NP_REASON_LOCKDOWN_VPN) | \
   NP_REASON_BIT(NP_REASON_INTERFACE_RULE))

// Who is judged, and by which slot.
struct np_case {
  __u32 slot;
  __u32 direction;
  __u32 uid;    // NP_UID_NONE: no owner
  __u32 facts;  // known so far
};

// What another packet of the socket on the same interface must have in common
// with this one, to meet the same verdict.
enum np_depends {
  NP_DEPENDS_ON_NOTHING,
  NP_DEPENDS_ON_PEER,  // addresses and ports of both ends
  NP_DEPENDS_ON_KIND,  // what kind of packet it is
};

struct np_judgement {
  __u64 reasons;
  __u64 packet;  // lib/network_rule.h; 0: it was not looked at
  enum np_depends depends;
};

#define NP_REASONS_ABOUT_ADDRESSES          \
  (NP_REASON_BIT(NP_REASON_NETWORK_RULE) |  \
   NP_REASON_BIT(NP_REASON_LOCAL_NETWORK) | \
   NP_REASON_BIT(NP_REASON_INGRESS_DISCARD))

// Which of the rules about addresses the packet violates, of `candidates`, with
// the slot in bit 0. `sets`: the UID's set of network rules, and above it that
// of local networks. A function that the verifier checks by itself.
__noinline __u64 np_violated(struct __sk_buff* skb, __u64 packet,
                             __u64 selectors, __u64 sets, __u64 candidates) {
  __u64 violated = 0;

  if (!skb) return candidates;
  if (candidates & (NP_REASON_BIT(NP_REASON_NETWORK_RULE) |
                    NP_REASON_BIT(NP_REASON_LOCAL_NETWORK))) {
    struct np_prefix_key key;

    np_load_address(skb, packet, NP_REMOTE, key.address);
    if (candidates & NP_REASON_BIT(NP_REASON_NETWORK_RULE) &&
        np_match_set(&key, (__u32)sets, packet, selectors) == NP_NETWORK_DENY)
      violated |= NP_REASON_BIT(NP_REASON_NETWORK_RULE);
    if (candidates & NP_REASON_BIT(NP_REASON_LOCAL_NETWORK) &&
        np_match_set(&key, sets >> 32, packet, selectors) == NP_NETWORK_DENY)
      violated |= NP_REASON_BIT(NP_REASON_LOCAL_NETWORK);
  }
  if (candidates & NP_REASON_BIT(NP_REASON_INGRESS_DISCARD)) {
    struct np_discard_key key = {.slot = candidates & 1};

    np_load_address(skb, packet, NP_LOCAL, key.address);
    if (np_is_discarded(&key, selectors))
      violated |= NP_REASON_BIT(NP_REASON_INGRESS_DISCARD);
  }
  return violated;
}

static __always_inline void np_judge(struct __sk_buff* skb,
                                     const struct np_policy_config* config,
                                     const struct np_case* c,
                                     struct np_judgement* judgement) {
  struct np_subject subject = np_subject_of(config, c->slot, c->uid);
  __u64 selectors = NP_SELECTOR_ANY;
  __u32 facts = c->facts;
  __u64 violated = 0;
  __u64 candidates;

  if (facts & NP_FACT_NO_OWNER) subject.rules = 0;
  if (config->flags & NP_POLICY_INTERFACES && !(facts & NP_FACT_LOOPBACK)) {
    __u64 link = np_link_word(skb, c->slot);

    selectors |= link;
    facts |= (link & NP_LINK_METERED) / NP_LINK_METERED * NP_FACT_METERED;
  }
  if (!(subject.interfaces & selectors))
    violated |= NP_REASONS_ABOUT_INTERFACES;

  // What can't be told without the packet: rules that would refuse it if its
  // addresses were those that they are about.
  candidates = np_decide(config, subject.rules, facts, ~0ULL);
  if (!(config->flags & NP_POLICY_NETWORK_RULES) || !subject.network_set)
    candidates &= ~NP_REASON_BIT(NP_REASON_NETWORK_RULE);
  if (!(config->flags & NP_POLICY_LOCAL_NETWORK))
    candidates &= ~NP_REASON_BIT(NP_REASON_LOCAL_NETWORK);
  if (!(config->flags & NP_POLICY_DISCARD) || c->direction != NP_INGRESS)
    candidates &= ~NP_REASON_BIT(NP_REASON_INGRESS_DISCARD);
  candidates &= NP_REASONS_ABOUT_ADDRESSES;

  judgement->packet = 0;
  judgement->depends = NP_DEPENDS_ON_NOTHING;
  if (candidates) {
    judgement->depends = NP_DEPENDS_ON_PEER;
    judgement->packet = np_parse_packet(skb, c->direction);
    violated |= np_violated(
        skb, judgement->packet, selectors,
        subject.network_set | (__u64)config->local_network_set << 32,
        candidates | (c->slot & 1));
  }
  judgement->reasons = np_decide(config, subject.rules, facts, violated);
  // Some kinds of packets pass some rules, but that only matters now.
  if (judgement->reasons) {
    if (!judgement->packet)
      judgement->packet = np_parse_packet(skb, c->direction);
    if (judgement->packet & NP_PACKET_CLOSING) facts |= NP_FACT_CLOSING;
    if (judgement->packet & NP_PACKET_ICMP6_CONTROL)
      facts |= NP_FACT_ICMP6_CONTROL;
    judgement->depends = NP_DEPENDS_ON_KIND;
    judgement->reasons = np_decide(config, subject.rules, facts, violated);
  }
}

#endif  // NETPOLICY_BPF_PROGS_LIB_JUDGE_H_
