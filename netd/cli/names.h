// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_CLI_NAMES_H_
#define NETPOLICY_NETD_CLI_NAMES_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "libpolicy/model/ids.h"

// The names that people use for UIDs and interfaces.

namespace netpolicy::cli {

// Looks names up on this machine. Not thread-safe.
class Names {
 public:
  virtual ~Names() = default;

  // Unset: there is no such user.
  virtual absl::optional<Uid> UidOfUser(absl::string_view name) = 0;
  // Unset: the UID has no name.
  virtual absl::optional<std::string> UserOfUid(Uid uid) = 0;
  // In this process's network namespace. Unset: there is no such interface.
  virtual absl::optional<std::string> InterfaceName(IfIndex ifindex) = 0;
};

// getpwnam_r(3), getpwuid_r(3), if_indextoname(3). The users of more than
// kMaxLookups UIDs are not looked up: a dump of a large policy must not keep a
// directory server busy.
class SystemNames : public Names {
 public:
  static constexpr size_t kMaxLookups = 1000;

  absl::optional<Uid> UidOfUser(absl::string_view name) override;
  absl::optional<std::string> UserOfUid(Uid uid) override;
  absl::optional<std::string> InterfaceName(IfIndex ifindex) override;

 private:
  std::map<Uid, absl::optional<std::string>> users_;
};

// A UID as people write it: a number of 0 to 2^32-2 or the name of a user. What
// is all digits is a number, as in chown(1). Errors: kInvalidArgument.
absl::StatusOr<Uid> ParseUid(absl::string_view text, Names& names);

// As ParseUid(), or "10000-10099": every UID from the first number to the last,
// at most kMaxRange.
inline constexpr uint32_t kMaxRange = 65536;
absl::StatusOr<std::vector<Uid>> ParseUids(absl::string_view text,
                                           Names& names);

// "10007", or "10007 (alice)" for a user, "no owner" for kNoOwner.
std::string UidText(Uid uid, Names& names);

}  // namespace netpolicy::cli

#endif  // NETPOLICY_NETD_CLI_NAMES_H_
