// SPDX-License-Identifier: Apache-2.0

// why, reasons.

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/model/ip_prefix.h"
#include "libpolicy/model/network_rule.h"
#include "libpolicy/model/text.h"
#include "netd/cli/commands.h"
#include "netd/cli/units.h"

namespace netpolicy::cli {
namespace {

// How often `reasons` asks again when the policy changed between two answers.
constexpr int kAttempts = 10;

std::string PeerText(const RefusedPeer& peer) {
  const std::string address = AddressText(peer.remote);
  if (peer.remote_port == 0) return address;
  return absl::StrCat(address.find(':') == std::string::npos
                          ? address
                          : absl::StrCat("[", address, "]"),
                      ":", peer.remote_port);
}

std::string ProtocolText(uint8_t protocol) {
  return protocol == 0 ? "-" : ProtocolName(protocol);
}

// What a direction is about, for people.
absl::string_view RefusedText(Direction direction) {
  switch (direction) {
    case Direction::kIngress:
      return "received";
    case Direction::kEgress:
      return "sent";
    case Direction::kSocketCreate:
      return "socket";
    case Direction::kConnect:
      return "connect";
    case Direction::kBind:
      return "bind";
  }
  return "";
}

// What was refused for one reason, alone or among others.
struct ReasonTotal {
  std::string name;
  uint64_t packets = 0;
  uint64_t bytes = 0;
};

// By reason's number, then by direction.
std::map<std::pair<int, Direction>, ReasonTotal> Totals(
    const std::vector<DropRow>& drops) {
  std::map<std::pair<int, Direction>, ReasonTotal> totals;
  for (const DropRow& drop : drops) {
    const std::vector<int> numbers = drop.reasons.numbers();
    for (size_t i = 0; i < numbers.size(); ++i) {
      ReasonTotal& total = totals[{numbers[i], drop.direction}];
      total.name = i < drop.reason_names.size() ? drop.reason_names[i]
                                                : ReasonName(numbers[i]);
      total.packets += drop.packets;
      total.bytes += drop.bytes;
    }
  }
  return totals;
}

Json ReasonsJson(const std::vector<ExplainedReason>& reasons) {
  Json json = Json::array();
  for (const ExplainedReason& reason : reasons) {
    json.push_back({{"number", reason.number},
                    {"name", TextJson(reason.name)},
                    {"detail", TextJson(reason.detail)}});
  }
  return json;
}

Json RefusalsJson(const Refusals& refusals, Names& names) {
  Json json = {{"generation", ToInt(refusals.generation)}};
  json.update(UidJson(refusals.uid, names));
  Json totals = Json::array();
  for (const auto& [key, total] : Totals(refusals.drops)) {
    totals.push_back(
        {{"number", key.first},
         {"name", TextJson(total.name)},
         {"direction", std::string(DirectionName(key.second))},
         {IsPacket(key.second) ? "packets" : "calls", total.packets}});
    if (IsPacket(key.second)) totals.back()["bytes"] = total.bytes;
  }
  json["reasons"] = std::move(totals);
  Json peers = Json::array();
  for (const RefusedPeer& peer : refusals.peers) {
    peers.push_back(
        {{"direction", std::string(DirectionName(peer.direction))},
         {"protocol",
          peer.protocol == 0 ? Json() : Json(ProtocolName(peer.protocol))},
         {"remote", AddressText(peer.remote)},
         {"remote_port",
          peer.remote_port == 0 ? Json() : Json(peer.remote_port)},
         {"count", peer.count},
         {"last", FormatUtc(peer.last)},
         {"reasons", ReasonsJson(peer.explained)}});
  }
  json["peers"] = std::move(peers);
  return json;
}

// The two answers that make up Android's blocked reasons, of one policy.
struct BothNetworks {
  Explanation unmetered;
  Explanation metered;
};

absl::StatusOr<BothNetworks> ExplainBoth(PolicyInterface& policy, Uid uid) {
  for (int i = 0; i < kAttempts; ++i) {
    BothNetworks both;
    ExplainQuery query{.uid = uid};
    query.metered = Switch::kOff;
    NP_ASSIGN_OR_RETURN(both.unmetered, policy.Explain(query));
    query.metered = Switch::kOn;
    NP_ASSIGN_OR_RETURN(both.metered, policy.Explain(query));
    if (both.unmetered.generation == both.metered.generation) return both;
  }
  return absl::UnavailableError(absl::StrCat("show reasons of uid ", ToInt(uid),
                                             ": the policy keeps changing"));
}

bool IsAllowed(const Explanation& explanation) {
  for (const ExplainedVerdict& verdict : explanation.verdicts) {
    if (!verdict.reasons.empty()) return false;
  }
  return true;
}

// Every reason once, whatever the directions.
std::vector<ExplainedReason> ReasonsOf(const Explanation& explanation) {
  std::map<int, ExplainedReason> reasons;
  for (const ExplainedVerdict& verdict : explanation.verdicts) {
    for (const ExplainedReason& reason : verdict.reasons) {
      reasons.emplace(reason.number, reason);
    }
  }
  std::vector<ExplainedReason> list;
  for (auto& [number, reason] : reasons) list.push_back(std::move(reason));
  return list;
}

void AddNetwork(const char* title, const Explanation& explanation,
                TextTable& table) {
  const std::vector<ExplainedReason> reasons = ReasonsOf(explanation);
  if (reasons.empty()) {
    table.AddRow({title, {"allowed", Ink::kGood}});
    return;
  }
  for (size_t i = 0; i < reasons.size(); ++i) {
    table.AddRow({i == 0 ? title : "",
                  i == 0 ? TextTable::Cell("blocked", Ink::kBad) : "",
                  absl::StrCat(Printable(reasons[i].name), ": ",
                               Printable(reasons[i].detail))});
  }
}

Json NetworkJson(const Explanation& explanation) {
  return {{"allowed", IsAllowed(explanation)},
          {"reasons", ReasonsJson(ReasonsOf(explanation))}};
}

}  // namespace

absl::Status RunWhy(const WhyCommand& command, Session& session) {
  NP_ASSIGN_OR_RETURN(PolicyInterface * policy, session.policy());
  NP_ASSIGN_OR_RETURN(const Refusals refusals,
                      policy->Refused(command.uid, command.last));
  if (session.json()) {
    session.PrintJson(RefusalsJson(refusals, session.names()));
    return absl::OkStatus();
  }
  const std::string who = refusals.uid == kNoOwner
                              ? "packets without an owner"
                              : absl::StrCat("uid ", session.Who(refusals.uid));
  if (refusals.drops.empty() && refusals.peers.empty()) {
    session.Print(absl::StrCat(who, ": nothing was blocked\n"));
    return absl::OkStatus();
  }
  session.Print(
      absl::StrCat(who, ", generation ", ToInt(refusals.generation), "\n"));
  TextTable totals({{"reason"},
                    {"what"},
                    {"packets", TextTable::kRight},
                    {"bytes", TextTable::kRight}});
  bool several = false;
  for (const DropRow& drop : refusals.drops) {
    several |= drop.reasons.numbers().size() > 1;
  }
  for (const auto& [key, total] : Totals(refusals.drops)) {
    totals.AddRow({Printable(total.name), std::string(RefusedText(key.second)),
                   FormatCount(total.packets),
                   IsPacket(key.second) ? FormatBytes(total.bytes) : "-"});
  }
  session.Print(totals.ToString(session.colour(), 2));
  if (several) session.Print("  (one that had several counts under each)\n");
  if (refusals.peers.empty()) return absl::OkStatus();

  TextTable peers({{"last"},
                   {"what"},
                   {"protocol"},
                   {"peer"},
                   {"count", TextTable::kRight},
                   {"why"}});
  for (const RefusedPeer& peer : refusals.peers) {
    std::vector<std::string> why;
    for (const ExplainedReason& reason : peer.explained) {
      why.push_back(
          absl::StrCat(Printable(reason.name), ": ", Printable(reason.detail)));
    }
    peers.AddRow({FormatUtc(peer.last),
                  std::string(RefusedText(peer.direction)),
                  ProtocolText(peer.protocol), PeerText(peer),
                  FormatCount(peer.count), why.empty() ? "-" : why[0]});
    for (size_t i = 1; i < why.size(); ++i) {
      peers.AddRow({"", "", "", "", "", why[i]});
    }
  }
  session.Print("\n");
  session.Print(peers.ToString(session.colour(), 2));
  return absl::OkStatus();
}

absl::Status RunReasons(const ReasonsCommand& command, Session& session) {
  NP_ASSIGN_OR_RETURN(PolicyInterface * policy, session.policy());
  NP_ASSIGN_OR_RETURN(const BothNetworks both,
                      ExplainBoth(*policy, command.uid));
  if (session.json()) {
    Json json = {{"generation", ToInt(both.metered.generation)}};
    json.update(UidJson(command.uid, session.names()));
    json["unmetered"] = NetworkJson(both.unmetered);
    json["metered"] = NetworkJson(both.metered);
    session.PrintJson(json);
    return absl::OkStatus();
  }
  session.Print(absl::StrCat("uid ", session.Who(command.uid), ", generation ",
                             ToInt(both.metered.generation), "\n"));
  TextTable table({{""}, {""}, {""}});
  AddNetwork("unmetered networks", both.unmetered, table);
  AddNetwork("metered networks", both.metered, table);
  session.Print(table.ToString(session.colour(), 2));
  return absl::OkStatus();
}

}  // namespace netpolicy::cli
