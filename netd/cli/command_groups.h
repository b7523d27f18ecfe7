// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_CLI_COMMAND_GROUPS_H_
#define NETPOLICY_NETD_CLI_COMMAND_GROUPS_H_

#include <CLI/CLI.hpp>

#include "netd/cli/command_builder.h"

// Each adds a group of commands to `app`, in <group>_command_line.cc. The
// callbacks keep what the options are parsed into, and use `builder`.

namespace netpolicy::cli {

void DefineWholePolicy(CLI::App& app, CommandBuilder& builder);
void DefineLook(CLI::App& app, CommandBuilder& builder);
void DefineStats(CLI::App& app, CommandBuilder& builder);    // by DefineLook()
void DefineTop(CLI::App& app, CommandBuilder& builder);      // likewise
void DefineExplain(CLI::App& app, CommandBuilder& builder);  // likewise
void DefineWhy(CLI::App& app, CommandBuilder& builder);      // likewise
void DefineChains(CLI::App& app, CommandBuilder& builder);
void DefineUids(CLI::App& app, CommandBuilder& builder);
void DefineDefaults(CLI::App& app, CommandBuilder& builder);
void DefineUidNetworks(CLI::App& uid, CommandBuilder& builder);
void DefineDefaultNetworks(CLI::App& defaults, CommandBuilder& builder);
void DefineDataSaver(CLI::App& app, CommandBuilder& builder);
void DefineNetworkRules(CLI::App& app, CommandBuilder& builder);
void DefineIngressDiscard(CLI::App& app, CommandBuilder& builder);
void DefineLocalNetwork(CLI::App& app, CommandBuilder& builder);
void DefineBindPorts(CLI::App& app, CommandBuilder& builder);
void DefineSettings(CLI::App& app, CommandBuilder& builder);
void DefineInterfacePolicy(CLI::App& interface, CommandBuilder& builder);
void DefineCounterSet(CLI::App& app, CommandBuilder& builder);
void DefineUsage(CLI::App& app, CommandBuilder& builder);
void DefineQuotas(CLI::App& app, CommandBuilder& builder);
void DefineInterfaces(CLI::App& app, CommandBuilder& builder);

}  // namespace netpolicy::cli

#endif  // NETPOLICY_NETD_CLI_COMMAND_GROUPS_H_
