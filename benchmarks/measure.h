// SPDX-License-Identifier: Apache-2.0
//
// What the benchmarks have in common.

#ifndef NETPOLICY_BENCHMARKS_MEASURE_H_
#define NETPOLICY_BENCHMARKS_MEASURE_H_

#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace netpolicy {

// Of an odd number of values the middle one, else the higher of the two in the
// middle; 0 of none.
inline double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle =
      values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Seconds on a clock: CLOCK_MONOTONIC, or CLOCK_THREAD_CPUTIME_ID, the
// processor time of this thread, which does not grow while others run.
inline double SecondsOn(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) +
         static_cast<double>(now.tv_nsec) * 1e-9;
}

// A benchmark that can't be set up ends, with the reason and status 1.
inline void Require(const absl::Status& status) {
  if (status.ok()) return;
  fprintf(stderr, "%s\n", status.ToString().c_str());
  exit(1);
}

template <typename T>
T Require(absl::StatusOr<T> value) {
  Require(value.status());
  return *std::move(value);
}

}  // namespace netpolicy

#endif  // NETPOLICY_BENCHMARKS_MEASURE_H_
