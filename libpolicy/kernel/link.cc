// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/kernel/link.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <cerrno>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "libpolicy/kernel/errno_status.h"

namespace netpolicy {

absl::StatusOr<ProgramInfo> ReadProgramInfo(int fd) {
  // The first call says how many maps there are, the second which ones.
  bpf_prog_info info = {};
  uint32_t size = sizeof(info);
  std::vector<uint32_t> map_ids;
  for (int pass = 0; pass < 2; ++pass) {
    const uint32_t maps = info.nr_map_ids;
    map_ids.resize(maps);
    info = {};
    info.nr_map_ids = maps;
    info.map_ids = reinterpret_cast<uint64_t>(map_ids.data());
    size = sizeof(info);
    if (bpf_obj_get_info_by_fd(fd, &info, &size) != 0) {
      return BpfStatusFromErrno(errno, "read program info", "CAP_BPF");
    }
  }
  return ProgramInfo{
      .name = info.name,
      .id = info.id,
      .type = info.type,
      .tag = absl::BytesToHexString(absl::string_view(
          reinterpret_cast<const char*>(info.tag), sizeof(info.tag))),
      .xlated_bytes = info.xlated_prog_len,
      .jited_bytes = info.jited_prog_len,
      .verified_instructions = info.verified_insns,
      .map_ids = std::move(map_ids)};
}

absl::StatusOr<UniqueFd> OpenProgramById(uint32_t id) {
  UniqueFd fd(bpf_prog_get_fd_by_id(id));
  if (!fd.ok()) {
    return BpfStatusFromErrno(errno, absl::StrCat("open program ", id),
                              "CAP_SYS_ADMIN");
  }
  return fd;
}

absl::StatusOr<CgroupLinkInfo> ReadCgroupLinkInfo(int fd) {
  bpf_link_info info = {};
  uint32_t size = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd, &info, &size) != 0) {
    return BpfStatusFromErrno(errno, "read link info", "CAP_BPF");
  }
  if (info.type != BPF_LINK_TYPE_CGROUP) {
    return absl::FailedPreconditionError(
        absl::StrCat("read link info: a link of type ", info.type,
                     ", expected one to a cgroup"));
  }
  return CgroupLinkInfo{.id = info.id,
                        .program_id = info.prog_id,
                        .cgroup_id = info.cgroup.cgroup_id,
                        .attach_type = info.cgroup.attach_type};
}

absl::StatusOr<UniqueFd> CreateCgroupLink(int program_fd, int cgroup_fd,
                                          uint32_t attach_type,
                                          absl::string_view name) {
  UniqueFd fd(bpf_link_create(program_fd, cgroup_fd,
                              static_cast<bpf_attach_type>(attach_type),
                              nullptr));
  if (fd.ok()) return fd;
  const std::string operation = absl::StrCat("attach ", name);
  const int error = errno;
  if (error == EPERM) {
    // hierarchy_allows_attach(): an ancestor holds a program without
    // BPF_F_ALLOW_MULTI or BPF_F_ALLOW_OVERRIDE. The same number as for a
    // missing capability.
    return StatusFromErrno(
        error, operation,
        "needs CAP_NET_ADMIN, and no program in the way that "
        "was attached as the only one");
  }
  if (error == EINVAL) {
    return absl::FailedPreconditionError(
        operation + ": not supported by this kernel (cgroup links: Linux 5.7)");
  }
  return StatusFromErrno(error, operation);
}

absl::Status UpdateLink(int link_fd, int program_fd, absl::string_view name) {
  if (bpf_link_update(link_fd, program_fd, nullptr) == 0) {
    return absl::OkStatus();
  }
  const int error = errno;
  const std::string operation = absl::StrCat("update link ", name);
  if (error == ENOLINK) {
    return absl::NotFoundError(operation + ": its cgroup is gone");
  }
  return BpfStatusFromErrno(error, operation, "CAP_NET_ADMIN");
}

absl::Status DetachLink(int link_fd, absl::string_view name) {
  if (bpf_link_detach(link_fd) == 0 || errno == ENOLINK) {
    return absl::OkStatus();
  }
  return BpfStatusFromErrno(errno, absl::StrCat("detach link ", name),
                            "CAP_NET_ADMIN");
}

}  // namespace netpolicy
