// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_CLI_CONNECT_H_
#define NETPOLICY_NETD_CLI_CONNECT_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clat/clat_interface.h"
#include "libpolicy/engine/charging.h"
#include "libpolicy/engine/policy_interface.h"
#include "libpolicy/traffic/interface_traffic.h"
#include "netd/cli/invocation.h"
#include "netd/service/doctor.h"
#include "netd/service/history.h"
#include "netd/service/quotas.h"

// ndc's connections to the outside.

namespace netpolicy::cli {

// A client of netd, or an Engine of this process over the pins, which it adopts
// as they are. Errors: kNotFound and kUnavailable when there is no netd at the
// socket, or nothing pinned at the directory; kPermissionDenied.
absl::StatusOr<std::unique_ptr<PolicyInterface>> Connect(
    const GlobalOptions& options);

// A netd that translates, or what does it without.
absl::StatusOr<std::unique_ptr<clat::ClatInterface>> ConnectClat(
    const GlobalOptions& options);

// The log of commits of the netd that the options name. Errors: as Connect();
// kUnimplemented with kDirect, as the pins know no history.
absl::StatusOr<std::unique_ptr<CommitHistory>> ConnectHistory(
    const GlobalOptions& options);

// The history of usage, likewise.
absl::StatusOr<std::unique_ptr<UsageHistory>> ConnectUsage(
    const GlobalOptions& options);

// The netd that keeps quotas, or with kDirect the tables, which know of no
// alerts (kUnimplemented). What is set there a netd that runs later, or at its
// next saving, keeps over a reboot. Errors: as Connect().
absl::StatusOr<std::unique_ptr<QuotaKeeper>> ConnectQuotas(
    const GlobalOptions& options);

// A client of netd, or an Engine of this process, as Connect().
absl::StatusOr<std::unique_ptr<ChargingInterface>> ConnectCharging(
    const GlobalOptions& options);

// What the kernel and the machine offer: as netd sees it when there is one,
// else as this process does.
DoctorReport Examine(const GlobalOptions& options, const EngineStatus* status);

// InterfaceMeter over the directory whose name is that of the policy's pins and
// "_interfaces".
absl::StatusOr<TcMethod> WatchInterface(const GlobalOptions& options,
                                        const std::string& interface);
absl::Status UnwatchInterface(const GlobalOptions& options,
                              const std::string& interface);
absl::StatusOr<std::vector<InterfaceTraffic>> ReadInterfaces(
    const GlobalOptions& options);

}  // namespace netpolicy::cli

#endif  // NETPOLICY_NETD_CLI_CONNECT_H_
