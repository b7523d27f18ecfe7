// SPDX-License-Identifier: Apache-2.0

#include "clat/testing/tun_pair.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/kernel/errno_status.h"

namespace netpolicy::clat::testing {
namespace {

using netpolicy::testing::NetNamespace;

absl::StatusOr<UniqueFd> OpenTun(const NetNamespace& ns,
                                 const std::string& name) {
  UniqueFd tun;
  NP_RETURN_IF_ERROR(ns.Run([&]() -> absl::Status {
    UniqueFd fd(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
    ifreq request{};
    name.copy(request.ifr_name, sizeof(request.ifr_name) - 1);
    request.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
    constexpr unsigned long kOffloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
    if (!fd.ok() || ioctl(fd.get(), TUNSETIFF, &request) != 0 ||
        ioctl(fd.get(), TUNSETOFFLOAD, kOffloads) != 0) {
      return StatusFromErrno(errno, absl::StrCat("make TUN device ", name));
    }
    tun = std::move(fd);
    return absl::OkStatus();
  }));
  NP_RETURN_IF_ERROR(ns.SetLink(name, netpolicy::testing::Toggle::kOn));
  return tun;
}

}  // namespace

absl::StatusOr<TunPair> TunPair::Create(const NetNamespace& left,
                                        const std::string& left_name,
                                        const NetNamespace& right,
                                        const std::string& right_name) {
  auto ends = std::make_unique<Ends>();
  NP_ASSIGN_OR_RETURN(ends->left, OpenTun(left, left_name));
  NP_ASSIGN_OR_RETURN(ends->right, OpenTun(right, right_name));
  ends->stop.reset(eventfd(0, EFD_CLOEXEC));
  if (!ends->stop.ok()) return StatusFromErrno(errno, "make eventfd");
  return TunPair(std::move(ends));
}

TunPair::TunPair(std::unique_ptr<Ends> ends)
    : ends_(std::move(ends)),
      carrier_([ends = ends_.get()] { Carry(*ends); }) {}

TunPair::~TunPair() {
  if (!carrier_.joinable()) return;
  eventfd_write(ends_->stop.get(), 1);
  carrier_.join();
}

void TunPair::Carry(const Ends& ends) {
  // A super-packet and its virtio_net_hdr.
  std::vector<char> packet(1 << 17);
  pollfd wait[] = {{ends.left.get(), POLLIN, 0},
                   {ends.right.get(), POLLIN, 0},
                   {ends.stop.get(), POLLIN, 0}};
  while (poll(wait, 3, -1) > 0 && wait[2].revents == 0) {
    for (int from : {0, 1}) {
      if ((wait[from].revents & POLLIN) == 0) continue;
      const ssize_t size = read(wait[from].fd, packet.data(), packet.size());
      // What the other end does not take is lost, as on any link.
      if (size > 0 && write(wait[1 - from].fd, packet.data(),
                            static_cast<size_t>(size)) < 0) {
        continue;
      }
    }
  }
}

}  // namespace netpolicy::clat::testing
