// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_DAEMON_PERSISTENT_QUOTAS_H_
#define NETPOLICY_NETD_DAEMON_PERSISTENT_QUOTAS_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libpolicy/engine/engine.h"
#include "netd/daemon/quota_file.h"
#include "netd/service/quotas.h"

namespace netpolicy {

// What the file has.
struct SavedQuotas {
  QuotaState state;    // without a file, one that says nothing
  std::string damage;  // what was wrong with it, and where it is now; "":
                       // nothing
};

// An engine's quotas, whose definitions, use and alerts survive a reboot, and
// whose periods begin in time as long as somebody calls Refresh().
//
// A crossing becomes an alert exactly once: the alert is written to the file
// with the name of the crossing, and only then is the kernel told that it was
// seen. Who dies in between finds the crossing again at the next start, and its
// name in the file.
//
// A change is in force and in the file, or neither; a power cut in the middle
// of one that nobody was told had worked may leave either. Not thread-safe.
class PersistentQuotas final : public QuotaKeeper {
 public:
  struct Options {
    std::string path;  // of the file
    absl::TimeZone zone;
    std::function<absl::Time()> now;
    // Told of each alert once it is in the file. Who dies over that is told
    // again by the next: twice is better than never.
    std::function<void(const QuotaAlert&)> on_alert = [](const QuotaAlert&) {};
    // When the next period begins, after each Refresh() that worked.
    std::function<void(absl::Time)> on_next_period = [](absl::Time) {};
  };

  // Alerts that are kept; of more the oldest are lost, and counted.
  static constexpr size_t kMaxAlerts = 1000;

  // Reads the file; one that can't be read is moved aside. For
  // EngineOptions::initial_quotas, lest a packet pass new tables before the
  // quotas are in them. Errors: kFailedPrecondition when a newer netd wrote the
  // file; the system's.
  static absl::StatusOr<SavedQuotas> LoadSaved(const std::string& path);

  // Goes on with what was saved; puts it into the tables, if they are new and
  // the engine was not opened with it. `engine` must outlive it. Errors: those
  // of Engine::RestoreQuotas(); the system's.
  static absl::StatusOr<std::unique_ptr<PersistentQuotas>> Open(
      Engine& engine, SavedQuotas saved, Options options);

  // Begins periods that are due, makes alerts of crossings, saves what is used.
  // Errors: the engine's, those of saving; may be called again.
  absl::Status Refresh();

  absl::StatusOr<QuotaId> SetQuota(const QuotaDefinition& definition) override;
  absl::Status RemoveQuota(QuotaId id) override;
  absl::Status ResetQuota(QuotaId id) override;
  absl::StatusOr<std::vector<Quota>> Quotas() override;
  absl::StatusOr<QuotaAlerts> Alerts() override;
  absl::Status AcknowledgeAlerts(uint64_t number) override;

  // How many quotas of the file were put into the tables.
  int restored() const { return restored_; }
  // SavedQuotas::damage
  const std::string& damage() const { return damage_; }

 private:
  PersistentQuotas(Engine& engine, Options options)
      : engine_(engine), options_(std::move(options)), file_(options_.path) {}

  absl::Status Restore(SavedQuotas saved);
  absl::Status Save(const QuotaState& state);
  absl::Status ChangeSaved(QuotaId id, std::function<void(QuotaState&)> change,
                           std::function<absl::Status()> act);
  void Tell();
  void Acknowledge(const std::vector<QuotaCrossing>& crossings);

  Engine& engine_;
  const Options options_;
  const QuotaFile file_;
  QuotaState state_;     // in the file
  std::string content_;  // of the file
  std::string tables_;   // LifeOfTables()
  uint64_t told_ = 0;    // the last alert that on_alert() was told of
  int restored_ = 0;
  std::string damage_;
};

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_DAEMON_PERSISTENT_QUOTAS_H_
