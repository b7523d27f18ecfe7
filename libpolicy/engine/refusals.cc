// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/engine/refusals.h"

#include <time.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "bpf_progs/abi/network.h"
#include "bpf_progs/abi/reason.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/engine/quota_explain.h"
#include "libpolicy/engine/quota_tables.h"
#include "libpolicy/engine/stats.h"
#include "libpolicy/model/explain.h"

namespace netpolicy {
namespace {

using Entry = std::pair<np_refused_key, np_refused>;

// The moment of CLOCK_MONOTONIC's zero, as far as clocks agree now.
absl::Time MonotonicZero() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return absl::Now() - absl::DurationFromTimespec(now);
}

// Whether the network rule that refused it can be told without its interface.
bool IsDeniedByRules(const Policy& policy, Uid uid, const PacketFacts& packet) {
  const std::vector<Interface>& interfaces = policy.network().interfaces;
  const NetworkRule* rule =
      FirstMatch(policy.Find(uid).network_rules, interfaces, packet);
  if (rule == nullptr) {
    rule = FirstMatch(policy.defaults().network_rules, interfaces, packet);
  }
  return rule != nullptr && rule->action == Action::kDeny;
}

std::vector<ExplainedReason> Explain(const Policy& policy,
                                     const std::vector<Quota>& quotas, Uid uid,
                                     const RefusedPeer& peer) {
  PacketFacts packet;
  packet.remote = peer.remote;
  packet.protocol = peer.protocol;
  if (peer.remote_port != 0) packet.remote_port = peer.remote_port;
  packet.direction = peer.direction == Direction::kIngress
                         ? RuleDirection::kIn
                         : RuleDirection::kOut;
  std::vector<ExplainedReason> explained;
  for (const int reason : peer.reasons.numbers()) {
    if (reason == NP_REASON_QUOTA) {
      explained.push_back(
          {.number = reason,
           .name = policy.ReasonName(reason),
           .detail = ExplainQuotaRefusal(quotas, uid, peer.direction)});
      continue;
    }
    const bool tell = reason != NP_REASON_NETWORK_RULE ||
                      IsDeniedByRules(policy, uid, packet);
    explained.push_back(
        {.number = reason,
         .name = policy.ReasonName(reason),
         .detail = ExplainReason(
             policy, uid, reason,
             tell ? absl::optional<PacketFacts>(packet) : absl::nullopt)});
  }
  return explained;
}

}  // namespace

absl::StatusOr<Refusals> ReadRefusals(const Tables& tables,
                                      const PolicySnapshot& snapshot, Uid uid,
                                      uint32_t max_peers) {
  Refusals refusals;
  refusals.generation = snapshot.generation;
  refusals.uid = uid;
  NP_ASSIGN_OR_RETURN(refusals.drops, ReadDrops(tables, snapshot.policy));
  std::erase_if(refusals.drops,
                [uid](const DropRow& row) { return row.uid != uid; });

  std::vector<Entry> entries;
  NP_RETURN_IF_ERROR(tables.refused.raw().ForEach(
      tables.refused.info().max_entries,
      [&](const void* key_bytes, const void* value_bytes) {
        Entry entry;
        std::memcpy(&entry.first, key_bytes, sizeof(entry.first));
        std::memcpy(&entry.second, value_bytes, sizeof(entry.second));
        if (entry.first.uid == ToInt(uid)) entries.push_back(entry);
      }));
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    if (a.second.last_ns != b.second.last_ns) {
      return a.second.last_ns > b.second.last_ns;
    }
    return std::memcmp(&a.first, &b.first, sizeof(a.first)) < 0;
  });
  if (entries.size() > max_peers) entries.resize(max_peers);

  std::vector<Quota> quotas;
  if (HasQuotas(tables)) {
    NP_ASSIGN_OR_RETURN(quotas, ReadQuotas(tables));
  }
  const absl::Time zero = MonotonicZero();
  for (const auto& [key, value] : entries) {
    RefusedPeer peer;
    peer.direction = static_cast<Direction>(key.direction);
    std::copy(std::begin(key.remote), std::end(key.remote),
              peer.remote.begin());
    peer.protocol = key.protocol;
    peer.remote_port = key.remote_port;
    peer.reasons = ReasonSet(value.reasons);
    peer.count = value.count;
    peer.last = zero + absl::Nanoseconds(static_cast<int64_t>(value.last_ns));
    peer.explained = Explain(snapshot.policy, quotas, uid, peer);
    refusals.peers.push_back(std::move(peer));
  }
  return refusals;
}

}  // namespace netpolicy
