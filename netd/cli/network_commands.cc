// SPDX-License-Identifier: Apache-2.0

// rule list, discard list, settings, ... and local-network fill.

#include <algorithm>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/model/ip_prefix.h"
#include "libpolicy/model/text.h"
#include "netd/cli/commands.h"
#include "netd/cli/network_text.h"

namespace netpolicy::cli {
namespace {

using Part = NetworkShowCommand::Part;

Json PartJson(const NetworkShowCommand& command, const Policy& policy,
              Session& session) {
  const NetworkPolicy& network = policy.network();
  switch (command.part) {
    case Part::kDataSaver:
      return {{"data_saver",
               policy.FindChain("metered_allow")->enabled == Switch::kOn}};
    case Part::kInterfaces:
      return {{"interfaces", InterfacesJson(network)}};
    case Part::kRules:
      return {{"rules", OwnedRulesJson(policy, command.uids, command.defaults,
                                       session)}};
    case Part::kIngressDiscard:
      return {{"ingress_discard", IngressDiscardJson(network)}};
    case Part::kLocalNetwork:
      return {{"local_network", RulesJson(network.local_network)}};
    case Part::kBindPorts:
      return {{"blocked_bind_ports", BindPortsJson(network)}};
    case Part::kSettings:
      return {{"settings", SettingsJson(network.settings)}};
  }
  return {};
}

// A table, or the line that says that there is nothing to show.
std::string OrLine(const TextTable& table, const char* line, Session& session) {
  return table.empty() ? absl::StrCat(line, "\n")
                       : table.ToString(session.colour());
}

std::string PartText(const NetworkShowCommand& command, const Policy& policy,
                     Session& session) {
  const NetworkPolicy& network = policy.network();
  switch (command.part) {
    case Part::kDataSaver:
      return absl::StrCat(
          "data saver is ",
          SwitchName(policy.FindChain("metered_allow")->enabled), "\n");
    case Part::kInterfaces:
      return OrLine(InterfaceTable(network),
                    "the policy says nothing of interfaces", session);
    case Part::kRules:
      return OrLine(
          OwnedRuleTable(policy, command.uids, command.defaults, session),
          "no rules", session);
    case Part::kIngressDiscard:
      return OrLine(IngressDiscardTable(network),
                    "every address is reached over any interface", session);
    case Part::kLocalNetwork:
      return OrLine(RuleTable(network.local_network),
                    "nothing belongs to a local network", session);
    case Part::kBindPorts:
      return absl::StrCat("blocked bind ports: ", BindPortsText(network), "\n");
    case Part::kSettings:
      return SettingsTable(network.settings).ToString(session.colour());
  }
  return "";
}

IpPrefix Prefix(const char* text) { return ParseIpPrefix(text).value(); }

IpPrefix PrefixOf(const InterfaceAddress& address, IpFamily family) {
  IpPrefix prefix{family, address.prefix_length, address.address};
  for (size_t bit = prefix.length; bit < 128; ++bit) {
    prefix.address[bit / 8] &= static_cast<uint8_t>(~(0x80U >> (bit % 8)));
  }
  return prefix;
}

// What Android's local network protection puts in its table for a link: ranges
// that never leave it, and those that its addresses are in.
NetworkRules LocalNetworkOf(const std::string& interface,
                            const std::vector<InterfaceAddress>& addresses,
                            const std::vector<AddressBytes>& dns_servers) {
  std::vector<IpPrefix> prefixes;
  for (const char* text : {"224.0.0.0/4", "255.255.255.255", "169.254.0.0/16",
                           "ff00::/8", "fe80::/10"}) {
    prefixes.push_back(Prefix(text));
  }
  const IpPrefix ipv4 = Prefix("0.0.0.0/0");
  const size_t always = prefixes.size();
  for (const InterfaceAddress& address : addresses) {
    if (std::any_of(
            prefixes.begin(), prefixes.begin() + always,
            [&](const IpPrefix& p) { return Contains(p, address.address); })) {
      continue;
    }
    if (!Contains(ipv4, address.address)) {
      prefixes.push_back(PrefixOf(address, IpFamily::kIpv6));
      continue;
    }
    IpPrefix own = PrefixOf(address, IpFamily::kIpv4);
    for (const char* text :
         {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"}) {
      if (Contains(Prefix(text), address.address)) own = Prefix(text);
    }
    prefixes.push_back(own);
  }
  NetworkRules rules;
  for (const IpPrefix& prefix : prefixes) {
    NetworkRule rule;
    rule.prefix = prefix;
    rule.interface = interface;
    rules.push_back(std::move(rule));
  }
  const struct {
    uint8_t protocol;
    uint16_t port;
  } kDns[] = {{17, 53}, {6, 53}, {6, 853}};  // DNS, and DNS over TLS
  for (const AddressBytes& server : dns_servers) {
    const bool on_link =
        std::any_of(prefixes.begin(), prefixes.end(),
                    [&](const IpPrefix& p) { return Contains(p, server); });
    if (!on_link) continue;
    const IpPrefix host = Prefix(AddressText(server).c_str());
    for (const auto& [protocol, port] : kDns) {
      NetworkRule rule;
      rule.action = Action::kAllow;
      rule.prefix = host;
      rule.protocol = protocol;
      rule.ports = {port, port};
      rule.interface = interface;
      rules.push_back(std::move(rule));
    }
  }
  return CanonicalRules(std::move(rules));
}

}  // namespace

absl::Status RunNetworkShow(const NetworkShowCommand& command,
                            Session& session) {
  NP_ASSIGN_OR_RETURN(PolicyInterface * policy, session.policy());
  NP_ASSIGN_OR_RETURN(const PolicySnapshot snapshot, policy->GetPolicy());
  if (session.json()) {
    Json json = {{"generation", ToInt(snapshot.generation)}};
    json.update(PartJson(command, snapshot.policy, session));
    session.PrintJson(json);
  } else {
    session.Print(PartText(command, snapshot.policy, session));
  }
  return absl::OkStatus();
}

absl::Status RunLocalNetworkFill(const LocalNetworkFillCommand& command,
                                 Session& session) {
  NP_ASSIGN_OR_RETURN(const std::vector<InterfaceAddress> addresses,
                      session.environment().read_addresses(command.interface));
  const NetworkRules rules =
      LocalNetworkOf(command.interface, addresses, command.dns_servers);
  // In place of all that was said of this interface by its name.
  return ReworkAndPrint(
      [&](const Policy& policy) -> absl::StatusOr<Transaction> {
        Transaction transaction;
        for (const NetworkRule& rule : policy.network().local_network) {
          if (rule.interface == command.interface) {
            transaction.emplace_back(RemoveLocalNetworkRule{rule});
          }
        }
        for (const NetworkRule& rule : rules) {
          transaction.emplace_back(SetLocalNetworkRule{rule});
        }
        return transaction;
      },
      command.options, session);
}

}  // namespace netpolicy::cli
