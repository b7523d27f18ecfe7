// SPDX-License-Identifier: Apache-2.0
//
// Serves a PolicyInterface on a unix socket (netd/service/service.proto): one
// event loop, no threads. Requests are carried out one after the other, in the
// loop; sending and receiving never blocks it.

#ifndef NETPOLICY_NETD_SERVICE_SERVER_H_
#define NETPOLICY_NETD_SERVICE_SERVER_H_

#include <cstddef>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "netd/service/handler.h"
#include "netd/service/listener.h"
#include "netd/service/peer.h"

struct event_base;

namespace netpolicy {

// What a client may cost. One that goes beyond gets an error response that says
// so, where that is still possible, and is disconnected.
struct ServerLimits {
  // Largest request of those who may change the policy, and of all others.
  size_t change_request_bytes = 16 << 20;
  size_t read_request_bytes = 64 << 10;

  // Connections in all; those of them that only peers who may change can have;
  // and those of any one UID that may not change.
  size_t clients = 64;
  size_t clients_reserved = 16;
  size_t clients_per_uid = 16;

  absl::Duration receive = absl::Seconds(5);  // first to last byte of a request
  absl::Duration send = absl::Seconds(10);    // the whole response
  absl::Duration idle = absl::Minutes(10);    // between requests
  absl::Duration idle_without_rights = absl::Seconds(5);
  absl::Duration drain = absl::Seconds(2);  // as `send`, after Drain()
};

// Told what happens, in the loop; for a log.
class ServerObserver {
 public:
  virtual ~ServerObserver() = default;

  // A request was answered.
  virtual void OnCall(const Peer& peer, const CallRecord& record) = 0;

  // A peer was refused or cut off for something else than a call.
  virtual void OnDropped(const Peer& peer, const absl::Status& why) = 0;

  // Connections can't be accepted for the moment.
  virtual void OnAcceptError(const absl::Status& why) = 0;
};

// Not thread-safe: made, used and destroyed in the thread that runs the loop,
// or while none does. The process must ignore SIGPIPE.
class Server {
 public:
  // Starts to serve; requests are taken when `base` runs. `base`, `handler` and
  // `observer` must outlive the server. Errors: kResourceExhausted.
  static absl::StatusOr<std::unique_ptr<Server>> Start(
      event_base* base, Listener listener, RequestHandler& handler,
      const ServerLimits& limits, ServerObserver& observer);

  virtual ~Server() = default;

  // Takes no more connections and no more requests; calls `drained` (in the
  // loop, or at once) when the responses that are under way have been sent or
  // their time is over.
  virtual void Drain(std::function<void()> drained) = 0;

  // Open connections.
  virtual size_t clients() const = 0;
};

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_SERVICE_SERVER_H_
