// SPDX-License-Identifier: Apache-2.0
//
// For tests: the real netd as a child, with a bpffs, a cgroup and files of its
// own, and a service manager that listens to it.

#ifndef NETPOLICY_NETD_DAEMON_NETD_PROCESS_H_
#define NETPOLICY_NETD_DAEMON_NETD_PROCESS_H_

#include <sys/resource.h>
#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/testing/process.h"
#include "libpolicy/testing/test_environment.h"
#include "netd/service/client.h"

namespace netpolicy::testing {

// How a netd ended, and what it wrote on standard output and error.
struct NetdExit {
  int code = -1;
  std::string output;
};

// One running netd.
class NetdProcess {
 public:
  struct Options {
    std::vector<std::string> arguments;
    // Called in the child before netd begins.
    std::function<void()> prepare;
    ChildOptions child;
  };

  // `directory` is for its log and the service manager's socket.
  static absl::StatusOr<NetdProcess> Start(const std::string& directory,
                                           const Options& options);

  // The next message to the service manager ("READY=1"); "" when none comes in
  // time or netd ends first.
  std::string NextNotification(absl::Duration patience = absl::Seconds(20));

  // Everything written so far.
  std::string Output() const;

  pid_t pid() const { return child_.pid(); }
  absl::Status Signal(int signal) const { return child_.Signal(signal); }
  void Kill() { child_.Kill(); }

  // Waits for the end; code -1 when it doesn't come.
  NetdExit Wait(absl::Duration patience = absl::Seconds(20));

 private:
  NetdProcess(ChildProcess child, UniqueFd manager, std::string log)
      : child_(std::move(child)),
        manager_(std::move(manager)),
        log_(std::move(log)) {}

  ChildProcess child_;
  UniqueFd manager_;
  std::string log_;
};

class NetdFixture : public ::testing::Test {
 protected:
  void SetUp() override;

  std::string PinDir() const { return bpffs_->File("np"); }
  std::string Socket() const { return dir_->File("run/netd.sock"); }
  std::string State() const { return dir_->File("state/policy.state"); }

  // The arguments that every netd of the test gets, then `more`, which wins.
  NetdProcess::Options With(std::vector<std::string> more = {}) const;

  // A netd that has said READY=1; fails the test when there is none.
  std::unique_ptr<NetdProcess> StartReady(const NetdProcess::Options& options);
  std::unique_ptr<NetdProcess> StartReady() { return StartReady(With()); }

  // Runs a netd that should end by itself.
  NetdExit Run(const NetdProcess::Options& options);

  // Ends it with SIGTERM; fails the test unless it exits with 0.
  void Stop(NetdProcess& netd);

  std::unique_ptr<Client> Connect() const;
  absl::Status Commit(const Transaction& transaction) const;
  PolicySnapshot InForce() const;

  // What socket(AF_INET, SOCK_DGRAM) gives to a process of `uid` in the cgroup:
  // 0 or an errno.
  int SocketErrno(uid_t uid) const;

  std::unique_ptr<BpfFs> bpffs_;
  std::unique_ptr<TestCgroup> cgroup_;
  std::unique_ptr<ScratchDir> dir_;
};

// "" when there is no such file.
std::string ContentOf(const std::string& path);
void WriteContent(const std::string& path, const std::string& content);

}  // namespace netpolicy::testing

#endif  // NETPOLICY_NETD_DAEMON_NETD_PROCESS_H_
