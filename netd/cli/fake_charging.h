// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_CLI_FAKE_CHARGING_H_
#define NETPOLICY_NETD_CLI_FAKE_CHARGING_H_

#include <map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "libpolicy/engine/charging.h"

namespace netpolicy::cli {

// Keeps counter sets in a map that outlives it; bob may not set them.
class FakeCharging : public ChargingInterface {
 public:
  explicit FakeCharging(std::map<Uid, uint32_t>& sets) : sets_(sets) {}

  absl::Status TagSocket(int, const SocketTag&) override {
    return absl::OkStatus();
  }
  absl::Status SetCounterSet(Uid uid, uint32_t counter_set) override {
    if (uid == Uid{10002}) {
      return absl::PermissionDeniedError(
          "set counter set: operation not permitted: uid 10001 has no "
          "update_device_stats");
    }
    sets_[uid] = counter_set;
    if (counter_set == 0) sets_.erase(uid);
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<UidCounterSet>> CounterSets() override {
    std::vector<UidCounterSet> sets;
    for (const auto& [uid, counter_set] : sets_) {
      sets.push_back({.uid = uid, .counter_set = counter_set});
    }
    return sets;
  }

 private:
  std::map<Uid, uint32_t>& sets_;
};

}  // namespace netpolicy::cli

#endif  // NETPOLICY_NETD_CLI_FAKE_CHARGING_H_
