// SPDX-License-Identifier: Apache-2.0

// stats.

#include <memory>
#include <string>

#include "netd/cli/command_groups.h"

namespace netpolicy::cli {
namespace {

struct StatsArguments {
  std::string by = "uid";
  std::string uid;
  std::string since;
};

}  // namespace

void DefineStats(CLI::App& app, CommandBuilder& builder) {
  const auto arguments = std::make_shared<StatsArguments>();
  CLI::App* stats = CommandBuilder::Add(
      app, "stats", "Show what passed and what was refused", "Look");
  CommandBuilder::AddBy(stats, arguments->by);
  stats->add_option("--uid", arguments->uid, "Of this UID only")
      ->option_text("UID");
  stats
      ->add_option("--since", arguments->since,
                   "Only what came after the stats --json of this file (-: "
                   "standard input)")
      ->option_text("FILE");
  stats->callback([&builder, arguments] {
    StatsCommand command;
    command.by = CommandBuilder::ByOf(arguments->by);
    command.since = arguments->since;
    if (!arguments->uid.empty()) {
      const absl::StatusOr<Uid> uid = ParseUid(arguments->uid, builder.names());
      builder.Fault(uid.status());
      if (uid.ok()) command.uid = *uid;
    }
    builder.Ask(command);
  });
}

}  // namespace netpolicy::cli
