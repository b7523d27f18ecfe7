// SPDX-License-Identifier: Apache-2.0

// What `interface` says in the policy: metered, class, forget, rules.

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "libpolicy/model/interface.h"
#include "netd/cli/command_groups.h"

namespace netpolicy::cli {
namespace {

// What the policy says of the pattern itself.
absl::optional<Interface> Said(const Policy& policy, const std::string& name) {
  for (const Interface& interface : policy.network().interfaces) {
    if (interface.name == name) return interface;
  }
  return absl::nullopt;
}

// An entry that says nothing any more goes.
void Put(Interface interface, Transaction& transaction) {
  if (!interface.metered.has_value() && interface.classes.empty()) {
    transaction.emplace_back(RemoveInterface{interface.name});
  } else {
    transaction.emplace_back(SetInterface{std::move(interface)});
  }
}

Transaction WithMetered(const Policy& policy,
                        const std::vector<std::string>& names,
                        const std::string& word) {
  Transaction transaction;
  for (const std::string& name : names) {
    absl::optional<Interface> said = Said(policy, name);
    if (word == "default") {
      if (!said.has_value()) continue;
      said->metered = absl::nullopt;
      Put(*std::move(said), transaction);
      continue;
    }
    Interface interface =
        std::move(said).value_or(Interface{name, absl::nullopt, {}});
    interface.metered = word == "on" ? Switch::kOn : Switch::kOff;
    Put(std::move(interface), transaction);
  }
  return transaction;
}

// Adds the class to the interface or takes it away.
void SetClass(const Policy& policy, const std::string& name,
              const std::string& class_name, Switch is_in,
              Transaction& transaction) {
  Interface interface =
      Said(policy, name).value_or(Interface{name, absl::nullopt, {}});
  std::vector<std::string>& classes = interface.classes;
  if (is_in == Switch::kOn) {
    classes.push_back(class_name);
    classes = Canonical(std::move(classes));
  } else {
    const auto it = std::find(classes.begin(), classes.end(), class_name);
    if (it == classes.end()) return;
    classes.erase(it);
  }
  Put(std::move(interface), transaction);
}

absl::StatusOr<Transaction> WithClass(const Policy& policy,
                                      const std::string& class_name,
                                      const std::string& word,
                                      const std::vector<std::string>& names) {
  Transaction transaction;
  if (word == "set") {
    for (const Interface& interface : policy.network().interfaces) {
      if (std::find(names.begin(), names.end(), interface.name) ==
          names.end()) {
        SetClass(policy, interface.name, class_name, Switch::kOff, transaction);
      }
    }
  }
  for (const std::string& name : Canonical(names)) {
    SetClass(policy, name, class_name,
             word == "remove" ? Switch::kOff : Switch::kOn, transaction);
  }
  return transaction;
}

}  // namespace

void DefineInterfacePolicy(CLI::App& interface, CommandBuilder& builder) {
  struct Arguments {
    std::vector<std::string> names;
    std::string class_name;
    std::string word;
    bool none = false;
  };
  const auto arguments = std::make_shared<Arguments>();
  const auto check_names = [&builder, arguments] {
    for (const std::string& name : arguments->names) {
      builder.Fault(CheckInterfacePattern(name));
    }
  };

  CLI::App* metered = CommandBuilder::Add(
      interface, "metered", "Say whether traffic over interfaces is paid for");
  metered->validate_positionals();
  metered->add_option("IFACE", arguments->names, "Names or PREFIX*")
      ->required()
      ->check(
          [](const std::string& text) -> std::string {
            const bool is_word =
                text == "on" || text == "off" || text == "default";
            return is_word ? "is no interface" : "";
          },
          "");
  metered->add_option("SWITCH", arguments->word, "on, off or default")
      ->required()
      ->check(CLI::IsMember({"on", "off", "default"}));
  builder.AddCommitOptions(metered);
  metered->callback([&builder, arguments, check_names] {
    check_names();
    builder.Rework([arguments = *arguments](const Policy& policy) {
      return WithMetered(policy, arguments.names, arguments.word);
    });
  });

  CLI::App* group = CommandBuilder::Add(
      interface, "class", "Say which interfaces @CLASS in rules means");
  group->add_option("CLASS", arguments->class_name, "Its name")->required();
  group->add_option("CHANGE", arguments->word, "add, remove or set")
      ->required()
      ->check(CLI::IsMember({"add", "remove", "set"}));
  group->add_option("IFACE", arguments->names, "Names or PREFIX*");
  group->add_flag("--none", arguments->none, "With set: no interface");
  builder.AddCommitOptions(group);
  group->callback([&builder, arguments, check_names] {
    builder.Fault(CheckClassName(arguments->class_name));
    check_names();
    if (arguments->names.empty() != arguments->none ||
        (arguments->none && arguments->word != "set")) {
      builder.Fault("interface class: name interfaces, or say set with --none");
    }
    builder.Rework([arguments = *arguments](const Policy& policy) {
      return WithClass(policy, arguments.class_name, arguments.word,
                       arguments.names);
    });
  });

  CLI::App* forget = CommandBuilder::Add(
      interface, "forget", "Say nothing of interfaces, no class either");
  forget->add_option("IFACE", arguments->names, "Names or PREFIX*")->required();
  builder.AddCommitOptions(forget);
  forget->callback([&builder, arguments, check_names] {
    check_names();
    Transaction transaction;
    for (const std::string& name : arguments->names) {
      transaction.emplace_back(RemoveInterface{name});
    }
    builder.Edit(std::move(transaction));
  });

  CommandBuilder::Add(interface, "rules", "Show what the policy says of them")
      ->callback([&builder] {
        builder.Ask(NetworkShowCommand{
            NetworkShowCommand::Part::kInterfaces, {}, false});
      });
}

}  // namespace netpolicy::cli
