// SPDX-License-Identifier: Apache-2.0
//
// Child processes with another identity: UID, cgroup, namespaces, privileges.
//
//   // One call in a child, its value back here.
//   absl::StatusOr<uint32_t> uid = RunInChild(
//       {.uid = 10001, .cgroup = app->path(), .netns = ns->fd()},
//       [&] { return static_cast<uint32_t>(getuid()); });
//   EXPECT_THAT(uid, IsOkAndHolds(10001));
//
//   // A child that goes on while the test does.
//   auto server = ChildProcess::Start({.netns = ns->fd()}, [] { return Serve();
//   });
//   ...
//   server->Signal(SIGTERM);
//   EXPECT_THAT(server->Wait(absl::Seconds(5)), IsOkAndHolds(0));
//
// No child outlives its owner, nor the test process however it ends (see
// janitor.h). For socket operations on demand see actor.h.

#ifndef NETPOLICY_LIBPOLICY_TESTING_PROCESS_H_
#define NETPOLICY_LIBPOLICY_TESTING_PROCESS_H_

#include <sys/types.h>

#include <cstring>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/testing/janitor.h"

namespace netpolicy::testing {

// What a child may do beyond what its UID may.
enum class Privileges {
  kOfUid,  // All capabilities for UID 0, none for others.
  kNone,   // No capability, even as UID 0.
  kAll,    // The parent's capabilities, even as another UID.
};

// What a child does with the descriptors and shared mappings of its parent. A
// child that keeps them keeps BPF links attached and sockets open.
enum class Inherited { kDropped, kKept };

// Who a child is. Applied in this order: cgroup, netns, userns, groups, UIDs,
// privileges. Supplementary groups are dropped as soon as a UID or GID is
// given.
struct ChildOptions {
  // Real, effective and saved UID; in `userns` when that is given.
  std::optional<uid_t> uid = std::nullopt;
  // Likewise; the number of `uid` when not given.
  std::optional<gid_t> gid = std::nullopt;
  // Directory of a cgroup, TestCgroup::path(); the parent's when empty.
  std::string cgroup = "";
  // nsfs descriptors; the parent's namespaces when negative.
  int netns = -1;
  int userns = -1;
  Privileges privileges = Privileges::kOfUid;
};

// A running child. The destructor kills it and reaps it. Movable; to be used by
// one thread at a time.
class ChildProcess {
 public:
  // Forks; the child takes on its identity, runs `body` and exits with what it
  // returns (the low 8 bits). Returns when the child is about to run it; an
  // error is one of forking or of taking on the identity, with its errno. gtest
  // assertions that fail in `body` make the exit status 255 at best, so return
  // values and judge them in the parent.
  //
  // Only the forking thread exists in the child: with other threads around,
  // `body` must not take locks that they might hold.
  static absl::StatusOr<ChildProcess> Start(
      const ChildOptions& options, absl::FunctionRef<int()> body,
      Inherited inherited = Inherited::kKept);

  // As Start(), dropping all inherited descriptors but `keep`.
  static absl::StatusOr<ChildProcess> StartKeeping(
      const ChildOptions& options, std::vector<int> keep,
      absl::FunctionRef<int()> body);

  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ~ChildProcess() { Kill(); }

  // 0 once it has been reaped.
  pid_t pid() const { return pid_; }

  // Readable once the process has ended; owned by this object.
  int pidfd() const { return pidfd_.get(); }

  absl::Status Signal(int signal) const;

  // Waits for the end and reaps: the exit status, or 128 + signal.
  // kDeadlineExceeded when it still runs, which it goes on doing.
  absl::StatusOr<int> Wait(absl::Duration timeout);

  // SIGKILL, then reaps. Does nothing when it was reaped before.
  void Kill();

 private:
  ChildProcess(pid_t pid, UniqueFd pidfd, JanitorTicket ticket)
      : pid_(pid), pidfd_(std::move(pidfd)), ticket_(std::move(ticket)) {}
  static absl::StatusOr<ChildProcess> Fork(const ChildOptions& options,
                                           Inherited inherited,
                                           std::vector<int> keep,
                                           absl::FunctionRef<int()> body);

  pid_t pid_ = 0;
  UniqueFd pidfd_;
  JanitorTicket ticket_;
};

namespace internal {

// Runs `body` in a child and returns what it put into the string.
absl::StatusOr<std::string> RunBytesInChild(
    const ChildOptions& options,
    absl::FunctionRef<absl::StatusOr<std::string>()> body,
    absl::Duration deadline);

// How results travel: a status, a string, or any trivially copyable type.
template <typename T>
struct ChildResult {
  static_assert(
      std::is_trivially_copyable_v<T>,
      "a child's result crosses a pipe: return a Status, a string or a "
      "trivially copyable type, or StatusOr of these");
  using Returned = absl::StatusOr<T>;
  static absl::StatusOr<std::string> ToBytes(const absl::StatusOr<T>& value) {
    if (!value.ok()) return value.status();
    return std::string(reinterpret_cast<const char*>(&*value), sizeof(T));
  }
  static Returned FromBytes(absl::StatusOr<std::string> bytes) {
    if (!bytes.ok()) return bytes.status();
    if (bytes->size() != sizeof(T))
      return absl::InternalError("read result of child: wrong size");
    alignas(T) char raw[sizeof(T)];
    memcpy(raw, bytes->data(), sizeof(T));
    return *reinterpret_cast<const T*>(raw);
  }
};

template <>
struct ChildResult<std::string> {
  using Returned = absl::StatusOr<std::string>;
  static absl::StatusOr<std::string> ToBytes(
      absl::StatusOr<std::string> value) {
    return value;
  }
  static Returned FromBytes(absl::StatusOr<std::string> bytes) { return bytes; }
};

template <>
struct ChildResult<absl::Status> {
  using Returned = absl::Status;
  static absl::StatusOr<std::string> ToBytes(const absl::Status& status) {
    if (!status.ok()) return status;
    return std::string();
  }
  static Returned FromBytes(const absl::StatusOr<std::string>& bytes) {
    return bytes.status();
  }
};

template <typename T>
struct ChildResult<absl::StatusOr<T>> : ChildResult<T> {};

}  // namespace internal

// Runs `body` in a child with another identity and returns what it returned,
// errors with their errno included. `body` is a callable without arguments that
// returns absl::Status, std::string, a trivially copyable T, or StatusOr of the
// last two. It sees copies of the parent's variables and the parent's open
// descriptors. Errors besides those of `body`: what ChildProcess::Start says;
// kDeadlineExceeded (the child is killed); kInternal when it died, or when a
// gtest assertion failed in it.
template <typename Body>
auto RunInChild(const ChildOptions& options, Body&& body,
                absl::Duration deadline = absl::Seconds(10)) {
  using Result = internal::ChildResult<std::invoke_result_t<Body>>;
  return Result::FromBytes(internal::RunBytesInChild(
      options, [&] { return Result::ToBytes(body()); }, deadline));
}

// A status as bytes and back, errno included: for results that cross a pipe.
std::string SerializeStatus(const absl::Status& status);
absl::Status ParseStatus(absl::string_view bytes);

}  // namespace netpolicy::testing

#endif  // NETPOLICY_LIBPOLICY_TESTING_PROCESS_H_
