// SPDX-License-Identifier: Apache-2.0

#include "netd/cli/command_builder.h"

#include "absl/algorithm/container.h"
#include "absl/strings/str_join.h"

namespace netpolicy::cli {
namespace {

// "on, off or default"
std::string OneOf(const std::vector<std::string>& words) {
  std::string text = absl::StrJoin(words, ", ");
  const size_t last = text.rfind(", ");
  return last == std::string::npos ? text : text.replace(last, 2, " or ");
}

}  // namespace

void CommandBuilder::AddCommitOptions(CLI::App* command) {
  command
      ->add_option("--expect-generation", expect_generation_,
                   "Change nothing unless this generation is in force")
      ->option_text("N");
  command->add_flag("--fence", fence_,
                    "Return when no packet is judged by an older policy");
  command->add_flag("--close-sockets", close_sockets_,
                    "Close connected sockets that the change blocks");
  command->add_flag("--dry-run", dry_run_,
                    "Print the difference and change nothing");
}

void CommandBuilder::AddBy(CLI::App* command, std::string& by) {
  command->add_option("--by", by, "uid, tag, iface or set (default: uid)")
      ->option_text("WHAT")
      ->check(CLI::IsMember({"uid", "tag", "iface", "set"}));
}

StatsCommand::By CommandBuilder::ByOf(const std::string& by) {
  if (by == "iface") return StatsCommand::By::kInterface;
  if (by == "tag") return StatsCommand::By::kTag;
  if (by == "set") return StatsCommand::By::kCounterSet;
  return StatsCommand::By::kUid;
}

CommitOptions CommandBuilder::options() const {
  CommitOptions options;
  if (expect_generation_.has_value()) {
    options.expected_generation = Generation{*expect_generation_};
  }
  options.fence = fence_ ? Fence::kWait : Fence::kNone;
  options.close_sockets =
      close_sockets_ ? CloseSockets::kNewlyBlocked : CloseSockets::kNone;
  options.mode = dry_run_ ? CommitMode::kDryRun : CommitMode::kApply;
  return options;
}

void CommandBuilder::AddUids(CLI::App* command, Presence presence) {
  command->add_option("UID", uids_, "Numbers, users or ranges")
      ->required(presence == Presence::kRequired);
}

void CommandBuilder::AddUidsAnd(CLI::App* command, const std::string& name,
                                std::string& word,
                                const std::vector<std::string>& words) {
  // A word that is no UID's goes to the argument behind.
  command->validate_positionals();
  command->add_option("UID", uids_, "Numbers, users or ranges")
      ->required()
      ->check(
          [words](const std::string& text) -> std::string {
            return absl::c_linear_search(words, text) ? "not a UID" : "";
          },
          "");
  command->add_option(name, word, OneOf(words))
      ->required()
      ->check(CLI::IsMember(words));
}

std::vector<Uid> CommandBuilder::Uids() {
  std::vector<Uid> uids;
  for (const std::string& text : uids_) {
    absl::StatusOr<std::vector<Uid>> some = ParseUids(text, names_);
    if (some.ok()) {
      uids.insert(uids.end(), some->begin(), some->end());
    } else {
      status_.Update(some.status());
    }
  }
  return uids;
}

}  // namespace netpolicy::cli
