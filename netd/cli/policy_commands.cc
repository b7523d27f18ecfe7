// SPDX-License-Identifier: Apache-2.0

// apply, dump, and every command that changes the policy by itself.

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "libpolicy/base/status_macros.h"
#include "netd/cli/commands.h"
#include "netd/cli/policy_file.h"

namespace netpolicy::cli {
namespace {

// An edit that names no generation does not care which policy it changes, so a
// lost race is no reason to bother anybody.
constexpr int kMaxAttempts = 10;

absl::StatusOr<CommitResult> Commit(const Transaction& transaction,
                                    const CommitOptions& options,
                                    Session& session) {
  NP_ASSIGN_OR_RETURN(PolicyInterface * policy, session.policy());
  absl::StatusOr<CommitResult> result = policy->Commit(transaction, options);
  if (options.expected_generation.has_value()) {
    if (absl::IsAborted(result.status())) session.set_exit_code(kExitLostRace);
    return result;
  }
  for (int attempt = 1;
       attempt < kMaxAttempts && absl::IsAborted(result.status()); ++attempt) {
    result = policy->Commit(transaction, options);
  }
  return result;
}

Ink InkOfDifference(absl::string_view line) {
  if (absl::StartsWith(line, "+")) return Ink::kGood;
  if (absl::StartsWith(line, "-")) return Ink::kBad;
  if (absl::StartsWith(line, "~")) return Ink::kWarning;
  return Ink::kPlain;
}

void PrintClosed(const ClosedSockets& closed, Session& session) {
  session.Print(absl::StrCat("closed ", closed.closed, " ",
                             closed.closed == 1 ? "socket" : "sockets", "\n"));
  if (closed.error.ok()) return;
  const std::string left =
      closed.failed == 0
          ? "sockets that it blocks may be left"
          : absl::StrCat(closed.failed, " that it blocks ",
                         closed.failed == 1 ? "is left" : "are left");
  session.Print(absl::StrCat(Paint(left, Ink::kWarning, session.colour()), ": ",
                             Printable(closed.error.message()), "\n"));
}

Json ClosedJson(const ClosedSockets& closed) {
  return {
      {"closed", closed.closed},
      {"failed", closed.failed},
      {"error", closed.error.ok() ? Json() : TextJson(closed.error.message())}};
}

void PrintResult(const CommitResult& result, const CommitOptions& options,
                 Session& session) {
  const bool dry_run = options.mode == CommitMode::kDryRun;
  const bool changed = !result.delta.empty();
  if (result.closed_sockets.has_value() && !result.closed_sockets->error.ok()) {
    session.set_exit_code(kExitNotClosed);
  }
  if (session.json()) {
    Json changes = Json::array();
    for (absl::string_view line :
         absl::StrSplit(result.difference, '\n', absl::SkipEmpty())) {
      changes.push_back(TextJson(line));
    }
    Json json = {{"generation", ToInt(result.generation)},
                 {"changed", changed && !dry_run},
                 {"dry_run", dry_run},
                 {"changes", std::move(changes)}};
    if (result.closed_sockets.has_value()) {
      json["closed_sockets"] = ClosedJson(*result.closed_sockets);
    }
    session.PrintJson(json);
    return;
  }
  PrintDifference(result.difference, session);
  const char* const what = !changed  ? "nothing to change, generation "
                           : dry_run ? "dry run, still generation "
                                     : "generation ";
  session.Print(absl::StrCat(what, ToInt(result.generation), "\n"));
  if (result.closed_sockets.has_value()) {
    PrintClosed(*result.closed_sockets, session);
  }
}

}  // namespace

void PrintDifference(absl::string_view difference, Session& session) {
  for (absl::string_view line :
       absl::StrSplit(difference, '\n', absl::SkipEmpty())) {
    session.Print(
        Paint(Printable(line), InkOfDifference(line), session.colour()));
    session.Print("\n");
  }
}

absl::Status CommitAndPrint(const Transaction& transaction,
                            const CommitOptions& options, Session& session) {
  NP_ASSIGN_OR_RETURN(const CommitResult result,
                      Commit(transaction, options, session));
  PrintResult(result, options, session);
  return absl::OkStatus();
}

absl::Status ReworkAndPrint(
    const std::function<absl::StatusOr<Transaction>(const Policy&)>& rework,
    const CommitOptions& options, Session& session) {
  NP_ASSIGN_OR_RETURN(PolicyInterface * policy, session.policy());
  for (int attempt = 1;; ++attempt) {
    NP_ASSIGN_OR_RETURN(const PolicySnapshot snapshot, policy->GetPolicy());
    CommitOptions over = options;
    if (!over.expected_generation.has_value()) {
      over.expected_generation = snapshot.generation;
    } else if (*over.expected_generation != snapshot.generation) {
      session.set_exit_code(kExitLostRace);
      return absl::AbortedError(absl::StrCat(
          "commit: generation ", ToInt(*over.expected_generation),
          " was expected, ", ToInt(snapshot.generation), " is in force"));
    }
    NP_ASSIGN_OR_RETURN(const Transaction transaction, rework(snapshot.policy));
    absl::StatusOr<CommitResult> result = policy->Commit(transaction, over);
    if (absl::IsAborted(result.status())) {
      if (options.expected_generation.has_value()) {
        session.set_exit_code(kExitLostRace);
      } else if (attempt < kMaxAttempts) {
        continue;
      }
    }
    NP_RETURN_IF_ERROR(result.status());
    PrintResult(*result, options, session);
    return absl::OkStatus();
  }
}

absl::Status RunApply(const ApplyCommand& command, Session& session) {
  NP_ASSIGN_OR_RETURN(const std::string text,
                      session.environment().read_file(command.file));
  NP_ASSIGN_OR_RETURN(
      Policy policy,
      ParsePolicyFile(text, command.file == "-" ? "standard input"
                                                : Printable(command.file)));
  return CommitAndPrint({ReplacePolicy{std::move(policy)}}, command.options,
                        session);
}

absl::Status RunEdit(const EditCommand& command, Session& session) {
  if (command.rework != nullptr) {
    return ReworkAndPrint(command.rework, command.options, session);
  }
  return CommitAndPrint(command.transaction, command.options, session);
}

absl::Status RunDump(const DumpCommand& command, Session& session) {
  NP_ASSIGN_OR_RETURN(PolicyInterface * policy, session.policy());
  NP_ASSIGN_OR_RETURN(const PolicySnapshot snapshot, policy->GetPolicy());
  if (command.what == DumpCommand::What::kPolicy) {
    session.Print(PolicyFileText(snapshot.policy));
    return absl::OkStatus();
  }
  NP_ASSIGN_OR_RETURN(const EngineStatus status, policy->Status());
  PrintTables(snapshot, status, session);
  return absl::OkStatus();
}

}  // namespace netpolicy::cli
