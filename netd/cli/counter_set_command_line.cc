// SPDX-License-Identifier: Apache-2.0

// counter-set.

#include <memory>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "netd/cli/command_groups.h"
#include "netd/cli/text_table.h"

namespace netpolicy::cli {
namespace {

struct CounterSetArguments {
  std::string uid;
  std::string counter_set;
};

absl::StatusOr<uint32_t> ParseCounterSet(const std::string& text) {
  if (text == "background") return kBackgroundCounterSet;
  if (text == "foreground") return kForegroundCounterSet;
  uint32_t number = 0;
  if (absl::SimpleAtoi(text, &number) && number <= kMaxCounterSet) {
    return number;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("counter set \"", Printable(text),
                   "\": foreground, background, or 0 to ", kMaxCounterSet));
}

}  // namespace

void DefineCounterSet(CLI::App& app, CommandBuilder& builder) {
  const auto arguments = std::make_shared<CounterSetArguments>();
  CLI::App* command = CommandBuilder::Add(
      app, "counter-set", "Show or set what UIDs' traffic is counted under",
      "Look");
  CLI::Option* uid = command->add_option(
      "UID", arguments->uid, "Of this UID only (default: all that have one)");
  command
      ->add_option("SET", arguments->counter_set,
                   absl::StrCat("From now on: foreground, background, or 0 to ",
                                kMaxCounterSet))
      ->needs(uid);
  command->callback([&builder, arguments] {
    CounterSetCommand asked;
    if (!arguments->uid.empty()) {
      asked.uid = builder.Take(ParseUid(arguments->uid, builder.names()));
    }
    if (!arguments->counter_set.empty()) {
      asked.counter_set = builder.Take(ParseCounterSet(arguments->counter_set));
    }
    builder.Ask(asked);
  });
}

}  // namespace netpolicy::cli
