// SPDX-License-Identifier: Apache-2.0
//
// Directories that vanish with the test.
//
//   auto dir = ScratchDir::Create();
//   ASSERT_THAT(dir, IsOk());
//   WriteFile(dir->path() + "/policy.json", "{}");

#ifndef NETPOLICY_LIBPOLICY_TESTING_SCRATCH_DIR_H_
#define NETPOLICY_LIBPOLICY_TESTING_SCRATCH_DIR_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libpolicy/testing/janitor.h"

namespace netpolicy::testing {

// An empty directory, removed with all that is in it by the destructor, or by
// the janitor when the test dies. It lies under $TMPDIR or /tmp and not under
// Bazel's $TEST_TMPDIR, which is too long for a unix socket (107 bytes) and
// closed to other UIDs. Movable; not thread-safe.
class ScratchDir {
 public:
  // Mode 0755, so that processes with another UID can reach sockets in it.
  static absl::StatusOr<ScratchDir> Create();

  ScratchDir(ScratchDir&&) = default;
  ScratchDir& operator=(ScratchDir&& other) noexcept {
    std::swap(path_, other.path_);  // `other` removes what this one had.
    std::swap(ticket_, other.ticket_);
    return *this;
  }
  ~ScratchDir() { Remove(); }

  // Absolute, without a trailing slash.
  const std::string& path() const { return path_; }

  // "<path>/<name>"; nothing is created.
  std::string File(absl::string_view name) const;

 private:
  ScratchDir(std::string path, JanitorTicket ticket)
      : path_(std::move(path)), ticket_(std::move(ticket)) {}
  void Remove();

  std::string path_;
  JanitorTicket ticket_;
};

}  // namespace netpolicy::testing

#endif  // NETPOLICY_LIBPOLICY_TESTING_SCRATCH_DIR_H_
