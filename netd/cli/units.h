// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_CLI_UNITS_H_
#define NETPOLICY_NETD_CLI_UNITS_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace netpolicy::cli {

// Bytes for the eye, three digits at least and rounded down, so that nothing is
// shown that did not pass: "0 B", "1023 B", "1.00 KiB", "12.3 MiB", "4.00 GiB".
// Powers of 1024.
std::string FormatBytes(uint64_t bytes);

// A whole number with its thousands apart: "1,234,567".
std::string FormatCount(uint64_t count);

// "2026-11-27T10:00:00Z": in UTC, so that it means the same wherever it is
// read.
std::string FormatUtc(absl::Time time);

}  // namespace netpolicy::cli

#endif  // NETPOLICY_NETD_CLI_UNITS_H_
