// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_CLI_COMMAND_BUILDER_H_
#define NETPOLICY_NETD_CLI_COMMAND_BUILDER_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "libpolicy/model/ids.h"
#include "netd/cli/invocation.h"
#include "netd/cli/names.h"

namespace netpolicy::cli {

// What the groups of commands (command_groups.h) share while they define
// themselves and while a command line is parsed: the options that many commands
// have, the command that was asked for, and the first thing wrong with it.
//
// Everything that it is made of must outlive it, and it the parsing.
class CommandBuilder {
 public:
  CommandBuilder(Names& names, Invocation& invocation, absl::Status& status)
      : names_(names), invocation_(invocation), status_(status) {}
  CommandBuilder(const CommandBuilder&) = delete;
  CommandBuilder& operator=(const CommandBuilder&) = delete;

  static CLI::App* Add(CLI::App& parent, const std::string& name,
                       const std::string& description,
                       const char* group = "Commands") {
    CLI::App* command = parent.add_subcommand(name, description);
    command->group(group);
    return command;
  }
  // One that has commands of its own.
  static CLI::App* AddGroup(CLI::App& parent, const std::string& name,
                            const std::string& description,
                            const char* group = "Rules") {
    CLI::App* command = Add(parent, name, description, group);
    command->require_subcommand(1, 1);
    return command;
  }

  // --expect-generation, --fence, --close-sockets, --dry-run: every command
  // with a commit has them.
  void AddCommitOptions(CLI::App* command);
  // The UIDs that the command is about, as arguments.
  enum class Presence { kOptional, kRequired };
  void AddUids(CLI::App* command, Presence presence = Presence::kRequired);
  // The same, and behind them one word of `words`, as in `uid lockdown UID...
  // on`. A user of such a name is to be given by number.
  void AddUidsAnd(CLI::App* command, const std::string& name, std::string& word,
                  const std::vector<std::string>& words);

  // --by: uid (the default), tag, iface or set; for callbacks, what it says.
  static void AddBy(CLI::App* command, std::string& by);
  static StatsCommand::By ByOf(const std::string& by);

  // For callbacks: what was given.
  CommitOptions options() const;
  bool has_uids() const { return !uids_.empty(); }
  std::vector<Uid> Uids();

  // For callbacks: what is asked for.
  void Ask(Command command) { invocation_.command = std::move(command); }
  void Edit(Transaction transaction) {
    Ask(EditCommand{std::move(transaction), options()});
  }
  // For what depends on the policy in force.
  void Rework(
      std::function<absl::StatusOr<Transaction>(const Policy&)> rework) {
    Ask(EditCommand{{}, options(), std::move(rework)});
  }
  // One change for each UID.
  template <typename MakeChange>
  void EditEachUid(MakeChange make_change) {
    Transaction transaction;
    for (const Uid uid : Uids()) transaction.push_back(make_change(uid));
    Edit(std::move(transaction));
  }

  // Remembers the first error; the command line is wrong then.
  void Fault(const absl::Status& status) { status_.Update(status); }
  void Fault(const std::string& message) {
    status_.Update(absl::InvalidArgumentError(message));
  }
  // The value, or unset with the error remembered.
  template <typename Value>
  absl::optional<Value> Take(absl::StatusOr<Value> parsed) {
    status_.Update(parsed.status());
    if (!parsed.ok()) return absl::nullopt;
    return *std::move(parsed);
  }

  Names& names() { return names_; }

 private:
  Names& names_;
  Invocation& invocation_;
  absl::Status& status_;

  absl::optional<uint64_t> expect_generation_;
  bool fence_ = false;
  bool close_sockets_ = false;
  bool dry_run_ = false;
  std::vector<std::string> uids_;
};

}  // namespace netpolicy::cli

#endif  // NETPOLICY_NETD_CLI_COMMAND_BUILDER_H_
