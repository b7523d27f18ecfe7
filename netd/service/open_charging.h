// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_SERVICE_OPEN_CHARGING_H_
#define NETPOLICY_NETD_SERVICE_OPEN_CHARGING_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libpolicy/engine/charging.h"
#include "libpolicy/engine/engine_options.h"
#include "netd/service/client.h"

namespace netpolicy {

struct ChargingOptions {
  std::string pin_dir = EngineOptions().pin_dir;
  std::string socket = kDefaultSocketPath;
  absl::Duration deadline = absl::Seconds(10);  // of connecting and each call
};

// The way to charge traffic that this process has: the kernel's tables, when
// it may write them (CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON), whether a netd
// runs or not; else netd, which may then refuse by the policy. Programs and
// links stay as they are. What it was is decided here, once: to open again is
// for who gains or drops capabilities.
//
// Errors: those of Client::Connect(), with why the tables can't be written.
absl::StatusOr<std::unique_ptr<ChargingInterface>> OpenCharging(
    const ChargingOptions& options);

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_SERVICE_OPEN_CHARGING_H_
