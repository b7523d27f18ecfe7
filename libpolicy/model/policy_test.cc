#include "libpolicy/model/policy.h"

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/model/text.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy {
namespace {

using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Policy, HasAndroidsChainsFromTheStart) {
  const Policy policy;
  const Chain kExpected[] = {
      {1, "dozable", ChainSense::kAllowlist, Switch::kOff},
      {2, "standby", ChainSense::kDenylist, Switch::kOff},
      {3, "powersave", ChainSense::kAllowlist, Switch::kOff},
      {4, "restricted", ChainSense::kAllowlist, Switch::kOff},
      {5, "low_power_standby", ChainSense::kAllowlist, Switch::kOff},
      {6, "background", ChainSense::kAllowlist, Switch::kOff},
      {7, "oem_deny_1", ChainSense::kDenylist, Switch::kOff},
      {8, "oem_deny_2", ChainSense::kDenylist, Switch::kOff},
      {9, "oem_deny_3", ChainSense::kDenylist, Switch::kOff},
      {10, "metered_allow", ChainSense::kAllowlist, Switch::kOff},
      {11, "metered_deny_user", ChainSense::kDenylist, Switch::kOn},
      {12, "metered_deny_admin", ChainSense::kDenylist, Switch::kOn},
  };
  EXPECT_EQ(policy.chains(), absl::MakeConstSpan(kExpected));
  EXPECT_EQ(policy.defaults().rule, Action::kAllow);
  EXPECT_EQ(policy.defaults().internet, Permission::kGranted);
  EXPECT_THAT(policy.uids(), IsEmpty());
  EXPECT_TRUE(policy.Find(Uid{10007}).empty());
}

TEST(Policy, FindsChainsByNameAndNumber) {
  const Policy policy;
  EXPECT_EQ(policy.FindChain("background")->number, 6);
  EXPECT_EQ(policy.FindChain(6)->name, "background");
  EXPECT_EQ(policy.FindChain("none"), nullptr);
  EXPECT_EQ(policy.FindChain(0), nullptr);
  EXPECT_EQ(policy.FindChain(32), nullptr);
  EXPECT_EQ(policy.ReasonName(32), "chain_0");
  EXPECT_EQ(policy.ReasonName(17), "internet_permission");
}

TEST(CheckUserChainName, TellsGoodNamesFromBad) {
  const struct {
    std::string name;
    bool ok;
  } kRows[] = {
      {"kids", true},
      {"a", true},
      {"a_1", true},
      {std::string(31, 'z'), true},
      {std::string(32, 'z'), false},
      {"", false},
      {"1a", false},
      {"_a", false},
      {"Kids", false},
      {"kid-s", false},
      {std::string("a\0b", 3), false},
      {"\xc3\xa4", false},
      {"uid_rule", false},
      {"dozable", false},
      {"metered_allow", false},
      {"reserved_31", false},
      {"chain_31", false},
      {"chain_32", true},
  };
  for (const auto& row : kRows) {
    const absl::Status status = CheckUserChainName(row.name);
    if (row.ok) {
      EXPECT_THAT(status, IsOk()) << row.name;
    } else {
      EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument))
          << row.name;
    }
  }
}

TEST(CompressUids, MakesTheFewestRanges) {
  EXPECT_THAT(CompressUids({}), IsEmpty());
  EXPECT_THAT(CompressUids({Uid{0}, Uid{1}, Uid{2}, Uid{4}, kMaxUid}),
              ElementsAre(UidRange{Uid{0}, Uid{2}}, UidRange{Uid{4}, Uid{4}},
                          UidRange{kMaxUid, kMaxUid}));
  EXPECT_EQ(UidRangeName({Uid{4}, Uid{4}}), "4");
  EXPECT_EQ(UidRangeName({Uid{0}, kMaxUid}), "0-4294967294");
}

TEST(Quote, IsSafeToPrint) {
  EXPECT_EQ(Quote("a\x1b[1m\"\n"), "\"a\\x1b[1m\\\"\\n\"");
  EXPECT_EQ(Quote(std::string(1000, 'x')),
            "\"" + std::string(40, 'x') + "...\"");
}

}  // namespace
}  // namespace netpolicy
