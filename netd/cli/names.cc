// SPDX-License-Identifier: Apache-2.0

#include "netd/cli/names.h"

#include <net/if.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "libpolicy/model/text.h"
#include "netd/cli/text_table.h"

namespace netpolicy::cli {
namespace {

// A user database entry may be any size; beyond this it is no use to us.
constexpr size_t kMaxPasswdBytes = size_t{1} << 20;

// `call` is getpwnam_r or getpwuid_r with the key bound.
template <typename Call>
absl::optional<passwd> Look(Call call, std::vector<char>& buffer) {
  const long hint = sysconf(_SC_GETPW_R_SIZE_MAX);
  buffer.resize(hint > 0 ? hint : 1024);
  for (;;) {
    passwd entry;
    passwd* found = nullptr;
    const int error = call(&entry, buffer.data(), buffer.size(), &found);
    if (error == ERANGE && buffer.size() < kMaxPasswdBytes) {
      buffer.resize(buffer.size() * 2);
      continue;
    }
    if (error == EINTR) continue;
    if (error != 0 || found == nullptr) return absl::nullopt;
    return entry;
  }
}

bool IsNumber(absl::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
}

absl::StatusOr<Uid> ParseNumber(absl::string_view text) {
  uint32_t number = 0;
  if (!absl::SimpleAtoi(text, &number) || Uid{number} > kMaxUid) {
    return absl::InvalidArgumentError(
        absl::StrCat("uid ", text, ": beyond ", ToInt(kMaxUid)));
  }
  return Uid{number};
}

}  // namespace

absl::optional<Uid> SystemNames::UidOfUser(absl::string_view name) {
  const std::string key(name);
  std::vector<char> buffer;
  const absl::optional<passwd> entry = Look(
      [&](passwd* out, char* data, size_t size, passwd** found) {
        return getpwnam_r(key.c_str(), out, data, size, found);
      },
      buffer);
  if (!entry.has_value()) return absl::nullopt;
  return Uid{entry->pw_uid};
}

absl::optional<std::string> SystemNames::UserOfUid(Uid uid) {
  if (const auto it = users_.find(uid); it != users_.end()) return it->second;
  if (users_.size() >= kMaxLookups) return absl::nullopt;
  absl::optional<std::string>& user = users_[uid];
  std::vector<char> buffer;
  const absl::optional<passwd> entry = Look(
      [&](passwd* out, char* data, size_t size, passwd** found) {
        return getpwuid_r(ToInt(uid), out, data, size, found);
      },
      buffer);
  if (entry.has_value()) user = entry->pw_name;
  return user;
}

absl::optional<std::string> SystemNames::InterfaceName(IfIndex ifindex) {
  char name[IF_NAMESIZE];
  if (if_indextoname(ToInt(ifindex), name) == nullptr) return absl::nullopt;
  return std::string(name);
}

absl::StatusOr<Uid> ParseUid(absl::string_view text, Names& names) {
  if (IsNumber(text)) return ParseNumber(text);
  const absl::optional<Uid> uid =
      text.empty() ? absl::nullopt : names.UidOfUser(text);
  if (!uid.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("uid ", Quote(text), ": no such user"));
  }
  return *uid;
}

absl::StatusOr<std::vector<Uid>> ParseUids(absl::string_view text,
                                           Names& names) {
  const size_t dash = text.find('-');
  // User names may have a dash, too.
  if (dash == absl::string_view::npos || !IsNumber(text.substr(0, dash)) ||
      !IsNumber(text.substr(dash + 1))) {
    const absl::StatusOr<Uid> uid = ParseUid(text, names);
    if (!uid.ok()) return uid.status();
    return std::vector<Uid>{*uid};
  }
  const absl::StatusOr<Uid> first = ParseNumber(text.substr(0, dash));
  if (!first.ok()) return first.status();
  const absl::StatusOr<Uid> last = ParseNumber(text.substr(dash + 1));
  if (!last.ok()) return last.status();
  if (*last < *first) {
    return absl::InvalidArgumentError(
        absl::StrCat("uids ", text, ": the last is below the first"));
  }
  if (ToInt(*last) - ToInt(*first) >= kMaxRange) {
    return absl::InvalidArgumentError(
        absl::StrCat("uids ", text, ": more than ", kMaxRange));
  }
  std::vector<Uid> uids;
  for (uint32_t uid = ToInt(*first); uid <= ToInt(*last); ++uid) {
    uids.push_back(Uid{uid});
  }
  return uids;
}

std::string UidText(Uid uid, Names& names) {
  if (uid == kNoOwner) return "no owner";
  const absl::optional<std::string> user = names.UserOfUid(uid);
  return user.has_value()
             ? absl::StrCat(ToInt(uid), " (", Printable(*user), ")")
             : absl::StrCat(ToInt(uid));
}

}  // namespace netpolicy::cli
