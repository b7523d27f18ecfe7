// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/engine/quota_tables.h"

#include <ctime>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "bpf_progs/abi/quota.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/kernel/mapped_array.h"

namespace netpolicy {
namespace {

constexpr uint64_t kMaxLimit = uint64_t{1} << 62;
constexpr uint32_t kMaxHours = 8784;

static_assert(static_cast<uint32_t>(QuotaSubject::Kind::kUid) ==
              NP_QUOTA_OF_UID);
static_assert(static_cast<uint32_t>(QuotaSubject::Kind::kInterface) ==
              NP_QUOTA_OF_INTERFACE);
static_assert(static_cast<uint32_t>(QuotaSubject::Kind::kAll) ==
              NP_QUOTA_OF_ALL);
static_assert(static_cast<uint32_t>(QuotaPeriod::Kind::kHours) ==
              NP_QUOTA_PERIOD_HOURS);
static_assert(static_cast<uint32_t>(QuotaPeriod::Kind::kDay) ==
              NP_QUOTA_PERIOD_DAY);
static_assert(static_cast<uint32_t>(QuotaPeriod::Kind::kMonth) ==
              NP_QUOTA_PERIOD_MONTH);

absl::Status Check(const QuotaDefinition& definition) {
  const auto wrong = [](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat("set quota: ", what));
  };
  const QuotaSubject& subject = definition.subject;
  if (subject.kind == QuotaSubject::Kind::kUid &&
      ToInt(subject.uid) > ToInt(kMaxUid)) {
    return wrong(absl::StrCat(ToInt(subject.uid), " is no uid"));
  }
  if (subject.kind == QuotaSubject::Kind::kInterface &&
      (subject.interface.empty() ||
       subject.interface.size() >= sizeof(np_quota_key::name) ||
       absl::string_view(subject.interface)
               .find_first_of(absl::string_view("/ \0", 3)) !=
           absl::string_view::npos)) {
    return wrong(
        absl::StrCat("'", subject.interface, "' is no name of an interface"));
  }
  const QuotaPeriod& period = definition.period;
  switch (period.kind) {
    case QuotaPeriod::Kind::kNone:
    case QuotaPeriod::Kind::kDay:
      if (period.value != 0) return wrong("the period takes no number");
      break;
    case QuotaPeriod::Kind::kHours:
      if (period.value < 1 || period.value > kMaxHours) {
        return wrong(
            absl::StrCat(period.value, " hours, must be 1 to ", kMaxHours));
      }
      break;
    case QuotaPeriod::Kind::kMonth:
      if (period.value < 1 || period.value > 31) {
        return wrong(absl::StrCat("day ", period.value,
                                  " of the month, must be 1 to 31"));
      }
      break;
  }
  if (definition.limit > kMaxLimit) {
    return wrong(absl::StrCat(definition.limit, " is above ", kMaxLimit));
  }
  if (definition.limit == 0 &&
      definition.kind == QuotaDefinition::Kind::kAlert) {
    return wrong("an alert at 0");
  }
  return absl::OkStatus();
}

np_quota_key KeyOf(const QuotaSubject& subject) {
  np_quota_key key = {};
  key.subject = static_cast<uint32_t>(subject.kind);
  if (subject.kind == QuotaSubject::Kind::kUid) key.uid = ToInt(subject.uid);
  if (subject.kind == QuotaSubject::Kind::kInterface) {
    subject.interface.copy(key.name, sizeof(key.name) - 1);
  }
  return key;
}

uint32_t FlagsOf(const QuotaDefinition& definition) {
  using Directions = QuotaDefinition::Directions;
  uint32_t flags = 0;
  if (definition.directions != Directions::kOut) flags |= NP_QUOTA_INGRESS;
  if (definition.directions != Directions::kIn) flags |= NP_QUOTA_EGRESS;
  if (definition.unit == QuotaDefinition::Unit::kPackets) {
    flags |= NP_QUOTA_PACKETS;
  }
  if (definition.kind == QuotaDefinition::Kind::kAlert) flags |= NP_QUOTA_ALERT;
  return flags;
}

// What `charged` says without packets being judged, as far as can be told.
uint64_t Charged(const np_quota& quota) {
  return (quota.flags & NP_QUOTA_ALERT) != 0
             ? quota.charged
             : std::min<uint64_t>(quota.charged,
                                  std::max(quota.end, quota.base));
}

Quota FromTable(const np_quota& from) {
  using Directions = QuotaDefinition::Directions;
  Quota quota;
  quota.id = QuotaId{from.id};
  QuotaDefinition& definition = quota.definition;
  definition.subject.kind = static_cast<QuotaSubject::Kind>(from.key.subject);
  definition.subject.uid = Uid{from.key.uid};
  definition.subject.interface =
      std::string(from.key.name, strnlen(from.key.name, sizeof(from.key.name)));
  definition.kind = (from.flags & NP_QUOTA_ALERT) != 0
                        ? QuotaDefinition::Kind::kAlert
                        : QuotaDefinition::Kind::kLimit;
  definition.unit = (from.flags & NP_QUOTA_PACKETS) != 0
                        ? QuotaDefinition::Unit::kPackets
                        : QuotaDefinition::Unit::kBytes;
  definition.directions =
      (from.flags & NP_QUOTA_EGRESS) == 0
          ? Directions::kIn
          : ((from.flags & NP_QUOTA_INGRESS) == 0 ? Directions::kOut
                                                  : Directions::kBoth);
  definition.period.kind = static_cast<QuotaPeriod::Kind>(from.period);
  definition.period.value = from.period_value;
  definition.limit = from.limit;
  // A packet that was being judged when the period began may be part of base.
  const uint64_t charged = Charged(from);
  quota.used = charged > from.base ? charged - from.base : 0;
  quota.packets = from.packets;
  quota.bytes = from.bytes;
  quota.refused_packets = from.refused_packets;
  quota.refused_bytes = from.refused_bytes;
  quota.period_start = from.period_start == 0
                           ? absl::InfinitePast()
                           : absl::FromUnixSeconds(from.period_start);
  quota.crossed = from.crossed != 0 && from.crossed == from.end;
  return quota;
}

np_quota ToTable(const Quota& from) {
  np_quota quota = {};
  const QuotaDefinition& definition = from.definition;
  quota.id = ToInt(from.id);
  quota.flags = FlagsOf(definition);
  quota.limit = definition.limit;
  // From 1: 0 says that nothing was crossed.
  quota.base = 1;
  quota.end = quota.base + quota.limit;
  quota.charged = quota.base + from.used;
  quota.packets = from.packets;
  quota.bytes = from.bytes;
  quota.refused_packets = from.refused_packets;
  quota.refused_bytes = from.refused_bytes;
  if (from.crossed) quota.crossed = quota.told = quota.end;
  quota.period_start = from.period_start == absl::InfinitePast()
                           ? 0
                           : absl::ToUnixSeconds(from.period_start);
  quota.period = static_cast<uint32_t>(definition.period.kind);
  quota.period_value = definition.period.value;
  quota.key = KeyOf(definition.subject);
  return quota;
}

bool Names(uint64_t positions, uint32_t position) {
  for (int n = 0; n < NP_QUOTA_PER_SUBJECT; ++n) {
    if ((positions >> 16 * n & 0xffff) == position) return true;
  }
  return false;
}

// The word of a struct that `field` is in.
template <typename Field>
__u64& WordWith(Field& field) {
  return *reinterpret_cast<__u64*>(reinterpret_cast<uintptr_t>(&field) & ~7UL);
}
static_assert(offsetof(np_quota, id) == offsetof(np_quota, flags) + 4);

// The word of flags and id.
uint64_t NameWord(uint32_t flags, uint32_t id) {
  np_quota quota = {};
  quota.flags = flags;
  quota.id = id;
  return WordsOf(quota)[offsetof(np_quota, flags) / sizeof(__u64)];
}

absl::Time TimeOfBoot(absl::Time now) {
  timespec boot = {};
  clock_gettime(CLOCK_BOOTTIME, &boot);
  return now - absl::DurationFromTimespec(boot);
}

absl::StatusOr<uint64_t> SetOf(const Tables& tables, const np_quota_key& key) {
  np_quota_set set = {};
  NP_ASSIGN_OR_RETURN(const bool found,
                      tables.quota_sets.raw().Lookup(&key, &set, [&key] {
                        return absl::StrCat("subject ", key.subject);
                      }));
  return found ? uint64_t{set.positions} : 0;
}

// Positions of quotas in force.
absl::StatusOr<std::vector<uint32_t>> Positions(const Tables& tables) {
  std::vector<uint32_t> positions;
  for (uint32_t i = 1; i < NP_QUOTAS; ++i) {
    const np_quota quota = CopyWords(tables.quotas.array.at(i));
    if (quota.id == 0) continue;
    NP_ASSIGN_OR_RETURN(const uint64_t set, SetOf(tables, quota.key));
    if (Names(set, i)) positions.push_back(i);
  }
  return positions;
}

}  // namespace

bool HasQuotas(const Tables& tables) {
  return CopyWords(tables.quotas.array.at(0)).flags != 0;
}

absl::StatusOr<std::vector<Quota>> ReadQuotas(const Tables& tables) {
  NP_ASSIGN_OR_RETURN(const std::vector<uint32_t> positions, Positions(tables));
  std::vector<Quota> quotas;
  for (const uint32_t i : positions) {
    quotas.push_back(FromTable(CopyWords(tables.quotas.array.at(i))));
  }
  std::sort(quotas.begin(), quotas.end(),
            [](const Quota& a, const Quota& b) { return a.id < b.id; });
  return quotas;
}

absl::Status QuotaTables::StoreSet(const np_quota_key& key,
                                   uint64_t positions) {
  if (positions == 0) return writer_.Remove(tables_.quota_sets.raw(), &key);
  const np_quota_set set = {.positions = positions};
  return writer_.Set(tables_.quota_sets.raw(), &key, &set);
}

absl::StatusOr<uint32_t> QuotaTables::Find(absl::string_view operation,
                                           QuotaId id) const {
  NP_ASSIGN_OR_RETURN(const std::vector<uint32_t> positions,
                      Positions(tables_));
  for (const uint32_t position : positions) {
    if (CopyWords(at(position)).id == ToInt(id)) return position;
  }
  return absl::NotFoundError(
      absl::StrCat(operation, ": there is no quota ", ToInt(id)));
}

absl::Status QuotaTables::Repair() {
  NP_ASSIGN_OR_RETURN(const std::vector<uint32_t> positions,
                      Positions(tables_));
  bool fenced = false;
  for (uint32_t i = 1; i < NP_QUOTAS; ++i) {
    const np_quota quota = CopyWords(at(i));
    if (quota.id == 0) continue;
    if (std::binary_search(positions.begin(), positions.end(), i)) {
      if (quota.end != quota.base + quota.limit) {
        writer_.Publish(at(i).end, quota.base + quota.limit);
      }
      continue;
    }
    if (!fenced) NP_RETURN_IF_ERROR(writer_.Fence());
    fenced = true;
    writer_.Publish(WordWith(at(i).id), 0);
  }
  return absl::OkStatus();
}

absl::Status QuotaTables::Insert(const np_quota& quota, uint32_t last_id) {
  NP_ASSIGN_OR_RETURN(const uint64_t before, SetOf(tables_, quota.key));
  int n = 0;
  while (n < NP_QUOTA_PER_SUBJECT && (before >> 16 * n & 0xffff) != 0) ++n;
  if (n == NP_QUOTA_PER_SUBJECT) {
    return absl::ResourceExhaustedError(
        absl::StrCat("set quota: the subject has ", NP_QUOTA_PER_SUBJECT,
                     " already, which is the most"));
  }
  uint32_t position = 1;
  while (position < NP_QUOTAS && CopyWords(at(position)).id != 0) ++position;
  if (position == NP_QUOTAS) {
    return absl::ResourceExhaustedError(
        absl::StrCat("set quota: all ", NP_QUOTAS - 1, " quotas are in use"));
  }

  // Nobody reads the position yet. Whose it is comes last.
  np_quota& to = at(position);
  constexpr size_t kNameWord = offsetof(np_quota, flags) / sizeof(__u64);
  for (size_t i = 0; i < kWords<np_quota>; ++i) {
    if (i == kNameWord) continue;
    NP_RETURN_IF_ERROR(writer_.Store(WordsOf(to)[i], WordsOf(quota)[i]));
  }
  NP_RETURN_IF_ERROR(
      writer_.Store(WordsOf(to)[kNameWord], WordsOf(quota)[kNameWord]));
  const np_quota head = CopyWords(header());
  absl::Status status =
      writer_.Store(WordWith(header().id),
                    NameWord(head.flags | 1U << quota.key.subject, last_id));
  if (status.ok()) {
    status = StoreSet(quota.key, before | uint64_t{position} << 16 * n);
  }
  if (!status.ok()) {
    writer_.Publish(WordsOf(to)[kNameWord], 0);
    return status;
  }
  status = outdate_();
  // Sockets might go on uncharged: then it is not to be there at all. If that
  // fails too, whoever has the tables next sees a quota that works in part.
  if (!status.ok()) StoreSet(quota.key, before).IgnoreError();
  return status;
}

absl::StatusOr<QuotaId> QuotaTables::Set(const QuotaDefinition& definition,
                                         absl::Time period_start) {
  NP_RETURN_IF_ERROR(Check(definition));
  NP_RETURN_IF_ERROR(Repair());
  const np_quota_key key = KeyOf(definition.subject);
  NP_ASSIGN_OR_RETURN(const uint64_t set, SetOf(tables_, key));
  for (int n = 0; n < NP_QUOTA_PER_SUBJECT; ++n) {
    const uint32_t position = set >> 16 * n & 0xffff;
    if (position == 0 || position >= NP_QUOTAS) continue;
    np_quota& quota = at(position);
    const np_quota copy = CopyWords(quota);
    QuotaDefinition there = FromTable(copy).definition;
    there.limit = definition.limit;
    if (!(there == definition)) continue;
    // The same with another limit: one store.
    writer_.Publish(quota.limit, definition.limit);
    writer_.Publish(quota.end, copy.base + definition.limit);
    return QuotaId{copy.id};
  }
  Quota quota;
  quota.id = QuotaId{CopyWords(header()).id + 1};
  quota.definition = definition;
  quota.period_start = period_start;
  NP_RETURN_IF_ERROR(Insert(ToTable(quota), ToInt(quota.id)));
  return quota.id;
}

absl::Status QuotaTables::Remove(QuotaId id) {
  NP_RETURN_IF_ERROR(Repair());
  NP_ASSIGN_OR_RETURN(const uint32_t position, Find("remove quota", id));
  const np_quota quota = CopyWords(at(position));
  NP_ASSIGN_OR_RETURN(uint64_t set, SetOf(tables_, quota.key));
  for (int n = 0; n < NP_QUOTA_PER_SUBJECT; ++n) {
    if ((set >> 16 * n & 0xffff) == position) set &= ~(0xffffULL << 16 * n);
  }
  NP_RETURN_IF_ERROR(StoreSet(quota.key, set));

  // It is gone; what follows makes room, and can be done later.
  NP_ASSIGN_OR_RETURN(const std::vector<uint32_t> positions,
                      Positions(tables_));
  uint32_t kinds = 0;
  for (const uint32_t i : positions) {
    kinds |= 1U << CopyWords(at(i)).key.subject;
  }
  writer_.Publish(WordWith(header().id),
                  NameWord(kinds, CopyWords(header()).id));
  Repair().IgnoreError();
  return absl::OkStatus();
}

void QuotaTables::Restart(np_quota& quota) {
  const np_quota copy = CopyWords(quota);
  uint64_t base = Charged(copy);
  if (base == copy.base) {
    // Nothing was used. Each period has an end of its own, though, as the end
    // names the period's crossing.
    std::atomic_ref<__u64>(quota.charged).fetch_add(1);
    ++base;
  }
  writer_.Publish(quota.base, base);
  writer_.Publish(quota.end, base + copy.limit);
}

absl::Status QuotaTables::Reset(QuotaId id) {
  NP_RETURN_IF_ERROR(Repair());
  NP_ASSIGN_OR_RETURN(const uint32_t position, Find("reset quota", id));
  Restart(at(position));
  return absl::OkStatus();
}

absl::StatusOr<int> QuotaTables::Restore(absl::Span<const Quota> quotas) {
  NP_RETURN_IF_ERROR(Repair());
  if (CopyWords(header()).id != 0) return 0;
  for (const Quota& quota : quotas) NP_RETURN_IF_ERROR(Check(quota.definition));
  int restored = 0;
  uint32_t last_id = 0;
  for (const Quota& quota : quotas) {
    last_id = std::max(last_id, ToInt(quota.id));
    // Somebody may have died over this before.
    if (Find("restore quotas", quota.id).ok()) continue;
    NP_RETURN_IF_ERROR(Insert(ToTable(quota), 0));
    ++restored;
  }
  // Last: that says that all are there.
  writer_.Publish(WordWith(header().id),
                  NameWord(CopyWords(header()).flags, last_id));
  return restored;
}

absl::StatusOr<absl::Time> QuotaTables::RestartPeriods(absl::Time now,
                                                       absl::TimeZone zone) {
  NP_RETURN_IF_ERROR(Repair());
  NP_ASSIGN_OR_RETURN(const std::vector<uint32_t> positions,
                      Positions(tables_));
  absl::Time next = absl::InfiniteFuture();
  for (const uint32_t i : positions) {
    np_quota& quota = at(i);
    const Quota copy = FromTable(CopyWords(quota));
    const QuotaPeriod& period = copy.definition.period;
    const absl::Time start =
        QuotaPeriodStart(period, copy.period_start, now, zone);
    if (start != copy.period_start) {
      // A clock that was set back gives nothing away; the period is then that
      // of the new time, lest a wrong date far ahead hold for years.
      if (start > copy.period_start &&
          copy.period_start != absl::InfinitePast()) {
        Restart(quota);
      }
      writer_.Publish(WordWith(quota.period_start),
                      static_cast<uint64_t>(absl::ToUnixSeconds(start)));
    }
    next = std::min(next, QuotaPeriodEnd(period, start, zone));
  }
  return next;
}

absl::StatusOr<std::vector<QuotaCrossing>> QuotaTables::Crossings(
    absl::Time now) {
  NP_ASSIGN_OR_RETURN(const std::vector<uint32_t> positions,
                      Positions(tables_));
  std::vector<QuotaCrossing> crossings;
  for (const uint32_t i : positions) {
    const np_quota quota = CopyWords(at(i));
    if (quota.crossed == 0 || quota.crossed == quota.told) continue;
    crossings.push_back(
        {.quota = FromTable(quota),
         .time = TimeOfBoot(now) +
                 absl::Nanoseconds(static_cast<int64_t>(quota.crossed_ns)),
         .level = quota.crossed});
  }
  return crossings;
}

absl::Status QuotaTables::AcknowledgeCrossing(QuotaId id, uint64_t level) {
  NP_ASSIGN_OR_RETURN(const uint32_t position,
                      Find("acknowledge crossing", id));
  writer_.Publish(at(position).told, level);
  return absl::OkStatus();
}

}  // namespace netpolicy
