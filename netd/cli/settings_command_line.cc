// SPDX-License-Identifier: Apache-2.0

// data-saver, settings ...

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "libpolicy/model/settings.h"
#include "netd/cli/command_groups.h"

namespace netpolicy::cli {
namespace {

using Part = NetworkShowCommand::Part;

struct SettingsArguments {
  std::string profile;
  absl::optional<uint32_t> uids_per_user;
  absl::optional<uint32_t> exempt_below;
  std::string no_owner;
  std::string closing_packets;
  std::string resolver;
};

// "1051:0xffffff82" or "none".
absl::optional<Resolver> ParseResolver(const std::string& text,
                                       CommandBuilder& builder) {
  if (text == "none") return absl::nullopt;
  const size_t colon = text.rfind(':');
  Resolver resolver;
  uint64_t tag = 0;
  const std::string tag_text =
      colon == std::string::npos ? "" : text.substr(colon + 1);
  const bool is_hex = tag_text.rfind("0x", 0) == 0;
  if (!(is_hex ? absl::SimpleHexAtoi(tag_text, &tag)
               : absl::SimpleAtoi(tag_text, &tag)) ||
      tag == 0 || tag > UINT32_MAX) {
    builder.Fault(
        "settings set --resolver: expected none or UID:TAG, the tag 1 to "
        "4294967295");
    return absl::nullopt;
  }
  if (auto uid =
          builder.Take(ParseUid(text.substr(0, colon), builder.names()))) {
    resolver.uid = *uid;
  }
  resolver.tag = static_cast<uint32_t>(tag);
  return resolver;
}

// The policy's settings with what was given.
Settings Changed(Settings settings, const SettingsArguments& arguments,
                 const absl::optional<Resolver>& resolver) {
  if (arguments.profile == "linux") settings = SettingsOf(Profile::kLinux);
  if (arguments.profile == "android") settings = SettingsOf(Profile::kAndroid);
  if (arguments.uids_per_user.has_value()) {
    settings.uids_per_user = *arguments.uids_per_user;
  }
  if (arguments.exempt_below.has_value()) {
    settings.exempt_below = *arguments.exempt_below;
  }
  for (const NoOwnerRule rule :
       {NoOwnerRule::kAllow, NoOwnerRule::kDeny, NoOwnerRule::kRoot}) {
    if (arguments.no_owner == NoOwnerRuleName(rule)) settings.no_owner = rule;
  }
  for (const ClosingPackets closing :
       {ClosingPackets::kJudged, ClosingPackets::kPassChains,
        ClosingPackets::kPassAll}) {
    if (arguments.closing_packets == ClosingPacketsName(closing)) {
      settings.closing_packets = closing;
    }
  }
  if (!arguments.resolver.empty()) settings.resolver = resolver;
  return settings;
}

}  // namespace

void DefineDataSaver(CLI::App& app, CommandBuilder& builder) {
  const auto value = std::make_shared<std::string>();
  CLI::App* command = CommandBuilder::Add(
      app, "data-saver", "Refuse metered interfaces to all but some UIDs",
      "Rules");
  command
      ->add_option("SWITCH", *value,
                   "on or off (default: show it); chain metered_allow lists "
                   "who may use them all the same")
      ->check(CLI::IsMember({"on", "off"}));
  builder.AddCommitOptions(command);
  command->callback([&builder, value] {
    if (value->empty()) {
      builder.Ask(NetworkShowCommand{Part::kDataSaver, {}, false});
      return;
    }
    builder.Edit({SetChainEnabled{
        "metered_allow", *value == "on" ? Switch::kOn : Switch::kOff}});
  });
}

void DefineSettings(CLI::App& app, CommandBuilder& builder) {
  const auto arguments = std::make_shared<SettingsArguments>();
  CLI::App* group = CommandBuilder::Add(
      app, "settings", "How UIDs and packets are understood", "Rules");
  group->require_subcommand(0, 1);
  group->callback([&builder, group] {
    if (group->get_subcommands().empty()) {
      builder.Ask(NetworkShowCommand{Part::kSettings, {}, false});
    }
  });
  CommandBuilder::Add(*group, "show", "Show them")->callback([&builder] {
    builder.Ask(NetworkShowCommand{Part::kSettings, {}, false});
  });

  CLI::App* set = CommandBuilder::Add(*group, "set", "Change some or all");
  set->add_option("--profile", arguments->profile,
                  "linux or android: first all that the profile says")
      ->option_text("PROFILE")
      ->check(CLI::IsMember({"linux", "android"}));
  set->add_option("--uids-per-user", arguments->uids_per_user,
                  "App ids are UIDs modulo this; 0: the UIDs")
      ->option_text("N");
  set->add_option("--exempt-below", arguments->exempt_below,
                  "Packets of app ids below it are not judged")
      ->option_text("N");
  set->add_option("--no-owner", arguments->no_owner,
                  "allow, deny or root: packets of no application")
      ->option_text("RULE")
      ->check(CLI::IsMember({"allow", "deny", "root"}));
  set->add_option("--closing-packets", arguments->closing_packets,
                  "judged, pass_chains or pass_all: ESP, RST, incoming FIN")
      ->option_text("RULE")
      ->check(CLI::IsMember({"judged", "pass_chains", "pass_all"}));
  set->add_option("--resolver", arguments->resolver,
                  "Whose sockets pass interface rules and lockdown, or none")
      ->option_text("UID:TAG");
  builder.AddCommitOptions(set);
  set->callback([&builder, arguments] {
    const absl::optional<Resolver> resolver =
        arguments->resolver.empty()
            ? absl::nullopt
            : ParseResolver(arguments->resolver, builder);
    builder.Rework([arguments = *arguments, resolver](
                       const Policy& policy) -> absl::StatusOr<Transaction> {
      return Transaction{
          SetSettings{Changed(policy.network().settings, arguments, resolver)}};
    });
  });
}

}  // namespace netpolicy::cli
