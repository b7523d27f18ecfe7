// SPDX-License-Identifier: Apache-2.0

#include "gtest/gtest.h"
#include "libpolicy/engine/quota.h"

namespace netpolicy {
namespace {

TEST(QuotaText, SaysWhatAndOfWhom) {
  const struct {
    const char* text;
    QuotaDefinition definition;
  } kRows[] = {
      {"limit of 5000000000 bytes a month from day 1 for uid 10007",
       {.subject = QuotaSubject::OfUid(Uid{10007}),
        .period = {QuotaPeriod::Kind::kMonth, 1},
        .limit = 5'000'000'000}},
      {"alert at 1000 incoming packets for interface eth0",
       {.subject = QuotaSubject::OfInterface("eth0"),
        .kind = QuotaDefinition::Kind::kAlert,
        .unit = QuotaDefinition::Unit::kPackets,
        .directions = QuotaDefinition::Directions::kIn,
        .limit = 1000}},
      {"limit of 0 outgoing bytes every 24 hours for everything",
       {.directions = QuotaDefinition::Directions::kOut,
        .period = {QuotaPeriod::Kind::kHours, 24}}},
      {"limit of 7 bytes every 1 hour for everything",
       {.period = {QuotaPeriod::Kind::kHours, 1}, .limit = 7}},
      {"limit of 7 bytes a day for everything",
       {.period = {QuotaPeriod::Kind::kDay, 0}, .limit = 7}},
  };
  for (const auto& row : kRows) EXPECT_EQ(ToString(row.definition), row.text);
}

}  // namespace
}  // namespace netpolicy
