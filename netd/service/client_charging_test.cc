// SPDX-License-Identifier: Apache-2.0
//
// The calls of a Client that charge traffic.

#include <dirent.h>
#include <sys/socket.h>

#include <memory>
#include <vector>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/testing/status_matchers.h"
#include "netd/service/client.h"
#include "netd/service/testing/client_fixture.h"
#include "netd/service/testing/fake_charging.h"

namespace netpolicy {
namespace {

using ::netpolicy::testing::FakeCharging;
using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::IsOkAndHolds;
using ::netpolicy::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

size_t OpenDescriptors() {
  DIR* const directory = opendir("/proc/self/fd");
  size_t count = 0;
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  return count;
}

using ClientChargingTest = ::netpolicy::testing::ClientFixture;

TEST_F(ClientChargingTest, ATaggedSocketArrivesAndNothingOfItStays) {
  constexpr int kCalls = 10000;
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ASSERT_TRUE(socket.ok());
  ASSERT_THAT(client_->TagSocket(socket.get(), {.tag = 7}), IsOk());
  // Of which some are the server's, for closing.
  const size_t before = OpenDescriptors();
  for (int i = 1; i < kCalls; ++i) {
    ASSERT_THAT(
        client_->TagSocket(socket.get(), {.tag = static_cast<uint32_t>(i),
                                          .charge = Uid{10007}}),
        IsOk());
  }
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  while (OpenDescriptors() > before && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_LE(OpenDescriptors(), before);
  EXPECT_THAT(client_->UntagSocket(socket.get()), IsOk());
  server_.Stop();
  const std::vector<FakeCharging::Call>& calls = server_.charging().calls;
  ASSERT_THAT(calls, SizeIs(kCalls + 1));
  EXPECT_EQ(calls[0].tag.tag, 7u);
  EXPECT_EQ(calls[0].tag.charge, absl::nullopt);
  EXPECT_EQ(calls[kCalls - 1].tag.tag, kCalls - 1u);
  EXPECT_EQ(calls[kCalls - 1].tag.charge, Uid{10007});
  EXPECT_EQ(calls[kCalls].tag.tag, 0u);
  EXPECT_EQ(calls[kCalls].tag.charge, absl::nullopt);
  for (const FakeCharging::Call& call : calls) {
    ASSERT_EQ(call.inode, FakeCharging::InodeOf(socket.get()));
  }
  // A restart takes the descriptor along.
  server_.Start();
  ASSERT_THAT(client_->TagSocket(socket.get(), {.tag = 8}), IsOk());
  server_.Stop();
  EXPECT_EQ(server_.charging().calls.back().inode,
            FakeCharging::InodeOf(socket.get()));
}

TEST_F(ClientChargingTest, WhatIsNoDescriptorIsNotSent) {
  EXPECT_THAT(client_->TagSocket(-1, {.tag = 7}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "tag socket: it is no open descriptor"));
  const int closed = dup(0);
  close(closed);
  EXPECT_THAT(client_->TagSocket(closed, {.tag = 7}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "tag socket: it is no open descriptor"));
  server_.Stop();
  EXPECT_THAT(server_.charging().calls, IsEmpty());
}

TEST_F(ClientChargingTest, CounterSetsArrive) {
  server_.charging().sets = {{Uid{10007}, 1}, {kMaxUid, 15}};
  EXPECT_THAT(client_->CounterSets(),
              IsOkAndHolds(ElementsAre(UidCounterSet{Uid{10007}, 1},
                                       UidCounterSet{kMaxUid, 15})));
  EXPECT_THAT(client_->SetCounterSet(Uid{10008}, 3), IsOk());
  server_.Stop();
  ASSERT_THAT(server_.charging().calls, SizeIs(1));
  EXPECT_EQ(server_.charging().calls[0].set, (UidCounterSet{Uid{10008}, 3}));
}

}  // namespace
}  // namespace netpolicy
