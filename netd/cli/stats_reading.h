// SPDX-License-Identifier: Apache-2.0
//
// A reading of the counters as `ndc stats --json` prints it, to compare later
// ones with.

#ifndef NETPOLICY_NETD_CLI_STATS_READING_H_
#define NETPOLICY_NETD_CLI_STATS_READING_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "libpolicy/engine/policy_interface.h"
#include "netd/cli/invocation.h"
#include "netd/cli/session.h"

namespace netpolicy::cli {

// Packets and calls that were refused, by Direction.
struct Refused {
  uint64_t ingress = 0;
  uint64_t egress = 0;
  uint64_t socket_create = 0;
  uint64_t connect = 0;
  uint64_t bind = 0;

  uint64_t calls() const { return socket_create + connect + bind; }
  uint64_t all() const { return ingress + egress + calls(); }
};

struct Sum {
  TrafficCounters rx;
  TrafficCounters tx;
  Refused refused;  // only of UIDs

  Sum& operator+=(const Sum& other);
};

// Which tables the counters are from: they begin at zero with each others.
struct TablesLife {
  std::string boot;   // the kernel's id of this boot; empty: not to be had
  uint32_t rows = 0;  // the kernel's number of np_rows, new with each table

  friend bool operator==(const TablesLife&, const TablesLife&) = default;
};

// Refused packets of a UID for a set of reasons.
struct DropKey {
  Uid uid{};
  Direction direction = Direction::kIngress;
  uint64_t reasons = 0;

  friend auto operator<=>(const DropKey&, const DropKey&) = default;
};

struct StatsReading {
  StatsCommand::By by = StatsCommand::By::kUid;
  absl::optional<Uid> uid;  // set: of this UID only
  TablesLife life;
  std::map<uint32_t, Sum> rows;  // by UID, interface number, tag or counter set
  Sum overflow;
  std::map<DropKey, std::pair<uint64_t, uint64_t>> drops;  // packets, bytes
};

// The words of `--by`, which are also those in JSON.
absl::string_view ByName(StatsCommand::By by);

// Where the subject of a row is in JSON.
absl::string_view SubjectName(StatsCommand::By by);

// Sums a snapshot up.
StatsReading SumUp(const StatsSnapshot& stats, StatsCommand::By by);

// Reads what an earlier `ndc stats --json` printed. Errors: kInvalidArgument,
// naming `source`, when it is none.
absl::StatusOr<StatsReading> ParseReading(absl::string_view text,
                                          absl::string_view source);

// Leaves in `now` what came after `before`, which came from `source`. Errors:
// kInvalidArgument when they are not about the same; kFailedPrecondition when
// they are of different tables, or `before` is the later one.
absl::Status Subtract(const StatsReading& before, absl::string_view source,
                      StatsReading& now);

}  // namespace netpolicy::cli

#endif  // NETPOLICY_NETD_CLI_STATS_READING_H_
