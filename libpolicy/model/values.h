#ifndef NETPOLICY_LIBPOLICY_MODEL_VALUES_H_
#define NETPOLICY_LIBPOLICY_MODEL_VALUES_H_

#include <cstdint>

namespace netpolicy {

// The small words of a policy. text.h has how each is spelt.
enum class Action : uint8_t { kAllow, kDeny };
enum class Permission : uint8_t { kGranted, kRevoked };
enum class Switch : uint8_t { kOff, kOn };

// An allowlist blocks, while it is on, every UID that is not listed; a denylist
// those that are.
enum class ChainSense : uint8_t { kAllowlist, kDenylist };

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_MODEL_VALUES_H_
