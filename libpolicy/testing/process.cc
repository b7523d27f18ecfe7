// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/testing/process.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/pidfd.h"

namespace netpolicy::testing {
namespace {

constexpr int kFailedAssertions = 255;

absl::Status JoinCgroup(const std::string& cgroup) {
  const std::string path = cgroup + "/cgroup.procs";
  UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.ok() || write(fd.get(), "0", 1) != 1) {
    return ErrnoStatus(errno, absl::StrCat("join cgroup ", cgroup));
  }
  return absl::OkStatus();
}

struct CapabilitySets {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
};

absl::Status SetCapabilities(CapabilitySets sets) {
  sets.header.version = _LINUX_CAPABILITY_VERSION_3;
  if (syscall(SYS_capset, &sets.header, sets.data) != 0) {
    return ErrnoStatus(errno, "set capabilities");
  }
  return absl::OkStatus();
}

// Makes the calling process what `options` says.
absl::Status TakeIdentity(const ChildOptions& options) {
  if (!options.cgroup.empty()) NP_RETURN_IF_ERROR(JoinCgroup(options.cgroup));
  // The network namespace first: inside the user namespace the right to enter
  // one of the host's is gone.
  if (options.netns >= 0 && setns(options.netns, CLONE_NEWNET) != 0) {
    return ErrnoStatus(errno, "enter network namespace");
  }
  if (options.userns >= 0 && setns(options.userns, CLONE_NEWUSER) != 0) {
    return ErrnoStatus(errno, "enter user namespace");
  }

  CapabilitySets before;
  if (syscall(SYS_capget, &before.header, before.data) != 0) {
    return ErrnoStatus(errno, "get capabilities");
  }
  if (options.privileges == Privileges::kAll &&
      prctl(PR_SET_KEEPCAPS, 1) != 0) {
    return ErrnoStatus(errno, "keep capabilities");
  }
  const std::optional<gid_t> gid = options.gid ? options.gid : options.uid;
  if (gid) {
    if (setgroups(0, nullptr) != 0) return ErrnoStatus(errno, "drop groups");
    if (setresgid(*gid, *gid, *gid) != 0) {
      return ErrnoStatus(errno, absl::StrCat("set gid ", *gid));
    }
  }
  if (options.uid && setresuid(*options.uid, *options.uid, *options.uid) != 0) {
    return ErrnoStatus(errno, absl::StrCat("set uid ", *options.uid));
  }
  if (options.privileges == Privileges::kAll) {
    NP_RETURN_IF_ERROR(SetCapabilities(before));
  } else if (options.privileges == Privileges::kNone) {
    NP_RETURN_IF_ERROR(SetCapabilities({}));
  }
  // Or else /proc/self belongs to root.
  prctl(PR_SET_DUMPABLE, 1);
  return absl::OkStatus();
}

bool WriteAll(int fd, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

int PollTimeoutMs(absl::Time deadline) {
  const absl::Duration left = deadline - absl::Now();
  if (left <= absl::ZeroDuration()) return 0;
  return static_cast<int>(
             absl::ToInt64Milliseconds(std::min(left, absl::Hours(1)))) +
         1;
}

// How a result travels: a serialized status, and bytes if it is OK.
struct FrameHeader {
  uint64_t status_bytes;
  uint64_t value_bytes;
};

void WriteFrame(int fd, const absl::StatusOr<std::string>& result) {
  const std::string status = SerializeStatus(result.status());
  const FrameHeader header = {status.size(), result.ok() ? result->size() : 0};
  WriteAll(fd, {reinterpret_cast<const char*>(&header), sizeof(header)});
  WriteAll(fd, status);
  if (result.ok()) WriteAll(fd, *result);
}

// Reads a frame. Doesn't wait for the end of the file: a process that the child
// left behind may hold the pipe. Nor for the frame, when the child has ended.
absl::StatusOr<std::string> ReadFrame(int fd, int pidfd, absl::Time deadline) {
  fcntl(fd, F_SETFL, O_NONBLOCK);
  std::string bytes;
  bool ended = false;
  while (true) {
    char buffer[65536];
    const ssize_t size = read(fd, buffer, sizeof(buffer));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno != EAGAIN)
      return ErrnoStatus(errno, "read from child");
    if (size > 0) bytes.append(buffer, static_cast<size_t>(size));
    if (bytes.size() >= sizeof(FrameHeader)) {
      FrameHeader header;
      memcpy(&header, bytes.data(), sizeof(header));
      const absl::string_view rest =
          absl::string_view(bytes).substr(sizeof(header));
      if (rest.size() >= header.status_bytes + header.value_bytes) {
        NP_RETURN_IF_ERROR(ParseStatus(rest.substr(0, header.status_bytes)));
        return std::string(
            rest.substr(header.status_bytes, header.value_bytes));
      }
    }
    if (size > 0) continue;
    if (size == 0 || ended)
      return absl::UnavailableError("read from child: it has ended");
    pollfd polled[] = {{.fd = fd, .events = POLLIN, .revents = 0},
                       {.fd = pidfd, .events = POLLIN, .revents = 0}};
    const int ready = poll(polled, 2, PollTimeoutMs(deadline));
    if (ready < 0 && errno != EINTR)
      return ErrnoStatus(errno, "wait for child");
    if (ready == 0)
      return absl::DeadlineExceededError("wait for child: it still runs");
    ended = ready > 0 && polled[1].revents != 0;  // Reads what is left.
  }
}

}  // namespace

std::string SerializeStatus(const absl::Status& status) {
  const int32_t numbers[2] = {static_cast<int32_t>(status.code()),
                              ErrnoOf(status)};
  return absl::StrCat(absl::string_view(reinterpret_cast<const char*>(numbers),
                                        sizeof(numbers)),
                      status.message());
}

absl::Status ParseStatus(absl::string_view bytes) {
  int32_t numbers[2];
  if (bytes.size() < sizeof(numbers))
    return absl::InternalError("read status of child: too short");
  memcpy(numbers, bytes.data(), sizeof(numbers));
  bytes.remove_prefix(sizeof(numbers));
  absl::Status status(static_cast<absl::StatusCode>(numbers[0]), bytes);
  SetErrno(status, numbers[1]);
  return status;
}

absl::StatusOr<ChildProcess> ChildProcess::Start(const ChildOptions& options,
                                                 absl::FunctionRef<int()> body,
                                                 Inherited inherited) {
  return Fork(options, inherited, {}, body);
}

absl::StatusOr<ChildProcess> ChildProcess::StartKeeping(
    const ChildOptions& options, std::vector<int> keep,
    absl::FunctionRef<int()> body) {
  return Fork(options, Inherited::kDropped, std::move(keep), body);
}

absl::StatusOr<ChildProcess> ChildProcess::Fork(const ChildOptions& options,
                                                Inherited inherited,
                                                std::vector<int> keep,
                                                absl::FunctionRef<int()> body) {
  NP_ASSIGN_OR_RETURN(JanitorTicket ticket, JanitorTicket::ForChild());
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "create pipe");
  UniqueFd setup_read(ends[0]), setup_write(ends[1]);
  fflush(nullptr);  // Or else the child writes it once more.
  const pid_t pid = fork();
  if (pid < 0) return ErrnoStatus(errno, "fork");
  if (pid == 0) {
    if (!ticket.RegisterThisProcess()) _exit(kFailedAssertions);
    setup_read.reset();
    const absl::Status setup = TakeIdentity(options);
    if (inherited == Inherited::kDropped) {
      keep.push_back(setup_write.get());
      DropInheritedResources(std::move(keep));
    }
    WriteFrame(setup_write.get(),
               setup.ok() ? absl::StatusOr<std::string>("") : setup);
    setup_write.reset();
    if (!setup.ok()) _exit(kFailedAssertions);
    const bool failed_before = ::testing::Test::HasFailure();
    const int result = body();
    fflush(nullptr);
    const bool failed = !failed_before && ::testing::Test::HasFailure();
    _exit(failed ? kFailedAssertions : result);
  }
  ChildProcess child(pid, OpenPidfd(pid), std::move(ticket));
  if (!child.pidfd_.ok()) return ErrnoStatus(errno, "open pidfd");
  setup_write.reset();
  NP_RETURN_IF_ERROR(ReadFrame(setup_read.get(), child.pidfd_.get(),
                               absl::Now() + absl::Seconds(10))
                         .status());
  return child;
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)),
      pidfd_(std::move(other.pidfd_)),
      ticket_(std::move(other.ticket_)) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  if (this != &other) {
    Kill();
    pid_ = std::exchange(other.pid_, 0);
    pidfd_ = std::move(other.pidfd_);
    ticket_ = std::move(other.ticket_);
  }
  return *this;
}

absl::Status ChildProcess::Signal(int signal) const {
  const std::string what = absl::StrCat("signal ", signal, " to child");
  if (pid_ == 0) return ErrnoStatus(ESRCH, what);
  if (SignalPidfd(pidfd_.get(), signal) != 0) {
    return ErrnoStatus(errno, what);
  }
  return absl::OkStatus();
}

absl::StatusOr<int> ChildProcess::Wait(absl::Duration timeout) {
  if (pid_ == 0) return ErrnoStatus(ECHILD, "wait for child");
  const absl::Time deadline = absl::Now() + timeout;
  while (true) {
    pollfd polled = {.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
    const int ready = poll(&polled, 1, PollTimeoutMs(deadline));
    if (ready > 0) break;
    if (ready < 0 && errno != EINTR)
      return ErrnoStatus(errno, "wait for child");
    if (ready == 0)
      return absl::DeadlineExceededError("wait for child: it still runs");
  }
  int status = 0;
  if (waitpid(pid_, &status, 0) < 0)
    return ErrnoStatus(errno, "wait for child");
  pid_ = 0;
  ticket_ = JanitorTicket();
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

void ChildProcess::Kill() {
  if (pid_ == 0 || !ticket_.owns()) return;
  SignalPidfd(pidfd_.get(), SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = 0;
  ticket_ = JanitorTicket();
}

namespace internal {

absl::StatusOr<std::string> RunBytesInChild(
    const ChildOptions& options,
    absl::FunctionRef<absl::StatusOr<std::string>()> body,
    absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "create pipe");
  UniqueFd result_read(ends[0]), result_write(ends[1]);
  NP_ASSIGN_OR_RETURN(ChildProcess child,
                      ChildProcess::Start(options, [&]() -> int {
                        result_read.reset();
                        WriteFrame(result_write.get(), body());
                        return 0;
                      }));
  result_write.reset();
  absl::StatusOr<std::string> result =
      ReadFrame(result_read.get(), child.pidfd(), deadline);
  if (absl::IsDeadlineExceeded(result.status())) return result;
  NP_ASSIGN_OR_RETURN(const int exit_status,
                      child.Wait(deadline - absl::Now()));
  if (exit_status == kFailedAssertions) {
    return absl::InternalError("run in child: an assertion failed there");
  }
  if (exit_status != 0) {
    return absl::InternalError(
        absl::StrCat("run in child: exit status ", exit_status));
  }
  return result;
}

}  // namespace internal
}  // namespace netpolicy::testing
