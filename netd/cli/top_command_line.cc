// SPDX-License-Identifier: Apache-2.0

// top.

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "netd/cli/command_groups.h"

namespace netpolicy::cli {
namespace {

struct TopArguments {
  std::string by = "uid";
  std::string sort = "total";
  double interval = 1;
  uint32_t count = 0;
  bool once = false;
  bool plain = false;
};

TopCommand::Sort SortOf(const std::string& name) {
  if (name == "rx") return TopCommand::Sort::kRx;
  if (name == "tx") return TopCommand::Sort::kTx;
  if (name == "refused") return TopCommand::Sort::kRefused;
  return TopCommand::Sort::kTotal;
}

}  // namespace

void DefineTop(CLI::App& app, CommandBuilder& builder) {
  const auto arguments = std::make_shared<TopArguments>();
  CLI::App* top = CommandBuilder::Add(
      app, "top", "Show what passes now, the busiest first; q ends", "Look");
  CommandBuilder::AddBy(top, arguments->by);
  top->add_option("--sort", arguments->sort,
                  "total, rx, tx or refused (default: total)")
      ->option_text("WHAT")
      ->check(CLI::IsMember({"total", "rx", "tx", "refused"}));
  // netd lets go of whoever asks nothing for ten minutes.
  top->add_option("--interval", arguments->interval,
                  "Between two pages, 0.1 to 300 (default: 1)")
      ->option_text("SECONDS")
      ->check(CLI::Range(0.1, 300.0));
  CLI::Option* count =
      top->add_option("--count", arguments->count, "End after so many pages")
          ->option_text("N")
          ->check(CLI::Range(uint32_t{1}, UINT32_MAX));
  top->add_flag("--once", arguments->once, "End after one page")
      ->excludes(count);
  top->add_flag("--plain", arguments->plain,
                "One page below the other, as where there is no terminal");
  top->callback([&builder, arguments] {
    TopCommand command;
    command.by = CommandBuilder::ByOf(arguments->by);
    command.sort = SortOf(arguments->sort);
    command.interval = absl::Seconds(arguments->interval);
    command.count = arguments->once ? 1 : arguments->count;
    command.plain = arguments->plain || arguments->once;
    if (command.sort == TopCommand::Sort::kRefused &&
        command.by != StatsCommand::By::kUid) {
      builder.Fault("top: --sort refused is of --by uid only");
    }
    builder.Ask(command);
  });
}

}  // namespace netpolicy::cli
