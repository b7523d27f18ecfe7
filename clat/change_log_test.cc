// SPDX-License-Identifier: Apache-2.0

#include "clat/change_log.h"

#include "gtest/gtest.h"

namespace netpolicy::clat {
namespace {

TEST(ChangeLog, GivesWhatIsNewerThanWhatWasSeen) {
  ChangeLog log;
  EXPECT_EQ(log.After(0).last, 0u);
  for (const char* kind : {"on", "changed", "off"}) {
    log.Add({.kind = kind, .interface = "eth0"});
  }
  const Changes changes = log.After(1);
  ASSERT_EQ(changes.list.size(), 2u);
  EXPECT_EQ(changes.list[0].kind, "changed");
  EXPECT_EQ(changes.list[0].number, 2u);
  EXPECT_EQ(changes.list[1].kind, "off");
  EXPECT_EQ(changes.last, 3u);
  EXPECT_TRUE(log.After(kOnlyTheLast).list.empty());
  EXPECT_EQ(log.After(kOnlyTheLast).last, 3u);
}

TEST(ChangeLog, WhatIsNotKeptShowsAsAGap) {
  ChangeLog log;
  for (size_t i = 0; i < ChangeLog::kKept + 3; ++i) log.Add({.kind = "on"});
  const Changes changes = log.After(1);
  EXPECT_EQ(changes.list.size(), ChangeLog::kKept);
  EXPECT_EQ(changes.list.front().number, 4u) << "2 and 3 are gone";
  EXPECT_EQ(changes.last, ChangeLog::kKept + 3);
}

}  // namespace
}  // namespace netpolicy::clat
