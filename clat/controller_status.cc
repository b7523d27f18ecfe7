// SPDX-License-Identifier: Apache-2.0

// What a controller says of itself.

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clat/controller.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/kernel/tc_link.h"

namespace netpolicy::clat {

absl::StatusOr<std::vector<DiscoveredPrefix>> Controller::Discover(
    const std::string& interface) {
  const auto found = uplinks_.find(interface);
  if (found == uplinks_.end()) {
    return absl::NotFoundError(
        absl::StrCat("discover prefixes of ", interface,
                     ": translation was neither started there nor is it "
                     "automatic"));
  }
  return Discovered(found->second, Now());
}

std::vector<DiscoveredPrefix> Controller::Discovered(const Uplink& uplink,
                                                     absl::Time now) const {
  std::vector<DiscoveredPrefix> all;
  for (const KnownPrefix& known : prefixes_.All(uplink.ifindex, now)) {
    DiscoveredPrefix one{known.prefix,
                         std::string(PrefixSourceName(known.source)),
                         {},
                         known.expires - now};
    if (known.source == PrefixSource::kRouter) one.router = known.router;
    all.push_back(std::move(one));
  }
  return all;
}

absl::StatusOr<std::vector<UplinkStatus>> Controller::Uplinks() {
  const absl::Time now = Now();
  NP_ASSIGN_OR_RETURN(const NetworkState network,
                      ReadNetwork(installer_->netlink()));
  NP_ASSIGN_OR_RETURN(const auto installed, installer_->Installed());
  std::vector<UplinkStatus> all;
  for (const auto& [name, uplink] : uplinks_) {
    const Link* link = network.FindLink(name);
    UplinkStatus status{
        .interface = name,
        .ifindex = link == nullptr ? 0 : ToInt(link->ifindex),
        .origin = uplink.origin == Origin::kAutomatic ? "automatic" : "asked"};
    status.prefixes = Discovered(uplink, now);
    const auto found = installed.find(uplink.ifindex);
    if (found != installed.end()) {
      const Identity& identity = found->second;
      UplinkStatus::Translation translation{.prefix = identity.prefix};
      const auto best = prefixes_.Best(uplink.ifindex, now);
      translation.source = std::string(PrefixSourceName(
          uplink.settings.prefix.has_value() || !best.has_value()
              ? PrefixSource::kConfigured
              : best->source));
      translation.pair = identity.pair;
      translation.mappings = installer_->Mappings(uplink.ifindex);
      for (const DefaultRoute4& route : network.routes4) {
        if (route.ifindex == uplink.ifindex &&
            route.protocol == kRouteProtocol) {
          translation.router = route.via6;
          translation.mtu4 = route.mtu;
        }
      }
      translation.method =
          std::string(TcMethodName(installer_->Method(uplink.ifindex)));
      NP_ASSIGN_OR_RETURN(translation.counters,
                          installer_->ReadCounters(uplink.ifindex));
      status.translation = std::move(translation);
    }
    if (uplink.reason.has_value()) {
      status.off_reason = std::string(OffReasonName(*uplink.reason));
      status.detail = uplink.error.ok()
                          ? std::string(OffReasonText(*uplink.reason))
                          : std::string(uplink.error.message());
    }
    all.push_back(std::move(status));
  }
  return all;
}

}  // namespace netpolicy::clat
