// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/kernel/netlink.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/kernel/errno_status.h"

namespace netpolicy {
namespace {

// The kernel makes parts of a dump no larger than this unless the receiver has
// a larger buffer (netlink_dump() in net/netlink/af_netlink.c).
constexpr size_t kBufferSize = 32768;

// How often a dump is begun anew, and how many messages a monitor hands out at
// once, so that a busy kernel can't hold its caller for ever.
constexpr int kDumpAttempts = 8;
constexpr size_t kMaxBatch = 1024;

constexpr size_t Aligned(size_t size) { return (size + 3) & ~size_t{3}; }

// Takes one message off the front; nothing when what is left is none.
std::optional<absl::string_view> TakeMessage(absl::string_view* rest) {
  nlmsghdr header;
  if (rest->size() < sizeof(header)) return std::nullopt;
  std::memcpy(&header, rest->data(), sizeof(header));
  if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > rest->size()) {
    return std::nullopt;
  }
  const absl::string_view message = rest->substr(0, header.nlmsg_len);
  rest->remove_prefix(std::min(rest->size(), Aligned(header.nlmsg_len)));
  return message;
}

nlmsghdr HeaderOf(absl::string_view message) {
  nlmsghdr header;
  std::memcpy(&header, message.data(), sizeof(header));
  return header;
}

// What an NLMSG_ERROR, or the NLMSG_DONE of a dump, says.
NetlinkOutcome ReadOutcome(absl::string_view message) {
  const nlmsghdr header = HeaderOf(message);
  nlmsgerr error{};
  NetlinkOutcome outcome;
  size_t offset = sizeof(header);
  if (header.nlmsg_type == NLMSG_DONE) {
    if (message.size() < offset + sizeof(error.error)) return outcome;
    std::memcpy(&error.error, message.data() + offset, sizeof(error.error));
    offset += sizeof(error.error);
  } else {
    if (message.size() < offset + sizeof(error)) return {EBADMSG, ""};
    std::memcpy(&error, message.data() + offset, sizeof(error));
    offset += sizeof(error);
    if ((header.nlmsg_flags & NLM_F_CAPPED) == 0) {
      offset += Aligned(error.msg.nlmsg_len) - sizeof(nlmsghdr);
    }
  }
  outcome.error = -error.error;
  if ((header.nlmsg_flags & NLM_F_ACK_TLVS) != 0 && offset < message.size()) {
    outcome.words =
        NetlinkAttributes(message.substr(offset)).FindText(NLMSGERR_ATTR_MSG);
  }
  return outcome;
}

}  // namespace

NetlinkRequest::NetlinkRequest(uint16_t type, uint16_t flags,
                               const void* header, size_t header_size) {
  nlmsghdr start{};
  start.nlmsg_type = type;
  start.nlmsg_flags = flags;
  bytes_.assign(reinterpret_cast<const char*>(&start), sizeof(start));
  bytes_.append(static_cast<const char*>(header), header_size);
  bytes_.resize(Aligned(bytes_.size()));
}

NetlinkRequest& NetlinkRequest::Put(uint16_t attribute,
                                    absl::string_view bytes) {
  nlattr start;
  start.nla_len = static_cast<uint16_t>(sizeof(start) + bytes.size());
  start.nla_type = attribute;
  bytes_.append(reinterpret_cast<const char*>(&start), sizeof(start));
  bytes_.append(bytes.data(), bytes.size());
  bytes_.resize(Aligned(bytes_.size()));
  return *this;
}

NetlinkRequest& NetlinkRequest::PutU8(uint16_t attribute, uint8_t value) {
  return Put(attribute, {reinterpret_cast<const char*>(&value), sizeof(value)});
}

NetlinkRequest& NetlinkRequest::PutU32(uint16_t attribute, uint32_t value) {
  return Put(attribute, {reinterpret_cast<const char*>(&value), sizeof(value)});
}

NetlinkRequest& NetlinkRequest::PutBe16(uint16_t attribute,
                                        uint16_t host_order) {
  const uint16_t wire = htons(host_order);
  return Put(attribute, {reinterpret_cast<const char*>(&wire), sizeof(wire)});
}

NetlinkRequest& NetlinkRequest::PutText(uint16_t attribute,
                                        absl::string_view text) {
  std::string terminated(text.data(), text.size());
  terminated.push_back('\0');
  return Put(attribute, terminated);
}

NetlinkRequest& NetlinkRequest::Nest(uint16_t attribute,
                                     absl::FunctionRef<void()> fill) {
  const size_t start = bytes_.size();
  Put(attribute | NLA_F_NESTED, "");
  fill();
  const uint16_t length = static_cast<uint16_t>(bytes_.size() - start);
  std::memcpy(&bytes_[start], &length, sizeof(length));
  return *this;
}

uint16_t NetlinkMessage::type() const {
  return bytes_.size() < sizeof(nlmsghdr) ? uint16_t{NLMSG_NOOP}
                                          : HeaderOf(bytes_).nlmsg_type;
}

absl::string_view NetlinkMessage::Attributes(size_t header_size) const {
  const size_t offset = sizeof(nlmsghdr) + Aligned(header_size);
  if (bytes_.size() <= offset) return {};
  return absl::string_view(bytes_).substr(offset);
}

void NetlinkMessage::CopyPayload(void* to, size_t size) const {
  if (bytes_.size() < sizeof(nlmsghdr) + size) return;
  std::memcpy(to, bytes_.data() + sizeof(nlmsghdr), size);
}

std::optional<absl::string_view> NetlinkAttributes::Find(uint16_t type) const {
  absl::string_view rest = bytes_;
  nlattr attribute;
  while (rest.size() >= sizeof(attribute)) {
    std::memcpy(&attribute, rest.data(), sizeof(attribute));
    if (attribute.nla_len < sizeof(attribute) ||
        attribute.nla_len > rest.size()) {
      break;
    }
    if ((attribute.nla_type & NLA_TYPE_MASK) == type) {
      return rest.substr(sizeof(attribute),
                         attribute.nla_len - sizeof(attribute));
    }
    rest.remove_prefix(std::min(rest.size(), Aligned(attribute.nla_len)));
  }
  return std::nullopt;
}

std::optional<uint32_t> NetlinkAttributes::FindU32(uint16_t type) const {
  const std::optional<absl::string_view> bytes = Find(type);
  uint32_t value;
  if (!bytes.has_value() || bytes->size() != sizeof(value)) return std::nullopt;
  std::memcpy(&value, bytes->data(), sizeof(value));
  return value;
}

std::optional<uint64_t> NetlinkAttributes::FindU64(uint16_t type) const {
  const std::optional<absl::string_view> bytes = Find(type);
  uint64_t value;
  if (!bytes.has_value() || bytes->size() != sizeof(value)) return std::nullopt;
  std::memcpy(&value, bytes->data(), sizeof(value));
  return value;
}

std::optional<uint8_t> NetlinkAttributes::FindU8(uint16_t type) const {
  const std::optional<absl::string_view> bytes = Find(type);
  if (!bytes.has_value() || bytes->size() != 1) return std::nullopt;
  return static_cast<uint8_t>((*bytes)[0]);
}

std::string NetlinkAttributes::FindText(uint16_t type) const {
  const absl::string_view bytes = Find(type).value_or(absl::string_view());
  const size_t length = bytes.find('\0');
  return std::string(bytes.substr(0, length));
}

NetlinkAttributes NetlinkAttributes::FindNested(uint16_t type) const {
  return NetlinkAttributes(Find(type).value_or(absl::string_view()));
}

absl::Status NetlinkOutcome::ToStatus(absl::string_view operation) const {
  if (error == 0) return absl::OkStatus();
  if (words.empty()) return StatusFromErrno(error, operation);
  std::string hint = words;
  hint[0] = absl::ascii_tolower(hint[0]);
  return StatusFromErrno(error, operation, hint);
}

void NetlinkSocket::Close::operator()(mnl_socket* socket) const {
  mnl_socket_close(socket);
}

int NetlinkSocket::fd() const { return mnl_socket_get_fd(socket_.get()); }

absl::StatusOr<NetlinkSocket> NetlinkSocket::OpenWith(int protocol, int flags) {
  const absl::string_view name =
      protocol == NETLINK_SOCK_DIAG ? "sock_diag" : "rtnetlink";
  NetlinkSocket socket(
      mnl_socket_open2(protocol, SOCK_RAW | SOCK_CLOEXEC | flags));
  if (socket.socket_ == nullptr) {
    return StatusFromErrno(errno, absl::StrCat("open ", name, " socket"));
  }
  if (mnl_socket_bind(socket.socket_.get(), 0, MNL_SOCKET_AUTOPID) < 0) {
    return StatusFromErrno(errno, absl::StrCat("bind ", name, " socket"));
  }
  return socket;
}

absl::StatusOr<NetlinkSocket> NetlinkSocket::Open(int protocol) {
  NP_ASSIGN_OR_RETURN(NetlinkSocket socket, OpenWith(protocol, 0));
  // Kernels without them answer in fewer words; that is all.
  int on = 1;
  mnl_socket_setsockopt(socket.socket_.get(), NETLINK_EXT_ACK, &on, sizeof(on));
  mnl_socket_setsockopt(socket.socket_.get(), NETLINK_CAP_ACK, &on, sizeof(on));
  const timeval timeout = {.tv_sec = 5, .tv_usec = 0};
  setsockopt(socket.fd(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  return socket;
}

absl::Status NetlinkSocket::Send(const NetlinkRequest& request,
                                 uint16_t more_flags,
                                 absl::string_view operation) {
  std::string message = request.bytes_;
  nlmsghdr header = HeaderOf(message);
  header.nlmsg_len = static_cast<uint32_t>(message.size());
  header.nlmsg_seq = ++sequence_;
  header.nlmsg_flags |= NLM_F_REQUEST | more_flags;
  std::memcpy(&message[0], &header, sizeof(header));
  if (mnl_socket_sendto(socket_.get(), message.data(), message.size()) < 0) {
    return StatusFromErrno(errno, operation);
  }
  return absl::OkStatus();
}

absl::StatusOr<NetlinkOutcome> NetlinkSocket::Exchange(
    const NetlinkRequest& request, absl::string_view operation,
    absl::FunctionRef<void(absl::string_view message)> answer) {
  NP_RETURN_IF_ERROR(Send(request, NLM_F_ACK, operation));
  std::vector<char> buffer(kBufferSize);
  while (true) {
    const ssize_t size =
        mnl_socket_recvfrom(socket_.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return StatusFromErrno(errno, operation);
    absl::string_view rest(buffer.data(), static_cast<size_t>(size));
    while (auto message = TakeMessage(&rest)) {
      const nlmsghdr header = HeaderOf(*message);
      if (header.nlmsg_seq != sequence_) continue;
      if (header.nlmsg_type == NLMSG_ERROR) return ReadOutcome(*message);
      answer(*message);
    }
  }
}

absl::StatusOr<NetlinkOutcome> NetlinkSocket::Ask(const NetlinkRequest& request,
                                                  absl::string_view operation) {
  return Exchange(request, operation, [](absl::string_view) {});
}

absl::StatusOr<NetlinkMessage> NetlinkSocket::Get(const NetlinkRequest& request,
                                                  absl::string_view operation) {
  std::optional<NetlinkMessage> first;
  NP_ASSIGN_OR_RETURN(
      const NetlinkOutcome outcome,
      Exchange(request, operation, [&first](absl::string_view message) {
        if (!first.has_value()) first.emplace(message);
      }));
  NP_RETURN_IF_ERROR(outcome.ToStatus(operation));
  if (!first.has_value()) {
    return absl::InternalError(absl::StrCat(operation, ": no answer"));
  }
  return *std::move(first);
}

absl::Status NetlinkSocket::Transact(const NetlinkRequest& request,
                                     absl::string_view operation) {
  NP_ASSIGN_OR_RETURN(NetlinkOutcome outcome, Ask(request, operation));
  return outcome.ToStatus(operation);
}

absl::StatusOr<std::vector<NetlinkMessage>> NetlinkSocket::Dump(
    const NetlinkRequest& request, absl::string_view operation) {
  std::vector<char> buffer(kBufferSize);
  for (int attempt = 0; attempt < kDumpAttempts; ++attempt) {
    NP_RETURN_IF_ERROR(Send(request, NLM_F_DUMP, operation));
    std::vector<NetlinkMessage> messages;
    bool changed = false;
    bool done = false;
    while (!done) {
      const ssize_t size =
          mnl_socket_recvfrom(socket_.get(), buffer.data(), buffer.size());
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) return StatusFromErrno(errno, operation);
      absl::string_view rest(buffer.data(), static_cast<size_t>(size));
      while (auto message = TakeMessage(&rest)) {
        const nlmsghdr header = HeaderOf(*message);
        if (header.nlmsg_seq != sequence_) continue;
        changed |= (header.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
        if (header.nlmsg_type == NLMSG_DONE ||
            header.nlmsg_type == NLMSG_ERROR) {
          NP_RETURN_IF_ERROR(ReadOutcome(*message).ToStatus(operation));
          done = true;
          break;
        }
        messages.emplace_back(*message);
      }
    }
    if (!changed) return messages;
  }
  return absl::UnavailableError(
      absl::StrCat(operation, ": changed while it was read, time and again"));
}

absl::StatusOr<NetlinkMonitor> NetlinkMonitor::Open(
    const std::vector<int>& groups) {
  NP_ASSIGN_OR_RETURN(NetlinkSocket socket,
                      NetlinkSocket::OpenWith(NETLINK_ROUTE, SOCK_NONBLOCK));
  for (int group : groups) {
    if (mnl_socket_setsockopt(socket.socket_.get(), NETLINK_ADD_MEMBERSHIP,
                              &group, sizeof(group)) < 0) {
      return StatusFromErrno(errno,
                             absl::StrCat("join rtnetlink group ", group));
    }
  }
  return NetlinkMonitor(std::move(socket));
}

absl::StatusOr<std::vector<NetlinkMessage>> NetlinkMonitor::Read() {
  std::vector<NetlinkMessage> messages;
  std::vector<char> buffer(kBufferSize);
  while (messages.size() < kMaxBatch) {
    const ssize_t size = mnl_socket_recvfrom(socket_.socket_.get(),
                                             buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (size < 0 && (errno == ENOBUFS || errno == ENOSPC)) {
      return absl::DataLossError("read rtnetlink: messages were lost");
    }
    if (size < 0) return StatusFromErrno(errno, "read rtnetlink");
    absl::string_view rest(buffer.data(), static_cast<size_t>(size));
    while (auto message = TakeMessage(&rest)) messages.emplace_back(*message);
  }
  return messages;
}

}  // namespace netpolicy
