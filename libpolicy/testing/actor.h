// SPDX-License-Identifier: Apache-2.0
//
// An application to test with: a process under some UID, cgroup and namespace
// that performs socket operations when told, and keeps its sockets open.
//
//   auto app = Actor::Spawn({.uid = 10001, .cgroup = cg->path(), .netns =
//   ns->fd()}); ASSERT_THAT(app, IsOk()); auto socket =
//   app->UdpSocket(AF_INET6); ASSERT_THAT(socket, IsOk());
//   EXPECT_THAT(app->SendTo(*socket, {"fd77::2", 53}, "x"), IsOkAndHolds(1));
//   Block(10001);
//   EXPECT_THAT(app->SendTo(*socket, {"fd77::2", 53}, "x"), HasErrno(EPERM));
//
// A failed system call is a status with its errno (errno_status.h). What does
// not happen in time is kDeadlineExceeded without an errno. When the process
// itself dies or hangs, every later call is kUnavailable.

#ifndef NETPOLICY_LIBPOLICY_TESTING_ACTOR_H_
#define NETPOLICY_LIBPOLICY_TESTING_ACTOR_H_

#include <sys/socket.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/testing/endpoint.h"
#include "libpolicy/testing/process.h"

namespace netpolicy::testing {

namespace internal {
struct ActorRequest;
struct ActorReply;
}  // namespace internal

// A socket of one actor. A plain value: copying it copies no socket, and only
// Actor::Close or the actor's end closes it.
struct ActorSocket {
  int fd_in_actor = -1;
};

// A received datagram or piece of a stream.
struct Received {
  std::string data;
  // The sender, for datagrams.
  std::optional<Endpoint> from = std::nullopt;
};

// How bulk data is cut up.
struct BulkOptions {
  // Bytes per send call; a datagram each, unless gso_bytes is set.
  int chunk_bytes = 1400;
  // UDP_SEGMENT: each send call makes datagrams of this size. 0: off.
  int gso_bytes = 0;
  absl::Duration timeout = absl::Seconds(30);
};

// Not thread-safe: one operation at a time. Move-only. The destructor kills the
// process, which closes its sockets.
class Actor {
 public:
  // Forks. The process keeps none of the test's descriptors but 0 to 2.
  static absl::StatusOr<Actor> Spawn(const ChildOptions& options);

  // 0 after Kill().
  pid_t pid() const { return child_.pid(); }
  void Kill() { child_.Kill(); }

  // --- Sockets ---
  absl::StatusOr<ActorSocket> Socket(int family, int type, int protocol = 0);
  absl::StatusOr<ActorSocket> UdpSocket(int family);
  absl::StatusOr<ActorSocket> TcpSocket(int family);
  // SOCK_DGRAM ICMP or ICMPv6; the namespace's net.ipv4.ping_group_range must
  // contain the GID.
  absl::StatusOr<ActorSocket> PingSocket(int family);
  // SOCK_RAW; needs CAP_NET_RAW (ChildOptions::privileges).
  absl::StatusOr<ActorSocket> RawSocket(int family, int protocol);
  absl::Status Close(ActorSocket socket);

  // A duplicate for the caller; the actor keeps its own.
  absl::StatusOr<UniqueFd> GetFd(ActorSocket socket);
  // Gives the actor a duplicate of a descriptor of the caller.
  absl::StatusOr<ActorSocket> GiveFd(int fd);

  // --- Addresses and connections ---
  absl::Status Bind(ActorSocket socket, const Endpoint& local);
  // For TCP this waits for the handshake.
  absl::Status Connect(ActorSocket socket, const Endpoint& peer,
                       absl::Duration timeout = absl::Seconds(5));
  absl::Status Listen(ActorSocket socket, int backlog = 16);
  absl::StatusOr<ActorSocket> Accept(ActorSocket socket,
                                     absl::Duration timeout = absl::Seconds(5));
  // how: SHUT_RD, SHUT_WR or SHUT_RDWR.
  absl::Status Shutdown(ActorSocket socket, int how);
  absl::StatusOr<Endpoint> LocalEndpoint(ActorSocket socket);
  absl::StatusOr<Endpoint> PeerEndpoint(ActorSocket socket);

  // --- Data ---
  // The number of bytes that one send call took. At most 128 KiB a call.
  absl::StatusOr<size_t> Send(ActorSocket socket, absl::string_view data);
  absl::StatusOr<size_t> SendTo(ActorSocket socket, const Endpoint& peer,
                                absl::string_view data);
  // One sendmsg with UDP_SEGMENT: datagrams of `segment_bytes`, the last one
  // may be shorter. To the connected peer when `peer` is not given.
  absl::StatusOr<size_t> SendSegments(ActorSocket socket,
                                      const std::optional<Endpoint>& peer,
                                      absl::string_view data,
                                      int segment_bytes);
  // One receive call of up to 128 KiB. An empty stream at its end gives "".
  absl::StatusOr<Received> Receive(ActorSocket socket,
                                   absl::Duration timeout = absl::Seconds(2));

  // Sends or receives this many bytes, of any content, in as many calls as it
  // takes; returns the number of bytes moved, which is less only at the end of
  // a stream.
  absl::StatusOr<uint64_t> SendBytes(ActorSocket socket, uint64_t bytes,
                                     const BulkOptions& options = {});
  absl::StatusOr<uint64_t> ReceiveBytes(
      ActorSocket socket, uint64_t bytes,
      absl::Duration timeout = absl::Seconds(30));

  // An operation that goes on while other actors work. Until Wait() has
  // returned, the actor takes no other operation (kFailedPrecondition).
  class Pending {
   public:
    absl::StatusOr<uint64_t> Wait();

   private:
    friend class Actor;
    Pending(Actor* actor, absl::Status started, absl::Duration timeout)
        : actor_(actor), started_(std::move(started)), timeout_(timeout) {}
    Actor* actor_;  // Must not move meanwhile.
    absl::Status started_;
    absl::Duration timeout_;
  };
  Pending StartSendBytes(ActorSocket socket, uint64_t bytes,
                         const BulkOptions& options = {});
  Pending StartReceiveBytes(ActorSocket socket, uint64_t bytes,
                            absl::Duration timeout = absl::Seconds(30));

  // --- Options ---
  absl::Status SetOptionBytes(ActorSocket socket, int level, int name,
                              absl::string_view value);
  absl::StatusOr<std::string> GetOptionBytes(ActorSocket socket, int level,
                                             int name);
  template <typename T>
  absl::Status SetOption(ActorSocket socket, int level, int name,
                         const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    return SetOptionBytes(
        socket, level, name,
        {reinterpret_cast<const char*>(&value), sizeof(value)});
  }
  // An int unless told otherwise. kInternal when the kernel's value has another
  // size.
  template <typename T = int>
  absl::StatusOr<T> GetOption(ActorSocket socket, int level, int name) {
    static_assert(std::is_trivially_copyable_v<T>);
    absl::StatusOr<std::string> bytes = GetOptionBytes(socket, level, name);
    if (!bytes.ok()) return bytes.status();
    if (bytes->size() != sizeof(T))
      return absl::InternalError("get option: other size");
    T value;
    memcpy(&value, bytes->data(), sizeof(value));
    return value;
  }
  // SO_BINDTODEVICE.
  absl::Status BindToDevice(ActorSocket socket, const std::string& device);
  // fchown(2), which sets the UID that the kernel keeps with a socket.
  absl::Status Chown(ActorSocket socket, uid_t uid);

  // --- Anything else ---
  // Runs a function in the actor, which has no state but its sockets:
  // `function` must not capture (it may use what existed before Spawn), hence a
  // pointer.
  using Function = absl::StatusOr<std::string> (*)(absl::string_view input);
  absl::StatusOr<std::string> Call(Function function,
                                   absl::string_view input = "",
                                   absl::Duration timeout = absl::Seconds(5));

 private:
  using Request = internal::ActorRequest;
  struct Reply;

  Actor(ChildProcess child, UniqueFd control)
      : child_(std::move(child)), control_(std::move(control)) {}

  absl::Status Post(const Request& request, absl::string_view payload,
                    int fd = -1);
  absl::StatusOr<Reply> Await(absl::Duration timeout);
  absl::StatusOr<Reply> Do(const Request& request,
                           absl::string_view payload = "", int fd = -1);
  absl::StatusOr<ActorSocket> DoForSocket(const Request& request, int fd = -1);

  ChildProcess child_;
  UniqueFd control_;
  bool busy_ = false;
};

}  // namespace netpolicy::testing

#endif  // NETPOLICY_LIBPOLICY_TESTING_ACTOR_H_
