// SPDX-License-Identifier: Apache-2.0
//
// What is charged where when the tables of counters are full, and that nothing
// is missed.

#include <sys/socket.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/tests/testbed.h"

namespace netpolicy::testing {
namespace {

using ::testing::Pair;
using ::testing::UnorderedElementsAre;

constexpr uint32_t kHungryUid = 10007;
constexpr uint32_t kModestUid = 10008;
constexpr uint32_t kLateUid = 10009;
constexpr uint16_t kPeerPort = 5000;

// UID, tag, whether for one interface, by packets sent.
using Key = std::tuple<uint32_t, uint32_t, bool>;
using Sent = std::map<Key, uint64_t>;

class OverflowTest : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    if (auto missing = MissingForBpfTests()) GTEST_SKIP() << *missing;
  }

  void Start(const EngineOptions& options) {
    auto bed = Testbed::Create({}, options);
    ASSERT_THAT(bed, IsOk());
    bed_ = *std::move(bed);
  }

  // An application that sends datagrams under the tags 1, 2, ... up to `tags`,
  // `packets` of each.
  void SendTagged(uint32_t uid, uint32_t tags, int packets) {
    auto app = bed_->SpawnApp(uid);
    ASSERT_THAT(app, IsOk());
    auto socket = app->UdpSocket(GetParam());
    ASSERT_THAT(socket, IsOk());
    auto fd = app->GetFd(*socket);
    ASSERT_THAT(fd, IsOk());
    for (uint32_t tag = 1; tag <= tags; ++tag) {
      ASSERT_THAT(bed_->engine().TagSocket(fd->get(), {.tag = tag}), IsOk());
      for (int i = 0; i < packets; ++i) {
        ASSERT_THAT(
            app->SendTo(
                *socket,
                {GetParam() == AF_INET6 ? "fd77::2" : "10.77.0.2", kPeerPort},
                "x"),
            IsOkAndHolds(1));
        ++sent_;
      }
    }
  }

  // Checks that everything sent is in the snapshot.
  Sent Charged() {
    Sent charged;
    auto stats = bed_->engine().Stats();
    EXPECT_THAT(stats, IsOk());
    if (!stats.ok()) return charged;
    uint64_t sum = stats->overflow_tx.packets;
    for (const StatsRow& row : stats->rows) {
      sum += row.tx.packets;
      const uint32_t uid = ToInt(row.uid);
      // Neighbour solicitations belong to nobody.
      if (uid < kHungryUid || uid > kLateUid) {
        sum -= row.tx.packets;
        continue;
      }
      if (row.tx.packets == 0) continue;
      charged[{uid, row.tag, ToInt(row.ifindex) != 0}] += row.tx.packets;
    }
    EXPECT_EQ(sum, sent_);
    overflow_ = stats->overflow_tx.packets;
    for (const LossCounter& loss : stats->losses) {
      losses_[loss.name] = loss.count;
    }
    return charged;
  }

  std::unique_ptr<Testbed> bed_;
  uint64_t sent_ = 0;
  uint64_t overflow_ = 0;
  std::map<std::string, uint64_t> losses_;
};

TEST_P(OverflowTest, AUidCannotTakeMoreThanItsShare) {
  EngineOptions options;
  options.max_rows = 32;
  options.max_rows_per_uid = 3;
  options.max_uid_rows = 4;
  ASSERT_NO_FATAL_FAILURE(Start(options));
  ASSERT_NO_FATAL_FAILURE(SendTagged(kHungryUid, 100, 2));
  ASSERT_NO_FATAL_FAILURE(SendTagged(kModestUid, 2, 2));
  EXPECT_THAT(Charged(),
              UnorderedElementsAre(Pair(Key{kHungryUid, 1, true}, 2),
                                   Pair(Key{kHungryUid, 2, true}, 2),
                                   Pair(Key{kHungryUid, 3, true}, 2),
                                   Pair(Key{kHungryUid, 0, false}, 97 * 2),
                                   Pair(Key{kModestUid, 1, true}, 2),
                                   Pair(Key{kModestUid, 2, true}, 2)));
  EXPECT_EQ(overflow_, 0u);
  // The second packet of each tag finds the row in the socket's storage.
  EXPECT_EQ(losses_["rows_share"], 97u);
  EXPECT_EQ(losses_["rows_taken"], 0u);
  EXPECT_EQ(losses_["rows_full"], 0u);
}

TEST_P(OverflowTest, AQuarterIsAUidsShareUnlessTold) {
  EngineOptions options;
  options.max_rows = 16;
  ASSERT_NO_FATAL_FAILURE(Start(options));
  ASSERT_NO_FATAL_FAILURE(SendTagged(kHungryUid, 6, 1));
  const Sent charged = Charged();
  EXPECT_EQ(charged.size(), 5u);
  EXPECT_THAT(charged, ::testing::Contains(Pair(Key{kHungryUid, 0, false}, 2)));
}

TEST_P(OverflowTest, WithoutAnyRowLeftTheUidIsChargedAndAtLastNobody) {
  EngineOptions options;
  options.max_rows = 2;
  options.max_rows_per_uid = 100;
  options.max_uid_rows = 2;
  ASSERT_NO_FATAL_FAILURE(Start(options));
  // Whoever comes first, such as a neighbour solicitation, has the only row.
  ASSERT_NO_FATAL_FAILURE(SendTagged(kHungryUid, 3, 5));
  ASSERT_NO_FATAL_FAILURE(SendTagged(kModestUid, 3, 5));
  ASSERT_NO_FATAL_FAILURE(SendTagged(kLateUid, 3, 5));
  const Sent charged = Charged();
  EXPECT_GT(losses_["rows_taken"], 0u);
  EXPECT_GT(losses_["rows_full"], 0u);
  EXPECT_GE(overflow_, 15u);
  EXPECT_EQ(losses_["rows_share"], 0u);
  EXPECT_FALSE(charged.contains(Key{kLateUid, 0, false}));
  EXPECT_TRUE(charged.contains(Key{kHungryUid, 0, false}));
}

INSTANTIATE_TEST_SUITE_P(Families, OverflowTest,
                         ::testing::Values(AF_INET, AF_INET6),
                         [](const ::testing::TestParamInfo<int>& info) {
                           return info.param == AF_INET ? "IPv4" : "IPv6";
                         });

}  // namespace
}  // namespace netpolicy::testing
