// SPDX-License-Identifier: Apache-2.0
//
// What the engine pins, and where:
//   <pin_dir>/maps/np_*      the tables
//   <pin_dir>/programs/np_*  the programs
//   <pin_dir>/links/np_*     the programs' links to the cgroup
// A link's pin keeps its program in force; the others are for those who look.

#ifndef NETPOLICY_LIBPOLICY_ENGINE_PINS_H_
#define NETPOLICY_LIBPOLICY_ENGINE_PINS_H_

#include <linux/bpf.h>

#include <array>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/kernel/lock.h"
#include "libpolicy/kernel/pin.h"

namespace netpolicy {

struct AttachedProgram {
  absl::string_view name;  // of the program, its pin and its link's pin
  uint32_t attach_type;    // BPF_CGROUP_*
};

inline constexpr std::array<AttachedProgram, 9> kPrograms = {{
    // First what keeps the verdicts of the next two true.
    {"np_connect4", BPF_CGROUP_INET4_CONNECT},
    {"np_connect6", BPF_CGROUP_INET6_CONNECT},
    {"np_ingress", BPF_CGROUP_INET_INGRESS},
    {"np_egress", BPF_CGROUP_INET_EGRESS},
    {"np_sock_create", BPF_CGROUP_INET_SOCK_CREATE},
    {"np_sendmsg4", BPF_CGROUP_UDP4_SENDMSG},
    {"np_sendmsg6", BPF_CGROUP_UDP6_SENDMSG},
    {"np_bind4", BPF_CGROUP_INET4_BIND},
    {"np_bind6", BPF_CGROUP_INET6_BIND},
}};

// The pin directory, locked. Everything in it is done through this.
class PinDirectory {
 public:
  enum class IfAbsent : uint8_t { kMake, kFail };

  // Opens the directory and takes its lock; the directory is then the one that
  // the path names (and not one that somebody removed meanwhile). Errors:
  // kNotFound; kFailedPrecondition when not on a bpffs; kUnavailable when
  // another process keeps the lock for `timeout`.
  static absl::StatusOr<PinDirectory> Lock(const std::string& path,
                                           const PinAccess& access,
                                           IfAbsent if_absent,
                                           absl::Duration timeout);

  const std::string& path() const { return path_; }
  std::string MapPin(absl::string_view table) const;
  std::string ProgramPin(absl::string_view program) const;
  std::string LinkPin(absl::string_view program) const;

  // Makes the subdirectories, and sets the access of everything there is.
  absl::Status Prepare();

  absl::Status Pin(int fd, const std::string& pin) const {
    return netpolicy::Pin(fd, pin, access_);
  }
  absl::Status Replace(int fd, const std::string& pin) const {
    return ReplacePin(fd, pin, access_);
  }

  // kFailedPrecondition naming it when there is something that we don't make.
  absl::Status CheckNothingForeign() const;

  // Removes links, then programs, then tables, np_control last, then the
  // subdirectories. Nothing is removed when something foreign is there.
  // `removed` counts pins.
  absl::Status RemoveAll(int& removed) const;

  // Removes the directory itself; it must be empty.
  absl::Status RemoveDirectory() const;

  // After a set-up that failed: removes what there is, and the directory if
  // Lock() made it. What can't be removed the next set-up will find.
  void Undo() const;

  // Gives the descriptor with its lock away, for the engine's commits.
  UniqueFd ReleaseUnlocked() &&;

 private:
  PinDirectory(std::string path, PinAccess access, bool made, UniqueFd fd,
               DirectoryLock lock)
      : path_(std::move(path)),
        access_(access),
        made_(made),
        fd_(std::move(fd)),
        lock_(std::move(lock)) {}

  std::string path_;
  PinAccess access_;
  bool made_;
  UniqueFd fd_;  // Outlives the lock on it.
  DirectoryLock lock_;
};

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_ENGINE_PINS_H_
