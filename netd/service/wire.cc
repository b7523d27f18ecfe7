// SPDX-License-Identifier: Apache-2.0

#include "netd/service/wire.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/model/wire.h"

namespace netpolicy {
namespace {

absl::Status Missing(absl::string_view field) {
  return absl::InvalidArgumentError(absl::StrCat(
      "decode ", field, ": missing, or a value that is not known"));
}

// A value that is not known is among the fields that are not known.
template <typename Message>
absl::Status CheckNoUnknownFields(absl::string_view name,
                                  const Message& message) {
  if (message.unknown_fields().empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("decode ", name,
                   ": it has fields or values that this netd does not know"));
}

absl::Status MakeStatus(uint32_t code, const std::string& message) {
  if (code == 0) return absl::OkStatus();
  const auto largest =
      static_cast<uint32_t>(absl::StatusCode::kUnauthenticated);
  if (code > largest) return absl::UnknownError(message);
  return absl::Status(static_cast<absl::StatusCode>(code), message);
}

service::Direction ToWire(Direction direction) {
  return static_cast<service::Direction>(direction);
}

Direction FromWire(service::Direction direction) {
  return static_cast<Direction>(direction);
}
static_assert(static_cast<int>(Direction::kIngress) ==
              service::DIRECTION_INGRESS);
static_assert(static_cast<int>(Direction::kEgress) ==
              service::DIRECTION_EGRESS);
static_assert(static_cast<int>(Direction::kSocketCreate) ==
              service::DIRECTION_SOCKET_CREATE);
static_assert(static_cast<int>(Direction::kConnect) ==
              service::DIRECTION_CONNECT);
static_assert(static_cast<int>(Direction::kBind) == service::DIRECTION_BIND);

static_assert(static_cast<int>(PacketKind::kTcpReset) ==
              service::ExplainRequest::PACKET_KIND_TCP_RESET);
static_assert(static_cast<int>(PacketKind::kTcpFin) ==
              service::ExplainRequest::PACKET_KIND_TCP_FIN);
static_assert(static_cast<int>(PacketKind::kIcmp6Control) ==
              service::ExplainRequest::PACKET_KIND_ICMP6_CONTROL);

service::Counters ToWire(const TrafficCounters& counters) {
  service::Counters message;
  message.set_packets(counters.packets);
  message.set_bytes(counters.bytes);
  message.set_skbs(counters.skbs);
  message.set_skb_bytes(counters.skb_bytes);
  return message;
}

TrafficCounters FromWire(const service::Counters& message) {
  return {.packets = message.packets(),
          .bytes = message.bytes(),
          .skbs = message.skbs(),
          .skb_bytes = message.skb_bytes()};
}

service::Loss ToWire(const LossCounter& loss) {
  service::Loss message;
  message.set_name(loss.name);
  message.set_count(loss.count);
  return message;
}

LossCounter FromWire(const service::Loss& message) {
  return {.name = message.name(), .count = message.count()};
}

service::ExplainResponse::Verdict ToWire(const ExplainedVerdict& verdict) {
  service::ExplainResponse::Verdict message;
  message.set_direction(ToWire(verdict.direction));
  for (const ExplainedReason& reason : verdict.reasons) {
    service::ExplainResponse::Reason& added = *message.add_reasons();
    added.set_number(static_cast<uint32_t>(reason.number));
    added.set_name(reason.name);
    added.set_detail(reason.detail);
  }
  return message;
}

absl::StatusOr<ExplainedVerdict> FromWire(
    const service::ExplainResponse::Verdict& message) {
  if (!message.has_direction()) return Missing("verdict.direction");
  ExplainedVerdict verdict;
  verdict.direction = FromWire(message.direction());
  for (const service::ExplainResponse::Reason& reason : message.reasons()) {
    verdict.reasons.push_back({.number = static_cast<int>(reason.number()),
                               .name = reason.name(),
                               .detail = reason.detail()});
  }
  return verdict;
}

service::StatsResponse::Row ToWire(const StatsRow& row) {
  service::StatsResponse::Row message;
  message.set_uid(ToInt(row.uid));
  message.set_tag(row.tag);
  message.set_counter_set(row.counter_set);
  message.set_ifindex(ToInt(row.ifindex));
  *message.mutable_rx() = ToWire(row.rx);
  *message.mutable_tx() = ToWire(row.tx);
  return message;
}

StatsRow FromWire(const service::StatsResponse::Row& message) {
  return {.uid = Uid{message.uid()},
          .tag = message.tag(),
          .counter_set = message.counter_set(),
          .ifindex = IfIndex{message.ifindex()},
          .rx = FromWire(message.rx()),
          .tx = FromWire(message.tx())};
}

service::StatsResponse::Drop ToWire(const DropRow& row) {
  service::StatsResponse::Drop message;
  message.set_uid(ToInt(row.uid));
  message.set_direction(ToWire(row.direction));
  message.set_reasons(row.reasons.bits());
  for (const std::string& name : row.reason_names) {
    message.add_reason_names(name);
  }
  message.set_packets(row.packets);
  message.set_bytes(row.bytes);
  return message;
}

absl::StatusOr<DropRow> FromWire(const service::StatsResponse::Drop& message) {
  if (!message.has_direction()) return Missing("drop.direction");
  DropRow row;
  row.uid = Uid{message.uid()};
  row.direction = FromWire(message.direction());
  row.reasons = ReasonSet(message.reasons());
  row.reason_names = {message.reason_names().begin(),
                      message.reason_names().end()};
  row.packets = message.packets();
  row.bytes = message.bytes();
  return row;
}

}  // namespace

service::CommitRequest ToWire(const Transaction& transaction,
                              const CommitOptions& options) {
  service::CommitRequest message;
  *message.mutable_transaction() = ToProto(transaction);
  if (options.expected_generation.has_value()) {
    message.set_expected_generation(ToInt(*options.expected_generation));
  }
  message.set_fence(options.fence == Fence::kWait
                        ? service::CommitRequest::FENCE_WAIT
                        : service::CommitRequest::FENCE_NONE);
  message.set_mode(options.mode == CommitMode::kDryRun
                       ? service::CommitRequest::MODE_DRY_RUN
                       : service::CommitRequest::MODE_APPLY);
  if (options.close_sockets == CloseSockets::kNewlyBlocked) {
    message.set_close_sockets(
        service::CommitRequest::CLOSE_SOCKETS_NEWLY_BLOCKED);
  }
  return message;
}

absl::StatusOr<CommitCall> FromWire(const service::CommitRequest& message) {
  if (!message.has_transaction()) return Missing("commit.transaction");
  CommitCall call;
  NP_ASSIGN_OR_RETURN(call.transaction, FromProto(message.transaction()));
  if (message.has_expected_generation()) {
    call.options.expected_generation =
        Generation{message.expected_generation()};
  }
  call.options.fence = message.fence() == service::CommitRequest::FENCE_WAIT
                           ? Fence::kWait
                           : Fence::kNone;
  call.options.mode = message.mode() == service::CommitRequest::MODE_DRY_RUN
                          ? CommitMode::kDryRun
                          : CommitMode::kApply;
  call.options.close_sockets =
      message.close_sockets() ==
              service::CommitRequest::CLOSE_SOCKETS_NEWLY_BLOCKED
          ? CloseSockets::kNewlyBlocked
          : CloseSockets::kNone;
  return call;
}

service::ExplainRequest ToWire(const ExplainQuery& query) {
  service::ExplainRequest message;
  message.set_uid(ToInt(query.uid));
  message.set_interface(query.interface);
  if (query.direction.has_value()) {
    message.set_direction(ToWire(*query.direction));
  }
  if (query.remote.has_value()) {
    message.set_remote(query.remote->data(), query.remote->size());
  }
  if (query.local.has_value()) {
    message.set_local(query.local->data(), query.local->size());
  }
  if (query.protocol != 0) message.set_protocol(query.protocol);
  if (query.remote_port.has_value()) {
    message.set_remote_port(*query.remote_port);
  }
  if (query.local_port.has_value()) message.set_local_port(*query.local_port);
  if (query.metered.has_value()) {
    message.set_metered(*query.metered == Switch::kOn);
  }
  if (query.kind != PacketKind::kOrdinary) {
    message.set_kind(
        static_cast<service::ExplainRequest::PacketKind>(query.kind));
  }
  if (query.tag != 0) message.set_tag(query.tag);
  return message;
}

namespace {

absl::Status GetAddress(absl::string_view field, const std::string& bytes,
                        absl::optional<AddressBytes>& address) {
  if (bytes.size() != sizeof(AddressBytes)) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": ", bytes.size(), " bytes are no address"));
  }
  address.emplace();
  std::copy(bytes.begin(), bytes.end(), address->begin());
  return absl::OkStatus();
}

absl::Status GetPort(absl::string_view field, uint32_t port,
                     absl::optional<uint16_t>& out) {
  if (port > 0xffff) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": ", port, " is no port"));
  }
  out = static_cast<uint16_t>(port);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ExplainQuery> FromWire(const service::ExplainRequest& message) {
  if (!message.has_uid()) return Missing("explain.uid");
  ExplainQuery query;
  query.uid = Uid{message.uid()};
  query.interface = message.interface();
  if (message.has_direction()) {
    query.direction = FromWire(message.direction());
  }
  if (message.has_remote()) {
    NP_RETURN_IF_ERROR(
        GetAddress("explain.remote", message.remote(), query.remote));
  }
  if (message.has_local()) {
    NP_RETURN_IF_ERROR(
        GetAddress("explain.local", message.local(), query.local));
  }
  if (message.protocol() > 255) {
    return absl::InvalidArgumentError(absl::StrCat(
        "explain.protocol: ", message.protocol(), " is no protocol"));
  }
  query.protocol = static_cast<uint8_t>(message.protocol());
  if (message.has_remote_port()) {
    NP_RETURN_IF_ERROR(GetPort("explain.remote_port", message.remote_port(),
                               query.remote_port));
  }
  if (message.has_local_port()) {
    NP_RETURN_IF_ERROR(
        GetPort("explain.local_port", message.local_port(), query.local_port));
  }
  if (message.has_metered()) {
    query.metered = message.metered() ? Switch::kOn : Switch::kOff;
  }
  query.kind = static_cast<PacketKind>(message.kind());
  query.tag = message.tag();
  return query;
}

absl::Status CheckKnown(const service::Request& request) {
  NP_RETURN_IF_ERROR(CheckNoUnknownFields("request", request));
  switch (request.call_case()) {
    case service::Request::kGetPolicy:
      return CheckNoUnknownFields("get_policy", request.get_policy());
    case service::Request::kStats:
      return CheckNoUnknownFields("stats", request.stats());
    case service::Request::kStatus:
      return CheckNoUnknownFields("status", request.status());
    case service::Request::kDoctor:
      return CheckNoUnknownFields("doctor", request.doctor());
    case service::Request::kCommit:
      return CheckNoUnknownFields("commit", request.commit());
    case service::Request::kExplain:
      return CheckNoUnknownFields("explain", request.explain());
    case service::Request::kTagSocket:
      return CheckNoUnknownFields("tag_socket", request.tag_socket());
    case service::Request::kCounterSet:
      return CheckNoUnknownFields("counter_set", request.counter_set());
    case service::Request::kClat:
      return CheckNoUnknownFields("clat", request.clat());
    case service::Request::kLog:
      return CheckNoUnknownFields("log", request.log());
    case service::Request::kRefused:
      return CheckNoUnknownFields("refused", request.refused());
    case service::Request::kQuota:
      // Before anything is asked of the policy, as with the other calls.
      NP_RETURN_IF_ERROR(CheckNoUnknownFields("quota.definition",
                                              request.quota().definition()));
      return CheckNoUnknownFields("quota", request.quota());
    case service::Request::kUsage:
      return CheckNoUnknownFields("usage", request.usage());
    case service::Request::CALL_NOT_SET:
      break;
  }
  return absl::OkStatus();
}

service::GetPolicyResponse ToWire(const PolicySnapshot& snapshot) {
  service::GetPolicyResponse message;
  message.set_generation(ToInt(snapshot.generation));
  *message.mutable_policy() = ToProto(snapshot.policy);
  return message;
}

absl::StatusOr<PolicySnapshot> FromWire(
    const service::GetPolicyResponse& message) {
  PolicySnapshot snapshot;
  snapshot.generation = Generation{message.generation()};
  NP_ASSIGN_OR_RETURN(snapshot.policy, FromProto(message.policy()));
  return snapshot;
}

service::CommitResponse ToWire(const CommitResult& result) {
  service::CommitResponse message;
  message.set_generation(ToInt(result.generation));
  *message.mutable_delta() = ToProto(result.delta);
  message.set_difference(result.difference);
  if (result.closed_sockets.has_value()) {
    const ClosedSockets& closed = *result.closed_sockets;
    service::CommitResponse::ClosedSockets& added =
        *message.mutable_closed_sockets();
    added.set_closed(closed.closed);
    added.set_failed(closed.failed);
    if (!closed.error.ok()) {
      added.set_code(static_cast<uint32_t>(closed.error.code()));
      added.set_message(std::string(closed.error.message()));
    }
  }
  return message;
}

absl::StatusOr<CommitResult> FromWire(const service::CommitResponse& message) {
  CommitResult result;
  result.generation = Generation{message.generation()};
  NP_ASSIGN_OR_RETURN(result.delta, FromProto(message.delta()));
  result.difference = message.difference();
  if (message.has_closed_sockets()) {
    const service::CommitResponse::ClosedSockets& from =
        message.closed_sockets();
    result.closed_sockets =
        ClosedSockets{.closed = from.closed(),
                      .failed = from.failed(),
                      .error = MakeStatus(from.code(), from.message())};
  }
  return result;
}

service::ExplainResponse ToWire(const Explanation& explanation) {
  service::ExplainResponse message;
  message.set_generation(ToInt(explanation.generation));
  *message.mutable_query() = ToWire(explanation.query);
  for (const ExplainedVerdict& verdict : explanation.verdicts) {
    *message.add_verdicts() = ToWire(verdict);
  }
  return message;
}

absl::StatusOr<Explanation> FromWire(const service::ExplainResponse& message) {
  Explanation explanation;
  explanation.generation = Generation{message.generation()};
  NP_ASSIGN_OR_RETURN(explanation.query, FromWire(message.query()));
  for (const service::ExplainResponse::Verdict& verdict : message.verdicts()) {
    NP_ASSIGN_OR_RETURN(ExplainedVerdict decoded, FromWire(verdict));
    explanation.verdicts.push_back(std::move(decoded));
  }
  return explanation;
}

service::StatsResponse ToWire(const StatsSnapshot& stats) {
  service::StatsResponse message;
  for (const StatsRow& row : stats.rows) *message.add_rows() = ToWire(row);
  *message.mutable_overflow_rx() = ToWire(stats.overflow_rx);
  *message.mutable_overflow_tx() = ToWire(stats.overflow_tx);
  for (const DropRow& row : stats.drops) *message.add_drops() = ToWire(row);
  for (const LossCounter& loss : stats.losses) {
    *message.add_losses() = ToWire(loss);
  }
  return message;
}

absl::StatusOr<StatsSnapshot> FromWire(const service::StatsResponse& message) {
  StatsSnapshot stats;
  stats.rows.reserve(static_cast<size_t>(message.rows_size()));
  for (const service::StatsResponse::Row& row : message.rows()) {
    stats.rows.push_back(FromWire(row));
  }
  stats.overflow_rx = FromWire(message.overflow_rx());
  stats.overflow_tx = FromWire(message.overflow_tx());
  for (const service::StatsResponse::Drop& row : message.drops()) {
    NP_ASSIGN_OR_RETURN(DropRow decoded, FromWire(row));
    stats.drops.push_back(std::move(decoded));
  }
  for (const service::Loss& loss : message.losses()) {
    stats.losses.push_back(FromWire(loss));
  }
  return stats;
}

service::StatusResponse ToWire(const EngineStatus& status) {
  service::StatusResponse message;
  message.set_generation(ToInt(status.generation));
  message.set_fenced_generation(ToInt(status.fenced_generation));
  message.set_abi_major(status.abi_major);
  message.set_abi_minor(status.abi_minor);
  message.set_cgroup(status.cgroup);
  message.set_cgroup_id(status.cgroup_id);
  message.set_pin_dir(status.pin_dir);
  for (const ProgramStatus& program : status.programs) {
    service::StatusResponse::Program& added = *message.add_programs();
    added.set_name(program.name);
    added.set_id(program.id);
    added.set_link_id(program.link_id);
    added.set_tag(program.tag);
    added.set_xlated_bytes(program.xlated_bytes);
    added.set_jited_bytes(program.jited_bytes);
  }
  for (const MapStatus& map : status.maps) {
    service::StatusResponse::Map& added = *message.add_maps();
    added.set_name(map.name);
    added.set_id(map.id);
    added.set_max_entries(map.max_entries);
    if (map.used_entries.has_value()) {
      added.set_used_entries(*map.used_entries);
    }
    added.set_memory_bytes(map.memory_bytes);
  }
  for (const LossCounter& loss : status.losses) {
    *message.add_losses() = ToWire(loss);
  }
  for (const std::string& pattern : status.absent_interfaces) {
    message.add_absent_interfaces(pattern);
  }
  return message;
}

absl::StatusOr<EngineStatus> FromWire(const service::StatusResponse& message) {
  EngineStatus status;
  status.generation = Generation{message.generation()};
  status.fenced_generation = Generation{message.fenced_generation()};
  status.abi_major = message.abi_major();
  status.abi_minor = message.abi_minor();
  status.cgroup = message.cgroup();
  status.cgroup_id = message.cgroup_id();
  status.pin_dir = message.pin_dir();
  for (const service::StatusResponse::Program& program : message.programs()) {
    status.programs.push_back({.name = program.name(),
                               .id = program.id(),
                               .link_id = program.link_id(),
                               .tag = program.tag(),
                               .xlated_bytes = program.xlated_bytes(),
                               .jited_bytes = program.jited_bytes()});
  }
  for (const service::StatusResponse::Map& map : message.maps()) {
    MapStatus& added = status.maps.emplace_back();
    added.name = map.name();
    added.id = map.id();
    added.max_entries = map.max_entries();
    if (map.has_used_entries()) added.used_entries = map.used_entries();
    added.memory_bytes = map.memory_bytes();
  }
  for (const service::Loss& loss : message.losses()) {
    status.losses.push_back(FromWire(loss));
  }
  status.absent_interfaces = {message.absent_interfaces().begin(),
                              message.absent_interfaces().end()};
  return status;
}

service::LogResponse ToWire(const CommitLogSnapshot& log) {
  service::LogResponse message;
  message.set_generation(ToInt(log.in_force));
  for (const CommitRecord& commit : log.commits) {
    service::LogResponse::Commit& added = *message.add_commits();
    added.set_generation(ToInt(commit.generation));
    added.set_time_ns(absl::ToUnixNanos(commit.time));
    if (commit.author.has_value()) {
      added.mutable_author()->set_uid(commit.author->uid);
      added.mutable_author()->set_pid(commit.author->pid);
      added.mutable_author()->set_command(commit.author->command);
    }
    added.set_difference(commit.difference);
  }
  return message;
}

absl::StatusOr<CommitLogSnapshot> FromWire(
    const service::LogResponse& message) {
  CommitLogSnapshot log;
  log.in_force = Generation{message.generation()};
  for (const service::LogResponse::Commit& commit : message.commits()) {
    CommitRecord& added = log.commits.emplace_back();
    added.generation = Generation{commit.generation()};
    added.time = absl::FromUnixNanos(commit.time_ns());
    if (commit.has_author()) {
      added.author = CommitAuthor{.uid = commit.author().uid(),
                                  .pid = commit.author().pid(),
                                  .command = commit.author().command()};
    }
    added.difference = commit.difference();
  }
  return log;
}

service::DoctorResponse ToWire(const DoctorReport& report) {
  service::DoctorResponse message;
  for (const DoctorFinding& finding : report) {
    service::DoctorResponse::Finding& added = *message.add_findings();
    added.set_name(finding.name);
    switch (finding.state) {
      case DoctorFinding::State::kUnknown:
        added.set_state(service::DoctorResponse::STATE_UNKNOWN);
        break;
      case DoctorFinding::State::kPresent:
        added.set_state(service::DoctorResponse::STATE_PRESENT);
        break;
      case DoctorFinding::State::kFallback:
        added.set_state(service::DoctorResponse::STATE_FALLBACK);
        break;
      case DoctorFinding::State::kMissing:
        added.set_state(service::DoctorResponse::STATE_MISSING);
        break;
    }
    added.set_detail(finding.detail);
    added.set_cost(finding.cost);
  }
  return message;
}

absl::StatusOr<DoctorReport> FromWire(const service::DoctorResponse& message) {
  DoctorReport report;
  for (const service::DoctorResponse::Finding& finding : message.findings()) {
    DoctorFinding& added = report.emplace_back();
    added.name = finding.name();
    switch (finding.state()) {
      case service::DoctorResponse::STATE_UNKNOWN:
        added.state = DoctorFinding::State::kUnknown;
        break;
      case service::DoctorResponse::STATE_PRESENT:
        added.state = DoctorFinding::State::kPresent;
        break;
      case service::DoctorResponse::STATE_FALLBACK:
        added.state = DoctorFinding::State::kFallback;
        break;
      case service::DoctorResponse::STATE_MISSING:
        added.state = DoctorFinding::State::kMissing;
        break;
    }
    added.detail = finding.detail();
    added.cost = finding.cost();
  }
  return report;
}

absl::Status StatusFromWire(const service::Response& response) {
  return MakeStatus(response.code(), response.message());
}

void StatusToWire(const absl::Status& status, service::Response& response) {
  response.set_code(static_cast<uint32_t>(status.code()));
  response.set_message(std::string(status.message()));
}

}  // namespace netpolicy
