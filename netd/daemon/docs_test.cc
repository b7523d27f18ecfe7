// SPDX-License-Identifier: Apache-2.0
//
// What is written about netd's flags, settings and exit codes is so.

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/status_matchers.h"
#include "netd/daemon/exit_code.h"
#include "netd/daemon/options.h"

namespace netpolicy {
namespace {

using ::netpolicy::testing::IsOk;
using ::testing::HasSubstr;

constexpr char kOperations[] = "docs/operations.md";
constexpr char kManPage[] = "packaging/man/netd.8";
constexpr char kConfiguration[] = "packaging/netd.json";

std::string Read(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  return std::string(std::istreambuf_iterator<char>(file),
                     std::istreambuf_iterator<char>());
}

std::vector<std::string> FlagsOfHelp() {
  const char* argv[] = {"netd", "--help"};
  const absl::StatusOr<DaemonOptions> options = ParseOptions(2, argv);
  EXPECT_THAT(options, IsOk());
  std::vector<std::string> flags;
  if (!options.ok()) return flags;
  for (absl::string_view line : absl::StrSplit(options->text, '\n')) {
    if (!absl::StartsWith(line, "  -")) continue;
    for (absl::string_view word :
         absl::StrSplit(line, absl::ByAnyChar(" ,"), absl::SkipEmpty())) {
      if (absl::StartsWith(word, "--")) flags.emplace_back(word);
    }
  }
  return flags;
}

TEST(Docs, NameEveryFlag) {
  const std::string operations = Read(kOperations);
  const std::vector<std::string> flags = FlagsOfHelp();
  EXPECT_GE(flags.size(), 14u);
  for (const std::string& flag : flags) {
    EXPECT_THAT(operations, HasSubstr(absl::StrCat("`", flag, "`")));
  }
}

TEST(Docs, NameEveryExitCode) {
  const std::string operations = Read(kOperations);
  const std::string page = Read(kManPage);
  for (const ExitCode code :
       {kExitOk, kExitFailure, kExitUsage, kExitRunning, kExitState}) {
    EXPECT_THAT(operations, HasSubstr(absl::StrCat("\n| ", int{code}, " | ")));
    EXPECT_THAT(page, HasSubstr(absl::StrCat("\n.B ", int{code}, "\n")));
  }
}

TEST(Configuration, IsValidAndItsCommentsAreTheDefaults) {
  const std::string text = Read(kConfiguration);
  const absl::StatusOr<DaemonSettings> shipped =
      ParseSettings(text, kConfiguration);
  ASSERT_THAT(shipped, IsOk());
  EXPECT_EQ(shipped->read_group, "netd");

  const absl::StatusOr<DaemonSettings> all = ParseSettings(
      absl::StrReplaceAll(text, {{"  // \"", "  \""}}), kConfiguration);
  ASSERT_THAT(all, IsOk());
  const DaemonOptions defaults;
  EXPECT_TRUE(all->cgroup.has_value());
  EXPECT_TRUE(all->change_group.has_value());
  EXPECT_EQ(all->pin_dir, defaults.engine.pin_dir);
  EXPECT_EQ(all->socket, defaults.socket);
  EXPECT_EQ(all->socket_mode, "0666");
  EXPECT_EQ(defaults.socket_mode, 0666u);
  EXPECT_EQ(all->state, defaults.state);
  EXPECT_EQ(all->max_uids, defaults.engine.max_uids);
  EXPECT_EQ(all->max_rows, defaults.engine.max_rows);
  EXPECT_EQ(all->max_rows_per_uid, defaults.engine.max_rows_per_uid);
  EXPECT_EQ(all->max_uid_rows, defaults.engine.max_uid_rows);
  EXPECT_EQ(all->max_drops, defaults.engine.max_drops);
  EXPECT_EQ(shipped->clat_interfaces, absl::nullopt);
  EXPECT_TRUE(all->clat_interfaces.has_value());
  EXPECT_TRUE(all->clat_prefix.has_value());
  EXPECT_TRUE(all->clat_dns_servers.has_value());
}

}  // namespace
}  // namespace netpolicy
