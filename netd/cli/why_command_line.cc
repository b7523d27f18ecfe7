// SPDX-License-Identifier: Apache-2.0

// why, reasons.

#include <memory>
#include <string>

#include "netd/cli/command_groups.h"

namespace netpolicy::cli {
namespace {

constexpr char kNoOwnerWord[] = "no-owner";

struct WhyArguments {
  std::string uid;
  uint32_t last = 10;
};

}  // namespace

void DefineWhy(CLI::App& app, CommandBuilder& builder) {
  const auto arguments = std::make_shared<WhyArguments>();
  CLI::App* why = CommandBuilder::Add(
      app, "why",
      "Show what was blocked for a UID, by reason, and the last peers", "Look");
  why->add_option("UID", arguments->uid,
                  "Who; no-owner: packets that no application owns")
      ->required();
  why->add_option("--last", arguments->last,
                  "At most so many peers (default: 10)")
      ->option_text("N")
      ->check(CLI::Range(0, 1000000));
  why->callback([&builder, arguments] {
    WhyCommand command{kNoOwner, arguments->last};
    if (arguments->uid != kNoOwnerWord) {
      command.uid = builder.Take(ParseUid(arguments->uid, builder.names()))
                        .value_or(Uid{});
    }
    builder.Ask(command);
  });

  CLI::App* reasons = CommandBuilder::Add(
      app, "reasons", "Show what blocks a UID on metered and on other networks",
      "Look");
  reasons->add_option("UID", arguments->uid, "Who")->required();
  reasons->callback([&builder, arguments] {
    builder.Ask(
        ReasonsCommand{builder.Take(ParseUid(arguments->uid, builder.names()))
                           .value_or(Uid{})});
  });
}

}  // namespace netpolicy::cli
