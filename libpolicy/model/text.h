#ifndef NETPOLICY_LIBPOLICY_MODEL_TEXT_H_
#define NETPOLICY_LIBPOLICY_MODEL_TEXT_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "libpolicy/model/ids.h"
#include "libpolicy/model/values.h"

// The words of the model: how its values are spelt in documents, dumps and
// messages.

namespace netpolicy {

absl::string_view ActionName(Action action);  // "allow", "deny"
absl::string_view PermissionName(
    Permission permission);                          // "granted", "revoked"
absl::string_view SwitchName(Switch value);          // "off", "on"
absl::string_view ChainSenseName(ChainSense sense);  // "allowlist", "denylist"

// Consecutive UIDs, both ends included.
struct UidRange {
  Uid first{};
  Uid last{};

  friend bool operator==(const UidRange& a, const UidRange& b) {
    return a.first == b.first && a.last == b.last;
  }
};

// The fewest ranges that hold exactly `uids`, which must ascend without
// duplicates.
std::vector<UidRange> CompressUids(absl::Span<const Uid> uids);

// "10007" or "10100-10199".
std::string UidRangeName(const UidRange& range);

// Foreign text for a message: in double quotes, unprintable bytes escaped, cut
// to a length that is safe to print.
std::string Quote(absl::string_view text);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_MODEL_TEXT_H_
