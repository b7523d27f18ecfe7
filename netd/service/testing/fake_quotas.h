// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_SERVICE_TESTING_FAKE_QUOTAS_H_
#define NETPOLICY_NETD_SERVICE_TESTING_FAKE_QUOTAS_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "netd/service/quotas.h"

namespace netpolicy::testing {

// Answers what the test sets, and keeps what was asked.
class FakeQuotas : public QuotaKeeper {
 public:
  std::vector<Quota> quotas;
  QuotaAlerts alerts;

  QuotaDefinition last_definition;
  QuotaId last_removed{};
  QuotaId last_reset{};
  uint64_t last_acknowledged = 0;
  int changes = 0;

  absl::StatusOr<QuotaId> SetQuota(const QuotaDefinition& definition) override {
    ++changes;
    last_definition = definition;
    return QuotaId{9};
  }
  absl::Status RemoveQuota(QuotaId id) override {
    ++changes;
    last_removed = id;
    return absl::OkStatus();
  }
  absl::Status ResetQuota(QuotaId id) override {
    ++changes;
    last_reset = id;
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<Quota>> Quotas() override { return quotas; }
  absl::StatusOr<QuotaAlerts> Alerts() override { return alerts; }
  absl::Status AcknowledgeAlerts(uint64_t number) override {
    ++changes;
    last_acknowledged = number;
    return absl::OkStatus();
  }
};

}  // namespace netpolicy::testing

#endif  // NETPOLICY_NETD_SERVICE_TESTING_FAKE_QUOTAS_H_
