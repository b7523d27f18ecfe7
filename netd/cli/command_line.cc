// SPDX-License-Identifier: Apache-2.0

#include "netd/cli/command_line.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "libpolicy/base/version.h"
#include "libpolicy/model/text.h"
#include "netd/cli/clat_command_line.h"
#include "netd/cli/command_builder.h"
#include "netd/cli/command_groups.h"
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
    "  5  no netd at the socket, or no pins at the directory\n"
    "  6  --close-sockets: in force, but not all that it blocks is closed";

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
  explicit Parser(Names& names) : builder_(names, invocation_, status_) {
    Define();
  }
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;

  absl::variant<Invocation, Answer> Parse(
      const std::vector<std::string>& arguments);

 private:
  void Define();

  CLI::App app_{"Shows and changes the network policy that netd enforces.\n",
                "ndc"};
  Invocation invocation_;
  absl::Status status_;

  CommandBuilder builder_;

  bool json_ = false;
  bool direct_ = false;
  ClatArguments clat_;
};

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

  DefineWholePolicy(app_, builder_);
  DefineLook(app_, builder_);
  DefineUsage(app_, builder_);
  DefineCounterSet(app_, builder_);
  DefineChains(app_, builder_);
  DefineUids(app_, builder_);
  DefineDefaults(app_, builder_);
  DefineDataSaver(app_, builder_);
  DefineNetworkRules(app_, builder_);
  DefineIngressDiscard(app_, builder_);
  DefineLocalNetwork(app_, builder_);
  DefineBindPorts(app_, builder_);
  DefineSettings(app_, builder_);
  DefineInterfaces(app_, builder_);
  DefineQuotas(app_, builder_);
  DefineClat(app_, clat_, invocation_, status_);

  CLI::App* completion = CommandBuilder::Add(
      app_, "completion", "Print a completion script", "Other");
  completion->require_subcommand(1, 1);
  CommandBuilder::Add(*completion, "bash", "For bash: . <(ndc completion bash)")
      ->callback([this] {
        invocation_.command = CompletionCommand{BashCompletion(app_)};
      });
  // Last, so that the commands don't inherit it.
  app_.footer(kFooter);
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
