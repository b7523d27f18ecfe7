// SPDX-License-Identifier: Apache-2.0
//
// What this kernel and this process can do, found out by doing it, never by
// version numbers (distributions backport).

#ifndef NETPOLICY_LIBPOLICY_KERNEL_PROBE_H_
#define NETPOLICY_LIBPOLICY_KERNEL_PROBE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace netpolicy {

enum class Support : uint8_t {
  kNative,    // there
  kFallback,  // not there; something slower or coarser takes its place
  kAbsent,    // not there, and needed for what `detail` says
  kUnknown,   // could not be tried; `detail` says why
};

// "native", "fallback", "absent", "unknown".
absl::string_view SupportName(Support support);

// One row of `ndc doctor`.
struct Feature {
  std::string name;  // [a-z0-9_]+, stable
  Support support = Support::kAbsent;
  std::string detail;  // what it is good for; when it isn't there, what is
                       // wrong and what that costs
};

// Tries everything out; takes some tens of milliseconds and leaves nothing
// behind. The places are those that an engine would be opened with: `cgroup`
// empty means the root of the cgroup2 mount. Nothing is attached to it; to the
// cgroup of this process a program is, for some milliseconds, that only looks
// (EgressSeesSynAcks()). Rows are in an order to be read in. Never fails.
std::vector<Feature> ProbeFeatures(absl::string_view cgroup,
                                   absl::string_view pin_dir);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_KERNEL_PROBE_H_
