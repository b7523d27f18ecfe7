// SPDX-License-Identifier: Apache-2.0

// chain ...

#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "netd/cli/command_groups.h"

namespace netpolicy::cli {
namespace {

struct ChainArguments {
  std::string chain;
  std::vector<std::string> chains;
  std::string type;
  bool no_uids = false;
};

void AddName(CLI::App* command, ChainArguments& arguments) {
  command->add_option("NAME", arguments.chain, "Of the chain")->required();
}

}  // namespace

void DefineChains(CLI::App& app, CommandBuilder& builder) {
  const auto arguments = std::make_shared<ChainArguments>();
  CLI::App* chain = CommandBuilder::Add(
      app, "chain", "Named lists of UIDs with a switch", "Rules");
  chain->require_subcommand(1, 1);

  CommandBuilder::Add(*chain, "list", "Show all chains")->callback([&builder] {
    builder.Ask(ChainListCommand{});
  });
  CLI::App* show =
      CommandBuilder::Add(*chain, "show", "Show a chain and the UIDs it lists");
  AddName(show, *arguments);
  show->callback([&builder, arguments] {
    builder.Ask(ChainShowCommand{arguments->chain});
  });

  for (const auto& [name, value, description] :
       {std::make_tuple("enable", Switch::kOn, "Switch chains on"),
        std::make_tuple("disable", Switch::kOff, "Switch chains off")}) {
    CLI::App* command = CommandBuilder::Add(*chain, name, description);
    command->add_option("NAME", arguments->chains, "Of the chains")->required();
    builder.AddCommitOptions(command);
    command->callback([&builder, arguments, value = value] {
      Transaction transaction;
      for (const std::string& chain_name : arguments->chains) {
        transaction.push_back(SetChainEnabled{chain_name, value});
      }
      builder.Edit(std::move(transaction));
    });
  }

  CLI::App* add = CommandBuilder::Add(
      *chain, "add", "Define a chain of your own; it is off and lists nobody");
  AddName(add, *arguments);
  add->add_option("--type", arguments->type,
                  "allowlist: while on, blocks every UID it does not list; "
                  "denylist: blocks those it lists")
      ->required()
      ->option_text("TYPE")
      ->check(CLI::IsMember({"allowlist", "denylist"}));
  builder.AddCommitOptions(add);
  add->callback([&builder, arguments] {
    builder.Edit({DefineChain{arguments->chain, arguments->type == "allowlist"
                                                    ? ChainSense::kAllowlist
                                                    : ChainSense::kDenylist}});
  });

  CLI::App* remove =
      CommandBuilder::Add(*chain, "remove", "Remove a chain of your own");
  AddName(remove, *arguments);
  builder.AddCommitOptions(remove);
  remove->callback(
      [&builder, arguments] { builder.Edit({RemoveChain{arguments->chain}}); });

  for (const auto& [name, value, description] :
       {std::make_tuple("add-uid", Switch::kOn, "List UIDs in a chain"),
        std::make_tuple("remove-uid", Switch::kOff,
                        "List UIDs in a chain no longer")}) {
    CLI::App* command = CommandBuilder::Add(*chain, name, description);
    AddName(command, *arguments);
    builder.AddUids(command);
    builder.AddCommitOptions(command);
    command->callback([&builder, arguments, value = value] {
      builder.EditEachUid([&](Uid uid) {
        return SetChainMember{arguments->chain, uid, value};
      });
    });
  }

  CLI::App* set = CommandBuilder::Add(
      *chain, "set-uids", "List exactly these UIDs in a chain, at one stroke");
  AddName(set, *arguments);
  builder.AddUids(set, CommandBuilder::Presence::kOptional);
  set->add_flag("--none", arguments->no_uids, "List nobody");
  builder.AddCommitOptions(set);
  set->callback([&builder, arguments] {
    if (builder.has_uids() == arguments->no_uids) {
      builder.Fault(("chain set-uids: name the UIDs, or say --none"));
    }
    builder.Edit({ReplaceChain{arguments->chain, builder.Uids()}});
  });
}

}  // namespace netpolicy::cli
