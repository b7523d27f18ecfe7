// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_CLI_FAKE_USAGE_H_
#define NETPOLICY_NETD_CLI_FAKE_USAGE_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "netd/usage/usage.h"

namespace netpolicy::cli {

// Two days of two UIDs.
class FakeUsage : public UsageHistory {
 public:
  absl::StatusOr<std::vector<UsageRow>> Usage(
      const UsageQuery& query) override {
    if (query.uid == 4711u) return std::vector<UsageRow>();
    UsageKey alice;
    UsageKey bob;
    if (query.by_uid) {
      alice.uid = 10001;
      bob.uid = 10002;
    }
    if (query.by_interface) {
      alice.interface = "eth0";
      bob.interface = "wwan,0";
    }
    return std::vector<UsageRow>{
        {1795564800, alice, {1000, 1234567, 500, 65536}, 0},
        {1795564800, bob, {9, 900, 8, 800}, kUsageClockSet},
        {1795651200, bob, {4000, 5000000, 2000, 150000}, kUsageEstimated}};
  }
  absl::Status ForgetUsage(uint32_t) override { return absl::OkStatus(); }
};

}  // namespace netpolicy::cli

#endif  // NETPOLICY_NETD_CLI_FAKE_USAGE_H_
