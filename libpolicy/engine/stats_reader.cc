// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/engine/stats_reader.h"

#include <cstdint>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/optional.h"
#include "libpolicy/base/status_macros.h"

namespace netpolicy {
namespace {

auto KeyOf(const StatsRow& row) {
  return std::make_tuple(ToInt(row.uid), row.tag, row.counter_set,
                         ToInt(row.ifindex));
}

auto KeyOf(const DropRow& drop) {
  return std::make_tuple(ToInt(drop.uid), static_cast<int>(drop.direction),
                         drop.reasons.bits());
}

std::string KeyOf(const LossCounter& loss) { return loss.name; }

bool TakeRow(const StatsRow& before, StatsRow& now) {
  return TakeAway(before.rx, now.rx) && TakeAway(before.tx, now.tx);
}

bool TakeRow(const DropRow& before, DropRow& now) {
  return TakeAway(before.packets, now.packets) &&
         TakeAway(before.bytes, now.bytes);
}

bool TakeRow(const LossCounter& before, LossCounter& now) {
  return TakeAway(before.count, now.count);
}

bool HasGrown(const StatsRow& row) {
  return row.rx.skbs != 0 || row.tx.skbs != 0;
}
bool HasGrown(const DropRow& drop) { return drop.packets != 0; }
bool HasGrown(const LossCounter& loss) { return loss.count != 0; }

// Leaves in `now` what grew; false when something is less or gone.
template <typename Row>
bool TakeAll(const std::vector<Row>& before, std::vector<Row>& now) {
  absl::flat_hash_map<decltype(KeyOf(now[0])), Row*> by_key;
  for (Row& row : now) by_key.emplace(KeyOf(row), &row);
  for (const Row& row : before) {
    const auto it = by_key.find(KeyOf(row));
    if (it == by_key.end() || !TakeRow(row, *it->second)) return false;
  }
  std::erase_if(now, [](const Row& row) { return !HasGrown(row); });
  return true;
}

// Unset: `now` is not of the same tables later, as a counter is less than in
// `before`, or not there.
absl::optional<StatsSnapshot> StatsDifference(const StatsSnapshot& before,
                                              const StatsSnapshot& now) {
  StatsSnapshot grown = now;
  if (!TakeAll(before.rows, grown.rows) ||
      !TakeAll(before.drops, grown.drops) ||
      !TakeAll(before.losses, grown.losses) ||
      !TakeAway(before.overflow_rx, grown.overflow_rx) ||
      !TakeAway(before.overflow_tx, grown.overflow_tx)) {
    return absl::nullopt;
  }
  return grown;
}

}  // namespace

bool TakeAway(uint64_t before, uint64_t& now) {
  if (before > now) return false;
  now -= before;
  return true;
}

bool TakeAway(const TrafficCounters& before, TrafficCounters& now) {
  return TakeAway(before.packets, now.packets) &&
         TakeAway(before.bytes, now.bytes) && TakeAway(before.skbs, now.skbs) &&
         TakeAway(before.skb_bytes, now.skb_bytes);
}

absl::StatusOr<StatsGrowth> StatsReader::Next() {
  NP_ASSIGN_OR_RETURN(StatsSnapshot now, policy_.Stats());
  absl::optional<StatsSnapshot> grown = StatsDifference(before_, now);
  StatsGrowth growth;
  growth.began_anew = !grown.has_value();
  growth.grown = grown.has_value() ? *std::move(grown) : now;
  before_ = std::move(now);
  return growth;
}

}  // namespace netpolicy
