// SPDX-License-Identifier: Apache-2.0

#include <utility>

#include "absl/time/clock.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/engine/engine.h"
#include "libpolicy/engine/engine_impl.h"
#include "libpolicy/engine/quota_tables.h"
#include "libpolicy/engine/snapshot.h"

namespace netpolicy {

// Calls `use` with the tables of quotas, and with the lock.
template <typename Use>
auto Engine::WithQuotas(absl::string_view operation, Use use)
    -> decltype(use(std::declval<QuotaTables&>())) {
  const absl::MutexLock mutex_lock(&impl_->mutex);
  NP_ASSIGN_OR_RETURN(const DirectoryLock lock,
                      impl_->Lock(DirectoryLock::Kind::kExclusive));
  NP_RETURN_IF_ERROR(CheckReady(impl_->tables().control_entry(), operation));
  Committer& committer = impl_->committer;
  const auto outdate = [&committer] { return committer.OutdateVerdicts(); };
  QuotaTables quotas(impl_->tables(), committer.writer(), outdate);
  return use(quotas);
}

absl::StatusOr<QuotaId> Engine::SetQuota(const QuotaDefinition& definition,
                                         absl::TimeZone zone) {
  const absl::Time start = QuotaPeriodStart(
      definition.period, absl::InfinitePast(), absl::Now(), zone);
  return WithQuotas("set quota", [&](QuotaTables& quotas) {
    return quotas.Set(definition, start);
  });
}

absl::Status Engine::RemoveQuota(QuotaId id) {
  return WithQuotas("remove quota",
                    [id](QuotaTables& quotas) { return quotas.Remove(id); });
}

absl::Status Engine::ResetQuota(QuotaId id) {
  return WithQuotas("reset quota",
                    [id](QuotaTables& quotas) { return quotas.Reset(id); });
}

absl::StatusOr<std::vector<Quota>> Engine::Quotas() {
  return WithQuotas("read quotas",
                    [](QuotaTables& quotas) { return quotas.List(); });
}

absl::StatusOr<int> Engine::RestoreQuotas(absl::Span<const Quota> quotas) {
  return WithQuotas("restore quotas", [quotas](QuotaTables& tables) {
    return tables.Restore(quotas);
  });
}

absl::StatusOr<absl::Time> Engine::RestartQuotaPeriods(absl::Time now,
                                                       absl::TimeZone zone) {
  return WithQuotas("restart periods of quotas", [&](QuotaTables& quotas) {
    return quotas.RestartPeriods(now, zone);
  });
}

absl::StatusOr<std::vector<QuotaCrossing>> Engine::QuotaCrossings() {
  return WithQuotas("read crossings of quotas", [](QuotaTables& quotas) {
    return quotas.Crossings(absl::Now());
  });
}

absl::Status Engine::AcknowledgeQuotaCrossing(const QuotaCrossing& crossing) {
  return WithQuotas("acknowledge crossing", [&](QuotaTables& quotas) {
    return quotas.AcknowledgeCrossing(crossing.quota.id, crossing.level);
  });
}

absl::StatusOr<RingReader> Engine::OpenQuotaWake() const {
  return RingReader::Open(impl_->tables().quota_wake.fd());
}

}  // namespace netpolicy
