// SPDX-License-Identifier: Apache-2.0
//
// Whom and what traffic is charged to: the tags of sockets and the counter sets
// of UIDs.
//
//   NP_ASSIGN_OR_RETURN(std::unique_ptr<ChargingInterface> charging,
//                       OpenCharging({}));  // netd/service/open_charging.h
//   NP_RETURN_IF_ERROR(charging->TagSocket(socket, {.tag = 7}));

#ifndef NETPOLICY_LIBPOLICY_ENGINE_CHARGING_H_
#define NETPOLICY_LIBPOLICY_ENGINE_CHARGING_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "libpolicy/model/ids.h"

namespace netpolicy {

// What the traffic of a socket is charged to.
struct SocketTag {
  uint32_t tag = 0;                            // 0: untagged
  absl::optional<Uid> charge = absl::nullopt;  // unset: the socket's owner
};

// Counter sets that a UID's traffic can be split into go up to this one. What
// they mean is up to the caller; Android has these two.
inline constexpr uint32_t kMaxCounterSet = 15;
inline constexpr uint32_t kBackgroundCounterSet = 0;  // of who has none
inline constexpr uint32_t kForegroundCounterSet = 1;

// The counter set that a UID was given.
struct UidCounterSet {
  Uid uid{};
  uint32_t counter_set = 0;

  friend bool operator==(const UidCounterSet&, const UidCounterSet&) = default;
};

// Who can do it: an Engine in this process, or a running netd (netd/service
// Client). All calls are thread-safe and block.
class ChargingInterface {
 public:
  virtual ~ChargingInterface() = default;

  // From now on the traffic of `socket`, and of sockets that it accepts, is
  // charged to the tag; the policy still judges it as its owner's. Takes the
  // place of the tag before, lasts as long as the socket, and needs no cleaning
  // up. The descriptor stays the caller's. A packet that is under way meanwhile
  // may go to either tag. Errors, which change nothing: kInvalidArgument when
  // it is no IPv4 or IPv6 socket, or `charge` no UID; kPermissionDenied when
  // this caller may not charge that UID; kResourceExhausted when the kernel has
  // no memory for it (net.core.optmem_max).
  virtual absl::Status TagSocket(int socket, const SocketTag& tag) = 0;

  // Takes the tag away, so that the owner is charged again; that there is none
  // is no error.
  absl::Status UntagSocket(int socket) { return TagSocket(socket, {}); }

  // From now on what `uid` is charged for goes to this counter set. 0 is the
  // default. Gives the policy a new generation, so that no socket goes on
  // counting for the set before. Errors: kInvalidArgument; kPermissionDenied;
  // kResourceExhausted when more than max_uids UIDs have one.
  virtual absl::Status SetCounterSet(Uid uid, uint32_t counter_set) = 0;

  // Those that are not 0, by UID.
  virtual absl::StatusOr<std::vector<UidCounterSet>> CounterSets() = 0;
};

// For who does it for others, by the policy's permissions.
class ChargingService : public ChargingInterface {
 public:
  // TagSocket() as `caller` may ask for it: whom the socket is then charged to,
  // its owner or tag.charge, is `caller` itself, or the policy lets it charge
  // others (MayCharge() in libpolicy/model/charge.h). So nobody can push his
  // traffic, or traffic that he was charged for, onto somebody else. Errors,
  // beside those: kPermissionDenied.
  virtual absl::Status TagSocketFor(Uid caller, int socket,
                                    const SocketTag& tag) = 0;

  // SetCounterSet() as `caller` may ask for it: the policy lets it charge
  // others. Its own counter set is no exception.
  virtual absl::Status SetCounterSetFor(Uid caller, Uid uid,
                                        uint32_t counter_set) = 0;
};

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_ENGINE_CHARGING_H_
