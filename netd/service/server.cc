// SPDX-License-Identifier: Apache-2.0

#include "netd/service/server.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/kernel/errno_status.h"
#include "netd/service/descriptor_closer.h"
#include "netd/service/frame.h"
#include "netd/service/receive.h"

namespace netpolicy {
namespace {

// How much of one client's data the loop moves before it looks at the others.
constexpr size_t kBytesPerTurn = 256 << 10;

// A request's memory grows by so much, as it arrives.
constexpr size_t kReceiveBytes = 64 << 10;

// How long to wait when accept(2) has no descriptors left.
constexpr absl::Duration kAcceptPause = absl::Seconds(1);

struct EventDeleter {
  void operator()(event* e) const { event_free(e); }
  void operator()(bufferevent* b) const { bufferevent_free(b); }
  void operator()(evconnlistener* l) const { evconnlistener_free(l); }
};
template <typename T>
using EventPtr = std::unique_ptr<T, EventDeleter>;

void Arm(event* timer, absl::Duration delay) {
  const timeval when = absl::ToTimeval(delay);
  evtimer_add(timer, &when);
}

class ServerImpl;

// One client. Reads a request, has it answered, writes the response, reads the
// next: while a response is on its way nothing is read, so that a client can't
// have more than one in memory, nor more than one descriptor here.
class Connection {
 public:
  Connection(ServerImpl& server, Peer peer, Right right)
      : server_(server), peer_(std::move(peer)), right_(right) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  // Takes `fd`. False when memory is short.
  bool Start(event_base* base, UniqueFd fd);

  const Peer& peer() const { return peer_; }
  Right right() const { return right_; }

  // Closes unless a response is under way; then closes after it. May destroy
  // this object.
  void Finish();

 private:
  enum class State {
    kIdle,       // between requests
    kReceiving,  // a request has begun
    kSending,    // a response is under way
    kLastWords,  // as kSending; then close
  };

  static void OnReadable(evutil_socket_t fd, int16_t what, void* self);
  static void OnWritten(bufferevent* bev, void* self);
  static void OnEvent(bufferevent* bev, int16_t what, void* self);
  static void OnTimeout(evutil_socket_t fd, int16_t what, void* self);

  // Each of these may destroy this object.
  void Read();
  absl::Status TakeDescriptors(Received received);
  void Answer();
  void Refuse(const absl::Status& why);
  void Drop(const absl::Status& why);

  void Enter(State state);
  void Send(std::string response, State state);
  size_t RequestLimit() const;
  // The bytes to wait for: the header, or the whole frame.
  size_t FrameBytes() const;

  ServerImpl& server_;
  const Peer peer_;
  const Right right_;
  State state_ = State::kIdle;
  std::string frame_;    // as far as it is there
  UniqueFd descriptor_;  // that came with it
  UniqueFd fd_;
  EventPtr<event> readable_;
  EventPtr<bufferevent> bev_;  // writes
  EventPtr<event> timer_;
};

class ServerImpl final : public Server {
 public:
  ServerImpl(event_base* base, Listener listener, RequestHandler& handler,
             const ServerLimits& limits, ServerObserver& observer)
      : base_(base),
        socket_(std::move(listener)),
        handler_(handler),
        limits_(limits),
        observer_(observer) {}

  bool Start() {
    // No LEV_OPT_CLOSE_ON_FREE: the descriptor is socket_'s.
    accept_.reset(evconnlistener_new(base_, &OnAccept, this,
                                     LEV_OPT_CLOSE_ON_EXEC, /*backlog=*/0,
                                     socket_.fd()));
    resume_.reset(evtimer_new(base_, &OnResume, this));
    if (accept_ == nullptr || resume_ == nullptr) return false;
    evconnlistener_set_error_cb(accept_.get(), &OnAcceptError);
    return true;
  }

  void Drain(std::function<void()> drained) override {
    draining_ = true;
    drained_ = std::move(drained);
    evconnlistener_disable(accept_.get());
    evtimer_del(resume_.get());
    std::vector<Connection*> all;
    for (const auto& [connection, owned] : connections_) {
      all.push_back(connection);
    }
    for (Connection* connection : all) connection->Finish();
    NoteIfDrained();
  }

  size_t clients() const override { return connections_.size(); }

  RequestHandler& handler() { return handler_; }
  const ServerLimits& limits() const { return limits_; }
  ServerObserver& observer() { return observer_; }
  bool draining() const { return draining_; }
  DescriptorCloser& closer() { return closer_; }

  // Destroys the connection.
  void Remove(Connection* connection) {
    connections_.erase(connection);
    NoteIfDrained();
  }

 private:
  static void OnAccept(evconnlistener*, evutil_socket_t fd, sockaddr*, int,
                       void* self) {
    static_cast<ServerImpl*>(self)->Accept(UniqueFd(fd));
  }

  static void OnAcceptError(evconnlistener*, void* self) {
    static_cast<ServerImpl*>(self)->PauseAccept(errno);
  }

  static void OnResume(evutil_socket_t, int16_t, void* self) {
    evconnlistener_enable(static_cast<ServerImpl*>(self)->accept_.get());
  }

  // The listening socket stays readable while there are no descriptors, so the
  // loop would spin.
  void PauseAccept(int error) {
    observer_.OnAcceptError(
        StatusFromErrno(error, absl::StrCat("accept on ", socket_.path())));
    evconnlistener_disable(accept_.get());
    Arm(resume_.get(), kAcceptPause);
  }

  void Accept(UniqueFd fd) {
    absl::StatusOr<Peer> peer = PeerOf(fd.get());
    if (!peer.ok()) {
      Reject(std::move(fd), Peer{}, peer.status());
      return;
    }
    const Right right = RightOf(*peer, handler_.rules());
    if (absl::Status room = CheckRoom(*peer, right); !room.ok()) {
      Reject(std::move(fd), *peer, room);
      return;
    }
    const Peer copy = *peer;
    auto connection =
        std::make_unique<Connection>(*this, *std::move(peer), right);
    Connection* key = connection.get();
    if (!connection->Start(base_, std::move(fd))) {
      observer_.OnDropped(
          copy, absl::ResourceExhaustedError("accept client: out of memory"));
      return;
    }
    connections_.emplace(key, std::move(connection));
  }

  absl::Status CheckRoom(const Peer& peer, Right right) const {
    size_t room = limits_.clients;
    if (right != Right::kChange) {
      room -= std::min(room, limits_.clients_reserved);
    }
    if (connections_.size() >= room) {
      return absl::ResourceExhaustedError(
          absl::StrCat("accept client: there are ", connections_.size(),
                       " already, and no room for uid ", peer.uid));
    }
    if (right == Right::kChange) return absl::OkStatus();
    const auto same_uid = static_cast<size_t>(std::count_if(
        connections_.begin(), connections_.end(), [&peer](const auto& entry) {
          return entry.first->peer().uid == peer.uid;
        }));
    if (same_uid < limits_.clients_per_uid) return absl::OkStatus();
    return absl::ResourceExhaustedError(absl::StrCat(
        "accept client: uid ", peer.uid, " has ", same_uid, " already"));
  }

  // Tells a client that isn't taken in why. It fits into an empty socket
  // buffer; if it doesn't go out, it was only an explanation.
  void Reject(UniqueFd fd, const Peer& peer, const absl::Status& why) {
    observer_.OnDropped(peer, why);
    const std::string response = EncodeErrorResponse(why);
    const FrameHeader header =
        EncodeFrameHeader(static_cast<uint32_t>(response.size()));
    std::string frame(header.begin(), header.end());
    frame += response;
    const ssize_t sent =
        send(fd.get(), frame.data(), frame.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    static_cast<void>(sent);
    shutdown(fd.get(), SHUT_RDWR);
    closer_.Close(std::move(fd));
  }

  void NoteIfDrained() {
    if (!draining_ || !connections_.empty() || !drained_) return;
    std::exchange(drained_, nullptr)();
  }

  event_base* const base_;
  Listener socket_;
  RequestHandler& handler_;
  const ServerLimits limits_;
  ServerObserver& observer_;
  bool draining_ = false;
  std::function<void()> drained_;
  EventPtr<evconnlistener> accept_;
  EventPtr<event> resume_;
  DescriptorCloser closer_;
  std::unordered_map<Connection*, std::unique_ptr<Connection>> connections_;
};

bool Connection::Start(event_base* base, UniqueFd fd) {
  fd_ = std::move(fd);
  timer_.reset(evtimer_new(base, &OnTimeout, this));
  readable_.reset(
      event_new(base, fd_.get(), EV_READ | EV_PERSIST, &OnReadable, this));
  // Without BEV_OPT_CLOSE_ON_FREE: the descriptor is fd_'s.
  bev_.reset(bufferevent_socket_new(base, fd_.get(), 0));
  if (timer_ == nullptr || readable_ == nullptr || bev_ == nullptr) {
    return false;
  }
  bufferevent_setcb(bev_.get(), nullptr, &OnWritten, &OnEvent, this);
  bufferevent_set_max_single_write(bev_.get(), kBytesPerTurn);
  if (bufferevent_disable(bev_.get(), EV_READ) != 0 ||
      bufferevent_enable(bev_.get(), EV_WRITE) != 0 ||
      event_add(readable_.get(), nullptr) != 0) {
    return false;
  }
  Enter(State::kIdle);
  return true;
}

Connection::~Connection() {
  readable_.reset();
  bev_.reset();
  if (!fd_.ok()) return;
  // The client needn't wait for the closer.
  shutdown(fd_.get(), SHUT_RDWR);
  server_.closer().Close(std::move(descriptor_));
  server_.closer().Close(std::move(fd_));
}

void Connection::Finish() {
  if (state_ == State::kIdle || state_ == State::kReceiving) {
    server_.Remove(this);
    return;
  }
  state_ = State::kLastWords;
  Arm(timer_.get(), server_.limits().drain);
}

void Connection::OnReadable(evutil_socket_t, int16_t, void* self) {
  static_cast<Connection*>(self)->Read();
}

void Connection::OnWritten(bufferevent*, void* self) {
  auto* connection = static_cast<Connection*>(self);
  switch (connection->state_) {
    case State::kIdle:
    case State::kReceiving:
      return;
    case State::kLastWords:
      connection->server_.Remove(connection);
      return;
    case State::kSending:
      connection->Enter(State::kIdle);
      event_add(connection->readable_.get(), nullptr);
      return;
  }
}

// Of writing: the client is gone.
void Connection::OnEvent(bufferevent*, int16_t, void* self) {
  auto* connection = static_cast<Connection*>(self);
  connection->server_.Remove(connection);
}

void Connection::OnTimeout(evutil_socket_t, int16_t, void* self) {
  auto* connection = static_cast<Connection*>(self);
  const ServerLimits& limits = connection->server_.limits();
  switch (connection->state_) {
    case State::kIdle:
      connection->server_.Remove(connection);
      return;
    case State::kReceiving:
      connection->Refuse(absl::DeadlineExceededError(
          absl::StrCat("receive request: not complete after ",
                       absl::FormatDuration(limits.receive))));
      return;
    case State::kSending:
    case State::kLastWords:
      connection->Drop(absl::DeadlineExceededError(absl::StrCat(
          "send response: not taken within ",
          absl::FormatDuration(connection->server_.draining() ? limits.drain
                                                              : limits.send))));
      return;
  }
}

size_t Connection::RequestLimit() const {
  const ServerLimits& limits = server_.limits();
  return right_ == Right::kChange ? limits.change_request_bytes
                                  : limits.read_request_bytes;
}

size_t Connection::FrameBytes() const {
  if (frame_.size() < kFrameHeaderBytes) return kFrameHeaderBytes;
  FrameHeader header;
  std::copy_n(frame_.begin(), header.size(), header.begin());
  return kFrameHeaderBytes + DecodeFrameHeader(header);
}

void Connection::Read() {
  for (size_t left = kBytesPerTurn; left > 0;) {
    const size_t before = frame_.size();
    // Not a byte beyond the frame: see Receive().
    Received received =
        Receive(fd_.get(),
                std::min({FrameBytes() - before, kReceiveBytes, left}), frame_);
    switch (received.what) {
      case Received::What::kNothing:
        return;
      case Received::What::kEnd:
        if (state_ == State::kReceiving) {
          Refuse(
              absl::InvalidArgumentError("receive request: it ends too early"));
          return;
        }
        [[fallthrough]];
      case Received::What::kError:
        server_.Remove(this);
        return;
      case Received::What::kBytes:
        break;
    }
    left -= frame_.size() - before;
    if (state_ == State::kIdle) Enter(State::kReceiving);
    if (const absl::Status taken = TakeDescriptors(std::move(received));
        !taken.ok()) {
      Refuse(taken);
      return;
    }
    const size_t length = FrameBytes() - kFrameHeaderBytes;
    if (length > RequestLimit()) {
      Refuse(absl::ResourceExhaustedError(
          absl::StrCat("receive request: ", length, " bytes exceed the ",
                       RequestLimit(), " that uid ", peer_.uid, " may send")));
      return;
    }
    if (frame_.size() >= kFrameHeaderBytes &&
        frame_.size() == kFrameHeaderBytes + length) {
      Answer();
      return;
    }
  }
}

absl::Status Connection::TakeDescriptors(Received received) {
  absl::Status status;
  if (received.lost_descriptors) {
    status = absl::ResourceExhaustedError(
        "receive request: there is no room for the descriptor that came with "
        "it");
  }
  for (UniqueFd& descriptor : received.descriptors) {
    if (!descriptor_.ok()) {
      descriptor_ = std::move(descriptor);
      continue;
    }
    status = absl::InvalidArgumentError(
        "receive request: more than one descriptor came with it");
    server_.closer().Close(std::move(descriptor));
  }
  return status;
}

void Connection::Answer() {
  absl::optional<int> descriptor;
  if (descriptor_.ok()) descriptor = descriptor_.get();
  HandledRequest handled = server_.handler().Handle(
      peer_, absl::string_view(frame_).substr(kFrameHeaderBytes), descriptor);
  server_.observer().OnCall(peer_, handled.record);
  Send(std::move(handled.response), handled.after == AfterResponse::kClose
                                        ? State::kLastWords
                                        : State::kSending);
}

void Connection::Refuse(const absl::Status& why) {
  server_.observer().OnDropped(peer_, why);
  Send(EncodeErrorResponse(why), State::kLastWords);
}

void Connection::Drop(const absl::Status& why) {
  server_.observer().OnDropped(peer_, why);
  server_.Remove(this);
}

void Connection::Enter(State state) {
  const ServerLimits& limits = server_.limits();
  state_ = state;
  switch (state) {
    case State::kIdle:
      Arm(timer_.get(),
          right_ == Right::kNone ? limits.idle_without_rights : limits.idle);
      return;
    case State::kReceiving:
      Arm(timer_.get(), limits.receive);
      return;
    case State::kSending:
    case State::kLastWords:
      Arm(timer_.get(), limits.send);
      return;
  }
}

void Connection::Send(std::string response, State state) {
  event_del(readable_.get());
  frame_ = std::string();
  server_.closer().Close(std::move(descriptor_));
  Enter(state);
  const FrameHeader header =
      EncodeFrameHeader(static_cast<uint32_t>(response.size()));
  evbuffer* output = bufferevent_get_output(bev_.get());
  evbuffer_add(output, header.data(), header.size());
  auto owned = std::make_unique<std::string>(std::move(response));
  const auto release = [](const void*, size_t, void* text) {
    delete static_cast<std::string*>(text);
  };
  if (owned->empty()) return;
  if (evbuffer_add_reference(output, owned->data(), owned->size(), release,
                             owned.get()) == 0) {
    static_cast<void>(owned.release());
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(
    event_base* base, Listener listener, RequestHandler& handler,
    const ServerLimits& limits, ServerObserver& observer) {
  const std::string path = listener.path();
  auto server = std::make_unique<ServerImpl>(base, std::move(listener), handler,
                                             limits, observer);
  if (!server->Start()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("listen on ", path, ": out of memory"));
  }
  return server;
}

}  // namespace netpolicy
