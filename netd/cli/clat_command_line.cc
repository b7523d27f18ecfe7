// SPDX-License-Identifier: Apache-2.0

#include "netd/cli/clat_command_line.h"

#include <optional>

#include "absl/status/statusor.h"
#include "clat/address.h"
#include "clat/prefix.h"
#include "clat/settings.h"

namespace netpolicy::cli {
namespace {

// Takes a text apart; remembers the first error.
template <typename Value>
void Take(const absl::StatusOr<Value>& parsed, absl::Status& status,
          std::optional<Value>& value) {
  status.Update(parsed.status());
  if (parsed.ok()) value = *parsed;
}

clat::UplinkSettings Settings(const ClatArguments& arguments,
                              absl::Status& status) {
  clat::UplinkSettings settings;
  // Who starts it by hand means it.
  settings.native4 = clat::NativeIpv4::kIsIgnored;
  if (!arguments.prefix.empty()) {
    Take(clat::Pref64::Parse(arguments.prefix), status, settings.prefix);
  }
  if (!arguments.local4.empty()) {
    Take(clat::Ipv4Address::Parse(arguments.local4), status, settings.local4);
  }
  if (!arguments.network6.empty()) {
    Take(clat::Ipv6Prefix::Parse(arguments.network6), status,
         settings.network6);
  }
  for (const std::string& text : arguments.mappings) {
    std::optional<clat::PrefixPair> pair;
    Take(clat::ParsePrefixPair(text), status, pair);
    if (pair.has_value()) settings.mappings.push_back(*pair);
  }
  status.Update(clat::CheckSettings(settings));
  return settings;
}

}  // namespace

void DefineClat(CLI::App& app, ClatArguments& arguments, Invocation& invocation,
                absl::Status& status) {
  CLI::App* clat = app.add_subcommand(
      "clat", "IPv4 over uplinks that have only IPv6 (464XLAT)");
  clat->group("Translation");
  clat->require_subcommand(1, 1);
  const auto add = [&](const char* name, const char* description) {
    CLI::App* command = clat->add_subcommand(name, description);
    command->group("Commands");
    return command;
  };

  CLI::App* start = add("start", "Translate on an uplink");
  start->add_option("IFACE", arguments.interface, "The uplink")->required();
  start
      ->add_option("--prefix", arguments.prefix,
                   "Of the network's NAT64 (default: found out)")
      ->option_text("PREFIX");
  start
      ->add_option("--local4", arguments.local4,
                   "IPv4 address (default: the first free of 192.0.0.0/29)")
      ->option_text("ADDRESS");
  start
      ->add_option("--network6", arguments.network6,
                   "A /64 routed to this host to take the IPv6 address of "
                   "(default: the uplink's)")
      ->option_text("PREFIX");
  start
      ->add_option("--map", arguments.mappings,
                   "Hosts behind this one with addresses of their own: "
                   "10.9.0.0/24=2001:db8:9::/120")
      ->option_text("IPV4=IPV6");
  start->callback([&] {
    invocation.command =
        ClatStartCommand{arguments.interface, Settings(arguments, status)};
  });

  CLI::App* stop = add("stop", "Translate on an uplink no longer");
  stop->add_option("IFACE", arguments.interface, "The uplink")->required();
  stop->callback(
      [&] { invocation.command = ClatStopCommand{arguments.interface}; });

  CLI::App* look =
      add("status", "Show what is translated, and what became of packets");
  look->add_option("IFACE", arguments.interface, "The uplink (default: all)");
  look->callback(
      [&] { invocation.command = ClatStatusCommand{arguments.interface}; });

  CLI::App* discover = add("discover", "Show the NAT64 prefixes of a network");
  discover->add_option("IFACE", arguments.interface, "The uplink")->required();
  discover->callback(
      [&] { invocation.command = ClatDiscoverCommand{arguments.interface}; });

  CLI::App* watch =
      add("watch", "Print a line for each change, until it is interrupted");
  watch->add_option("IFACE", arguments.interface, "The uplink (default: all)");
  watch->add_flag("--all", arguments.all,
                  "Begin with the changes before, as far as netd has them");
  watch
      ->add_option("--count", arguments.count,
                   "End after so many lines (default: never)")
      ->option_text("N");
  watch->callback([&] {
    invocation.command =
        ClatWatchCommand{arguments.interface, arguments.all, arguments.count};
  });

  for (CLI::App* command : {start, discover}) {
    command
        ->add_option("--dns", invocation.global.dns_servers,
                     "With --direct: DNS servers to ask, separated by commas "
                     "(default: those of /etc/resolv.conf)")
        ->option_text("ADDRESS");
  }
}

}  // namespace netpolicy::cli
