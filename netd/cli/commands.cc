// SPDX-License-Identifier: Apache-2.0

#include "netd/cli/commands.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/variant.h"

namespace netpolicy::cli {
namespace {

struct RunCommand {
  Session& session;

  absl::Status operator()(const StatusCommand& c) {
    return RunStatus(c, session);
  }
  absl::Status operator()(const ApplyCommand& c) {
    return RunApply(c, session);
  }
  absl::Status operator()(const DumpCommand& c) { return RunDump(c, session); }
  absl::Status operator()(const EditCommand& c) { return RunEdit(c, session); }
  absl::Status operator()(const ChainListCommand& c) {
    return RunChainList(c, session);
  }
  absl::Status operator()(const ChainShowCommand& c) {
    return RunChainShow(c, session);
  }
  absl::Status operator()(const UidShowCommand& c) {
    return RunUidShow(c, session);
  }
  absl::Status operator()(const StatsCommand& c) {
    return RunStats(c, session);
  }
  absl::Status operator()(const TopCommand& c) { return RunTop(c, session); }
  absl::Status operator()(const ExplainCommand& c) {
    return RunExplain(c, session);
  }
  absl::Status operator()(const WhyCommand& c) { return RunWhy(c, session); }
  absl::Status operator()(const ReasonsCommand& c) {
    return RunReasons(c, session);
  }
  absl::Status operator()(const DoctorCommand& c) {
    return RunDoctor(c, session);
  }
  absl::Status operator()(const InterfaceListCommand& c) {
    return RunInterfaceList(c, session);
  }
  absl::Status operator()(const InterfaceWatchCommand& c) {
    return RunInterfaceWatch(c, session);
  }
  absl::Status operator()(const ClatStartCommand& c) {
    return RunClatStart(c, session);
  }
  absl::Status operator()(const ClatStopCommand& c) {
    return RunClatStop(c, session);
  }
  absl::Status operator()(const ClatStatusCommand& c) {
    return RunClatStatus(c, session);
  }
  absl::Status operator()(const ClatDiscoverCommand& c) {
    return RunClatDiscover(c, session);
  }
  absl::Status operator()(const ClatWatchCommand& c) {
    return RunClatWatch(c, session);
  }
  absl::Status operator()(const LogCommand& c) { return RunLog(c, session); }
  absl::Status operator()(const RollbackCommand& c) {
    return RunRollback(c, session);
  }
  absl::Status operator()(const NetworkShowCommand& c) {
    return RunNetworkShow(c, session);
  }
  absl::Status operator()(const LocalNetworkFillCommand& c) {
    return RunLocalNetworkFill(c, session);
  }
  absl::Status operator()(const UsageCommand& c) {
    return RunUsage(c, session);
  }
  absl::Status operator()(const CounterSetCommand& c) {
    return RunCounterSet(c, session);
  }
  absl::Status operator()(const UsageForgetCommand& c) {
    return RunUsageForget(c, session);
  }
  absl::Status operator()(const QuotaSetCommand& c) {
    return RunQuotaSet(c, session);
  }
  absl::Status operator()(const QuotaListCommand& c) {
    return RunQuotaList(c, session);
  }
  absl::Status operator()(const QuotaChangeCommand& c) {
    return RunQuotaChange(c, session);
  }
  absl::Status operator()(const QuotaAlertsCommand& c) {
    return RunQuotaAlerts(c, session);
  }
  absl::Status operator()(const QuotaWatchCommand& c) {
    return RunQuotaWatch(c, session);
  }
  absl::Status operator()(const CompletionCommand& c) {
    return RunCompletion(c, session);
  }
};

}  // namespace

Answer Run(const std::vector<std::string>& arguments,
           Environment& environment) {
  absl::variant<Invocation, Answer> parsed =
      ParseCommandLine(arguments, *environment.names);
  if (absl::holds_alternative<Answer>(parsed)) {
    return absl::get<Answer>(std::move(parsed));
  }
  const Invocation& invocation = absl::get<Invocation>(parsed);
  Session session(invocation.global, environment);
  const absl::Status status =
      absl::visit(RunCommand{session}, invocation.command);
  if (status.ok()) return Answer{session.exit_code(), session.TakeOut(), ""};
  // A command that failed before it could set another exit code just failed.
  const ExitCode code =
      session.exit_code() == kExitOk ? kExitFailed : session.exit_code();
  return Answer{code, "", std::string(status.message())};
}

absl::Status RunCompletion(const CompletionCommand& command, Session& session) {
  session.Print(command.script);
  return absl::OkStatus();
}

}  // namespace netpolicy::cli
