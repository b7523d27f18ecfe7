// SPDX-License-Identifier: Apache-2.0

#include "netd/cli/command_line.h"

#include <CLI/CLI.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "libpolicy/base/version.h"
#include "libpolicy/model/ip_prefix.h"
#include "libpolicy/model/network_rule.h"
#include "libpolicy/model/text.h"
#include "netd/cli/clat_command_line.h"
#include "netd/cli/completion.h"
#include "netd/cli/defaults.h"
#include "netd/cli/exit_code.h"
#include "netd/cli/text_table.h"

namespace netpolicy::cli {
namespace {

constexpr char kFooter[] =
    "UID is a number, the name of a user, or (where several may be given) a "
    "range 10000-10099.\n"
    "\n"
    "Exit codes:\n"
    "  0  done; explain: allowed\n"
    "  1  refused or gone wrong; standard error says why\n"
    "  2  the command line is wrong; nothing was tried\n"
    "  3  explain: blocked in a direction that was asked about\n"
    "  4  --expect-generation N, but another policy is in force\n"
    "  5  no netd at the socket, or no pins at the directory";

// Help that shows what to type, not which C++ type it becomes.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() {
    label("SUBCOMMAND", "COMMAND");
    label("Positionals", "Arguments");
    column_width(28);
  }
  std::string make_option_opts(const CLI::Option* option) const override {
    const std::string& text = option->get_option_text();
    return text.empty() ? "" : absl::StrCat(" ", text);
  }
  std::string make_footer(const CLI::App* app) const override {
    return app->get_footer().empty()
               ? absl::StrCat(
                     "ndc --help has the global options and the exit "
                     "codes.\n")
               : CLI::Formatter::make_footer(app);
  }
};

// One command line. The app's options refer to members, so it stays where it
// is.
class Parser {
 public:
  explicit Parser(Names& names) : names_(names) { Define(); }
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;

  absl::variant<Invocation, Answer> Parse(
      const std::vector<std::string>& arguments);

 private:
  // Options that every command with a commit has.
  struct CommitFlags {
    absl::optional<uint64_t> expect_generation;
    bool fence = false;
    bool dry_run = false;
  };

  void Define();
  void DefineShow();
  void DefineChains();
  void DefineUids();
  void DefineDefaults();
  void DefineInterfaces();

  CLI::App* AddCommand(CLI::App* parent, const std::string& name,
                       const std::string& description,
                       const char* group = "Commands") {
    CLI::App* command = parent->add_subcommand(name, description);
    command->group(group);
    return command;
  }

  void AddCommitOptions(CLI::App* command);
  CommitOptions Options() const;
  void AddUids(CLI::App* command, bool required);
  void AddChainName(CLI::App* command);

  // The UIDs that were given; remembers the first error.
  std::vector<Uid> Uids();
  // One change for each UID.
  template <typename MakeChange>
  void EditEachUid(MakeChange make_change) {
    EditCommand edit;
    for (Uid uid : Uids()) edit.transaction.push_back(make_change(uid));
    Edit(std::move(edit.transaction));
  }
  void Edit(Transaction transaction) {
    invocation_.command = EditCommand{std::move(transaction), Options()};
  }

  Names& names_;
  CLI::App app_{"Shows and changes the network policy that netd enforces.\n",
                "ndc"};
  Invocation invocation_;
  absl::Status status_;

  bool json_ = false;
  bool direct_ = false;
  CommitFlags commit_;
  // What `explain` says of the packet.
  void SetPacket(ExplainQuery& query) {
    for (const auto& [text, address] :
         {std::pair(&remote_, &query.remote), {&local_, &query.local}}) {
      if (text->empty()) continue;
      const absl::StatusOr<AddressBytes> parsed = ParseAddress(*text);
      status_.Update(parsed.status());
      if (parsed.ok()) *address = *parsed;
    }
    query.remote_port = remote_port_;
    query.local_port = local_port_;
    if (!protocol_.empty()) {
      const absl::StatusOr<uint8_t> protocol = ParseProtocol(protocol_);
      status_.Update(protocol.status());
      if (protocol.ok()) query.protocol = *protocol;
    }
    if (!metered_.empty()) {
      query.metered = metered_ == "on" ? Switch::kOn : Switch::kOff;
    }
    if ((query.direction == Direction::kConnect && remote_.empty()) ||
        (query.direction == Direction::kBind && !local_port_.has_value())) {
      status_.Update(absl::InvalidArgumentError(
          "explain: connect needs --remote, bind needs --local-port"));
    }
  }

  std::string file_;
  absl::optional<uint64_t> generation_;
  absl::optional<uint32_t> last_;
  bool tables_ = false;
  std::string by_ = "uid";
  std::string uid_;
  std::string interface_;
  std::string direction_;
  std::string remote_;
  absl::optional<uint16_t> remote_port_;
  std::string local_;
  absl::optional<uint16_t> local_port_;
  std::string protocol_;
  std::string metered_;
  std::vector<std::string> uids_;
  bool no_uids_ = false;
  std::string chain_;
  std::vector<std::string> chains_;
  std::string type_;
  std::string value_;
  ClatArguments clat_;
};

void Parser::AddCommitOptions(CLI::App* command) {
  command
      ->add_option("--expect-generation", commit_.expect_generation,
                   "Change nothing unless this generation is in force")
      ->option_text("N");
  command->add_flag("--fence", commit_.fence,
                    "Return when no packet is judged by an older policy");
  command->add_flag("--dry-run", commit_.dry_run,
                    "Print the difference and change nothing");
}

CommitOptions Parser::Options() const {
  CommitOptions options;
  if (commit_.expect_generation.has_value()) {
    options.expected_generation = Generation{*commit_.expect_generation};
  }
  options.fence = commit_.fence ? Fence::kWait : Fence::kNone;
  options.mode = commit_.dry_run ? CommitMode::kDryRun : CommitMode::kApply;
  return options;
}

void Parser::AddUids(CLI::App* command, bool required) {
  command->add_option("UID", uids_, "Numbers, users or ranges")
      ->required(required);
}

void Parser::AddChainName(CLI::App* command) {
  command->add_option("NAME", chain_, "Of the chain")->required();
}

std::vector<Uid> Parser::Uids() {
  std::vector<Uid> uids;
  for (const std::string& text : uids_) {
    absl::StatusOr<std::vector<Uid>> some = ParseUids(text, names_);
    if (some.ok()) {
      uids.insert(uids.end(), some->begin(), some->end());
    } else {
      status_.Update(some.status());
    }
  }
  return uids;
}

void Parser::Define() {
  app_.set_help_flag("-h,--help", "Print this help");
  app_.set_version_flag("-V,--version", absl::StrCat("ndc ", kVersion),
                        "Print the version");
  // Global options are understood behind the command, too.
  app_.fallthrough();
  app_.require_subcommand(1, 1);
  app_.formatter(std::make_shared<HelpFormatter>());

  app_.add_option("--socket", invocation_.global.socket,
                  absl::StrCat("Of netd (default: ", DefaultSocket(), ")"))
      ->option_text("PATH");
  CLI::Option* direct = app_.add_flag(
      "--direct", direct_, "Work on the pinned tables, without netd");
  app_.add_option("--pin-dir", invocation_.global.pin_dir,
                  absl::StrCat("Of the pins, with --direct (default: ",
                               DefaultPinDir(), ")"))
      ->option_text("DIR")
      ->needs(direct);
  app_.add_flag("--json", json_, "Print JSON, with a \"version\" field");

  DefineShow();
  DefineChains();
  DefineUids();
  DefineDefaults();
  DefineInterfaces();
  DefineClat(app_, clat_, invocation_, status_);

  CLI::App* completion =
      AddCommand(&app_, "completion", "Print a completion script", "Other");
  completion->require_subcommand(1, 1);
  AddCommand(completion, "bash", "For bash: . <(ndc completion bash)")
      ->callback([this] {
        invocation_.command = CompletionCommand{BashCompletion(app_)};
      });
  // Last, so that the commands don't inherit it.
  app_.footer(kFooter);
}

void Parser::DefineShow() {
  const char* const group = "Whole policy";
  CLI::App* apply =
      AddCommand(&app_, "apply", "Put the policy of a file in force", group);
  apply->add_option("FILE", file_, "Policy as JSON; -: standard input")
      ->required();
  AddCommitOptions(apply);
  apply->callback([this] {
    invocation_.command = ApplyCommand{file_, Options()};
  });

  CLI::App* rollback = AddCommand(
      &app_, "rollback", "Put a policy in force again that once was", group);
  rollback->add_option(
      "GENERATION", generation_,
      "As `ndc log` names it (default: the one before the last commit)");
  AddCommitOptions(rollback);
  rollback->callback([this] {
    RollbackCommand command;
    if (generation_.has_value()) command.generation = Generation{*generation_};
    command.options = Options();
    invocation_.command = std::move(command);
  });

  CLI::App* dump = AddCommand(
      &app_, "dump", "Print the policy in force, as apply takes it", group);
  dump->add_flag("--tables", tables_,
                 "Print everything that decides about traffic, to read");
  dump->callback([this] {
    invocation_.command = DumpCommand{tables_ ? DumpCommand::What::kTables
                                              : DumpCommand::What::kPolicy};
  });

  const char* const look = "Look";
  AddCommand(&app_, "status", "Show what is loaded and in force", look)
      ->callback([this] { invocation_.command = StatusCommand{}; });

  CLI::App* stats =
      AddCommand(&app_, "stats", "Show what passed and what was refused", look);
  stats->add_option("--by", by_, "uid or iface (default: uid)")
      ->option_text("WHAT")
      ->check(CLI::IsMember({"uid", "iface"}));
  stats->add_option("--uid", uid_, "Of this UID only")->option_text("UID");
  stats->callback([this] {
    StatsCommand command;
    command.by =
        by_ == "uid" ? StatsCommand::By::kUid : StatsCommand::By::kInterface;
    if (!uid_.empty()) {
      const absl::StatusOr<Uid> uid = ParseUid(uid_, names_);
      status_.Update(uid.status());
      if (uid.ok()) command.uid = *uid;
    }
    invocation_.command = command;
  });

  CLI::App* explain =
      AddCommand(&app_, "explain",
                 "Say whether a UID would get through, and why not", look);
  explain->add_option("--uid", uid_, "Who")->required()->option_text("UID");
  explain
      ->add_option("--iface", interface_,
                   "Through this interface (default: any but loopback)")
      ->option_text("NAME");
  explain
      ->add_option("--dir", direction_,
                   "in, out (packets), or a call: socket, connect (with "
                   "--remote) or bind (with --local-port) (default: all)")
      ->option_text("DIR")
      ->check(CLI::IsMember({"in", "out", "socket", "connect", "bind"}));
  explain
      ->add_option("--remote", remote_,
                   "The other end's address (default: not asked about)")
      ->option_text("ADDR");
  explain->add_option("--remote-port", remote_port_, "The other end's port")
      ->option_text("PORT");
  explain
      ->add_option("--local", local_,
                   "The machine's own address (default: not asked about)")
      ->option_text("ADDR");
  explain->add_option("--local-port", local_port_, "The own port")
      ->option_text("PORT");
  explain
      ->add_option("--protocol", protocol_,
                   "tcp, udp, icmp, ... or a number (default: one that no rule "
                   "names)")
      ->option_text("NAME");
  explain
      ->add_option("--metered", metered_,
                   "on or off, whatever the policy says of the interface")
      ->option_text("ON|OFF")
      ->check(CLI::IsMember({"on", "off"}));
  explain->callback([this] {
    ExplainCommand command;
    const absl::StatusOr<Uid> uid = ParseUid(uid_, names_);
    status_.Update(uid.status());
    if (uid.ok()) command.query.uid = *uid;
    command.query.interface = interface_;
    if (direction_ == "in") command.query.direction = Direction::kIngress;
    if (direction_ == "out") command.query.direction = Direction::kEgress;
    if (direction_ == "socket") {
      command.query.direction = Direction::kSocketCreate;
    }
    if (direction_ == "connect") command.query.direction = Direction::kConnect;
    if (direction_ == "bind") command.query.direction = Direction::kBind;
    SetPacket(command.query);
    invocation_.command = std::move(command);
  });

  CLI::App* log = AddCommand(
      &app_, "log", "Show who changed the policy when, newest first", look);
  log->add_option("--last", last_, "Only so many")
      ->option_text("N")
      ->check(CLI::Range(1, 1000000));
  log->callback([this] { invocation_.command = LogCommand{last_}; });

  AddCommand(&app_, "doctor",
             "Show what this kernel and machine offer and what is lost", look)
      ->callback([this] { invocation_.command = DoctorCommand{}; });
}

void Parser::DefineChains() {
  CLI::App* chain =
      AddCommand(&app_, "chain", "Named lists of UIDs with a switch", "Rules");
  chain->require_subcommand(1, 1);

  AddCommand(chain, "list", "Show all chains")->callback([this] {
    invocation_.command = ChainListCommand{};
  });
  CLI::App* show =
      AddCommand(chain, "show", "Show a chain and the UIDs it lists");
  AddChainName(show);
  show->callback([this] { invocation_.command = ChainShowCommand{chain_}; });

  for (const auto& [name, value, description] :
       {std::make_tuple("enable", Switch::kOn, "Switch chains on"),
        std::make_tuple("disable", Switch::kOff, "Switch chains off")}) {
    CLI::App* command = AddCommand(chain, name, description);
    command->add_option("NAME", chains_, "Of the chains")->required();
    AddCommitOptions(command);
    command->callback([this, value = value] {
      Transaction transaction;
      for (const std::string& chain_name : chains_) {
        transaction.push_back(SetChainEnabled{chain_name, value});
      }
      Edit(std::move(transaction));
    });
  }

  CLI::App* add = AddCommand(
      chain, "add", "Define a chain of your own; it is off and lists nobody");
  AddChainName(add);
  add->add_option("--type", type_,
                  "allowlist: while on, blocks every UID it does not list; "
                  "denylist: blocks those it lists")
      ->required()
      ->option_text("TYPE")
      ->check(CLI::IsMember({"allowlist", "denylist"}));
  AddCommitOptions(add);
  add->callback([this] {
    Edit({DefineChain{chain_, type_ == "allowlist" ? ChainSense::kAllowlist
                                                   : ChainSense::kDenylist}});
  });

  CLI::App* remove = AddCommand(chain, "remove", "Remove a chain of your own");
  AddChainName(remove);
  AddCommitOptions(remove);
  remove->callback([this] { Edit({RemoveChain{chain_}}); });

  for (const auto& [name, value, description] :
       {std::make_tuple("add-uid", Switch::kOn, "List UIDs in a chain"),
        std::make_tuple("remove-uid", Switch::kOff,
                        "List UIDs in a chain no longer")}) {
    CLI::App* command = AddCommand(chain, name, description);
    AddChainName(command);
    AddUids(command, /*required=*/true);
    AddCommitOptions(command);
    command->callback([this, value = value] {
      EditEachUid([&](Uid uid) { return SetChainMember{chain_, uid, value}; });
    });
  }

  CLI::App* set = AddCommand(
      chain, "set-uids", "List exactly these UIDs in a chain, at one stroke");
  AddChainName(set);
  AddUids(set, /*required=*/false);
  set->add_flag("--none", no_uids_, "List nobody");
  AddCommitOptions(set);
  set->callback([this] {
    if (uids_.empty() != no_uids_) {
      status_.Update(absl::InvalidArgumentError(
          "chain set-uids: name the UIDs, or say --none"));
    }
    Edit({ReplaceChain{chain_, Uids()}});
  });
}

void Parser::DefineUids() {
  CLI::App* uid =
      AddCommand(&app_, "uid", "What the policy says of single UIDs", "Rules");
  uid->require_subcommand(1, 1);

  CLI::App* show = AddCommand(
      uid, "show", "Show the rules, the permission and the chains of UIDs");
  AddUids(show, /*required=*/true);
  show->callback([this] { invocation_.command = UidShowCommand{Uids()}; });

  const std::pair<const char*, absl::optional<Action>> kRules[] = {
      {"allow", Action::kAllow},
      {"deny", Action::kDeny},
      {"default", absl::nullopt}};
  const std::map<std::string, std::string> kDescriptions = {
      {"allow", "Pass the UIDs, unless a chain blocks them"},
      {"deny", "Block the UIDs"},
      {"default", "Let the default rule decide about the UIDs"}};
  for (const auto& [name, rule] : kRules) {
    CLI::App* command = AddCommand(uid, name, kDescriptions.at(name));
    AddUids(command, /*required=*/true);
    AddCommitOptions(command);
    command->callback([this, rule = rule] {
      EditEachUid([&](Uid one) { return SetUidRule{one, rule}; });
    });
  }

  CLI::App* internet = AddCommand(
      uid, "internet", "Grant or revoke the permission to make sockets");
  internet->add_option("UID", uid_, "A number, a user or a range")->required();
  internet->add_option("SWITCH", value_, "on, off or default")
      ->required()
      ->check(CLI::IsMember({"on", "off", "default"}));
  AddCommitOptions(internet);
  internet->callback([this] {
    uids_ = {uid_};
    absl::optional<Permission> permission;
    if (value_ == "on") permission = Permission::kGranted;
    if (value_ == "off") permission = Permission::kRevoked;
    EditEachUid([&](Uid one) { return SetInternet{one, permission}; });
  });

  CLI::App* clear = AddCommand(
      uid, "clear",
      "Forget the UIDs: no rule, no permission of their own, no chain");
  AddUids(clear, /*required=*/true);
  AddCommitOptions(clear);
  clear->callback(
      [this] { EditEachUid([](Uid one) { return ClearUid{one}; }); });
}

void Parser::DefineDefaults() {
  CLI::App* defaults =
      AddCommand(&app_, "default",
                 "What holds for UIDs of which nothing is said", "Rules");
  defaults->require_subcommand(1, 1);

  CLI::App* rule = AddCommand(defaults, "rule", "Set the default rule");
  rule->add_option("ACTION", value_, "allow or deny")
      ->required()
      ->check(CLI::IsMember({"allow", "deny"}));
  AddCommitOptions(rule);
  rule->callback([this] {
    Edit({SetDefaultRule{value_ == "allow" ? Action::kAllow : Action::kDeny}});
  });

  CLI::App* internet =
      AddCommand(defaults, "internet", "Set the default permission");
  internet->add_option("SWITCH", value_, "on or off")
      ->required()
      ->check(CLI::IsMember({"on", "off"}));
  AddCommitOptions(internet);
  internet->callback([this] {
    Edit({SetDefaultInternet{value_ == "on" ? Permission::kGranted
                                            : Permission::kRevoked}});
  });
}

void Parser::DefineInterfaces() {
  CLI::App* interface = AddCommand(
      &app_, "interface",
      "Count whole interfaces, whoever the packets belong to", "Other");
  interface->require_subcommand(1, 1);

  AddCommand(interface, "list", "Show the counted interfaces")
      ->callback([this] { invocation_.command = InterfaceListCommand{}; });
  for (const auto& [name, value, description] :
       {std::make_tuple("watch", Switch::kOn,
                        "Count an interface until it is unwatched or gone"),
        std::make_tuple("unwatch", Switch::kOff,
                        "End counting and forget the counters")}) {
    CLI::App* command = AddCommand(interface, name, description);
    command
        ->add_option("IFACE", interface_,
                     value == Switch::kOn
                         ? "Its name"
                         : "Its name, or the number of one that is gone")
        ->required();
    command->callback([this, value = value] {
      invocation_.command = InterfaceWatchCommand{interface_, value};
    });
  }
}

absl::variant<Invocation, Answer> Parser::Parse(
    const std::vector<std::string>& arguments) {
  // CLI11 takes them last first.
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    app_.parse(std::move(reversed));
  } catch (const CLI::CallForHelp&) {
    return Answer{kExitOk, app_.help(), ""};
  } catch (const CLI::CallForVersion&) {
    return Answer{kExitOk, absl::StrCat(app_.version(), "\n"), ""};
  } catch (const CLI::Error& error) {
    // "a subcommand is required" is not what one wants to hear of a wrong one.
    const std::vector<std::string> unknown = app_.remaining(/*recurse=*/true);
    if (!unknown.empty()) {
      return Answer{kExitUsage, "",
                    absl::StrCat("usage: ", Quote(unknown.front()),
                                 " is not known here (see --help)")};
    }
    // Its messages have lines of their own.
    const std::vector<std::string> lines =
        absl::StrSplit(error.what(), '\n', absl::SkipEmpty());
    return Answer{
        kExitUsage, "",
        absl::StrCat("usage: ", lines.empty() ? "wrong" : Printable(lines[0]),
                     " (see --help)")};
  }
  if (!status_.ok()) {
    return Answer{kExitUsage, "", std::string(status_.message())};
  }
  invocation_.global.access = direct_ ? Access::kDirect : Access::kService;
  invocation_.global.format = json_ ? Format::kJson : Format::kHuman;
  if (invocation_.global.socket.empty()) {
    invocation_.global.socket = DefaultSocket();
  }
  if (invocation_.global.pin_dir.empty()) {
    invocation_.global.pin_dir = DefaultPinDir();
  }
  return std::move(invocation_);
}

}  // namespace

absl::variant<Invocation, Answer> ParseCommandLine(
    const std::vector<std::string>& arguments, Names& names) {
  return Parser(names).Parse(arguments);
}

}  // namespace netpolicy::cli
