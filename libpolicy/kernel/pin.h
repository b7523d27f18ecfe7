// SPDX-License-Identifier: Apache-2.0
//
// Pins: names in a bpffs that keep maps, programs and links alive without a
// process.

#ifndef NETPOLICY_LIBPOLICY_KERNEL_PIN_H_
#define NETPOLICY_LIBPOLICY_KERNEL_PIN_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "libpolicy/base/unique_fd.h"

namespace netpolicy {

// Who may use pins: root alone (0600, directories 0700), or also a group, to
// read (0640, directories 0750).
struct PinAccess {
  absl::optional<gid_t> group;
};

// Says whether an existing directory is on a bpffs. Errors: kNotFound;
// kFailedPrecondition `open pin directory PATH: not on a bpffs (mount -t bpf
// bpf DIRECTORY)`.
absl::Status CheckOnBpfFs(absl::string_view directory);

// Makes a directory on a bpffs, unless it is there, and sets its access. Its
// parent must exist. Errors: those of CheckOnBpfFs(); kPermissionDenied.
absl::Status MakePinDirectory(const std::string& path, const PinAccess& access);

// Opens a directory, for locking.
absl::StatusOr<UniqueFd> OpenPinDirectory(const std::string& path);

// The names in a directory, sorted. Errors: kNotFound.
absl::StatusOr<std::vector<std::string>> ListPins(const std::string& directory);

// Sets the access of a pin.
absl::Status SetPinAccess(const std::string& path, const PinAccess& access);

// Gives an object a name. Errors: kAlreadyExists.
absl::Status Pin(int fd, const std::string& path, const PinAccess& access);

// Gives an object a name, whether or not another one has it now: at no time is
// there none. Goes through the name PATH + kNewPinSuffix.
absl::Status ReplacePin(int fd, const std::string& path,
                        const PinAccess& access);
inline constexpr absl::string_view kNewPinSuffix = "_new";

// Removes a name; that there is none is no error.
absl::Status Unpin(const std::string& path);

enum class PinKind : uint8_t { kMap, kProgram, kLink };

// Errors: kNotFound; kFailedPrecondition when it is a pin of another kind.
absl::StatusOr<UniqueFd> OpenPin(const std::string& path, PinKind kind);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_KERNEL_PIN_H_
