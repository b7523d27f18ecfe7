// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/testing/scratch_dir.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/testing/errno_status.h"

namespace netpolicy::testing {

absl::StatusOr<ScratchDir> ScratchDir::Create() {
  const char* tmpdir = getenv("TMPDIR");
  const absl::string_view base =
      tmpdir != nullptr && tmpdir[0] == '/' ? tmpdir : "/tmp";
  static unsigned counter = 0;
  while (true) {
    std::string path =
        absl::StrCat(base, "/netpolicy-test-", getpid(), "-", ++counter);
    // What a process of this number left behind in the past isn't ours to
    // delete, so nothing is registered that already exists.
    if (access(path.c_str(), F_OK) == 0) continue;
    NP_ASSIGN_OR_RETURN(JanitorTicket ticket,
                        JanitorTicket::ForDirectory(path));
    if (mkdir(path.c_str(), 0755) == 0) {
      chmod(path.c_str(), 0755);  // Whatever the umask says.
      return ScratchDir(std::move(path), std::move(ticket));
    }
    if (errno != EEXIST)
      return ErrnoStatus(errno, absl::StrCat("create directory ", path));
  }
}

std::string ScratchDir::File(absl::string_view name) const {
  return absl::StrCat(path_, "/", name);
}

void ScratchDir::Remove() {
  if (ticket_.owns() && !RemoveTree(path_).ok()) ticket_.Abandon();
}

}  // namespace netpolicy::testing
