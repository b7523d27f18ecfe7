// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/engine/stats_reader.h"

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy {
namespace {

using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::StatusIs;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TrafficCounters Counters(uint64_t packets) {
  return {.packets = packets,
          .bytes = 100 * packets,
          .skbs = packets,
          .skb_bytes = 100 * packets};
}

StatsRow Row(uint32_t uid, uint32_t tag, uint64_t rx, uint64_t tx) {
  StatsRow row;
  row.uid = Uid{uid};
  row.tag = tag;
  row.ifindex = IfIndex{2};
  row.rx = Counters(rx);
  row.tx = Counters(tx);
  return row;
}

DropRow Drop(uint32_t uid, uint64_t reasons, uint64_t packets) {
  DropRow drop;
  drop.uid = Uid{uid};
  drop.reasons = ReasonSet(reasons);
  drop.packets = packets;
  drop.bytes = 60 * packets;
  return drop;
}

// Says what it is told to.
class Readings : public PolicyInterface {
 public:
  absl::StatusOr<StatsSnapshot> Stats() override { return now; }
  absl::StatusOr<PolicySnapshot> GetPolicy() override { return None(); }
  absl::StatusOr<CommitResult> Commit(const Transaction&,
                                      const CommitOptions&) override {
    return None();
  }
  absl::StatusOr<Explanation> Explain(const ExplainQuery&) override {
    return None();
  }
  absl::StatusOr<Refusals> Refused(Uid, uint32_t) override { return None(); }
  absl::StatusOr<EngineStatus> Status() override { return None(); }

  absl::StatusOr<StatsSnapshot> now = StatsSnapshot();

 private:
  static absl::Status None() { return absl::UnimplementedError("none"); }
};

TEST(StatsReader, EachReaderHasItsOwnDifferences) {
  Readings policy;
  policy.now->rows = {Row(1, 0, 10, 1), Row(2, 0, 5, 5)};
  StatsReader often(policy);
  StatsReader seldom(policy);
  auto growth = often.Next();
  ASSERT_THAT(growth, IsOk());
  EXPECT_THAT(growth->grown.rows, SizeIs(2));
  EXPECT_FALSE(growth->began_anew);

  policy.now->rows = {Row(1, 0, 10, 4), Row(1, 7, 1, 1), Row(2, 0, 5, 5)};
  growth = often.Next();
  ASSERT_THAT(growth, IsOk());
  ASSERT_THAT(growth->grown.rows, SizeIs(2));
  EXPECT_EQ(growth->grown.rows[0].tag, 0u);
  EXPECT_EQ(growth->grown.rows[0].rx.bytes, 0u);
  EXPECT_EQ(growth->grown.rows[0].tx.bytes, 300u);
  EXPECT_EQ(growth->grown.rows[1].tag, 7u);
  EXPECT_EQ(growth->grown.rows[1].rx.packets, 1u);
  growth = often.Next();
  ASSERT_THAT(growth, IsOk());
  EXPECT_THAT(growth->grown.rows, IsEmpty());

  growth = seldom.Next();
  ASSERT_THAT(growth, IsOk());
  EXPECT_THAT(growth->grown.rows, SizeIs(3));
  EXPECT_EQ(growth->grown.rows[0].rx.packets, 10u);
}

TEST(StatsReader, DropsOverflowAndLossesGrowToo) {
  Readings policy;
  policy.now->drops = {Drop(1, 1, 10), Drop(1, 2, 3)};
  policy.now->losses = {{"slow_path", 5}, {"rows_full", 0}};
  policy.now->overflow_tx = Counters(4);
  StatsReader reader(policy);
  ASSERT_THAT(reader.Next(), IsOk());
  policy.now->drops[1].packets = 4;
  policy.now->drops[1].bytes = 240;
  policy.now->losses[1].count = 2;
  policy.now->overflow_tx = Counters(6);
  const auto growth = reader.Next();
  ASSERT_THAT(growth, IsOk());
  ASSERT_THAT(growth->grown.drops, SizeIs(1));
  EXPECT_EQ(growth->grown.drops[0].reasons.bits(), 2u);
  EXPECT_EQ(growth->grown.drops[0].packets, 1u);
  EXPECT_EQ(growth->grown.drops[0].bytes, 60u);
  ASSERT_THAT(growth->grown.losses, SizeIs(1));
  EXPECT_EQ(growth->grown.losses[0].name, "rows_full");
  EXPECT_EQ(growth->grown.overflow_tx.packets, 2u);
}

TEST(StatsReader, TablesMadeAnewGiveAllTheyHaveAndSaySo) {
  Readings policy;
  policy.now->rows = {Row(1, 0, 10, 1), Row(2, 0, 5, 5)};
  StatsReader reader(policy);
  ASSERT_THAT(reader.Next(), IsOk());
  policy.now->rows = {Row(1, 0, 3, 1), Row(2, 0, 6, 6)};  // less
  auto growth = reader.Next();
  ASSERT_THAT(growth, IsOk());
  EXPECT_TRUE(growth->began_anew);
  ASSERT_THAT(growth->grown.rows, SizeIs(2));
  EXPECT_EQ(growth->grown.rows[0].rx.packets, 3u);
  EXPECT_EQ(growth->grown.rows[1].rx.packets, 6u);

  policy.now->rows = {Row(1, 0, 4, 1)};  // gone
  growth = reader.Next();
  ASSERT_THAT(growth, IsOk());
  EXPECT_TRUE(growth->began_anew);
  policy.now->rows = {Row(1, 0, 5, 1)};
  growth = reader.Next();
  ASSERT_THAT(growth, IsOk());
  EXPECT_FALSE(growth->began_anew);
  EXPECT_EQ(growth->grown.rows[0].rx.packets, 1u);
}

TEST(StatsReader, AReadingThatFailedLosesNothing) {
  Readings policy;
  policy.now->rows = {Row(1, 0, 10, 1)};
  StatsReader reader(policy);
  ASSERT_THAT(reader.Next(), IsOk());
  policy.now = absl::UnavailableError("netd is gone");
  EXPECT_THAT(reader.Next(), StatusIs(absl::StatusCode::kUnavailable));
  policy.now = StatsSnapshot();
  policy.now->rows = {Row(1, 0, 12, 1)};
  const auto growth = reader.Next();
  ASSERT_THAT(growth, IsOk());
  ASSERT_THAT(growth->grown.rows, SizeIs(1));
  EXPECT_EQ(growth->grown.rows[0].rx.packets, 2u);
}

}  // namespace
}  // namespace netpolicy
