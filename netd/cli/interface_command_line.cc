// SPDX-License-Identifier: Apache-2.0

// interface ...

#include <memory>
#include <string>
#include <tuple>

#include "netd/cli/command_groups.h"

namespace netpolicy::cli {
namespace {

struct InterfaceArguments {
  std::string interface;
};

}  // namespace

void DefineInterfaces(CLI::App& app, CommandBuilder& builder) {
  const auto arguments = std::make_shared<InterfaceArguments>();
  CLI::App* interface = CommandBuilder::Add(
      app, "interface",
      "What interfaces are to the policy; counting whole interfaces", "Rules");
  interface->require_subcommand(1, 1);

  CommandBuilder::Add(*interface, "list", "Show the counted interfaces")
      ->callback([&builder] { builder.Ask(InterfaceListCommand{}); });
  for (const auto& [name, value, description] :
       {std::make_tuple("watch", Switch::kOn,
                        "Count an interface until it is unwatched or gone"),
        std::make_tuple("unwatch", Switch::kOff,
                        "End counting and forget the counters")}) {
    CLI::App* command = CommandBuilder::Add(*interface, name, description);
    command
        ->add_option("IFACE", arguments->interface,
                     value == Switch::kOn
                         ? "Its name"
                         : "Its name, or the number of one that is gone")
        ->required();
    command->callback([&builder, arguments, value = value] {
      builder.Ask(InterfaceWatchCommand{arguments->interface, value});
    });
  }
  DefineInterfacePolicy(*interface, builder);
}

}  // namespace netpolicy::cli
