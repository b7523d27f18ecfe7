// SPDX-License-Identifier: Apache-2.0

// log, rollback.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "libpolicy/base/status_macros.h"
#include "netd/cli/commands.h"
#include "netd/cli/units.h"

namespace netpolicy::cli {
namespace {

Json CommitJson(const CommitRecord& commit, Names& names) {
  Json changes = Json::array();
  for (absl::string_view line :
       absl::StrSplit(commit.difference, '\n', absl::SkipEmpty())) {
    changes.push_back(TextJson(line));
  }
  Json author;
  if (commit.author.has_value()) {
    author = UidJson(Uid{commit.author->uid}, names);
    author["pid"] = commit.author->pid;
    author["command"] = TextJson(commit.author->command);
  }
  return {{"generation", ToInt(commit.generation)},
          {"time", FormatUtc(commit.time)},
          {"author", std::move(author)},
          {"changes", std::move(changes)}};
}

std::string AuthorText(const CommitRecord& commit, Session& session) {
  if (!commit.author.has_value()) return "not through netd";
  return absl::StrCat("uid ", session.Who(Uid{commit.author->uid}), ", pid ",
                      commit.author->pid,
                      commit.author->command.empty() ? "" : ": ",
                      Printable(commit.author->command));
}

}  // namespace

absl::Status RunLog(const LogCommand& command, Session& session) {
  NP_ASSIGN_OR_RETURN(CommitHistory * history, session.history());
  NP_ASSIGN_OR_RETURN(CommitLogSnapshot log, history->Log());
  std::vector<CommitRecord>& commits = log.commits;
  std::reverse(commits.begin(), commits.end());
  if (command.last.has_value() && *command.last < commits.size()) {
    commits.resize(*command.last);
  }
  if (session.json()) {
    Json list = Json::array();
    for (const CommitRecord& commit : commits) {
      list.push_back(CommitJson(commit, session.names()));
    }
    session.PrintJson(
        {{"generation", ToInt(log.in_force)}, {"commits", std::move(list)}});
    return absl::OkStatus();
  }
  for (size_t i = 0; i < commits.size(); ++i) {
    const CommitRecord& commit = commits[i];
    if (i > 0) session.Print("\n");
    session.Print(absl::StrCat("generation ", ToInt(commit.generation), "  ",
                               FormatUtc(commit.time), "  ",
                               AuthorText(commit, session), "\n"));
    PrintDifference(commit.difference, session);
  }
  return absl::OkStatus();
}

absl::Status RunRollback(const RollbackCommand& command, Session& session) {
  NP_ASSIGN_OR_RETURN(CommitHistory * history, session.history());
  CommitOptions options = command.options;
  absl::optional<Generation> generation = command.generation;
  if (!generation.has_value()) {
    NP_ASSIGN_OR_RETURN(const CommitLogSnapshot log, history->Log());
    const std::vector<CommitRecord>& commits = log.commits;
    if (commits.size() < 2) {
      return absl::NotFoundError(
          "rollback: the log knows no policy before the one in force");
    }
    generation = commits[commits.size() - 2].generation;
    if (ToInt(*generation) >= ToInt(commits.back().generation)) {
      return absl::FailedPreconditionError(
          "rollback: the tables were made anew since the last change; name a "
          "generation");
    }
    // It is the last commit that is to be taken back, and not one that comes
    // in between.
    if (!options.expected_generation.has_value()) {
      options.expected_generation = log.in_force;
    }
  }
  NP_ASSIGN_OR_RETURN(PolicySnapshot then, history->PolicyAt(*generation));
  return CommitAndPrint({ReplacePolicy{std::move(then.policy)}}, options,
                        session);
}

}  // namespace netpolicy::cli
