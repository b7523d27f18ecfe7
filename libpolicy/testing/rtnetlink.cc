// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/testing/rtnetlink.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/testing/errno_status.h"

namespace netpolicy::testing {
namespace {

constexpr size_t Aligned(size_t size) { return (size + 3) & ~size_t{3}; }

// Walks attributes; the first of this type, or nothing.
absl::string_view FindIn(absl::string_view attributes, uint16_t type) {
  while (attributes.size() >= sizeof(nlattr)) {
    nlattr attribute;
    memcpy(&attribute, attributes.data(), sizeof(attribute));
    if (attribute.nla_len < sizeof(attribute) ||
        attribute.nla_len > attributes.size()) {
      break;
    }
    if ((attribute.nla_type & NLA_TYPE_MASK) == type) {
      return attributes.substr(sizeof(attribute),
                               attribute.nla_len - sizeof(attribute));
    }
    attributes.remove_prefix(
        std::min(attributes.size(), Aligned(attribute.nla_len)));
  }
  return {};
}

// The kernel's own words in an NLMSG_ERROR (NETLINK_EXT_ACK), if any.
std::string ExtendedMessage(absl::string_view message) {
  nlmsghdr header;
  memcpy(&header, message.data(), sizeof(header));
  if ((header.nlmsg_flags & NLM_F_ACK_TLVS) == 0) return "";
  nlmsgerr error;
  memcpy(&error, message.data() + sizeof(header), sizeof(error));
  size_t offset = sizeof(header) + sizeof(error);
  if ((header.nlmsg_flags & NLM_F_CAPPED) == 0) {
    offset += Aligned(error.msg.nlmsg_len) - sizeof(nlmsghdr);
  }
  if (offset >= message.size()) return "";
  const absl::string_view text =
      FindIn(message.substr(offset), NLMSGERR_ATTR_MSG);
  return std::string(text.data(), strnlen(text.data(), text.size()));
}

// Sends, then reads until the acknowledgement; the answer before it, if any.
absl::StatusOr<std::string> Exchange(int socket,
                                     const RtnetlinkRequest& request,
                                     absl::string_view what) {
  static std::atomic<uint32_t> next_sequence = 1;
  const uint32_t sequence = next_sequence++;
  const std::string out = request.Finish(sequence, NLM_F_ACK);
  if (send(socket, out.data(), out.size(), 0) < 0) {
    return ErrnoStatus(errno, what);
  }
  std::string answer;
  while (true) {
    char buffer[32768];
    const ssize_t received = recv(socket, buffer, sizeof(buffer), 0);
    if (received < 0 && errno == EINTR) continue;
    if (received < 0) return ErrnoStatus(errno, what);
    absl::string_view rest(buffer, static_cast<size_t>(received));
    while (rest.size() >= sizeof(nlmsghdr)) {
      nlmsghdr header;
      memcpy(&header, rest.data(), sizeof(header));
      if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > rest.size()) {
        return absl::InternalError(absl::StrCat(what, ": broken answer"));
      }
      const absl::string_view message = rest.substr(0, header.nlmsg_len);
      rest.remove_prefix(std::min(rest.size(), Aligned(header.nlmsg_len)));
      if (header.nlmsg_seq != sequence) continue;
      if (header.nlmsg_type != NLMSG_ERROR) {
        answer = std::string(message);
        continue;
      }
      nlmsgerr error;
      memcpy(&error, message.data() + sizeof(header), sizeof(error));
      if (error.error == 0) return answer;
      const std::string words = ExtendedMessage(message);
      return ErrnoStatus(-error.error, words.empty()
                                           ? std::string(what)
                                           : absl::StrCat(what, ": ", words));
    }
  }
}

}  // namespace

RtnetlinkRequest::RtnetlinkRequest(uint16_t type, uint16_t flags) {
  nlmsghdr header = {};
  header.nlmsg_type = type;
  header.nlmsg_flags = flags | NLM_F_REQUEST;
  Header(header);
}

RtnetlinkRequest& RtnetlinkRequest::Append(absl::string_view bytes) {
  buffer_.append(bytes.data(), bytes.size());
  buffer_.resize(Aligned(buffer_.size()));
  return *this;
}

RtnetlinkRequest& RtnetlinkRequest::Put(uint16_t type,
                                        absl::string_view bytes) {
  nlattr attribute;
  attribute.nla_len = static_cast<uint16_t>(sizeof(attribute) + bytes.size());
  attribute.nla_type = type;
  buffer_.append(reinterpret_cast<const char*>(&attribute), sizeof(attribute));
  return Append(bytes);
}

RtnetlinkRequest& RtnetlinkRequest::PutU32(uint16_t type, uint32_t value) {
  return Put(type, {reinterpret_cast<const char*>(&value), sizeof(value)});
}

RtnetlinkRequest& RtnetlinkRequest::PutText(uint16_t type,
                                            const std::string& text) {
  return Put(type, {text.c_str(), text.size() + 1});
}

RtnetlinkRequest& RtnetlinkRequest::Nest(uint16_t type,
                                         absl::FunctionRef<void()> fill) {
  const size_t start = buffer_.size();
  Put(type | NLA_F_NESTED, "");
  fill();
  const uint16_t length = static_cast<uint16_t>(buffer_.size() - start);
  memcpy(&buffer_[start], &length, sizeof(length));
  return *this;
}

std::string RtnetlinkRequest::Finish(uint32_t sequence,
                                     uint16_t more_flags) const {
  std::string message = buffer_;
  nlmsghdr header;
  memcpy(&header, message.data(), sizeof(header));
  header.nlmsg_len = static_cast<uint32_t>(message.size());
  header.nlmsg_seq = sequence;
  header.nlmsg_flags |= more_flags;
  memcpy(&message[0], &header, sizeof(header));
  return message;
}

absl::StatusOr<UniqueFd> OpenRtnetlink() {
  UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!fd.ok()) return ErrnoStatus(errno, "open rtnetlink socket");
  const int on = 1;
  setsockopt(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
  setsockopt(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
  const timeval timeout = {.tv_sec = 5, .tv_usec = 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  return fd;
}

absl::Status Transact(int socket, const RtnetlinkRequest& request,
                      absl::string_view what) {
  return Exchange(socket, request, what).status();
}

absl::StatusOr<std::string> Query(int socket, const RtnetlinkRequest& request,
                                  absl::string_view what) {
  NP_ASSIGN_OR_RETURN(std::string answer, Exchange(socket, request, what));
  if (answer.empty()) {
    return absl::NotFoundError(absl::StrCat(what, ": no answer"));
  }
  return answer;
}

absl::string_view FindAttribute(absl::string_view answer, size_t header_bytes,
                                uint16_t type) {
  const size_t offset = sizeof(nlmsghdr) + Aligned(header_bytes);
  if (answer.size() < offset) return {};
  return FindIn(answer.substr(offset), type);
}

}  // namespace netpolicy::testing
