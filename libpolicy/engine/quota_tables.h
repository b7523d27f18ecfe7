// SPDX-License-Identifier: Apache-2.0
//
// Quotas in the tables of bpf_progs/abi/quota.h.

#ifndef NETPOLICY_LIBPOLICY_ENGINE_QUOTA_TABLES_H_
#define NETPOLICY_LIBPOLICY_ENGINE_QUOTA_TABLES_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "libpolicy/engine/quota.h"
#include "libpolicy/engine/table_writer.h"
#include "libpolicy/engine/tables.h"

namespace netpolicy {

// The quotas in force, by id. Without the lock one that is being set or removed
// may be there or not, and one whose subject is being changed be half written.
absl::StatusOr<std::vector<Quota>> ReadQuotas(const Tables& tables);

// Whether there are any.
bool HasQuotas(const Tables& tables);

// Every call is made with the lock on the pin directory held. A call that
// fails, or dies half-way, has done all of it or nothing; what it leaves at
// positions that no subject names, the next one clears away.
class QuotaTables {
 public:
  // `outdate` makes sockets forget their verdicts. All must outlive it.
  QuotaTables(const Tables& tables, TableWriter& writer,
              absl::FunctionRef<absl::Status()> outdate)
      : tables_(tables), writer_(writer), outdate_(outdate) {}

  absl::StatusOr<QuotaId> Set(const QuotaDefinition& definition,
                              absl::Time period_start);
  absl::Status Remove(QuotaId id);
  absl::Status Reset(QuotaId id);
  absl::StatusOr<std::vector<Quota>> List() { return ReadQuotas(tables_); }
  absl::StatusOr<int> Restore(absl::Span<const Quota> quotas);
  absl::StatusOr<absl::Time> RestartPeriods(absl::Time now,
                                            absl::TimeZone zone);
  absl::StatusOr<std::vector<QuotaCrossing>> Crossings(absl::Time now);
  absl::Status AcknowledgeCrossing(QuotaId id, uint64_t level);

 private:
  np_quota& header() const { return tables_.quotas.array.at(0); }
  np_quota& at(uint32_t position) const {
    return tables_.quotas.array.at(position);
  }

  // Completes the change of a limit or period that somebody died over, and
  // frees positions that no subject names.
  absl::Status Repair();

  absl::StatusOr<uint32_t> Find(absl::string_view operation, QuotaId id) const;
  absl::Status StoreSet(const np_quota_key& key, uint64_t positions);

  // `last_id`: the last one given out then.
  absl::Status Insert(const np_quota& quota, uint32_t last_id);
  void Restart(np_quota& quota);

  const Tables& tables_;
  TableWriter& writer_;
  absl::FunctionRef<absl::Status()> outdate_;
};

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_ENGINE_QUOTA_TABLES_H_
