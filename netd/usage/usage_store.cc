// SPDX-License-Identifier: Apache-2.0

#include "netd/usage/usage_store.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <tuple>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/kernel/errno_status.h"

namespace netpolicy {
namespace {

constexpr int64_t kHour = 3600;
constexpr int64_t kDay = 24 * kHour;
// Growth over a longer time is not spread, but put at its end.
constexpr int64_t kLongestSpread = 2 * kDay;
// The clock of the day was set when it went this much otherwise than the
// machine's; less is slewing and rounding.
constexpr int64_t kClockTolerance = 5;

// "NpUs", so that file(1) and we know what it is.
constexpr int64_t kApplicationId = 0x4e705573;

// What makes version N + 1 of version N. Never changed, only added to.
constexpr const char* kMigrations[] = {
    "CREATE TABLE interface(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE bucket(period INTEGER, start INTEGER, uid INTEGER,"
    " tag INTEGER, counter_set INTEGER, interface INTEGER,"
    " rx_packets INTEGER NOT NULL, rx_bytes INTEGER NOT NULL,"
    " tx_packets INTEGER NOT NULL, tx_bytes INTEGER NOT NULL,"
    " PRIMARY KEY(period, start, uid, tag, counter_set, interface))"
    " WITHOUT ROWID;"
    "CREATE TABLE reading(uid INTEGER, tag INTEGER, counter_set INTEGER,"
    " ifindex INTEGER, interface INTEGER NOT NULL,"
    " rx_packets INTEGER NOT NULL, rx_bytes INTEGER NOT NULL,"
    " tx_packets INTEGER NOT NULL, tx_bytes INTEGER NOT NULL,"
    " PRIMARY KEY(uid, tag, counter_set, ifindex)) WITHOUT ROWID;"
    "CREATE TABLE state(name TEXT PRIMARY KEY, value TEXT NOT NULL)"
    " WITHOUT ROWID;",

    "ALTER TABLE bucket ADD COLUMN flags INTEGER NOT NULL DEFAULT 0;",
};
static_assert(sizeof(kMigrations) / sizeof(kMigrations[0]) ==
              kUsageSchemaVersion);

// A counter that went back was made anew, and all of it counts.
UsageCounters Growth(const UsageCounters& before, const UsageCounters& now) {
  if (now.rx_packets < before.rx_packets || now.rx_bytes < before.rx_bytes ||
      now.tx_packets < before.tx_packets || now.tx_bytes < before.tx_bytes) {
    return now;
  }
  return {now.rx_packets - before.rx_packets, now.rx_bytes - before.rx_bytes,
          now.tx_packets - before.tx_packets, now.tx_bytes - before.tx_bytes};
}

// `part` of `whole` of the counters, rounded down.
UsageCounters Share(const UsageCounters& all, int64_t part, int64_t whole) {
  const auto share = [&](uint64_t n) {
    return static_cast<uint64_t>(static_cast<unsigned __int128>(n) *
                                 static_cast<uint64_t>(part) /
                                 static_cast<uint64_t>(whole));
  };
  return {share(all.rx_packets), share(all.rx_bytes), share(all.tx_packets),
          share(all.tx_bytes)};
}

UsageCounters CountersAt(const SqliteStatement& row, int column) {
  const auto at = [&](int i) {
    return static_cast<uint64_t>(row.Int(column + i));
  };
  return {at(0), at(1), at(2), at(3)};
}

int64_t FloorTo(int64_t time, int64_t unit) {
  const int64_t rest = time % unit;
  return time - (rest < 0 ? rest + unit : rest);
}

// SQLite knows signed numbers only.
int64_t Signed(uint64_t n) { return static_cast<int64_t>(n); }

// Moves the file and its journals aside; returns where.
absl::StatusOr<std::string> MoveAside(const std::string& path) {
  std::string target = absl::StrCat(path, ".damaged");
  for (int i = 1; access(target.c_str(), F_OK) == 0; ++i) {
    target = absl::StrCat(path, ".damaged.", i);
  }
  if (rename(path.c_str(), target.c_str()) != 0) {
    return StatusFromErrno(errno, absl::StrCat("rename ", path));
  }
  for (const char* suffix : {"-wal", "-shm"}) {
    if (rename(absl::StrCat(path, suffix).c_str(),
               absl::StrCat(target, suffix).c_str()) != 0 &&
        errno != ENOENT) {
      return StatusFromErrno(errno, absl::StrCat("rename ", path, suffix));
    }
  }
  return target;
}

}  // namespace

absl::StatusOr<std::unique_ptr<UsageStore>> UsageStore::Open(
    const std::string& path, const UsageStoreOptions& options) {
  std::unique_ptr<UsageStore> store(new UsageStore(path, options));
  absl::Status status = store->OpenFile();
  if (absl::IsDataLoss(status)) {
    store->add_ = {};
    store->put_reading_ = {};
    store->db_.reset();
    NP_ASSIGN_OR_RETURN(const std::string aside, MoveAside(path));
    store->damage_ = absl::StrCat(status.message(), "; moved to ", aside);
    status = store->OpenFile();
  }
  NP_RETURN_IF_ERROR(status);
  return store;
}

absl::Status UsageStore::OpenFile() {
  struct stat before = {};
  const bool was_there = stat(path_.c_str(), &before) == 0;
  // SQLite takes less than its smallest page for a new file.
  if (was_there && before.st_size > 0 && before.st_size < 512) {
    return absl::DataLossError(absl::StrCat("usage history ", path_,
                                            ": cut off at ",
                                            int64_t{before.st_size}, " bytes"));
  }
  NP_ASSIGN_OR_RETURN(SqliteDatabase db, SqliteDatabase::Open(path_));
  db_ = std::move(db);
  // FULL: a commit is on the disk when it returns.
  NP_RETURN_IF_ERROR(
      db_->Execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                   "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;"));
  NP_ASSIGN_OR_RETURN(const int64_t version,
                      db_->Number("PRAGMA user_version"));
  if (version > kUsageSchemaVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        "usage history ", path_, ": version ", version,
        ", of a later netd; this one knows up to ", kUsageSchemaVersion));
  }
  if (was_there && before.st_size == 0) {
    damage_ = absl::StrCat("usage history ", path_, ": the file was empty");
  }
  // A new file has its version from its first transaction on; an empty one can
  // be what a kill before it left.
  if (was_there && before.st_size > 0 && version == 0) {
    NP_ASSIGN_OR_RETURN(const int64_t tables,
                        db_->Number("SELECT count(*) FROM sqlite_schema"));
    if (tables > 0 || before.st_size > 4096) {
      return absl::DataLossError(
          absl::StrCat("usage history ", path_, ": no such history"));
    }
  }
  if (version > 0) {
    NP_ASSIGN_OR_RETURN(SqliteStatement check,
                        db_->Prepare("PRAGMA quick_check(1)"));
    NP_ASSIGN_OR_RETURN(const bool row, check.Step());
    if (!row || check.Text(0) != "ok") {
      return absl::DataLossError(
          absl::StrCat("usage history ", path_, ": ", check.Text(0)));
    }
    NP_ASSIGN_OR_RETURN(const int64_t id, db_->Number("PRAGMA application_id"));
    if (id != kApplicationId) {
      return absl::DataLossError(
          absl::StrCat("usage history ", path_, ": of another program"));
    }
  }
  NP_RETURN_IF_ERROR(Migrate());
  NP_ASSIGN_OR_RETURN(
      add_, db_->Prepare(
                "INSERT INTO bucket VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)"
                " ON CONFLICT DO UPDATE SET rx_packets=rx_packets+?7,"
                " rx_bytes=rx_bytes+?8, tx_packets=tx_packets+?9,"
                " tx_bytes=tx_bytes+?10, flags=flags|?11"));
  NP_ASSIGN_OR_RETURN(put_reading_,
                      db_->Prepare("INSERT OR REPLACE INTO reading"
                                   " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)"));
  return LoadReadings();
}

template <typename Body>
absl::Status UsageStore::InTransaction(Body body) {
  NP_RETURN_IF_ERROR(db_->Execute("BEGIN IMMEDIATE"));
  absl::Status status = body();
  if (status.ok()) status = db_->Execute("COMMIT");
  if (!status.ok()) {
    // An error may have ended the transaction already.
    db_->Execute("ROLLBACK").IgnoreError();
    loaded_ = false;
  }
  return status;
}

absl::Status UsageStore::Migrate() {
  NP_ASSIGN_OR_RETURN(const int64_t version,
                      db_->Number("PRAGMA user_version"));
  if (version == kUsageSchemaVersion) return absl::OkStatus();
  return InTransaction([&] {
    for (int64_t v = version; v < kUsageSchemaVersion; ++v) {
      NP_RETURN_IF_ERROR(db_->Execute(kMigrations[v]));
    }
    return db_->Execute(
        absl::StrCat("PRAGMA application_id=", kApplicationId,
                     "; PRAGMA user_version=", kUsageSchemaVersion)
            .c_str());
  });
}

absl::StatusOr<std::string> UsageStore::State(const char* name) {
  NP_ASSIGN_OR_RETURN(SqliteStatement get,
                      db_->Prepare("SELECT value FROM state WHERE name=?1"));
  get.BindText(1, name);
  NP_ASSIGN_OR_RETURN(const bool row, get.Step());
  return row ? get.Text(0) : std::string();
}

absl::Status UsageStore::SetState(const char* name, absl::string_view value) {
  NP_ASSIGN_OR_RETURN(
      SqliteStatement put,
      db_->Prepare("INSERT OR REPLACE INTO state VALUES(?1,?2)"));
  put.BindText(1, name);
  put.BindText(2, value);
  return put.Run();
}

absl::Status UsageStore::LoadReadings() {
  loaded_ = false;
  readings_.clear();
  interface_ids_.clear();
  last_.reset();
  std::map<int64_t, std::string> names;
  NP_ASSIGN_OR_RETURN(SqliteStatement interfaces,
                      db_->Prepare("SELECT id, name FROM interface"));
  for (;;) {
    NP_ASSIGN_OR_RETURN(const bool row, interfaces.Step());
    if (!row) break;
    names[interfaces.Int(0)] = interfaces.Text(1);
    interface_ids_[interfaces.Text(1)] = interfaces.Int(0);
  }
  NP_ASSIGN_OR_RETURN(
      SqliteStatement rows,
      db_->Prepare("SELECT uid, tag, counter_set, ifindex, interface,"
                   " rx_packets, rx_bytes, tx_packets, tx_bytes FROM reading"));
  for (;;) {
    NP_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) break;
    const auto at = [&](int i) { return static_cast<uint32_t>(rows.Int(i)); };
    readings_[RowId{at(0), at(1), at(2), at(3)}] = {names[rows.Int(4)],
                                                    CountersAt(rows, 5)};
  }
  NP_ASSIGN_OR_RETURN(life_, State("life"));
  UsageClock clock;
  NP_ASSIGN_OR_RETURN(clock.boot, State("boot"));
  NP_ASSIGN_OR_RETURN(const std::string wall, State("wall"));
  NP_ASSIGN_OR_RETURN(const std::string uptime, State("uptime"));
  if (absl::SimpleAtoi(wall, &clock.wall) &&
      absl::SimpleAtoi(uptime, &clock.uptime)) {
    last_ = clock;
  }
  loaded_ = true;
  return absl::OkStatus();
}

absl::StatusOr<int64_t> UsageStore::InterfaceId(const std::string& name) {
  const auto known = interface_ids_.find(name);
  if (known != interface_ids_.end()) return known->second;
  NP_ASSIGN_OR_RETURN(
      SqliteStatement put,
      db_->Prepare("INSERT INTO interface(name) VALUES(?1) RETURNING id"));
  put.BindText(1, name);
  NP_ASSIGN_OR_RETURN(const bool row, put.Step());
  if (!row) return absl::InternalError("usage history: no id of an interface");
  const int64_t id = put.Int(0);
  NP_RETURN_IF_ERROR(put.Run());
  interface_ids_[name] = id;
  return id;
}

UsageStore::Span UsageStore::SpanOf(const UsageClock& clock) const {
  if (!last_.has_value()) return {clock.wall, clock.wall, 0};
  // How long it was is what the machine's clock says; where that is in the day,
  // what the clock of the day says now.
  const bool same_boot = clock.boot == last_->boot;
  const int64_t by_wall = clock.wall - last_->wall;
  int64_t elapsed = clock.uptime;
  uint32_t flags = 0;
  if (same_boot) {
    elapsed = std::max<int64_t>(0, clock.uptime - last_->uptime);
    if (std::abs(by_wall - elapsed) > kClockTolerance) flags = kUsageClockSet;
  } else if (by_wall < 0) {
    flags = kUsageClockSet;
  } else {
    elapsed = std::min(elapsed, by_wall);
  }
  if (elapsed > kHour) flags |= kUsageEstimated;
  if (elapsed > kLongestSpread) elapsed = 0;
  return {clock.wall - elapsed, clock.wall, flags};
}

absl::Status UsageStore::AddToBucket(UsagePeriod period, int64_t start,
                                     uint32_t uid, uint32_t tag,
                                     uint32_t counter_set, int64_t interface,
                                     const UsageCounters& counters,
                                     uint32_t flags) {
  add_.Bind({static_cast<int64_t>(period), start, uid, tag, counter_set,
             interface, Signed(counters.rx_packets), Signed(counters.rx_bytes),
             Signed(counters.tx_packets), Signed(counters.tx_bytes), flags});
  return add_.Run();
}

absl::Status UsageStore::AddGrowth(const UsageKey& key,
                                   const UsageCounters& growth,
                                   const Span& span) {
  NP_ASSIGN_OR_RETURN(const int64_t interface, InterfaceId(key.interface));
  const int64_t length = span.until - span.from;
  UsageCounters given;
  for (int64_t begin = span.from;;) {
    const int64_t start = FloorTo(begin, kHour);
    const int64_t end = std::min(start + kHour, span.until);
    const bool last = end >= span.until;
    const UsageCounters upto =
        last ? growth : Share(growth, end - span.from, length);
    const UsageCounters part = Growth(given, upto);
    given = upto;
    if (!part.empty()) {
      NP_RETURN_IF_ERROR(AddToBucket(UsagePeriod::kHour, start, key.uid,
                                     key.tag, key.counter_set, interface, part,
                                     span.flags));
    }
    if (last) return absl::OkStatus();
    begin = end;
  }
}

absl::Status UsageStore::WriteAll(const std::string& life,
                                  const UsageClock& clock,
                                  const std::vector<UsageReading>& readings,
                                  std::map<RowId, Known>& changed) {
  const bool same_life = life == life_;
  if (!same_life) {
    NP_RETURN_IF_ERROR(db_->Execute("DELETE FROM reading"));
    NP_RETURN_IF_ERROR(SetState("life", life));
  }
  const Span span = SpanOf(clock);
  for (const UsageReading& reading : readings) {
    UsageKey key = reading.key;
    const RowId id{key.uid, key.tag, key.counter_set, reading.ifindex};
    const auto known = readings_.find(id);
    const bool was_known = same_life && known != readings_.end();
    const UsageCounters before =
        was_known ? known->second.counters : UsageCounters{};
    const UsageCounters growth = Growth(before, reading.counters);
    if (growth.empty()) continue;
    if (key.interface.empty()) {
      key.interface =
          was_known ? known->second.interface : absl::StrCat("if", reading.ifindex);
    }
    NP_RETURN_IF_ERROR(AddGrowth(key, growth, span));
    const UsageCounters& now = reading.counters;
    put_reading_.Bind({id.uid, id.tag, id.counter_set, id.ifindex,
                       interface_ids_[key.interface], Signed(now.rx_packets),
                       Signed(now.rx_bytes), Signed(now.tx_packets),
                       Signed(now.tx_bytes)});
    NP_RETURN_IF_ERROR(put_reading_.Run());
    changed[id] = {key.interface, now};
  }
  NP_RETURN_IF_ERROR(SetState("boot", clock.boot));
  NP_RETURN_IF_ERROR(SetState("wall", absl::StrCat(clock.wall)));
  return SetState("uptime", absl::StrCat(clock.uptime));
}

absl::Status UsageStore::Add(const std::string& life, const UsageClock& clock,
                             const std::vector<UsageReading>& readings) {
  if (!loaded_) NP_RETURN_IF_ERROR(LoadReadings());
  const bool clock_set = (SpanOf(clock).flags & kUsageClockSet) != 0;
  std::map<RowId, Known> changed;
  NP_RETURN_IF_ERROR(
      InTransaction([&] { return WriteAll(life, clock, readings, changed); }));
  if (life != life_) readings_.clear();
  life_ = life;
  last_ = clock;
  for (auto& [id, known] : changed) readings_[id] = std::move(known);

  // A clock that was just set may be set back; old buckets can wait.
  if (clock_set) trusted_uptime_ = clock.uptime + kDay;
  const int64_t hour = FloorTo(clock.wall, kHour);
  if (hour == retained_hour_ || clock.uptime < trusted_uptime_) {
    return absl::OkStatus();
  }
  NP_RETURN_IF_ERROR(InTransaction([&] { return Retain(clock.wall); }));
  retained_hour_ = hour;
  return absl::OkStatus();
}

int64_t UsageStore::StartOf(UsagePeriod period, int64_t time) const {
  if (period == UsagePeriod::kHour) return FloorTo(time, kHour);
  const absl::CivilSecond at =
      absl::ToCivilSecond(absl::FromUnixSeconds(time), options_.zone);
  const absl::Time start =
      period == UsagePeriod::kDay
          ? absl::FromCivil(absl::CivilDay(at), options_.zone)
          : absl::FromCivil(absl::CivilMonth(at), options_.zone);
  return absl::ToUnixSeconds(start);
}

absl::Status UsageStore::RollUp(UsagePeriod from, UsagePeriod to,
                                int64_t before) {
  NP_ASSIGN_OR_RETURN(
      SqliteStatement old,
      db_->Prepare("SELECT start, uid, tag, counter_set, interface,"
                   " rx_packets, rx_bytes, tx_packets, tx_bytes, flags"
                   " FROM bucket WHERE period=?1 AND start<?2"));
  old.Bind({static_cast<int64_t>(from), before});
  for (;;) {
    NP_ASSIGN_OR_RETURN(const bool row, old.Step());
    if (!row) break;
    const auto at = [&](int i) { return static_cast<uint32_t>(old.Int(i)); };
    NP_RETURN_IF_ERROR(AddToBucket(to, StartOf(to, old.Int(0)), at(1), at(2),
                                   at(3), old.Int(4), CountersAt(old, 5),
                                   at(9)));
  }
  NP_ASSIGN_OR_RETURN(
      SqliteStatement remove,
      db_->Prepare("DELETE FROM bucket WHERE period=?1 AND start<?2"));
  remove.Bind({static_cast<int64_t>(from), before});
  return remove.Run();
}

absl::Status UsageStore::Retain(int64_t now) {
  // Whole days and months only, so that none is there in two periods.
  if (options_.hours_kept_days > 0) {
    NP_RETURN_IF_ERROR(RollUp(
        UsagePeriod::kHour, UsagePeriod::kDay,
        StartOf(UsagePeriod::kDay, now - options_.hours_kept_days * kDay)));
  }
  if (options_.days_kept_days > 0) {
    NP_RETURN_IF_ERROR(RollUp(
        UsagePeriod::kDay, UsagePeriod::kMonth,
        StartOf(UsagePeriod::kMonth, now - options_.days_kept_days * kDay)));
  }
  if (options_.months_kept_days == 0) return absl::OkStatus();
  NP_ASSIGN_OR_RETURN(
      SqliteStatement remove,
      db_->Prepare("DELETE FROM bucket WHERE period=2 AND start<?1"));
  remove.Bind(
      {StartOf(UsagePeriod::kMonth, now - options_.months_kept_days * kDay)});
  return remove.Run();
}

absl::StatusOr<std::vector<UsageRow>> UsageStore::Query(
    const UsageQuery& query) {
  std::string sql =
      "SELECT start, uid, tag, counter_set, name, rx_packets, rx_bytes,"
      " tx_packets, tx_bytes, flags FROM bucket JOIN interface"
      " ON interface.id=bucket.interface WHERE start>=?1 AND start<?2";
  if (query.uid.has_value()) absl::StrAppend(&sql, " AND uid=", *query.uid);
  if (query.tag.has_value()) absl::StrAppend(&sql, " AND tag=", *query.tag);
  if (query.counter_set.has_value()) {
    absl::StrAppend(&sql, " AND counter_set=", *query.counter_set);
  }
  if (query.interface.has_value()) absl::StrAppend(&sql, " AND name=?3");
  NP_ASSIGN_OR_RETURN(SqliteStatement select, db_->Prepare(sql));
  select.Bind(
      {query.since.value_or(INT64_MIN), query.until.value_or(INT64_MAX)});
  if (query.interface.has_value()) select.BindText(3, *query.interface);

  std::map<std::tuple<int64_t, UsageKey>, UsageRow> sums;
  int64_t first = INT64_MAX;
  for (;;) {
    NP_ASSIGN_OR_RETURN(const bool found, select.Step());
    if (!found) break;
    const auto at = [&](int i) { return static_cast<uint32_t>(select.Int(i)); };
    UsageRow row;
    first = std::min(first, select.Int(0));
    if (query.bucket != UsagePeriod::kTotal) {
      row.start = StartOf(query.bucket, select.Int(0));
    }
    if (query.by_uid) row.key.uid = at(1);
    if (query.by_tag) row.key.tag = at(2);
    if (query.by_counter_set) row.key.counter_set = at(3);
    if (query.by_interface) row.key.interface = select.Text(4);
    UsageRow& sum = sums.try_emplace({row.start, row.key}, row).first->second;
    sum.counters += CountersAt(select, 5);
    sum.flags |= at(9);
    if (sums.size() > kMaxUsageRows) {
      return absl::ResourceExhaustedError(
          absl::StrCat("read usage history: more than ", kMaxUsageRows,
                       " rows; ask for less time, longer buckets or one UID"));
    }
  }
  std::vector<UsageRow> rows;
  rows.reserve(sums.size());
  for (auto& [key, row] : sums) {
    if (query.bucket == UsagePeriod::kTotal) row.start = first;
    rows.push_back(std::move(row));
  }
  return rows;
}

absl::Status UsageStore::Forget(uint32_t uid) {
  return InTransaction([&]() -> absl::Status {
    NP_ASSIGN_OR_RETURN(SqliteStatement remove,
                        db_->Prepare("DELETE FROM bucket WHERE uid=?1"));
    remove.Bind({uid});
    return remove.Run();
  });
}

absl::StatusOr<int64_t> UsageStore::FileBytes() {
  NP_ASSIGN_OR_RETURN(const int64_t pages, db_->Number("PRAGMA page_count"));
  NP_ASSIGN_OR_RETURN(const int64_t size, db_->Number("PRAGMA page_size"));
  return pages * size;
}

}  // namespace netpolicy
