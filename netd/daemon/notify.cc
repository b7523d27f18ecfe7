// SPDX-License-Identifier: Apache-2.0

#include "netd/daemon/notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/kernel/errno_status.h"

namespace netpolicy {
namespace {

std::string TakeVariable(const char* name) {
  const char* value = getenv(name);
  std::string copy = value == nullptr ? "" : value;
  unsetenv(name);
  return copy;
}

}  // namespace

ServiceNotifier ServiceNotifier::FromEnvironment() {
  ServiceNotifier notifier;
  notifier.address_ = TakeVariable("NOTIFY_SOCKET");
  const std::string interval = TakeVariable("WATCHDOG_USEC");
  const std::string pid = TakeVariable("WATCHDOG_PID");
  int64_t microseconds = 0;
  const bool is_for_us = pid.empty() || pid == absl::StrCat(getpid());
  if (is_for_us && absl::SimpleAtoi(interval, &microseconds) &&
      microseconds > 0) {
    notifier.watchdog_ = absl::Microseconds(microseconds);
  }
  return notifier;
}

absl::Status ServiceNotifier::Send(absl::string_view state) const {
  if (address_.empty()) return absl::OkStatus();
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if ((address_[0] != '/' && address_[0] != '@') ||
      address_.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(
        absl::StrCat("notify ", address_, ": not the address of a socket"));
  }
  memcpy(address.sun_path, address_.data(), address_.size());
  // An abstract address: a NUL, and exactly as long as it is.
  if (address_[0] == '@') address.sun_path[0] = '\0';
  const auto size =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
  const UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.ok() ||
      sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
             reinterpret_cast<const sockaddr*>(&address), size) < 0) {
    return StatusFromErrno(errno, absl::StrCat("notify ", address_));
  }
  return absl::OkStatus();
}

}  // namespace netpolicy
