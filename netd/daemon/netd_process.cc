// SPDX-License-Identifier: Apache-2.0

#include "netd/daemon/netd_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "libpolicy/testing/status_matchers.h"
#include "netd/service/unix_address.h"

namespace netpolicy::testing {
namespace {

// In the runfiles, where a test begins.
constexpr char kNetd[] = "netd/daemon/netd";

constexpr absl::Duration kDeadline = absl::Seconds(20);

}  // namespace

absl::StatusOr<NetdProcess> NetdProcess::Start(const std::string& directory,
                                               const Options& options) {
  static int count = 0;
  const std::string name = absl::StrCat(directory, "/", ++count);
  const std::string log = name + ".log";
  const std::string address = name + ".notify";

  UniqueFd manager(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const absl::StatusOr<UnixAddress> bound = UnixAddress::Of(address);
  if (!bound.ok()) return bound.status();
  if (bind(manager.get(), bound->get(), bound->size()) != 0) {
    return absl::InternalError("bind the service manager's socket");
  }
  std::vector<const char*> argv = {kNetd};
  for (const std::string& argument : options.arguments) {
    argv.push_back(argument.c_str());
  }
  argv.push_back(nullptr);
  absl::StatusOr<ChildProcess> child = ChildProcess::Start(
      options.child,
      [&] {
        const int output =
            open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
        dup2(output, STDOUT_FILENO);
        dup2(output, STDERR_FILENO);
        setenv("NOTIFY_SOCKET", address.c_str(), 1);
        if (options.prepare) options.prepare();
        execv(kNetd, const_cast<char* const*>(argv.data()));
        return 127;
      },
      Inherited::kDropped);
  if (!child.ok()) return child.status();
  return NetdProcess(*std::move(child), std::move(manager), log);
}

std::string NetdProcess::NextNotification(absl::Duration patience) {
  pollfd fds[] = {{.fd = manager_.get(), .events = POLLIN, .revents = 0},
                  {.fd = child_.pidfd(), .events = POLLIN, .revents = 0}};
  if (poll(fds, 2, static_cast<int>(absl::ToInt64Milliseconds(patience))) <=
      0) {
    return "";
  }
  char buffer[512];
  const ssize_t size =
      recv(manager_.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
  return size > 0 ? std::string(buffer, static_cast<size_t>(size)) : "";
}

std::string NetdProcess::Output() const { return ContentOf(log_); }

NetdExit NetdProcess::Wait(absl::Duration patience) {
  const absl::StatusOr<int> code = child_.Wait(patience);
  EXPECT_THAT(code, IsOk()) << Output();
  return {.code = code.ok() ? *code : -1, .output = Output()};
}

void NetdFixture::SetUp() {
  if (auto missing = MissingForBpfTests()) GTEST_SKIP() << *missing;
  absl::StatusOr<BpfFs> bpffs = BpfFs::Mount();
  ASSERT_THAT(bpffs, IsOk());
  bpffs_ = std::make_unique<BpfFs>(*std::move(bpffs));
  absl::StatusOr<TestCgroup> cgroup = TestCgroup::Create();
  ASSERT_THAT(cgroup, IsOk());
  cgroup_ = std::make_unique<TestCgroup>(*std::move(cgroup));
  absl::StatusOr<ScratchDir> dir = ScratchDir::Create();
  ASSERT_THAT(dir, IsOk());
  dir_ = std::make_unique<ScratchDir>(*std::move(dir));
}

NetdProcess::Options NetdFixture::With(std::vector<std::string> more) const {
  NetdProcess::Options options;
  options.arguments = {
      absl::StrCat("--cgroup=", cgroup_->path()),
      absl::StrCat("--pin-dir=", PinDir()),
      absl::StrCat("--socket=", Socket()),
      absl::StrCat("--state=", State()),
      "--max-uids=64",
      "--max-rows=64",
  };
  for (std::string& argument : more) {
    // Of two flags of one name CLI11 takes none.
    const std::string name = argument.substr(0, argument.find('=') + 1);
    std::erase_if(options.arguments, [&name](const std::string& other) {
      return !name.empty() && other.starts_with(name);
    });
    options.arguments.push_back(std::move(argument));
  }
  return options;
}

std::unique_ptr<NetdProcess> NetdFixture::StartReady(
    const NetdProcess::Options& options) {
  absl::StatusOr<NetdProcess> netd = NetdProcess::Start(dir_->path(), options);
  EXPECT_THAT(netd, IsOk());
  if (!netd.ok()) return nullptr;
  const std::string said = netd->NextNotification();
  EXPECT_EQ(said, "READY=1") << netd->Output();
  if (said != "READY=1") return nullptr;
  return std::make_unique<NetdProcess>(*std::move(netd));
}

NetdExit NetdFixture::Run(const NetdProcess::Options& options) {
  absl::StatusOr<NetdProcess> netd = NetdProcess::Start(dir_->path(), options);
  EXPECT_THAT(netd, IsOk());
  return netd.ok() ? netd->Wait() : NetdExit();
}

void NetdFixture::Stop(NetdProcess& netd) {
  EXPECT_THAT(netd.Signal(SIGTERM), IsOk());
  const NetdExit exit = netd.Wait();
  EXPECT_EQ(exit.code, 0) << exit.output;
}

std::unique_ptr<Client> NetdFixture::Connect() const {
  absl::StatusOr<std::unique_ptr<Client>> client =
      Client::Connect(Socket(), kDeadline);
  EXPECT_THAT(client, IsOk());
  return client.ok() ? *std::move(client) : nullptr;
}

absl::Status NetdFixture::Commit(const Transaction& transaction) const {
  const std::unique_ptr<Client> client = Connect();
  if (client == nullptr) return absl::UnavailableError("no client");
  return client->Commit(transaction, {}).status();
}

PolicySnapshot NetdFixture::InForce() const {
  const std::unique_ptr<Client> client = Connect();
  if (client == nullptr) return {};
  absl::StatusOr<PolicySnapshot> snapshot = client->GetPolicy();
  EXPECT_THAT(snapshot, IsOk());
  return snapshot.ok() ? *std::move(snapshot) : PolicySnapshot();
}

int NetdFixture::SocketErrno(uid_t uid) const {
  ChildOptions options;
  options.uid = uid;
  options.cgroup = cgroup_->path();
  const absl::StatusOr<int> result = RunInChild(options, [] {
    const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    return fd.ok() ? 0 : errno;
  });
  EXPECT_THAT(result, IsOk());
  return result.ok() ? *result : -1;
}

std::string ContentOf(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file),
                     std::istreambuf_iterator<char>());
}

void WriteContent(const std::string& path, const std::string& content) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << content;
  EXPECT_TRUE(file.flush()) << path;
}

}  // namespace netpolicy::testing
