// SPDX-License-Identifier: Apache-2.0

// The examples in the documentation are true.

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/model/edit.h"
#include "libpolicy/model/explain.h"
#include "libpolicy/testing/status_matchers.h"
#include "netd/cli/policy_file.h"

namespace netpolicy::cli {
namespace {

using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::SizeIs;

struct Block {
  std::string kind;  // what stands behind ```
  std::string text;
};

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  return std::string((std::istreambuf_iterator<char>(file)),
                     std::istreambuf_iterator<char>());
}

std::vector<Block> CodeBlocks(const std::string& markdown) {
  std::vector<Block> blocks;
  bool inside = false;
  for (absl::string_view line : absl::StrSplit(markdown, '\n')) {
    if (absl::StartsWith(line, "```")) {
      inside = !inside;
      if (inside) blocks.push_back({std::string(line.substr(3)), ""});
    } else if (inside) {
      absl::StrAppend(&blocks.back().text, line, "\n");
    }
  }
  return blocks;
}

TEST(PolicyLanguage, TheExamplesAreTrue) {
  const std::vector<Block> blocks =
      CodeBlocks(ReadAll("docs/policy_language.md"));
  ASSERT_THAT(blocks, SizeIs(8));
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (blocks[i].kind != "jsonc") continue;
    SCOPED_TRACE(blocks[i].text);
    const absl::StatusOr<Policy> policy =
        ParsePolicyFile(blocks[i].text, "policy.json");
    if (i + 1 < blocks.size() && blocks[i + 1].kind == "text") {
      EXPECT_THAT(policy, StatusIs(absl::StatusCode::kInvalidArgument));
      EXPECT_EQ(absl::StrCat(policy.status().message(), "\n"),
                blocks[i + 1].text);
    } else {
      EXPECT_THAT(policy, IsOk());
    }
  }
}

TEST(Readme, ThePolicyHasTheEffectThatIsShown) {
  const std::vector<Block> blocks = CodeBlocks(ReadAll("README.md"));
  ASSERT_THAT(blocks, SizeIs(2));
  const absl::StatusOr<Policy> policy =
      ParsePolicyFile(blocks[0].text, "policy.json");
  ASSERT_THAT(policy, IsOk());
  EXPECT_THAT(blocks[1].text,
              HasSubstr(DeltaToText(Policy(), Diff(Policy(), *policy))));
  EXPECT_THAT(blocks[1].text,
              HasSubstr(absl::StrCat(
                  "  sending packets  blocked  bedtime: ",
                  ExplainReason(*policy, Uid{10050},
                                policy->FindChain("bedtime")->number),
                  "\n")));
}

}  // namespace
}  // namespace netpolicy::cli
