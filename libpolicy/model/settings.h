#ifndef NETPOLICY_LIBPOLICY_MODEL_SETTINGS_H_
#define NETPOLICY_LIBPOLICY_MODEL_SETTINGS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "libpolicy/model/ids.h"

// How a machine's UIDs and packets are to be understood: what is so on a phone
// is not so on a gateway.

namespace netpolicy {

// What becomes of packets that belong to no application's socket.
enum class NoOwnerRule : uint8_t {
  kAllow,  // pass, but for ingress discard
  kDeny,   // are refused: reason no_owner
  kRoot,   // are judged, and charged, as UID 0
};

// Which rules ESP, TCP RST and incoming FIN meet, so that an application that
// is blocked can still close its connections.
enum class ClosingPackets : uint8_t {
  kJudged,      // all, as any other packet
  kPassChains,  // interface rules, lockdown and ingress discard only
  kPassAll,     // none
};

// The system's resolver, whose sockets for applications pass interface rules
// and lockdown: those of this UID with this tag.
struct Resolver {
  Uid uid{};
  uint32_t tag = 0;  // never 0

  friend bool operator==(const Resolver&, const Resolver&) = default;
};

// Default-constructed: those of profile linux.
struct Settings {
  // The app id of a UID is its remainder by this, 0: the UID itself. Exemption
  // and the permission to make sockets go by app id.
  uint32_t uids_per_user = 0;
  uint32_t exempt_below = 0;  // packets of app ids below it are not judged
  NoOwnerRule no_owner = NoOwnerRule::kAllow;
  ClosingPackets closing_packets = ClosingPackets::kPassChains;
  absl::optional<Resolver> resolver;

  friend bool operator==(const Settings&, const Settings&) = default;
};

// All settings at once.
enum class Profile : uint8_t {
  kLinux,    // what is right where every UID may be anybody's
  kAndroid,  // what Android does: uids_per_user 100000, exempt_below 10000,
             // no_owner root, closing_packets pass_all, and its resolver
};
Settings SettingsOf(Profile profile);

// kInvalidArgument `FIELD: cause` for settings that make no sense.
absl::Status CheckSettings(const Settings& settings);

absl::string_view NoOwnerRuleName(NoOwnerRule rule);  // "allow"...
absl::string_view ClosingPacketsName(
    ClosingPackets closing);                     // "judged", "pass_chains"...
absl::string_view ProfileName(Profile profile);  // "linux", "android"

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_MODEL_SETTINGS_H_
