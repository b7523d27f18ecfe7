// SPDX-License-Identifier: Apache-2.0

// What `uid` and `default` say of interfaces and networks.

#include <memory>
#include <string>
#include <vector>

#include "libpolicy/model/interface.h"
#include "netd/cli/command_groups.h"

namespace netpolicy::cli {
namespace {

struct InterfacesArguments {
  std::vector<std::string> allow;
  bool any = false;
  bool as_default = false;
};

void AddAllow(CLI::App* command, InterfacesArguments& arguments) {
  command
      ->add_option("--allow", arguments.allow,
                   "NAME, PREFIX* or @CLASS, separated by commas")
      ->delimiter(',')
      ->option_text("IFACE,...");
  command->add_flag("--any", arguments.any, "Any interface");
}

Selectors Interfaces(const char* name, const InterfacesArguments& arguments,
                     CommandBuilder& builder) {
  const int said = (arguments.allow.empty() ? 0 : 1) + (arguments.any ? 1 : 0) +
                   (arguments.as_default ? 1 : 0);
  if (said != 1) {
    builder.Fault(
        std::string(name) + ": say one of --allow, --any" +
        (name == std::string("uid interfaces") ? " and --default" : ""));
  }
  builder.Fault(CheckSelectors(arguments.allow));
  return Canonical(arguments.allow);
}

Switch SwitchOf(const std::string& word) {
  return word == "on" ? Switch::kOn : Switch::kOff;
}

Permission PermissionOf(const std::string& word) {
  return word == "on" ? Permission::kGranted : Permission::kRevoked;
}

}  // namespace

void DefineUidNetworks(CLI::App& uid, CommandBuilder& builder) {
  const auto word = std::make_shared<std::string>();
  const auto arguments = std::make_shared<InterfacesArguments>();

  CLI::App* interfaces = CommandBuilder::Add(
      uid, "interfaces", "Say over which interfaces packets of UIDs may go");
  builder.AddUids(interfaces);
  AddAllow(interfaces, *arguments);
  interfaces->add_flag("--default", arguments->as_default,
                       "What the default says");
  builder.AddCommitOptions(interfaces);
  interfaces->callback([&builder, arguments] {
    Selectors selectors = Interfaces("uid interfaces", *arguments, builder);
    if (arguments->any) selectors = {"*"};
    builder.EditEachUid([&](Uid one) {
      return SetUidInterfaces{one, selectors};
    });
  });

  CLI::App* lockdown = CommandBuilder::Add(
      uid, "lockdown", "Refuse UIDs every interface but those they may use");
  builder.AddUidsAnd(lockdown, "SWITCH", *word, {"on", "off", "default"});
  builder.AddCommitOptions(lockdown);
  lockdown->callback([&builder, word] {
    absl::optional<Switch> value;
    if (*word != "default") value = SwitchOf(*word);
    builder.EditEachUid([&](Uid one) { return SetLockdown{one, value}; });
  });

  CLI::App* local = CommandBuilder::Add(
      uid, "local-network", "Grant or revoke access to local networks");
  builder.AddUidsAnd(local, "SWITCH", *word, {"on", "off", "default"});
  builder.AddCommitOptions(local);
  local->callback([&builder, word] {
    absl::optional<Permission> value;
    if (*word != "default") value = PermissionOf(*word);
    builder.EditEachUid([&](Uid one) {
      return SetLocalNetworkAccess{one, value};
    });
  });

  CLI::App* stats = CommandBuilder::Add(
      uid, "update-device-stats",
      "Grant or revoke the permission to charge traffic to other UIDs");
  builder.AddUidsAnd(stats, "SWITCH", *word, {"on", "off"});
  builder.AddCommitOptions(stats);
  stats->callback([&builder, word] {
    builder.EditEachUid([&](Uid one) {
      return SetUpdateDeviceStats{one, PermissionOf(*word)};
    });
  });
}

void DefineDefaultNetworks(CLI::App& defaults, CommandBuilder& builder) {
  const auto word = std::make_shared<std::string>();
  const auto arguments = std::make_shared<InterfacesArguments>();
  const auto add_switch = [&](const char* name, const char* description) {
    CLI::App* command = CommandBuilder::Add(defaults, name, description);
    command->add_option("SWITCH", *word, "on or off")
        ->required()
        ->check(CLI::IsMember({"on", "off"}));
    builder.AddCommitOptions(command);
    return command;
  };

  CLI::App* interfaces = CommandBuilder::Add(
      defaults, "interfaces", "Say over which interfaces packets may go");
  AddAllow(interfaces, *arguments);
  builder.AddCommitOptions(interfaces);
  interfaces->callback([&builder, arguments] {
    builder.Edit({SetDefaultInterfaces{
        Interfaces("default interfaces", *arguments, builder)}});
  });

  add_switch("lockdown", "Refuse every interface but those")
      ->callback([&builder, word] {
        builder.Edit({SetDefaultLockdown{SwitchOf(*word)}});
      });
  add_switch("local-network", "Grant or revoke access to local networks")
      ->callback([&builder, word] {
        builder.Edit({SetDefaultLocalNetwork{PermissionOf(*word)}});
      });
}

}  // namespace netpolicy::cli
