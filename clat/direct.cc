// SPDX-License-Identifier: Apache-2.0

#include "clat/direct.h"

#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "clat/controller.h"
#include "clat/dns_query.h"
#include "clat/network.h"
#include "clat/prefix_table.h"
#include "clat/router_listener.h"
#include "libpolicy/base/status_macros.h"

namespace netpolicy::clat {
namespace {

// Whether anything has ever been set up.
bool Exists(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0;
}

int Milliseconds(absl::Duration duration) {
  return static_cast<int>(std::clamp(absl::ToInt64Milliseconds(duration),
                                     int64_t{1}, int64_t{60000}));
}

}  // namespace

std::string ClatPinDir(absl::string_view policy_pin_dir) {
  while (policy_pin_dir.size() > 1 && policy_pin_dir.back() == '/') {
    policy_pin_dir.remove_suffix(1);
  }
  return absl::StrCat(policy_pin_dir, "-clat");
}

absl::Status DirectClat::Start(const std::string& interface,
                               const UplinkSettings& settings) {
  NP_RETURN_IF_ERROR(CheckSettings(settings));
  NP_ASSIGN_OR_RETURN(
      std::unique_ptr<Controller> controller,
      Controller::Open({.pin_dir = pin_dir_, .dns_servers = dns_servers_}));
  NP_RETURN_IF_ERROR(controller->Start(interface, settings));
  const absl::Time end = absl::Now() + kStartLimit;
  while (true) {
    NP_ASSIGN_OR_RETURN(const std::vector<UplinkStatus> uplinks,
                        controller->Uplinks());
    const auto uplink = std::find_if(
        uplinks.begin(), uplinks.end(),
        [&](const UplinkStatus& one) { return one.interface == interface; });
    if (uplink == uplinks.end()) {
      return absl::NotFoundError(
          absl::StrCat("start translation on ", interface, ": it is gone"));
    }
    // An older translation goes on until the new one can take its place.
    if (uplink->translation.has_value() && uplink->off_reason.empty() &&
        (!settings.prefix.has_value() ||
         uplink->translation->prefix == *settings.prefix)) {
      return absl::OkStatus();
    }
    if (absl::Now() > end) {
      controller->Stop(interface).IgnoreError();
      return absl::DeadlineExceededError(absl::StrCat(
          "start translation on ", interface, ": ", uplink->detail));
    }
    pollfd wait = {controller->fd(), POLLIN, 0};
    poll(&wait, 1, Milliseconds(end - absl::Now()));
    controller->Process();
  }
}

absl::Status DirectClat::Stop(const std::string& interface) {
  if (!Exists(pin_dir_)) {
    return absl::NotFoundError(absl::StrCat("stop translation on ", interface,
                                            ": it was not started there"));
  }
  NP_ASSIGN_OR_RETURN(std::unique_ptr<Controller> controller,
                      Controller::Open({.pin_dir = pin_dir_}));
  NP_RETURN_IF_ERROR(controller->Stop(interface));
  NP_ASSIGN_OR_RETURN(const std::vector<UplinkStatus> left,
                      controller->Uplinks());
  // The last one takes the pins with it.
  return left.empty() ? controller->Detach() : absl::OkStatus();
}

absl::StatusOr<std::vector<UplinkStatus>> DirectClat::Uplinks() {
  if (!Exists(pin_dir_)) return std::vector<UplinkStatus>();
  NP_ASSIGN_OR_RETURN(
      std::unique_ptr<Controller> controller,
      Controller::Open({.mode = ControllerMode::kLook, .pin_dir = pin_dir_}));
  return controller->Uplinks();
}

absl::StatusOr<std::vector<DiscoveredPrefix>> DirectClat::Discover(
    const std::string& interface) {
  NP_ASSIGN_OR_RETURN(NetlinkSocket netlink, NetlinkSocket::Open());
  NP_ASSIGN_OR_RETURN(const NetworkState network, ReadNetwork(netlink));
  const Link* link = network.FindLink(interface);
  if (link == nullptr) {
    return absl::NotFoundError(absl::StrCat("discover prefixes of ", interface,
                                            ": no such interface"));
  }
  std::vector<DiscoveredPrefix> found;
  NP_ASSIGN_OR_RETURN(RouterListener listener, RouterListener::Open());
  const absl::Time end = absl::Now() + kRouterLimit;
  while (found.empty() && absl::Now() < end) {
    // Can't be sent while the link-local address is tentative; routers
    // advertise by themselves, too.
    listener.Solicit(link->ifindex).IgnoreError();
    pollfd wait = {listener.fd(), POLLIN, 0};
    poll(&wait, 1, Milliseconds(std::min(end - absl::Now(), absl::Seconds(1))));
    NP_ASSIGN_OR_RETURN(const std::vector<RouterNotice> notices,
                        listener.Read());
    for (const RouterNotice& notice : notices) {
      if (notice.ifindex != link->ifindex) continue;
      for (const Pref64Notice& one : notice.prefixes) {
        if (one.lifetime == absl::ZeroDuration()) continue;
        found.push_back({one.prefix,
                         std::string(PrefixSourceName(PrefixSource::kRouter)),
                         notice.router, one.lifetime});
      }
    }
  }
  const auto answer = DnsQuery::Ask(
      {.interface = interface, .servers = dns_servers_}, kDnsLimit);
  if (answer.ok()) {
    for (const Pref64& prefix : answer->prefixes) {
      found.push_back({prefix,
                       std::string(PrefixSourceName(PrefixSource::kDns)),
                       {},
                       answer->ttl});
    }
  } else if (found.empty()) {
    return answer.status();
  }
  return found;
}

absl::StatusOr<Changes> DirectClat::ChangesAfter(uint64_t) {
  return absl::FailedPreconditionError(
      "follow translation: nobody remembers changes but a netd");
}

}  // namespace netpolicy::clat
