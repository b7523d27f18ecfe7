// SPDX-License-Identifier: Apache-2.0
//
// A private bpffs for pins.
//
//   auto bpffs = BpfFs::Mount();
//   ASSERT_THAT(bpffs, IsOk());
//   bpf_obj_pin(map_fd, bpffs->File("uid_policy").c_str());

#ifndef NETPOLICY_LIBPOLICY_TESTING_BPF_FS_H_
#define NETPOLICY_LIBPOLICY_TESTING_BPF_FS_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libpolicy/testing/janitor.h"
#include "libpolicy/testing/scratch_dir.h"

namespace netpolicy::testing {

// A bpffs of its own, mounted on a scratch directory. The destructor (or the
// janitor) unlinks all pins, so that even a copy of the mount in another mount
// namespace keeps nothing attached, and unmounts. Needs CAP_SYS_ADMIN. Movable;
// not thread-safe.
class BpfFs {
 public:
  // Mode 0700 on the mount's root.
  static absl::StatusOr<BpfFs> Mount();

  BpfFs(BpfFs&&) = default;
  BpfFs& operator=(BpfFs&& other) noexcept {
    std::swap(directory_, other.directory_);
    std::swap(ticket_, other.ticket_);
    return *this;
  }
  ~BpfFs();

  // The mount point, absolute.
  const std::string& path() const { return directory_.path(); }

  // "<path>/<name>"; nothing is created.
  std::string File(absl::string_view name) const {
    return directory_.File(name);
  }

 private:
  BpfFs(ScratchDir directory, JanitorTicket ticket)
      : directory_(std::move(directory)), ticket_(std::move(ticket)) {}

  ScratchDir directory_;  // Outlives the mount on it.
  JanitorTicket ticket_;
};

}  // namespace netpolicy::testing

#endif  // NETPOLICY_LIBPOLICY_TESTING_BPF_FS_H_
