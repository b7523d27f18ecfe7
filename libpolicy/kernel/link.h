// SPDX-License-Identifier: Apache-2.0
//
// Programs and their links to a cgroup.
//
// A link holds a program at a hook of a cgroup for as long as somebody holds
// the link: a descriptor or a pin. Several links can be at one hook; a packet
// passes when all of them let it pass (cgroup_bpf_link_attach() in
// kernel/bpf/cgroup.c).

#ifndef NETPOLICY_LIBPOLICY_KERNEL_LINK_H_
#define NETPOLICY_LIBPOLICY_KERNEL_LINK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libpolicy/base/unique_fd.h"

namespace netpolicy {

// What the kernel says of a program (struct bpf_prog_info).
struct ProgramInfo {
  std::string name;
  uint32_t id = 0;
  uint32_t type = 0;  // BPF_PROG_TYPE_*
  std::string tag;    // hash of the instructions before verification, maps left
                      // out; hexadecimal
  uint32_t xlated_bytes = 0;
  uint32_t jited_bytes = 0;  // 0: not compiled to machine code, or not allowed
                             // to know
  uint32_t verified_instructions = 0;  // that the verifier looked at; 0: the
                                       // kernel (before 5.16) does not say
  std::vector<uint32_t> map_ids;
};

absl::StatusOr<ProgramInfo> ReadProgramInfo(int fd);

// A descriptor of the program with this id. Errors: kNotFound,
// kPermissionDenied (needs CAP_SYS_ADMIN).
absl::StatusOr<UniqueFd> OpenProgramById(uint32_t id);

// What the kernel says of a cgroup link (struct bpf_link_info).
struct CgroupLinkInfo {
  uint32_t id = 0;
  uint32_t program_id = 0;
  uint64_t cgroup_id = 0;    // 0: the cgroup is gone, and the link does nothing
  uint32_t attach_type = 0;  // BPF_CGROUP_*
};

// Errors: kFailedPrecondition when it is a link of another kind.
absl::StatusOr<CgroupLinkInfo> ReadCgroupLinkInfo(int fd);

// Attaches a program to a cgroup directory. `name` is for the message. Errors:
// kPermissionDenied (needs CAP_NET_ADMIN); kFailedPrecondition where somebody
// attached a program that allows no others beside it.
absl::StatusOr<UniqueFd> CreateCgroupLink(int program_fd, int cgroup_fd,
                                          uint32_t attach_type,
                                          absl::string_view name);

// Replaces the program of a link; every packet is judged by the one or the
// other.
absl::Status UpdateLink(int link_fd, int program_fd, absl::string_view name);

// Takes the link's program out of its hook, before this returns and whoever
// else holds the link. Letting go of the last descriptor or pin does so later,
// from a kernel worker (bpf_link_put() in kernel/bpf/syscall.c). OK when it is
// out already.
absl::Status DetachLink(int link_fd, absl::string_view name);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_KERNEL_LINK_H_
