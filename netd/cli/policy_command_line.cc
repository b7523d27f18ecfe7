// SPDX-License-Identifier: Apache-2.0

// apply, rollback, dump.

#include <memory>
#include <string>
#include <utility>

#include "netd/cli/command_groups.h"

namespace netpolicy::cli {
namespace {

struct WholePolicyArguments {
  std::string file;
  absl::optional<uint64_t> generation;
  bool tables = false;
};

}  // namespace

void DefineWholePolicy(CLI::App& app, CommandBuilder& builder) {
  const auto arguments = std::make_shared<WholePolicyArguments>();
  const char* const group = "Whole policy";
  CLI::App* apply = CommandBuilder::Add(
      app, "apply", "Put the policy of a file in force", group);
  apply
      ->add_option("FILE", arguments->file, "Policy as JSON; -: standard input")
      ->required();
  builder.AddCommitOptions(apply);
  apply->callback([&builder, arguments] {
    builder.Ask(ApplyCommand{arguments->file, builder.options()});
  });

  CLI::App* rollback = CommandBuilder::Add(
      app, "rollback", "Put a policy in force again that once was", group);
  rollback->add_option(
      "GENERATION", arguments->generation,
      "As `ndc log` names it (default: the one before the last commit)");
  builder.AddCommitOptions(rollback);
  rollback->callback([&builder, arguments] {
    RollbackCommand command;
    if (arguments->generation.has_value())
      command.generation = Generation{*arguments->generation};
    command.options = builder.options();
    builder.Ask(std::move(command));
  });

  CLI::App* dump = CommandBuilder::Add(
      app, "dump", "Print the policy in force, as apply takes it", group);
  dump->add_flag("--tables", arguments->tables,
                 "Print everything that decides about traffic, to read");
  dump->callback([&builder, arguments] {
    builder.Ask(DumpCommand{arguments->tables ? DumpCommand::What::kTables
                                              : DumpCommand::What::kPolicy});
  });
}

}  // namespace netpolicy::cli
