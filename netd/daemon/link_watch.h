// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_DAEMON_LINK_WATCH_H_
#define NETPOLICY_NETD_DAEMON_LINK_WATCH_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libpolicy/engine/engine.h"
#include "libpolicy/kernel/netlink.h"

struct event;
struct event_base;

namespace netpolicy {

// Keeps verdicts true to the names of interfaces, in netd's event loop. The
// programs read a name when they judge; what they keep of open sockets they
// keep by the interface's number. So when an interface that the policy names
// gets another name, appears or goes, the policy gets a new generation, and
// every verdict is found anew. Packets between the change and then meet the
// verdict of the name before.
//
// The first change acts at once; more within kPause act together at its end.
class LinkWatch {
 public:
  static constexpr absl::Duration kPause = absl::Milliseconds(100);

  // Listens in the network namespace of the thread, which must be the engine's.
  // Engine and `base` must outlive it. Errors: the system's.
  static absl::StatusOr<std::unique_ptr<LinkWatch>> Open(Engine& engine,
                                                         event_base* base);

 private:
  explicit LinkWatch(Engine& engine, NetlinkMonitor monitor)
      : engine_(engine), monitor_(std::move(monitor)) {}

  static void OnReadable(int fd, int16_t what, void* self);
  static void OnPauseOver(int fd, int16_t what, void* self);
  absl::Status LookAtAll();
  void Rename(uint32_t ifindex, const std::string& name);
  void Process();
  void Act();

  struct Free {
    void operator()(event* e) const;
  };
  Engine& engine_;
  NetlinkMonitor monitor_;
  std::map<uint32_t, std::string> names_;  // by index
  // Names given or taken since Act().
  std::set<std::string> changed_;
  bool paused_ = false;
  std::unique_ptr<event, Free> readable_;
  std::unique_ptr<event, Free> pause_;
};

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_DAEMON_LINK_WATCH_H_
