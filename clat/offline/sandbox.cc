// SPDX-License-Identifier: Apache-2.0

#include "clat/offline/sandbox.h"

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/kernel/errno_status.h"
#include "libpolicy/kernel/libbpf_log.h"

namespace netpolicy::clat {
namespace {

constexpr char kDevice[] = "clat0";
constexpr size_t kEthernetHeader = 14;
constexpr size_t kLongestFrame = 65535 + 64;
constexpr uint16_t kFenceProtocol = 0x88b5;  // IEEE 802 local experimental
constexpr int kFenceTimeoutMs = 5000;

absl::Status LastError(absl::string_view operation) {
  return StatusFromErrno(errno, operation);
}

// Moves the thread into a new network namespace for as long as it lives.
class NewNamespace {
 public:
  static absl::StatusOr<NewNamespace> Enter() {
    UniqueFd previous(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (!previous.ok()) return LastError("open network namespace");
    if (unshare(CLONE_NEWNET) != 0) return LastError("make network namespace");
    return NewNamespace(std::move(previous));
  }
  NewNamespace(NewNamespace&&) = default;
  ~NewNamespace() {
    if (previous_.ok()) setns(previous_.get(), CLONE_NEWNET);
  }

 private:
  explicit NewNamespace(UniqueFd previous) : previous_(std::move(previous)) {}

  UniqueFd previous_;
};

absl::Status WriteFile(const char* path, absl::string_view text) {
  UniqueFd fd(open(path, O_WRONLY | O_CLOEXEC));
  if (!fd.ok()) return LastError(absl::StrCat("open ", path));
  if (write(fd.get(), text.data(), text.size()) < 0) {
    return LastError(absl::StrCat("write ", path));
  }
  return absl::OkStatus();
}

ifreq NamedRequest(const char* name) {
  ifreq request{};
  std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  return request;
}

absl::Status SetUp(int socket, const char* name) {
  ifreq request = NamedRequest(name);
  if (ioctl(socket, SIOCGIFFLAGS, &request) != 0) {
    return LastError(absl::StrCat("read flags of ", name));
  }
  request.ifr_flags |= IFF_UP;
  if (ioctl(socket, SIOCSIFFLAGS, &request) != 0) {
    return LastError(absl::StrCat("set up ", name));
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> OpenDevice(LinkType link, Offload offload) {
  UniqueFd fd(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat("open /dev/net/tun: ", ErrnoText(errno)));
  }
  ifreq request = NamedRequest(kDevice);
  request.ifr_flags =
      static_cast<int16_t>((link == LinkType::kEthernet ? IFF_TAP : IFF_TUN) |
                           IFF_NO_PI | IFF_VNET_HDR);
  if (ioctl(fd.get(), TUNSETIFF, &request) != 0) {
    return LastError("make tun device");
  }
  unsigned features = 0;
  if (offload == Offload::kOn) {
    features = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
    // Since Linux 6.2.
    if (ioctl(fd.get(), TUNSETOFFLOAD, features | TUN_F_USO4 | TUN_F_USO6) ==
        0) {
      return fd;
    }
  }
  if (ioctl(fd.get(), TUNSETOFFLOAD, features) != 0) {
    return LastError("set offloads of tun device");
  }
  return fd;
}

// A packet socket for one protocol at one interface. What it receives has been
// through tc: the kernel serves sockets for all protocols before that, those
// for one after.
absl::StatusOr<UniqueFd> OpenPacketSocket(int ifindex, uint16_t protocol,
                                          bool with_offload) {
  UniqueFd fd(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.ok()) return LastError("open packet socket");
  if (with_offload) {
    const int on = 1;
    if (setsockopt(fd.get(), SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) !=
        0) {
      return LastError("set PACKET_VNET_HDR");
    }
  }
  const int buffer = 16 << 20;
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer));
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(protocol);
  address.sll_ifindex = ifindex;
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) !=
      0) {
    return LastError("bind packet socket");
  }
  return fd;
}

// Reads what is there, each behind an OffloadHeader.
absl::Status ReadAll(int fd, std::vector<Sandbox::Packet>& packets) {
  std::string buffer(sizeof(OffloadHeader) + kLongestFrame, '\0');
  for (;;) {
    const ssize_t n = read(fd, buffer.data(), buffer.size());
    if (n < 0) {
      if (errno == EAGAIN) return absl::OkStatus();
      return LastError("read packet");
    }
    if (n < static_cast<ssize_t>(sizeof(OffloadHeader))) continue;
    Sandbox::Packet packet;
    std::memcpy(&packet.offload, buffer.data(), sizeof(packet.offload));
    packet.bytes = buffer.substr(
        sizeof(OffloadHeader), static_cast<size_t>(n) - sizeof(OffloadHeader));
    packets.push_back(std::move(packet));
  }
}

// Keeps the thread on the CPU it is on, and so what it sends in order.
class OneCpu {
 public:
  OneCpu() {
    CPU_ZERO(&before_);
    if (sched_getaffinity(0, sizeof(before_), &before_) != 0) return;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    pinned_ = sched_setaffinity(0, sizeof(one), &one) == 0;
  }
  OneCpu(const OneCpu&) = delete;
  OneCpu& operator=(const OneCpu&) = delete;
  ~OneCpu() {
    if (pinned_) sched_setaffinity(0, sizeof(before_), &before_);
  }

 private:
  cpu_set_t before_;
  bool pinned_ = false;
};

}  // namespace

struct Sandbox::State {
  explicit State(TranslatorObject object) : object(std::move(object)) {}

  absl::Status Fence();

  TranslatorObject object;
  LinkType link = LinkType::kRawIp;
  int ifindex = 0;
  UniqueFd device;
  UniqueFd ip4;  // packets that have come in
  UniqueFd ip6;
  UniqueFd fence;  // at lo
};

// Returns when all that the kernel has put on this CPU's queue of received
// packets has been delivered: what is sent to lo goes to the end of it.
absl::Status Sandbox::State::Fence() {
  const char frame[60] = {};
  std::string bytes(frame, sizeof(frame));
  bytes[12] = static_cast<char>(kFenceProtocol >> 8);
  bytes[13] = static_cast<char>(kFenceProtocol & 0xff);
  if (send(fence.get(), bytes.data(), bytes.size(), 0) < 0) {
    return LastError("send fence");
  }
  pollfd waiting{fence.get(), POLLIN, 0};
  if (poll(&waiting, 1, kFenceTimeoutMs) != 1) {
    return absl::InternalError("wait for fence: nothing has come");
  }
  while (recv(fence.get(), bytes.data(), bytes.size(), 0) > 0) {
  }
  return absl::OkStatus();
}

Sandbox::Sandbox(std::unique_ptr<State> state) : state_(std::move(state)) {}

Sandbox::~Sandbox() = default;

TranslatorObject& Sandbox::object() { return state_->object; }

absl::StatusOr<std::unique_ptr<Sandbox>> Sandbox::Create(LinkType link,
                                                         Offload offload) {
  NP_ASSIGN_OR_RETURN(TranslatorObject object, TranslatorObject::Load());
  auto state = std::make_unique<State>(std::move(object));
  state->link = link;
  NP_ASSIGN_OR_RETURN(NewNamespace inside, NewNamespace::Enter());

  // Nobody but us shall send here.
  for (const char* which : {"all", "default"}) {
    const std::string path =
        absl::StrCat("/proc/sys/net/ipv6/conf/", which, "/disable_ipv6");
    NP_RETURN_IF_ERROR(WriteFile(path.c_str(), "1"));
  }
  NP_ASSIGN_OR_RETURN(state->device, OpenDevice(link, offload));
  UniqueFd control(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!control.ok()) return LastError("open socket");
  ifreq request = NamedRequest(kDevice);
  // The longest that a tap device can have.
  request.ifr_mtu = link == LinkType::kEthernet
                        ? 65535 - static_cast<int>(kEthernetHeader)
                        : 65535;
  if (ioctl(control.get(), SIOCSIFMTU, &request) != 0) {
    return LastError("set MTU of tun device");
  }
  NP_RETURN_IF_ERROR(SetUp(control.get(), "lo"));
  NP_RETURN_IF_ERROR(SetUp(control.get(), kDevice));
  state->ifindex = static_cast<int>(if_nametoindex(kDevice));

  NP_ASSIGN_OR_RETURN(state->ip4,
                      OpenPacketSocket(state->ifindex, ETH_P_IP, true));
  NP_ASSIGN_OR_RETURN(state->ip6,
                      OpenPacketSocket(state->ifindex, ETH_P_IPV6, true));
  NP_ASSIGN_OR_RETURN(state->fence,
                      OpenPacketSocket(static_cast<int>(if_nametoindex("lo")),
                                       kFenceProtocol, false));

  LibbpfLog log;
  LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = state->ifindex,
              .attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS |
                                                               BPF_TC_EGRESS));
  int error = -bpf_tc_hook_create(&hook);
  if (error != 0) return StatusFromErrno(error, "make clsact", log.text());
  for (const Direction direction : {Direction::k4to6, Direction::k6to4}) {
    hook.attach_point =
        direction == Direction::k4to6 ? BPF_TC_EGRESS : BPF_TC_INGRESS;
    LIBBPF_OPTS(bpf_tc_opts, options,
                .prog_fd = state->object.ProgramFd(direction, link));
    error = -bpf_tc_attach(&hook, &options);
    if (error != 0) {
      return StatusFromErrno(error, "attach clat program", log.text());
    }
  }
  return std::unique_ptr<Sandbox>(new Sandbox(std::move(state)));
}

absl::Status Sandbox::Configure(const TranslatorConfig& config) {
  const IfIndex ifindex{static_cast<uint32_t>(state_->ifindex)};
  NP_ASSIGN_OR_RETURN(InstanceImage image, Compile(config, ifindex, 0));
  return state_->object.SetInstance(ifindex, image);
}

absl::StatusOr<Sandbox::Result> Sandbox::Run(Direction direction,
                                             absl::string_view packet) {
  return Run(direction, Packet{std::string(packet), {}});
}

absl::StatusOr<Sandbox::Result> Sandbox::Run(Direction direction,
                                             const Packet& packet) {
  if (packet.bytes.size() <
      (state_->link == LinkType::kEthernet ? kEthernetHeader : 1)) {
    return absl::InvalidArgumentError("run packet: too short for the link");
  }
  OneCpu one_cpu;
  NP_ASSIGN_OR_RETURN(np_clat_counters before, state_->object.ReadCounters(0));
  std::string framed(reinterpret_cast<const char*>(&packet.offload),
                     sizeof(packet.offload));
  framed += packet.bytes;
  const int in =
      direction == Direction::k4to6 ? state_->ip4.get() : state_->device.get();
  if (write(in, framed.data(), framed.size()) < 0) {
    if (errno == EMSGSIZE || errno == EINVAL) {
      return absl::InvalidArgumentError(absl::StrCat(
          "run packet: the device does not take it: ", ErrnoText(errno)));
    }
    if (errno != ENOBUFS) return LastError("run packet");
    // The program dropped it.
  }
  NP_RETURN_IF_ERROR(state_->Fence());

  Result result;
  NP_RETURN_IF_ERROR(ReadAll(state_->device.get(), result.packets));
  NP_RETURN_IF_ERROR(ReadAll(state_->ip4.get(), result.packets));
  NP_RETURN_IF_ERROR(ReadAll(state_->ip6.get(), result.packets));
  NP_ASSIGN_OR_RETURN(np_clat_counters after, state_->object.ReadCounters(0));
  for (uint32_t i = 0; i < NP_CLAT_OUTCOMES; ++i) {
    if (after.outcomes[i] != before.outcomes[i]) result.outcome = i;
  }
  return result;
}

}  // namespace netpolicy::clat
