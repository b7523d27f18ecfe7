// SPDX-License-Identifier: Apache-2.0

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "clat/change_log.h"
#include "clat/clat_interface.h"
#include "libpolicy/base/status_macros.h"
#include "netd/cli/commands.h"
#include "netd/cli/session.h"
#include "netd/cli/text_table.h"

namespace netpolicy::cli {
namespace {

constexpr absl::Duration kInterval = absl::Milliseconds(200);

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

// One line, also of JSON.
std::string Line(const clat::Change& change, Session& session) {
  if (session.json()) {
    const Json json = {{"version", kJsonVersion},
                       {"number", change.number},
                       {"time", TimeText(change.time)},
                       {"interface", TextJson(change.interface)},
                       {"change", TextJson(change.kind)},
                       {"detail", TextJson(change.detail)}};
    return absl::StrCat(json.dump(), "\n");
  }
  return absl::StrCat(
      TimeText(change.time), "  ",
      change.interface.empty() ? "-" : Printable(change.interface), "  ",
      Printable(change.kind), "  ", Printable(change.detail), "\n");
}

std::string LostLine(uint64_t lost, Session& session) {
  if (session.json()) {
    const Json json = {{"version", kJsonVersion}, {"lost", lost}};
    return absl::StrCat(json.dump(), "\n");
  }
  return absl::StrCat(lost, " changes were not kept\n");
}

}  // namespace

absl::Status RunClatWatch(const ClatWatchCommand& command, Session& session) {
  NP_ASSIGN_OR_RETURN(clat::ClatInterface * clat, session.clat());
  uint64_t seen = 0;
  if (!command.all) {
    NP_ASSIGN_OR_RETURN(const clat::Changes now,
                        clat->ChangesAfter(clat::kOnlyTheLast));
    seen = now.last;
  }
  uint32_t printed = 0;
  for (bool first = true;; first = false) {
    if (!first && !session.Wait(kInterval)) return absl::OkStatus();
    NP_ASSIGN_OR_RETURN(const clat::Changes changes, clat->ChangesAfter(seen));
    // Another netd has taken over, and all of its changes are new.
    if (changes.last < seen) {
      seen = 0;
      continue;
    }
    for (const clat::Change& change : changes.list) {
      // Before what is kept: of no loss to who asked for all that is.
      if (change.number > seen + 1 && seen != 0 &&
          !session.Stream(LostLine(change.number - seen - 1, session))) {
        return absl::OkStatus();
      }
      seen = change.number;
      if (!command.interface.empty() && change.interface != command.interface) {
        continue;
      }
      if (!session.Stream(Line(change, session))) return absl::OkStatus();
      if (++printed == command.count) return absl::OkStatus();
    }
  }
}

}  // namespace netpolicy::cli
