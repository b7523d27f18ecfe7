// SPDX-License-Identifier: Apache-2.0
//
// A ChargingService without a kernel, for tests of what stands on one.

#ifndef NETPOLICY_NETD_SERVICE_TESTING_FAKE_CHARGING_H_
#define NETPOLICY_NETD_SERVICE_TESTING_FAKE_CHARGING_H_

#include <sys/stat.h>

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "libpolicy/engine/charging.h"

namespace netpolicy::testing {

// Remembers what it was asked. Not thread-safe.
class FakeCharging : public ChargingService {
 public:
  struct Call {
    absl::optional<Uid> caller;  // unset: who may all
    uint64_t inode = 0;          // of the socket
    SocketTag tag;
    UidCounterSet set;
  };

  // Every call fails with it, unless OK.
  absl::Status error;
  std::vector<UidCounterSet> sets;
  std::vector<Call> calls;

  absl::Status TagSocket(int socket, const SocketTag& tag) override {
    calls.push_back({.caller = absl::nullopt,
                     .inode = InodeOf(socket),
                     .tag = tag,
                     .set = {}});
    return error;
  }
  absl::Status TagSocketFor(Uid caller, int socket,
                            const SocketTag& tag) override {
    calls.push_back(
        {.caller = caller, .inode = InodeOf(socket), .tag = tag, .set = {}});
    return error;
  }
  absl::Status SetCounterSet(Uid uid, uint32_t counter_set) override {
    calls.push_back({.caller = absl::nullopt,
                     .inode = 0,
                     .tag = {},
                     .set = {.uid = uid, .counter_set = counter_set}});
    return error;
  }
  absl::Status SetCounterSetFor(Uid caller, Uid uid,
                                uint32_t counter_set) override {
    calls.push_back({.caller = caller,
                     .inode = 0,
                     .tag = {},
                     .set = {.uid = uid, .counter_set = counter_set}});
    return error;
  }
  absl::StatusOr<std::vector<UidCounterSet>> CounterSets() override {
    if (!error.ok()) return error;
    return sets;
  }

  // What tells an open file from others; 0: it is none.
  static uint64_t InodeOf(int fd) {
    struct stat status = {};
    return fstat(fd, &status) == 0 ? status.st_ino : 0;
  }
};

}  // namespace netpolicy::testing

#endif  // NETPOLICY_NETD_SERVICE_TESTING_FAKE_CHARGING_H_
