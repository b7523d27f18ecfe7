// SPDX-License-Identifier: Apache-2.0

// Commands that show the rules: chain list, chain show, uid show, dump
// --tables.

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/model/text.h"
#include "netd/cli/commands.h"
#include "netd/cli/network_text.h"
#include "netd/cli/units.h"

namespace netpolicy::cli {
namespace {

// The UIDs that each chain lists, by the chain's number, ascending.
std::map<int, std::vector<Uid>> MembersByChain(const Policy& policy) {
  std::map<int, std::vector<Uid>> members;
  for (const Chain& chain : policy.chains()) members[chain.number];
  for (const auto& [uid, said] : policy.uids()) {
    for (const int number : ReasonSet(said.chains).numbers()) {
      members[number].push_back(uid);
    }
  }
  return members;
}

// What a chain does while it is on.
std::string Effect(const Chain& chain, size_t listed) {
  const std::string count = FormatCount(listed);
  return chain.sense == ChainSense::kAllowlist
             ? absl::StrCat("blocks every UID but the ", count, " it lists")
             : absl::StrCat("blocks the ", count, " it lists");
}

TextTable::Cell SwitchCell(Switch value) {
  return {std::string(SwitchName(value)),
          value == Switch::kOn ? Ink::kWarning : Ink::kPlain};
}

TextTable ChainTable(const Policy& policy,
                     const std::map<int, std::vector<Uid>>& members) {
  TextTable table({{"no", TextTable::kRight},
                   {"name"},
                   {"type"},
                   {"state"},
                   {"uids", TextTable::kRight}});
  for (const Chain& chain : policy.chains()) {
    table.AddRow({absl::StrCat(chain.number), Printable(chain.name),
                  std::string(ChainSenseName(chain.sense)),
                  SwitchCell(chain.enabled),
                  FormatCount(members.at(chain.number).size())});
  }
  return table;
}

Json ChainJson(const Chain& chain, absl::Span<const Uid> listed) {
  Json uids = Json::array();
  for (const Uid uid : listed) uids.push_back(ToInt(uid));
  return {{"number", chain.number},
          {"name", TextJson(chain.name)},
          {"type", std::string(ChainSenseName(chain.sense))},
          {"enabled", chain.enabled == Switch::kOn},
          {"uids", std::move(uids)}};
}

Json ChainsJson(const Policy& policy) {
  const std::map<int, std::vector<Uid>> members = MembersByChain(policy);
  Json chains = Json::array();
  for (const Chain& chain : policy.chains()) {
    chains.push_back(ChainJson(chain, members.at(chain.number)));
  }
  return chains;
}

Json UidPolicyJson(Uid uid, const UidPolicy& said, const Policy& policy,
                   Names& names) {
  Json json = UidJson(uid, names);
  json["rule"] = said.rule.has_value()
                     ? Json(std::string(ActionName(*said.rule)))
                     : Json();
  json["internet"] = said.internet.has_value()
                         ? Json(*said.internet == Permission::kGranted)
                         : Json();
  Json chains = Json::array();
  for (const int number : ReasonSet(said.chains).numbers()) {
    chains.push_back(TextJson(policy.ReasonName(number)));
  }
  json["chains"] = std::move(chains);
  AddUidNetworks(said, json);
  return json;
}

Json DefaultsJson(const PolicyDefaults& defaults) {
  Json json = {{"rule", std::string(ActionName(defaults.rule))},
               {"internet", defaults.internet == Permission::kGranted}};
  AddDefaultNetworks(defaults, json);
  return json;
}

// "dozable (on), games (off)": whether a chain counts is what one asks next.
std::string ChainNames(const UidPolicy& said, const Policy& policy) {
  std::vector<std::string> names;
  for (const int number : ReasonSet(said.chains).numbers()) {
    const Chain* chain = policy.FindChain(number);
    names.push_back(absl::StrCat(
        Printable(policy.ReasonName(number)), " (",
        chain == nullptr ? "unknown" : SwitchName(chain->enabled), ")"));
  }
  return absl::StrJoin(names, ", ");
}

std::string RuleText(const UidPolicy& said) {
  return std::string(said.rule.has_value() ? ActionName(*said.rule)
                                           : "default");
}

std::string InternetText(const UidPolicy& said) {
  return std::string(said.internet.has_value() ? PermissionName(*said.internet)
                                               : "default");
}

void Heading(absl::string_view text, Session& session) {
  session.Print(
      absl::StrCat("\n", Paint(text, Ink::kStrong, session.colour()), "\n"));
}

void Section(absl::string_view heading, const TextTable& table,
             Session& session) {
  Heading(heading, session);
  session.Print(table.empty() ? "  none\n"
                              : table.ToString(session.colour(), 2));
}

void PrintNetworkTables(const Policy& policy, Session& session) {
  const NetworkPolicy& network = policy.network();
  Section("UIDs and interfaces", UidNetworksTable(policy, session), session);
  Section("Network rules", OwnedRuleTable(policy, {}, false, session), session);
  Section("Interfaces", InterfaceTable(network), session);
  Section("Ingress discard", IngressDiscardTable(network), session);
  Section("Local network", RuleTable(network.local_network), session);
  Heading("Blocked bind ports", session);
  session.Print(absl::StrCat("  ", BindPortsText(network), "\n"));
  Section("Settings", SettingsTable(network.settings), session);
}

}  // namespace

absl::Status RunChainList(const ChainListCommand&, Session& session) {
  NP_ASSIGN_OR_RETURN(PolicyInterface * policy, session.policy());
  NP_ASSIGN_OR_RETURN(const PolicySnapshot snapshot, policy->GetPolicy());
  if (session.json()) {
    session.PrintJson({{"generation", ToInt(snapshot.generation)},
                       {"chains", ChainsJson(snapshot.policy)}});
    return absl::OkStatus();
  }
  session.Print(ChainTable(snapshot.policy, MembersByChain(snapshot.policy))
                    .ToString(session.colour()));
  return absl::OkStatus();
}

absl::Status RunChainShow(const ChainShowCommand& command, Session& session) {
  NP_ASSIGN_OR_RETURN(PolicyInterface * policy, session.policy());
  NP_ASSIGN_OR_RETURN(const PolicySnapshot snapshot, policy->GetPolicy());
  const Chain* chain = snapshot.policy.FindChain(command.name);
  if (chain == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("show chain ", Quote(command.name), ": no such chain"));
  }
  const std::vector<Uid> members = snapshot.policy.ChainMembers(chain->number);
  if (session.json()) {
    session.PrintJson({{"generation", ToInt(snapshot.generation)},
                       {"chain", ChainJson(*chain, members)}});
    return absl::OkStatus();
  }
  session.Print(absl::StrCat("chain ", Printable(chain->name), " (",
                             chain->number, "): ", ChainSenseName(chain->sense),
                             ", ", SwitchName(chain->enabled), "; ",
                             chain->enabled == Switch::kOn ? "" : "while on ",
                             Effect(*chain, members.size()), "\n"));
  for (const UidRange& range : CompressUids(members)) {
    const std::string text = range.first == range.last
                                 ? session.Who(range.first)
                                 : UidRangeName(range);
    session.Print(absl::StrCat("  ", text, "\n"));
  }
  return absl::OkStatus();
}

absl::Status RunUidShow(const UidShowCommand& command, Session& session) {
  NP_ASSIGN_OR_RETURN(PolicyInterface * policy, session.policy());
  NP_ASSIGN_OR_RETURN(const PolicySnapshot snapshot, policy->GetPolicy());
  const PolicyDefaults& defaults = snapshot.policy.defaults();
  Json uids = Json::array();
  for (const Uid uid : command.uids) {
    const UidPolicy said = snapshot.policy.Find(uid);
    if (session.json()) {
      uids.push_back(
          UidPolicyJson(uid, said, snapshot.policy, session.names()));
      continue;
    }
    TextTable table({{""}, {""}});
    table.AddRow({"rule", said.rule.has_value()
                              ? RuleText(said)
                              : absl::StrCat("default (",
                                             ActionName(defaults.rule), ")")});
    table.AddRow({"internet",
                  said.internet.has_value()
                      ? InternetText(said)
                      : absl::StrCat("default (",
                                     PermissionName(defaults.internet), ")")});
    table.AddRow({"chains", said.chains == 0
                                ? "none"
                                : ChainNames(said, snapshot.policy)});
    AddUidNetworks(said, defaults, table);
    session.Print(absl::StrCat("uid ", session.Who(uid), "\n",
                               table.ToString(session.colour(), 2)));
  }
  if (session.json()) {
    session.PrintJson({{"generation", ToInt(snapshot.generation)},
                       {"defaults", DefaultsJson(defaults)},
                       {"uids", std::move(uids)}});
  }
  return absl::OkStatus();
}

void PrintTables(const PolicySnapshot& snapshot, const EngineStatus& status,
                 Session& session) {
  const Policy& policy = snapshot.policy;
  if (session.json()) {
    Json uids = Json::array();
    for (const auto& [uid, said] : policy.uids()) {
      uids.push_back(UidPolicyJson(uid, said, policy, session.names()));
    }
    session.PrintJson(
        {{"generation", ToInt(snapshot.generation)},
         {"fenced_generation", ToInt(status.fenced_generation)},
         {"cgroup", TextJson(status.cgroup)},
         {"defaults", DefaultsJson(policy.defaults())},
         {"chains", ChainsJson(policy)},
         {"uids", std::move(uids)},
         {"settings", SettingsJson(policy.network().settings)},
         {"interfaces", InterfacesJson(policy.network())},
         {"ingress_discard", IngressDiscardJson(policy.network())},
         {"local_network", RulesJson(policy.network().local_network)},
         {"blocked_bind_ports", BindPortsJson(policy.network())},
         {"absent_interfaces", AbsentInterfacesJson(status)}});
    return;
  }
  const std::map<int, std::vector<Uid>> members = MembersByChain(policy);
  session.Print(absl::StrCat("generation ", ToInt(snapshot.generation),
                             ", fenced ", ToInt(status.fenced_generation),
                             ", enforced on ", Printable(status.cgroup), "\n"));
  if (!status.absent_interfaces.empty()) {
    session.Print(absl::StrCat(
        Paint("no such interface now: ", Ink::kWarning, session.colour()),
        AbsentInterfacesText(status), "\n"));
  }

  Heading("Defaults", session);
  TextTable defaults({{""}, {""}});
  defaults.AddRow({"rule", std::string(ActionName(policy.defaults().rule))});
  defaults.AddRow(
      {"internet", std::string(PermissionName(policy.defaults().internet))});
  AddDefaultNetworks(policy.defaults(), defaults);
  session.Print(defaults.ToString(session.colour(), 2));

  Heading("Enabled chains", session);
  TextTable enabled({{""}, {""}, {""}});
  for (const Chain& chain : policy.chains()) {
    if (chain.enabled == Switch::kOff) continue;
    enabled.AddRow({Printable(chain.name),
                    std::string(ChainSenseName(chain.sense)),
                    Effect(chain, members.at(chain.number).size())});
  }
  session.Print(enabled.empty() ? "  none\n"
                                : enabled.ToString(session.colour(), 2));

  Heading("Chains", session);
  session.Print(ChainTable(policy, members).ToString(session.colour(), 2));

  Heading("UIDs", session);
  TextTable uids({{"uid", TextTable::kRight},
                  {"user"},
                  {"rule"},
                  {"internet"},
                  {"chains"}});
  for (const auto& [uid, said] : policy.uids()) {
    const std::string user = session.names().UserOfUid(uid).value_or("-");
    uids.AddRow({absl::StrCat(ToInt(uid)), Printable(user), RuleText(said),
                 InternetText(said),
                 said.chains == 0 ? "-" : ChainNames(said, policy)});
  }
  session.Print(uids.empty() ? "  none is mentioned\n"
                             : uids.ToString(session.colour(), 2));
  PrintNetworkTables(policy, session);
}

}  // namespace netpolicy::cli
