// SPDX-License-Identifier: Apache-2.0

// status, log, doctor; calls those that show traffic.

#include <memory>

#include "netd/cli/command_groups.h"

namespace netpolicy::cli {
namespace {

struct LookArguments {
  absl::optional<uint32_t> last;
};

}  // namespace

void DefineLook(CLI::App& app, CommandBuilder& builder) {
  const auto arguments = std::make_shared<LookArguments>();
  CommandBuilder::Add(app, "status", "Show what is loaded and in force", "Look")
      ->callback([&builder] { builder.Ask(StatusCommand{}); });

  DefineStats(app, builder);
  DefineTop(app, builder);
  DefineExplain(app, builder);
  DefineWhy(app, builder);

  CLI::App* log = CommandBuilder::Add(
      app, "log", "Show who changed the policy when, newest first", "Look");
  log->add_option("--last", arguments->last, "Only so many")
      ->option_text("N")
      ->check(CLI::Range(1, 1000000));
  log->callback(
      [&builder, arguments] { builder.Ask(LogCommand{arguments->last}); });

  CommandBuilder::Add(
      app, "doctor", "Show what this kernel and machine offer and what is lost",
      "Look")
      ->callback([&builder] { builder.Ask(DoctorCommand{}); });
}

}  // namespace netpolicy::cli
