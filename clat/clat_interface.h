// SPDX-License-Identifier: Apache-2.0
//
// All that can be asked of translation: of a controller in the process, of a
// netd, or of the kernel where there is neither.

#ifndef NETPOLICY_CLAT_CLAT_INTERFACE_H_
#define NETPOLICY_CLAT_CLAT_INTERFACE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clat/change_log.h"
#include "clat/settings.h"
#include "clat/status.h"

namespace netpolicy::clat {

class ClatInterface {
 public:
  virtual ~ClatInterface() = default;

  // Looks after an uplink from now on; translation begins when what it needs is
  // there. Errors: kNotFound when there is no such interface; kInvalidArgument
  // when the settings contradict each other.
  virtual absl::Status Start(const std::string& interface,
                             const UplinkSettings& settings) = 0;

  // Ends translation on an uplink until it is started again. Errors: kNotFound
  // when it is not looked after.
  virtual absl::Status Stop(const std::string& interface) = 0;

  // All uplinks that are looked after, by name.
  virtual absl::StatusOr<std::vector<UplinkStatus>> Uplinks() = 0;

  // The NAT64 prefixes that are known of an interface's network, the best
  // first; with a controller in between those it has heard of, else asks for
  // them, which may take seconds. Errors: kNotFound when there is no such
  // interface.
  virtual absl::StatusOr<std::vector<DiscoveredPrefix>> Discover(
      const std::string& interface) = 0;

  // What changed after the change number `seen` (clat/change_log.h). Returns at
  // once; ask again for what comes. Errors: kFailedPrecondition where nobody
  // remembers.
  virtual absl::StatusOr<Changes> ChangesAfter(uint64_t seen) = 0;
};

}  // namespace netpolicy::clat

#endif  // NETPOLICY_CLAT_CLAT_INTERFACE_H_
