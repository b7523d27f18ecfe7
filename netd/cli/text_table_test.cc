// SPDX-License-Identifier: Apache-2.0

#include "netd/cli/text_table.h"

#include <string>

#include "gtest/gtest.h"

namespace netpolicy::cli {
namespace {

TEST(TextTable, ColumnsAreAsWideAsTheirWidestCell) {
  TextTable table({{"uid", TextTable::kRight}, {"user"}, {"state"}});
  table.AddRow({"7", "alice", "on"});
  table.AddRow({"10007", "b", "off"});
  EXPECT_EQ(table.ToString(Colour::kNever),
            "  UID  USER   STATE\n"
            "    7  alice  on\n"
            "10007  b      off\n");
}

TEST(TextTable, NoBlanksAtTheEndOfALine) {
  TextTable table({{"a"}, {"bbbb"}, {"c", TextTable::kRight}});
  table.AddRow({"1", "", ""});
  table.AddRow({"1", "2"});
  table.AddRow({});
  EXPECT_EQ(table.ToString(Colour::kNever), "A  BBBB  C\n1\n1  2\n\n");
}

TEST(TextTable, WithoutTitlesThereIsNoHeader) {
  TextTable table({{""}, {""}});
  table.AddRow({"generation", "12"});
  table.AddRow({"pins", "/x"});
  EXPECT_EQ(table.ToString(Colour::kNever, 2),
            "  generation  12\n  pins        /x\n");
}

TEST(TextTable, WidthCountsCharactersNotBytes) {
  TextTable table({{""}, {""}});
  table.AddRow({"J\xc3\xb6rg", "1"});
  table.AddRow({"Anna", "2"});
  EXPECT_EQ(table.ToString(Colour::kNever), "J\xc3\xb6rg  1\nAnna  2\n");
}

TEST(TextTable, ColourDoesNotChangeTheColumns) {
  TextTable table({{""}, {""}});
  table.AddRow({{"no", Ink::kBad}, "1"});
  table.AddRow({"long", "2"});
  EXPECT_EQ(table.ToString(Colour::kAnsi),
            "\x1b[1;31mno\x1b[0m    1\nlong  2\n");
}

TEST(Paint, ColourNeverLeavesTheTextAlone) {
  EXPECT_EQ(Paint("allowed", Ink::kGood, Colour::kNever), "allowed");
  EXPECT_EQ(Paint("allowed", Ink::kGood, Colour::kAnsi),
            "\x1b[32mallowed\x1b[0m");
  EXPECT_EQ(Paint("", Ink::kGood, Colour::kAnsi), "");
}

struct PrintableCase {
  const char* name;
  std::string text;
  std::string want;
};

TEST(Printable, WhatCouldMoveACursorIsEscaped) {
  const PrintableCase kCases[] = {
      {"plain", "eth0", "eth0"},
      {"utf8", "J\xc3\xb6rg \xe2\x82\xac \xf0\x9f\x98\x80",
       "J\xc3\xb6rg \xe2\x82\xac \xf0\x9f\x98\x80"},
      {"escape", "\x1b[2J", "\\x1b[2J"},
      {"newline_and_delete", "a\nb\x7f", "a\\x0ab\\x7f"},
      {"c1_control",
       "\xc2\x9b"
       "31m",
       "\\xc2\\x9b31m"},
      {"stray_continuation", "\x80x", "\\x80x"},
      {"cut_off", "a\xe2\x82", "a\\xe2\\x82"},
      {"overlong", "\xc0\xaf\xe0\x80\xaf", "\\xc0\\xaf\\xe0\\x80\\xaf"},
      {"surrogate", "\xed\xa0\x80", "\\xed\\xa0\\x80"},
      {"beyond_unicode", "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},
      {"nul", std::string("a\0b", 3), "a\\x00b"},
  };
  for (const PrintableCase& test : kCases) {
    EXPECT_EQ(Printable(test.text), test.want) << test.name;
  }
}

}  // namespace
}  // namespace netpolicy::cli
