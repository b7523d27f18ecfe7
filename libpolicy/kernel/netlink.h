// SPDX-License-Identifier: Apache-2.0
//
// Talking to the kernel by netlink: about links, addresses, routes, neighbours,
// queueing disciplines and filters (NETLINK_ROUTE), or about sockets
// (NETLINK_SOCK_DIAG).
//
//   NP_ASSIGN_OR_RETURN(NetlinkSocket socket, NetlinkSocket::Open());
//   NetlinkRequest request(RTM_NEWROUTE, NLM_F_CREATE, rtmsg{...});
//   request.PutU32(RTA_OIF, 3);
//   NP_RETURN_IF_ERROR(socket.Transact(request, "add route default"));
//
// A socket belongs to the network namespace of the thread that opened it.

#ifndef NETPOLICY_LIBPOLICY_KERNEL_NETLINK_H_
#define NETPOLICY_LIBPOLICY_KERNEL_NETLINK_H_

#include <linux/netlink.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct mnl_socket;

namespace netpolicy {

// A message that is being made: its family's header, then attributes.
class NetlinkRequest {
 public:
  // `flags`: NLM_F_CREATE and the like; request and acknowledgement are added
  // when it is sent. `header`: rtmsg, ifinfomsg, tcmsg ...
  template <typename Header>
  NetlinkRequest(uint16_t type, uint16_t flags, const Header& header)
      : NetlinkRequest(type, flags, &header, sizeof(header)) {
    static_assert(std::is_trivially_copyable_v<Header>);
  }

  NetlinkRequest& Put(uint16_t attribute, absl::string_view bytes);
  NetlinkRequest& PutU8(uint16_t attribute, uint8_t value);
  NetlinkRequest& PutU32(uint16_t attribute, uint32_t value);
  NetlinkRequest& PutBe16(uint16_t attribute, uint16_t host_order);
  // With the zero at its end.
  NetlinkRequest& PutText(uint16_t attribute, absl::string_view text);
  // Attributes that `fill` puts are inside of this one.
  NetlinkRequest& Nest(uint16_t attribute, absl::FunctionRef<void()> fill);

 private:
  friend class NetlinkSocket;
  NetlinkRequest(uint16_t type, uint16_t flags, const void* header,
                 size_t header_size);

  std::string bytes_;
};

// A message that was received.
class NetlinkMessage {
 public:
  // `bytes`: one whole message, header included.
  explicit NetlinkMessage(absl::string_view bytes)
      : bytes_(bytes.data(), bytes.size()) {}

  uint16_t type() const;

  // The family's header; zeros when the message is too short for it.
  template <typename Header>
  Header Get() const {
    static_assert(std::is_trivially_copyable_v<Header>);
    Header header{};
    CopyPayload(&header, sizeof(header));
    return header;
  }

  // What is behind the family's header, which takes `header_size` bytes.
  absl::string_view Attributes(size_t header_size) const;

 private:
  void CopyPayload(void* to, size_t size) const;

  std::string bytes_;
};

// Attributes one after the other. Never reads beyond their end, whatever they
// say.
class NetlinkAttributes {
 public:
  explicit NetlinkAttributes(absl::string_view bytes) : bytes_(bytes) {}

  // The first of this type; nothing when there is none.
  std::optional<absl::string_view> Find(uint16_t type) const;
  // Nothing when there is none, or it is not of this size.
  std::optional<uint32_t> FindU32(uint16_t type) const;
  std::optional<uint64_t> FindU64(uint16_t type) const;
  std::optional<uint8_t> FindU8(uint16_t type) const;
  // Up to the first zero; "" when there is none.
  std::string FindText(uint16_t type) const;
  // The attributes inside of one.
  NetlinkAttributes FindNested(uint16_t type) const;

 private:
  absl::string_view bytes_;
};

// What the kernel said to a request: 0, or an errno and perhaps its reason in
// words (NETLINK_EXT_ACK).
struct NetlinkOutcome {
  int error = 0;
  std::string words;

  // `operation` as for StatusFromErrno().
  absl::Status ToStatus(absl::string_view operation) const;
};

// To ask and to be answered. Thread-compatible.
class NetlinkSocket {
 public:
  // `protocol`: NETLINK_ROUTE or NETLINK_SOCK_DIAG.
  static absl::StatusOr<NetlinkSocket> Open(int protocol = NETLINK_ROUTE);

  // Sends a request, waits for what the kernel says to it. An error only when
  // the socket itself fails.
  absl::StatusOr<NetlinkOutcome> Ask(const NetlinkRequest& request,
                                     absl::string_view operation);

  // The same for callers who need no error number. Errors: those of
  // StatusFromErrno().
  absl::Status Transact(const NetlinkRequest& request,
                        absl::string_view operation);

  // The first message that answers a request about one object. Errors: those of
  // StatusFromErrno(); kInternal when the kernel acknowledges and says nothing.
  absl::StatusOr<NetlinkMessage> Get(const NetlinkRequest& request,
                                     absl::string_view operation);

  // All objects of a kind, in a consistent state: asks again when they changed
  // meanwhile. Errors: kUnavailable when they would not stop changing.
  absl::StatusOr<std::vector<NetlinkMessage>> Dump(
      const NetlinkRequest& request, absl::string_view operation);

 private:
  struct Close {
    void operator()(mnl_socket* socket) const;
  };
  explicit NetlinkSocket(mnl_socket* socket) : socket_(socket) {}
  friend class NetlinkMonitor;
  static absl::StatusOr<NetlinkSocket> OpenWith(int protocol, int flags);
  // Sends, and hands on what comes before the acknowledgement.
  absl::StatusOr<NetlinkOutcome> Exchange(
      const NetlinkRequest& request, absl::string_view operation,
      absl::FunctionRef<void(absl::string_view message)> answer);
  absl::Status Send(const NetlinkRequest& request, uint16_t more_flags,
                    absl::string_view operation);
  int fd() const;

  std::unique_ptr<mnl_socket, Close> socket_;
  uint32_t sequence_ = 0;
};

// To hear of changes. Thread-compatible.
class NetlinkMonitor {
 public:
  // `groups`: RTNLGRP_LINK and so on.
  static absl::StatusOr<NetlinkMonitor> Open(const std::vector<int>& groups);

  // Readable when there is something to read; owned by this object.
  int fd() const { return socket_.fd(); }

  // What has come, without waiting; empty when there is nothing. Errors:
  // kDataLoss when messages were lost: what there is must be looked at anew.
  absl::StatusOr<std::vector<NetlinkMessage>> Read();

 private:
  explicit NetlinkMonitor(NetlinkSocket socket) : socket_(std::move(socket)) {}

  NetlinkSocket socket_;
};

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_KERNEL_NETLINK_H_
