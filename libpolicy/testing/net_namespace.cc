// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/testing/net_namespace.h"

#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/ethtool.h"
#include "libpolicy/testing/rtnetlink.h"

namespace netpolicy::testing {

// Each descriptor belongs to the namespace whoever uses it.
struct NetNamespace::State {
  UniqueFd nsfs;
  UniqueFd rtnetlink;
  UniqueFd ioctl_socket;
  uint64_t inode = 0;

  // An ioctl that takes an ifreq; fills in the name.
  absl::Status Ioctl(const std::string& name, unsigned long request,
                     ifreq& data, absl::string_view operation) const {
    const std::string what = absl::StrCat(operation, " ", name);
    if (name.empty() || name.size() >= IFNAMSIZ)
      return ErrnoStatus(EINVAL, what);
    memset(data.ifr_name, 0, IFNAMSIZ);
    memcpy(data.ifr_name, name.data(), name.size());
    if (ioctl(ioctl_socket.get(), request, &data) != 0)
      return ErrnoStatus(errno, what);
    return absl::OkStatus();
  }
};

namespace {

absl::StatusOr<UniqueFd> OpenFile(const std::string& path, int flags) {
  UniqueFd fd(open(path.c_str(), flags | O_CLOEXEC));
  if (!fd.ok()) return ErrnoStatus(errno, absl::StrCat("open ", path));
  return fd;
}

absl::Status WriteFile(const std::string& path, absl::string_view text) {
  NP_ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(path, O_WRONLY));
  if (write(fd.get(), text.data(), text.size()) !=
      static_cast<ssize_t>(text.size())) {
    return ErrnoStatus(errno, absl::StrCat("write ", path));
  }
  return absl::OkStatus();
}

// Runs `body` on a fresh thread, whose namespaces nobody else shares.
absl::Status OnFreshThread(absl::FunctionRef<absl::Status()> body) {
  absl::Status status;
  std::thread([&] { status = body(); }).join();
  return status;
}

// IF_OPER_UP of <linux/if.h>, which can't be included beside <net/if.h>.
constexpr char kOperUp = 6;

struct EthtoolCommands {
  uint32_t get, set;
};

EthtoolCommands CommandsOf(Offload offload) {
  switch (offload) {
    case Offload::kTso:
      return {ETHTOOL_GTSO, ETHTOOL_STSO};
    case Offload::kGso:
      return {ETHTOOL_GGSO, ETHTOOL_SGSO};
    case Offload::kGro:
      return {ETHTOOL_GGRO, ETHTOOL_SGRO};
    case Offload::kTxChecksum:
      return {ETHTOOL_GTXCSUM, ETHTOOL_STXCSUM};
    case Offload::kRxChecksum:
      return {ETHTOOL_GRXCSUM, ETHTOOL_SRXCSUM};
  }
  return {0, 0};  // The kernel refuses it.
}

}  // namespace

absl::StatusOr<NetNamespace> NetNamespace::Create() {
  UniqueFd nsfs;
  NP_RETURN_IF_ERROR(OnFreshThread([&]() -> absl::Status {
    if (unshare(CLONE_NEWNET) != 0) {
      return ErrnoStatus(errno, "create network namespace");
    }
    NP_ASSIGN_OR_RETURN(nsfs, OpenFile("/proc/thread-self/ns/net", O_RDONLY));
    return absl::OkStatus();
  }));
  NP_ASSIGN_OR_RETURN(NetNamespace ns, Adopt(nsfs.get()));
  NP_RETURN_IF_ERROR(ns.PrepareForTests());
  return ns;
}

absl::StatusOr<NetNamespace> NetNamespace::Adopt(int nsfs_fd) {
  NetNamespace ns(std::make_shared<State>());
  State& state = *ns.state_;
  state.nsfs.reset(fcntl(nsfs_fd, F_DUPFD_CLOEXEC, 3));
  struct stat info;
  if (!state.nsfs.ok() || fstat(state.nsfs.get(), &info) != 0) {
    return ErrnoStatus(errno, "adopt network namespace");
  }
  state.inode = info.st_ino;
  NP_RETURN_IF_ERROR(ns.Run([&]() -> absl::Status {
    NP_ASSIGN_OR_RETURN(state.rtnetlink, OpenRtnetlink());
    state.ioctl_socket.reset(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!state.ioctl_socket.ok())
      return ErrnoStatus(errno, "open ioctl socket");
    return absl::OkStatus();
  }));
  return ns;
}

absl::Status NetNamespace::PrepareForTests() const {
  for (const char* key : {"accept_dad", "router_solicitations"}) {
    // "default" holds for interfaces made later.
    const absl::Status status =
        WriteSysctl(absl::StrCat("net/ipv6/conf/default/", key), "0");
    if (!status.ok() && ErrnoOf(status) != ENOENT) return status;  // No IPv6.
  }
  return SetLink("lo", Toggle::kOn);
}

int NetNamespace::fd() const { return state_->nsfs.get(); }

uint64_t NetNamespace::inode() const { return state_->inode; }

absl::Status NetNamespace::Run(absl::FunctionRef<absl::Status()> body) const {
  return OnFreshThread([&]() -> absl::Status {
    if (setns(fd(), CLONE_NEWNET) != 0) {
      return ErrnoStatus(errno, "enter network namespace");
    }
    return body();
  });
}

absl::StatusOr<UniqueFd> NetNamespace::OpenSocket(int family, int type,
                                                  int protocol) const {
  UniqueFd fd;
  NP_RETURN_IF_ERROR(Run([&]() -> absl::Status {
    fd.reset(socket(family, type | SOCK_CLOEXEC, protocol));
    if (!fd.ok()) return ErrnoStatus(errno, "open socket");
    return absl::OkStatus();
  }));
  return fd;
}

absl::Status NetNamespace::WriteSysctl(absl::string_view key,
                                       absl::string_view value) const {
  return Run([&] { return WriteFile(absl::StrCat("/proc/sys/", key), value); });
}

absl::StatusOr<std::string> NetNamespace::ReadSysctl(
    absl::string_view key) const {
  std::string value;
  const std::string path = absl::StrCat("/proc/sys/", key);
  NP_RETURN_IF_ERROR(Run([&]() -> absl::Status {
    NP_ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(path, O_RDONLY));
    char buffer[4096];
    const ssize_t size = read(fd.get(), buffer, sizeof(buffer));
    if (size < 0) return ErrnoStatus(errno, absl::StrCat("read ", path));
    value.assign(buffer, static_cast<size_t>(size));
    return absl::OkStatus();
  }));
  if (!value.empty() && value.back() == '\n') value.pop_back();
  return value;
}

absl::StatusOr<int> NetNamespace::LinkIndex(const std::string& name) const {
  ifreq data = {};
  NP_RETURN_IF_ERROR(state_->Ioctl(name, SIOCGIFINDEX, data, "find link"));
  return data.ifr_ifindex;
}

absl::StatusOr<MacAddress> NetNamespace::LinkMac(
    const std::string& name) const {
  ifreq data = {};
  NP_RETURN_IF_ERROR(
      state_->Ioctl(name, SIOCGIFHWADDR, data, "read mac of link"));
  MacAddress mac;
  memcpy(mac.data(), data.ifr_hwaddr.sa_data, mac.size());
  return mac;
}

absl::StatusOr<std::string> NetNamespace::LinkAttribute(const std::string& name,
                                                        uint16_t type) const {
  const std::string what =
      absl::StrCat("read attribute ", type, " of link ", name);
  NP_ASSIGN_OR_RETURN(const int index, LinkIndex(name));
  RtnetlinkRequest request(RTM_GETLINK, 0);
  ifinfomsg header = {};
  header.ifi_index = index;
  request.Header(header);
  NP_ASSIGN_OR_RETURN(const std::string answer,
                      Query(state_->rtnetlink.get(), request, what));
  return std::string(FindAttribute(answer, sizeof(ifinfomsg), type));
}

absl::StatusOr<LinkCounters> NetNamespace::Counters(
    const std::string& name) const {
  NP_ASSIGN_OR_RETURN(const std::string bytes,
                      LinkAttribute(name, IFLA_STATS64));
  rtnl_link_stats64 stats = {};
  if (bytes.empty()) {
    return absl::NotFoundError(
        absl::StrCat("read counters of link ", name, ": none"));
  }
  memcpy(&stats, bytes.data(), std::min(bytes.size(), sizeof(stats)));
  return LinkCounters{.rx_packets = stats.rx_packets,
                      .tx_packets = stats.tx_packets,
                      .rx_bytes = stats.rx_bytes,
                      .tx_bytes = stats.tx_bytes,
                      .rx_dropped = stats.rx_dropped,
                      .tx_dropped = stats.tx_dropped};
}

absl::Status NetNamespace::AddLink(const std::string& name,
                                   const std::string& kind) const {
  RtnetlinkRequest request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  request.Header(ifinfomsg{})
      .PutText(IFLA_IFNAME, name)
      .Nest(IFLA_LINKINFO, [&] { request.PutText(IFLA_INFO_KIND, kind); });
  return Transact(state_->rtnetlink.get(), request,
                  absl::StrCat("add link ", name, " of kind ", kind));
}

absl::Status NetNamespace::AddPair(const std::string& kind, uint16_t peer_info,
                                   const std::string& name,
                                   const NetNamespace& peer,
                                   const std::string& peer_name) const {
  RtnetlinkRequest request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  request.Header(ifinfomsg{})
      .PutText(IFLA_IFNAME, name)
      .Nest(IFLA_LINKINFO, [&] {
        request.PutText(IFLA_INFO_KIND, kind).Nest(IFLA_INFO_DATA, [&] {
          request.Nest(peer_info, [&] {
            request.Header(ifinfomsg{})
                .PutText(IFLA_IFNAME, peer_name)
                .PutU32(IFLA_NET_NS_FD, static_cast<uint32_t>(peer.fd()));
          });
        });
      });
  return Transact(state_->rtnetlink.get(), request,
                  absl::StrCat("add ", kind, " ", name));
}

absl::Status NetNamespace::AddVeth(const std::string& name,
                                   const NetNamespace& peer,
                                   const std::string& peer_name) const {
  return AddPair("veth", VETH_INFO_PEER, name, peer, peer_name);
}

absl::Status NetNamespace::AddNetkit(const std::string& name,
                                     const NetNamespace& peer,
                                     const std::string& peer_name) const {
  // IFLA_NETKIT_PEER_INFO; not in the headers of older systems.
  constexpr uint16_t kPeerInfo = 1;
  return AddPair("netkit", kPeerInfo, name, peer, peer_name);
}

absl::Status NetNamespace::DeleteLink(const std::string& name) const {
  NP_ASSIGN_OR_RETURN(const int index, LinkIndex(name));
  return DeleteLink(index);
}

absl::Status NetNamespace::DeleteLink(int index) const {
  RtnetlinkRequest request(RTM_DELLINK, 0);
  ifinfomsg header = {};
  header.ifi_index = index;
  request.Header(header);
  return Transact(state_->rtnetlink.get(), request,
                  absl::StrCat("delete link ", index));
}

absl::Status NetNamespace::SetLink(const std::string& name, Toggle up) const {
  ifreq data = {};
  NP_RETURN_IF_ERROR(
      state_->Ioctl(name, SIOCGIFFLAGS, data, "read flags of link"));
  if (up == Toggle::kOn) {
    data.ifr_flags = static_cast<short>(data.ifr_flags | IFF_UP);
  } else {
    data.ifr_flags = static_cast<short>(data.ifr_flags & ~IFF_UP);
  }
  return state_->Ioctl(name, SIOCSIFFLAGS, data, "set flags of link");
}

absl::Status NetNamespace::RenameLink(const std::string& from,
                                      const std::string& to) const {
  NP_RETURN_IF_ERROR(SetLink(from, Toggle::kOff));
  ifreq data = {};
  to.copy(data.ifr_newname, IFNAMSIZ - 1);
  NP_RETURN_IF_ERROR(state_->Ioctl(from, SIOCSIFNAME, data, "rename link"));
  return SetLink(to, Toggle::kOn);
}

absl::Status NetNamespace::WaitUntilRunning(const std::string& name) const {
  const absl::Time deadline = absl::Now() + absl::Seconds(5);
  while (true) {
    // Not IFF_RUNNING, which is also set while the state is still unknown.
    NP_ASSIGN_OR_RETURN(const std::string state,
                        LinkAttribute(name, IFLA_OPERSTATE));
    if (!state.empty() && state[0] == kOperUp) break;
    if (absl::Now() > deadline) {
      return absl::DeadlineExceededError(
          absl::StrCat("wait for link ", name, ": no carrier"));
    }
    absl::SleepFor(absl::Milliseconds(1));
  }
  // linkwatch_do_dev sets the state first and the queues then, both under the
  // lock that a write of the flags takes.
  return SetLink(name, Toggle::kOn);
}

absl::Status NetNamespace::SetMtu(const std::string& name,
                                  int mtu_bytes) const {
  ifreq data = {};
  data.ifr_mtu = mtu_bytes;
  return state_->Ioctl(name, SIOCSIFMTU, data,
                       absl::StrCat("set mtu ", mtu_bytes, " of link"));
}

absl::Status NetNamespace::SetMac(const std::string& name,
                                  const MacAddress& mac) const {
  ifreq data = {};
  data.ifr_hwaddr.sa_family = 1;  // ARPHRD_ETHER
  memcpy(data.ifr_hwaddr.sa_data, mac.data(), mac.size());
  return state_->Ioctl(name, SIOCSIFHWADDR, data, "set mac of link");
}

absl::Status NetNamespace::ChangeAddress(const std::string& name,
                                         const IpAddress& address,
                                         int prefix_length, uint16_t type,
                                         uint16_t flags) const {
  NP_ASSIGN_OR_RETURN(const int index, LinkIndex(name));
  ifaddrmsg header = {};
  header.ifa_family = static_cast<uint8_t>(address.family());
  header.ifa_prefixlen = static_cast<uint8_t>(prefix_length);
  header.ifa_flags = address.IsV4() ? 0 : IFA_F_NODAD;
  header.ifa_index = static_cast<uint32_t>(index);
  RtnetlinkRequest request(type, flags);
  request.Header(header)
      .Put(IFA_LOCAL, address.bytes())
      .Put(IFA_ADDRESS, address.bytes());
  return Transact(
      state_->rtnetlink.get(), request,
      absl::StrCat(type == RTM_NEWADDR ? "add" : "delete", " address ",
                   address.ToString(), "/", prefix_length, " of ", name));
}

absl::Status NetNamespace::AddAddress(const std::string& name,
                                      const IpAddress& address,
                                      int prefix_length) const {
  NP_RETURN_IF_ERROR(ChangeAddress(name, address, prefix_length, RTM_NEWADDR,
                                   NLM_F_CREATE | NLM_F_EXCL));
  ifreq data = {};
  NP_RETURN_IF_ERROR(
      state_->Ioctl(name, SIOCGIFFLAGS, data, "read flags of link"));
  if ((data.ifr_flags & IFF_UP) == 0) return absl::OkStatus();
  // The route that makes an IPv6 address local comes from a kernel worker
  // (addrconf_dad_work), nodad or not.
  const std::string what =
      absl::StrCat("wait for address ", address.ToString());
  const absl::Time deadline = absl::Now() + absl::Seconds(5);
  while (true) {
    rtmsg header = {};
    header.rtm_family = static_cast<uint8_t>(address.family());
    header.rtm_dst_len = address.IsV4() ? 32 : 128;
    RtnetlinkRequest request(RTM_GETROUTE, 0);
    request.Header(header).Put(RTA_DST, address.bytes());
    absl::StatusOr<std::string> answer =
        Query(state_->rtnetlink.get(), request, what);
    if (answer.ok() && answer->size() >= sizeof(nlmsghdr) + sizeof(header)) {
      memcpy(&header, answer->data() + sizeof(nlmsghdr), sizeof(header));
      if (header.rtm_type == RTN_LOCAL) return absl::OkStatus();
    }
    if (absl::Now() > deadline) {
      return absl::DeadlineExceededError(absl::StrCat(what, ": not local yet"));
    }
    absl::SleepFor(absl::Milliseconds(1));
  }
}

absl::Status NetNamespace::DeleteAddress(const std::string& name,
                                         const IpAddress& address,
                                         int prefix_length) const {
  return ChangeAddress(name, address, prefix_length, RTM_DELADDR, 0);
}

absl::Status NetNamespace::ChangeRoute(const Route& route, uint16_t type,
                                       uint16_t flags) const {
  int family = route.family;
  if (route.destination) {
    family = route.destination->family();
  } else if (family == 0 && route.via) {
    family = route.via->family();
  }
  std::string what =
      absl::StrCat(type == RTM_NEWROUTE ? "add" : "delete", " route ");
  rtmsg header = {};
  header.rtm_family = static_cast<uint8_t>(family);
  if (route.destination) {
    header.rtm_dst_len = static_cast<uint8_t>(
        route.prefix_length.value_or(route.destination->IsV4() ? 32 : 128));
    absl::StrAppend(&what, route.destination->ToString(), "/",
                    header.rtm_dst_len);
  } else {
    absl::StrAppend(&what, "default");
  }
  header.rtm_table = route.table < 256 ? static_cast<uint8_t>(route.table) : 0;
  header.rtm_protocol = RTPROT_STATIC;
  header.rtm_scope =
      route.via || family == AF_INET6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  header.rtm_type = RTN_UNICAST;
  RtnetlinkRequest request(type, flags);
  request.Header(header).PutU32(RTA_TABLE, route.table);
  if (route.destination) request.Put(RTA_DST, route.destination->bytes());
  if (route.via) {
    absl::StrAppend(&what, " via ", route.via->ToString());
    if (route.via->family() == family) {
      request.Put(RTA_GATEWAY, route.via->bytes());
    } else {  // struct rtvia: the family, then the address.
      const uint16_t via_family = static_cast<uint16_t>(route.via->family());
      std::string via(reinterpret_cast<const char*>(&via_family),
                      sizeof(via_family));
      absl::StrAppend(&via, route.via->bytes());
      request.Put(RTA_VIA, via);
    }
  }
  if (!route.device.empty()) {
    absl::StrAppend(&what, " dev ", route.device);
    NP_ASSIGN_OR_RETURN(const int index, LinkIndex(route.device));
    request.PutU32(RTA_OIF, static_cast<uint32_t>(index));
  }
  return Transact(state_->rtnetlink.get(), request, what);
}

absl::Status NetNamespace::AddRoute(const Route& route) const {
  return ChangeRoute(route, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
}

absl::Status NetNamespace::DeleteRoute(const Route& route) const {
  return ChangeRoute(route, RTM_DELROUTE, 0);
}

absl::Status NetNamespace::AddNeighbour(const std::string& name,
                                        const IpAddress& address,
                                        const MacAddress& mac) const {
  NP_ASSIGN_OR_RETURN(const int index, LinkIndex(name));
  ndmsg header = {};
  header.ndm_family = static_cast<uint8_t>(address.family());
  header.ndm_ifindex = index;
  header.ndm_state = NUD_PERMANENT;
  RtnetlinkRequest request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE);
  request.Header(header)
      .Put(NDA_DST, address.bytes())
      .Put(NDA_LLADDR, {reinterpret_cast<const char*>(mac.data()), mac.size()});
  return Transact(
      state_->rtnetlink.get(), request,
      absl::StrCat("add neighbour ", address.ToString(), " of ", name));
}

absl::Status NetNamespace::SetOffload(const std::string& name, Offload offload,
                                      Toggle toggle) const {
  return EthtoolValue(state_->ioctl_socket.get(), name, CommandsOf(offload).set,
                      toggle == Toggle::kOn ? 1 : 0)
      .status();
}

absl::Status NetNamespace::SetFeature(const std::string& name,
                                      const std::string& feature,
                                      Toggle toggle) const {
  return SetEthtoolFeature(state_->ioctl_socket.get(), name, feature,
                           toggle == Toggle::kOn);
}

absl::StatusOr<Toggle> NetNamespace::GetOffload(const std::string& name,
                                                Offload offload) const {
  NP_ASSIGN_OR_RETURN(const uint32_t value,
                      EthtoolValue(state_->ioctl_socket.get(), name,
                                   CommandsOf(offload).get, 0));
  return value != 0 ? Toggle::kOn : Toggle::kOff;
}

absl::StatusOr<ScopedNetns> ScopedNetns::Enter(const NetNamespace& ns) {
  NP_ASSIGN_OR_RETURN(UniqueFd previous,
                      OpenFile("/proc/thread-self/ns/net", O_RDONLY));
  if (setns(ns.fd(), CLONE_NEWNET) != 0) {
    return ErrnoStatus(errno, "enter network namespace");
  }
  return ScopedNetns(std::move(previous));
}

ScopedNetns::~ScopedNetns() {
  if (previous_.ok() && setns(previous_.get(), CLONE_NEWNET) != 0) {
    perror("leave network namespace");
    abort();
  }
}

}  // namespace netpolicy::testing
