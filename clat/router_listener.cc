// SPDX-License-Identifier: Apache-2.0

#include "clat/router_listener.h"

#include <linux/rtnetlink.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libpolicy/kernel/errno_status.h"

namespace netpolicy::clat {
namespace {

// Routers and neighbours send with this, so that what was forwarded is known by
// less (RFC 4861, 6.1).
constexpr int kHopLimit = 255;

// Most that one call hands out, so that a flood can't hold its caller.
constexpr int kMaxBatch = 64;

absl::Status SetOption(int fd, int level, int option, int value) {
  if (setsockopt(fd, level, option, &value, sizeof(value)) == 0) {
    return absl::OkStatus();
  }
  return StatusFromErrno(errno, "set up ICMPv6 socket");
}

// What comes with a message.
struct Ancillary {
  int hop_limit = -1;
  int ifindex = 0;
};

Ancillary ReadAncillary(msghdr& message) {
  Ancillary ancillary;
  for (cmsghdr* one = CMSG_FIRSTHDR(&message); one != nullptr;
       one = CMSG_NXTHDR(&message, one)) {
    if (one->cmsg_level != IPPROTO_IPV6) continue;
    if (one->cmsg_type == IPV6_HOPLIMIT) {
      std::memcpy(&ancillary.hop_limit, CMSG_DATA(one), sizeof(int));
    } else if (one->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, CMSG_DATA(one), sizeof(info));
      ancillary.ifindex = static_cast<int>(info.ipi6_ifindex);
    }
  }
  return ancillary;
}

}  // namespace

absl::StatusOr<RouterListener> RouterListener::Open() {
  UniqueFd fd(socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
                     IPPROTO_ICMPV6));
  if (!fd.ok()) {
    return StatusFromErrno(errno, "open ICMPv6 socket", "needs CAP_NET_RAW");
  }
  icmp6_filter filter;
  ICMP6_FILTER_SETBLOCKALL(&filter);
  ICMP6_FILTER_SETPASS(ND_ROUTER_ADVERT, &filter);
  if (setsockopt(fd.get(), IPPROTO_ICMPV6, ICMP6_FILTER, &filter,
                 sizeof(filter)) != 0) {
    return StatusFromErrno(errno, "set up ICMPv6 socket");
  }
  const std::array<std::pair<int, int>, 3> options = {
      {{IPV6_RECVPKTINFO, 1},
       {IPV6_RECVHOPLIMIT, 1},
       {IPV6_MULTICAST_HOPS, kHopLimit}}};
  for (const auto& [option, value] : options) {
    const absl::Status status =
        SetOption(fd.get(), IPPROTO_IPV6, option, value);
    if (!status.ok()) return status;
  }
  return RouterListener(std::move(fd));
}

absl::StatusOr<std::vector<RouterNotice>> RouterListener::Read() {
  std::vector<RouterNotice> notices;
  for (int i = 0; i < kMaxBatch; ++i) {
    std::array<char, 4096> data;
    alignas(cmsghdr) std::array<char, 256> control;
    sockaddr_in6 sender{};
    iovec buffer = {data.data(), data.size()};
    msghdr message{};
    message.msg_name = &sender;
    message.msg_namelen = sizeof(sender);
    message.msg_iov = &buffer;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t size = recvmsg(socket_.get(), &message, 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (size < 0) return StatusFromErrno(errno, "read ICMPv6 socket");
    const Ancillary ancillary = ReadAncillary(message);
    if ((message.msg_flags & MSG_TRUNC) != 0 ||
        ancillary.hop_limit != kHopLimit || ancillary.ifindex <= 0 ||
        !IN6_IS_ADDR_LINKLOCAL(&sender.sin6_addr)) {
      continue;
    }
    auto prefixes =
        ParseRouterAdvertisement({data.data(), static_cast<size_t>(size)});
    if (!prefixes.ok() || prefixes->empty()) continue;
    RouterNotice notice{IfIndex{static_cast<uint32_t>(ancillary.ifindex)},
                        {},
                        *std::move(prefixes)};
    std::memcpy(notice.router.bytes.data(), &sender.sin6_addr, 16);
    notices.push_back(std::move(notice));
  }
  return notices;
}

absl::Status RouterListener::Solicit(IfIndex ifindex) {
  nd_router_solicit solicitation{};
  solicitation.nd_rs_type = ND_ROUTER_SOLICIT;
  sockaddr_in6 all_routers{};
  all_routers.sin6_family = AF_INET6;
  all_routers.sin6_addr.s6_addr[0] = 0xff;
  all_routers.sin6_addr.s6_addr[1] = 0x02;
  all_routers.sin6_addr.s6_addr[15] = 0x02;
  all_routers.sin6_scope_id = ToInt(ifindex);
  // The kernel computes the checksum, and takes a link-local source.
  if (sendto(socket_.get(), &solicitation, sizeof(solicitation), 0,
             reinterpret_cast<sockaddr*>(&all_routers),
             sizeof(all_routers)) < 0) {
    return StatusFromErrno(
        errno, absl::StrCat("solicit routers of interface ", ToInt(ifindex)));
  }
  return absl::OkStatus();
}

std::optional<RouterNotice> ParseUserOption(const NetlinkMessage& message) {
  if (message.type() != RTM_NEWNDUSEROPT) return std::nullopt;
  const auto header = message.Get<nduseroptmsg>();
  const absl::string_view rest = message.Attributes(sizeof(header));
  if (header.nduseropt_family != AF_INET6 ||
      header.nduseropt_icmp_type != ND_ROUTER_ADVERT ||
      header.nduseropt_ifindex <= 0 ||
      header.nduseropt_opts_len > rest.size()) {
    return std::nullopt;
  }
  RouterNotice notice{
      IfIndex{static_cast<uint32_t>(header.nduseropt_ifindex)},
      {},
      ParsePref64Options(rest.substr(0, header.nduseropt_opts_len))};
  if (notice.prefixes.empty()) return std::nullopt;
  const size_t attributes = (header.nduseropt_opts_len + 3U) & ~3U;
  if (attributes < rest.size()) {
    const auto source =
        NetlinkAttributes(rest.substr(attributes)).Find(NDUSEROPT_SRCADDR);
    if (source.has_value() && source->size() == 16) {
      std::memcpy(notice.router.bytes.data(), source->data(), 16);
    }
  }
  return notice;
}

}  // namespace netpolicy::clat
