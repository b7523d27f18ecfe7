// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/model/interface_names.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/model/document.h"

namespace netpolicy {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(InterfacePatterns, AreFoundWhereverAPolicyNamesInterfaces) {
  const auto document = ParsePolicyJson(R"({"version": 1,
    "defaults": {"interfaces": ["a0", "*", "@lan"], "network_rules": [
      {"prefix": "::/0", "action": "deny", "interface": "b*"}]},
    "interfaces": [{"name": "c0", "classes": ["lan"]}],
    "ingress_discard": [{"address": "192.0.2.1", "interfaces": ["d0"]}],
    "local_network": [{"prefix": "10.0.0.0/8", "interface": "e0"}],
    "uids": [{"uid": 1, "interfaces": ["f0", "a0"], "network_rules": [
      {"prefix": "::/0", "action": "deny", "interface": "g0"}]}]})",
                                        "test");
  ASSERT_TRUE(document.ok()) << document.status();
  const auto policy = Validate(*document);
  ASSERT_TRUE(policy.ok()) << policy.status();
  const std::vector<std::string> patterns = InterfacePatterns(*policy);
  EXPECT_THAT(patterns, ElementsAre("a0", "b*", "c0", "d0", "e0", "f0", "g0"));
  EXPECT_TRUE(MatchesAny(patterns, "bond0"));
  EXPECT_TRUE(MatchesAny(patterns, "g0"));
  EXPECT_FALSE(MatchesAny(patterns, "g01"));
  EXPECT_FALSE(MatchesAny(patterns, "eth0"));
}

TEST(InterfacePatterns, NoneInAPolicyWithoutInterfaces) {
  EXPECT_THAT(InterfacePatterns(Policy()), IsEmpty());
}

}  // namespace
}  // namespace netpolicy
