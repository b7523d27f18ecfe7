// SPDX-License-Identifier: Apache-2.0
//
// What netd is told on its command line and in its configuration file.

#ifndef NETPOLICY_NETD_DAEMON_OPTIONS_H_
#define NETPOLICY_NETD_DAEMON_OPTIONS_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "clat/prefix.h"
#include "libpolicy/engine/engine_options.h"
#include "netd/service/client.h"

namespace netpolicy {

inline constexpr char kDefaultStatePath[] = "/var/lib/netd/policy.state";

enum class DaemonAction : uint8_t {
  kServe,
  kDetach,     // --detach
  kPrintText,  // --help, --version
};

struct DaemonOptions {
  DaemonAction action = DaemonAction::kServe;
  std::string text;  // to print, for kPrintText

  EngineOptions engine;  // cgroup, pin_dir, max_uids, max_rows, max_drops and
                         // pin_group
  std::string socket = kDefaultSocketPath;
  mode_t socket_mode = 0666;
  std::string state = kDefaultStatePath;
  absl::optional<gid_t> read_group;
  absl::optional<gid_t> change_group;

  // Not given: netd does not translate. Given: it does where it is asked to,
  // and of itself on the interfaces that match one of these patterns.
  absl::optional<std::vector<std::string>> clat_interfaces;
  absl::optional<clat::Pref64> clat_prefix;
  std::vector<std::string> clat_dns_servers;

  // How often usage is stored, 0: never; and for how many days by the hour, by
  // the day and by the month, 0: for ever.
  uint32_t usage_seconds = 60;
  uint32_t usage_hours_kept = 31;
  uint32_t usage_days_kept = 400;
  uint32_t usage_months_kept = 0;
};

// The settings by their names: those of the flags, with '_' for '-'. Each sets
// the default when absent.
struct DaemonSettings {
  absl::optional<std::string> cgroup;
  absl::optional<std::string> pin_dir;
  absl::optional<std::string> socket;
  absl::optional<std::string> socket_mode;  // octal
  absl::optional<std::string> state;
  absl::optional<std::string> read_group;       // name or number
  absl::optional<std::string> change_group;     // name or number
  absl::optional<std::string> clat_interfaces;  // separated by commas
  absl::optional<std::string> clat_prefix;
  absl::optional<std::string> clat_dns_servers;  // separated by commas
  absl::optional<uint32_t> max_uids;
  absl::optional<uint32_t> max_rows;
  absl::optional<uint32_t> max_rows_per_uid;
  absl::optional<uint32_t> max_uid_rows;
  absl::optional<uint32_t> max_drops;
  absl::optional<uint32_t> usage_seconds;
  absl::optional<uint32_t> usage_hours_kept;
  absl::optional<uint32_t> usage_days_kept;
  absl::optional<uint32_t> usage_months_kept;
};

// Reads a configuration file: a JSON object with comments, each member a
// setting. Errors: kInvalidArgument, a line for each fault, `FILE:LINE:COLUMN:
// KEY: cause`.
absl::StatusOr<DaemonSettings> ParseSettings(absl::string_view text,
                                             absl::string_view source);

// Reads the command line, and the configuration file that it names; flags win.
// Errors: kInvalidArgument; the system's when the file can't be read.
absl::StatusOr<DaemonOptions> ParseOptions(int argc, const char* const* argv);

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_DAEMON_OPTIONS_H_
