// SPDX-License-Identifier: Apache-2.0
//
// The calling thread's capabilities.

#ifndef NETPOLICY_LIBPOLICY_KERNEL_CAPABILITY_H_
#define NETPOLICY_LIBPOLICY_KERNEL_CAPABILITY_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace netpolicy {

// Those of CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON that the calling thread
// lacks; CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON.
std::vector<std::string> MissingBpfCapabilities();

// kPermissionDenied `OPERATION: needs CAP_BPF and CAP_PERFMON` when one is
// missing.
absl::Status CheckBpfCapabilities(absl::string_view operation);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_KERNEL_CAPABILITY_H_
