// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_CLI_FAKE_CLAT_H_
#define NETPOLICY_NETD_CLI_FAKE_CLAT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "bpf_progs/abi/clat.h"
#include "clat/clat_interface.h"

namespace netpolicy::cli {

inline clat::DiscoveredPrefix FakePrefix() {
  return {*clat::Pref64::Parse("64:ff9b::/96"), "router",
          *clat::Ipv6Address::Parse("fe80::1"), absl::Seconds(1790)};
}

// wwan0 translates, eth0 has IPv4 itself.
class FakeClat : public clat::ClatInterface {
 public:
  absl::Status Start(const std::string& interface,
                     const clat::UplinkSettings&) override {
    if (interface == "wwan0") return absl::OkStatus();
    return absl::NotFoundError(absl::StrCat("start translation on ", interface,
                                            ": no such interface"));
  }
  absl::Status Stop(const std::string& interface) override {
    if (interface == "wwan0") return absl::OkStatus();
    return absl::NotFoundError(
        absl::StrCat("stop translation on ", interface,
                     ": it was neither started there nor is it automatic"));
  }
  absl::StatusOr<std::vector<clat::UplinkStatus>> Uplinks() override {
    clat::UplinkStatus off{
        .interface = "eth0", .ifindex = 2, .origin = "automatic"};
    off.off_reason = "native_ipv4";
    off.detail = "the link has IPv4 itself";
    clat::UplinkStatus on{
        .interface = "wwan0", .ifindex = 5, .origin = "asked"};
    on.prefixes = {FakePrefix()};
    on.translation = clat::UplinkStatus::Translation{
        .prefix = *clat::Pref64::Parse("64:ff9b::/96")};
    on.translation->source = "router";
    on.translation->pair = {*clat::Ipv4Address::Parse("192.0.0.1"),
                            *clat::Ipv6Address::Parse("2001:db8:1:2::9245")};
    on.translation->mappings = {{*clat::Ipv4Prefix::Parse("10.9.0.0/24"),
                                 *clat::Ipv6Prefix::Parse("2001:db8:9::/120")}};
    on.translation->router = *clat::Ipv6Address::Parse("fe80::1");
    on.translation->mtu4 = 1472;
    on.translation->method = "tcx";
    np_clat_counters& counters = on.translation->counters;
    counters.outcomes[NP_CLAT_TRANSLATED_46] = 1234567;
    counters.outcomes[NP_CLAT_TRANSLATED_64] = 7654321;
    counters.outcomes[NP_CLAT_TTL] = 12;
    counters.outcomes[NP_CLAT_UDP_ZERO_FRAGMENT] = 1;
    counters.answers[NP_CLAT_ANSWERS_SENT] = 10;
    counters.answers[NP_CLAT_ANSWERS_WITHHELD] = 2;
    counters.bytes46 = 1000000000;
    counters.bytes64 = 2000000000;
    return std::vector<clat::UplinkStatus>{off, on};
  }
  absl::StatusOr<clat::Changes> ChangesAfter(uint64_t seen) override {
    clat::ChangeLog log;
    const absl::Time when = absl::FromUnixMillis(1750000000123);
    log.Add({.time = when,
             .kind = "on",
             .interface = "wwan0",
             .detail = "prefix=64:ff9b::/96 local4=192.0.0.1"});
    log.Add({.time = when + absl::Seconds(5),
             .kind = "off",
             .interface = "wwan0",
             .detail = "the link has IPv4 itself"});
    log.Add({.time = when + absl::Seconds(6),
             .kind = "error",
             .interface = "eth0",
             .detail = "add address 192.0.0.1: no"});
    return log.After(seen);
  }
  absl::StatusOr<std::vector<clat::DiscoveredPrefix>> Discover(
      const std::string& interface) override {
    if (interface != "wwan0") return std::vector<clat::DiscoveredPrefix>();
    clat::DiscoveredPrefix by_dns{
        *clat::Pref64::Parse("2001:db8:64::/96"), "dns", {}, absl::Minutes(10)};
    return std::vector<clat::DiscoveredPrefix>{FakePrefix(), by_dns};
  }
};

}  // namespace netpolicy::cli

#endif  // NETPOLICY_NETD_CLI_FAKE_CLAT_H_
