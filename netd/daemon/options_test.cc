// SPDX-License-Identifier: Apache-2.0

#include "netd/daemon/options.h"

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/scratch_dir.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy {
namespace {

using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::ScratchDir;
using ::netpolicy::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

absl::StatusOr<DaemonOptions> Parse(std::vector<std::string> arguments) {
  std::vector<const char*> argv = {"netd"};
  for (const std::string& argument : arguments) {
    argv.push_back(argument.c_str());
  }
  return ParseOptions(static_cast<int>(argv.size()), argv.data());
}

TEST(Options, DefaultsAreThoseOfTheHelp) {
  const absl::StatusOr<DaemonOptions> options = Parse({});
  ASSERT_THAT(options, IsOk());
  EXPECT_EQ(options->action, DaemonAction::kServe);
  EXPECT_EQ(options->engine.cgroup, "");
  const absl::StatusOr<DaemonOptions> help = Parse({"--help"});
  ASSERT_THAT(help, IsOk());
  EXPECT_EQ(help->action, DaemonAction::kPrintText);
  for (const std::string& text :
       {absl::StrCat("(default: ", options->engine.pin_dir, ")"),
        absl::StrCat("(default: ", options->socket, ")"),
        absl::StrCat("(default: ", options->state, ")"),
        absl::StrCat("(default: 0", 666, ")"),
        absl::StrCat("mention (default: ", options->engine.max_uids, ")"),
        absl::StrCat("traffic counters (default: ", options->engine.max_rows,
                     ")"),
        absl::StrCat(
            "no more of these (default: ", options->engine.max_uid_rows, ")"),
        absl::StrCat("drop counters (default: ", options->engine.max_drops,
                     ")")}) {
    EXPECT_THAT(help->text, HasSubstr(text));
  }
  EXPECT_EQ(options->socket_mode, 0666u);
  EXPECT_FALSE(options->read_group.has_value());
  EXPECT_FALSE(options->change_group.has_value());
}

TEST(Options, VersionIsPrinted) {
  const absl::StatusOr<DaemonOptions> options = Parse({"--version"});
  ASSERT_THAT(options, IsOk());
  EXPECT_EQ(options->action, DaemonAction::kPrintText);
  EXPECT_THAT(options->text, StartsWith("netd "));
}

TEST(Options, EverythingCanBeAFlag) {
  const absl::StatusOr<DaemonOptions> options =
      Parse({"--cgroup=/c", "--pin-dir=/p", "--socket=/s", "--socket-mode=0620",
             "--state=/t", "--max-uids=1", "--max-rows=2", "--max-drops=3",
             "--max-rows-per-uid=5", "--max-uid-rows=6", "--read-group=4",
             "--change-group=0", "--detach"});
  ASSERT_THAT(options, IsOk());
  EXPECT_EQ(options->action, DaemonAction::kDetach);
  EXPECT_EQ(options->engine.cgroup, "/c");
  EXPECT_EQ(options->engine.pin_dir, "/p");
  EXPECT_EQ(options->socket, "/s");
  EXPECT_EQ(options->socket_mode, 0620u);
  EXPECT_EQ(options->state, "/t");
  EXPECT_EQ(options->engine.max_uids, 1u);
  EXPECT_EQ(options->engine.max_rows, 2u);
  EXPECT_EQ(options->engine.max_drops, 3u);
  EXPECT_EQ(options->engine.max_rows_per_uid, 5u);
  EXPECT_EQ(options->engine.max_uid_rows, 6u);
  EXPECT_EQ(options->read_group, 4u);
  EXPECT_EQ(options->engine.pin_group, 4u);
  EXPECT_EQ(options->change_group, 0u);
}

TEST(Options, TranslationIsOffUnlessUplinksAreNamed) {
  absl::StatusOr<DaemonOptions> options = Parse({});
  ASSERT_THAT(options, IsOk());
  EXPECT_FALSE(options->clat_interfaces.has_value());
  options = Parse({"--clat-interfaces", ""});
  ASSERT_THAT(options, IsOk());
  ASSERT_TRUE(options->clat_interfaces.has_value());
  EXPECT_TRUE(options->clat_interfaces->empty());
  options = Parse({"--clat-interfaces=wwan*,eth0", "--clat-prefix=64:ff9b::/96",
                   "--clat-dns-servers=fd00::53,fd00::54"});
  ASSERT_THAT(options, IsOk());
  EXPECT_EQ(*options->clat_interfaces,
            (std::vector<std::string>{"wwan*", "eth0"}));
  EXPECT_EQ(options->clat_prefix->ToString(), "64:ff9b::/96");
  EXPECT_EQ(options->clat_dns_servers,
            (std::vector<std::string>{"fd00::53", "fd00::54"}));
  EXPECT_THAT(Parse({"--clat-prefix=64:ff9b::/97"}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("set clat_prefix: ")));
}

TEST(Options, EverythingCanBeInTheFileAndFlagsWin) {
  const ScratchDir dir = ScratchDir::Create().value();
  std::ofstream(dir.File("netd.json")) << R"({
    // comments are allowed
    "cgroup": "/c", "pin_dir": "/p", "socket": "/s", "socket_mode": "600",
    "state": "/t", "max_uids": 1, "max_rows": 2, "max_drops": 3,
    "read_group": "root", "change_group": "7"
  })";
  const absl::StatusOr<DaemonOptions> options = Parse(
      {"--socket=/flag", "--max-rows", "9", "--config", dir.File("netd.json")});
  ASSERT_THAT(options, IsOk());
  EXPECT_EQ(options->engine.cgroup, "/c");
  EXPECT_EQ(options->engine.pin_dir, "/p");
  EXPECT_EQ(options->socket, "/flag");
  EXPECT_EQ(options->socket_mode, 0600u);
  EXPECT_EQ(options->state, "/t");
  EXPECT_EQ(options->engine.max_uids, 1u);
  EXPECT_EQ(options->engine.max_rows, 9u);
  EXPECT_EQ(options->engine.max_drops, 3u);
  EXPECT_EQ(options->read_group, 0u);
  EXPECT_EQ(options->change_group, 7u);
}

TEST(Options, BadFlagsAreErrors) {
  const struct {
    std::vector<std::string> arguments;
    const char* message;
  } kRows[] = {
      {{"--colour"}, "--colour"},
      {{"stray"}, "stray"},
      {{"--socket"}, "--socket"},
      {{"--max-uids=many"}, "many"},
      {{"--max-uids=-1"}, "-1"},
      {{"--max-uids=4294967296"}, "4294967296"},
      {{"--socket-mode=0999"}, "set socket_mode: expected an octal mode"},
      {{"--socket-mode="}, "--socket-mode: 1 required"},
      {{"--socket-mode=7777"}, "up to 0777, found '7777'"},
      {{"--socket=netd.sock"}, "set socket: expected an absolute path"},
      {{"--state", ""}, "set state: expected an absolute path, found ''"},
      {{"--pin-dir=p"}, "set pin_dir: expected an absolute path"},
      {{"--read-group=no-such-group"},
       "set read_group: there is no group 'no-such-group'"},
      {{"--change-group=4294967295"}, "there is no group '4294967295'"},
  };
  for (const auto& row : kRows) {
    EXPECT_THAT(
        Parse(row.arguments),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(row.message)))
        << row.arguments[0];
  }
}

TEST(Options, AConfigurationThatCannotBeReadIsAnError) {
  EXPECT_THAT(Parse({"--config=/nonexistent.json"}),
              StatusIs(absl::StatusCode::kNotFound,
                       "read /nonexistent.json: no such file or directory"));
  EXPECT_THAT(
      Parse({"--config=/"}),
      StatusIs(absl::StatusCode::kInvalidArgument, "read /: not a file"));
}

TEST(Settings, FaultsAreAllReportedWithTheirPlace) {
  const struct {
    const char* name;
    const char* text;
    const char* message;
  } kRows[] = {
      {"no JSON", "{\"cgroup\": }", "f.json:1:12: "},
      {"not an object", "[]", "f.json:1:1: expected an object, found"},
      {"unknown", "{\n \"colour\": 1}", "f.json:2:2: colour: not a setting"},
      {"flags' spelling", "{\"pin-dir\": \"/p\"}", "pin-dir: not a setting"},
      {"detach is no setting", "{\"detach\": true}", "detach: not a setting"},
      {"config is no setting", "{\"config\": \"f\"}", "config: not a setting"},
      {"repeated", "{\"cgroup\": \"/a\",\n\"cgroup\": \"/a\"}",
       "f.json:2:1: cgroup: repeated"},
      {"a number for a string", "{\"cgroup\": 1}",
       "cgroup: expected a string, found"},
      {"a string for a number", "{\"max_uids\": \"1\"}",
       "max_uids: expected a number from 0 to 4294967295, found"},
      {"negative", "{\"max_uids\": -1}", "max_uids: expected a number"},
      {"too large", "{\"max_uids\": 4294967296}",
       "max_uids: expected a number"},
      {"fractional", "{\"max_uids\": 1.5}", "max_uids: expected a number"},
      {"an object", "{\"max_uids\": {\"a\": 1}, \"cgroup\": null}",
       "cgroup: expected a string, found"},
  };
  for (const auto& row : kRows) {
    EXPECT_THAT(ParseSettings(row.text, "f.json"),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(StartsWith("f.json:"), HasSubstr(row.message))))
        << row.name;
  }
  EXPECT_THAT(ParseSettings("{\"a\": 1,\n \"max_rows\": null}", "f.json"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("f.json:1:2: a: not a setting\n"),
                             HasSubstr("f.json:2:2: max_rows: expected"))));
}

TEST(Settings, AnEmptyObjectSetsNothing) {
  EXPECT_THAT(ParseSettings("{} // nothing", "f.json"), IsOk());
}

}  // namespace
}  // namespace netpolicy
