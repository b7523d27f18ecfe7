// SPDX-License-Identifier: Apache-2.0

// counter-set.

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"
#include "netd/cli/commands.h"

namespace netpolicy::cli {
namespace {

std::string CounterSetText(uint32_t counter_set) {
  switch (counter_set) {
    case kBackgroundCounterSet:
      return absl::StrCat(counter_set, " (background)");
    case kForegroundCounterSet:
      return absl::StrCat(counter_set, " (foreground)");
    default:
      return absl::StrCat(counter_set);
  }
}

// Of one UID also when it has none, as that is the answer.
void KeepOnly(Uid uid, std::vector<UidCounterSet>& sets) {
  const auto found =
      std::find_if(sets.begin(), sets.end(),
                   [uid](const UidCounterSet& set) { return set.uid == uid; });
  sets = {found == sets.end() ? UidCounterSet{uid, kBackgroundCounterSet}
                              : *found};
}

}  // namespace

absl::Status RunCounterSet(const CounterSetCommand& command, Session& session) {
  NP_ASSIGN_OR_RETURN(ChargingInterface * charging, session.charging());
  std::vector<UidCounterSet> sets;
  if (command.counter_set.has_value()) {
    NP_RETURN_IF_ERROR(
        charging->SetCounterSet(*command.uid, *command.counter_set));
    // Silence is success, but for machines.
    if (!session.json()) return absl::OkStatus();
    sets = {{*command.uid, *command.counter_set}};
  } else {
    NP_ASSIGN_OR_RETURN(sets, charging->CounterSets());
    if (command.uid.has_value()) KeepOnly(*command.uid, sets);
  }

  if (session.json()) {
    Json json = Json::array();
    for (const UidCounterSet& set : sets) {
      Json entry = UidJson(set.uid, session.names());
      entry["counter_set"] = set.counter_set;
      json.push_back(std::move(entry));
    }
    session.PrintJson({{"counter_sets", std::move(json)}});
    return absl::OkStatus();
  }
  TextTable table({{"uid"}, {"counter set"}});
  for (const UidCounterSet& set : sets) {
    table.AddRow({session.Who(set.uid), CounterSetText(set.counter_set)});
  }
  session.Print(table.empty() ? "every UID has counter set 0 (background)\n"
                              : table.ToString(session.colour()));
  return absl::OkStatus();
}

}  // namespace netpolicy::cli
