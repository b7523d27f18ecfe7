// SPDX-License-Identifier: Apache-2.0

#include "netd/cli/connect.h"

#include <utility>

#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "clat/direct.h"
#include "libpolicy/engine/engine.h"
#include "libpolicy/engine/engine_options.h"
#include "libpolicy/kernel/probe.h"
#include "libpolicy/traffic/interface_meter.h"
#include "netd/daemon/machine.h"
#include "netd/service/client.h"

namespace netpolicy::cli {
namespace {

// netd answers in milliseconds unless the machine is in trouble.
constexpr absl::Duration kDeadline = absl::Seconds(30);

absl::StatusOr<std::unique_ptr<Engine>> OpenEngine(
    const GlobalOptions& options) {
  EngineOptions engine;
  engine.pin_dir = options.pin_dir;
  engine.mode = OpenMode::kAdoptOnly;
  return Engine::Open(engine);
}

// Quotas of pinned tables, without netd.
class DirectQuotas final : public QuotaKeeper {
 public:
  explicit DirectQuotas(std::unique_ptr<Engine> engine)
      : engine_(std::move(engine)) {}

  absl::StatusOr<QuotaId> SetQuota(const QuotaDefinition& definition) override {
    return engine_->SetQuota(definition);
  }
  absl::Status RemoveQuota(QuotaId id) override {
    return engine_->RemoveQuota(id);
  }
  absl::Status ResetQuota(QuotaId id) override {
    return engine_->ResetQuota(id);
  }
  absl::StatusOr<std::vector<Quota>> Quotas() override {
    return engine_->Quotas();
  }
  absl::StatusOr<QuotaAlerts> Alerts() override { return NotKept(); }
  absl::Status AcknowledgeAlerts(uint64_t) override { return NotKept(); }

 private:
  static absl::Status NotKept() {
    return absl::UnimplementedError(
        "read alerts: netd keeps them; not available with --direct");
  }

  std::unique_ptr<Engine> engine_;
};

InterfaceMeter Meter(const GlobalOptions& options) {
  return InterfaceMeter(
      {.pin_dir = options.pin_dir + "_interfaces", .access = {}});
}

}  // namespace

absl::StatusOr<std::unique_ptr<PolicyInterface>> Connect(
    const GlobalOptions& options) {
  if (options.access == Access::kDirect) return OpenEngine(options);
  return Client::Connect(options.socket, kDeadline);
}

absl::StatusOr<std::unique_ptr<ChargingInterface>> ConnectCharging(
    const GlobalOptions& options) {
  if (options.access == Access::kDirect) return OpenEngine(options);
  return Client::Connect(options.socket, kDeadline);
}

absl::StatusOr<std::unique_ptr<QuotaKeeper>> ConnectQuotas(
    const GlobalOptions& options) {
  if (options.access == Access::kDirect) {
    absl::StatusOr<std::unique_ptr<Engine>> opened = OpenEngine(options);
    if (!opened.ok()) return opened.status();
    return std::make_unique<DirectQuotas>(*std::move(opened));
  }
  return Client::Connect(options.socket, kDeadline);
}

absl::StatusOr<std::unique_ptr<clat::ClatInterface>> ConnectClat(
    const GlobalOptions& options) {
  if (options.access == Access::kDirect) {
    return std::make_unique<clat::DirectClat>(
        clat::ClatPinDir(options.pin_dir),
        absl::StrSplit(options.dns_servers, ',', absl::SkipEmpty()));
  }
  return Client::Connect(options.socket, kDeadline);
}

absl::StatusOr<std::unique_ptr<CommitHistory>> ConnectHistory(
    const GlobalOptions& options) {
  if (options.access == Access::kDirect) {
    return absl::UnimplementedError(
        "open log: netd keeps it; not available with --direct");
  }
  return Client::Connect(options.socket, kDeadline);
}

absl::StatusOr<std::unique_ptr<UsageHistory>> ConnectUsage(
    const GlobalOptions& options) {
  if (options.access == Access::kDirect) {
    return absl::UnimplementedError(
        "open usage history: netd keeps it; not available with --direct");
  }
  return Client::Connect(options.socket, kDeadline);
}

DoctorReport Examine(const GlobalOptions& options, const EngineStatus* status) {
  if (options.access == Access::kService && status != nullptr) {
    const absl::StatusOr<std::unique_ptr<Client>> client =
        Client::Connect(options.socket, kDeadline);
    if (client.ok()) {
      absl::StatusOr<DoctorReport> report = (*client)->Doctor();
      if (report.ok()) return *std::move(report);
    }
  }
  return ExamineMachine(
      ProbeFeatures(status == nullptr ? "" : status->cgroup, options.pin_dir),
      status);
}

absl::StatusOr<TcMethod> WatchInterface(const GlobalOptions& options,
                                        const std::string& interface) {
  return Meter(options).Watch(interface);
}

absl::Status UnwatchInterface(const GlobalOptions& options,
                              const std::string& interface) {
  return Meter(options).Unwatch(interface);
}

absl::StatusOr<std::vector<InterfaceTraffic>> ReadInterfaces(
    const GlobalOptions& options) {
  return Meter(options).Read();
}

}  // namespace netpolicy::cli
