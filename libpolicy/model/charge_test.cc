// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/model/charge.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "libpolicy/model/document.h"

namespace netpolicy {
namespace {

TEST(MayCharge, SelfRootAndWhoHasThePermission) {
  const struct {
    const char* name;
    const char* settings;
    uint32_t caller;
    uint32_t charged;
    bool may;
  } kRows[] = {
      {"itself", "{}", 10001, 10001, true},
      {"another", "{}", 10001, 10002, false},
      {"root", "{}", 0, 10002, true},
      {"with the permission", "{}", 1000, 10002, true},
      {"the charged one's permission is nobody else's", "{}", 10001, 1000,
       false},
      {"of another user, each UID for itself", "{}", 101000, 10002, false},
      {"of another user, by application", R"({"uids_per_user": 100000})",
       101000, 10002, true},
      {"another application", R"({"uids_per_user": 100000})", 110001, 10002,
       false},
      {"root's application of another user is not root",
       R"({"uids_per_user": 100000})", 100000, 10002, false},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.name);
    const auto document = ParsePolicyJson(
        absl::StrCat(R"({"version": 1, "settings": )", row.settings,
                     R"(, "uids": [{"uid": 1000,
                         "update_device_stats": true}]})"),
        "test");
    ASSERT_TRUE(document.ok()) << document.status();
    const auto policy = Validate(*document);
    ASSERT_TRUE(policy.ok()) << policy.status();
    EXPECT_EQ(MayCharge(*policy, Uid{row.caller}, Uid{row.charged}), row.may);
    EXPECT_EQ(MayChargeOthers(*policy, Uid{row.caller}),
              row.may && row.caller != row.charged);
  }
}

}  // namespace
}  // namespace netpolicy
