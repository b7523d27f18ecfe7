// SPDX-License-Identifier: Apache-2.0

#include "netd/cli/units.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace netpolicy::cli {

std::string FormatBytes(uint64_t bytes) {
  static constexpr const char* kUnits[] = {"KiB", "MiB", "GiB",
                                           "TiB", "PiB", "EiB"};
  if (bytes < 1024) return absl::StrCat(bytes, " B");
  int unit = 0;
  uint64_t rest = bytes;
  while (rest >= uint64_t{1024} * 1024) {
    rest >>= 10;
    ++unit;
  }
  // rest is the size in 1/1024 of the unit. Integers round down; a double would
  // round up at the end of a unit ("1024 KiB").
  const uint64_t whole = rest >> 10;
  const uint64_t part = rest & 1023;
  if (whole < 10) {
    return absl::StrFormat("%d.%02d %s", whole, part * 100 >> 10, kUnits[unit]);
  }
  if (whole < 100) {
    return absl::StrFormat("%d.%d %s", whole, part * 10 >> 10, kUnits[unit]);
  }
  return absl::StrFormat("%d %s", whole, kUnits[unit]);
}

std::string FormatCount(uint64_t count) {
  std::string digits = absl::StrCat(count);
  for (int i = static_cast<int>(digits.size()) - 3; i > 0; i -= 3) {
    digits.insert(i, 1, ',');
  }
  return digits;
}

std::string FormatUtc(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

}  // namespace netpolicy::cli
