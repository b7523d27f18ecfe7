// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/testing/bpf_fs.h"

#include <sys/mount.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/testing/errno_status.h"

namespace netpolicy::testing {

absl::StatusOr<BpfFs> BpfFs::Mount() {
  NP_ASSIGN_OR_RETURN(ScratchDir directory, ScratchDir::Create());
  NP_ASSIGN_OR_RETURN(JanitorTicket ticket,
                      JanitorTicket::ForMount(directory.path()));
  if (mount("bpf", directory.path().c_str(), "bpf",
            MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") != 0) {
    return ErrnoStatus(errno, absl::StrCat("mount bpffs ", directory.path()));
  }
  return BpfFs(std::move(directory), std::move(ticket));
}

BpfFs::~BpfFs() {
  if (ticket_.owns() && !RemoveBpfFsMount(path()).ok()) ticket_.Abandon();
}

}  // namespace netpolicy::testing
