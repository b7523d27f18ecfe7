// SPDX-License-Identifier: Apache-2.0

#include "clat/prefix_table.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace netpolicy::clat {
namespace {

constexpr IfIndex kWlan{3};
constexpr IfIndex kWwan{4};

class PrefixTableTest : public ::testing::Test {
 protected:
  void Learn(IfIndex ifindex, PrefixSource source, const std::string& prefix,
             int seconds, const std::string& router = "fe80::1") {
    table_.Learn(
        {.ifindex = ifindex,
         .source = source,
         .router = source == PrefixSource::kDns ? Ipv6Address{}
                                                : *Ipv6Address::Parse(router),
         .prefix = *Pref64::Parse(prefix),
         .expires = now_ + absl::Seconds(seconds)},
        now_);
  }
  std::string Best(IfIndex ifindex) {
    const auto best = table_.Best(ifindex, now_);
    return best.has_value() ? absl::StrCat(PrefixSourceName(best->source), " ",
                                           best->prefix.ToString())
                            : "none";
  }

  PrefixTable table_;
  absl::Time now_ = absl::FromUnixSeconds(1000);
};

TEST_F(PrefixTableTest, Rfc9872RoutersComeBeforeDns) {
  EXPECT_EQ(Best(kWlan), "none");
  Learn(kWlan, PrefixSource::kDns, "2001:db8:53::/96", 100);
  EXPECT_EQ(Best(kWlan), "dns 2001:db8:53::/96");
  Learn(kWlan, PrefixSource::kRouter, "64:ff9b::/96", 10);
  EXPECT_EQ(Best(kWlan), "router 64:ff9b::/96");
  now_ += absl::Seconds(10);
  EXPECT_EQ(Best(kWlan), "dns 2001:db8:53::/96");
  now_ += absl::Seconds(90);
  EXPECT_EQ(Best(kWlan), "none");
}

TEST_F(PrefixTableTest, WhatWasBeforeIsBehindWhateverIsTold) {
  Learn(kWlan, PrefixSource::kAdopted, "2001:db8:1::/96", 100);
  EXPECT_EQ(Best(kWlan), "adopted 2001:db8:1::/96");
  Learn(kWlan, PrefixSource::kDns, "2001:db8:2::/96", 100);
  EXPECT_EQ(Best(kWlan), "dns 2001:db8:2::/96");
}

TEST_F(PrefixTableTest, EachUplinkHasItsOwn) {
  Learn(kWlan, PrefixSource::kRouter, "2001:db8:1::/96", 100);
  Learn(kWwan, PrefixSource::kRouter, "2001:db8:2::/96", 100);
  EXPECT_EQ(Best(kWlan), "router 2001:db8:1::/96");
  EXPECT_EQ(Best(kWwan), "router 2001:db8:2::/96");
  table_.Forget(kWlan);
  EXPECT_EQ(Best(kWlan), "none");
  EXPECT_EQ(Best(kWwan), "router 2001:db8:2::/96");
}

TEST_F(PrefixTableTest, TheOneInUseStaysAsLongAsItIsSaid) {
  Learn(kWlan, PrefixSource::kRouter, "2001:db8:1::/96", 100);
  Learn(kWlan, PrefixSource::kRouter, "2001:db8:2::/96", 1000, "fe80::2");
  EXPECT_EQ(Best(kWlan), "router 2001:db8:1::/96");
  now_ += absl::Seconds(99);
  Learn(kWlan, PrefixSource::kRouter, "2001:db8:1::/96", 100);
  now_ += absl::Seconds(99);
  EXPECT_EQ(Best(kWlan), "router 2001:db8:1::/96");
}

TEST_F(PrefixTableTest, Rfc8781ALifetimeOf0EndsIt) {
  Learn(kWlan, PrefixSource::kRouter, "2001:db8:1::/96", 100);
  Learn(kWlan, PrefixSource::kRouter, "2001:db8:1::/96", 0, "fe80::2");
  EXPECT_EQ(Best(kWlan), "router 2001:db8:1::/96") << "another router's";
  Learn(kWlan, PrefixSource::kRouter, "2001:db8:1::/96", 0);
  EXPECT_EQ(Best(kWlan), "none");
}

TEST_F(PrefixTableTest, SaysWhenTheNextOneEnds) {
  EXPECT_EQ(table_.NextExpiry(now_), absl::InfiniteFuture());
  Learn(kWlan, PrefixSource::kRouter, "2001:db8:1::/96", 100);
  Learn(kWwan, PrefixSource::kDns, "2001:db8:2::/96", 50);
  EXPECT_EQ(table_.NextExpiry(now_), now_ + absl::Seconds(50));
  table_.ForgetDns(kWwan);
  EXPECT_EQ(table_.NextExpiry(now_), now_ + absl::Seconds(100));
}

TEST_F(PrefixTableTest, AFloodPushesOutWhatEndsFirst) {
  Learn(kWlan, PrefixSource::kRouter, "2001:db8:1::/96", 1000);
  Learn(kWwan, PrefixSource::kRouter, "2001:db8:2::/96", 1);
  for (int i = 0; i < 1000; ++i) {
    Learn(kWlan, PrefixSource::kRouter,
          absl::StrCat("2001:db8:f:", absl::Hex(i), "::/96"), 100);
  }
  EXPECT_EQ(table_.All(kWlan, now_).size(), PrefixTable::kMaxPerUplink);
  EXPECT_EQ(Best(kWlan), "router 2001:db8:1::/96");
  EXPECT_EQ(Best(kWwan), "router 2001:db8:2::/96") << "another uplink's";
}

}  // namespace
}  // namespace netpolicy::clat
