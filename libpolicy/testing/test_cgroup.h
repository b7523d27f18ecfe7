// SPDX-License-Identifier: Apache-2.0
//
// cgroups (v2) that vanish with the test.
//
//   auto app = TestCgroup::Create();
//   ASSERT_THAT(app, IsOk());
//   auto inner = app->CreateChild("background");
//   ASSERT_THAT(inner->AddProcess(pid), IsOk());
//   bpf_prog_attach(prog, app->fd(), BPF_CGROUP_INET_EGRESS, 0);

#ifndef NETPOLICY_LIBPOLICY_TESTING_TEST_CGROUP_H_
#define NETPOLICY_LIBPOLICY_TESTING_TEST_CGROUP_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/testing/janitor.h"

namespace netpolicy::testing {

// Where the cgroup2 file system is mounted, from /proc/self/mounts; the first
// one when there are several. kNotFound when there is none.
absl::StatusOr<std::string> FindCgroup2Mount();

// A cgroup. The destructor (or the janitor) kills the processes that are still
// in it or below it, and removes it with everything below; when the calling
// process itself is inside, it first goes back to where it was at Create().
// Children are cgroups of their own and should be destroyed first. Movable; not
// thread-safe.
class TestCgroup {
 public:
  // "<cgroup2 mount>/netpolicy-test-<pid>-<n>"
  static absl::StatusOr<TestCgroup> Create();

  // "<path>/<name>"
  absl::StatusOr<TestCgroup> CreateChild(absl::string_view name) const;

  TestCgroup(TestCgroup&&) = default;
  TestCgroup& operator=(TestCgroup&& other) noexcept;
  ~TestCgroup();

  const std::string& path() const { return path_; }

  // The open directory, for attaching programs.
  int fd() const { return fd_.get(); }

  // What bpf_get_current_cgroup_id returns: the inode number.
  uint64_t id() const { return id_; }

  // Moves a process (all its threads) in; 0 is the caller. To put a new process
  // in before it does anything, see ChildOptions::cgroup.
  absl::Status AddProcess(pid_t pid) const;

  // The processes directly in this cgroup, in no order.
  absl::StatusOr<std::vector<pid_t>> Processes() const;

 private:
  TestCgroup(std::string path, std::string home, UniqueFd fd, uint64_t id,
             JanitorTicket ticket)
      : path_(std::move(path)),
        home_(std::move(home)),
        fd_(std::move(fd)),
        id_(id),
        ticket_(std::move(ticket)) {}
  static absl::StatusOr<TestCgroup> CreateAt(const std::string& path);

  std::string path_;
  std::string home_;
  UniqueFd fd_;
  uint64_t id_ = 0;
  JanitorTicket ticket_;
};

}  // namespace netpolicy::testing

#endif  // NETPOLICY_LIBPOLICY_TESTING_TEST_CGROUP_H_
