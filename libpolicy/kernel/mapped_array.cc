// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/kernel/mapped_array.h"

#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "libpolicy/kernel/errno_status.h"

namespace netpolicy {

absl::StatusOr<RawMapping> RawMapping::Map(const RawMap& map, size_t value_size,
                                           Access access) {
  const MapInfo& info = map.info();
  if ((info.flags & BPF_F_MMAPABLE) == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("map ", info.name, " into memory: not made for it"));
  }
  // Elements are 8 bytes apart or a multiple of it (array_map_alloc() in
  // kernel/bpf/arraymap.c), so a C array has them where the kernel has them.
  if (info.value_size != value_size || value_size % 8 != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("map ", info.name, " into memory: value of ",
                     info.value_size, " bytes, expected ", value_size));
  }
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t bytes = (value_size * info.max_entries + page - 1) / page * page;
  const int protection =
      access == Access::kReadWrite ? PROT_READ | PROT_WRITE : PROT_READ;
  void* address = mmap(nullptr, bytes, protection, MAP_SHARED, map.fd(), 0);
  if (address == MAP_FAILED) {
    return StatusFromErrno(errno,
                           absl::StrCat("map ", info.name, " into memory"));
  }
  return RawMapping(address, bytes, info.max_entries);
}

RawMapping::~RawMapping() {
  if (address_ != nullptr) munmap(address_, bytes_);
}

}  // namespace netpolicy
