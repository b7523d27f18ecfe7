// SPDX-License-Identifier: Apache-2.0
//
// What `ndc doctor` shows: what this kernel and machine offer, what is missing
// and what that costs. Where netd runs, as far as netd sees it, that is with
// its capabilities and in its namespaces, which are what counts.

#ifndef NETPOLICY_NETD_SERVICE_DOCTOR_H_
#define NETPOLICY_NETD_SERVICE_DOCTOR_H_

#include <string>
#include <vector>

namespace netpolicy {

struct DoctorFinding {
  enum class State {
    kUnknown,  // could not be found out; `detail` says why
    kPresent,
    kFallback,  // not there, but something else does its work
    kMissing,
  };
  std::string name;  // "kernel", "btf", "unprivileged_bpf_disabled", ...
  State state = State::kUnknown;
  std::string detail;  // what was seen
  std::string cost;    // what is lost by what was seen; empty: nothing
};

using DoctorReport = std::vector<DoctorFinding>;

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_SERVICE_DOCTOR_H_
