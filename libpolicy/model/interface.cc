#include "libpolicy/model/interface.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "libpolicy/model/text.h"

namespace netpolicy {
namespace {

absl::Status Wrong(absl::string_view text, absl::string_view cause) {
  return absl::InvalidArgumentError(absl::StrCat(Quote(text), ": ", cause));
}

// What dev_valid_name() of the kernel lets pass, in printable ASCII and without
// what has a meaning in selectors.
bool IsNameCharacter(char c) {
  return absl::ascii_isgraph(static_cast<unsigned char>(c)) && c != '/' &&
         c != ':' && c != '*' && c != '"' && c != '\\';
}

bool IsAscending(const std::vector<std::string>& names) {
  return std::adjacent_find(names.begin(), names.end(),
                            [](const std::string& a, const std::string& b) {
                              return a >= b;
                            }) == names.end();
}

}  // namespace

absl::Status CheckInterfacePattern(absl::string_view pattern) {
  absl::string_view name = pattern;
  const bool prefix = absl::ConsumeSuffix(&name, "*");
  const bool ok = !name.empty() && name.size() <= kMaxInterfaceNameLength &&
                  name[0] != '@' && (prefix || (name != "." && name != "..")) &&
                  std::all_of(name.begin(), name.end(), IsNameCharacter);
  if (ok) return absl::OkStatus();
  return Wrong(pattern, absl::StrCat("is no name of an interface, of 1 to ",
                                     kMaxInterfaceNameLength,
                                     " characters, and no PREFIX*"));
}

absl::Status CheckClassName(absl::string_view name) {
  const bool ok = !name.empty() && name.size() <= kMaxClassNameLength &&
                  absl::ascii_islower(static_cast<unsigned char>(name[0])) &&
                  std::all_of(name.begin(), name.end(), [](char c) {
                    const auto byte = static_cast<unsigned char>(c);
                    return absl::ascii_islower(byte) ||
                           absl::ascii_isdigit(byte) || c == '_';
                  });
  if (ok) return absl::OkStatus();
  return Wrong(name,
               absl::StrCat("is no class, which is a letter and at most ",
                            kMaxClassNameLength - 1, " of a-z, 0-9 and _"));
}

absl::Status CheckSelector(absl::string_view selector) {
  if (selector == "*") return absl::OkStatus();
  absl::string_view name = selector;
  if (absl::ConsumePrefix(&name, "@")) return CheckClassName(name);
  return CheckInterfacePattern(selector);
}

bool MatchesPattern(absl::string_view pattern, absl::string_view name) {
  if (absl::ConsumeSuffix(&pattern, "*")) {
    return absl::StartsWith(name, pattern);
  }
  return name == pattern;
}

std::vector<std::string> Canonical(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

absl::Status CheckInterface(const Interface& interface) {
  if (absl::Status status = CheckInterfacePattern(interface.name);
      !status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("name: ", status.message()));
  }
  for (size_t i = 0; i < interface.classes.size(); ++i) {
    if (absl::Status status = CheckClassName(interface.classes[i]);
        !status.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("classes[", i, "]: ", status.message()));
    }
  }
  if (!IsAscending(interface.classes)) {
    return absl::InvalidArgumentError("classes: is not in order");
  }
  return absl::OkStatus();
}

absl::Status CheckSelectors(const Selectors& selectors) {
  for (size_t i = 0; i < selectors.size(); ++i) {
    if (absl::Status status = CheckSelector(selectors[i]); !status.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("interfaces[", i, "]: ", status.message()));
    }
  }
  if (!IsAscending(selectors)) {
    return absl::InvalidArgumentError("interfaces: is not in order");
  }
  return absl::OkStatus();
}

}  // namespace netpolicy
