// SPDX-License-Identifier: Apache-2.0

#include "netd/daemon/clat_service.h"

#include <event2/event.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "clat/direct.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/kernel/errno_status.h"
#include "netd/daemon/file.h"
#include "netd/daemon/log.h"

namespace netpolicy {
namespace {

absl::string_view EventName(clat::ControllerEvent::Kind kind) {
  using Kind = clat::ControllerEvent::Kind;
  switch (kind) {
    case Kind::kOn:
      return "clat_on";
    case Kind::kChanged:
      return "clat_changed";
    case Kind::kOff:
      return "clat_off";
    case Kind::kError:
      return "clat_error";
  }
  return "clat";
}

std::string SecretPath(const DaemonOptions& options) {
  return absl::StrCat(DirectoryOf(options.state), "/clat.secret");
}

absl::StatusOr<clat::SecretKey> MakeSecret(const std::string& path) {
  clat::SecretKey secret;
  if (getrandom(secret.data(), secret.size(), 0) !=
      static_cast<ssize_t>(secret.size())) {
    return StatusFromErrno(errno, "get random numbers");
  }
  // Whole or not at all, also when the machine goes down meanwhile.
  const std::string fresh = absl::StrCat(path, ".new");
  UniqueFd fd(
      open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd.ok()) return StatusFromErrno(errno, absl::StrCat("make ", fresh));
  NP_RETURN_IF_ERROR(WriteAll(
      fd.get(), {reinterpret_cast<const char*>(secret.data()), secret.size()},
      fresh));
  if (fsync(fd.get()) != 0 || rename(fresh.c_str(), path.c_str()) != 0) {
    return StatusFromErrno(errno, absl::StrCat("make ", path));
  }
  return secret;
}

}  // namespace

void ClatService::Free::operator()(event* e) const { event_free(e); }

absl::StatusOr<clat::SecretKey> LoadClatSecret(const std::string& path) {
  const absl::StatusOr<std::string> bytes = ReadFile(path, 64);
  if (absl::IsNotFound(bytes.status())) return MakeSecret(path);
  if (!bytes.ok()) return bytes.status();
  clat::SecretKey secret;
  if (bytes->size() != secret.size()) {
    return absl::DataLossError(absl::StrCat("read ", path, ": expected ",
                                            secret.size(), " bytes, found ",
                                            bytes->size()));
  }
  std::memcpy(secret.data(), bytes->data(), secret.size());
  return secret;
}

absl::StatusOr<std::unique_ptr<ClatService>> ClatService::Open(
    const DaemonOptions& options, event_base* base) {
  NP_ASSIGN_OR_RETURN(const clat::SecretKey secret,
                      LoadClatSecret(SecretPath(options)));
  auto service = std::unique_ptr<ClatService>(new ClatService());
  clat::ControllerOptions settings{
      .pin_dir = clat::ClatPinDir(options.engine.pin_dir),
      .automatic = *options.clat_interfaces,
      .dns_servers = options.clat_dns_servers,
      .secret = secret,
      .observer = [](const clat::ControllerEvent& event) {
        Log(EventName(event.kind),
            {{"interface", event.interface}, {"detail", event.detail}});
      }};
  settings.access.group = options.engine.pin_group;
  if (options.clat_prefix.has_value()) {
    settings.settings.prefix = *options.clat_prefix;
  }
  NP_ASSIGN_OR_RETURN(service->controller_,
                      clat::Controller::Open(std::move(settings)));
  service->event_.reset(event_new(base, service->controller_->fd(),
                                  EV_READ | EV_PERSIST, &OnReadable,
                                  service.get()));
  if (service->event_ == nullptr ||
      event_add(service->event_.get(), nullptr) != 0) {
    return absl::ResourceExhaustedError("watch translation: out of memory");
  }
  return service;
}

void ClatService::OnReadable(int, int16_t, void* self) {
  static_cast<ClatService*>(self)->controller_->Process();
}

absl::Status DetachClat(const DaemonOptions& options) {
  const std::string pin_dir = clat::ClatPinDir(options.engine.pin_dir);
  struct stat info;
  if (stat(pin_dir.c_str(), &info) != 0 && errno == ENOENT) {
    return absl::OkStatus();
  }
  NP_ASSIGN_OR_RETURN(const auto controller,
                      clat::Controller::Open({.pin_dir = pin_dir}));
  return controller->Detach();
}

}  // namespace netpolicy
