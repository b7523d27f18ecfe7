// SPDX-License-Identifier: Apache-2.0

#include "netd/usage/usage_store.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <random>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/scratch_dir.h"
#include "libpolicy/testing/status_matchers.h"
#include "netd/usage/sqlite.h"

namespace netpolicy {
namespace {

using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::ScratchDir;
using ::testing::HasSubstr;

constexpr int64_t kHour = 3600;
constexpr int64_t kDay = 24 * kHour;
// 2026-11-26T10:00:00Z
constexpr int64_t kTen = 1795687200;

UsageReading Row(uint32_t uid, uint64_t bytes, const std::string& name = "eth0",
                 uint32_t ifindex = 2) {
  return {
      ifindex, {uid, 0, 0, name}, {bytes / 100, bytes, bytes / 50, 2 * bytes}};
}

class UsageStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<ScratchDir> dir = ScratchDir::Create();
    ASSERT_THAT(dir, IsOk());
    dir_ = std::make_unique<ScratchDir>(*std::move(dir));
    Reopen();
  }
  std::string Path() const { return dir_->File("usage.db"); }
  void Reopen(const UsageStoreOptions& options = {}) {
    store_.reset();
    absl::StatusOr<std::unique_ptr<UsageStore>> store =
        UsageStore::Open(Path(), options);
    ASSERT_THAT(store, IsOk());
    store_ = *std::move(store);
  }
  void Add(int64_t wall, int64_t uptime, std::vector<UsageReading> rows,
           const std::string& life = "a", const std::string& boot = "b") {
    ASSERT_THAT(store_->Add(life, {wall, uptime, boot}, rows), IsOk());
  }
  std::vector<UsageRow> Query(UsagePeriod bucket,
                              absl::optional<uint32_t> uid = {}) {
    UsageQuery query;
    query.bucket = bucket;
    query.uid = uid;
    absl::StatusOr<std::vector<UsageRow>> rows = store_->Query(query);
    EXPECT_THAT(rows, IsOk());
    return rows.ok() ? *rows : std::vector<UsageRow>();
  }
  uint64_t Total(absl::optional<uint32_t> uid = {}) {
    uint64_t sum = 0;
    for (const UsageRow& row : Query(UsagePeriod::kTotal, uid)) {
      sum += row.counters.rx_bytes;
    }
    return sum;
  }

  std::unique_ptr<ScratchDir> dir_;
  std::unique_ptr<UsageStore> store_;
};

TEST_F(UsageStoreTest, StoresWhatCountersGrewBy) {
  Add(kTen + 60, 1000, {Row(7, 1000)});
  Add(kTen + 120, 1060, {Row(7, 1500), Row(8, 200)});
  Add(kTen + 180, 1120, {Row(7, 1500), Row(8, 200)});
  EXPECT_EQ(Total(7), 1500u);
  EXPECT_EQ(Total(8), 200u);
  const std::vector<UsageRow> rows = Query(UsagePeriod::kHour, 7);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].start, kTen);
  EXPECT_EQ(rows[0].key.interface, "eth0");
  EXPECT_EQ(rows[0].counters, (UsageCounters{15, 1500, 30, 3000}));
  EXPECT_EQ(rows[0].flags, 0u);
}

TEST_F(UsageStoreTest, RestartingNeitherLosesNorDoubles) {
  Add(kTen, 1000, {Row(7, 1000)});
  Reopen();
  Add(kTen + 60, 1060, {Row(7, 1700)});
  EXPECT_EQ(Total(), 1700u);
}

TEST_F(UsageStoreTest, NewTablesCountFromZero) {
  Add(kTen, 1000, {Row(7, 1000)}, "a");
  Add(kTen + 60, 1060, {Row(7, 1200)}, "other");
  Reopen();
  Add(kTen + 120, 1120, {Row(7, 1300)}, "other");
  EXPECT_EQ(Total(), 1000u + 1300u);
}

TEST_F(UsageStoreTest, AnInterfaceThatIsGoneKeepsItsName) {
  Add(kTen, 1000, {Row(7, 1000, "wwan0", 9)});
  Add(kTen + 60, 1060, {Row(7, 1100, "", 9), Row(7, 50, "", 11)});
  UsageQuery query;
  query.interface = "wwan0";
  const auto rows = store_->Query(query);
  ASSERT_THAT(rows, IsOk());
  ASSERT_EQ(rows->size(), 1u);
  EXPECT_EQ((*rows)[0].counters.rx_bytes, 1100u);
  query.interface = "if11";
  ASSERT_THAT(store_->Query(query), IsOk());
  EXPECT_EQ(store_->Query(query)->size(), 1u);
}

TEST_F(UsageStoreTest, WhatAClockSaysDecidesWhereGrowthBelongs) {
  struct Case {
    const char* name;
    int64_t wall, uptime;
    const char* boot;
    std::vector<std::pair<int64_t, uint64_t>> buckets;  // hour, bytes
    uint32_t flags;
  };
  // Before: 100 bytes at kTen + 50 minutes, uptime 10000.
  const Case kCases[] = {
      {"within the hour", kTen + 3300, 10300, "b", {{kTen, 1100}}, 0},
      {"over the hour's end",
       kTen + 3900,
       10900,
       "b",
       {{kTen, 100 + 666}, {kTen + kHour, 334}},
       0},
      {"nobody looked for two hours",
       kTen + 3000 + 7200,
       17200,
       "b",
       {{kTen, 100 + 83}, {kTen + kHour, 500}, {kTen + 2 * kHour, 417}},
       kUsageEstimated},
      {"the clock was set back a day",
       kTen + 3060 - kDay,
       10060,
       "b",
       {{kTen - kDay, 1000}, {kTen, 100}},
       kUsageClockSet},
      {"the clock was set forward a year",
       kTen + 3060 + 365 * kDay,
       10060,
       "b",
       {{kTen, 100}, {kTen + 365 * kDay, 1000}},
       kUsageClockSet},
      {"after another start of the machine",
       kTen + 3600 + 60,
       120,
       "c",
       {{kTen, 100 + 500}, {kTen + kHour, 500}},
       0},
      {"nobody looked for a week",
       kTen + 7 * kDay,
       10000 + 7 * kDay - 3000,
       "b",
       {{kTen, 100}, {kTen + 7 * kDay, 1000}},
       kUsageEstimated},
  };
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    store_.reset();
    std::filesystem::remove(Path());
    Reopen();
    Add(kTen + 3000, 10000, {Row(7, 100)});
    Add(c.wall, c.uptime, {Row(7, 1100)}, "a", c.boot);
    const std::vector<UsageRow> rows = Query(UsagePeriod::kHour);
    ASSERT_EQ(rows.size(), c.buckets.size());
    uint32_t flags = 0;
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(rows[i].start, c.buckets[i].first);
      EXPECT_EQ(rows[i].counters.rx_bytes, c.buckets[i].second);
      flags |= rows[i].flags;
    }
    EXPECT_EQ(flags, c.flags);
    EXPECT_EQ(Total(), 1100u);
  }
}

TEST_F(UsageStoreTest, OldHoursBecomeDaysAndMonthsOfTheSameSum) {
  UsageStoreOptions options;
  options.hours_kept_days = 2;
  options.days_kept_days = 40;
  ASSERT_TRUE(absl::LoadTimeZone("Europe/Vienna", &options.zone));
  Reopen(options);
  uint64_t bytes = 0;
  // 100 days, over a change to summer time and back.
  for (int64_t hour = 0; hour < 100 * 24; ++hour) {
    bytes += 1000 + static_cast<uint64_t>(hour);
    Add(kTen - 60 * kDay + hour * kHour, 1000 + hour * kHour, {Row(7, bytes)});
  }
  EXPECT_EQ(Total(), bytes);
  uint64_t by_month = 0;
  for (const UsageRow& row : Query(UsagePeriod::kMonth)) {
    by_month += row.counters.rx_bytes;
  }
  EXPECT_EQ(by_month, bytes);
  // At most three days of hours, 71 days, and the months before.
  EXPECT_LE(Query(UsagePeriod::kHour).size(), 3 * 24 + 71 + 3u);
  EXPECT_GE(Query(UsagePeriod::kHour).size(), 2 * 24 + 38u);
}

TEST_F(UsageStoreTest, AWrongClockRollsNothingUp) {
  UsageStoreOptions options;
  options.hours_kept_days = 2;
  options.months_kept_days = 100;
  Reopen(options);
  Add(kTen, 1000, {Row(7, 100)});
  Add(kTen + kHour, 1000 + kHour, {Row(7, 200)});
  const size_t before = Query(UsagePeriod::kHour).size();
  Add(kTen + 3000 * kDay, 1060 + kHour, {Row(7, 300)});
  Add(kTen + 2 * kHour, 1000 + 2 * kHour, {Row(7, 400)});
  EXPECT_EQ(Total(), 400u);
  EXPECT_GE(Query(UsagePeriod::kHour).size(), before + 1);
}

TEST_F(UsageStoreTest, WhatIsForgottenDoesNotComeBack) {
  Add(kTen, 1000, {Row(7, 1000), Row(8, 500)});
  ASSERT_THAT(store_->Forget(7), IsOk());
  Reopen();
  Add(kTen + 60, 1060, {Row(7, 1000), Row(8, 500)});
  EXPECT_EQ(Total(7), 0u);
  Add(kTen + 120, 1120, {Row(7, 1010), Row(8, 500)});
  EXPECT_EQ(Total(7), 10u);
  EXPECT_EQ(Total(8), 500u);
}

TEST_F(UsageStoreTest, AnOlderFileIsBroughtUpToDate) {
  store_.reset();
  std::filesystem::remove(Path());
  {
    absl::StatusOr<SqliteDatabase> db = SqliteDatabase::Open(Path());
    ASSERT_THAT(db, IsOk());
    // As version 1 made it.
    ASSERT_THAT(
        db->Execute(
            "CREATE TABLE interface(id INTEGER PRIMARY KEY, name TEXT NOT NULL "
            "UNIQUE);"
            "CREATE TABLE bucket(period INTEGER, start INTEGER, uid INTEGER, "
            "tag INTEGER, counter_set INTEGER, interface INTEGER, rx_packets "
            "INTEGER NOT NULL, rx_bytes INTEGER NOT NULL, tx_packets INTEGER "
            "NOT NULL, tx_bytes INTEGER NOT NULL, PRIMARY KEY(period, start, "
            "uid, tag, counter_set, interface)) WITHOUT ROWID;"
            "CREATE TABLE reading(uid INTEGER, tag INTEGER, counter_set "
            "INTEGER, ifindex INTEGER, interface INTEGER NOT NULL, rx_packets "
            "INTEGER NOT NULL, rx_bytes INTEGER NOT NULL, tx_packets INTEGER "
            "NOT NULL, tx_bytes INTEGER NOT NULL, PRIMARY KEY(uid, tag, "
            "counter_set, ifindex)) WITHOUT ROWID;"
            "CREATE TABLE state(name TEXT PRIMARY KEY, value TEXT NOT NULL) "
            "WITHOUT ROWID;"
            "INSERT INTO interface VALUES(1, 'eth0');"
            "INSERT INTO bucket VALUES(0, 1795687200, 7, 0, 0, 1, 1, 100, 2, "
            "200);"
            "INSERT INTO reading VALUES(7, 0, 0, 2, 1, 1, 100, 2, 200);"
            "INSERT INTO state VALUES('life', 'a');"
            "PRAGMA application_id=1315984755; PRAGMA user_version=1;"),
        IsOk());
  }
  Reopen();
  EXPECT_EQ(store_->damage(), "");
  Add(kTen + 60, 1000, {Row(7, 150)});
  EXPECT_EQ(Total(), 150u);
}

TEST_F(UsageStoreTest, ALaterFileIsLeftAlone) {
  store_.reset();
  {
    absl::StatusOr<SqliteDatabase> db = SqliteDatabase::Open(Path());
    ASSERT_THAT(db, IsOk());
    ASSERT_THAT(db->Execute("PRAGMA user_version=99"), IsOk());
  }
  const auto store = UsageStore::Open(Path(), {});
  EXPECT_EQ(store.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(store.status().message()), HasSubstr("version 99"));
  EXPECT_FALSE(std::filesystem::exists(Path() + ".damaged"));
}

TEST_F(UsageStoreTest, NobodyElseMayReadTheFile) {
  Add(kTen, 1000, {Row(7, 1000)});
  for (const char* suffix : {"", "-wal", "-shm"}) {
    struct stat file = {};
    ASSERT_EQ(stat((Path() + suffix).c_str(), &file), 0) << suffix;
    EXPECT_EQ(file.st_mode & 0777, 0600u) << suffix;
  }
}

TEST_F(UsageStoreTest, ATruncatedFileIsReadOrMovedAsideAndNeverCrashes) {
  std::vector<UsageReading> rows;
  for (uint32_t uid = 0; uid < 500; ++uid) rows.push_back(Row(uid, 1000));
  Add(kTen, 1000, rows);
  store_.reset();
  const auto size = std::filesystem::file_size(Path());
  ASSERT_GT(size, 40000u);
  const std::string copy = dir_->File("copy.db");
  std::filesystem::copy_file(Path(), copy);
  std::mt19937 random(5);
  int moved = 0;
  for (int round = 0; round < 60; ++round) {
    static constexpr size_t kShort[] = {1, 50, 99, 100, 512, 4095, 4096};
    const size_t cut =
        round < 7 ? kShort[round]
                  : std::uniform_int_distribution<size_t>(1, size - 1)(random);
    SCOPED_TRACE(cut);
    std::filesystem::copy_file(
        copy, Path(), std::filesystem::copy_options::overwrite_existing);
    std::filesystem::resize_file(Path(), cut);
    Reopen();
    const uint64_t sum = Total();
    if (sum != 500 * 1000) {
      EXPECT_THAT(store_->damage(), HasSubstr(Path() + ".damaged"));
      EXPECT_EQ(std::filesystem::file_size(Path() + ".damaged"), cut);
      EXPECT_EQ(sum, 0u);
      ++moved;
    }
    Add(kTen + 60, 1060, {Row(7, 5000)});
    store_.reset();
    std::filesystem::remove(Path() + ".damaged");
  }
  EXPECT_GT(moved, 50);
}

TEST_F(UsageStoreTest, KillingTheWriterNeitherLosesNorDoubles) {
  store_.reset();
  // The kernel's counters: they go on, whatever happens to the writer.
  auto* const counter = static_cast<std::atomic<uint64_t>*>(
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
           -1, 0));
  ASSERT_NE(counter, MAP_FAILED);
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto store = UsageStore::Open(Path(), {});
      if (!store.ok() || !(*store)->damage().empty()) _exit(1);
      for (int64_t i = 0;; ++i) {
        std::vector<UsageReading> rows;
        for (uint32_t uid = 0; uid < 20; ++uid) {
          rows.push_back(Row(uid, counter->fetch_add(100) + 100));
        }
        const UsageClock clock{kTen + round * 60 + i, 1000 + round * 60 + i,
                               "b"};
        if (!(*store)->Add("a", clock, rows).ok()) _exit(2);
      }
    }
    usleep(std::uniform_int_distribution<useconds_t>(3000, 40000)(random));
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << WEXITSTATUS(status);
  }
  Reopen();
  EXPECT_EQ(store_->damage(), "");
  std::vector<UsageReading> rows;
  for (uint32_t uid = 0; uid < 20; ++uid) rows.push_back(Row(uid, *counter));
  Add(kTen + 4000, 6000, rows);
  EXPECT_EQ(Total(), 20 * counter->load());
  munmap(counter, 4096);
}

}  // namespace
}  // namespace netpolicy
