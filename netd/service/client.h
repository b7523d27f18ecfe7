// SPDX-License-Identifier: Apache-2.0
//
// A running netd as a PolicyInterface.
//
//   NP_ASSIGN_OR_RETURN(std::unique_ptr<Client> netd,
//                       Client::Connect(kDefaultSocketPath,
//                       absl::Seconds(10)));
//   NP_ASSIGN_OR_RETURN(PolicySnapshot policy, netd->GetPolicy());

#ifndef NETPOLICY_NETD_SERVICE_CLIENT_H_
#define NETPOLICY_NETD_SERVICE_CLIENT_H_

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "clat/clat_interface.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/engine/charging.h"
#include "libpolicy/engine/policy_interface.h"
#include "netd/service/doctor.h"
#include "netd/service/history.h"
#include "netd/service/quotas.h"
#include "netd/usage/usage.h"

namespace netpolicy {

namespace service {
class Request;
class Response;
}  // namespace service

// Where netd serves and clients look, unless told otherwise.
inline constexpr char kDefaultSocketPath[] = "/run/netd/netd.sock";

// One connection to netd. Every call blocks, at most for the deadline given to
// Connect(). Thread-safe: calls of several threads follow each other.
//
// Errors of the policy itself arrive as the Engine gave them. In addition each
// call can fail with, naming the socket,
//   kUnavailable: netd isn't there, or went away
//   kDeadlineExceeded: no answer in time
//   kPermissionDenied: the socket may not be opened; or, from netd, the
//   caller's
//     UID has no right to the call
//   kResourceExhausted: from netd: too many clients, or the request is too
//   large kInternal: the answer makes no sense
//
// When netd was restarted, or closed the connection because it was idle, the
// next call connects again by itself. A call that was already sent is sent a
// second time only if that can't do harm; a commit whose answer is lost fails
// with kUnavailable ("... whether it took effect is not known"): get the policy
// to see, or commit with expected_generation, which can be repeated safely.
// After kDeadlineExceeded of a commit it is not known either.
class Client final : public PolicyInterface,
                     public CommitHistory,
                     public clat::ClatInterface,
                     public ChargingInterface,
                     public UsageHistory,
                     public QuotaKeeper {
 public:
  // Connects within `deadline`, which then also holds for each call.
  static absl::StatusOr<std::unique_ptr<Client>> Connect(
      absl::string_view socket_path, absl::Duration deadline);

  absl::StatusOr<PolicySnapshot> GetPolicy() override;
  absl::StatusOr<CommitResult> Commit(const Transaction& transaction,
                                      const CommitOptions& options) override;
  absl::StatusOr<Explanation> Explain(const ExplainQuery& query) override;
  absl::StatusOr<StatsSnapshot> Stats() override;
  absl::StatusOr<Refusals> Refused(Uid uid, uint32_t max_peers) override;
  absl::StatusOr<EngineStatus> Status() override;

  absl::StatusOr<CommitLogSnapshot> Log() override;
  absl::StatusOr<PolicySnapshot> PolicyAt(Generation generation) override;

  // What netd finds of the machine it runs on.
  absl::StatusOr<DoctorReport> Doctor();

  // Translation between IPv4 and IPv6, as netd looks after it. Errors:
  // kFailedPrecondition when it doesn't.
  absl::Status Start(const std::string& interface,
                     const clat::UplinkSettings& settings) override;
  absl::Status Stop(const std::string& interface) override;
  absl::StatusOr<std::vector<clat::UplinkStatus>> Uplinks() override;
  absl::StatusOr<std::vector<clat::DiscoveredPrefix>> Discover(
      const std::string& interface) override;
  absl::StatusOr<clat::Changes> ChangesAfter(uint64_t seen) override;

  // Charges the socket by handing netd a copy of its descriptor, which netd
  // closes again. Whom this process may charge: ChargingService.
  absl::Status TagSocket(int socket, const SocketTag& tag) override;
  absl::Status SetCounterSet(Uid uid, uint32_t counter_set) override;
  absl::StatusOr<std::vector<UidCounterSet>> CounterSets() override;

  absl::StatusOr<std::vector<UsageRow>> Usage(const UsageQuery& query) override;
  absl::Status ForgetUsage(uint32_t uid) override;

  absl::StatusOr<QuotaId> SetQuota(const QuotaDefinition& definition) override;
  absl::Status RemoveQuota(QuotaId id) override;
  absl::Status ResetQuota(QuotaId id) override;
  absl::StatusOr<std::vector<Quota>> Quotas() override;
  absl::StatusOr<QuotaAlerts> Alerts() override;
  absl::Status AcknowledgeAlerts(uint64_t number) override;

 private:
  // Whether a call may be sent again after its answer was lost.
  enum class Repeat { kSafe, kUnsafe };

  // What became of one attempt at a call.
  enum class Attempt {
    kDone,      // answered, or failed for good
    kNotSent,   // the connection was gone before the request was complete
    kNoAnswer,  // the request went out; the connection ended without an answer
  };

  Client(std::string path, absl::Duration deadline)
      : path_(std::move(path)), deadline_(deadline) {}

  absl::StatusOr<service::Response> Call(const service::Request& request,
                                         absl::string_view name, Repeat repeat,
                                         int descriptor = -1);
  Attempt Try(absl::string_view frame, int descriptor,
              std::chrono::steady_clock::time_point deadline,
              absl::string_view name, absl::Status& status,
              service::Response& response);
  absl::Status EnsureConnected(std::chrono::steady_clock::time_point deadline);

  const std::string path_;
  const absl::Duration deadline_;
  std::timed_mutex mutex_;
  UniqueFd fd_;  // guarded by mutex_
};

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_SERVICE_CLIENT_H_
