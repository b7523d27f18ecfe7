// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_CLI_FAKE_QUOTAS_H_
#define NETPOLICY_NETD_CLI_FAKE_QUOTAS_H_

#include <algorithm>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libpolicy/engine/quota.h"
#include "netd/service/quotas.h"

namespace netpolicy::cli {

// A limit that is used up, an alert that was reached, and what a test sets.
class FakeQuotas : public QuotaKeeper {
 public:
  struct World {
    World() {
      const absl::Time day = absl::FromUnixSeconds(1795564800);
      Quota limit;
      limit.id = QuotaId{1};
      limit.definition = {.subject = QuotaSubject::OfUid(Uid{10001}),
                          .period = {QuotaPeriod::Kind::kMonth, 1},
                          .limit = 5'000'000'000};
      limit.used = 5'000'000'000;
      limit.packets = 7'000'000;
      limit.bytes = 12'000'000'000;
      limit.refused_packets = 1234;
      limit.refused_bytes = 98765;
      limit.period_start = day;
      limit.crossed = true;
      Quota alert;
      alert.id = QuotaId{3};
      alert.definition = {.subject = QuotaSubject::OfInterface("wwan0"),
                          .kind = QuotaDefinition::Kind::kAlert,
                          .unit = QuotaDefinition::Unit::kPackets,
                          .directions = QuotaDefinition::Directions::kIn,
                          .period = {QuotaPeriod::Kind::kDay, 0},
                          .limit = 1000};
      alert.used = 1500;
      alert.packets = 1500;
      alert.bytes = 1'000'000;
      alert.period_start = day;
      alert.crossed = true;
      quotas = {limit, alert};
      alerts.list = {{7, day + absl::Hours(2), limit},
                     {8, day + absl::Hours(3), alert}};
      alerts.lost = 2;
    }

    std::vector<Quota> quotas;
    QuotaAlerts alerts;
  };

  explicit FakeQuotas(World& world) : world_(world) {}

  absl::StatusOr<QuotaId> SetQuota(const QuotaDefinition& definition) override {
    if (definition.kind == QuotaDefinition::Kind::kAlert &&
        definition.limit == 0) {
      return absl::InvalidArgumentError("set quota: an alert at 0");
    }
    Quota quota;
    quota.id = QuotaId{ToInt(world_.quotas.back().id) + 1};
    quota.definition = definition;
    quota.period_start = absl::FromUnixSeconds(1795600000);
    world_.quotas.push_back(quota);
    return quota.id;
  }
  absl::Status RemoveQuota(QuotaId id) override {
    const size_t removed = std::erase_if(
        world_.quotas, [id](const Quota& quota) { return quota.id == id; });
    if (removed > 0) return absl::OkStatus();
    return absl::NotFoundError(
        absl::StrCat("remove quota: there is no quota ", ToInt(id)));
  }
  absl::Status ResetQuota(QuotaId id) override {
    for (Quota& quota : world_.quotas) {
      if (quota.id == id) quota.used = 0;
    }
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<Quota>> Quotas() override { return world_.quotas; }
  absl::StatusOr<QuotaAlerts> Alerts() override { return world_.alerts; }
  absl::Status AcknowledgeAlerts(uint64_t) override {
    world_.alerts = {};
    return absl::OkStatus();
  }

 private:
  World& world_;
};

}  // namespace netpolicy::cli

#endif  // NETPOLICY_NETD_CLI_FAKE_QUOTAS_H_
