// SPDX-License-Identifier: Apache-2.0

#include "netd/cli/stats_reading.h"

#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/engine/stats_reader.h"

namespace netpolicy::cli {
namespace {

using By = StatsCommand::By;

void Add(const TrafficCounters& from, TrafficCounters& to) {
  to.packets += from.packets;
  to.bytes += from.bytes;
  to.skbs += from.skbs;
  to.skb_bytes += from.skb_bytes;
}

uint64_t& CountOf(Direction direction, Refused& refused) {
  switch (direction) {
    case Direction::kIngress:
      return refused.ingress;
    case Direction::kEgress:
      return refused.egress;
    case Direction::kSocketCreate:
      return refused.socket_create;
    case Direction::kConnect:
      return refused.connect;
    case Direction::kBind:
      break;
  }
  return refused.bind;
}

uint32_t SubjectOf(const StatsRow& row, By by) {
  switch (by) {
    case By::kUid:
      return ToInt(row.uid);
    case By::kInterface:
      return ToInt(row.ifindex);
    case By::kTag:
      return row.tag;
    case By::kCounterSet:
      break;
  }
  return row.counter_set;
}

// Takes members out of what was read; remembers whether one was not there.
class Reader {
 public:
  const Json& Member(const Json& object, absl::string_view name) {
    static const Json* const none = new Json();
    const auto it =
        object.is_object() ? object.find(std::string(name)) : object.end();
    if (it == object.end()) {
      ok_ = false;
      return *none;
    }
    return *it;
  }

  uint64_t Number(const Json& object, absl::string_view name) {
    const Json& value = Member(object, name);
    if (value.is_number_unsigned()) return value.get<uint64_t>();
    ok_ = false;
    return 0;
  }

  uint32_t Small(const Json& object, absl::string_view name) {
    const uint64_t number = Number(object, name);
    if (number > UINT32_MAX) ok_ = false;
    return static_cast<uint32_t>(number);
  }

  // null: no owner.
  uint32_t Subject(const Json& object, absl::string_view name) {
    if (name == "uid" && Member(object, name).is_null()) return ToInt(kNoOwner);
    return Small(object, name);
  }

  std::string Text(const Json& object, absl::string_view name) {
    const Json& value = Member(object, name);
    if (value.is_string()) return value.get<std::string>();
    ok_ = false;
    return "";
  }

  TrafficCounters Counters(const Json& object, absl::string_view name) {
    const Json& counters = Member(object, name);
    return {.packets = Number(counters, "packets"),
            .bytes = Number(counters, "bytes"),
            .skbs = Number(counters, "skbs"),
            .skb_bytes = Number(counters, "skb_bytes")};
  }

  const Json& List(const Json& object, absl::string_view name) {
    const Json& list = Member(object, name);
    if (!list.is_array()) ok_ = false;
    return list;
  }

  void Fail() { ok_ = false; }
  bool ok() const { return ok_; }

 private:
  bool ok_ = true;
};

bool TakeSum(const Sum& before, Sum& now) {
  return TakeAway(before.rx, now.rx) && TakeAway(before.tx, now.tx) &&
         TakeAway(before.refused.ingress, now.refused.ingress) &&
         TakeAway(before.refused.egress, now.refused.egress) &&
         TakeAway(before.refused.socket_create, now.refused.socket_create) &&
         TakeAway(before.refused.connect, now.refused.connect) &&
         TakeAway(before.refused.bind, now.refused.bind);
}

bool IsZero(const Sum& sum) {
  return sum.rx.skbs == 0 && sum.tx.skbs == 0 && sum.refused.all() == 0;
}

}  // namespace

Sum& Sum::operator+=(const Sum& other) {
  Add(other.rx, rx);
  Add(other.tx, tx);
  refused.ingress += other.refused.ingress;
  refused.egress += other.refused.egress;
  refused.socket_create += other.refused.socket_create;
  refused.connect += other.refused.connect;
  refused.bind += other.refused.bind;
  return *this;
}

absl::string_view ByName(By by) {
  switch (by) {
    case By::kUid:
      return "uid";
    case By::kInterface:
      return "iface";
    case By::kTag:
      return "tag";
    case By::kCounterSet:
      break;
  }
  return "set";
}

absl::string_view SubjectName(By by) {
  return by == By::kInterface ? "ifindex" : ByName(by);
}

StatsReading SumUp(const StatsSnapshot& stats, By by) {
  StatsReading reading;
  reading.by = by;
  for (const StatsRow& row : stats.rows) {
    Sum& sum = reading.rows[SubjectOf(row, by)];
    Add(row.rx, sum.rx);
    Add(row.tx, sum.tx);
  }
  for (const DropRow& drop : stats.drops) {
    if (by == By::kUid) {
      CountOf(drop.direction, reading.rows[ToInt(drop.uid)].refused) +=
          drop.packets;
    }
    auto& [packets, bytes] =
        reading.drops[{drop.uid, drop.direction, drop.reasons.bits()}];
    packets += drop.packets;
    bytes += drop.bytes;
  }
  reading.overflow = {stats.overflow_rx, stats.overflow_tx, {}};
  return reading;
}

absl::StatusOr<StatsReading> ParseReading(absl::string_view text,
                                          absl::string_view source) {
  const absl::Status invalid = absl::InvalidArgumentError(absl::StrCat(
      source, ": not what ndc stats --json of this version prints"));
  const Json json = Json::parse(text.begin(), text.end(), nullptr,
                                /*allow_exceptions=*/false);
  if (json.is_discarded() || !json.is_object()) return invalid;
  Reader reader;
  StatsReading reading;
  if (reader.Number(json, "version") != kJsonVersion) return invalid;
  if (json.contains("difference")) {
    return absl::InvalidArgumentError(
        absl::StrCat(source, ": it is itself a difference, of stats --since"));
  }
  const std::string by = reader.Text(json, "by");
  bool known = false;
  for (By each : {By::kUid, By::kInterface, By::kTag, By::kCounterSet}) {
    if (by == ByName(each)) {
      reading.by = each;
      known = true;
    }
  }
  if (!known) return invalid;
  if (json.contains("only_uid")) {
    reading.uid = Uid{reader.Small(json, "only_uid")};
  }
  const Json& tables = reader.Member(json, "tables");
  reading.life = {reader.Text(tables, "boot"), reader.Small(tables, "rows")};
  for (const Json& row : reader.List(json, "rows")) {
    Sum& sum = reading.rows[reader.Subject(row, SubjectName(reading.by))];
    sum.rx = reader.Counters(row, "rx");
    sum.tx = reader.Counters(row, "tx");
    if (reading.by != By::kUid) continue;
    const Json& refused = reader.Member(row, "refused");
    sum.refused = {.ingress = reader.Number(refused, "ingress"),
                   .egress = reader.Number(refused, "egress"),
                   .socket_create = reader.Number(refused, "socket_create"),
                   .connect = reader.Number(refused, "connect"),
                   .bind = reader.Number(refused, "bind")};
  }
  const Json& overflow = reader.Member(json, "overflow");
  reading.overflow.rx = reader.Counters(overflow, "rx");
  reading.overflow.tx = reader.Counters(overflow, "tx");
  for (const Json& drop : reader.List(json, "drops")) {
    DropKey key = {.uid = Uid{reader.Subject(drop, "uid")}};
    const std::string direction = reader.Text(drop, "direction");
    bool named = false;
    for (Direction each :
         {Direction::kIngress, Direction::kEgress, Direction::kSocketCreate,
          Direction::kConnect, Direction::kBind}) {
      if (direction == DirectionName(each)) {
        key.direction = each;
        named = true;
      }
    }
    if (!named) return invalid;
    for (const Json& reason : reader.List(drop, "reasons")) {
      const uint64_t number = reader.Number(reason, "number");
      if (number > 63) return invalid;
      key.reasons |= uint64_t{1} << number;
    }
    reading.drops[key] = {reader.Number(drop, "packets"),
                          reader.Number(drop, "bytes")};
  }
  if (!reader.ok()) return invalid;
  return reading;
}

absl::Status Subtract(const StatsReading& before, absl::string_view source,
                      StatsReading& now) {
  if (before.by != now.by) {
    return absl::InvalidArgumentError(absl::StrCat(
        source, ": it is by ", ByName(before.by), ", not by ", ByName(now.by)));
  }
  if (before.uid != now.uid) {
    return absl::InvalidArgumentError(absl::StrCat(
        source, ": it is of ",
        before.uid.has_value() ? absl::StrCat("uid ", ToInt(*before.uid))
                               : std::string("all uids"),
        ", not of ",
        now.uid.has_value() ? absl::StrCat("uid ", ToInt(*now.uid))
                            : std::string("all")));
  }
  if (before.life != now.life) {
    return absl::FailedPreconditionError(absl::StrCat(
        source,
        ": the counters began anew since (tables of another boot, or "
        "made after a detach)"));
  }
  const absl::Status later = absl::FailedPreconditionError(
      absl::StrCat(source, ": it counts more than there is now"));
  for (const auto& [subject, sum] : before.rows) {
    const auto it = now.rows.find(subject);
    if (it == now.rows.end() || !TakeSum(sum, it->second)) return later;
    if (IsZero(it->second)) now.rows.erase(it);
  }
  if (!TakeSum(before.overflow, now.overflow)) return later;
  for (const auto& [key, counts] : before.drops) {
    const auto it = now.drops.find(key);
    if (it == now.drops.end() || !TakeAway(counts.first, it->second.first) ||
        !TakeAway(counts.second, it->second.second)) {
      return later;
    }
    if (it->second.first == 0) now.drops.erase(it);
  }
  return absl::OkStatus();
}

}  // namespace netpolicy::cli
