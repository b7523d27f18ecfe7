// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_CLI_SESSION_H_
#define NETPOLICY_NETD_CLI_SESSION_H_

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "clat/clat_interface.h"
#include "libpolicy/engine/charging.h"
#include "libpolicy/engine/policy_interface.h"
#include "libpolicy/traffic/interface_traffic.h"
#include "netd/cli/exit_code.h"
#include "netd/cli/interface_addresses.h"
#include "netd/cli/invocation.h"
#include "netd/cli/names.h"
#include "netd/cli/screen.h"
#include "netd/cli/text_table.h"
#include "netd/service/doctor.h"
#include "netd/service/history.h"
#include "netd/service/quotas.h"
#include "netd/usage/usage.h"

namespace netpolicy::cli {

// What a run of ndc needs of the world; the tests have a world of their own.
struct Environment {
  // Opens the policy that the options name. Errors: kNotFound and kUnavailable
  // when there is nobody to ask.
  std::function<absl::StatusOr<std::unique_ptr<PolicyInterface>>(
      const GlobalOptions&)>
      connect;
  // Who translates, or the kernel itself. Errors: as of `connect`.
  std::function<absl::StatusOr<std::unique_ptr<clat::ClatInterface>>(
      const GlobalOptions&)>
      connect_clat;
  // Opens the log of commits, which only a netd has. Errors: as `connect`, and
  // kUnimplemented where the options name no netd.
  std::function<absl::StatusOr<std::unique_ptr<CommitHistory>>(
      const GlobalOptions&)>
      connect_history;
  // Opens the history of usage; likewise.
  std::function<absl::StatusOr<std::unique_ptr<UsageHistory>>(
      const GlobalOptions&)>
      connect_usage;
  // Who charges traffic. Errors: as of `connect`.
  std::function<absl::StatusOr<std::unique_ptr<ChargingInterface>>(
      const GlobalOptions&)>
      connect_charging;
  // Who keeps quotas, or the tables themselves. Errors: as of `connect`.
  std::function<absl::StatusOr<std::unique_ptr<QuotaKeeper>>(
      const GlobalOptions&)>
      connect_quotas;
  // The whole of a file; "-" is standard input.
  std::function<absl::StatusOr<std::string>(const std::string& path)> read_file;
  // Makes or replaces a file; "-" is standard output.
  std::function<absl::Status(const std::string& path, absl::string_view text)>
      write_file;
  // What the kernel and the machine offer, asked of netd or found out here;
  // `status` is what the policy said, nullptr when there was none to ask.
  std::function<DoctorReport(const GlobalOptions&, const EngineStatus* status)>
      examine;
  // The counters of whole interfaces, which need neither netd nor a policy
  // (libpolicy/traffic/interface_meter.h).
  std::function<absl::StatusOr<TcMethod>(const GlobalOptions&,
                                         const std::string& interface)>
      watch_interface;
  std::function<absl::Status(const GlobalOptions&,
                             const std::string& interface)>
      unwatch_interface;
  std::function<absl::StatusOr<std::vector<InterfaceTraffic>>(
      const GlobalOptions&)>
      read_interfaces;
  // See interface_addresses.h.
  std::function<absl::StatusOr<std::vector<InterfaceAddress>>(
      const std::string& interface)>
      read_addresses;
  // For commands that print as they go: writes to standard output at once;
  // false when nobody reads any more. And waits; false when it is time to end.
  std::function<bool(absl::string_view text)> stream;
  std::function<bool(absl::Duration)> wait;
  // Time by a clock that is not set.
  std::function<absl::Duration()> uptime;
  // See screen.h.
  std::function<std::unique_ptr<Screen>()> open_screen;
  // Of standard output; unset: it is no terminal.
  absl::optional<TerminalSize> terminal;
  Names* names = nullptr;
  Colour colour = Colour::kNever;
};

// Keys stay in the order in which they were added.
using Json = nlohmann::ordered_json;

// The "version" of what --json prints. It grows when a field changes its
// meaning or goes away; new fields come without notice.
inline constexpr int kJsonVersion = 1;

// One run of a command: what it asks, prints and returns.
class Session {
 public:
  Session(const GlobalOptions& options, Environment& environment)
      : options_(options), environment_(environment) {}
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const GlobalOptions& options() const { return options_; }
  Environment& environment() { return environment_; }
  Names& names() { return *environment_.names; }
  Colour colour() const {
    return options_.format == Format::kJson ? Colour::kNever
                                            : environment_.colour;
  }
  bool json() const { return options_.format == Format::kJson; }

  // The policy to ask; connects at the first call. Valid as long as the
  // session.
  absl::StatusOr<PolicyInterface*> policy();
  // The log of commits, likewise.
  absl::StatusOr<CommitHistory*> history();

  // The history of usage.
  absl::StatusOr<UsageHistory*> usage();

  // Who charges traffic.
  absl::StatusOr<ChargingInterface*> charging();

  // Quotas.
  absl::StatusOr<QuotaKeeper*> quotas();

  // The same for translation.
  absl::StatusOr<clat::ClatInterface*> clat();

  // Adds to standard output.
  void Print(absl::string_view text) { out_.append(text.data(), text.size()); }
  // Prints now; false when nobody reads any more.
  bool Stream(absl::string_view text) { return environment_.stream(text); }
  // False when it is time to end.
  bool Wait(absl::Duration time) { return environment_.wait(time); }
  absl::Duration Uptime() { return environment_.uptime(); }
  // nullptr: there is none.
  std::unique_ptr<Screen> OpenScreen() { return environment_.open_screen(); }
  // `fields` behind {"version": kJsonVersion}, indented, with a newline.
  void PrintJson(const Json& fields);

  // "10007 (alice)"
  std::string Who(Uid uid) { return UidText(uid, names()); }

  void set_exit_code(ExitCode code) { exit_code_ = code; }
  ExitCode exit_code() const { return exit_code_; }
  // What was printed.
  const std::string& out() const { return out_; }
  std::string TakeOut() { return std::move(out_); }

 private:
  template <typename Interface>
  absl::StatusOr<Interface*> Connected(
      std::unique_ptr<Interface>& interface,
      const std::function<absl::StatusOr<std::unique_ptr<Interface>>(
          const GlobalOptions&)>& connect);

  const GlobalOptions& options_;
  Environment& environment_;
  std::unique_ptr<PolicyInterface> policy_;
  std::unique_ptr<clat::ClatInterface> clat_;
  std::unique_ptr<CommitHistory> history_;
  std::unique_ptr<UsageHistory> usage_;
  std::unique_ptr<ChargingInterface> charging_;
  std::unique_ptr<QuotaKeeper> quotas_;
  std::string out_;
  ExitCode exit_code_ = kExitOk;
};

// {"uid": 10007, "user": "alice"}; {"uid": null} for kNoOwner; "user" only
// where there is one.
Json UidJson(Uid uid, Names& names);

// Text from outside as a JSON string: what isn't UTF-8 is replaced.
Json TextJson(absl::string_view text);

}  // namespace netpolicy::cli

#endif  // NETPOLICY_NETD_CLI_SESSION_H_
