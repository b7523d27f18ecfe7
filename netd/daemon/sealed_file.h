// SPDX-License-Identifier: Apache-2.0
//
// Files that are there whole, or tell that they are not. A line
//   MAGIC VERSION crc32=CHECKSUM length=BYTES
// and then so many bytes. The checksum is zlib's crc32 of those bytes, eight
// hexadecimal digits.

#ifndef NETPOLICY_NETD_DAEMON_SEALED_FILE_H_
#define NETPOLICY_NETD_DAEMON_SEALED_FILE_H_

#include <cstddef>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace netpolicy {

// Of one kind of file.
struct Seal {
  const char* magic;    // "netpolicy-state"
  int version;          // the newest that is known
  const char* what;     // "state", in "load state PATH: cause"
  const char* what_of;  // "a state file of netd", in "not ..."
};

// Longer is no first line.
inline constexpr size_t kMaxSealBytes = 128;

// The content of a file with these bytes.
std::string SealBytes(const Seal& seal, absl::string_view body);

// The bytes in the content of a file, which they are part of. Errors, as "load
// WHAT PATH: cause": kDataLoss when it was cut off or changed;
// kFailedPrecondition when the version is newer.
absl::StatusOr<absl::string_view> UnsealBytes(const Seal& seal,
                                              absl::string_view content,
                                              absl::string_view path);

// The content of a file of at most so many bytes of body; unset when there is
// none. Errors, as "load WHAT PATH: cause": the system's; kInvalidArgument when
// it is larger or not a file.
absl::StatusOr<absl::optional<std::string>> ReadSealed(const Seal& seal,
                                                       const std::string& path,
                                                       size_t max_bytes);

// A new content that is on the disk beside the old one. Until Publish() the old
// one is what counts; without it the new one is removed again.
class StagedFile {
 public:
  // Writes the content to PATH.new, for its owner alone, and waits until it is
  // on the disk. Errors, as "save WHAT PATH: cause", after which nothing is
  // left: the system's; kResourceExhausted for a full disk.
  static absl::StatusOr<StagedFile> Stage(const Seal& seal,
                                          const std::string& path,
                                          absl::string_view content);

  StagedFile(StagedFile&& other) noexcept
      : what_(other.what_),
        path_(std::move(other.path_)),
        staged_(std::exchange(other.staged_, {})) {}
  StagedFile& operator=(StagedFile&&) = delete;
  ~StagedFile();

  // Makes the new content the file's, for good when it returns OK. After an
  // error either content may be the file's. Errors, as "save WHAT PATH:
  // cause": the system's.
  absl::Status Publish();

 private:
  StagedFile(const char* what, std::string path, std::string staged)
      : what_(what), path_(std::move(path)), staged_(std::move(staged)) {}

  const char* what_;
  std::string path_;
  std::string staged_;  // empty: nothing to remove
};

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_DAEMON_SEALED_FILE_H_
