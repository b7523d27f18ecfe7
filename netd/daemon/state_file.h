// SPDX-License-Identifier: Apache-2.0
//
// The file that keeps the policy over a reboot. A line
//   netpolicy-state VERSION crc32=CHECKSUM length=BYTES
// and then so many bytes of a policy file (libpolicy/model/document.h). The
// checksum is zlib's crc32 of those bytes, eight hexadecimal digits.

#ifndef NETPOLICY_NETD_DAEMON_STATE_FILE_H_
#define NETPOLICY_NETD_DAEMON_STATE_FILE_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/model/policy.h"

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

// A new content that is on the disk beside the old one. Until Publish() the old
// one is what counts; without it the new one is removed again.
class StagedState {
 public:
  StagedState(StagedState&& other) noexcept
      : path_(std::move(other.path_)),
        staged_(std::exchange(other.staged_, {})) {}
  StagedState& operator=(StagedState&&) = delete;
  ~StagedState();

  // Makes the new content the file's, for good when it returns OK. After an
  // error either content may be the file's. Errors, as "save state PATH:
  // cause": the system's.
  absl::Status Publish();

 private:
  friend class StateFile;
  StagedState(std::string path, std::string staged)
      : path_(std::move(path)), staged_(std::move(staged)) {}

  std::string path_;
  std::string staged_;  // empty: nothing to remove
};

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
  absl::StatusOr<StagedState> Stage(const Policy& policy) const;

  // Stage() and Publish().
  absl::Status Save(const Policy& policy) const;

 private:
  std::string path_;
};

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_DAEMON_STATE_FILE_H_
