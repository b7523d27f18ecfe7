// SPDX-License-Identifier: Apache-2.0

#include "netd/cli/names.h"

#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/status_matchers.h"
#include "netd/cli/fake_names.h"

namespace netpolicy::cli {
namespace {

using ::netpolicy::testing::IsOkAndHolds;
using ::netpolicy::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::SizeIs;

TEST(ParseUid, TakesNumbersAndUserNames) {
  FakeNames names;
  EXPECT_THAT(ParseUid("0", names), IsOkAndHolds(Uid{0}));
  EXPECT_THAT(ParseUid("4294967294", names), IsOkAndHolds(kMaxUid));
  EXPECT_THAT(ParseUid("alice", names), IsOkAndHolds(Uid{10001}));
  EXPECT_THAT(ParseUid("www-data", names), IsOkAndHolds(Uid{33}));
}

struct BadCase {
  const char* name;
  const char* text;
  const char* message;
};

TEST(ParseUids, WhatIsNoUidIsAnError) {
  FakeNames names;
  const BadCase kCases[] = {
      {"empty", "", "uid \"\": no such user"},
      {"unknown_user", "mallory", "uid \"mallory\": no such user"},
      {"escape", "\x1b[2J", "uid \"\\x1b[2J\": no such user"},
      {"negative", "-1", "uid \"-1\": no such user"},
      {"no_uid", "4294967295", "uid 4294967295: beyond 4294967294"},
      {"too_long", "99999999999", "uid 99999999999: beyond 4294967294"},
      {"backwards", "9-8", "uids 9-8: the last is below the first"},
      {"beyond", "1-4294967295", "uid 4294967295: beyond 4294967294"},
      {"too_many", "0-65536", "uids 0-65536: more than 65536"},
      {"hexadecimal", "0x10", "uid \"0x10\": no such user"},
  };
  for (const BadCase& test : kCases) {
    EXPECT_THAT(ParseUids(test.text, names),
                StatusIs(absl::StatusCode::kInvalidArgument, test.message))
        << test.name;
  }
}

TEST(ParseUids, ARangeHoldsBothEnds) {
  FakeNames names;
  EXPECT_THAT(ParseUids("7-9", names),
              IsOkAndHolds(ElementsAre(Uid{7}, Uid{8}, Uid{9})));
  EXPECT_THAT(ParseUids("7-7", names), IsOkAndHolds(ElementsAre(Uid{7})));
  EXPECT_THAT(ParseUids("4294967294-4294967294", names),
              IsOkAndHolds(ElementsAre(kMaxUid)));
  EXPECT_THAT(ParseUids("www-data", names), IsOkAndHolds(ElementsAre(Uid{33})));
  EXPECT_THAT(ParseUids("1-65536", names), IsOkAndHolds(SizeIs(65536)));
}

TEST(UidText, NamesTheUserWhenThereIsOne) {
  FakeNames names;
  EXPECT_EQ(UidText(Uid{10001}, names), "10001 (alice)");
  EXPECT_EQ(UidText(Uid{4711}, names), "4711");
  EXPECT_EQ(UidText(kNoOwner, names), "no owner");
}

TEST(SystemNames, KnowsRootAndLoopback) {
  SystemNames names;
  EXPECT_EQ(names.UidOfUser("root"), Uid{0});
  EXPECT_EQ(names.UserOfUid(Uid{0}), "root");
  EXPECT_EQ(names.UserOfUid(kMaxUid), absl::nullopt);
  EXPECT_EQ(names.UidOfUser("no user has this name"), absl::nullopt);
  EXPECT_EQ(names.InterfaceName(IfIndex{1}), "lo");
  EXPECT_EQ(names.InterfaceName(IfIndex{0x7fffffff}), absl::nullopt);
}

TEST(SystemNames, GivesUpAfterManyUids) {
  SystemNames names;
  for (uint32_t i = 0; i < SystemNames::kMaxLookups; ++i) {
    names.UserOfUid(Uid{uint32_t{3000000000} + i});
  }
  EXPECT_EQ(names.UserOfUid(Uid{0}), absl::nullopt);
}

}  // namespace
}  // namespace netpolicy::cli
