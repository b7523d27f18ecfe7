// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_CLI_INVOCATION_H_
#define NETPOLICY_NETD_CLI_INVOCATION_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "absl/types/variant.h"
#include "clat/settings.h"
#include "libpolicy/engine/charging.h"
#include "libpolicy/engine/policy_interface.h"
#include "libpolicy/engine/quota.h"
#include "libpolicy/model/edit.h"
#include "libpolicy/model/ids.h"
#include "netd/usage/usage.h"

// What a command line asks for, with every name resolved. Plain values.

namespace netpolicy::cli {

enum class Format { kHuman, kJson };

// Where the policy is.
enum class Access {
  kService,  // a running netd, at its socket
  kDirect,   // the pins, with an Engine in this process
};

struct GlobalOptions {
  Access access = Access::kService;
  std::string socket;       // of netd
  std::string pin_dir;      // with kDirect
  std::string dns_servers;  // with kDirect; separated by commas
  Format format = Format::kHuman;
};

struct StatusCommand {};
struct ApplyCommand {
  std::string file;  // "-": standard input
  CommitOptions options;
};
struct DumpCommand {
  enum class What { kPolicy, kTables } what = What::kPolicy;
};
// `chain add`, `uid deny` and all others that change a policy by itself.
struct EditCommand {
  Transaction transaction;
  CommitOptions options;
  // Set: gives the transaction, for what depends on the policy in force. It is
  // called again when somebody else commits meanwhile.
  std::function<absl::StatusOr<Transaction>(const Policy&)> rework = {};
};
// Prints a part of the policy: `rule list`, `settings`, ...
struct NetworkShowCommand {
  enum class Part {
    kDataSaver,
    kInterfaces,
    kRules,
    kIngressDiscard,
    kLocalNetwork,
    kBindPorts,
    kSettings,
  } part = Part::kSettings;
  // For kRules: whose; neither: everybody's.
  std::vector<Uid> uids;
  bool defaults = false;
};
// `local-network fill`: what the kernel says of an interface becomes rules.
struct LocalNetworkFillCommand {
  std::string interface;
  std::vector<AddressBytes> dns_servers;
  CommitOptions options;
};
struct ChainListCommand {};
struct ChainShowCommand {
  std::string name;
};
struct UidShowCommand {
  std::vector<Uid> uids;
};
struct StatsCommand {
  enum class By { kUid, kInterface, kTag, kCounterSet } by = By::kUid;
  absl::optional<Uid> uid;  // set: of this UID only
  std::string since;        // file of an earlier reading; "": none
};
struct TopCommand {
  StatsCommand::By by = StatsCommand::By::kUid;
  enum class Sort { kTotal, kRx, kTx, kRefused } sort = Sort::kTotal;
  absl::Duration interval = absl::Seconds(1);
  uint32_t count = 0;  // pages; 0: as long as it goes
  bool plain = false;  // pages below one another, also on a terminal
};
struct ExplainCommand {
  ExplainQuery query;
};
struct WhyCommand {
  Uid uid{};  // kNoOwner: packets without an owner
  uint32_t last = 10;
};
struct ReasonsCommand {
  Uid uid{};
};
struct DoctorCommand {};
struct InterfaceListCommand {};
// `interface watch`, `interface unwatch`.
struct InterfaceWatchCommand {
  std::string interface;  // to unwatch, also a number
  Switch counted = Switch::kOn;
};
struct ClatStartCommand {
  std::string interface;
  clat::UplinkSettings settings;
};
struct ClatStopCommand {
  std::string interface;
};
struct ClatStatusCommand {
  std::string interface;  // "": all
};
struct ClatDiscoverCommand {
  std::string interface;
};
struct ClatWatchCommand {
  std::string interface;  // "": all
  bool all = false;       // also what changed before
  uint32_t count = 0;     // lines; 0: as long as it goes
};
struct LogCommand {
  absl::optional<uint32_t> last;  // set: only so many, the newest
};
struct RollbackCommand {
  absl::optional<Generation> generation;  // unset: that before the last commit
  CommitOptions options;
};
struct UsageCommand {
  UsageQuery query;
  std::string by;      // "uid", "tag", "iface", "set"
  std::string bucket;  // "hour", "day", "month", "total"
  enum class Output {
    kTable,
    kCsv,
    kChart,
    kAsciiChart,
    kHtml
  } output = Output::kTable;
  std::string html_file;  // with kHtml; "-": standard output
  std::string question;   // with kHtml: what is asked for, in words
};
struct UsageForgetCommand {
  Uid uid{};
};
struct CounterSetCommand {
  absl::optional<Uid> uid;               // unset: show all
  absl::optional<uint32_t> counter_set;  // unset: show
};
struct QuotaSetCommand {
  QuotaDefinition definition;
};
struct QuotaListCommand {};
// `quota remove`, `quota reset`.
struct QuotaChangeCommand {
  enum class What { kRemove, kReset } what = What::kReset;
  std::vector<QuotaId> ids;
};
struct QuotaAlertsCommand {
  bool acknowledge = false;  // what is printed is not returned any more
};
struct QuotaWatchCommand {
  bool all = false;    // also alerts of before
  uint32_t count = 0;  // lines; 0: as long as it goes
};
struct CompletionCommand {
  std::string script;
};

using Command =
    absl::variant<StatusCommand, ApplyCommand, DumpCommand, EditCommand,
                  ChainListCommand, ChainShowCommand, UidShowCommand,
                  StatsCommand, TopCommand, ExplainCommand, WhyCommand,
                  ReasonsCommand, DoctorCommand, InterfaceListCommand,
                  InterfaceWatchCommand, ClatStartCommand, ClatStopCommand,
                  ClatStatusCommand, ClatDiscoverCommand, ClatWatchCommand,
                  LogCommand, RollbackCommand, UsageCommand, UsageForgetCommand,
                  CounterSetCommand, CompletionCommand, NetworkShowCommand,
                  LocalNetworkFillCommand, QuotaSetCommand, QuotaListCommand,
                  QuotaChangeCommand, QuotaAlertsCommand, QuotaWatchCommand>;

struct Invocation {
  GlobalOptions global;
  Command command;
};

}  // namespace netpolicy::cli

#endif  // NETPOLICY_NETD_CLI_INVOCATION_H_
