// SPDX-License-Identifier: Apache-2.0

#include "netd/cli/network_text.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libpolicy/model/text.h"

namespace netpolicy::cli {
namespace {

std::string PortsText(const NetworkRule& rule) {
  return rule.ports == kAnyPort ? "any" : PortRangeText(rule.ports);
}

TextTable::Cell ActionCell(Action action) {
  return {std::string(ActionName(action)),
          action == Action::kDeny ? Ink::kBad : Ink::kGood};
}

std::vector<TextTable::Cell> RuleCells(const NetworkRule& rule) {
  return {ActionCell(rule.action),
          IpPrefixText(rule.prefix),
          ProtocolName(rule.protocol),
          PortsText(rule),
          std::string(RuleDirectionName(rule.direction)),
          rule.interface.empty() ? "any" : Printable(rule.interface)};
}

const std::vector<TextTable::Column>& RuleColumns() {
  static const auto* const kColumns = new std::vector<TextTable::Column>{
      {"action"}, {"prefix"},    {"protocol"},
      {"ports"},  {"direction"}, {"interface"}};
  return *kColumns;
}

std::string AccessText(Permission access) {
  return access == Permission::kGranted ? "on" : "off";
}

std::string OrDefault(const absl::optional<std::string>& own,
                      const std::string& otherwise) {
  return own.has_value() ? *own : absl::StrCat("default (", otherwise, ")");
}

// Whom the rules belong to, and they.
template <typename Visit>
void VisitRules(const Policy& policy, const std::vector<Uid>& uids,
                bool defaults, Visit visit) {
  const bool all = uids.empty() && !defaults;
  for (const Uid uid : uids) visit(&uid, policy.Find(uid).network_rules);
  if (all) {
    for (const auto& [uid, said] : policy.uids()) {
      visit(&uid, said.network_rules);
    }
  }
  if (all || defaults) {
    visit(static_cast<const Uid*>(nullptr), policy.defaults().network_rules);
  }
}

}  // namespace

std::string InterfacesText(const Selectors& interfaces) {
  if (interfaces.empty()) return "any";
  return Printable(absl::StrJoin(interfaces, ", "));
}

TextTable InterfaceTable(const NetworkPolicy& network) {
  TextTable table({{"interface"}, {"metered"}, {"classes"}});
  for (const Interface& interface : network.interfaces) {
    table.AddRow({Printable(interface.name),
                  interface.metered.has_value()
                      ? std::string(SwitchName(*interface.metered))
                      : "-",
                  interface.classes.empty()
                      ? "-"
                      : Printable(absl::StrJoin(interface.classes, ", "))});
  }
  return table;
}

TextTable IngressDiscardTable(const NetworkPolicy& network) {
  TextTable table({{"address"}, {"only over"}});
  for (const IngressDiscard& discard : network.ingress_discard) {
    table.AddRow(
        {AddressText(discard.address), InterfacesText(discard.interfaces)});
  }
  return table;
}

TextTable RuleTable(const NetworkRules& rules) {
  TextTable table(RuleColumns());
  for (const NetworkRule& rule : rules) table.AddRow(RuleCells(rule));
  return table;
}

TextTable SettingsTable(const Settings& settings) {
  TextTable table({{""}, {""}});
  std::string profile = "none";
  for (const Profile known : {Profile::kLinux, Profile::kAndroid}) {
    if (SettingsOf(known) == settings) {
      profile = std::string(ProfileName(known));
    }
  }
  table.AddRow({"profile", profile});
  table.AddRow({"uids per user", absl::StrCat(settings.uids_per_user)});
  table.AddRow({"exempt below", absl::StrCat(settings.exempt_below)});
  table.AddRow({"no owner", std::string(NoOwnerRuleName(settings.no_owner))});
  table.AddRow({"closing packets",
                std::string(ClosingPacketsName(settings.closing_packets))});
  table.AddRow(
      {"resolver", settings.resolver.has_value()
                       ? absl::StrCat("uid ", ToInt(settings.resolver->uid),
                                      ", tag ", settings.resolver->tag)
                       : "none"});
  return table;
}

std::string BindPortsText(const NetworkPolicy& network) {
  if (network.blocked_bind_ports.empty()) return "none";
  return absl::StrJoin(network.blocked_bind_ports, ", ",
                       [](std::string* out, const PortRange& ports) {
                         absl::StrAppend(out, PortRangeText(ports));
                       });
}

Json SelectorsJson(const Selectors& interfaces) {
  Json json = Json::array();
  for (const std::string& name : interfaces) json.push_back(TextJson(name));
  return json;
}

Json InterfacesJson(const NetworkPolicy& network) {
  Json json = Json::array();
  for (const Interface& interface : network.interfaces) {
    json.push_back({{"name", TextJson(interface.name)},
                    {"metered", interface.metered.has_value()
                                    ? Json(*interface.metered == Switch::kOn)
                                    : Json()},
                    {"classes", SelectorsJson(interface.classes)}});
  }
  return json;
}

Json IngressDiscardJson(const NetworkPolicy& network) {
  Json json = Json::array();
  for (const IngressDiscard& discard : network.ingress_discard) {
    json.push_back({{"address", AddressText(discard.address)},
                    {"interfaces", SelectorsJson(discard.interfaces)}});
  }
  return json;
}

Json RulesJson(const NetworkRules& rules) {
  Json json = Json::array();
  for (const NetworkRule& rule : rules) {
    const auto text = [](bool any, absl::string_view value) {
      return any ? Json() : TextJson(value);
    };
    json.push_back(
        {{"action", std::string(ActionName(rule.action))},
         {"prefix", text(rule.prefix.family == IpFamily::kAny,
                         IpPrefixText(rule.prefix))},
         {"protocol", text(rule.protocol == 0, ProtocolName(rule.protocol))},
         {"ports", text(rule.ports == kAnyPort, PortRangeText(rule.ports))},
         {"direction", text(rule.direction == RuleDirection::kBoth,
                            RuleDirectionName(rule.direction))},
         {"interface", text(rule.interface.empty(), rule.interface)}});
  }
  return json;
}

Json SettingsJson(const Settings& settings) {
  Json resolver;
  if (settings.resolver.has_value()) {
    resolver = {{"uid", ToInt(settings.resolver->uid)},
                {"tag", settings.resolver->tag}};
  }
  return {{"uids_per_user", settings.uids_per_user},
          {"exempt_below", settings.exempt_below},
          {"no_owner", std::string(NoOwnerRuleName(settings.no_owner))},
          {"closing_packets",
           std::string(ClosingPacketsName(settings.closing_packets))},
          {"resolver", std::move(resolver)}};
}

Json BindPortsJson(const NetworkPolicy& network) {
  Json json = Json::array();
  for (const PortRange& ports : network.blocked_bind_ports) {
    json.push_back(PortRangeText(ports));
  }
  return json;
}

void AddUidNetworks(const UidPolicy& said, Json& json) {
  json["interfaces"] =
      said.interfaces.empty() ? Json() : SelectorsJson(said.interfaces);
  json["lockdown"] =
      said.lockdown.has_value() ? Json(*said.lockdown == Switch::kOn) : Json();
  json["local_network"] =
      said.local_network.has_value()
          ? Json(*said.local_network == Permission::kGranted)
          : Json();
  json["update_device_stats"] =
      said.update_device_stats == Permission::kGranted;
  json["network_rules"] = RulesJson(said.network_rules);
}

void AddDefaultNetworks(const PolicyDefaults& defaults, Json& json) {
  json["interfaces"] =
      defaults.interfaces.empty() ? Json() : SelectorsJson(defaults.interfaces);
  json["lockdown"] = defaults.lockdown == Switch::kOn;
  json["local_network"] = defaults.local_network == Permission::kGranted;
  json["network_rules"] = RulesJson(defaults.network_rules);
}

void AddUidNetworks(const UidPolicy& said, const PolicyDefaults& defaults,
                    TextTable& table) {
  absl::optional<std::string> own;
  if (!said.interfaces.empty()) own = InterfacesText(said.interfaces);
  table.AddRow(
      {"interfaces", OrDefault(own, InterfacesText(defaults.interfaces))});
  own.reset();
  if (said.lockdown.has_value()) own = std::string(SwitchName(*said.lockdown));
  table.AddRow(
      {"lockdown", OrDefault(own, std::string(SwitchName(defaults.lockdown)))});
  own.reset();
  if (said.local_network.has_value()) own = AccessText(*said.local_network);
  table.AddRow(
      {"local network", OrDefault(own, AccessText(defaults.local_network))});
  table.AddRow({"update device stats", AccessText(said.update_device_stats)});
  table.AddRow(
      {"network rules", said.network_rules.empty()
                            ? "none"
                            : NetworkRuleText(said.network_rules.front())});
  for (size_t i = 1; i < said.network_rules.size(); ++i) {
    table.AddRow({"", NetworkRuleText(said.network_rules[i])});
  }
}

void AddDefaultNetworks(const PolicyDefaults& defaults, TextTable& table) {
  table.AddRow({"interfaces", InterfacesText(defaults.interfaces)});
  table.AddRow({"lockdown", std::string(SwitchName(defaults.lockdown))});
  table.AddRow({"local network", AccessText(defaults.local_network)});
}

TextTable UidNetworksTable(const Policy& policy, Session& session) {
  TextTable table({{"uid", TextTable::kRight},
                   {"user"},
                   {"interfaces"},
                   {"lockdown"},
                   {"local network"},
                   {"update device stats"}});
  for (const auto& [uid, said] : policy.uids()) {
    if (said.interfaces.empty() && !said.lockdown.has_value() &&
        !said.local_network.has_value() &&
        said.update_device_stats == Permission::kRevoked) {
      continue;
    }
    table.AddRow(
        {absl::StrCat(ToInt(uid)),
         Printable(session.names().UserOfUid(uid).value_or("-")),
         said.interfaces.empty() ? "default" : InterfacesText(said.interfaces),
         said.lockdown.has_value() ? std::string(SwitchName(*said.lockdown))
                                   : "default",
         said.local_network.has_value() ? AccessText(*said.local_network)
                                        : "default",
         AccessText(said.update_device_stats)});
  }
  return table;
}

TextTable OwnedRuleTable(const Policy& policy, const std::vector<Uid>& uids,
                         bool defaults, Session& session) {
  std::vector<TextTable::Column> columns = RuleColumns();
  columns.insert(columns.begin(), {"of"});
  TextTable table(columns);
  VisitRules(
      policy, uids, defaults, [&](const Uid* uid, const NetworkRules& rules) {
        for (const NetworkRule& rule : rules) {
          std::vector<TextTable::Cell> cells = RuleCells(rule);
          cells.insert(cells.begin(), uid == nullptr ? std::string("default")
                                                     : session.Who(*uid));
          table.AddRow(std::move(cells));
        }
      });
  return table;
}

Json OwnedRulesJson(const Policy& policy, const std::vector<Uid>& uids,
                    bool defaults, Session& session) {
  Json json = Json::array();
  VisitRules(policy, uids, defaults,
             [&](const Uid* uid, const NetworkRules& rules) {
               if (rules.empty()) return;
               Json owner = uid == nullptr ? Json{{"default", true}}
                                           : UidJson(*uid, session.names());
               owner["network_rules"] = RulesJson(rules);
               json.push_back(std::move(owner));
             });
  return json;
}

}  // namespace netpolicy::cli
