#include "libpolicy/model/text.h"

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace netpolicy {

absl::string_view ActionName(Action action) {
  return action == Action::kAllow ? "allow" : "deny";
}

absl::string_view PermissionName(Permission permission) {
  return permission == Permission::kGranted ? "granted" : "revoked";
}

absl::string_view SwitchName(Switch value) {
  return value == Switch::kOn ? "on" : "off";
}

absl::string_view ChainSenseName(ChainSense sense) {
  return sense == ChainSense::kAllowlist ? "allowlist" : "denylist";
}

std::vector<UidRange> CompressUids(absl::Span<const Uid> uids) {
  std::vector<UidRange> ranges;
  for (const Uid uid : uids) {
    if (!ranges.empty() && ToInt(ranges.back().last) + 1 == ToInt(uid)) {
      ranges.back().last = uid;
    } else {
      ranges.push_back({uid, uid});
    }
  }
  return ranges;
}

std::string UidRangeName(const UidRange& range) {
  if (range.first == range.last) return absl::StrCat(ToInt(range.first));
  return absl::StrCat(ToInt(range.first), "-", ToInt(range.last));
}

std::string Quote(absl::string_view text) {
  constexpr size_t kLongest = 40;
  const bool cut = text.size() > kLongest;
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, kLongest)),
                      cut ? "...\"" : "\"");
}

}  // namespace netpolicy
