// SPDX-License-Identifier: Apache-2.0

// quota set, list, remove, reset, alerts, watch.

#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "libpolicy/model/text.h"
#include "netd/cli/command_groups.h"

namespace netpolicy::cli {
namespace {

struct QuotaArguments {
  std::string subject;
  std::string kind;
  std::string amount;
  std::string period = "none";
  std::string directions = "both";
  std::vector<std::string> ids;
  bool acknowledge = false;
  bool all = false;
  uint32_t count = 0;
};

// "uid:alice", "iface:eth0", "global".
absl::StatusOr<QuotaSubject> ParseSubject(const std::string& text,
                                          Names& names) {
  absl::string_view rest = text;
  if (rest == "global") return QuotaSubject::OfAll();
  if (absl::ConsumePrefix(&rest, "uid:")) {
    const absl::StatusOr<Uid> uid = ParseUid(rest, names);
    if (!uid.ok()) return uid.status();
    return QuotaSubject::OfUid(*uid);
  }
  if (absl::ConsumePrefix(&rest, "iface:") && !rest.empty()) {
    return QuotaSubject::OfInterface(rest);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("quota: ", Quote(text),
                   " is no subject; expected uid:UID, iface:NAME or global"));
}

// What a suffix multiplies with: "", "K", "Ki", "M", ...; 0: it is none.
uint64_t Factor(absl::string_view suffix) {
  if (suffix.empty()) return 1;
  constexpr absl::string_view kLetters = "KMGTP";
  const size_t power = kLetters.find(suffix[0]);
  if (power == absl::string_view::npos) return 0;
  const absl::string_view rest = suffix.substr(1);
  if (!rest.empty() && rest != "i") return 0;
  uint64_t factor = 1;
  for (size_t i = 0; i <= power; ++i) factor *= rest.empty() ? 1000 : 1024;
  return factor;
}

// "1500000", "5G", "5GB", "5GiB", "1000packets", "10Kpackets".
absl::Status ParseAmount(const std::string& text, QuotaDefinition& definition) {
  absl::string_view rest = text;
  definition.unit = absl::ConsumeSuffix(&rest, "packets")
                        ? QuotaDefinition::Unit::kPackets
                        : QuotaDefinition::Unit::kBytes;
  if (definition.unit == QuotaDefinition::Unit::kBytes) {
    absl::ConsumeSuffix(&rest, "B");
  }
  size_t digits = 0;
  while (digits < rest.size() && rest[digits] >= '0' && rest[digits] <= '9') {
    ++digits;
  }
  uint64_t number = 0;
  const uint64_t factor = Factor(rest.substr(digits));
  if (digits == 0 || factor == 0 ||
      !absl::SimpleAtoi(rest.substr(0, digits), &number) ||
      number > std::numeric_limits<uint64_t>::max() / factor) {
    return absl::InvalidArgumentError(
        absl::StrCat("quota: ", Quote(text),
                     " is no amount; expected bytes as 1500000, 5G or 5GiB, or "
                     "1000packets"));
  }
  definition.limit = number * factor;
  return absl::OkStatus();
}

// "none", "daily", "monthly", "monthly:15", "hours:24".
absl::StatusOr<QuotaPeriod> ParsePeriod(const std::string& text) {
  using Kind = QuotaPeriod::Kind;
  if (text == "none") return QuotaPeriod{};
  if (text == "daily") return QuotaPeriod{Kind::kDay, 0};
  if (text == "monthly") return QuotaPeriod{Kind::kMonth, 1};
  absl::string_view rest = text;
  uint32_t number = 0;
  if (absl::ConsumePrefix(&rest, "monthly:")) {
    if (absl::SimpleAtoi(rest, &number) && number >= 1 && number <= 31) {
      return QuotaPeriod{Kind::kMonth, number};
    }
  } else if (absl::ConsumePrefix(&rest, "hours:")) {
    if (absl::SimpleAtoi(rest, &number) && number >= 1 && number <= 8784) {
      return QuotaPeriod{Kind::kHours, number};
    }
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "--period: ", Quote(text),
      " is no period; expected none, daily, monthly, monthly:1 to monthly:31, "
      "or hours:1 to hours:8784"));
}

void SetQuota(const QuotaArguments& arguments, CommandBuilder& builder) {
  QuotaDefinition definition;
  const auto subject =
      builder.Take(ParseSubject(arguments.subject, builder.names()));
  if (subject.has_value()) definition.subject = *subject;
  definition.kind = arguments.kind == "alert" ? QuotaDefinition::Kind::kAlert
                                              : QuotaDefinition::Kind::kLimit;
  builder.Fault(ParseAmount(arguments.amount, definition));
  const auto period = builder.Take(ParsePeriod(arguments.period));
  if (period.has_value()) definition.period = *period;
  definition.directions =
      arguments.directions == "in"    ? QuotaDefinition::Directions::kIn
      : arguments.directions == "out" ? QuotaDefinition::Directions::kOut
                                      : QuotaDefinition::Directions::kBoth;
  builder.Ask(QuotaSetCommand{std::move(definition)});
}

std::vector<QuotaId> Ids(const QuotaArguments& arguments,
                         CommandBuilder& builder) {
  std::vector<QuotaId> ids;
  for (const std::string& text : arguments.ids) {
    uint32_t id = 0;
    if (!absl::SimpleAtoi(text, &id) || id == 0) {
      builder.Fault(absl::StrCat("quota: ", Quote(text),
                                 " is no quota; `ndc quota list` has their "
                                 "numbers"));
    }
    ids.push_back(QuotaId{id});
  }
  return ids;
}

}  // namespace

void DefineQuotas(CLI::App& app, CommandBuilder& builder) {
  const auto arguments = std::make_shared<QuotaArguments>();
  CLI::App* quota = CommandBuilder::AddGroup(
      app, "quota", "How much may be transferred, or before somebody is told");

  CLI::App* set = CommandBuilder::Add(
      *quota, "set",
      "Set a quota, or another amount for one that is the same otherwise");
  set->add_option("SUBJECT", arguments->subject,
                  "Whose traffic counts: uid:UID, iface:NAME or global")
      ->required();
  set->add_option("KIND", arguments->kind,
                  "limit: what would be more is refused; alert: somebody is "
                  "told")
      ->required()
      ->check(CLI::IsMember({"limit", "alert"}));
  set->add_option("AMOUNT", arguments->amount,
                  "Bytes as 1500000, 5G (5000000000) or 5GiB, or 1000packets")
      ->required();
  set->add_option("--period", arguments->period,
                  "When it begins anew: daily, monthly:DAY, hours:N from now, "
                  "or none (default)")
      ->option_text("PERIOD");
  set->add_option("--dir", arguments->directions,
                  "Count in, out, or both (default)")
      ->option_text("DIR")
      ->check(CLI::IsMember({"in", "out", "both"}));
  set->callback([&builder, arguments] { SetQuota(*arguments, builder); });

  CommandBuilder::Add(*quota, "list", "Show quotas and what is used of them")
      ->callback([&builder] { builder.Ask(QuotaListCommand{}); });

  using What = QuotaChangeCommand::What;
  for (const auto& [name, description, what] :
       {std::tuple("remove", "Remove quotas", What::kRemove),
        std::tuple("reset", "Begin a period of quotas, with nothing used",
                   What::kReset)}) {
    CLI::App* change = CommandBuilder::Add(*quota, name, description);
    change->add_option("QUOTA", arguments->ids, "Numbers, as of `quota list`")
        ->required();
    change->callback([&builder, arguments, what = what] {
      builder.Ask(QuotaChangeCommand{what, Ids(*arguments, builder)});
    });
  }

  CLI::App* alerts = CommandBuilder::Add(
      *quota, "alerts",
      "Show alerts that were reached, and limits that have refused something");
  alerts->add_flag("--acknowledge", arguments->acknowledge,
                   "And show what was shown no more");
  alerts->callback([&builder, arguments] {
    builder.Ask(QuotaAlertsCommand{arguments->acknowledge});
  });

  CLI::App* watch = CommandBuilder::Add(
      *quota, "watch", "Print a line for each, until it is interrupted");
  watch->add_flag("--all", arguments->all,
                  "Begin with those that nobody has acknowledged");
  watch
      ->add_option("--count", arguments->count,
                   "End after so many lines (default: never)")
      ->option_text("N");
  watch->callback([&builder, arguments] {
    builder.Ask(QuotaWatchCommand{arguments->all, arguments->count});
  });
}

}  // namespace netpolicy::cli
