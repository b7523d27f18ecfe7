// SPDX-License-Identifier: Apache-2.0
//
// The file that keeps the policy over a reboot: a policy file
// (libpolicy/model/document.h), sealed (sealed_file.h) as netpolicy-state.

#ifndef NETPOLICY_NETD_DAEMON_STATE_FILE_H_
#define NETPOLICY_NETD_DAEMON_STATE_FILE_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "libpolicy/model/policy.h"
#include "netd/daemon/sealed_file.h"

namespace netpolicy {

inline constexpr int kStateVersion = 1;

// The content of a state file for this policy. Errors: kResourceExhausted when
// the policy is too large to be read back.
absl::StatusOr<std::string> EncodeState(const Policy& policy);

// The policy in the content of a state file. Errors, as "load state PATH:
// cause": kDataLoss when it was cut off or changed; kFailedPrecondition when a
// newer netd wrote it; kInvalidArgument when the policy in it isn't valid.
absl::StatusOr<Policy> DecodeState(absl::string_view content,
                                   absl::string_view path);

// The file at a path. One process at a time should use it: FileLock.
class StateFile {
 public:
  explicit StateFile(std::string path) : path_(std::move(path)) {}

  const std::string& path() const { return path_; }

  // Unset when there is no file. Errors: as DecodeState(), and the system's.
  absl::StatusOr<absl::optional<Policy>> Load() const;

  // Writes the policy to PATH.new and waits until it is on the disk. Errors, as
  // "save state PATH: cause", after which nothing is left: the system's;
  // kResourceExhausted for a full disk or a policy that is too large.
  absl::StatusOr<StagedFile> Stage(const Policy& policy) const;

  // Stage() and Publish().
  absl::Status Save(const Policy& policy) const;

 private:
  std::string path_;
};

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_DAEMON_STATE_FILE_H_
