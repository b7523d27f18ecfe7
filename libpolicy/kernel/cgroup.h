// SPDX-License-Identifier: Apache-2.0
//
// cgroup v2 directories.

#ifndef NETPOLICY_LIBPOLICY_KERNEL_CGROUP_H_
#define NETPOLICY_LIBPOLICY_KERNEL_CGROUP_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libpolicy/base/unique_fd.h"

namespace netpolicy {

// Where cgroup v2 is mounted, from /proc/self/mounts; the first mount when
// there are several. Errors: kNotFound.
absl::StatusOr<std::string> FindCgroup2Mount();

// The same from a text in the form of /proc/self/mounts.
absl::StatusOr<std::string> FindCgroup2MountIn(absl::string_view mounts);

// An open cgroup v2 directory.
struct Cgroup {
  std::string path;
  UniqueFd fd;
  uint64_t id = 0;  // as in bpf_link_info and bpf_get_current_cgroup_id()
};

// Errors: kNotFound; kInvalidArgument when it is not a directory;
// kFailedPrecondition `open cgroup PATH: not a cgroup v2 directory`.
absl::StatusOr<Cgroup> OpenCgroup(absl::string_view path);

// The ids of the cgroups below `path`, at any depth; those that are removed or
// made meanwhile may be missing. Errors: those of opening `path`.
absl::StatusOr<std::vector<uint64_t>> CgroupIdsBelow(absl::string_view path);

// The path of a cgroup below `mount`, for messages; "cgroup id N" when it can't
// be found out.
std::string CgroupName(absl::string_view mount, uint64_t id);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_KERNEL_CGROUP_H_
