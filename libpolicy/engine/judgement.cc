// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/engine/judgement.h"

#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "bpf_progs/abi/network.h"
#include "bpf_progs/abi/stats.h"
#include "bpf_progs/lib/decision.h"
#include "bpf_progs/lib/network_rule.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/kernel/mapped_array.h"

namespace netpolicy {
namespace {

template <typename Key, typename Value>
absl::StatusOr<absl::optional<Value>> Find(const Map<Key, Value>& map,
                                           const Key& key,
                                           absl::string_view key_text) {
  Value value = {};
  NP_ASSIGN_OR_RETURN(const bool found, map.raw().Lookup(&key, &value, [&] {
    return std::string(key_text);
  }));
  return found ? absl::optional<Value>(value) : absl::nullopt;
}

// As np_subject_of() in bpf_progs/lib/policy.h.
absl::StatusOr<np_uid_policy> SubjectOf(const Tables& tables, uint32_t slot,
                                        const np_policy_config& config,
                                        uint32_t uid) {
  np_uid_policy subject = {};
  NP_ASSIGN_OR_RETURN(const auto position,
                      tables.uid_index.Lookup({.uid = uid}));
  if (position.has_value() && position->position < tables.slot_size()) {
    subject = CopyWords(tables.entry(slot, position->position));
  }
  if (subject.interfaces == 0) subject.interfaces = config.default_interfaces;
  if (subject.network_set == 0) {
    subject.network_set = config.default_network_set;
  }
  return subject;
}

// As np_link_of() in bpf_progs/lib/network.h. Without a name: an interface that
// the policy says nothing of.
absl::StatusOr<np_interface> LinkOf(const Tables& tables, uint32_t slot,
                                    const ExplainQuery& query) {
  np_interface link = {};
  if (!query.interface.empty()) {
    np_interface_key key = {};
    key.prefixlen = NP_INTERFACE_PREFIX_BITS + 8 * sizeof(key.name);
    key.slot = slot;
    query.interface.copy(key.name, sizeof(key.name) - 1);
    NP_ASSIGN_OR_RETURN(const auto found,
                        Find(tables.interfaces, key, query.interface));
    if (found.has_value()) link = *found;
  }
  link.selectors |= NP_SELECTOR_ANY;
  if (query.metered.has_value()) {
    link.metered = *query.metered == Switch::kOn ? 1 : 0;
  }
  return link;
}

// As np_match_set() there.
absl::StatusOr<uint32_t> MatchSet(const Tables& tables, uint32_t set,
                                  const AddressBytes& remote, uint64_t packet,
                                  uint64_t selectors) {
  np_prefix_key key = {};
  key.prefixlen = NP_PREFIX_SET_BITS + 8 * sizeof(key.address);
  key.set = set;
  std::copy(remote.begin(), remote.end(), key.address);
  NP_ASSIGN_OR_RETURN(const auto prefix,
                      Find(tables.prefixes, key, AddressText(remote)));
  if (!prefix.has_value()) return NP_NETWORK_ALLOW;
  for (uint32_t i = 0; i < prefix->count; ++i) {
    const uint32_t index = prefix->first + i;
    if (index >= tables.network_rules.map.info().max_entries) {
      return NP_NETWORK_DENY;
    }
    const np_network_rule rule =
        CopyWords(tables.network_rules.array.at(index));
    const uint64_t match = np_match_rule(&rule, packet, selectors);
    if (match == NP_RULE_MAY_MATCH) return NP_NETWORK_ALLOW;
    if (match == NP_RULE_MATCHES) return rule.action;
  }
  return NP_NETWORK_ALLOW;
}

// A packet whose ports are not said has any.
uint64_t PacketOf(const ExplainQuery& query, uint32_t flags) {
  if (np_has_ports(query.protocol)) {
    flags |= query.remote_port.has_value() ? NP_PACKET_PORTS
                                           : NP_PACKET_PORTS_UNREAD;
  }
  return np_packet(query.protocol, flags, query.remote_port.value_or(0),
                   query.local_port.value_or(0));
}

uint32_t OwnerFacts(const np_policy_config& config, uint32_t uid,
                    const ExplainQuery& query) {
  return uid == NP_UID_NONE ? NP_FACT_NO_OWNER
                            : np_owner_facts(&config, uid, query.tag);
}

// As np_parse_packet() in bpf_progs/lib/packet.h.
uint32_t KindFacts(const ExplainQuery& query, Direction direction) {
  if (query.protocol == IPPROTO_ESP) return NP_FACT_CLOSING;
  switch (query.kind) {
    case PacketKind::kOrdinary:
      return 0;
    case PacketKind::kTcpReset:
      return NP_FACT_CLOSING;
    case PacketKind::kTcpFin:
      return direction == Direction::kIngress ? NP_FACT_CLOSING : 0;
    case PacketKind::kIcmp6Control:
      return NP_FACT_ICMP6_CONTROL;
  }
  return 0;
}

// As np_judge() in bpf_progs/lib/judge.h.
absl::StatusOr<uint64_t> JudgePacket(const Tables& tables, uint32_t slot,
                                     const np_policy_config& config,
                                     const np_uid_policy& subject,
                                     const ExplainQuery& query,
                                     Direction direction, uint32_t facts) {
  np_interface link = {.selectors = NP_SELECTOR_ANY, .metered = 0, .pad = 0};
  if ((facts & NP_FACT_LOOPBACK) == 0) {
    NP_ASSIGN_OR_RETURN(link, LinkOf(tables, slot, query));
  }
  if (link.metered != 0) facts |= NP_FACT_METERED;
  uint64_t violated = 0;
  if ((subject.interfaces & link.selectors) == 0) {
    violated |= NP_REASON_BIT(NP_REASON_LOCKDOWN_VPN) |
                NP_REASON_BIT(NP_REASON_INTERFACE_RULE);
  }
  const uint64_t packet =
      PacketOf(query, direction == Direction::kEgress ? NP_PACKET_EGRESS : 0);
  if (query.remote.has_value()) {
    const struct {
      uint32_t flag;
      uint32_t set;
      int reason;
    } kinds[] = {
        {NP_POLICY_NETWORK_RULES, subject.network_set, NP_REASON_NETWORK_RULE},
        {NP_POLICY_LOCAL_NETWORK, config.local_network_set,
         NP_REASON_LOCAL_NETWORK},
    };
    for (const auto& kind : kinds) {
      if ((config.flags & kind.flag) == 0 || kind.set == 0) continue;
      NP_ASSIGN_OR_RETURN(
          const uint32_t action,
          MatchSet(tables, kind.set, *query.remote, packet, link.selectors));
      if (action == NP_NETWORK_DENY) violated |= NP_REASON_BIT(kind.reason);
    }
  }
  if (query.local.has_value() && direction == Direction::kIngress &&
      (config.flags & NP_POLICY_DISCARD) != 0) {
    np_discard_key key = {};
    key.slot = slot;
    std::copy(query.local->begin(), query.local->end(), key.address);
    NP_ASSIGN_OR_RETURN(const auto discard,
                        Find(tables.discards, key, AddressText(*query.local)));
    if (discard.has_value() && (discard->interfaces & link.selectors) == 0) {
      violated |= NP_REASON_BIT(NP_REASON_INGRESS_DISCARD);
    }
  }
  return np_decide(&config, subject.rules, facts, violated);
}

// As np_judge_call() in bpf_progs/policy.bpf.c.
absl::StatusOr<uint64_t> JudgeConnect(const Tables& tables,
                                      const np_policy_config& config,
                                      const np_uid_policy& subject,
                                      const ExplainQuery& query,
                                      uint32_t facts) {
  uint64_t violated = 0;
  if (query.remote.has_value() && subject.network_set != 0 &&
      (config.flags & NP_POLICY_NETWORK_RULES) != 0) {
    NP_ASSIGN_OR_RETURN(
        const uint32_t action,
        MatchSet(tables, subject.network_set, *query.remote,
                 PacketOf(query, NP_PACKET_EGRESS | NP_PACKET_NO_INTERFACE),
                 0));
    if (action == NP_NETWORK_DENY) {
      violated |= NP_REASON_BIT(NP_REASON_NETWORK_RULE);
    }
  }
  return np_decide(&config, subject.rules, facts | NP_FACT_CONNECT, violated);
}

// As np_judge_bind() there. A protocol that is not said has ports.
uint64_t JudgeBind(const Tables& tables, uint32_t slot,
                   const np_policy_config& config, const ExplainQuery& query) {
  const uint16_t port = query.local_port.value_or(0);
  if ((config.flags & NP_POLICY_BIND_PORTS) == 0 || port == 0 ||
      (query.protocol != 0 && !np_has_ports(query.protocol))) {
    return 0;
  }
  const __u64 word =
      tables.bind_ports.array.at(slot * NP_BIND_PORT_WORDS + port / 64);
  return (word >> (port % 64) & 1) != 0 ? NP_REASON_BIT(NP_REASON_BIND_PORT)
                                        : 0;
}

}  // namespace

uint32_t OwnerOf(const np_policy_config& config, const ExplainQuery& query) {
  const uint32_t uid = ToInt(query.uid);
  return uid == NP_UID_NONE ? config.no_owner_uid : uid;
}

bool IsOnLoopback(const ExplainQuery& query) {
  return !query.interface.empty() &&
         if_nametoindex(query.interface.c_str()) == NP_LOOPBACK_IFINDEX;
}

absl::StatusOr<bool> MayBeRefused(const Tables& tables, uint32_t slot, Uid uid,
                                  uint32_t tag) {
  const np_policy_config config = CopyWords(tables.config_of(slot));
  NP_ASSIGN_OR_RETURN(const np_uid_policy subject,
                      SubjectOf(tables, slot, config, ToInt(uid)));
  // More facts of these kinds only let more rules apply.
  return np_decide(&config, subject.rules,
                   np_owner_facts(&config, ToInt(uid), tag) | NP_FACT_METERED,
                   ~0ULL) != 0;
}

absl::StatusOr<ReasonSet> Judge(const Tables& tables, uint32_t slot,
                                const ExplainQuery& query, Direction direction,
                                Place place) {
  const np_policy_config config = CopyWords(tables.config_of(slot));
  const uint32_t uid = OwnerOf(config, query);
  NP_ASSIGN_OR_RETURN(
      np_uid_policy subject,
      SubjectOf(tables, slot, config,
                direction == Direction::kSocketCreate ? np_app_id(&config, uid)
                                                      : uid));
  const uint32_t facts = OwnerFacts(config, uid, query);
  if ((facts & NP_FACT_NO_OWNER) != 0) subject.rules = 0;
  uint64_t reasons = 0;
  switch (direction) {
    case Direction::kIngress:
    case Direction::kEgress: {
      NP_ASSIGN_OR_RETURN(
          reasons,
          JudgePacket(tables, slot, config, subject, query, direction,
                      facts | KindFacts(query, direction) |
                          (place == Place::kLoopback ? NP_FACT_LOOPBACK : 0)));
      break;
    }
    case Direction::kSocketCreate:
      reasons = np_decide(&config, subject.rules, NP_FACT_SOCKET_CREATE, 0);
      break;
    case Direction::kConnect: {
      NP_ASSIGN_OR_RETURN(reasons,
                          JudgeConnect(tables, config, subject, query, facts));
      break;
    }
    case Direction::kBind:
      reasons = JudgeBind(tables, slot, config, query);
      break;
  }
  return ReasonSet(reasons);
}

}  // namespace netpolicy
