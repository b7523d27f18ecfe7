// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/engine/pins.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/engine/tables.h"
#include "libpolicy/kernel/errno_status.h"
#include "libpolicy/kernel/link.h"

namespace netpolicy {
namespace {

constexpr absl::string_view kMaps = "maps";
constexpr absl::string_view kProgramsDirectory = "programs";
constexpr absl::string_view kLinks = "links";
// In the order in which they go.
constexpr absl::string_view kSubdirectories[] = {kLinks, kProgramsDirectory,
                                                 kMaps};

// Names that may be in a subdirectory; in the order in which they go.
std::vector<std::string> KnownNames(absl::string_view subdirectory) {
  std::vector<std::string> names;
  if (subdirectory == kMaps) {
    // np_control is first in kTableNames and goes last: without it, what is
    // left is known to be rubbish.
    for (size_t i = kTableNames.size(); i-- > 0;) {
      names.emplace_back(kTableNames[i]);
    }
    return names;
  }
  for (const AttachedProgram& program : kPrograms) {
    names.emplace_back(program.name);
    names.push_back(absl::StrCat(program.name, kNewPinSuffix));
  }
  return names;
}

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// An absent directory is an empty one.
absl::StatusOr<std::vector<std::string>> ListOrEmpty(const std::string& path) {
  absl::StatusOr<std::vector<std::string>> names = ListPins(path);
  if (absl::IsNotFound(names.status())) return std::vector<std::string>();
  return names;
}

bool Exists(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0;
}

bool SameDirectory(int fd, const std::string& path) {
  struct stat of_fd;
  struct stat of_path;
  return fstat(fd, &of_fd) == 0 && stat(path.c_str(), &of_path) == 0 &&
         of_fd.st_dev == of_path.st_dev && of_fd.st_ino == of_path.st_ino;
}

}  // namespace

absl::StatusOr<PinDirectory> PinDirectory::Lock(const std::string& path,
                                                const PinAccess& access,
                                                IfAbsent if_absent,
                                                absl::Duration timeout) {
  // Again, as long as somebody detaches while we wait for the lock.
  for (;;) {
    bool made = false;
    if (if_absent == IfAbsent::kMake) {
      made = !Exists(path);
      NP_RETURN_IF_ERROR(MakePinDirectory(path, access));
    } else {
      NP_RETURN_IF_ERROR(CheckOnBpfFs(path));
    }
    NP_ASSIGN_OR_RETURN(UniqueFd fd, OpenPinDirectory(path));
    NP_ASSIGN_OR_RETURN(
        DirectoryLock lock,
        DirectoryLock::Acquire(fd.get(), path, DirectoryLock::Kind::kExclusive,
                               timeout));
    if (SameDirectory(fd.get(), path)) {
      return PinDirectory(path, access, made, std::move(fd), std::move(lock));
    }
  }
}

std::string PinDirectory::MapPin(absl::string_view table) const {
  return absl::StrCat(path_, "/", kMaps, "/", table);
}

std::string PinDirectory::ProgramPin(absl::string_view program) const {
  return absl::StrCat(path_, "/", kProgramsDirectory, "/", program);
}

std::string PinDirectory::LinkPin(absl::string_view program) const {
  return absl::StrCat(path_, "/", kLinks, "/", program);
}

absl::Status PinDirectory::Prepare() {
  for (absl::string_view subdirectory : kSubdirectories) {
    const std::string path = absl::StrCat(path_, "/", subdirectory);
    NP_RETURN_IF_ERROR(MakePinDirectory(path, access_));
    NP_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListPins(path));
    const std::vector<std::string> known = KnownNames(subdirectory);
    for (const std::string& name : names) {
      if (Contains(known, name)) {
        NP_RETURN_IF_ERROR(
            SetPinAccess(absl::StrCat(path, "/", name), access_));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status PinDirectory::CheckNothingForeign() const {
  NP_ASSIGN_OR_RETURN(const std::vector<std::string> top, ListOrEmpty(path_));
  std::string foreign;
  for (const std::string& name : top) {
    const auto subdirectory =
        std::find(std::begin(kSubdirectories), std::end(kSubdirectories), name);
    if (subdirectory == std::end(kSubdirectories)) {
      foreign = name;
      break;
    }
    const std::vector<std::string> known = KnownNames(*subdirectory);
    NP_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                        ListOrEmpty(absl::StrCat(path_, "/", name)));
    for (const std::string& pin : names) {
      if (!Contains(known, pin)) foreign = absl::StrCat(name, "/", pin);
    }
  }
  if (foreign.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("remove pins in ", path_, ": holds ", foreign,
                   ", which this version does not make"));
}

absl::Status PinDirectory::RemoveAll(int& removed) const {
  NP_RETURN_IF_ERROR(CheckNothingForeign());
  for (absl::string_view subdirectory : kSubdirectories) {
    const std::string path = absl::StrCat(path_, "/", subdirectory);
    NP_ASSIGN_OR_RETURN(const std::vector<std::string> present,
                        ListOrEmpty(path));
    for (const std::string& name : KnownNames(subdirectory)) {
      if (!Contains(present, name)) continue;
      const std::string pin = absl::StrCat(path, "/", name);
      if (subdirectory == kLinks) {
        NP_ASSIGN_OR_RETURN(const UniqueFd link, OpenPin(pin, PinKind::kLink));
        NP_RETURN_IF_ERROR(DetachLink(link.get(), name));
      }
      NP_RETURN_IF_ERROR(Unpin(pin));
      ++removed;
    }
    if (rmdir(path.c_str()) != 0 && errno != ENOENT) {
      return StatusFromErrno(errno, absl::StrCat("remove directory ", path));
    }
  }
  return absl::OkStatus();
}

absl::Status PinDirectory::RemoveDirectory() const {
  if (rmdir(path_.c_str()) != 0 && errno != ENOENT) {
    return StatusFromErrno(errno, absl::StrCat("remove directory ", path_));
  }
  return absl::OkStatus();
}

void PinDirectory::Undo() const {
  int removed = 0;
  if (RemoveAll(removed).ok() && made_) RemoveDirectory().IgnoreError();
}

UniqueFd PinDirectory::ReleaseUnlocked() && {
  { const DirectoryLock unlock = std::move(lock_); }
  return std::move(fd_);
}

}  // namespace netpolicy
