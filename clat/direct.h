// SPDX-License-Identifier: Apache-2.0
//
// Translation where no daemon looks after it: each call does its work and goes,
// and what it has set up stays in the kernel as it is, whatever the network
// does. A netd that starts later takes it over.

#ifndef NETPOLICY_CLAT_DIRECT_H_
#define NETPOLICY_CLAT_DIRECT_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "clat/clat_interface.h"

namespace netpolicy::clat {

// Where the pins of translation are when the policy's are at this place: in a
// directory beside it, as the policy's holds nothing but the policy's.
std::string ClatPinDir(absl::string_view policy_pin_dir);

class DirectClat final : public ClatInterface {
 public:
  // `pin_dir` as for Installer; `dns_servers` as for DnsOptions.
  explicit DirectClat(std::string pin_dir,
                      std::vector<std::string> dns_servers = {})
      : pin_dir_(std::move(pin_dir)), dns_servers_(std::move(dns_servers)) {}

  // Waits until it translates. Errors besides those of the interface:
  // kDeadlineExceeded with the reason, and nothing is left; kUnavailable when a
  // netd translates.
  absl::Status Start(const std::string& interface,
                     const UplinkSettings& settings) override;
  absl::Status Stop(const std::string& interface) override;
  absl::StatusOr<std::vector<UplinkStatus>> Uplinks() override;
  absl::StatusOr<std::vector<DiscoveredPrefix>> Discover(
      const std::string& interface) override;
  absl::StatusOr<Changes> ChangesAfter(uint64_t seen) override;

 private:
  // Long enough for routers, then DNS, then duplicate address detection.
  static constexpr absl::Duration kStartLimit = absl::Seconds(15);
  static constexpr absl::Duration kRouterLimit = absl::Seconds(4);
  static constexpr absl::Duration kDnsLimit = absl::Seconds(10);

  const std::string pin_dir_;
  const std::vector<std::string> dns_servers_;
};

}  // namespace netpolicy::clat

#endif  // NETPOLICY_CLAT_DIRECT_H_
