// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/testing/packet_capture.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>
#include <tuple>

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/testing/errno_status.h"

namespace netpolicy::testing {
namespace {

// What PACKET_VNET_HDR puts before a packet: struct virtio_net_hdr, whose
// header no C++ compiler takes. Native byte order.
struct GsoHeader {
  uint8_t flags;
  uint8_t gso_type;  // 0: none.
  uint16_t hdr_len;
  uint16_t gso_size;
  uint16_t csum_start;
  uint16_t csum_offset;
};
static_assert(sizeof(GsoHeader) == 2 + 4 * 2);

// Packets of one kind are counted together.
using FlowKey =
    std::tuple<Direction, Background, uint16_t, uint8_t, Endpoint, Endpoint>;

FlowKey KeyOf(const CapturedPacket& packet) {
  return {packet.direction, packet.background, packet.ether_type,
          packet.protocol,  packet.src,        packet.dst};
}

class Reader {
 public:
  explicit Reader(absl::string_view bytes) : bytes_(bytes) {}
  bool Has(size_t offset, size_t size) const {
    return offset + size <= bytes_.size();
  }
  uint8_t U8(size_t offset) const {
    return Has(offset, 1) ? static_cast<uint8_t>(bytes_[offset]) : 0;
  }
  uint16_t U16(size_t offset) const {
    return static_cast<uint16_t>(U8(offset) << 8 | U8(offset + 1));
  }
  absl::string_view Bytes(size_t offset, size_t size) const {
    return bytes_.substr(offset, size);
  }

 private:
  absl::string_view bytes_;
};

// The transport header of a packet: where, what, or 0 in a later fragment.
struct Transport {
  size_t offset = 0;
  bool present = false;
};

Transport FindTransport(const Reader& ip, CapturedPacket& packet) {
  if (packet.ether_type == ETH_P_IP && ip.Has(0, 20)) {
    packet.src.address = IpAddress::FromBytes(ip.Bytes(12, 4));
    packet.dst.address = IpAddress::FromBytes(ip.Bytes(16, 4));
    packet.protocol = ip.U8(9);
    return {(ip.U8(0) & 0xfu) * 4, (ip.U16(6) & 0x1fff) == 0};
  }
  if (packet.ether_type != ETH_P_IPV6 || !ip.Has(0, 40)) return {};
  packet.src.address = IpAddress::FromBytes(ip.Bytes(8, 16));
  packet.dst.address = IpAddress::FromBytes(ip.Bytes(24, 16));
  packet.protocol = ip.U8(6);
  Transport transport = {40, true};
  while (ip.Has(transport.offset, 8)) {
    const size_t at = transport.offset;
    switch (packet.protocol) {
      case IPPROTO_HOPOPTS:
      case IPPROTO_ROUTING:
      case IPPROTO_DSTOPTS:
        transport.offset += (ip.U8(at + 1) + 1u) * 8;
        break;
      case IPPROTO_AH:
        transport.offset += (ip.U8(at + 1) + 2u) * 4;
        break;
      case IPPROTO_FRAGMENT:
        transport.offset += 8;
        if ((ip.U16(at + 2) & 0xfff8) != 0) transport.present = false;
        break;
      default:
        return transport;
    }
    packet.protocol = ip.U8(at);
    if (!transport.present) return transport;
  }
  transport.present = false;
  return transport;
}

bool IsBackground(const CapturedPacket& packet, uint8_t icmp6_type) {
  if (packet.ether_type == ETH_P_IP) return packet.protocol == IPPROTO_IGMP;
  if (packet.ether_type != ETH_P_IPV6) return true;
  // MLD 130-132 and 143, discovery 133-137.
  return packet.protocol == IPPROTO_ICMPV6 &&
         ((icmp6_type >= 130 && icmp6_type <= 137) || icmp6_type == 143);
}

absl::Status SetOption(int fd, int level, int name, int value,
                       const char* what) {
  if (setsockopt(fd, level, name, &value, sizeof(value)) == 0)
    return absl::OkStatus();
  return ErrnoStatus(errno, absl::StrCat("set up capture: ", what));
}

}  // namespace

void DescribePacket(CapturedPacket& packet) {
  const Reader ip(packet.ip());
  const Transport transport = FindTransport(ip, packet);
  const size_t at = transport.offset;
  size_t header_bytes = at;
  uint8_t icmp6_type = 0;
  if (transport.present) {
    switch (packet.protocol) {
      case IPPROTO_TCP:
        header_bytes += (ip.U8(at + 12) >> 4) * 4u;
        break;
      case IPPROTO_UDP:
        header_bytes += 8;
        break;
      case IPPROTO_ICMPV6:
        icmp6_type = ip.U8(at);
        break;
    }
    if (packet.protocol == IPPROTO_TCP || packet.protocol == IPPROTO_UDP ||
        packet.protocol == IPPROTO_UDPLITE || packet.protocol == IPPROTO_SCTP ||
        packet.protocol == IPPROTO_DCCP) {
      packet.src.port = ip.U16(at);
      packet.dst.port = ip.U16(at + 2);
    }
  }
  packet.background = IsBackground(packet, icmp6_type) ? Background::kIncluded
                                                       : Background::kExcluded;
  packet.segments = 1;
  packet.wire_bytes = packet.skb_bytes;
  if (packet.gso_bytes == 0 || packet.skb_bytes <= header_bytes) return;
  const uint64_t payload = packet.skb_bytes - header_bytes;
  packet.segments = (payload + packet.gso_bytes - 1) / packet.gso_bytes;
  packet.wire_bytes = payload + packet.segments * header_bytes;
}

bool PacketFilter::Matches(const CapturedPacket& packet) const {
  const bool is_ip =
      packet.ether_type == ETH_P_IP || packet.ether_type == ETH_P_IPV6;
  if (background == Background::kExcluded &&
      packet.background == Background::kIncluded) {
    return false;
  }
  if ((family || protocol || src || dst || sport || dport) && !is_ip)
    return false;
  return (!direction || *direction == packet.direction) &&
         (!family || *family == packet.src.address.family()) &&
         (!protocol || *protocol == packet.protocol) &&
         (!src || *src == packet.src.address) &&
         (!dst || *dst == packet.dst.address) &&
         (!sport || *sport == packet.src.port) &&
         (!dport || *dport == packet.dst.port);
}

std::ostream& operator<<(std::ostream& os, const PacketCount& count) {
  return os << count.packets << " packets with " << count.wire_bytes
            << " bytes on the wire, in " << count.skbs << " skbs with "
            << count.skb_bytes << " bytes";
}

struct PacketCapture::State {
  CaptureOptions options;
  UniqueFd socket;
  UniqueFd stop;  // An eventfd that ends the thread.
  std::thread thread;

  std::mutex mutex;  // For what follows, and for reading from the socket.
  std::map<FlowKey, PacketCount> flows;
  std::vector<CapturedPacket> kept;
  uint64_t seen = 0;
  uint64_t dropped = 0;        // By the kernel, for lack of buffer.
  uint64_t indescribable = 0;  // Skbs whose GSO type the kernel can't tell.

  absl::Status Open(const NetNamespace& ns, const std::string& link);
  void ReadUntilStopped();
  void Drain();  // With the mutex held.
  bool ReadOne();
  absl::Status Complete();
  PacketCount Sum(const PacketFilter& filter);
};

absl::Status PacketCapture::State::Open(const NetNamespace& ns,
                                        const std::string& link) {
  NP_ASSIGN_OR_RETURN(const int index, ns.LinkIndex(link));
  // Protocol 0: nothing comes in before bind() has named the interface.
  NP_ASSIGN_OR_RETURN(socket, ns.OpenSocket(AF_PACKET, SOCK_RAW, 0));
  const int fd = socket.get();
  NP_RETURN_IF_ERROR(SetOption(fd, SOL_SOCKET, SO_RCVBUFFORCE,
                               options.buffer_bytes, "buffer"));
  NP_RETURN_IF_ERROR(
      SetOption(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1, "time stamps"));
  NP_RETURN_IF_ERROR(
      SetOption(fd, SOL_PACKET, PACKET_AUXDATA, 1, "auxiliary data"));
  if (options.segments == Segments::kCounted) {
    NP_RETURN_IF_ERROR(
        SetOption(fd, SOL_PACKET, PACKET_VNET_HDR, 1, "GSO header"));
  }
  sockaddr_ll address = {};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = index;
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    return ErrnoStatus(errno, absl::StrCat("capture on link ", link));
  }
  stop.reset(eventfd(0, EFD_CLOEXEC));
  if (!stop.ok()) return ErrnoStatus(errno, "create eventfd");
  return absl::OkStatus();
}

void PacketCapture::State::ReadUntilStopped() {
  while (true) {
    pollfd polled[] = {{.fd = socket.get(), .events = POLLIN, .revents = 0},
                       {.fd = stop.get(), .events = POLLIN, .revents = 0}};
    if (poll(polled, 2, -1) < 0 && errno != EINTR) return;
    if (polled[1].revents != 0) return;
    std::lock_guard<std::mutex> lock(mutex);
    Drain();
  }
}

void PacketCapture::State::Drain() {
  while (ReadOne()) {
  }
  tpacket_stats statistics = {};
  socklen_t size = sizeof(statistics);
  // Reading resets the kernel's numbers.
  if (getsockopt(socket.get(), SOL_PACKET, PACKET_STATISTICS, &statistics,
                 &size) == 0) {
    dropped += statistics.tp_drops;
  }
}

bool PacketCapture::State::ReadOne() {
  CapturedPacket packet;
  packet.data.resize(options.kept_bytes);
  GsoHeader gso = {};
  const bool with_gso = options.segments == Segments::kCounted;
  iovec parts[2] = {{&gso, with_gso ? sizeof(gso) : 0},
                    {packet.data.data(), packet.data.size()}};
  sockaddr_ll address = {};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(tpacket_auxdata)) +
                                CMSG_SPACE(sizeof(timespec))];
  msghdr message = {};
  message.msg_name = &address;
  message.msg_namelen = sizeof(address);
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const ssize_t received = recvmsg(socket.get(), &message, MSG_DONTWAIT);
  if (received < 0) {
    if (errno == EINTR || errno == ENETDOWN) return true;
    if (errno != EINVAL) return false;
    // virtio_net_hdr_from_skb() doesn't know the GSO type. The skb is gone.
    ++indescribable;
    return true;
  }
  uint64_t whole_bytes = 0;
  for (cmsghdr* cmsg = CMSG_FIRSTHDR(&message); cmsg != nullptr;
       cmsg = CMSG_NXTHDR(&message, cmsg)) {
    if (cmsg->cmsg_level == SOL_PACKET && cmsg->cmsg_type == PACKET_AUXDATA) {
      tpacket_auxdata aux;
      memcpy(&aux, CMSG_DATA(cmsg), sizeof(aux));
      whole_bytes = aux.tp_len;
      packet.network_offset = aux.tp_net;
    } else if (cmsg->cmsg_level == SOL_SOCKET &&
               cmsg->cmsg_type == SO_TIMESTAMPNS) {
      timespec time;
      memcpy(&time, CMSG_DATA(cmsg), sizeof(time));
      packet.time = absl::TimeFromTimespec(time);
    }
  }
  packet.data.resize(static_cast<size_t>(received) -
                     (with_gso ? sizeof(gso) : 0));
  packet.network_offset = std::min(packet.network_offset, packet.data.size());
  packet.direction =
      address.sll_pkttype == PACKET_OUTGOING ? Direction::kOut : Direction::kIn;
  packet.ether_type = ntohs(address.sll_protocol);
  packet.skb_bytes =
      whole_bytes - std::min<uint64_t>(whole_bytes, packet.network_offset);
  packet.gso_bytes = gso.gso_type == 0 ? 0 : gso.gso_size;
  DescribePacket(packet);

  PacketCount& count = flows[KeyOf(packet)];
  count.packets += packet.segments;
  count.wire_bytes += packet.wire_bytes;
  count.skbs += 1;
  count.skb_bytes += packet.skb_bytes;
  ++seen;
  if (kept.size() < options.kept_packets) kept.push_back(std::move(packet));
  return true;
}

absl::Status PacketCapture::State::Complete() {
  if (dropped != 0) {
    return absl::DataLossError(
        absl::StrCat("capture packets: ", dropped, " lost by the kernel"));
  }
  if (indescribable != 0) {
    return absl::DataLossError(absl::StrCat(
        "capture packets: ", indescribable,
        " of a GSO type that this kernel can't describe (UDP needs 6.2)"));
  }
  return absl::OkStatus();
}

PacketCount PacketCapture::State::Sum(const PacketFilter& filter) {
  PacketCount sum;
  CapturedPacket like;
  for (const auto& [key, count] : flows) {
    std::tie(like.direction, like.background, like.ether_type, like.protocol,
             like.src, like.dst) = key;
    if (!filter.Matches(like)) continue;
    sum.packets += count.packets;
    sum.wire_bytes += count.wire_bytes;
    sum.skbs += count.skbs;
    sum.skb_bytes += count.skb_bytes;
  }
  return sum;
}

PacketCapture::PacketCapture(std::unique_ptr<State> state)
    : state_(std::move(state)) {}
PacketCapture::PacketCapture(PacketCapture&&) noexcept = default;

PacketCapture& PacketCapture::operator=(PacketCapture&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}

PacketCapture::~PacketCapture() {
  if (state_ == nullptr || !state_->thread.joinable()) return;
  const uint64_t one = 1;
  (void)!write(state_->stop.get(), &one, sizeof(one));
  state_->thread.join();
}

absl::StatusOr<PacketCapture> PacketCapture::Start(
    const NetNamespace& ns, const std::string& link,
    const CaptureOptions& options) {
  auto state = std::make_unique<State>();
  state->options = options;
  NP_RETURN_IF_ERROR(state->Open(ns, link));
  state->thread = std::thread([raw = state.get()] { raw->ReadUntilStopped(); });
  return PacketCapture(std::move(state));
}

absl::StatusOr<PacketCount> PacketCapture::Count(
    const PacketFilter& filter) const {
  std::lock_guard<std::mutex> lock(state_->mutex);
  state_->Drain();
  NP_RETURN_IF_ERROR(state_->Complete());
  return state_->Sum(filter);
}

absl::Status PacketCapture::WaitFor(const PacketFilter& filter,
                                    uint64_t packets,
                                    absl::Duration timeout) const {
  const absl::Time deadline = absl::Now() + timeout;
  while (true) {
    NP_ASSIGN_OR_RETURN(const PacketCount count, Count(filter));
    if (count.packets >= packets) return absl::OkStatus();
    if (absl::Now() >= deadline) {
      return absl::DeadlineExceededError(absl::StrCat(
          "wait for ", packets, " packets: ", count.packets, " passed"));
    }
    absl::SleepFor(absl::Milliseconds(1));
  }
}

absl::StatusOr<std::vector<CapturedPacket>> PacketCapture::Packets(
    const PacketFilter& filter) const {
  std::lock_guard<std::mutex> lock(state_->mutex);
  state_->Drain();
  NP_RETURN_IF_ERROR(state_->Complete());
  if (state_->seen > state_->kept.size()) {
    return absl::DataLossError(absl::StrCat("list packets: only ",
                                            state_->kept.size(), " of ",
                                            state_->seen, " were kept"));
  }
  std::vector<CapturedPacket> matching;
  for (const CapturedPacket& packet : state_->kept) {
    if (filter.Matches(packet)) matching.push_back(packet);
  }
  return matching;
}

void PacketCapture::Clear() {
  std::lock_guard<std::mutex> lock(state_->mutex);
  state_->Drain();
  state_->flows.clear();
  state_->kept.clear();
  state_->seen = state_->dropped = state_->indescribable = 0;
}

}  // namespace netpolicy::testing
