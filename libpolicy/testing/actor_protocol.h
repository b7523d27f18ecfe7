// SPDX-License-Identifier: Apache-2.0
//
// What an Actor and its process say to each other: one SOCK_SEQPACKET message
// each way, a fixed header and bytes, with at most one descriptor. Both sides
// are the same binary. For actor.cc and actor_process.cc only.

#ifndef NETPOLICY_LIBPOLICY_TESTING_ACTOR_PROTOCOL_H_
#define NETPOLICY_LIBPOLICY_TESTING_ACTOR_PROTOCOL_H_

#include <sys/socket.h>

#include <cstdint>

namespace netpolicy::testing::internal {

// The longest payload either way.
inline constexpr size_t kActorPayloadBytes = 128 * 1024;

enum class ActorOp : uint32_t {
  kSocket,  // args: family, type, protocol. Reply value: fd
  kClose,
  kGetFd,         // Reply carries the fd
  kGiveFd,        // Request carries the fd. Reply value: fd
  kBind,          // address
  kConnect,       // address
  kListen,        // args: backlog
  kAccept,        // Reply value: fd
  kShutdown,      // args: how
  kLocalAddress,  // Reply: address
  kPeerAddress,   // Reply: address
  kSend,          // address, or none; args: UDP_SEGMENT bytes or 0; payload
  kReceive,       // Reply: payload, address or none
  kSendBytes,     // args: bytes, bytes a call, UDP_SEGMENT bytes or 0
  kReceiveBytes,  // args: bytes
  kSetOption,     // args: level, name; payload
  kGetOption,     // args: level, name. Reply: payload
  kChown,         // args: uid
  kCall,          // args: function; payload. Reply: payload
};

struct ActorRequest {
  ActorOp op = ActorOp::kSocket;
  int32_t fd = -1;
  int64_t args[3] = {};
  int64_t timeout_ns = 5'000'000'000;
  sockaddr_storage address = {};
  uint32_t address_bytes = 0;  // 0: none.
};

struct ActorReply {
  int64_t value = 0;
  uint32_t failed = 0;  // 1: the payload is a serialized status.
  uint32_t address_bytes = 0;
  sockaddr_storage address = {};
};

// Performs requests from `control` until it is closed.
int ActorMain(int control);

// Sends or receives one message: header, payload and descriptor (-1: none).
// Receive returns the payload size, or -1 with errno, or -2 at the end.
bool SendActorMessage(int socket, const void* header, size_t header_bytes,
                      const char* payload, size_t payload_bytes, int fd);
long ReceiveActorMessage(int socket, void* header, size_t header_bytes,
                         char* payload, size_t payload_bytes, int* fd);

}  // namespace netpolicy::testing::internal

#endif  // NETPOLICY_LIBPOLICY_TESTING_ACTOR_PROTOCOL_H_
