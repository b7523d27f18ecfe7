// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_DAEMON_USAGE_RECORDER_H_
#define NETPOLICY_NETD_DAEMON_USAGE_RECORDER_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "libpolicy/engine/policy_interface.h"
#include "netd/daemon/options.h"
#include "netd/service/doctor.h"
#include "netd/usage/usage.h"
#include "netd/usage/usage_store.h"

struct event;
struct event_base;

namespace netpolicy {

// Writes what the kernel counts to the history, in netd's event loop, with its
// log. What can't be written stays in the kernel's counters, and is with the
// next that can.
class UsageRecorder final : public UsageHistory {
 public:
  // `policy` and `base` must outlive it. That the file can't be opened is
  // logged, and tried again. Without `base` nothing is written but by Flush().
  // Errors: kResourceExhausted for memory.
  static absl::StatusOr<std::unique_ptr<UsageRecorder>> Start(
      const DaemonOptions& options, PolicyInterface& policy, event_base* base);

  // Reads the counters and writes what they grew by.
  absl::Status Flush();

  absl::StatusOr<std::vector<UsageRow>> Usage(const UsageQuery& query) override;
  absl::Status ForgetUsage(uint32_t uid) override;

  // Whether the history is being written, for `ndc doctor`.
  DoctorFinding Finding() const;

 private:
  UsageRecorder(const DaemonOptions& options, PolicyInterface& policy)
      : options_(options), policy_(policy) {}
  absl::Status TryFlush();
  static void OnTimer(int, int16_t, void* self);

  struct Free {
    void operator()(event* e) const;
  };
  const DaemonOptions& options_;
  PolicyInterface& policy_;
  std::unique_ptr<UsageStore> store_;  // nullptr: to be opened
  std::string life_;
  std::string boot_;
  absl::Status last_;  // of the last flush
  std::unique_ptr<event, Free> timer_;
};

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_DAEMON_USAGE_RECORDER_H_
