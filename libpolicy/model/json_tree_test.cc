#include "libpolicy/model/json_tree.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy {
namespace {

using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::StatusIs;
using ::testing::HasSubstr;

constexpr JsonTree::Limits kLimits = {1000, 4, 20};

// "POSITION VALUE" of every node, in order.
std::string Dump(const JsonTree& tree) {
  std::string text;
  for (const JsonNode& node : tree.nodes()) {
    absl::StrAppend(&text, tree.Position(node), " ", tree.Describe(node), "\n");
  }
  return text;
}

TEST(JsonTree, KnowsWhereEverythingIs) {
  const absl::string_view text =
      "\xef\xbb\xbf// a comment, with : and [\n"
      " /* and\n  another ** */ {\"a\" :[1,-2 ,3.5e1, true]\n"
      "\t, \"b\\\"}\": {\"c\":null}, // \"d\": 1\r\n"
      "\"\\u00e4\":\"x\\\\\",\"e\":{}}/* end */";
  const absl::StatusOr<JsonTree> tree = JsonTree::Parse(text, "x", kLimits);
  ASSERT_THAT(tree, IsOk());
  EXPECT_EQ(Dump(*tree),
            "3:17 an object\n"
            "3:18 \"a\"\n"
            "3:23 an array\n"
            "3:24 1\n"
            "3:26 -2\n"
            "3:30 3.5e1\n"
            "3:37 true\n"
            "4:4 \"b\\\"}\"\n"
            "4:12 an object\n"
            "4:13 \"c\"\n"
            "4:17 null\n"
            "5:1 \"\\xc3\\xa4\"\n"
            "5:10 \"x\\\\\"\n"
            "5:16 \"e\"\n"
            "5:20 an object\n");
  EXPECT_EQ(tree->nodes()[2].next, 7u);
  EXPECT_EQ(tree->nodes()[0].next, 15u);
}

TEST(JsonTree, SaysWhereTheTextIsNotJson) {
  const struct {
    absl::string_view text;
    absl::string_view message;
  } kRows[] = {
      {"",
       "x:1:1: syntax error while parsing value - unexpected end of input; "
       "expected '[', '{', or a literal"},
      {"// nothing\n",
       "x:2:1: syntax error while parsing value - unexpected end of input; "
       "expected '[', '{', or a literal"},
      {"{\n  \"a\": 1,\n}",
       "x:3:1: syntax error while parsing object key - unexpected '}'; "
       "expected string literal"},
      {"{\"a\" 1}",
       "x:1:6: syntax error while parsing object separator - unexpected number "
       "literal; expected ':'"},
      {"[1 2]",
       "x:1:4: syntax error while parsing array - unexpected number literal; "
       "expected ']'"},
      {"[1]\n\n [2]",
       "x:3:2: syntax error while parsing value - unexpected '['; expected end "
       "of input"},
      {"[\"a\nb\"]",
       "x:1:4: syntax error while parsing value - invalid string: control "
       "character U+000A (LF) must be escaped to \\u000A or \\n"},
      {"[\"a",
       "x:1:4: syntax error while parsing value - invalid string: missing "
       "closing quote"},
      {"[\"\xff\"]",
       "x:1:3: syntax error while parsing value - invalid string: ill-formed "
       "UTF-8 byte"},
      {"[01]",
       "x:1:3: syntax error while parsing array - unexpected number literal; "
       "expected ']'"},
      {"[tru]", "x:1:5: syntax error while parsing value - invalid literal"},
      {"[1, /* never ends",
       "x:1:18: syntax error while parsing value - invalid comment; missing "
       "closing '*/'"},
      {"[,1]",
       "x:1:2: syntax error while parsing value - unexpected ','; expected "
       "'[', '{', or a literal"},
      {"[1,]",
       "x:1:4: syntax error while parsing value - unexpected ']'; expected "
       "'[', '{', or a literal"},
      {"[1e999]", "x:1:2: number overflow parsing '1e999'"},
  };
  for (const auto& row : kRows) {
    EXPECT_THAT(
        JsonTree::Parse(row.text, "x", kLimits),
        StatusIs(absl::StatusCode::kInvalidArgument, std::string(row.message)))
        << row.text;
  }
  EXPECT_THAT(
      JsonTree::Parse(absl::string_view("[1]\0]", 5), "x", kLimits),
      StatusIs(absl::StatusCode::kInvalidArgument, "x:1:4: a NUL byte"));
}

TEST(JsonTree, HasLimits) {
  EXPECT_THAT(JsonTree::Parse(std::string(1001, ' '), "x", kLimits),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "x:1:1: 1001 bytes, at most 1000 allowed"));
  EXPECT_THAT(JsonTree::Parse("[[[{}]]]", "x", kLimits), IsOk());
  EXPECT_THAT(JsonTree::Parse("[[[{\"a\":[", "x", kLimits),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "x:1:9: more than 4 arrays and objects in each other"));
  std::string text = "[1";
  for (int i = 0; i < 18; ++i) text += ",1";
  EXPECT_THAT(JsonTree::Parse(text + "]", "x", kLimits), IsOk());
  EXPECT_THAT(JsonTree::Parse(text + ",1]", "x", kLimits),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("x:1:40: more than 20 values and names")));
}

}  // namespace
}  // namespace netpolicy
