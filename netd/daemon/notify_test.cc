// SPDX-License-Identifier: Apache-2.0

#include "netd/daemon/notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/testing/scratch_dir.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy {
namespace {

using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::ScratchDir;
using ::netpolicy::testing::StatusIs;

// A service manager: a datagram socket at a path, or abstract for '@'.
UniqueFd BindTo(const std::string& address) {
  UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un name = {};
  name.sun_family = AF_UNIX;
  memcpy(name.sun_path, address.data(), address.size());
  if (address[0] == '@') name.sun_path[0] = '\0';
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&name),
                 static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) +
                                        address.size())),
            0);
  return fd;
}

std::string Receive(int fd) {
  char buffer[256];
  const ssize_t size = recv(fd, buffer, sizeof(buffer), 0);
  return size < 0 ? "nothing" : std::string(buffer, static_cast<size_t>(size));
}

TEST(Notify, SpeaksToPathsAndAbstractSockets) {
  const ScratchDir dir = ScratchDir::Create().value();
  for (const std::string& address :
       {dir.File("notify"), absl::StrCat("@netd-notify-test-", getpid())}) {
    const UniqueFd manager = BindTo(address);
    setenv("NOTIFY_SOCKET", address.c_str(), 1);
    const ServiceNotifier notifier = ServiceNotifier::FromEnvironment();
    // Programs that netd might start are not the service.
    EXPECT_EQ(getenv("NOTIFY_SOCKET"), nullptr);
    EXPECT_THAT(notifier.Send("READY=1"), IsOk()) << address;
    EXPECT_EQ(Receive(manager.get()), "READY=1") << address;
  }
}

TEST(Notify, WithoutAManagerNobodyIsTold) {
  unsetenv("NOTIFY_SOCKET");
  EXPECT_THAT(ServiceNotifier::FromEnvironment().Send("READY=1"), IsOk());
}

TEST(Notify, BadAddressesAreErrors) {
  const struct {
    const char* name;
    std::string address;
    absl::StatusCode code;
  } kRows[] = {
      {"relative", "notify", absl::StatusCode::kInvalidArgument},
      {"too long", "/" + std::string(200, 'x'),
       absl::StatusCode::kInvalidArgument},
      {"nobody there", "/nonexistent/notify", absl::StatusCode::kNotFound},
  };
  for (const auto& row : kRows) {
    setenv("NOTIFY_SOCKET", row.address.c_str(), 1);
    EXPECT_THAT(ServiceNotifier::FromEnvironment().Send("READY=1"),
                StatusIs(row.code))
        << row.name;
  }
}

TEST(Notify, TheWatchdogIsForThePidThatIsNamed) {
  const std::string self = absl::StrCat(getpid());
  const struct {
    const char* name;
    const char* microseconds;
    const char* pid;
    absl::optional<absl::Duration> watchdog;
  } kRows[] = {
      {"none", nullptr, nullptr, {}},
      {"for anybody", "3000000", nullptr, absl::Seconds(3)},
      {"for us", "250000", self.c_str(), absl::Milliseconds(250)},
      {"for another", "250000", "1", {}},
      {"zero", "0", nullptr, {}},
      {"no number", "soon", nullptr, {}},
  };
  for (const auto& row : kRows) {
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    if (row.microseconds != nullptr) {
      setenv("WATCHDOG_USEC", row.microseconds, 1);
    }
    if (row.pid != nullptr) setenv("WATCHDOG_PID", row.pid, 1);
    EXPECT_EQ(ServiceNotifier::FromEnvironment().watchdog(), row.watchdog)
        << row.name;
    EXPECT_EQ(getenv("WATCHDOG_USEC"), nullptr) << row.name;
  }
}

}  // namespace
}  // namespace netpolicy
