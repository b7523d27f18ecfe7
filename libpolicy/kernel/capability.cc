// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/kernel/capability.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace netpolicy {

std::vector<std::string> MissingBpfCapabilities() {
  __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3,
                                     .pid = 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  uint64_t effective = 0;
  if (syscall(SYS_capget, &header, data) == 0) {
    effective = uint64_t{data[1].effective} << 32 | data[0].effective;
  }
  const auto has = [effective](int capability) {
    return (effective >> capability & 1) != 0;
  };
  std::vector<std::string> missing;
  if (!has(CAP_BPF) && !has(CAP_SYS_ADMIN)) missing.emplace_back("CAP_BPF");
  if (!has(CAP_NET_ADMIN)) missing.emplace_back("CAP_NET_ADMIN");
  if (!has(CAP_PERFMON) && !has(CAP_SYS_ADMIN)) {
    missing.emplace_back("CAP_PERFMON");
  }
  return missing;
}

absl::Status CheckBpfCapabilities(absl::string_view operation) {
  const std::vector<std::string> missing = MissingBpfCapabilities();
  if (missing.empty()) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat(operation, ": needs ", absl::StrJoin(missing, " and ")));
}

}  // namespace netpolicy
