// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_DAEMON_CLAT_SERVICE_H_
#define NETPOLICY_NETD_DAEMON_CLAT_SERVICE_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clat/address_plan.h"
#include "clat/controller.h"
#include "netd/daemon/options.h"

struct event;
struct event_base;

namespace netpolicy {

// Translation between IPv4 and IPv6, in netd's event loop, with its log.
class ClatService {
 public:
  // Takes over what is translated already. To be called before privileges are
  // dropped; `base` must outlive it. Errors: those of Controller::Open().
  static absl::StatusOr<std::unique_ptr<ClatService>> Open(
      const DaemonOptions& options, event_base* base);

  clat::ClatInterface& clat() { return *controller_; }

 private:
  ClatService() = default;
  static void OnReadable(int fd, int16_t what, void* self);

  struct Free {
    void operator()(event* e) const;
  };
  std::unique_ptr<clat::Controller> controller_;
  std::unique_ptr<event, Free> event_;
};

// What netd --detach does of translation: ends it, removes the pins. OK when
// there are none.
absl::Status DetachClat(const DaemonOptions& options);

// The secret that addresses are made of, in a file of 16 bytes that is made
// when it is not there. Errors: kDataLoss when it has another size; the
// system's.
absl::StatusOr<clat::SecretKey> LoadClatSecret(const std::string& path);

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_DAEMON_CLAT_SERVICE_H_
