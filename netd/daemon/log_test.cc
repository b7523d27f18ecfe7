// SPDX-License-Identifier: Apache-2.0

#include "netd/daemon/log.h"

#include <string>

#include "gtest/gtest.h"

namespace netpolicy {
namespace {

TEST(Log, IsOneLineOfKeysAndValues) {
  EXPECT_EQ(FormatLogLine("ready", {}), "event=ready\n");
  EXPECT_EQ(FormatLogLine("commit", {{"uid", 0}, {"generation", uint64_t{5}}}),
            "event=commit uid=0 generation=5\n");
}

TEST(Log, ValuesCannotForgeKeysOrLines) {
  const struct {
    const char* name;
    std::string value;
    std::string line;
  } kRows[] = {
      {"plain", "/sys/fs/bpf", "event=e k=/sys/fs/bpf\n"},
      {"empty", "", "event=e k=\"\"\n"},
      {"blank", "a b", "event=e k=\"a b\"\n"},
      {"newline", "a\nevent=x", "event=e k=\"a\\nevent=x\"\n"},
      {"quote", "a\"b", "event=e k=\"a\\\"b\"\n"},
      {"equals", "a=b", "event=e k=\"a=b\"\n"},
      {"backslash", "a\\b", "event=e k=\"a\\\\b\"\n"},
      {"control", "a\x1b[2J", "event=e k=\"a\\033[2J\"\n"},
      {"not ASCII", "\xc3\xa9", "event=e k=\"\\303\\251\"\n"},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(FormatLogLine("e", {{"k", row.value}}), row.line) << row.name;
  }
}

}  // namespace
}  // namespace netpolicy
