// SPDX-License-Identifier: Apache-2.0

#include "netd/service/client.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/kernel/errno_status.h"
#include "netd/service/charging_wire.h"
#include "netd/service/clat_wire.h"
#include "netd/service/frame.h"
#include "netd/service/quota_wire.h"
#include "netd/service/refused_wire.h"
#include "netd/service/service.pb.h"
#include "netd/service/unix_address.h"
#include "netd/service/usage_wire.h"
#include "netd/service/wire.h"

namespace netpolicy {
namespace {

// More than netd's largest tables can fill.
constexpr size_t kMaxResponseBytes = 256 << 20;

constexpr absl::Duration kConnectRetry = absl::Milliseconds(10);

// Deadlines are on the clock that nobody sets.
using Clock = std::chrono::steady_clock;

Clock::time_point DeadlineIn(absl::Duration duration) {
  // A time_point has no infinity.
  const absl::Duration bounded =
      std::clamp(duration, absl::ZeroDuration(), absl::Hours(24 * 365));
  return Clock::now() +
         std::chrono::nanoseconds(absl::ToInt64Nanoseconds(bounded));
}

// Waits for `events` or the end of the connection.
absl::Status Wait(int fd, int16_t events, Clock::time_point deadline,
                  const std::string& what) {
  while (true) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now())
            .count();
    if (left <= 0) {
      return absl::DeadlineExceededError(
          absl::StrCat(what, ": no answer in time"));
    }
    pollfd poll_fd = {.fd = fd, .events = events, .revents = 0};
    const int ready =
        poll(&poll_fd, 1, static_cast<int>(std::min<int64_t>(left, 60000)));
    if (ready > 0) return absl::OkStatus();
    if (ready < 0 && errno != EINTR) return StatusFromErrno(errno, what);
  }
}

enum class Io { kDone, kConnectionEnded, kFailed };

bool IsConnectionEnd(int error) {
  return error == EPIPE || error == ECONNRESET;
}

// send(2), with a descriptor beside the bytes unless that is negative.
ssize_t Send(int fd, absl::string_view bytes, int descriptor) {
  iovec vector = {.iov_base = const_cast<char*>(bytes.data()),
                  .iov_len = bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  if (descriptor >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
  }
  return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

// The descriptor, if there is one, goes with the first byte.
Io SendAll(int fd, absl::string_view bytes, int descriptor,
           Clock::time_point deadline, const std::string& what,
           absl::Status& status) {
  while (!bytes.empty()) {
    const ssize_t sent = Send(fd, bytes, descriptor);
    if (sent >= 0) {
      if (sent > 0) descriptor = -1;
      bytes.remove_prefix(static_cast<size_t>(sent));
    } else if (errno == EAGAIN) {
      status = Wait(fd, POLLOUT, deadline, what);
      if (!status.ok()) return Io::kFailed;
    } else if (IsConnectionEnd(errno)) {
      return Io::kConnectionEnded;
    } else if (errno != EINTR) {
      status = StatusFromErrno(errno, what);
      return Io::kFailed;
    }
  }
  return Io::kDone;
}

Io ReceiveAll(int fd, char* data, size_t size, Clock::time_point deadline,
              const std::string& what, absl::Status& status) {
  while (size > 0) {
    const ssize_t received = recv(fd, data, size, MSG_DONTWAIT);
    if (received > 0) {
      data += received;
      size -= static_cast<size_t>(received);
    } else if (received == 0) {
      return Io::kConnectionEnded;
    } else if (errno == EAGAIN) {
      status = Wait(fd, POLLIN, deadline, what);
      if (!status.ok()) return Io::kFailed;
    } else if (IsConnectionEnd(errno)) {
      return Io::kConnectionEnded;
    } else if (errno != EINTR) {
      status = StatusFromErrno(errno, what);
      return Io::kFailed;
    }
  }
  return Io::kDone;
}

Io ReceiveFrame(int fd, Clock::time_point deadline, const std::string& what,
                std::string& message, absl::Status& status) {
  FrameHeader header;
  Io io = ReceiveAll(fd, reinterpret_cast<char*>(header.data()), header.size(),
                     deadline, what, status);
  if (io != Io::kDone) return io;
  const uint32_t length = DecodeFrameHeader(header);
  if (length > kMaxResponseBytes) {
    status = absl::InternalError(
        absl::StrCat(what, ": an answer of ", length, " bytes"));
    return Io::kFailed;
  }
  message.resize(length);
  return ReceiveAll(fd, message.data(), message.size(), deadline, what, status);
}

// True when the other end has closed an idle connection.
bool HasEnded(int fd) {
  char byte = 0;
  const ssize_t received = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return received == 0 || (received < 0 && errno != EAGAIN && errno != EINTR);
}

absl::Status ConnectError(int error, const std::string& what) {
  switch (error) {
    case ENOENT:
    case ECONNREFUSED:
      return absl::UnavailableError(
          absl::StrCat(what, ": ", ErrnoText(error), " (is netd running?)"));
    default:
      return StatusFromErrno(error, what);
  }
}

template <typename Message>
auto Decode(const Message& message, const std::string& what)
    -> decltype(FromWire(message)) {
  auto value = FromWire(message);
  if (value.ok()) return value;
  return absl::InternalError(
      absl::StrCat(what, ": ", value.status().message()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(
    absl::string_view socket_path, absl::Duration deadline) {
  std::unique_ptr<Client> client(
      new Client(std::string(socket_path), deadline));
  NP_RETURN_IF_ERROR(client->EnsureConnected(DeadlineIn(deadline)));
  return client;
}

absl::Status Client::EnsureConnected(Clock::time_point deadline) {
  if (fd_.ok() && !HasEnded(fd_.get())) return absl::OkStatus();
  fd_.reset();
  const std::string what = absl::StrCat("connect to ", path_);
  NP_ASSIGN_OR_RETURN(const UnixAddress address, UnixAddress::Of(path_));
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.ok()) return StatusFromErrno(errno, what);
  while (connect(fd.get(), address.get(), address.size()) != 0) {
    // EAGAIN: the queue of connections is full. A unix socket has no way to
    // wait for room but connect(2) itself, which knows no deadline.
    if (errno != EAGAIN && errno != EINTR) return ConnectError(errno, what);
    if (Clock::now() >= deadline) {
      return absl::DeadlineExceededError(
          absl::StrCat(what, ": netd does not take the connection"));
    }
    absl::SleepFor(kConnectRetry);
  }
  fd_ = std::move(fd);
  return absl::OkStatus();
}

Client::Attempt Client::Try(absl::string_view frame, int descriptor,
                            Clock::time_point deadline, absl::string_view name,
                            absl::Status& status, service::Response& response) {
  const std::string what = absl::StrCat("call ", name, " on ", path_);
  status = EnsureConnected(deadline);
  if (!status.ok()) return Attempt::kDone;

  const Io sent = SendAll(fd_.get(), frame, descriptor, deadline, what, status);
  std::string message;
  Io received = Io::kFailed;
  if (sent != Io::kFailed) {
    // Also when the connection ended under the request: netd may have said why.
    received = ReceiveFrame(fd_.get(), deadline, what, message, status);
  }
  if (received == Io::kConnectionEnded) {
    fd_.reset();
    return sent == Io::kDone ? Attempt::kNoAnswer : Attempt::kNotSent;
  }
  if (received == Io::kFailed) {
    // A late answer must not be taken for that of the next call.
    fd_.reset();
    return Attempt::kDone;
  }
  if (!response.ParseFromString(message)) {
    fd_.reset();
    status = absl::InternalError(absl::StrCat(what, ": ", message.size(),
                                              " bytes that are not an answer"));
    return Attempt::kDone;
  }
  status = StatusFromWire(response);
  return Attempt::kDone;
}

absl::StatusOr<service::Response> Client::Call(const service::Request& request,
                                               absl::string_view name,
                                               Repeat repeat, int descriptor) {
  const Clock::time_point deadline = DeadlineIn(deadline_);
  const std::string what = absl::StrCat("call ", name, " on ", path_);
  std::string message = request.SerializeAsString();
  if (message.size() > UINT32_MAX) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": too large"));
  }
  const FrameHeader header =
      EncodeFrameHeader(static_cast<uint32_t>(message.size()));
  std::string frame(header.begin(), header.end());
  frame += message;

  const std::unique_lock<std::timed_mutex> lock(mutex_, deadline);
  if (!lock.owns_lock()) {
    return absl::DeadlineExceededError(
        absl::StrCat(what, ": other threads' calls take too long"));
  }
  absl::Status status;
  service::Response response;
  Attempt attempt = Try(frame, descriptor, deadline, name, status, response);
  if (attempt == Attempt::kNotSent ||
      (attempt == Attempt::kNoAnswer && repeat == Repeat::kSafe)) {
    attempt = Try(frame, descriptor, deadline, name, status, response);
  }
  switch (attempt) {
    case Attempt::kDone:
      if (!status.ok()) return status;
      // Results are numbered as the calls, from 11.
      if (static_cast<int>(response.result_case()) !=
          static_cast<int>(request.call_case()) + 10) {
        return absl::InternalError(
            absl::StrCat(what, ": the answer is to another call"));
      }
      return response;
    case Attempt::kNotSent:
      return absl::UnavailableError(
          absl::StrCat(what, ": netd closed the connection"));
    case Attempt::kNoAnswer:
      break;
  }
  return absl::UnavailableError(absl::StrCat(
      what, ": netd closed the connection without an answer",
      repeat == Repeat::kSafe ? "" : "; whether it took effect is not known"));
}

absl::StatusOr<PolicySnapshot> Client::GetPolicy() {
  service::Request request;
  request.mutable_get_policy();
  NP_ASSIGN_OR_RETURN(const service::Response response,
                      Call(request, "get_policy", Repeat::kSafe));
  return Decode(response.get_policy(), "get_policy on " + path_);
}

absl::StatusOr<CommitResult> Client::Commit(const Transaction& transaction,
                                            const CommitOptions& options) {
  service::Request request;
  *request.mutable_commit() = ToWire(transaction, options);
  const Repeat repeat =
      options.mode == CommitMode::kDryRun ? Repeat::kSafe : Repeat::kUnsafe;
  NP_ASSIGN_OR_RETURN(const service::Response response,
                      Call(request, "commit", repeat));
  return Decode(response.commit(), "commit on " + path_);
}

absl::StatusOr<Explanation> Client::Explain(const ExplainQuery& query) {
  service::Request request;
  *request.mutable_explain() = ToWire(query);
  NP_ASSIGN_OR_RETURN(const service::Response response,
                      Call(request, "explain", Repeat::kSafe));
  return Decode(response.explain(), "explain on " + path_);
}

absl::StatusOr<StatsSnapshot> Client::Stats() {
  service::Request request;
  request.mutable_stats();
  NP_ASSIGN_OR_RETURN(const service::Response response,
                      Call(request, "stats", Repeat::kSafe));
  return Decode(response.stats(), "stats on " + path_);
}

absl::StatusOr<Refusals> Client::Refused(Uid uid, uint32_t max_peers) {
  service::Request request;
  *request.mutable_refused() = RefusedToWire(uid, max_peers);
  NP_ASSIGN_OR_RETURN(const service::Response response,
                      Call(request, "refused", Repeat::kSafe));
  return Decode(response.refused(), "refused on " + path_);
}

absl::StatusOr<EngineStatus> Client::Status() {
  service::Request request;
  request.mutable_status();
  NP_ASSIGN_OR_RETURN(const service::Response response,
                      Call(request, "status", Repeat::kSafe));
  return Decode(response.status(), "status on " + path_);
}

absl::StatusOr<CommitLogSnapshot> Client::Log() {
  service::Request request;
  request.mutable_log();
  NP_ASSIGN_OR_RETURN(const service::Response response,
                      Call(request, "log", Repeat::kSafe));
  return Decode(response.log(), "log on " + path_);
}

absl::StatusOr<PolicySnapshot> Client::PolicyAt(Generation generation) {
  service::Request request;
  request.mutable_get_policy()->set_generation(ToInt(generation));
  NP_ASSIGN_OR_RETURN(const service::Response response,
                      Call(request, "get_policy", Repeat::kSafe));
  return Decode(response.get_policy(), "get_policy on " + path_);
}

absl::StatusOr<DoctorReport> Client::Doctor() {
  service::Request request;
  request.mutable_doctor();
  NP_ASSIGN_OR_RETURN(const service::Response response,
                      Call(request, "doctor", Repeat::kSafe));
  return Decode(response.doctor(), "doctor on " + path_);
}

absl::Status Client::Start(const std::string& interface,
                           const clat::UplinkSettings& settings) {
  service::Request request;
  *request.mutable_clat() = ClatStartToWire(interface, settings);
  // Twice is as good as once.
  return Call(request, "clat", Repeat::kSafe).status();
}

absl::Status Client::Stop(const std::string& interface) {
  service::Request request;
  *request.mutable_clat() =
      ClatToWire(service::ClatRequest::OPERATION_STOP, interface);
  return Call(request, "clat", Repeat::kUnsafe).status();
}

absl::StatusOr<std::vector<clat::UplinkStatus>> Client::Uplinks() {
  service::Request request;
  *request.mutable_clat() =
      ClatToWire(service::ClatRequest::OPERATION_UPLINKS, "");
  NP_ASSIGN_OR_RETURN(const service::Response response,
                      Call(request, "clat", Repeat::kSafe));
  return UplinksFromWire(response.clat());
}

absl::StatusOr<std::vector<clat::DiscoveredPrefix>> Client::Discover(
    const std::string& interface) {
  service::Request request;
  *request.mutable_clat() =
      ClatToWire(service::ClatRequest::OPERATION_DISCOVER, interface);
  NP_ASSIGN_OR_RETURN(const service::Response response,
                      Call(request, "clat", Repeat::kSafe));
  return PrefixesFromWire(response.clat());
}

absl::StatusOr<clat::Changes> Client::ChangesAfter(uint64_t seen) {
  service::Request request;
  *request.mutable_clat() =
      ClatToWire(service::ClatRequest::OPERATION_CHANGES, "");
  request.mutable_clat()->set_seen(seen);
  NP_ASSIGN_OR_RETURN(const service::Response response,
                      Call(request, "clat", Repeat::kSafe));
  return ChangesFromWire(response.clat());
}

absl::Status Client::TagSocket(int socket, const SocketTag& tag) {
  if (fcntl(socket, F_GETFD) < 0) {
    return absl::InvalidArgumentError("tag socket: it is no open descriptor");
  }
  service::Request request;
  *request.mutable_tag_socket() = TagToWire(tag);
  return Call(request, "tag_socket", Repeat::kSafe, socket).status();
}

absl::Status Client::SetCounterSet(Uid uid, uint32_t counter_set) {
  service::Request request;
  *request.mutable_counter_set() = CounterSetToWire(uid, counter_set);
  return Call(request, "counter_set", Repeat::kSafe).status();
}

absl::StatusOr<std::vector<UidCounterSet>> Client::CounterSets() {
  service::Request request;
  request.mutable_counter_set();
  NP_ASSIGN_OR_RETURN(const service::Response response,
                      Call(request, "counter_set", Repeat::kSafe));
  return CounterSetsFromWire(response.counter_set());
}

absl::StatusOr<std::vector<UsageRow>> Client::Usage(const UsageQuery& query) {
  service::Request request;
  *request.mutable_usage() = UsageToWire(query);
  NP_ASSIGN_OR_RETURN(const service::Response response,
                      Call(request, "usage", Repeat::kSafe));
  return UsageRowsFromWire(response.usage());
}

absl::Status Client::ForgetUsage(uint32_t uid) {
  service::Request request;
  request.mutable_usage()->set_forget_uid(uid);
  return Call(request, "usage", Repeat::kSafe).status();
}

absl::StatusOr<QuotaId> Client::SetQuota(const QuotaDefinition& definition) {
  service::Request request;
  request.mutable_quota()->set_operation(service::QuotaRequest::OPERATION_SET);
  *request.mutable_quota()->mutable_definition() = ToWire(definition);
  // Twice is as good as once: the second finds the first.
  NP_ASSIGN_OR_RETURN(const service::Response response,
                      Call(request, "quota", Repeat::kSafe));
  return QuotaId{response.quota().id()};
}

absl::Status Client::RemoveQuota(QuotaId id) {
  service::Request request;
  request.mutable_quota()->set_operation(
      service::QuotaRequest::OPERATION_REMOVE);
  request.mutable_quota()->set_id(ToInt(id));
  return Call(request, "quota", Repeat::kUnsafe).status();
}

absl::Status Client::ResetQuota(QuotaId id) {
  service::Request request;
  request.mutable_quota()->set_operation(
      service::QuotaRequest::OPERATION_RESET);
  request.mutable_quota()->set_id(ToInt(id));
  // Each gives a whole limit.
  return Call(request, "quota", Repeat::kUnsafe).status();
}

absl::StatusOr<std::vector<Quota>> Client::Quotas() {
  service::Request request;
  request.mutable_quota()->set_operation(service::QuotaRequest::OPERATION_LIST);
  NP_ASSIGN_OR_RETURN(const service::Response response,
                      Call(request, "quota", Repeat::kSafe));
  return QuotasFromWire(response.quota());
}

absl::StatusOr<QuotaAlerts> Client::Alerts() {
  service::Request request;
  request.mutable_quota()->set_operation(
      service::QuotaRequest::OPERATION_ALERTS);
  NP_ASSIGN_OR_RETURN(const service::Response response,
                      Call(request, "quota", Repeat::kSafe));
  return AlertsFromWire(response.quota());
}

absl::Status Client::AcknowledgeAlerts(uint64_t number) {
  service::Request request;
  request.mutable_quota()->set_operation(
      service::QuotaRequest::OPERATION_ACKNOWLEDGE);
  request.mutable_quota()->set_number(number);
  return Call(request, "quota", Repeat::kSafe).status();
}

}  // namespace netpolicy
