// SPDX-License-Identifier: Apache-2.0

// uid ..., default ...

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "netd/cli/command_groups.h"

namespace netpolicy::cli {
namespace {

struct UidArguments {
  std::string value;
};

}  // namespace

void DefineUids(CLI::App& app, CommandBuilder& builder) {
  const auto arguments = std::make_shared<UidArguments>();
  CLI::App* uid = CommandBuilder::Add(
      app, "uid", "What the policy says of single UIDs", "Rules");
  uid->require_subcommand(1, 1);

  CLI::App* show = CommandBuilder::Add(
      *uid, "show", "Show the rules, the permission and the chains of UIDs");
  builder.AddUids(show);
  show->callback(
      [&builder, arguments] { builder.Ask(UidShowCommand{builder.Uids()}); });

  const std::pair<const char*, absl::optional<Action>> kRules[] = {
      {"allow", Action::kAllow},
      {"deny", Action::kDeny},
      {"default", absl::nullopt}};
  const std::map<std::string, std::string> kDescriptions = {
      {"allow", "Pass the UIDs, unless a chain blocks them"},
      {"deny", "Block the UIDs"},
      {"default", "Let the default rule decide about the UIDs"}};
  for (const auto& [name, rule] : kRules) {
    CLI::App* command = CommandBuilder::Add(*uid, name, kDescriptions.at(name));
    builder.AddUids(command);
    builder.AddCommitOptions(command);
    command->callback([&builder, arguments, rule = rule] {
      builder.EditEachUid([&](Uid one) { return SetUidRule{one, rule}; });
    });
  }

  CLI::App* internet = CommandBuilder::Add(
      *uid, "internet", "Grant or revoke the permission to make sockets");
  builder.AddUidsAnd(internet, "SWITCH", arguments->value,
                     {"on", "off", "default"});
  builder.AddCommitOptions(internet);
  internet->callback([&builder, arguments] {
    absl::optional<Permission> permission;
    if (arguments->value == "on") permission = Permission::kGranted;
    if (arguments->value == "off") permission = Permission::kRevoked;
    builder.EditEachUid([&](Uid one) { return SetInternet{one, permission}; });
  });

  DefineUidNetworks(*uid, builder);

  CLI::App* clear = CommandBuilder::Add(
      *uid, "clear",
      "Forget the UIDs: no rule, no permission of their own, no chain");
  builder.AddUids(clear);
  builder.AddCommitOptions(clear);
  clear->callback([&builder, arguments] {
    builder.EditEachUid([](Uid one) { return ClearUid{one}; });
  });
}

void DefineDefaults(CLI::App& app, CommandBuilder& builder) {
  const auto arguments = std::make_shared<UidArguments>();
  CLI::App* defaults = CommandBuilder::Add(
      app, "default", "What holds for UIDs of which nothing is said", "Rules");
  defaults->require_subcommand(1, 1);

  CLI::App* rule =
      CommandBuilder::Add(*defaults, "rule", "Set the default rule");
  rule->add_option("ACTION", arguments->value, "allow or deny")
      ->required()
      ->check(CLI::IsMember({"allow", "deny"}));
  builder.AddCommitOptions(rule);
  rule->callback([&builder, arguments] {
    builder.Edit({SetDefaultRule{arguments->value == "allow" ? Action::kAllow
                                                             : Action::kDeny}});
  });

  CLI::App* internet =
      CommandBuilder::Add(*defaults, "internet", "Set the default permission");
  internet->add_option("SWITCH", arguments->value, "on or off")
      ->required()
      ->check(CLI::IsMember({"on", "off"}));
  builder.AddCommitOptions(internet);
  internet->callback([&builder, arguments] {
    builder.Edit(
        {SetDefaultInternet{arguments->value == "on" ? Permission::kGranted
                                                     : Permission::kRevoked}});
  });
  DefineDefaultNetworks(*defaults, builder);
}

}  // namespace netpolicy::cli
