// SPDX-License-Identifier: Apache-2.0

// usage, usage forget.

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/time/civil_time.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "libpolicy/model/text.h"
#include "netd/cli/command_groups.h"
#include "netd/cli/text_table.h"

namespace netpolicy::cli {
namespace {

struct UsageArguments {
  std::string uid;
  std::string interface;
  absl::optional<uint32_t> tag;
  absl::optional<uint32_t> counter_set;
  std::string since;
  std::string until;
  std::string bucket;
  std::string by = "uid";
  bool csv = false;
  bool chart = false;
  bool ascii = false;
  std::string html;
  std::string forget_uid;
};

// "2026-11-26", "2026-11-26T10:00", "2026-11-26T10:00:30" by the local clock;
// "24h", "-24h", "7d", "4w": so long ago.
absl::StatusOr<absl::Time> ParseWhen(const std::string& option,
                                     absl::string_view text) {
  std::string error;
  for (const char* format :
       {"%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"}) {
    absl::Time time;
    if (absl::ParseTime(format, text, absl::LocalTimeZone(), &time, &error)) {
      return time;
    }
  }
  absl::string_view number = absl::StripPrefix(text, "-");
  int64_t count = 0;
  if (number.size() >= 2 &&
      absl::SimpleAtoi(number.substr(0, number.size() - 1), &count) &&
      count >= 0 && count <= 1000000) {
    const char unit = number.back();
    const int64_t hours = unit == 'h'   ? 1
                          : unit == 'd' ? 24
                          : unit == 'w' ? 7 * 24
                                        : 0;
    if (hours > 0) return absl::Now() - absl::Hours(count * hours);
  }
  return absl::InvalidArgumentError(absl::StrCat(
      option, ": ", Quote(text),
      " is no time; expected 2026-11-26, 2026-11-26T10:00, 24h, 7d or 4w"));
}

UsagePeriod Bucket(const std::string& text) {
  return text == "hour"    ? UsagePeriod::kHour
         : text == "day"   ? UsagePeriod::kDay
         : text == "month" ? UsagePeriod::kMonth
                           : UsagePeriod::kTotal;
}

// The beginning of the bucket that the time is in.
int64_t BucketStart(absl::Time time, UsagePeriod bucket) {
  const absl::TimeZone zone = absl::LocalTimeZone();
  const absl::CivilSecond at = absl::ToCivilSecond(time, zone);
  const int64_t seconds = absl::ToUnixSeconds(time);
  switch (bucket) {
    case UsagePeriod::kDay:
      return absl::ToUnixSeconds(absl::FromCivil(absl::CivilDay(at), zone));
    case UsagePeriod::kMonth:
      return absl::ToUnixSeconds(absl::FromCivil(absl::CivilMonth(at), zone));
    case UsagePeriod::kHour:
    case UsagePeriod::kTotal:
      break;
  }
  return seconds - seconds % 3600;
}

// The narrowing options, as they were typed.
std::string QuestionText(const UsageArguments& arguments) {
  std::vector<std::string> parts;
  if (!arguments.uid.empty()) parts.push_back("uid " + arguments.uid);
  if (arguments.tag.has_value()) {
    parts.push_back(absl::StrCat("tag ", *arguments.tag));
  }
  if (arguments.counter_set.has_value()) {
    parts.push_back(absl::StrCat("counter set ", *arguments.counter_set));
  }
  if (!arguments.interface.empty()) {
    parts.push_back("interface " + arguments.interface);
  }
  if (!arguments.since.empty()) parts.push_back("since " + arguments.since);
  if (!arguments.until.empty()) parts.push_back("until " + arguments.until);
  return absl::StrJoin(parts, ", ");
}

UsageCommand MakeCommand(const UsageArguments& arguments,
                         CommandBuilder& builder) {
  UsageCommand command;
  command.by = arguments.by;
  const bool html = !arguments.html.empty();
  // A chart wants a time.
  command.bucket = !arguments.bucket.empty() ? arguments.bucket
                   : html                    ? "day"
                                             : "total";
  UsageQuery& query = command.query;
  query.bucket = Bucket(command.bucket);
  query.by_uid = arguments.by == "uid";
  query.by_tag = arguments.by == "tag";
  query.by_interface = arguments.by == "iface";
  query.by_counter_set = arguments.by == "set";
  query.tag = arguments.tag;
  query.counter_set = arguments.counter_set;
  if (!arguments.interface.empty()) query.interface = arguments.interface;
  if (!arguments.uid.empty()) {
    const auto uid = builder.Take(ParseUid(arguments.uid, builder.names()));
    if (uid.has_value()) query.uid = ToInt(*uid);
  }
  if (!arguments.since.empty()) {
    const auto time = builder.Take(ParseWhen("--since", arguments.since));
    if (time.has_value()) query.since = BucketStart(*time, query.bucket);
  }
  if (!arguments.until.empty()) {
    const auto time = builder.Take(ParseWhen("--until", arguments.until));
    if (time.has_value()) query.until = absl::ToUnixSeconds(*time);
  }
  if (arguments.csv) command.output = UsageCommand::Output::kCsv;
  if (arguments.chart) {
    command.output = arguments.ascii ? UsageCommand::Output::kAsciiChart
                                     : UsageCommand::Output::kChart;
  }
  if (html) {
    command.output = UsageCommand::Output::kHtml;
    command.html_file = arguments.html;
    command.question = QuestionText(arguments);
  }
  return command;
}

}  // namespace

void DefineUsage(CLI::App& app, CommandBuilder& builder) {
  const auto arguments = std::make_shared<UsageArguments>();
  CLI::App* usage = CommandBuilder::Add(
      app, "usage", "Show what was used over time, as netd has stored it",
      "Look");
  usage->require_subcommand(0, 1);
  usage->add_option("--uid", arguments->uid, "Of this UID only")
      ->option_text("UID");
  usage->add_option("--tag", arguments->tag, "Of this tag only")
      ->option_text("N");
  usage
      ->add_option("--set", arguments->counter_set,
                   "Of this counter set only: 0 to 15")
      ->option_text("N")
      ->check(CLI::Range(0, 15));
  usage->add_option("--iface", arguments->interface, "Of this interface only")
      ->option_text("NAME");
  usage
      ->add_option("--since", arguments->since,
                   "From then on: 2026-11-26, 2026-11-26T10:00, 24h, 7d, 4w")
      ->option_text("WHEN");
  usage->add_option("--until", arguments->until, "What began before then")
      ->option_text("WHEN");
  usage
      ->add_option("--bucket", arguments->bucket,
                   "hour, day, month or total (default: total; with --html "
                   "day)")
      ->option_text("TIME")
      ->check(CLI::IsMember({"hour", "day", "month", "total"}));
  CommandBuilder::AddBy(usage, arguments->by);
  CLI::Option* csv =
      usage->add_flag("--csv", arguments->csv, "Print comma-separated values");
  CLI::Option* chart =
      usage->add_flag("--chart", arguments->chart, "Draw bars");
  chart->excludes(csv);
  usage
      ->add_option("--html", arguments->html,
                   "Write a page with charts to a file (-: standard output)")
      ->option_text("FILE")
      ->excludes(csv)
      ->excludes(chart)
      ->excludes(app.get_option("--json"));
  usage->add_flag("--ascii", arguments->ascii, "With --chart: in plain ASCII")
      ->needs(chart);

  CLI::App* forget = CommandBuilder::Add(*usage, "forget",
                                         "Remove all that was stored of a UID");
  forget->add_option("--uid", arguments->forget_uid, "The UID")
      ->option_text("UID")
      ->required();

  usage->callback([&builder, arguments, forget] {
    if (!forget->parsed()) builder.Ask(MakeCommand(*arguments, builder));
  });
  forget->callback([&builder, arguments] {
    const auto uid =
        builder.Take(ParseUid(arguments->forget_uid, builder.names()));
    if (uid.has_value()) builder.Ask(UsageForgetCommand{*uid});
  });
}

}  // namespace netpolicy::cli
