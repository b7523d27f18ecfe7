// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_CLI_NETWORK_TEXT_H_
#define NETPOLICY_NETD_CLI_NETWORK_TEXT_H_

#include <string>
#include <vector>

#include "libpolicy/model/policy.h"
#include "netd/cli/session.h"
#include "netd/cli/text_table.h"

// How the commands show what a policy says of interfaces and networks; each
// part as a table and as JSON, with the fields of the policy language.

namespace netpolicy::cli {

// "tun0, @vpn"; "any" for none.
std::string InterfacesText(const Selectors& interfaces);

TextTable InterfaceTable(const NetworkPolicy& network);
TextTable IngressDiscardTable(const NetworkPolicy& network);
TextTable RuleTable(const NetworkRules& rules);  // in order of precedence
TextTable SettingsTable(const Settings& settings);
// "53, 8000-8010"
std::string BindPortsText(const NetworkPolicy& network);

Json SelectorsJson(const Selectors& interfaces);
Json InterfacesJson(const NetworkPolicy& network);
Json IngressDiscardJson(const NetworkPolicy& network);
Json RulesJson(const NetworkRules& rules);
Json SettingsJson(const Settings& settings);
Json BindPortsJson(const NetworkPolicy& network);

// What `uid show` and `dump --tables` add of a UID. null: as the default.
void AddUidNetworks(const UidPolicy& said, Json& json);
void AddDefaultNetworks(const PolicyDefaults& defaults, Json& json);
// Rows of name and value, without the rules. A UID's: what is as the default
// says so, with the default.
void AddUidNetworks(const UidPolicy& said, const PolicyDefaults& defaults,
                    TextTable& table);
void AddDefaultNetworks(const PolicyDefaults& defaults, TextTable& table);

// The UIDs of which something of networks is said, with it in a line each.
TextTable UidNetworksTable(const Policy& policy, Session& session);
// Rules of the defaults and of UIDs, each in order of precedence.
TextTable OwnedRuleTable(const Policy& policy, const std::vector<Uid>& uids,
                         bool defaults, Session& session);
Json OwnedRulesJson(const Policy& policy, const std::vector<Uid>& uids,
                    bool defaults, Session& session);

}  // namespace netpolicy::cli

#endif  // NETPOLICY_NETD_CLI_NETWORK_TEXT_H_
