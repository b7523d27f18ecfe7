// SPDX-License-Identifier: Apache-2.0

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "bpf_progs/abi/clat.h"
#include "clat/clat_interface.h"
#include "clat/outcome.h"
#include "libpolicy/base/status_macros.h"
#include "netd/cli/commands.h"
#include "netd/cli/session.h"
#include "netd/cli/text_table.h"
#include "netd/cli/units.h"

namespace netpolicy::cli {
namespace {

using clat::DiscoveredPrefix;
using clat::UplinkStatus;

Json PrefixJson(const DiscoveredPrefix& prefix) {
  Json json = {{"prefix", prefix.prefix.ToString()},
               {"source", TextJson(prefix.source)},
               {"router", nullptr},
               {"lifetime_seconds", absl::ToInt64Seconds(prefix.lifetime)}};
  if (prefix.router.has_value()) json["router"] = prefix.router->ToString();
  return json;
}

Json TranslationJson(const UplinkStatus::Translation& translation) {
  Json mappings = Json::array();
  for (const clat::PrefixPair& pair : translation.mappings) {
    mappings.push_back(
        {{"ip4", pair.ip4.ToString()}, {"ip6", pair.ip6.ToString()}});
  }
  Json outcomes = Json::object();
  for (uint32_t i = 0; i < NP_CLAT_OUTCOMES; ++i) {
    const uint64_t count = translation.counters.outcomes[i];
    // A number without a name is one that nothing counts yet.
    if (clat::OutcomeName(i) == "unknown" && count == 0) continue;
    outcomes[std::string(clat::OutcomeName(i))] = count;
  }
  Json json = {{"prefix", translation.prefix.ToString()},
               {"source", TextJson(translation.source)},
               {"local4", translation.pair.ip4.ToString()},
               {"local6", translation.pair.ip6.ToString()},
               {"mappings", std::move(mappings)},
               {"router", nullptr},
               {"mtu4", translation.mtu4},
               {"method", TextJson(translation.method)},
               {"packets", std::move(outcomes)}};
  if (translation.router.has_value()) {
    json["router"] = translation.router->ToString();
  }
  json["errors_sent"] =
      uint64_t{translation.counters.answers[NP_CLAT_ANSWERS_SENT]};
  json["errors_withheld"] =
      uint64_t{translation.counters.answers[NP_CLAT_ANSWERS_WITHHELD]};
  json["bytes_46"] = uint64_t{translation.counters.bytes46};
  json["bytes_64"] = uint64_t{translation.counters.bytes64};
  return json;
}

Json UplinkJson(const UplinkStatus& uplink) {
  Json prefixes = Json::array();
  for (const DiscoveredPrefix& prefix : uplink.prefixes) {
    prefixes.push_back(PrefixJson(prefix));
  }
  Json json = {{"interface", TextJson(uplink.interface)},
               {"ifindex", uplink.ifindex},
               {"origin", TextJson(uplink.origin)},
               {"translates", uplink.translation.has_value()},
               {"reason", nullptr},
               {"detail", nullptr},
               {"translation", nullptr},
               {"prefixes", std::move(prefixes)}};
  if (!uplink.off_reason.empty()) {
    json["reason"] = TextJson(uplink.off_reason);
    json["detail"] = TextJson(uplink.detail);
  }
  if (uplink.translation.has_value()) {
    json["translation"] = TranslationJson(*uplink.translation);
  }
  return json;
}

std::string PrefixTableText(const std::vector<DiscoveredPrefix>& prefixes,
                            Colour colour, int indent) {
  TextTable table(
      {{"prefix"}, {"told by"}, {"router"}, {"for", TextTable::kRight}});
  for (const DiscoveredPrefix& prefix : prefixes) {
    table.AddRow(
        {prefix.prefix.ToString(), Printable(prefix.source),
         prefix.router.has_value() ? prefix.router->ToString() : "-",
         absl::FormatDuration(absl::Trunc(prefix.lifetime, absl::Seconds(1)))});
  }
  return table.ToString(colour, indent);
}

std::string CountersText(const np_clat_counters& counters, Colour colour) {
  TextTable table({{"packets", TextTable::kRight}, {"what became of them"}});
  for (uint32_t i = 0; i < NP_CLAT_OUTCOMES; ++i) {
    if (counters.outcomes[i] == 0) continue;
    const bool dropped = i >= NP_CLAT_FIRST_DROP;
    table.AddRow({FormatCount(counters.outcomes[i]),
                  {absl::StrCat(dropped ? "dropped: " : "",
                                std::string(clat::OutcomeText(i))),
                   dropped ? Ink::kWarning : Ink::kPlain}});
  }
  const std::pair<uint64_t, const char*> kAnswers[] = {
      {counters.answers[NP_CLAT_ANSWERS_SENT],
       "of the dropped: answered with an ICMP error"},
      {counters.answers[NP_CLAT_ANSWERS_WITHHELD],
       "of the dropped: not answered, too many or not allowed"}};
  for (const auto& [count, text] : kAnswers) {
    if (count != 0) table.AddRow({FormatCount(count), text});
  }
  return table.empty() ? "  no packets yet\n" : table.ToString(colour, 2);
}

std::string UplinkText(const UplinkStatus& uplink, Session& session) {
  const Colour colour = session.colour();
  std::string text = absl::StrCat(
      Printable(uplink.interface), " (", Printable(uplink.origin), "): ",
      uplink.translation.has_value() ? Paint("translates", Ink::kGood, colour)
                                     : Paint("off", Ink::kWarning, colour));
  if (!uplink.off_reason.empty()) {
    absl::StrAppend(&text, ", ", Printable(uplink.detail));
  }
  absl::StrAppend(&text, "\n");
  if (uplink.translation.has_value()) {
    const UplinkStatus::Translation& translation = *uplink.translation;
    TextTable table({{""}, {""}});
    table.AddRow({"prefix", absl::StrCat(translation.prefix.ToString(), " (",
                                         Printable(translation.source), ")")});
    table.AddRow(
        {"addresses", absl::StrCat(translation.pair.ip4.ToString(), " = ",
                                   translation.pair.ip6.ToString())});
    for (const clat::PrefixPair& pair : translation.mappings) {
      table.AddRow(
          {"", absl::StrCat(pair.ip4.ToString(), " = ", pair.ip6.ToString())});
    }
    table.AddRow(
        {"IPv4 route",
         absl::StrCat(translation.router.has_value()
                          ? absl::StrCat("by ", translation.router->ToString())
                          : "directly",
                      ", MTU ", translation.mtu4)});
    table.AddRow({"attached by", Printable(translation.method)});
    absl::StrAppend(&text, table.ToString(colour, 2),
                    CountersText(translation.counters, colour));
  }
  if (!uplink.prefixes.empty()) {
    absl::StrAppend(&text, PrefixTableText(uplink.prefixes, colour, 2));
  }
  return text;
}

// Silence is success, but for machines.
void PrintDone(const std::string& interface, Session& session) {
  if (session.json()) session.PrintJson({{"interface", TextJson(interface)}});
}

}  // namespace

absl::Status RunClatStart(const ClatStartCommand& command, Session& session) {
  NP_ASSIGN_OR_RETURN(clat::ClatInterface * clat, session.clat());
  NP_RETURN_IF_ERROR(clat->Start(command.interface, command.settings));
  PrintDone(command.interface, session);
  return absl::OkStatus();
}

absl::Status RunClatStop(const ClatStopCommand& command, Session& session) {
  NP_ASSIGN_OR_RETURN(clat::ClatInterface * clat, session.clat());
  NP_RETURN_IF_ERROR(clat->Stop(command.interface));
  PrintDone(command.interface, session);
  return absl::OkStatus();
}

absl::Status RunClatStatus(const ClatStatusCommand& command, Session& session) {
  NP_ASSIGN_OR_RETURN(clat::ClatInterface * clat, session.clat());
  NP_ASSIGN_OR_RETURN(std::vector<UplinkStatus> uplinks, clat->Uplinks());
  if (!command.interface.empty()) {
    std::vector<UplinkStatus> one;
    for (UplinkStatus& uplink : uplinks) {
      if (uplink.interface == command.interface) {
        one.push_back(std::move(uplink));
      }
    }
    if (one.empty()) {
      return absl::NotFoundError(absl::StrCat("show translation on ",
                                              Printable(command.interface),
                                              ": nobody looks after it"));
    }
    uplinks = std::move(one);
  }
  if (session.json()) {
    Json json = Json::array();
    for (const UplinkStatus& uplink : uplinks)
      json.push_back(UplinkJson(uplink));
    session.PrintJson({{"uplinks", std::move(json)}});
    return absl::OkStatus();
  }
  std::vector<std::string> texts;
  for (const UplinkStatus& uplink : uplinks) {
    texts.push_back(UplinkText(uplink, session));
  }
  session.Print(texts.empty() ? "no uplink is looked after\n"
                              : absl::StrJoin(texts, "\n"));
  return absl::OkStatus();
}

absl::Status RunClatDiscover(const ClatDiscoverCommand& command,
                             Session& session) {
  NP_ASSIGN_OR_RETURN(clat::ClatInterface * clat, session.clat());
  NP_ASSIGN_OR_RETURN(const std::vector<DiscoveredPrefix> prefixes,
                      clat->Discover(command.interface));
  if (session.json()) {
    Json json = Json::array();
    for (const DiscoveredPrefix& prefix : prefixes) {
      json.push_back(PrefixJson(prefix));
    }
    session.PrintJson({{"interface", TextJson(command.interface)},
                       {"prefixes", std::move(json)}});
    return absl::OkStatus();
  }
  session.Print(prefixes.empty()
                    ? absl::StrCat("no NAT64 prefix is known of ",
                                   Printable(command.interface), "\n")
                    : PrefixTableText(prefixes, session.colour(), 0));
  return absl::OkStatus();
}

}  // namespace netpolicy::cli
