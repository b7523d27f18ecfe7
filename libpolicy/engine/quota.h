// SPDX-License-Identifier: Apache-2.0
//
// Quotas: how much a UID, an interface or everything may transfer in a period
// (a limit), or how much before somebody is told (an alert).
//
//   QuotaDefinition quota;
//   quota.subject = QuotaSubject::OfUid(Uid{10007});
//   quota.limit = 5'000'000'000;                              // bytes
//   quota.period = {QuotaPeriod::Kind::kMonth, 1};
//   NP_ASSIGN_OR_RETURN(QuotaId id, engine->SetQuota(quota));
//
// The programs charge each packet that the policy lets pass to all quotas of
// the UID that it is charged to, of its interface and of everything, and refuse
// it, for the reason "quota", if that were too much for one of them: then it is
// charged to none. What passes never exceeds a limit. docs/quotas.md says what
// else holds.

#ifndef NETPOLICY_LIBPOLICY_ENGINE_QUOTA_H_
#define NETPOLICY_LIBPOLICY_ENGINE_QUOTA_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "libpolicy/model/ids.h"

namespace netpolicy {

// Names a quota as long as it exists, also after a reboot. From 1; never given
// out twice by one set of tables.
enum class QuotaId : uint32_t {};
constexpr uint32_t ToInt(QuotaId id) { return static_cast<uint32_t>(id); }

// Whose traffic counts.
struct QuotaSubject {
  enum class Kind : uint8_t { kUid, kInterface, kAll };

  static QuotaSubject OfUid(Uid uid) { return {Kind::kUid, uid, ""}; }
  static QuotaSubject OfInterface(absl::string_view name) {
    return {Kind::kInterface, Uid{}, std::string(name)};
  }
  static QuotaSubject OfAll() { return {Kind::kAll, Uid{}, ""}; }

  Kind kind = Kind::kAll;
  Uid uid{};              // kUid: that is charged (see TagSocket())
  std::string interface;  // kInterface: any interface of that name, in the
                          // network namespace that the engine was opened in

  friend bool operator==(const QuotaSubject&, const QuotaSubject&) = default;
};

// When what is used begins at nothing again.
struct QuotaPeriod {
  enum class Kind : uint8_t {
    kNone,   // never
    kHours,  // every `value` hours, 1 to 8784, from when it was set
    kDay,    // at midnight
    kMonth,  // at midnight on day `value`, 1 to 31, of the month; on its last
             // day when it has fewer
  };

  Kind kind = Kind::kNone;
  uint32_t value = 0;

  friend bool operator==(const QuotaPeriod&, const QuotaPeriod&) = default;
};

struct QuotaDefinition {
  enum class Kind : uint8_t { kLimit, kAlert };
  enum class Unit : uint8_t { kBytes, kPackets };  // on the wire, layer 3
  enum class Directions : uint8_t { kIn, kOut, kBoth };

  QuotaSubject subject = {};
  Kind kind = Kind::kLimit;
  Unit unit = Unit::kBytes;
  Directions directions = Directions::kBoth;
  QuotaPeriod period = {};
  uint64_t limit = 0;  // in the unit, for one period; 1 to 2^62. A limit may be
                       // 0: nothing passes.

  friend bool operator==(const QuotaDefinition&,
                         const QuotaDefinition&) = default;
};

struct Quota {
  QuotaId id{};
  QuotaDefinition definition;
  uint64_t used = 0;  // of the limit, in this period
  // Since it was set, whatever the periods.
  uint64_t packets = 0;
  uint64_t bytes = 0;
  uint64_t refused_packets = 0;  // because of it
  uint64_t refused_bytes = 0;
  absl::Time period_start;
  bool crossed = false;  // in this period: an alert was reached, a limit has
                         // refused something

  // Whether everything that counts is refused from now on.
  bool exhausted() const {
    return definition.kind == QuotaDefinition::Kind::kLimit &&
           used >= definition.limit;
  }
};

// That an alert was reached or a limit refused its first packet of a period.
struct QuotaCrossing {
  Quota quota;
  absl::Time time;
  uint64_t level = 0;  // names the crossing, with the quota's id
};

// What it is, in words:
//   limit of 5000000000 bytes a month from day 1 for uid 10007
//   alert at 1000 incoming packets for interface eth0
//   limit of 0 outgoing bytes every 24 hours for everything
std::string ToString(const QuotaDefinition& definition);

// When the period that `now` is in began. `start`: that of the one before, or
// absl::InfinitePast(). Of kHours without one: now. A pure function.
absl::Time QuotaPeriodStart(const QuotaPeriod& period, absl::Time start,
                            absl::Time now, absl::TimeZone zone);

// When the one after begins; absl::InfiniteFuture(): never.
absl::Time QuotaPeriodEnd(const QuotaPeriod& period, absl::Time start,
                          absl::TimeZone zone);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_ENGINE_QUOTA_H_
