// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_CLI_COMMANDS_H_
#define NETPOLICY_NETD_CLI_COMMANDS_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "netd/cli/command_line.h"
#include "netd/cli/invocation.h"
#include "netd/cli/session.h"

namespace netpolicy::cli {

// All of ndc but its connections to the outside: understands the arguments
// (without the program's name), runs the command, and says what to print and
// to return. `err` may have several lines, each a fault.
Answer Run(const std::vector<std::string>& arguments, Environment& environment);

// Each command prints to the session. On error it has printed nothing.
absl::Status RunStatus(const StatusCommand& command, Session& session);
absl::Status RunApply(const ApplyCommand& command, Session& session);
absl::Status RunDump(const DumpCommand& command, Session& session);
absl::Status RunEdit(const EditCommand& command, Session& session);
absl::Status RunChainList(const ChainListCommand& command, Session& session);
absl::Status RunChainShow(const ChainShowCommand& command, Session& session);
absl::Status RunUidShow(const UidShowCommand& command, Session& session);
absl::Status RunStats(const StatsCommand& command, Session& session);
// Prints as it goes.
absl::Status RunTop(const TopCommand& command, Session& session);
absl::Status RunExplain(const ExplainCommand& command, Session& session);
absl::Status RunWhy(const WhyCommand& command, Session& session);
absl::Status RunReasons(const ReasonsCommand& command, Session& session);
absl::Status RunDoctor(const DoctorCommand& command, Session& session);
absl::Status RunInterfaceList(const InterfaceListCommand& command,
                              Session& session);
absl::Status RunInterfaceWatch(const InterfaceWatchCommand& command,
                               Session& session);
absl::Status RunClatStart(const ClatStartCommand& command, Session& session);
absl::Status RunClatStop(const ClatStopCommand& command, Session& session);
absl::Status RunClatStatus(const ClatStatusCommand& command, Session& session);
absl::Status RunClatDiscover(const ClatDiscoverCommand& command,
                             Session& session);
// Prints as it goes.
absl::Status RunClatWatch(const ClatWatchCommand& command, Session& session);
absl::Status RunLog(const LogCommand& command, Session& session);
absl::Status RunRollback(const RollbackCommand& command, Session& session);
absl::Status RunNetworkShow(const NetworkShowCommand& command,
                            Session& session);
absl::Status RunLocalNetworkFill(const LocalNetworkFillCommand& command,
                                 Session& session);
absl::Status RunUsage(const UsageCommand& command, Session& session);
absl::Status RunUsageForget(const UsageForgetCommand& command,
                            Session& session);
absl::Status RunCounterSet(const CounterSetCommand& command, Session& session);
absl::Status RunQuotaSet(const QuotaSetCommand& command, Session& session);
absl::Status RunQuotaList(const QuotaListCommand& command, Session& session);
absl::Status RunQuotaChange(const QuotaChangeCommand& command,
                            Session& session);
absl::Status RunQuotaAlerts(const QuotaAlertsCommand& command,
                            Session& session);
// Prints as it goes.
absl::Status RunQuotaWatch(const QuotaWatchCommand& command, Session& session);
absl::Status RunCompletion(const CompletionCommand& command, Session& session);

// Commits, and prints what it changed. Tries again when it lost a race that is
// nobody's business, as no generation was expected.
absl::Status CommitAndPrint(const Transaction& transaction,
                            const CommitOptions& options, Session& session);

// The same for changes that depend on the policy they are made over.
absl::Status ReworkAndPrint(
    const std::function<absl::StatusOr<Transaction>(const Policy&)>& rework,
    const CommitOptions& options, Session& session);

// Prints a DeltaToText(), each line in its colour.
void PrintDifference(absl::string_view difference, Session& session);

// The interfaces that the policy names and that are not there.
std::string AbsentInterfacesText(const EngineStatus& status);
Json AbsentInterfacesJson(const EngineStatus& status);

// The part of `dump --tables` and `status` that is about the policy.
void PrintTables(const PolicySnapshot& snapshot, const EngineStatus& status,
                 Session& session);

}  // namespace netpolicy::cli

#endif  // NETPOLICY_NETD_CLI_COMMANDS_H_
