#include "libpolicy/model/settings.h"

#include "absl/strings/str_cat.h"

namespace netpolicy {
namespace {

// AID_APP_START and AID_USER_OFFSET of Android's android_filesystem_config.h,
// AID_DNS with TAG_SYSTEM_DNS of its netd.
constexpr uint32_t kAndroidUidsPerUser = 100000;
constexpr uint32_t kAndroidFirstApp = 10000;
constexpr Resolver kAndroidResolver{Uid{1051}, 0xFFFFFF82};

}  // namespace

Settings SettingsOf(Profile profile) {
  Settings settings;
  if (profile == Profile::kLinux) return settings;
  settings.uids_per_user = kAndroidUidsPerUser;
  settings.exempt_below = kAndroidFirstApp;
  settings.no_owner = NoOwnerRule::kRoot;
  settings.closing_packets = ClosingPackets::kPassAll;
  settings.resolver = kAndroidResolver;
  return settings;
}

absl::Status CheckSettings(const Settings& settings) {
  if (settings.uids_per_user != 0 &&
      settings.exempt_below >= settings.uids_per_user) {
    return absl::InvalidArgumentError(
        absl::StrCat("exempt_below: ", settings.exempt_below,
                     " exempts every uid, as there are ",
                     settings.uids_per_user, " of each user"));
  }
  if (!settings.resolver.has_value()) return absl::OkStatus();
  if (settings.resolver->uid > kMaxUid) {
    return absl::InvalidArgumentError(absl::StrCat(
        "resolver.uid: ", ToInt(settings.resolver->uid), " is not a uid"));
  }
  if (settings.resolver->tag == 0) {
    return absl::InvalidArgumentError("resolver.tag: 0 is no tag");
  }
  return absl::OkStatus();
}

absl::string_view NoOwnerRuleName(NoOwnerRule rule) {
  switch (rule) {
    case NoOwnerRule::kAllow:
      return "allow";
    case NoOwnerRule::kDeny:
      return "deny";
    case NoOwnerRule::kRoot:
      return "root";
  }
  return "unknown";
}

absl::string_view ClosingPacketsName(ClosingPackets closing) {
  switch (closing) {
    case ClosingPackets::kJudged:
      return "judged";
    case ClosingPackets::kPassChains:
      return "pass_chains";
    case ClosingPackets::kPassAll:
      return "pass_all";
  }
  return "unknown";
}

absl::string_view ProfileName(Profile profile) {
  return profile == Profile::kLinux ? "linux" : "android";
}

}  // namespace netpolicy
