// SPDX-License-Identifier: Apache-2.0
//
// What is asked and said of quotas (libpolicy/engine/quota.h).

#ifndef NETPOLICY_NETD_SERVICE_QUOTAS_H_
#define NETPOLICY_NETD_SERVICE_QUOTAS_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libpolicy/engine/quota.h"

namespace netpolicy {

// That a quota was crossed: an alert reached, or a limit has refused its first
// packet of a period.
struct QuotaAlert {
  uint64_t number = 0;  // from 1, one after the other; given out once
  absl::Time time;      // of the crossing
  Quota quota;          // as netd saw it then, which may be later
};

struct QuotaAlerts {
  std::vector<QuotaAlert> list;  // oldest first
  uint64_t lost = 0;             // older ones that there was no room for
};

// Quotas that are kept over a reboot, in this process or in netd. Calls block.
// All errors change nothing.
class QuotaKeeper {
 public:
  virtual ~QuotaKeeper() = default;

  // Errors: those of Engine::SetQuota(), and of saving.
  virtual absl::StatusOr<QuotaId> SetQuota(
      const QuotaDefinition& definition) = 0;
  // Errors: kNotFound; those of saving.
  virtual absl::Status RemoveQuota(QuotaId id) = 0;
  virtual absl::Status ResetQuota(QuotaId id) = 0;
  // By id.
  virtual absl::StatusOr<std::vector<Quota>> Quotas() = 0;

  // Those that nobody has acknowledged.
  virtual absl::StatusOr<QuotaAlerts> Alerts() = 0;
  // Alerts up to this number are not returned any more, nor counted as lost.
  virtual absl::Status AcknowledgeAlerts(uint64_t number) = 0;
};

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_SERVICE_QUOTAS_H_
