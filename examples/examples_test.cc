// SPDX-License-Identifier: Apache-2.0

// Every policy file here is one, and does what its comments say.

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bpf_progs/lib/decision.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/model/document.h"
#include "libpolicy/model/image.h"
#include "libpolicy/model/reason.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy {
namespace {

using testing::IsOk;

absl::StatusOr<Policy> Load(const std::string& name) {
  std::ifstream file(absl::StrCat("examples/", name));
  const std::string text((std::istreambuf_iterator<char>(file)),
                         std::istreambuf_iterator<char>());
  absl::StatusOr<PolicyDocument> document = ParsePolicyJson(text, name);
  if (!document.ok()) return document.status();
  return Validate(*document);
}

TEST(Examples, AreAllValid) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("examples")) {
    if (entry.path().extension() != ".json") continue;
    ++count;
    EXPECT_THAT(Load(entry.path().filename()), IsOk()) << entry.path();
  }
  EXPECT_EQ(count, 9);
}

// The reasons to refuse what `facts` describes to the UID, by name.
std::vector<std::string> Refused(const Policy& policy, Uid uid,
                                 uint32_t facts) {
  const MapImage image = Compile(policy).value();
  const auto it = image.uids.find(uid);
  const uint64_t rules = it == image.uids.end() ? 0 : it->second.rules;
  std::vector<std::string> names;
  for (const int reason :
       ReasonSet(np_decide(&image.config, rules, facts, 0)).numbers()) {
    names.push_back(policy.ReasonName(reason));
  }
  return names;
}

TEST(Examples, DoWhatTheySay) {
  using Names = std::vector<std::string>;
  const struct {
    const char* file;
    uint32_t uid;
    Names packets;  // why its packets are refused
    Names sockets;  // why it may not make sockets
  } kRows[] = {
      {"demo.json", 10001, {}, {}},
      {"demo.json", 10002, {"uid_rule"}, {}},
      {"demo.json", 10003, {"games"}, {}},
      {"demo.json", 10004, {"dozable"}, {}},
      {"demo.json", 10005, {}, {"internet_permission"}},
      {"block_one_app.json", 10007, {"uid_rule"}, {}},
      {"block_one_app.json", 10008, {}, {}},
      {"allowlist_only.json", 0, {}, {}},
      {"allowlist_only.json", 10007, {}, {}},
      {"allowlist_only.json", 10008, {"uid_rule"}, {}},
      {"allowlist_only.json", 100000, {}, {}},
      {"allowlist_only.json", 165536, {"uid_rule"}, {}},
      {"doze.json", 10010, {}, {}},
      {"doze.json", 10012, {}, {}},
      {"doze.json", 10020, {"standby"}, {}},
      {"no_network.json", 10007, {}, {}},
      {"no_network.json", 10008, {}, {"internet_permission"}},
      {"parental_control.json", 10050, {}, {}},
      {"parental_control.json", 10052, {"uid_rule"}, {}},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(absl::StrCat(row.file, " uid ", row.uid));
    const absl::StatusOr<Policy> policy = Load(row.file);
    ASSERT_THAT(policy, IsOk());
    EXPECT_EQ(Refused(*policy, Uid{row.uid}, 0), row.packets);
    EXPECT_EQ(Refused(*policy, Uid{row.uid}, NP_FACT_LOOPBACK), row.packets);
    EXPECT_EQ(Refused(*policy, Uid{row.uid}, NP_FACT_SOCKET_CREATE),
              row.sockets);
  }
}

}  // namespace
}  // namespace netpolicy
