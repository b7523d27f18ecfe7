// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/testing/janitor.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/pidfd.h"

namespace netpolicy::testing {
namespace {

enum class Kind : uint32_t { kForget, kProcess, kCgroup, kMount, kDirectory };

struct Message {
  uint64_t id = 0;
  Kind kind = Kind::kForget;
  uint32_t path_bytes = 0;
  char path[4096] = {};
};

struct Entry {
  uint64_t id;
  Kind kind;
  std::string path;
  int pidfd;
};

void SleepMs(int ms) {
  const timespec wait = {.tv_sec = 0, .tv_nsec = ms * 1'000'000L};
  nanosleep(&wait, nullptr);
}

// --- The janitor process ----------------------------------------------------

// Takes one message off the socket; false when none is there.
bool ReceiveOne(int socket, std::vector<Entry>& entries) {
  Message message;
  iovec iov = {.iov_base = &message, .iov_len = sizeof(message)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr header = {};
  header.msg_iov = &iov;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  const ssize_t size =
      recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (size <= 0) return false;
  int pidfd = -1;
  if (const cmsghdr* cmsg = CMSG_FIRSTHDR(&header); cmsg != nullptr) {
    memcpy(&pidfd, CMSG_DATA(cmsg), sizeof(pidfd));
  }
  if (message.kind == Kind::kForget) {
    std::erase_if(entries, [&](const Entry& entry) {
      if (entry.id != message.id) return false;
      if (entry.pidfd >= 0) close(entry.pidfd);
      return true;
    });
    return true;
  }
  entries.push_back({message.id, message.kind,
                     std::string(message.path, message.path_bytes), pidfd});
  return true;
}

void CleanUp(std::vector<Entry>& entries) {
  std::reverse(entries.begin(), entries.end());
  for (const Entry& entry : entries) {
    if (entry.kind == Kind::kProcess && entry.pidfd >= 0) {
      SignalPidfd(entry.pidfd, SIGKILL);
    }
  }
  for (const Entry& entry : entries) {
    if (entry.kind == Kind::kCgroup) (void)RemoveCgroup(entry.path);
  }
  for (const Entry& entry : entries) {
    if (entry.kind == Kind::kMount) (void)RemoveBpfFsMount(entry.path);
  }
  for (const Entry& entry : entries) {
    if (entry.kind == Kind::kDirectory) (void)RemoveTree(entry.path);
  }
}

[[noreturn]] void JanitorMain(int socket, int test_process) {
  DropInheritedResources({socket, test_process});
  // Nobody who reads the test's output may wait for this process.
  if (const int null = open("/dev/null", O_RDWR); null >= 0) {
    for (int fd : {0, 1, 2}) dup2(null, fd);
    close(null);
  }
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  prctl(PR_SET_NAME, "test-janitor");
  if (chdir("/") != 0) _exit(1);

  std::vector<Entry> entries;
  pollfd polled[] = {{.fd = test_process, .events = POLLIN, .revents = 0},
                     {.fd = socket, .events = POLLIN, .revents = 0}};
  while (true) {
    if (poll(polled, 2, -1) < 0 && errno != EINTR) break;
    if (polled[1].revents != 0 && !ReceiveOne(socket, entries)) {
      polled[1].fd = -1;  // No writer is left.
    }
    if (polled[0].revents != 0) break;
  }
  while (ReceiveOne(socket, entries)) {
  }
  CleanUp(entries);
  _exit(0);
}

// --- The test's side --------------------------------------------------------

// The socket to the janitor; shared by the test process and its children.
struct Client {
  std::mutex mutex;
  UniqueFd socket;
  std::atomic<uint64_t> next_id = 1;
};

Client& TheClient() {
  static Client* client = new Client;  // Never destroyed: used by destructors.
  return *client;
}

absl::Status Start(Client& client) {
  std::lock_guard<std::mutex> lock(client.mutex);
  if (client.socket.ok()) return absl::OkStatus();
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    return ErrnoStatus(errno, "start janitor");
  }
  UniqueFd ours(pair[0]);
  UniqueFd theirs(pair[1]);
  UniqueFd self = OpenPidfd(getpid());
  if (!self.ok()) return ErrnoStatus(errno, "open pidfd of this process");
  const pid_t child = fork();
  if (child < 0) return ErrnoStatus(errno, "fork janitor");
  if (child == 0) {
    // Its own session, so that a signal to the test's process group misses it;
    // forked twice, so that a test that waits for any child doesn't see it.
    setsid();
    const pid_t janitor = fork();
    if (janitor == 0) JanitorMain(theirs.get(), self.get());
    _exit(janitor < 0 ? 1 : 0);
  }
  int wait_status = 0;
  while (waitpid(child, &wait_status, 0) < 0 && errno == EINTR) {
  }
  if (wait_status != 0)
    return absl::InternalError("start janitor: fork failed");
  client.socket = std::move(ours);
  return absl::OkStatus();
}

bool Send(uint64_t id, Kind kind, const std::string& path, int pidfd) {
  Message message;
  message.id = id;
  message.kind = kind;
  message.path_bytes = static_cast<uint32_t>(path.size());
  memcpy(message.path, path.data(), path.size());
  iovec iov = {.iov_base = &message,
               .iov_len = offsetof(Message, path) + path.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header = {};
  header.msg_iov = &iov;
  header.msg_iovlen = 1;
  if (pidfd >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    cmsghdr* cmsg = CMSG_FIRSTHDR(&header);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(cmsg), &pidfd, sizeof(pidfd));
  }
  ssize_t sent;
  do {
    sent = sendmsg(TheClient().socket.get(), &header, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent >= 0;
}

// Ids are unique among the test process and all its forks.
uint64_t NewId() {
  return (static_cast<uint64_t>(getpid()) << 32) | TheClient().next_id++;
}

absl::StatusOr<uint64_t> Register(Kind kind, const std::string& path) {
  if (path.size() >= sizeof(Message::path)) {
    return absl::InvalidArgumentError(
        absl::StrCat("register ", path, ": path too long"));
  }
  if (absl::Status started = Start(TheClient()); !started.ok()) return started;
  const uint64_t id = NewId();
  if (!Send(id, kind, path, -1)) {
    return ErrnoStatus(errno, absl::StrCat("register ", path, " with janitor"));
  }
  return id;
}

// --- cgroups ----------------------------------------------------------------

std::vector<pid_t> ProcessesIn(const std::string& cgroup) {
  std::vector<pid_t> pids;
  const std::unique_ptr<FILE, int (*)(FILE*)> file(
      fopen((cgroup + "/cgroup.procs").c_str(), "re"), fclose);
  int pid;
  while (file != nullptr && fscanf(file.get(), "%d", &pid) == 1) {
    if (pid > 0) pids.push_back(pid);  // 0: in a foreign pid namespace.
  }
  return pids;
}

// Kills what is in this cgroup. A pid read from cgroup.procs may be another
// process's by the time it is used, so it is pinned and looked for again.
// (cgroup.kill does this in the kernel, but only since 5.14.)
void KillIn(const std::string& cgroup) {
  for (pid_t pid : ProcessesIn(cgroup)) {
    if (pid == getpid()) continue;
    UniqueFd pidfd = OpenPidfd(pid);
    if (!pidfd.ok()) continue;
    const std::vector<pid_t> again = ProcessesIn(cgroup);
    if (std::find(again.begin(), again.end(), pid) == again.end()) continue;
    SignalPidfd(pidfd.get(), SIGKILL);
  }
}

absl::Status RemoveCgroupOnce(const std::string& path) {
  KillIn(path);
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(path.c_str()),
                                                closedir);
  if (dir == nullptr)
    return ErrnoStatus(errno, absl::StrCat("open cgroup ", path));
  while (const dirent* entry = readdir(dir.get())) {
    if (entry->d_type != DT_DIR || strcmp(entry->d_name, ".") == 0 ||
        strcmp(entry->d_name, "..") == 0) {
      continue;
    }
    (void)RemoveCgroupOnce(absl::StrCat(path, "/", entry->d_name));
  }
  if (rmdir(path.c_str()) == 0) return absl::OkStatus();
  return ErrnoStatus(errno, absl::StrCat("remove cgroup ", path));
}

}  // namespace

JanitorTicket::JanitorTicket(JanitorTicket&& other) noexcept
    : id_(std::exchange(other.id_, 0)), owner_(other.owner_) {}

JanitorTicket& JanitorTicket::operator=(JanitorTicket&& other) noexcept {
  if (this != &other) {
    Forget();
    id_ = std::exchange(other.id_, 0);
    owner_ = other.owner_;
  }
  return *this;
}

absl::StatusOr<JanitorTicket> JanitorTicket::ForCgroup(
    const std::string& path) {
  absl::StatusOr<uint64_t> id = Register(Kind::kCgroup, path);
  if (!id.ok()) return id.status();
  return JanitorTicket(*id, getpid());
}

absl::StatusOr<JanitorTicket> JanitorTicket::ForMount(const std::string& path) {
  absl::StatusOr<uint64_t> id = Register(Kind::kMount, path);
  if (!id.ok()) return id.status();
  return JanitorTicket(*id, getpid());
}

absl::StatusOr<JanitorTicket> JanitorTicket::ForDirectory(
    const std::string& path) {
  absl::StatusOr<uint64_t> id = Register(Kind::kDirectory, path);
  if (!id.ok()) return id.status();
  return JanitorTicket(*id, getpid());
}

absl::StatusOr<JanitorTicket> JanitorTicket::ForChild() {
  if (absl::Status started = Start(TheClient()); !started.ok()) return started;
  return JanitorTicket(NewId(), getpid());
}

bool JanitorTicket::RegisterThisProcess() const {
  UniqueFd self = OpenPidfd(getpid());
  if (!self.ok() || !Send(id_, Kind::kProcess, "", self.get())) return false;
  // If the test ended before the message arrived, nobody reads it. The janitor
  // acts only after the test's end, which shows as a new parent here.
  return getppid() == owner_;
}

bool JanitorTicket::owns() const { return id_ != 0 && owner_ == getpid(); }

void JanitorTicket::Forget() {
  if (owns()) Send(id_, Kind::kForget, "", -1);
  id_ = 0;
}

void DropInheritedResources(std::vector<int> keep) {
  keep.push_back(2);
  keep.push_back(TheClient().socket.get());  // Children register, too.
  std::erase_if(keep, [](int fd) { return fd < 2; });
  std::sort(keep.begin(), keep.end());
  for (size_t i = 0; i < keep.size(); ++i) {
    const unsigned first = static_cast<unsigned>(keep[i]) + 1;
    const unsigned last =
        i + 1 < keep.size() ? static_cast<unsigned>(keep[i + 1]) - 1 : ~0u;
    if (i + 1 < keep.size() && keep[i + 1] <= keep[i] + 1) continue;
    close_range(first, last, 0);
  }

  // Shared mappings of BPF maps and packet rings hold their objects, too.
  struct Range {
    unsigned long start, end;
  };
  std::vector<Range> shared;
  if (FILE* maps = fopen("/proc/self/maps", "re"); maps != nullptr) {
    char* line = nullptr;
    size_t capacity = 0;
    while (getline(&line, &capacity, maps) > 0) {
      Range range;
      char mode[5];
      if (sscanf(line, "%lx-%lx %4s", &range.start, &range.end, mode) == 3 &&
          mode[3] == 's') {
        shared.push_back(range);
      }
    }
    free(line);
    fclose(maps);
  }
  for (const Range& range : shared) {
    munmap(reinterpret_cast<void*>(range.start), range.end - range.start);
  }
}

absl::Status RemoveTree(const std::string& path) {
  const auto remove_one = [](const char* name, const struct stat*, int type,
                             FTW*) -> int {
    const bool is_directory =
        type == FTW_DP || type == FTW_D || type == FTW_DNR;
    const int result = is_directory ? rmdir(name) : unlink(name);
    return result == 0 || errno == ENOENT ? 0 : errno;
  };
  const int result =
      nftw(path.c_str(), remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
  if (result == 0) return absl::OkStatus();
  return ErrnoStatus(result < 0 ? errno : result,
                     absl::StrCat("remove ", path));
}

absl::Status RemoveCgroup(const std::string& path) {
  absl::Status status;
  for (int waited_ms = 0; waited_ms < 2000; waited_ms += 5) {
    status = RemoveCgroupOnce(path);
    if (status.ok() || ErrnoOf(status) == ENOENT) return absl::OkStatus();
    SleepMs(5);  // A killed process leaves its cgroup a moment later.
  }
  return status;
}

absl::Status RemoveBpfFsMount(const std::string& path) {
  // A copy of the mount in another mount namespace would keep the pins.
  const auto unlink_one = [](const char* name, const struct stat*, int type,
                             FTW* position) -> int {
    if (position->level == 0) return 0;
    if (type == FTW_DP) {
      rmdir(name);
    } else {
      unlink(name);
    }
    return 0;
  };
  struct statfs mounted;
  if (statfs(path.c_str(), &mounted) != 0 || mounted.f_type != BPF_FS_MAGIC) {
    return absl::NotFoundError(absl::StrCat("unmount ", path, ": not a bpffs"));
  }
  nftw(path.c_str(), unlink_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
  if (umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
    return absl::OkStatus();
  }
  return ErrnoStatus(errno, absl::StrCat("unmount ", path));
}

}  // namespace netpolicy::testing
