// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/engine/quota_explain.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "bpf_progs/abi/reason.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/engine/quota_tables.h"
#include "libpolicy/model/reason.h"

namespace netpolicy {
namespace {

bool Counts(const Quota& quota, Direction direction) {
  using Directions = QuotaDefinition::Directions;
  const Directions counted = quota.definition.directions;
  return (direction == Direction::kIngress && counted != Directions::kOut) ||
         (direction == Direction::kEgress && counted != Directions::kIn);
}

std::string Text(const Quota& quota) {
  return absl::StrCat("quota ", ToInt(quota.id),
                      " is used up: ", ToString(quota.definition));
}

// Those that refuse every packet of `query` in this direction.
std::vector<ExplainedReason> ExhaustedQuotas(const std::vector<Quota>& quotas,
                                             const ExplainQuery& query,
                                             Direction direction, Place place) {
  std::vector<ExplainedReason> reasons;
  for (const Quota& quota : quotas) {
    const QuotaSubject& subject = quota.definition.subject;
    // As np_judge_quotas() in bpf_progs/lib/quota.h.
    const bool meant = subject.kind == QuotaSubject::Kind::kInterface
                           ? subject.interface == query.interface
                           : place != Place::kLoopback &&
                                 (subject.kind == QuotaSubject::Kind::kAll ||
                                  subject.uid == query.uid);
    if (!meant || !quota.exhausted() || !Counts(quota, direction)) continue;
    reasons.push_back({.number = NP_REASON_QUOTA,
                       .name = ReasonName(NP_REASON_QUOTA),
                       .detail = Text(quota)});
  }
  return reasons;
}

}  // namespace

absl::Status AddExhaustedQuotas(const Tables& tables, Place place,
                                Explanation& explanation) {
  if (!HasQuotas(tables)) return absl::OkStatus();
  NP_ASSIGN_OR_RETURN(const std::vector<Quota> quotas, ReadQuotas(tables));
  for (ExplainedVerdict& verdict : explanation.verdicts) {
    if (!verdict.reasons.empty()) continue;
    verdict.reasons =
        ExhaustedQuotas(quotas, explanation.query, verdict.direction, place);
  }
  return absl::OkStatus();
}

std::string ExplainQuotaRefusal(const std::vector<Quota>& quotas, Uid uid,
                                Direction direction) {
  std::vector<std::string> texts;
  for (const Quota& quota : quotas) {
    const QuotaSubject& subject = quota.definition.subject;
    if (subject.kind == QuotaSubject::Kind::kUid && subject.uid != uid) {
      continue;
    }
    if (!quota.crossed ||
        quota.definition.kind == QuotaDefinition::Kind::kAlert ||
        !Counts(quota, direction)) {
      continue;
    }
    texts.push_back(quota.exhausted()
                        ? Text(quota)
                        : absl::StrCat("quota ", ToInt(quota.id),
                                       " had no room for it: ",
                                       ToString(quota.definition)));
  }
  if (texts.empty()) return "no quota refuses anything any more";
  return absl::StrJoin(texts, "; ");
}

}  // namespace netpolicy
