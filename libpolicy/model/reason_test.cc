#include "libpolicy/model/reason.h"

#include "absl/strings/string_view.h"
#include "bpf_progs/abi/reason.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace netpolicy {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ReasonName, EveryNumberHasOne) {
  const struct {
    int reason;
    absl::string_view name;
  } kRows[] = {
      {NP_REASON_UID_RULE, "uid_rule"},
      {NP_REASON_DOZABLE, "dozable"},
      {NP_REASON_STANDBY, "standby"},
      {NP_REASON_POWERSAVE, "powersave"},
      {NP_REASON_RESTRICTED, "restricted"},
      {NP_REASON_LOW_POWER_STANDBY, "low_power_standby"},
      {NP_REASON_BACKGROUND, "background"},
      {NP_REASON_OEM_DENY_1, "oem_deny_1"},
      {NP_REASON_OEM_DENY_2, "oem_deny_2"},
      {NP_REASON_OEM_DENY_3, "oem_deny_3"},
      {NP_REASON_DATA_SAVER, "data_saver"},
      {NP_REASON_METERED_DENY_USER, "metered_deny_user"},
      {NP_REASON_METERED_DENY_ADMIN, "metered_deny_admin"},
      {NP_REASON_LOCKDOWN_VPN, "lockdown_vpn"},
      {NP_REASON_INTERFACE_RULE, "interface_rule"},
      {NP_REASON_INGRESS_DISCARD, "ingress_discard"},
      {NP_REASON_LOCAL_NETWORK, "local_network"},
      {NP_REASON_INTERNET_PERMISSION, "internet_permission"},
      {NP_REASON_NETWORK_RULE, "network_rule"},
      {NP_REASON_QUOTA, "quota"},
      {NP_REASON_BIND_PORT, "bind_port"},
      {NP_REASON_NO_OWNER, "no_owner"},
      {22, "reserved_22"},
      {31, "reserved_31"},
      {32, "chain_0"},
      {63, "chain_31"},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(ReasonName(row.reason), row.name) << row.reason;
  }
}

TEST(ReasonSet, ListsItsNumbersAscending) {
  const ReasonSet reasons(NP_REASON_BIT(63) | NP_REASON_BIT(0) |
                          NP_REASON_BIT(17));
  EXPECT_THAT(reasons.numbers(), ElementsAre(0, 17, 63));
  EXPECT_TRUE(reasons.contains(17));
  EXPECT_FALSE(reasons.contains(16));
  EXPECT_FALSE(reasons.empty());
  EXPECT_TRUE(ReasonSet().empty());
  EXPECT_THAT(ReasonSet().numbers(), IsEmpty());
}

}  // namespace
}  // namespace netpolicy
