// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_DAEMON_QUOTA_SERVICE_H_
#define NETPOLICY_NETD_DAEMON_QUOTA_SERVICE_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/engine/engine.h"
#include "libpolicy/kernel/ring_reader.h"
#include "netd/daemon/options.h"
#include "netd/daemon/persistent_quotas.h"
#include "netd/service/doctor.h"

struct event;
struct event_base;

namespace netpolicy {

// Quotas in netd's event loop, with its log: saved every so often, alerts made
// when the programs say that there are crossings, periods begun when the clock
// of the day says so or was set.
class QuotaService {
 public:
  // What the engine is to be opened with. Errors: those of
  // PersistentQuotas::LoadSaved().
  static absl::StatusOr<SavedQuotas> LoadSaved(const DaemonOptions& options);

  // Goes on with what was saved. `engine` must outlive it. Errors: those of
  // PersistentQuotas::Open(); the system's.
  static absl::StatusOr<std::unique_ptr<QuotaService>> Open(
      const DaemonOptions& options, SavedQuotas saved, Engine& engine);

  // Alerts of what was crossed meanwhile come at once. `base` must outlive it.
  // Errors: the system's; kResourceExhausted for memory.
  absl::Status Start(event_base* base);

  // Saves what is used.
  absl::Status Flush();

  QuotaKeeper& quotas() { return *quotas_; }

  // Whether quotas are being saved, for `ndc doctor`.
  DoctorFinding Finding() const;

 private:
  explicit QuotaService(const DaemonOptions& options) : options_(options) {}

  void WaitUntil(absl::Time next_period);
  static void OnInterval(int fd, int16_t what, void* self);
  static void OnClock(int fd, int16_t what, void* self);
  static void OnWake(int fd, int16_t what, void* self);

  struct Free {
    void operator()(event* e) const;
  };
  using Event = std::unique_ptr<event, Free>;

  const DaemonOptions& options_;
  std::unique_ptr<PersistentQuotas> quotas_;
  absl::Status last_;  // of the last flush
  UniqueFd clock_;     // a timerfd
  absl::optional<RingReader> wake_;
  Event interval_event_;
  Event clock_event_;
  Event wake_event_;
};

// What netd --detach does of quotas: saves what is used, as the tables go.
void StoreLastQuotas(const DaemonOptions& options, Engine& engine);

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_DAEMON_QUOTA_SERVICE_H_
