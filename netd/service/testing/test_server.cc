// SPDX-License-Identifier: Apache-2.0

#include "netd/service/testing/test_server.h"

#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "netd/service/frame.h"
#include "netd/service/listener.h"
#include "netd/service/unix_address.h"

namespace netpolicy::testing {
namespace {

constexpr int kPatienceMs = 10000;

constexpr char kStop = 's';
constexpr char kDrain = 'd';

bool WaitFor(int fd, int16_t events, int milliseconds = kPatienceMs) {
  pollfd poll_fd = {.fd = fd, .events = events, .revents = 0};
  return poll(&poll_fd, 1, milliseconds) > 0;
}

}  // namespace

void RecordingObserver::OnCall(const Peer&, const CallRecord& record) {
  const std::lock_guard<std::mutex> lock(mutex_);
  calls_.push_back(record);
}

void RecordingObserver::OnDropped(const Peer&, const absl::Status& why) {
  const std::lock_guard<std::mutex> lock(mutex_);
  dropped_.push_back(why);
}

void RecordingObserver::OnAcceptError(const absl::Status& why) {
  const std::lock_guard<std::mutex> lock(mutex_);
  dropped_.push_back(why);
}

std::vector<CallRecord> RecordingObserver::calls() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return calls_;
}

std::vector<absl::Status> RecordingObserver::dropped() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return dropped_;
}

TestServer::TestServer(Options options)
    : options_(std::move(options)),
      dir_(ScratchDir::Create().value()),
      path_(dir_.File("netd.sock")) {
  signal(SIGPIPE, SIG_IGN);
  handler_ = std::make_unique<RequestHandler>(policy_, options_.rules,
                                              options_.doctor, &policy_);
  handler_->set_charging(&charging_);
  Start();
}

TestServer::~TestServer() { Stop(); }

void TestServer::Start() {
  base_ = event_base_new();
  absl::StatusOr<Listener> listener = Listener::Open(path_, options_.mode);
  ASSERT_TRUE(listener.ok()) << listener.status();
  absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(
      base_, *std::move(listener), *handler_, options_.limits, observer_);
  ASSERT_TRUE(server.ok()) << server.status();
  server_ = *std::move(server);
  int pipe_fds[2];
  ASSERT_EQ(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK), 0);
  told_.reset(pipe_fds[0]);
  tell_.reset(pipe_fds[1]);
  thread_ = std::thread([this] {
    event* told = event_new(
        base_, told_.get(), EV_READ | EV_PERSIST,
        [](evutil_socket_t, int16_t, void* self) {
          static_cast<TestServer*>(self)->OnTold();
        },
        this);
    event_add(told, nullptr);
    event_base_dispatch(base_);
    event_free(told);
  });
}

void TestServer::OnTold() {
  char what = 0;
  if (read(told_.get(), &what, 1) != 1) return;
  if (what == kStop) {
    event_base_loopbreak(base_);
  } else {
    server_->Drain([this] { event_base_loopbreak(base_); });
  }
}

void TestServer::Tell(char what) {
  const ssize_t written = write(tell_.get(), &what, 1);
  EXPECT_EQ(written, 1);
}

void TestServer::Join() {
  thread_.join();
  server_.reset();
  event_base_free(base_);
  base_ = nullptr;
}

void TestServer::Stop() {
  if (!thread_.joinable()) return;
  Tell(kStop);
  Join();
}

void TestServer::Drain() {
  Tell(kDrain);
  Join();
}

RawClient::RawClient(const std::string& path)
    : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const absl::StatusOr<UnixAddress> address = UnixAddress::Of(path);
  EXPECT_TRUE(address.ok());
  EXPECT_EQ(connect(fd_.get(), address->get(), address->size()), 0)
      << strerror(errno);
}

bool RawClient::Send(absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd_.get(), bytes.data(), bytes.size(),
                              MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EAGAIN) {
      if (!WaitFor(fd_.get(), POLLOUT)) return false;
    } else if (sent < 0) {
      return false;
    } else {
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
  }
  return true;
}

bool RawClient::SendFrame(absl::string_view message) {
  const FrameHeader header =
      EncodeFrameHeader(static_cast<uint32_t>(message.size()));
  return Send(absl::StrCat(std::string(header.begin(), header.end()), message));
}

bool RawClient::SendWith(absl::string_view bytes,
                         const std::vector<int>& descriptors) {
  iovec vector = {.iov_base = const_cast<char*>(bytes.data()),
                  .iov_len = bytes.size()};
  const size_t size = descriptors.size() * sizeof(int);
  std::vector<char> control(CMSG_SPACE(size));
  msghdr message = {};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(size);
  memcpy(CMSG_DATA(header), descriptors.data(), size);
  return sendmsg(fd_.get(), &message, MSG_NOSIGNAL) ==
         static_cast<ssize_t>(bytes.size());
}

void RawClient::FinishSending() { shutdown(fd_.get(), SHUT_WR); }

absl::StatusOr<service::Response> RawClient::Receive() {
  const auto receive = [this](char* data, size_t size) {
    while (size > 0) {
      if (!WaitFor(fd_.get(), POLLIN)) {
        return absl::DeadlineExceededError("receive: nothing came");
      }
      const ssize_t received = recv(fd_.get(), data, size, 0);
      if (received <= 0) return absl::UnavailableError("receive: closed");
      data += received;
      size -= static_cast<size_t>(received);
    }
    return absl::OkStatus();
  };
  FrameHeader header;
  absl::Status status =
      receive(reinterpret_cast<char*>(header.data()), header.size());
  if (!status.ok()) return status;
  std::string message(DecodeFrameHeader(header), '\0');
  status = receive(message.data(), message.size());
  if (!status.ok()) return status;
  service::Response response;
  if (!response.ParseFromString(message)) {
    return absl::InternalError("receive: not a response");
  }
  return response;
}

bool RawClient::IsClosed(absl::Duration patience) {
  const absl::Time deadline = absl::Now() + patience;
  while (absl::Now() < deadline) {
    if (!WaitFor(fd_.get(), POLLIN, 10)) continue;
    char buffer[4096];
    const ssize_t received =
        recv(fd_.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
    if (received == 0 || (received < 0 && errno != EAGAIN)) return true;
  }
  return false;
}

std::string StatusRequestBytes() {
  service::Request request;
  request.mutable_status();
  return request.SerializeAsString();
}

}  // namespace netpolicy::testing
