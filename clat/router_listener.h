// SPDX-License-Identifier: Apache-2.0
//
// Hears the NAT64 prefixes that routers advertise (RFC 8781), and asks them to
// advertise. By an ICMPv6 socket, which also hears where the kernel does not
// listen to routers (accept_ra=0), or out of the kernel's own messages, which
// takes no capability.

#ifndef NETPOLICY_CLAT_ROUTER_LISTENER_H_
#define NETPOLICY_CLAT_ROUTER_LISTENER_H_

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clat/address.h"
#include "clat/pref64_option.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/kernel/netlink.h"
#include "libpolicy/model/ids.h"

namespace netpolicy::clat {

// What a router said on an uplink.
struct RouterNotice {
  IfIndex ifindex{};
  Ipv6Address router;
  std::vector<Pref64Notice> prefixes;
};

// In the network namespace of the thread that opened it. Thread-compatible.
class RouterListener {
 public:
  // Errors: kPermissionDenied (CAP_NET_RAW).
  static absl::StatusOr<RouterListener> Open();

  // Readable when a router has advertised; owned by this object.
  int fd() const { return socket_.get(); }

  // What has come, without waiting. What is no valid advertisement (RFC 4861,
  // 6.1.2) or has no prefix is left out.
  absl::StatusOr<std::vector<RouterNotice>> Read();

  // Asks the routers on a link to advertise now (RFC 4861, 6.3.7).
  absl::Status Solicit(IfIndex ifindex);

 private:
  explicit RouterListener(UniqueFd socket) : socket_(std::move(socket)) {}

  UniqueFd socket_;
};

// Out of RTM_NEWNDUSEROPT; nothing when the message is another one, or has no
// prefix. The kernel has checked the advertisement.
std::optional<RouterNotice> ParseUserOption(const NetlinkMessage& message);

}  // namespace netpolicy::clat

#endif  // NETPOLICY_CLAT_ROUTER_LISTENER_H_
