// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_LIBPOLICY_ENGINE_CHARGING_H_
#define NETPOLICY_LIBPOLICY_ENGINE_CHARGING_H_

#include <cstdint>

#include "absl/types/optional.h"
#include "libpolicy/model/ids.h"

namespace netpolicy {

// What the traffic of a socket is charged to.
struct SocketTag {
  uint32_t tag = 0;                            // 0: untagged
  absl::optional<Uid> charge = absl::nullopt;  // unset: the socket's owner
};

// Counter sets that a UID's traffic can be split into go up to this one. What
// they mean is up to the caller; Android has 0, the default, and 1, the
// foreground.
inline constexpr uint32_t kMaxCounterSet = 15;

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_ENGINE_CHARGING_H_
