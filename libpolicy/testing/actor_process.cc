// SPDX-License-Identifier: Apache-2.0
//
// The side of an Actor that runs in the child.

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/testing/actor.h"
#include "libpolicy/testing/actor_protocol.h"
#include "libpolicy/testing/endpoint.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/process.h"

namespace netpolicy::testing::internal {
namespace {

// An answer in the making.
struct Answer {
  ActorReply reply;
  std::string payload;
  UniqueFd fd;
};

class Deadline {
 public:
  explicit Deadline(int64_t timeout_ns)
      : end_(absl::Now() + absl::Nanoseconds(timeout_ns)) {}

  // Waits until `fd` is ready for `events`, or has an error.
  absl::Status WaitFor(int fd, short events, absl::string_view what) const {
    while (true) {
      const int64_t left_ms = absl::ToInt64Milliseconds(end_ - absl::Now());
      pollfd polled = {.fd = fd, .events = events, .revents = 0};
      const int ready = poll(
          &polled, 1,
          static_cast<int>(std::clamp<int64_t>(left_ms + 1, 0, 3'600'000)));
      if (ready > 0) return absl::OkStatus();
      if (ready < 0 && errno != EINTR) return ErrnoStatus(errno, what);
      if (absl::Now() >= end_) {
        return absl::DeadlineExceededError(absl::StrCat(what, ": not in time"));
      }
    }
  }

 private:
  absl::Time end_;
};

// Makes a descriptor non-blocking for a while: for calls without MSG_DONTWAIT.
class NonBlocking {
 public:
  explicit NonBlocking(int fd) : fd_(fd), flags_(fcntl(fd, F_GETFL)) {
    if (flags_ >= 0) fcntl(fd_, F_SETFL, flags_ | O_NONBLOCK);
  }
  ~NonBlocking() {
    if (flags_ >= 0) fcntl(fd_, F_SETFL, flags_);
  }
  NonBlocking(const NonBlocking&) = delete;
  NonBlocking& operator=(const NonBlocking&) = delete;

 private:
  int fd_;
  int flags_;
};

// Performs a non-blocking call until it does not want to wait.
template <typename Call>
absl::StatusOr<ssize_t> Retry(int fd, short events, const Deadline& deadline,
                              absl::string_view what, Call call) {
  while (true) {
    const ssize_t result = call();
    if (result >= 0) return result;
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK)
      return ErrnoStatus(errno, what);
    if (absl::Status ready = deadline.WaitFor(fd, events, what); !ready.ok()) {
      return ready;
    }
  }
}

std::string PeerText(const ActorRequest& request) {
  if (request.address_bytes == 0) return "the connected peer";
  absl::StatusOr<Endpoint> peer = Endpoint::FromSockaddr(request.address);
  return peer.ok() ? peer->ToString() : "an address of an unknown family";
}

absl::StatusOr<ssize_t> SendOnce(const ActorRequest& request,
                                 absl::string_view data, int gso_bytes,
                                 const Deadline& deadline) {
  iovec iov = {.iov_base = const_cast<char*>(data.data()),
               .iov_len = data.size()};
  msghdr message = {};
  if (request.address_bytes != 0) {
    message.msg_name = const_cast<sockaddr_storage*>(&request.address);
    message.msg_namelen = request.address_bytes;
  }
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(uint16_t))] = {};
  if (gso_bytes != 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* cmsg = CMSG_FIRSTHDR(&message);
    cmsg->cmsg_level = SOL_UDP;
    cmsg->cmsg_type = UDP_SEGMENT;
    cmsg->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    const uint16_t size = static_cast<uint16_t>(gso_bytes);
    memcpy(CMSG_DATA(cmsg), &size, sizeof(size));
  }
  return Retry(request.fd, POLLOUT, deadline,
               absl::StrCat("send to ", PeerText(request)), [&] {
                 return sendmsg(request.fd, &message,
                                MSG_DONTWAIT | MSG_NOSIGNAL);
               });
}

absl::Status Connect(const ActorRequest& request, const Deadline& deadline) {
  const std::string what = absl::StrCat("connect ", PeerText(request));
  const NonBlocking non_blocking(request.fd);
  absl::Status status;
  if (connect(request.fd, reinterpret_cast<const sockaddr*>(&request.address),
              request.address_bytes) != 0) {
    status = ErrnoStatus(errno, what);
    if (errno == EINPROGRESS) {
      status = deadline.WaitFor(request.fd, POLLOUT, what);
      int error = 0;
      socklen_t size = sizeof(error);
      if (status.ok())
        getsockopt(request.fd, SOL_SOCKET, SO_ERROR, &error, &size);
      if (error != 0) status = ErrnoStatus(error, what);
    }
  }
  return status;
}

absl::Status SendBytes(const ActorRequest& request, const Deadline& deadline,
                       Answer& answer) {
  const uint64_t total = static_cast<uint64_t>(request.args[0]);
  const std::string chunk(static_cast<size_t>(request.args[1]), 'b');
  uint64_t sent = 0;
  while (sent < total) {
    const absl::string_view data = absl::string_view(chunk).substr(
        0, std::min<uint64_t>(chunk.size(), total - sent));
    absl::StatusOr<ssize_t> result =
        SendOnce(request, data, static_cast<int>(request.args[2]), deadline);
    if (!result.ok()) return result.status();
    sent += static_cast<uint64_t>(*result);
  }
  answer.reply.value = static_cast<int64_t>(sent);
  return absl::OkStatus();
}

absl::Status ReceiveBytes(const ActorRequest& request, const Deadline& deadline,
                          Answer& answer) {
  const uint64_t total = static_cast<uint64_t>(request.args[0]);
  std::vector<char> buffer(kActorPayloadBytes);
  uint64_t received = 0;
  while (received < total) {
    const std::string what =
        absl::StrCat("receive ", total, " bytes, of which came ", received);
    absl::StatusOr<ssize_t> result =
        Retry(request.fd, POLLIN, deadline, what, [&] {
          return recv(request.fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
        });
    if (!result.ok()) return result.status();
    if (*result == 0) break;
    received += static_cast<uint64_t>(*result);
  }
  answer.reply.value = static_cast<int64_t>(received);
  return absl::OkStatus();
}

absl::Status Receive(const ActorRequest& request, const Deadline& deadline,
                     Answer& answer) {
  answer.payload.resize(kActorPayloadBytes);
  socklen_t address_bytes = sizeof(answer.reply.address);
  absl::StatusOr<ssize_t> size =
      Retry(request.fd, POLLIN, deadline, "receive", [&] {
        address_bytes = sizeof(answer.reply.address);
        return recvfrom(
            request.fd, &answer.payload[0], answer.payload.size(), MSG_DONTWAIT,
            reinterpret_cast<sockaddr*>(&answer.reply.address), &address_bytes);
      });
  if (!size.ok()) return size.status();
  answer.payload.resize(static_cast<size_t>(*size));
  answer.reply.address_bytes = address_bytes;
  return absl::OkStatus();
}

// The calls that are one system call and give 0 or an errno.
absl::Status Check(int result, absl::string_view what) {
  return result == 0 ? absl::OkStatus() : ErrnoStatus(errno, what);
}

// The result of a call that makes a descriptor.
absl::Status KeepFd(int fd, absl::string_view what, Answer& answer) {
  if (fd < 0) return ErrnoStatus(errno, what);
  answer.reply.value = fd;
  return absl::OkStatus();
}

absl::Status Perform(const ActorRequest& request, absl::string_view payload,
                     UniqueFd given, Answer& answer) {
  const Deadline deadline(request.timeout_ns);
  const int arg0 = static_cast<int>(request.args[0]);
  const int arg1 = static_cast<int>(request.args[1]);
  auto* address = reinterpret_cast<sockaddr*>(&answer.reply.address);
  socklen_t size = sizeof(answer.reply.address);
  switch (request.op) {
    case ActorOp::kSocket:
      return KeepFd(
          socket(arg0, arg1 | SOCK_CLOEXEC, static_cast<int>(request.args[2])),
          absl::StrCat("open socket of family ", arg0, ", type ", arg1,
                       ", protocol ", request.args[2]),
          answer);
    case ActorOp::kClose:
      return Check(close(request.fd), "close");
    case ActorOp::kGetFd:
      answer.fd.reset(fcntl(request.fd, F_DUPFD_CLOEXEC, 3));
      return Check(answer.fd.ok() ? 0 : -1, "get descriptor");
    case ActorOp::kGiveFd:
      return KeepFd(given.release(), "give descriptor", answer);
    case ActorOp::kBind:
      return Check(
          bind(request.fd, reinterpret_cast<const sockaddr*>(&request.address),
               request.address_bytes),
          absl::StrCat("bind ", PeerText(request)));
    case ActorOp::kConnect:
      return Connect(request, deadline);
    case ActorOp::kListen:
      return Check(listen(request.fd, arg0), "listen");
    case ActorOp::kAccept: {
      const NonBlocking non_blocking(request.fd);
      absl::StatusOr<ssize_t> fd =
          Retry(request.fd, POLLIN, deadline, "accept", [&]() -> ssize_t {
            return accept4(request.fd, nullptr, nullptr, SOCK_CLOEXEC);
          });
      if (!fd.ok()) return fd.status();
      answer.reply.value = *fd;
      return absl::OkStatus();
    }
    case ActorOp::kShutdown:
      return Check(shutdown(request.fd, arg0), "shutdown");
    case ActorOp::kLocalAddress:
    case ActorOp::kPeerAddress: {
      const bool local = request.op == ActorOp::kLocalAddress;
      absl::Status status =
          Check(local ? getsockname(request.fd, address, &size)
                      : getpeername(request.fd, address, &size),
                local ? "get local address" : "get peer address");
      answer.reply.address_bytes = status.ok() ? size : 0;
      return status;
    }
    case ActorOp::kSend: {
      absl::StatusOr<ssize_t> sent = SendOnce(request, payload, arg0, deadline);
      if (!sent.ok()) return sent.status();
      answer.reply.value = *sent;
      return absl::OkStatus();
    }
    case ActorOp::kReceive:
      return Receive(request, deadline, answer);
    case ActorOp::kSendBytes:
      return SendBytes(request, deadline, answer);
    case ActorOp::kReceiveBytes:
      return ReceiveBytes(request, deadline, answer);
    case ActorOp::kSetOption:
      return Check(setsockopt(request.fd, arg0, arg1, payload.data(),
                              static_cast<socklen_t>(payload.size())),
                   absl::StrCat("set socket option ", arg0, "/", arg1));
    case ActorOp::kGetOption: {
      answer.payload.resize(4096);
      socklen_t length = static_cast<socklen_t>(answer.payload.size());
      absl::Status status =
          Check(getsockopt(request.fd, arg0, arg1, &answer.payload[0], &length),
                absl::StrCat("get socket option ", arg0, "/", arg1));
      answer.payload.resize(length);
      return status;
    }
    case ActorOp::kChown:
      return Check(fchown(request.fd, static_cast<uid_t>(request.args[0]), -1),
                   absl::StrCat("change owner of socket to ", request.args[0]));
    case ActorOp::kCall: {
      const auto function = reinterpret_cast<Actor::Function>(request.args[0]);
      absl::StatusOr<std::string> result = function(payload);
      if (!result.ok()) return result.status();
      answer.payload = *std::move(result);
      return absl::OkStatus();
    }
  }
  return absl::InternalError("perform operation: unknown");
}

}  // namespace

bool SendActorMessage(int socket, const void* header, size_t header_bytes,
                      const char* payload, size_t payload_bytes, int fd) {
  iovec parts[2] = {{const_cast<void*>(header), header_bytes},
                    {const_cast<char*>(payload), payload_bytes}};
  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* cmsg = CMSG_FIRSTHDR(&message);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
  }
  ssize_t sent;
  do {
    sent = sendmsg(socket, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent >= 0;
}

long ReceiveActorMessage(int socket, void* header, size_t header_bytes,
                         char* payload, size_t payload_bytes, int* fd) {
  iovec parts[2] = {{header, header_bytes}, {payload, payload_bytes}};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ssize_t size;
  do {
    size = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  *fd = -1;
  if (size < 0) return -1;
  if (const cmsghdr* cmsg = CMSG_FIRSTHDR(&message); cmsg != nullptr) {
    memcpy(fd, CMSG_DATA(cmsg), sizeof(*fd));
  }
  if (static_cast<size_t>(size) < header_bytes) return -2;
  return size - static_cast<ssize_t>(header_bytes);
}

int ActorMain(int control) {
  std::vector<char> buffer(kActorPayloadBytes);
  while (true) {
    ActorRequest request;
    int raw_fd = -1;
    const long size =
        ReceiveActorMessage(control, &request, sizeof(request), buffer.data(),
                            buffer.size(), &raw_fd);
    if (size < 0) return 0;  // The test has gone.
    Answer answer;
    const absl::Status status =
        Perform(request, {buffer.data(), static_cast<size_t>(size)},
                UniqueFd(raw_fd), answer);
    if (!status.ok()) {
      answer.reply.failed = 1;
      answer.payload = SerializeStatus(status);
    }
    if (!SendActorMessage(control, &answer.reply, sizeof(answer.reply),
                          answer.payload.data(), answer.payload.size(),
                          answer.fd.get())) {
      return 1;
    }
  }
}

}  // namespace netpolicy::testing::internal
