// SPDX-License-Identifier: Apache-2.0

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"
#include "netd/cli/commands.h"
#include "netd/cli/units.h"

namespace netpolicy::cli {
namespace {

Json CountersJson(const TrafficCounters& counters) {
  return {{"packets", counters.packets},
          {"bytes", counters.bytes},
          {"skbs", counters.skbs},
          {"skb_bytes", counters.skb_bytes}};
}

std::string HowText(const InterfaceTraffic& traffic) {
  if (traffic.method.has_value()) {
    return std::string(TcMethodName(*traffic.method));
  }
  return traffic.name.empty() ? "gone" : "removed by others";
}

}  // namespace

absl::Status RunInterfaceList(const InterfaceListCommand&, Session& session) {
  NP_ASSIGN_OR_RETURN(const std::vector<InterfaceTraffic> interfaces,
                      session.environment().read_interfaces(session.options()));
  if (session.json()) {
    Json rows = Json::array();
    for (const InterfaceTraffic& traffic : interfaces) {
      rows.push_back(
          {{"ifindex", ToInt(traffic.ifindex)},
           {"interface",
            traffic.name.empty() ? Json() : TextJson(traffic.name)},
           {"method", traffic.method.has_value()
                          ? Json(std::string(TcMethodName(*traffic.method)))
                          : Json()},
           {"rx", CountersJson(traffic.rx)},
           {"tx", CountersJson(traffic.tx)},
           {"unparsable", traffic.unparsable}});
    }
    session.PrintJson({{"interfaces", std::move(rows)}});
    return absl::OkStatus();
  }
  TextTable table({{"interface"},
                   {"counted by"},
                   {"rx packets", TextTable::kRight},
                   {"rx bytes", TextTable::kRight},
                   {"tx packets", TextTable::kRight},
                   {"tx bytes", TextTable::kRight},
                   {"unparsable", TextTable::kRight}});
  for (const InterfaceTraffic& traffic : interfaces) {
    std::string name = absl::StrCat(ToInt(traffic.ifindex));
    if (!traffic.name.empty()) {
      absl::StrAppend(&name, " (", Printable(traffic.name), ")");
    }
    table.AddRow({std::move(name),
                  {HowText(traffic),
                   traffic.method.has_value() ? Ink::kPlain : Ink::kWarning},
                  FormatCount(traffic.rx.packets),
                  FormatBytes(traffic.rx.bytes),
                  FormatCount(traffic.tx.packets),
                  FormatBytes(traffic.tx.bytes),
                  {FormatCount(traffic.unparsable),
                   traffic.unparsable == 0 ? Ink::kDim : Ink::kWarning}});
  }
  session.Print(table.empty() ? "no interface is counted\n"
                              : table.ToString(session.colour()));
  return absl::OkStatus();
}

absl::Status RunInterfaceWatch(const InterfaceWatchCommand& command,
                               Session& session) {
  Environment& environment = session.environment();
  if (command.counted == Switch::kOff) {
    NP_RETURN_IF_ERROR(
        environment.unwatch_interface(session.options(), command.interface));
    if (session.json()) {
      session.PrintJson(
          {{"interface", TextJson(command.interface)}, {"method", nullptr}});
    } else {
      session.Print(absl::StrCat(Printable(command.interface),
                                 " is not counted any more\n"));
    }
    return absl::OkStatus();
  }
  NP_ASSIGN_OR_RETURN(
      const TcMethod method,
      environment.watch_interface(session.options(), command.interface));
  const std::string how(TcMethodName(method));
  if (session.json()) {
    session.PrintJson(
        {{"interface", TextJson(command.interface)}, {"method", how}});
  } else {
    session.Print(absl::StrCat(Printable(command.interface), " is counted, by ",
                               how, "\n"));
  }
  return absl::OkStatus();
}

}  // namespace netpolicy::cli
