// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/testing/actor.h"

#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/testing/actor_protocol.h"
#include "libpolicy/testing/errno_status.h"

namespace netpolicy::testing {

using internal::ActorOp;
using internal::ActorReply;
using internal::ActorRequest;

struct Actor::Reply {
  ActorReply header;
  std::string payload;
  UniqueFd fd;
};

namespace {

// What the process may take beyond an operation's own timeout.
constexpr absl::Duration kGrace = absl::Seconds(5);

ActorRequest RequestFor(ActorOp op, ActorSocket socket) {
  return {.op = op, .fd = socket.fd_in_actor};
}

ActorRequest WithAddress(ActorRequest request,
                         const std::optional<Endpoint>& endpoint) {
  if (endpoint) request.address_bytes = endpoint->ToSockaddr(&request.address);
  return request;
}

ActorRequest WithTimeout(ActorRequest request, absl::Duration timeout) {
  request.timeout_ns =
      absl::ToInt64Nanoseconds(std::min(timeout, absl::Hours(1)));
  return request;
}

}  // namespace

absl::StatusOr<Actor> Actor::Spawn(const ChildOptions& options) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return ErrnoStatus(errno, "spawn actor");
  }
  UniqueFd ours(ends[0]), theirs(ends[1]);
  // A whole message must fit; the kernel doubles this.
  const int buffer_bytes = 2 * internal::kActorPayloadBytes;
  for (int fd : {ours.get(), theirs.get()}) {
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof(buffer_bytes));
  }
  NP_ASSIGN_OR_RETURN(ChildProcess child,
                      ChildProcess::StartKeeping(options, {theirs.get()}, [&] {
                        return internal::ActorMain(theirs.get());
                      }));
  return Actor(std::move(child), std::move(ours));
}

absl::Status Actor::Post(const Request& request, absl::string_view payload,
                         int fd) {
  if (child_.pid() == 0)
    return absl::UnavailableError("ask actor: it has ended");
  if (busy_)
    return absl::FailedPreconditionError("ask actor: an operation is pending");
  if (payload.size() > internal::kActorPayloadBytes) {
    return absl::InvalidArgumentError("ask actor: too much data for one call");
  }
  if (!internal::SendActorMessage(control_.get(), &request, sizeof(request),
                                  payload.data(), payload.size(), fd)) {
    const int error = errno;
    Kill();
    return absl::UnavailableError(
        absl::StrCat("ask actor: it died (", ErrnoName(error), ")"));
  }
  busy_ = true;
  return absl::OkStatus();
}

absl::StatusOr<Actor::Reply> Actor::Await(absl::Duration timeout) {
  pollfd polled = {.fd = control_.get(), .events = POLLIN, .revents = 0};
  int ready;
  do {
    ready =
        poll(&polled, 1, static_cast<int>(absl::ToInt64Milliseconds(timeout)));
  } while (ready < 0 && errno == EINTR);
  if (ready <= 0) {
    Kill();
    return absl::UnavailableError("wait for actor: it hangs");
  }
  Reply reply;
  reply.payload.resize(internal::kActorPayloadBytes);
  int fd = -1;
  const long size = internal::ReceiveActorMessage(
      control_.get(), &reply.header, sizeof(reply.header), &reply.payload[0],
      reply.payload.size(), &fd);
  reply.fd.reset(fd);
  busy_ = false;
  if (size < 0) {
    Kill();
    return absl::UnavailableError("wait for actor: it died");
  }
  reply.payload.resize(static_cast<size_t>(size));
  if (reply.header.failed != 0) return ParseStatus(reply.payload);
  return reply;
}

absl::StatusOr<Actor::Reply> Actor::Do(const Request& request,
                                       absl::string_view payload, int fd) {
  NP_RETURN_IF_ERROR(Post(request, payload, fd));
  return Await(absl::Nanoseconds(request.timeout_ns) + kGrace);
}

absl::StatusOr<ActorSocket> Actor::DoForSocket(const Request& request, int fd) {
  NP_ASSIGN_OR_RETURN(const Reply reply, Do(request, "", fd));
  return ActorSocket{static_cast<int>(reply.header.value)};
}

absl::StatusOr<ActorSocket> Actor::Socket(int family, int type, int protocol) {
  return DoForSocket(
      {.op = ActorOp::kSocket, .args = {family, type, protocol}});
}

absl::StatusOr<ActorSocket> Actor::UdpSocket(int family) {
  return Socket(family, SOCK_DGRAM);
}

absl::StatusOr<ActorSocket> Actor::TcpSocket(int family) {
  return Socket(family, SOCK_STREAM);
}

absl::StatusOr<ActorSocket> Actor::PingSocket(int family) {
  return Socket(family, SOCK_DGRAM,
                family == AF_INET ? static_cast<int>(IPPROTO_ICMP)
                                  : static_cast<int>(IPPROTO_ICMPV6));
}

absl::StatusOr<ActorSocket> Actor::RawSocket(int family, int protocol) {
  return Socket(family, SOCK_RAW, protocol);
}

absl::Status Actor::Close(ActorSocket socket) {
  return Do(RequestFor(ActorOp::kClose, socket)).status();
}

absl::StatusOr<UniqueFd> Actor::GetFd(ActorSocket socket) {
  NP_ASSIGN_OR_RETURN(Reply reply, Do(RequestFor(ActorOp::kGetFd, socket)));
  if (!reply.fd.ok()) return absl::InternalError("get descriptor: none came");
  return std::move(reply.fd);
}

absl::StatusOr<ActorSocket> Actor::GiveFd(int fd) {
  return DoForSocket({.op = ActorOp::kGiveFd}, fd);
}

absl::Status Actor::Bind(ActorSocket socket, const Endpoint& local) {
  return Do(WithAddress(RequestFor(ActorOp::kBind, socket), local)).status();
}

absl::Status Actor::Connect(ActorSocket socket, const Endpoint& peer,
                            absl::Duration timeout) {
  return Do(WithTimeout(
                WithAddress(RequestFor(ActorOp::kConnect, socket), peer),
                timeout))
      .status();
}

absl::Status Actor::Listen(ActorSocket socket, int backlog) {
  Request request = RequestFor(ActorOp::kListen, socket);
  request.args[0] = backlog;
  return Do(request).status();
}

absl::StatusOr<ActorSocket> Actor::Accept(ActorSocket socket,
                                          absl::Duration timeout) {
  return DoForSocket(
      WithTimeout(RequestFor(ActorOp::kAccept, socket), timeout));
}

absl::Status Actor::Shutdown(ActorSocket socket, int how) {
  Request request = RequestFor(ActorOp::kShutdown, socket);
  request.args[0] = how;
  return Do(request).status();
}

absl::StatusOr<Endpoint> Actor::LocalEndpoint(ActorSocket socket) {
  NP_ASSIGN_OR_RETURN(const Reply reply,
                      Do(RequestFor(ActorOp::kLocalAddress, socket)));
  return Endpoint::FromSockaddr(reply.header.address);
}

absl::StatusOr<Endpoint> Actor::PeerEndpoint(ActorSocket socket) {
  NP_ASSIGN_OR_RETURN(const Reply reply,
                      Do(RequestFor(ActorOp::kPeerAddress, socket)));
  return Endpoint::FromSockaddr(reply.header.address);
}

absl::StatusOr<size_t> Actor::Send(ActorSocket socket, absl::string_view data) {
  NP_ASSIGN_OR_RETURN(const Reply reply,
                      Do(RequestFor(ActorOp::kSend, socket), data));
  return static_cast<size_t>(reply.header.value);
}

absl::StatusOr<size_t> Actor::SendTo(ActorSocket socket, const Endpoint& peer,
                                     absl::string_view data) {
  NP_ASSIGN_OR_RETURN(
      const Reply reply,
      Do(WithAddress(RequestFor(ActorOp::kSend, socket), peer), data));
  return static_cast<size_t>(reply.header.value);
}

absl::StatusOr<size_t> Actor::SendSegments(ActorSocket socket,
                                           const std::optional<Endpoint>& peer,
                                           absl::string_view data,
                                           int segment_bytes) {
  Request request = WithAddress(RequestFor(ActorOp::kSend, socket), peer);
  request.args[0] = segment_bytes;
  NP_ASSIGN_OR_RETURN(const Reply reply, Do(request, data));
  return static_cast<size_t>(reply.header.value);
}

absl::StatusOr<Received> Actor::Receive(ActorSocket socket,
                                        absl::Duration timeout) {
  NP_ASSIGN_OR_RETURN(
      Reply reply,
      Do(WithTimeout(RequestFor(ActorOp::kReceive, socket), timeout)));
  Received received = {.data = std::move(reply.payload)};
  if (reply.header.address_bytes != 0) {
    NP_ASSIGN_OR_RETURN(received.from,
                        Endpoint::FromSockaddr(reply.header.address));
  }
  return received;
}

absl::StatusOr<uint64_t> Actor::Pending::Wait() {
  NP_RETURN_IF_ERROR(started_);
  started_ = absl::FailedPreconditionError("wait for actor: waited already");
  NP_ASSIGN_OR_RETURN(const Reply reply, actor_->Await(timeout_ + kGrace));
  return static_cast<uint64_t>(reply.header.value);
}

Actor::Pending Actor::StartSendBytes(ActorSocket socket, uint64_t bytes,
                                     const BulkOptions& options) {
  Request request =
      WithTimeout(RequestFor(ActorOp::kSendBytes, socket), options.timeout);
  request.args[0] = static_cast<int64_t>(bytes);
  request.args[1] = options.chunk_bytes;
  request.args[2] = options.gso_bytes;
  return Pending(this, Post(request, ""), options.timeout);
}

Actor::Pending Actor::StartReceiveBytes(ActorSocket socket, uint64_t bytes,
                                        absl::Duration timeout) {
  Request request =
      WithTimeout(RequestFor(ActorOp::kReceiveBytes, socket), timeout);
  request.args[0] = static_cast<int64_t>(bytes);
  return Pending(this, Post(request, ""), timeout);
}

absl::StatusOr<uint64_t> Actor::SendBytes(ActorSocket socket, uint64_t bytes,
                                          const BulkOptions& options) {
  return StartSendBytes(socket, bytes, options).Wait();
}

absl::StatusOr<uint64_t> Actor::ReceiveBytes(ActorSocket socket, uint64_t bytes,
                                             absl::Duration timeout) {
  return StartReceiveBytes(socket, bytes, timeout).Wait();
}

absl::Status Actor::SetOptionBytes(ActorSocket socket, int level, int name,
                                   absl::string_view value) {
  Request request = RequestFor(ActorOp::kSetOption, socket);
  request.args[0] = level;
  request.args[1] = name;
  return Do(request, value).status();
}

absl::StatusOr<std::string> Actor::GetOptionBytes(ActorSocket socket, int level,
                                                  int name) {
  Request request = RequestFor(ActorOp::kGetOption, socket);
  request.args[0] = level;
  request.args[1] = name;
  NP_ASSIGN_OR_RETURN(Reply reply, Do(request));
  return std::move(reply.payload);
}

absl::Status Actor::BindToDevice(ActorSocket socket,
                                 const std::string& device) {
  return SetOptionBytes(socket, SOL_SOCKET, SO_BINDTODEVICE,
                        {device.c_str(), device.size() + 1});
}

absl::Status Actor::Chown(ActorSocket socket, uid_t uid) {
  Request request = RequestFor(ActorOp::kChown, socket);
  request.args[0] = uid;
  return Do(request).status();
}

absl::StatusOr<std::string> Actor::Call(Function function,
                                        absl::string_view input,
                                        absl::Duration timeout) {
  Request request = WithTimeout({.op = ActorOp::kCall}, timeout);
  request.args[0] = reinterpret_cast<int64_t>(function);
  NP_ASSIGN_OR_RETURN(Reply reply, Do(request, input));
  return std::move(reply.payload);
}

}  // namespace netpolicy::testing
