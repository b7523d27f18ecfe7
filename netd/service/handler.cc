// SPDX-License-Identifier: Apache-2.0

#include "netd/service/handler.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"
#include "netd/service/charging_wire.h"
#include "netd/service/clat_wire.h"
#include "netd/service/quota_wire.h"
#include "netd/service/refused_wire.h"
#include "netd/service/service.pb.h"
#include "netd/service/usage_wire.h"
#include "netd/service/wire.h"

namespace netpolicy {
namespace {

absl::string_view CallName(const service::Request& request) {
  switch (request.call_case()) {
    case service::Request::kGetPolicy:
      return "get_policy";
    case service::Request::kCommit:
      return "commit";
    case service::Request::kExplain:
      return "explain";
    case service::Request::kStats:
      return "stats";
    case service::Request::kStatus:
      return "status";
    case service::Request::kDoctor:
      return "doctor";
    case service::Request::kTagSocket:
      return "tag_socket";
    case service::Request::kCounterSet:
      return "counter_set";
    case service::Request::kClat:
      return "clat";
    case service::Request::kLog:
      return "log";
    case service::Request::kRefused:
      return "refused";
    case service::Request::kQuota:
      return "quota";
    case service::Request::kUsage:
      return "usage";
    case service::Request::CALL_NOT_SET:
      break;
  }
  return "?";
}

bool IsDryRun(const service::Request& request) {
  return request.has_commit() &&
         request.commit().mode() == service::CommitRequest::MODE_DRY_RUN;
}

// What only looks is for those who may read. Whom a caller may charge is for
// the policy to say.
Right RightNeeded(const service::Request& request) {
  if (request.has_tag_socket() ||
      (request.has_counter_set() && SetsCounterSet(request.counter_set()))) {
    return Right::kNone;
  }
  if (request.has_clat()) {
    const auto operation = request.clat().operation();
    return operation == service::ClatRequest::OPERATION_START ||
                   operation == service::ClatRequest::OPERATION_STOP
               ? Right::kChange
               : Right::kRead;
  }
  if (request.has_quota()) {
    const auto operation = request.quota().operation();
    return operation == service::QuotaRequest::OPERATION_LIST ||
                   operation == service::QuotaRequest::OPERATION_ALERTS
               ? Right::kRead
               : Right::kChange;
  }
  if (request.has_usage() && request.usage().has_forget_uid()) {
    return Right::kChange;
  }
  return request.has_commit() && !IsDryRun(request) ? Right::kChange
                                                    : Right::kRead;
}

absl::Status CheckRight(const Peer& peer, const AccessRules& rules,
                        const service::Request& request) {
  const Right needed = RightNeeded(request);
  const Right right = RightOf(peer, rules);
  if (right >= needed) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat(
      "call ", CallName(request), ": uid ", peer.uid, " may not ",
      RightName(needed),
      right == Right::kNone ? "" : absl::StrCat(", only ", RightName(right))));
}

absl::StatusOr<service::Request> Decode(absl::string_view bytes) {
  service::Request request;
  if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::InvalidArgumentError(
        absl::StrCat("decode request: ", bytes.size(),
                     " bytes are not a message of this protocol"));
  }
  return request;
}

}  // namespace

// One request, and what becomes of it.
class RequestHandler::Call {
 public:
  Call(const Services& services, const Peer& peer, const ChargingCaller& caller,
       absl::optional<int> descriptor, const service::Request& request,
       service::Response& response, CallRecord& record)
      : services_(services),
        peer_(peer),
        caller_(caller),
        descriptor_(descriptor),
        request_(request),
        response_(response),
        record_(record) {}

  absl::Status Run() {
    switch (request_.call_case()) {
      case service::Request::kGetPolicy:
        return GetPolicy();
      case service::Request::kCommit:
        return Commit();
      case service::Request::kExplain:
        return Explain();
      case service::Request::kStats:
        return Stats();
      case service::Request::kStatus:
        return Status();
      case service::Request::kDoctor:
        return Doctor();
      case service::Request::kTagSocket:
        return TagSocket();
      case service::Request::kCounterSet:
        return CounterSet();
      case service::Request::kClat:
        return Clat();
      case service::Request::kLog:
        return Log();
      case service::Request::kRefused:
        return Refused();
      case service::Request::kQuota:
        return Quota();
      case service::Request::kUsage:
        return Usage();
      case service::Request::CALL_NOT_SET:
        break;
    }
    return absl::InternalError("call ?: not dispatched");
  }

 private:
  absl::Status GetPolicy() {
    if (request_.get_policy().has_generation()) return GetPolicyAt();
    NP_ASSIGN_OR_RETURN(const PolicySnapshot snapshot,
                        services_.policy.GetPolicy());
    *response_.mutable_get_policy() = ToWire(snapshot);
    return absl::OkStatus();
  }

  absl::Status GetPolicyAt() {
    if (services_.history == nullptr) return NotServed();
    NP_ASSIGN_OR_RETURN(const PolicySnapshot snapshot,
                        services_.history->PolicyAt(
                            Generation{request_.get_policy().generation()}));
    *response_.mutable_get_policy() = ToWire(snapshot);
    return absl::OkStatus();
  }

  absl::Status Log() {
    if (services_.history == nullptr) return NotServed();
    NP_ASSIGN_OR_RETURN(const CommitLogSnapshot log, services_.history->Log());
    *response_.mutable_log() = ToWire(log);
    return absl::OkStatus();
  }

  absl::Status Refused() {
    NP_ASSIGN_OR_RETURN(*response_.mutable_refused(),
                        RunRefused(request_.refused(), services_.policy));
    return absl::OkStatus();
  }

  absl::Status NotServed() {
    return absl::UnimplementedError(
        absl::StrCat("call ", record_.call, ": not served here"));
  }

  absl::Status Commit() {
    NP_ASSIGN_OR_RETURN(CommitCall call, FromWire(request_.commit()));
    call.options.author = CommitAuthor{
        .uid = peer_.uid, .pid = peer_.pid, .command = peer_.command};
    NP_ASSIGN_OR_RETURN(
        const CommitResult result,
        services_.policy.Commit(call.transaction, call.options));
    *response_.mutable_commit() = ToWire(result);
    record_.generation = result.generation;
    return absl::OkStatus();
  }

  absl::Status Explain() {
    NP_ASSIGN_OR_RETURN(const ExplainQuery query, FromWire(request_.explain()));
    NP_ASSIGN_OR_RETURN(const Explanation explanation,
                        services_.policy.Explain(query));
    *response_.mutable_explain() = ToWire(explanation);
    return absl::OkStatus();
  }

  absl::Status Stats() {
    NP_ASSIGN_OR_RETURN(const StatsSnapshot stats, services_.policy.Stats());
    *response_.mutable_stats() = ToWire(stats);
    return absl::OkStatus();
  }

  absl::Status Status() {
    NP_ASSIGN_OR_RETURN(const EngineStatus status, services_.policy.Status());
    *response_.mutable_status() = ToWire(status);
    return absl::OkStatus();
  }

  absl::Status Doctor() {
    if (!services_.doctor) return NotServed();
    NP_ASSIGN_OR_RETURN(const DoctorReport report, services_.doctor());
    *response_.mutable_doctor() = ToWire(report);
    return absl::OkStatus();
  }

  absl::Status Clat() {
    if (services_.clat == nullptr) {
      return absl::FailedPreconditionError(
          "call clat: this netd does not translate (clat_interfaces is not "
          "set)");
    }
    NP_ASSIGN_OR_RETURN(*response_.mutable_clat(),
                        RunClat(request_.clat(), *services_.clat));
    return absl::OkStatus();
  }

  absl::Status TagSocket() {
    if (services_.charging == nullptr) return NotServed();
    NP_RETURN_IF_ERROR(RunTagSocket(request_.tag_socket(), descriptor_, caller_,
                                    *services_.charging));
    response_.mutable_tag_socket();
    return absl::OkStatus();
  }

  absl::Status CounterSet() {
    if (services_.charging == nullptr) return NotServed();
    NP_ASSIGN_OR_RETURN(
        *response_.mutable_counter_set(),
        RunCounterSet(request_.counter_set(), caller_, *services_.charging));
    return absl::OkStatus();
  }

  absl::Status Quota() {
    if (services_.quotas == nullptr) return NotServed();
    NP_ASSIGN_OR_RETURN(*response_.mutable_quota(),
                        RunQuota(request_.quota(), *services_.quotas));
    switch (request_.quota().operation()) {
      case service::QuotaRequest::OPERATION_SET:
        record_.change = absl::StrCat("set ", response_.quota().id());
        break;
      case service::QuotaRequest::OPERATION_REMOVE:
        record_.change = absl::StrCat("remove ", request_.quota().id());
        break;
      case service::QuotaRequest::OPERATION_RESET:
        record_.change = absl::StrCat("reset ", request_.quota().id());
        break;
      default:
        break;
    }
    return absl::OkStatus();
  }

  absl::Status Usage() {
    if (services_.usage == nullptr) {
      return absl::FailedPreconditionError(
          "call usage: this netd keeps no history (usage_seconds is 0)");
    }
    NP_ASSIGN_OR_RETURN(*response_.mutable_usage(),
                        RunUsage(request_.usage(), *services_.usage));
    return absl::OkStatus();
  }

  const Services& services_;
  const Peer& peer_;
  const ChargingCaller& caller_;
  const absl::optional<int> descriptor_;
  const service::Request& request_;
  service::Response& response_;
  CallRecord& record_;
};

HandledRequest RequestHandler::Handle(const Peer& peer, absl::string_view bytes,
                                      absl::optional<int> descriptor) {
  HandledRequest handled;
  const absl::StatusOr<service::Request> request = Decode(bytes);
  if (!request.ok()) {
    handled.record.status = request.status();
    handled.response = EncodeErrorResponse(request.status());
    handled.after = AfterResponse::kClose;
    return handled;
  }
  CallRecord& record = handled.record;
  record.call = CallName(*request);
  record.dry_run = IsDryRun(*request);

  service::Response response;
  if (request->call_case() == service::Request::CALL_NOT_SET) {
    record.status = absl::UnimplementedError(
        "decode request: it names no call that this netd knows");
    handled.after = AfterResponse::kClose;
  } else if (absl::Status known = CheckKnown(*request); !known.ok()) {
    record.status = std::move(known);
    handled.after = AfterResponse::kClose;
  } else if (descriptor.has_value() && !request->has_tag_socket()) {
    record.status = absl::InvalidArgumentError(
        absl::StrCat("call ", record.call,
                     ": a descriptor came with it, and it takes none"));
    handled.after = AfterResponse::kClose;
  } else if (absl::Status right = CheckRight(peer, rules_, *request);
             !right.ok()) {
    record.status = std::move(right);
  } else {
    const ChargingCaller caller = {
        .uid = Uid{peer.uid},
        .authority = RightOf(peer, rules_) == Right::kChange
                         ? ChargingCaller::Authority::kAll
                         : ChargingCaller::Authority::kByPolicy};
    record.status =
        Call(services_, peer, caller, descriptor, *request, response, record)
            .Run();
  }
  if (!record.status.ok()) {
    handled.response = EncodeErrorResponse(record.status);
  } else {
    handled.response = response.SerializeAsString();
  }
  return handled;
}

std::string EncodeErrorResponse(const absl::Status& status) {
  service::Response response;
  StatusToWire(status, response);
  return response.SerializeAsString();
}

}  // namespace netpolicy
