// SPDX-License-Identifier: Apache-2.0

// rule ..., discard ..., local-network ..., bind-ports ...

#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "libpolicy/model/ip_prefix.h"
#include "libpolicy/model/network_rule.h"
#include "netd/cli/command_groups.h"

namespace netpolicy::cli {
namespace {

using Part = NetworkShowCommand::Part;

void AddList(CLI::App& group, const char* description, Part part,
             CommandBuilder& builder) {
  CommandBuilder::Add(group, "list", description)->callback([&builder, part] {
    builder.Ask(NetworkShowCommand{part, {}, false});
  });
}

// A rule, as text.
struct RuleArguments {
  std::string action;
  bool defaults = false;
  std::string prefix;
  std::string protocol;
  std::string ports;
  std::string direction;
  std::string interface;
};

void AddProtocolAndPorts(CLI::App* command, RuleArguments& arguments) {
  command
      ->add_option("--protocol", arguments.protocol,
                   "tcp, udp, icmp, ... or a number (default: any)")
      ->option_text("NAME");
  command
      ->add_option("--ports", arguments.ports,
                   "Remote port, 53 or 1-1023 (default: any)")
      ->option_text("PORTS");
}

NetworkRule Rule(const RuleArguments& arguments, CommandBuilder& builder) {
  NetworkRule rule;
  rule.action = arguments.action == "allow" ? Action::kAllow : Action::kDeny;
  if (!arguments.prefix.empty()) {
    if (auto prefix = builder.Take(ParseIpPrefix(arguments.prefix))) {
      rule.prefix = *prefix;
    }
  }
  if (!arguments.protocol.empty()) {
    if (auto protocol = builder.Take(ParseProtocol(arguments.protocol))) {
      rule.protocol = *protocol;
    }
  }
  if (!arguments.ports.empty()) {
    if (auto ports = builder.Take(ParsePortRange(arguments.ports))) {
      rule.ports = *ports;
    }
  }
  if (arguments.direction == "in") rule.direction = RuleDirection::kIn;
  if (arguments.direction == "out") rule.direction = RuleDirection::kOut;
  rule.interface = arguments.interface;
  return rule;
}

// The owners of rules that a command names: UIDs, or the defaults.
std::vector<absl::optional<Uid>> Owners(const char* command, bool defaults,
                                        CommandBuilder& builder) {
  if (builder.has_uids() == defaults) {
    builder.Fault(absl::StrCat(command, ": name UIDs, or say --default"));
  }
  if (defaults) return {absl::nullopt};
  std::vector<absl::optional<Uid>> owners;
  for (const Uid uid : builder.Uids()) owners.emplace_back(uid);
  return owners;
}

void AddOwners(CLI::App* command, bool& defaults, CommandBuilder& builder) {
  builder.AddUids(command, CommandBuilder::Presence::kOptional);
  command->add_flag("--default", defaults,
                    "The rules for every UID, asked after its own");
}

void AddAction(CLI::App* command, std::string& action) {
  command->add_option("ACTION", action, "allow or deny")
      ->required()
      ->check(CLI::IsMember({"allow", "deny"}));
}

}  // namespace

void DefineNetworkRules(CLI::App& app, CommandBuilder& builder) {
  CLI::App* group = CommandBuilder::AddGroup(
      app, "rule", "Rules about the other end of connections");
  const auto arguments = std::make_shared<RuleArguments>();

  for (const auto& [name, adds, description] :
       {std::make_tuple("add", true, "Give UIDs a rule"),
        std::make_tuple("remove", false, "Take a rule from UIDs")}) {
    CLI::App* command = CommandBuilder::Add(*group, name, description);
    AddAction(command, arguments->action);
    AddOwners(command, arguments->defaults, builder);
    command
        ->add_option("--prefix", arguments->prefix,
                     "Remote address or prefix (default: any)")
        ->option_text("PREFIX");
    AddProtocolAndPorts(command, *arguments);
    command
        ->add_option("--dir", arguments->direction,
                     "in or out, of the packet (default: both)")
        ->option_text("DIR")
        ->check(CLI::IsMember({"in", "out"}));
    command
        ->add_option("--iface", arguments->interface,
                     "NAME, PREFIX* or @CLASS (default: any)")
        ->option_text("IFACE");
    builder.AddCommitOptions(command);
    command->callback([&builder, arguments, adds = adds] {
      const NetworkRule rule = Rule(*arguments, builder);
      builder.Fault(CheckNetworkRule(rule));
      Transaction transaction;
      for (const absl::optional<Uid>& owner :
           Owners(adds ? "rule add" : "rule remove", arguments->defaults,
                  builder)) {
        if (adds) {
          transaction.emplace_back(AddNetworkRule{owner, rule});
        } else {
          transaction.emplace_back(RemoveNetworkRule{owner, rule});
        }
      }
      builder.Edit(std::move(transaction));
    });
  }

  CLI::App* clear =
      CommandBuilder::Add(*group, "clear", "Take all their rules from UIDs");
  AddOwners(clear, arguments->defaults, builder);
  builder.AddCommitOptions(clear);
  clear->callback([&builder, arguments] {
    Transaction transaction;
    for (const absl::optional<Uid>& owner :
         Owners("rule clear", arguments->defaults, builder)) {
      transaction.emplace_back(SetNetworkRules{owner, {}});
    }
    builder.Edit(std::move(transaction));
  });

  CLI::App* list = CommandBuilder::Add(
      *group, "list", "Show rules, of each UID those first that decide first");
  AddOwners(list, arguments->defaults, builder);
  list->callback([&builder, arguments] {
    builder.Ask(
        NetworkShowCommand{Part::kRules, builder.Uids(), arguments->defaults});
  });
}

void DefineIngressDiscard(CLI::App& app, CommandBuilder& builder) {
  struct Arguments {
    std::string address;
    std::vector<std::string> interfaces;
  };
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* group = CommandBuilder::AddGroup(
      app, "discard", "Addresses to be reached over certain interfaces only");

  CLI::App* add = CommandBuilder::Add(
      *group, "add",
      "Discard what comes to an address over any other interface");
  add->add_option("ADDRESS", arguments->address, "Of this machine")->required();
  add->add_option("IFACE", arguments->interfaces, "NAME, PREFIX* or @CLASS")
      ->required();
  builder.AddCommitOptions(add);
  add->callback([&builder, arguments] {
    builder.Fault(CheckSelectors(arguments->interfaces));
    if (auto address = builder.Take(ParseAddress(arguments->address))) {
      builder.Edit(
          {SetIngressDiscard{{*address, Canonical(arguments->interfaces)}}});
    }
  });

  CLI::App* remove = CommandBuilder::Add(
      *group, "remove", "Let an address be reached over any interface");
  remove->add_option("ADDRESS", arguments->address, "Of this machine")
      ->required();
  builder.AddCommitOptions(remove);
  remove->callback([&builder, arguments] {
    if (auto address = builder.Take(ParseAddress(arguments->address))) {
      builder.Edit({RemoveIngressDiscard{*address}});
    }
  });
  AddList(*group, "Show the addresses", Part::kIngressDiscard, builder);
}

void DefineLocalNetwork(CLI::App& app, CommandBuilder& builder) {
  CLI::App* group = CommandBuilder::AddGroup(
      app, "local-network",
      "What UIDs without local network access can't reach");
  const auto arguments = std::make_shared<RuleArguments>();
  arguments->action = "deny";

  for (const auto& [name, adds, description] :
       {std::make_tuple("add", true, "Say what belongs to a local network"),
        std::make_tuple("remove", false, "Take that back")}) {
    CLI::App* command = CommandBuilder::Add(*group, name, description);
    command
        ->add_option("IFACE", arguments->interface, "NAME, PREFIX* or @CLASS")
        ->required();
    command->add_option("PREFIX", arguments->prefix, "Remote addresses")
        ->required();
    AddProtocolAndPorts(command, *arguments);
    if (adds) {
      command
          ->add_option("--action", arguments->action,
                       "allow: reachable all the same (default: deny)")
          ->option_text("ACTION")
          ->check(CLI::IsMember({"allow", "deny"}));
    }
    builder.AddCommitOptions(command);
    command->callback([&builder, arguments, adds = adds] {
      const NetworkRule rule = Rule(*arguments, builder);
      builder.Fault(CheckLocalNetworkRule(rule));
      if (adds) {
        builder.Edit({SetLocalNetworkRule{rule}});
      } else {
        builder.Edit({RemoveLocalNetworkRule{rule}});
      }
    });
  }

  CLI::App* fill = CommandBuilder::Add(
      *group, "fill",
      "Make an interface's local network what the kernel says it is");
  const auto dns = std::make_shared<std::vector<std::string>>();
  fill->add_option("IFACE", arguments->interface, "Its name")->required();
  fill->add_option("--dns", *dns,
                   "DNS servers in it that all may ask, by UDP and TCP")
      ->option_text("ADDRESS...");
  builder.AddCommitOptions(fill);
  fill->callback([&builder, arguments, dns] {
    LocalNetworkFillCommand command{
        arguments->interface, {}, builder.options()};
    for (const std::string& text : *dns) {
      if (auto address = builder.Take(ParseAddress(text))) {
        command.dns_servers.push_back(*address);
      }
    }
    builder.Ask(std::move(command));
  });
  AddList(*group, "Show what belongs to local networks", Part::kLocalNetwork,
          builder);
}

namespace {

// `ports` without `taken`.
std::vector<PortRange> Without(const std::vector<PortRange>& ports,
                               const std::vector<PortRange>& taken) {
  std::vector<PortRange> rest = ports;
  for (const PortRange& hole : taken) {
    std::vector<PortRange> next;
    for (const PortRange& range : rest) {
      if (range.last < hole.first || range.first > hole.last) {
        next.push_back(range);
        continue;
      }
      if (range.first < hole.first) {
        next.push_back({range.first, static_cast<uint16_t>(hole.first - 1)});
      }
      if (range.last > hole.last) {
        next.push_back({static_cast<uint16_t>(hole.last + 1), range.last});
      }
    }
    rest = std::move(next);
  }
  return rest;
}

std::vector<PortRange> Ports(const std::vector<std::string>& texts,
                             CommandBuilder& builder) {
  std::vector<PortRange> ports;
  for (const std::string& text : texts) {
    if (auto range = builder.Take(ParsePortRange(text))) {
      ports.push_back(*range);
      if (range->first > range->last || range->first == 0) {
        builder.Fault(
            absl::StrCat("bind-ports: ", text, ": not a range of 1 to 65535"));
      }
    }
  }
  return ports;
}

}  // namespace

void DefineBindPorts(CLI::App& app, CommandBuilder& builder) {
  CLI::App* group =
      CommandBuilder::AddGroup(app, "bind-ports", "Ports that nobody may bind");
  const auto texts = std::make_shared<std::vector<std::string>>();
  for (const auto& [name, adds, description] :
       {std::make_tuple("add", true, "Let nobody bind these ports"),
        std::make_tuple("remove", false, "Let them be bound again")}) {
    CLI::App* command = CommandBuilder::Add(*group, name, description);
    command->add_option("PORTS", *texts, "Such as 5353 8000-8010")->required();
    builder.AddCommitOptions(command);
    command->callback([&builder, texts, adds = adds] {
      builder.Rework([adds, ports = Ports(*texts, builder)](
                         const Policy& policy) -> absl::StatusOr<Transaction> {
        std::vector<PortRange> blocked = policy.network().blocked_bind_ports;
        if (adds) {
          blocked.insert(blocked.end(), ports.begin(), ports.end());
        } else {
          blocked = Without(blocked, ports);
        }
        return Transaction{
            SetBlockedBindPorts{CanonicalPorts(std::move(blocked))}};
      });
    });
  }
  AddList(*group, "Show the ports", Part::kBindPorts, builder);
}

}  // namespace netpolicy::cli
