// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/engine/stats.h"

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>

#include "bpf_progs/abi/loss.h"
#include "bpf_progs/abi/stats.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/model/ids.h"
#include "libpolicy/model/reason.h"

namespace netpolicy {
namespace {

// By number (bpf_progs/abi/loss.h).
constexpr const char* kLossNames[] = {
    "slow_path",  "no_socket", "socket_storage", "rows_full",  "drops_full",
    "unparsable", "tables",    "refused",        "rows_share", "rows_taken",
};
static_assert(std::size(kLossNames) == NP_LOSSES);

void AddCounters(np_counters& sum, const np_counters& one) {
  for (int i = 0; i < NP_DIRECTIONS; ++i) {
    np_direction_counters& to = sum.direction[i];
    const np_direction_counters& from = one.direction[i];
    to.skbs += from.skbs;
    to.skb_bytes += from.skb_bytes;
    to.extra_packets += from.extra_packets;
    to.extra_bytes += from.extra_bytes;
  }
}

void AddDrops(np_drop_counters& sum, const np_drop_counters& one) {
  sum.packets += one.packets;
  sum.bytes += one.bytes;
}

TrafficCounters ToTraffic(const np_direction_counters& counters) {
  return TrafficCounters{.packets = counters.skbs + counters.extra_packets,
                         .bytes = counters.skb_bytes + counters.extra_bytes,
                         .skbs = counters.skbs,
                         .skb_bytes = counters.skb_bytes};
}

bool IsZero(const np_direction_counters& counters) {
  return counters.skbs == 0;
}

std::vector<std::string> ReasonNames(const Policy& policy, ReasonSet reasons) {
  std::vector<std::string> names;
  for (int reason : reasons.numbers()) {
    names.push_back(policy.ReasonName(reason));
  }
  return names;
}

}  // namespace

absl::StatusOr<StatsSnapshot> ReadStats(const Tables& tables,
                                        const Policy& policy) {
  StatsSnapshot stats;
  NP_ASSIGN_OR_RETURN(const auto rows, tables.rows.Dump());
  // Rows are handed out in ascending order, so those in use are the first ones.
  uint32_t used = NP_OVERFLOW_ROW + 1;
  for (const auto& [key, row] : rows) used = std::max(used, row.row + 1);
  NP_ASSIGN_OR_RETURN(const auto counters,
                      tables.counters.DumpSums(used, AddCounters));
  const auto counters_of = [&counters](uint32_t row) {
    // An array is dumped by index.
    return row < counters.size() ? counters[row].second : np_counters{};
  };

  const np_counters overflow = counters_of(NP_OVERFLOW_ROW);
  stats.overflow_rx = ToTraffic(overflow.direction[NP_INGRESS]);
  stats.overflow_tx = ToTraffic(overflow.direction[NP_EGRESS]);
  for (const auto& [key, row] : rows) {
    const np_counters sum = counters_of(row.row);
    // The row was entered by a packet that is being charged just now.
    if (IsZero(sum.direction[NP_INGRESS]) && IsZero(sum.direction[NP_EGRESS])) {
      continue;
    }
    stats.rows.push_back(StatsRow{.uid = Uid{key.uid},
                                  .tag = key.tag,
                                  .counter_set = key.counter_set,
                                  .ifindex = IfIndex{key.ifindex},
                                  .rx = ToTraffic(sum.direction[NP_INGRESS]),
                                  .tx = ToTraffic(sum.direction[NP_EGRESS])});
  }
  std::sort(stats.rows.begin(), stats.rows.end(),
            [](const StatsRow& a, const StatsRow& b) {
              return std::tie(a.uid, a.tag, a.counter_set, a.ifindex) <
                     std::tie(b.uid, b.tag, b.counter_set, b.ifindex);
            });

  NP_ASSIGN_OR_RETURN(stats.drops, ReadDrops(tables, policy));
  NP_ASSIGN_OR_RETURN(stats.losses, ReadLosses(tables));
  return stats;
}

absl::StatusOr<std::vector<DropRow>> ReadDrops(const Tables& tables,
                                               const Policy& policy) {
  std::vector<DropRow> rows;
  NP_ASSIGN_OR_RETURN(
      const auto sums,
      tables.drops.DumpSums(tables.drops.info().max_entries, AddDrops));
  for (const auto& [key, sum] : sums) {
    if (sum.packets == 0) continue;
    const ReasonSet reasons(key.reasons);
    rows.push_back(DropRow{.uid = Uid{key.uid},
                           .direction = static_cast<Direction>(key.direction),
                           .reasons = reasons,
                           .reason_names = ReasonNames(policy, reasons),
                           .packets = sum.packets,
                           .bytes = sum.bytes});
  }
  std::sort(rows.begin(), rows.end(), [](const DropRow& a, const DropRow& b) {
    return std::make_tuple(a.uid, a.direction, a.reasons.bits()) <
           std::make_tuple(b.uid, b.direction, b.reasons.bits());
  });
  return rows;
}

absl::StatusOr<std::vector<LossCounter>> ReadLosses(const Tables& tables) {
  NP_ASSIGN_OR_RETURN(
      const auto sums,
      tables.loss.DumpSums(NP_LOSSES,
                           [](uint64_t& sum, uint64_t one) { sum += one; }));
  std::vector<LossCounter> losses;
  for (size_t i = 0; i < std::size(kLossNames); ++i) {
    losses.push_back(
        {.name = kLossNames[i], .count = i < sums.size() ? sums[i].second : 0});
  }
  return losses;
}

}  // namespace netpolicy
