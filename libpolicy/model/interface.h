#ifndef NETPOLICY_LIBPOLICY_MODEL_INTERFACE_H_
#define NETPOLICY_LIBPOLICY_MODEL_INTERFACE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "libpolicy/model/values.h"

// Interfaces as a policy names them. Matching is by name, in the network
// namespace of the engine: a named interface need not exist, and one that is
// renamed or made again is meant by its name of the time.

namespace netpolicy {

// What a policy says of the interfaces that a pattern matches. Of several
// patterns that match and say whether it is metered, the name decides before
// the longest prefix; if none says so, it is not. Classes of all of them hold.
struct Interface {
  std::string name;                                // a pattern: NAME or PREFIX*
  absl::optional<Switch> metered = absl::nullopt;  // nothing said of it
  std::vector<std::string> classes;                // ascending, none twice

  friend bool operator==(const Interface&, const Interface&) = default;
};

// A selector stands for a set of interfaces:
//   "tun0"   that one
//   "wwan*"  those whose name begins so
//   "@vpn"   those that the policy gives the class
//   "*"      all, also those that nothing is known of
using Selectors = std::vector<std::string>;  // ascending, none twice

// The longest name of an interface and of a class.
inline constexpr size_t kMaxInterfaceNameLength = 15;
inline constexpr size_t kMaxClassNameLength = 31;

// All return kInvalidArgument `"TEXT": cause`.
absl::Status CheckInterfacePattern(absl::string_view pattern);
absl::Status CheckClassName(absl::string_view name);
absl::Status CheckSelector(absl::string_view selector);

// Whether an interface of that name is one that the pattern means.
bool MatchesPattern(absl::string_view pattern, absl::string_view name);

// In the order that the model keeps them in: ascending, without repetition.
std::vector<std::string> Canonical(std::vector<std::string> names);

// kInvalidArgument `FIELD: cause`.
absl::Status CheckInterface(const Interface& interface);
absl::Status CheckSelectors(const Selectors& selectors);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_MODEL_INTERFACE_H_
