// SPDX-License-Identifier: Apache-2.0

#include <string>

#include "absl/strings/str_cat.h"
#include "libpolicy/engine/quota.h"

namespace netpolicy {
namespace {

std::string PeriodText(const QuotaPeriod& period) {
  switch (period.kind) {
    case QuotaPeriod::Kind::kNone:
      break;
    case QuotaPeriod::Kind::kHours:
      return absl::StrCat(" every ", period.value,
                          period.value == 1 ? " hour" : " hours");
    case QuotaPeriod::Kind::kDay:
      return " a day";
    case QuotaPeriod::Kind::kMonth:
      return absl::StrCat(" a month from day ", period.value);
  }
  return "";
}

std::string SubjectText(const QuotaSubject& subject) {
  switch (subject.kind) {
    case QuotaSubject::Kind::kUid:
      return absl::StrCat("uid ", ToInt(subject.uid));
    case QuotaSubject::Kind::kInterface:
      return absl::StrCat("interface ", subject.interface);
    case QuotaSubject::Kind::kAll:
      break;
  }
  return "everything";
}

}  // namespace

std::string ToString(const QuotaDefinition& definition) {
  using Directions = QuotaDefinition::Directions;
  return absl::StrCat(
      definition.kind == QuotaDefinition::Kind::kLimit ? "limit of "
                                                       : "alert at ",
      definition.limit,
      definition.directions == Directions::kIn    ? " incoming"
      : definition.directions == Directions::kOut ? " outgoing"
                                                  : "",
      definition.unit == QuotaDefinition::Unit::kBytes ? " bytes" : " packets",
      PeriodText(definition.period), " for ", SubjectText(definition.subject));
}

}  // namespace netpolicy
