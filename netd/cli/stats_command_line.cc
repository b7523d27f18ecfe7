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
};

}  // namespace

void DefineStats(CLI::App& app, CommandBuilder& builder) {
  const auto arguments = std::make_shared<StatsArguments>();
  CLI::App* stats = CommandBuilder::Add(
      app, "stats", "Show what passed and what was refused", "Look");
  stats->add_option("--by", arguments->by, "uid or iface (default: uid)")
      ->option_text("WHAT")
      ->check(CLI::IsMember({"uid", "iface"}));
  stats->add_option("--uid", arguments->uid, "Of this UID only")
      ->option_text("UID");
  stats->callback([&builder, arguments] {
    StatsCommand command;
    command.by = arguments->by == "uid" ? StatsCommand::By::kUid
                                        : StatsCommand::By::kInterface;
    if (!arguments->uid.empty()) {
      const absl::StatusOr<Uid> uid = ParseUid(arguments->uid, builder.names());
      builder.Fault(uid.status());
      if (uid.ok()) command.uid = *uid;
    }
    builder.Ask(command);
  });
}

}  // namespace netpolicy::cli
