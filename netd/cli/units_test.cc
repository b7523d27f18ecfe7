// SPDX-License-Identifier: Apache-2.0

#include "netd/cli/units.h"

#include <cstdint>
#include <limits>

#include "gtest/gtest.h"

namespace netpolicy::cli {
namespace {

struct Case {
  const char* name;
  uint64_t value;
  const char* want;
};

TEST(FormatBytes, RoundsDownToThreeDigits) {
  constexpr uint64_t kKi = 1024, kMi = kKi * kKi, kGi = kMi * kKi;
  const Case kCases[] = {
      {"zero", 0, "0 B"},
      {"below_the_first_unit", 1023, "1023 B"},
      {"the_first_unit", 1024, "1.00 KiB"},
      {"part", 1024 + 512, "1.50 KiB"},
      {"not_rounded_up", 10 * kKi - 1, "9.99 KiB"},
      {"two_digits", 10 * kKi + 102, "10.0 KiB"},
      {"three_digits", 123 * kKi + 1000, "123 KiB"},
      {"end_of_a_unit", kMi - 1, "1023 KiB"},
      {"the_next_unit", kMi, "1.00 MiB"},
      {"giga", 4 * kGi, "4.00 GiB"},
      {"largest", std::numeric_limits<uint64_t>::max(), "15.9 EiB"},
  };
  for (const Case& test : kCases) {
    EXPECT_EQ(FormatBytes(test.value), test.want) << test.name;
  }
}

TEST(FormatCount, ThousandsAreApart) {
  const Case kCases[] = {
      {"zero", 0, "0"},
      {"hundreds", 999, "999"},
      {"thousand", 1000, "1,000"},
      {"million", 1234567, "1,234,567"},
      {"largest", std::numeric_limits<uint64_t>::max(),
       "18,446,744,073,709,551,615"},
  };
  for (const Case& test : kCases) {
    EXPECT_EQ(FormatCount(test.value), test.want) << test.name;
  }
}

}  // namespace
}  // namespace netpolicy::cli
