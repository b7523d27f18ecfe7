// SPDX-License-Identifier: Apache-2.0
//
// From the bytes of one request to the bytes of its response: decoding, rights,
// the call, encoding. No socket, no clock.

#ifndef NETPOLICY_NETD_SERVICE_HANDLER_H_
#define NETPOLICY_NETD_SERVICE_HANDLER_H_

#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "clat/clat_interface.h"
#include "libpolicy/engine/charging.h"
#include "libpolicy/engine/policy_interface.h"
#include "netd/service/doctor.h"
#include "netd/service/history.h"
#include "netd/service/peer.h"
#include "netd/service/quotas.h"
#include "netd/usage/usage.h"

namespace netpolicy {

// What became of a request; for the log.
struct CallRecord {
  absl::string_view call = "?";  // "commit", ...; "?": not understood
  absl::Status status;           // as told to the client
  Generation generation{};       // of a commit that was OK, else 0
  bool dry_run = false;
  std::string change;  // of a quota, when that was OK: "set 3"
};

enum class AfterResponse {
  kGoOn,
  kClose,  // the request made no sense, so what follows it can't be trusted
};

struct HandledRequest {
  std::string response;  // an encoded service::Response
  AfterResponse after = AfterResponse::kGoOn;
  CallRecord record;
};

// Not thread-safe.
class RequestHandler {
 public:
  using Doctor = std::function<absl::StatusOr<DoctorReport>()>;

  // `policy` and `history` must outlive the handler. Without a `doctor`, or a
  // `history`, the calls that need it answer kUnimplemented.
  RequestHandler(PolicyInterface& policy, AccessRules rules, Doctor doctor,
                 CommitHistory* history = nullptr)
      : rules_(rules), services_{policy, std::move(doctor), history} {}

  // Who translates between IPv4 and IPv6; must outlive the handler. Without it
  // the call answers kFailedPrecondition.
  void set_clat(clat::ClatInterface* clat) { services_.clat = clat; }

  // Who charges traffic; likewise.
  void set_charging(ChargingService* charging) {
    services_.charging = charging;
  }

  // Who keeps usage; likewise.
  void set_usage(UsageHistory* usage) { services_.usage = usage; }

  // Who keeps quotas; likewise.
  void set_quotas(QuotaKeeper* quotas) { services_.quotas = quotas; }

  // Answers one request of `peer`. The response carries what the policy's
  // method returned, or
  //   kInvalidArgument: not a request, or a field or value that is not known
  //     here; closes
  //   kUnimplemented: no call that is known here
  //   kPermissionDenied: `peer` has no right to it; names the UID and the call
  // `descriptor` is what came with the request, and stays the caller's; with a
  // call that takes none it is kInvalidArgument, and closes.
  HandledRequest Handle(const Peer& peer, absl::string_view request,
                        absl::optional<int> descriptor = absl::nullopt);

  const AccessRules& rules() const { return rules_; }

 private:
  // Whom calls are passed on to; null: nobody.
  struct Services {
    PolicyInterface& policy;
    const Doctor doctor;
    CommitHistory* const history;
    clat::ClatInterface* clat = nullptr;
    ChargingService* charging = nullptr;
    UsageHistory* usage = nullptr;
    QuotaKeeper* quotas = nullptr;
  };
  class Call;

  const AccessRules rules_;
  Services services_;
};

// An encoded response that only says `status`, which is an error.
std::string EncodeErrorResponse(const absl::Status& status);

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_SERVICE_HANDLER_H_
