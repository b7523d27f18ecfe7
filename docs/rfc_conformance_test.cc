// SPDX-License-Identifier: Apache-2.0

// Every test that rfc_conformance.md names is there.

#include <cctype>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

namespace netpolicy {
namespace {

std::string Read(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream content;
  EXPECT_TRUE(file.good()) << path;
  content << file.rdbuf();
  return content.str();
}

// The sources of the clauses, with strings of several pieces in one.
std::string Clauses() {
  std::string all;
  for (const auto& entry :
       std::filesystem::directory_iterator("clat/clauses")) {
    if (entry.path().extension() == ".cc") all += Read(entry.path());
  }
  return std::regex_replace(all, std::regex("\"\\s*\n\\s*\""), "");
}

TEST(RfcConformance, EveryRowThatItNamesIsThere) {
  const std::string page = Read("docs/rfc_conformance.md");
  const std::string clauses = Clauses();
  const std::regex code("`([^`]+)`");
  int names = 0;
  for (std::sregex_iterator it(page.begin(), page.end(), code), end; it != end;
       ++it) {
    const std::string name = (*it)[1];
    if (!std::isdigit(static_cast<unsigned char>(name[0])) &&
        !absl::StartsWith(name, "RFC ")) {
      continue;
    }
    ++names;
    // Tables have the section in one place and the rest of the names in rows.
    const std::string rest = name.substr(name.find(' ') + 1);
    EXPECT_TRUE(absl::StrContains(clauses, "\"" + name) ||
                absl::StrContains(clauses, "\"" + rest))
        << name;
  }
  EXPECT_GT(names, 100);
}

TEST(RfcConformance, EveryTestThatItLinksToIsThere) {
  const std::string page = Read("docs/rfc_conformance.md");
  const std::regex link("\\[(\\w+)\\]\\(\\.\\./([^)]+\\.(cc|h))\\)");
  int links = 0;
  for (std::sregex_iterator it(page.begin(), page.end(), link), end; it != end;
       ++it) {
    ++links;
    EXPECT_TRUE(absl::StrContains(Read((*it)[2]), (*it)[1].str()))
        << (*it)[1] << " in " << (*it)[2];
  }
  EXPECT_GT(links, 2);
}

}  // namespace
}  // namespace netpolicy
