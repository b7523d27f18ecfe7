// SPDX-License-Identifier: Apache-2.0
//
// Counts exactly what passes an interface, and shows it.
//
//   auto capture = PacketCapture::Start(*ns, "eth0");
//   ASSERT_THAT(capture, IsOk());
//   SendFiveQuestions();
//   EXPECT_THAT(capture->WaitFor({.direction = Direction::kOut, .dport = 53},
//   5),
//               IsOk());
//   auto count = capture->Count({.direction = Direction::kOut, .dport = 53});
//   ASSERT_THAT(count, IsOk());     // an incomplete capture is an error
//   EXPECT_EQ(count->packets, 5u);  // on the wire, segments counted
//   EXPECT_EQ(count->wire_bytes, 5u * (40 + 8 + 10));
//
// A packet socket sees what ingress tc sees before it, and what leaves after
// egress tc: so what egress drops is not counted, what ingress drops is.

#ifndef NETPOLICY_LIBPOLICY_TESTING_PACKET_CAPTURE_H_
#define NETPOLICY_LIBPOLICY_TESTING_PACKET_CAPTURE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libpolicy/testing/endpoint.h"
#include "libpolicy/testing/net_namespace.h"

namespace netpolicy::testing {

// As the interface sees it. What a loopback interface carries is seen twice.
enum class Direction { kIn, kOut };

// The talk of hosts about themselves: neighbour and router discovery, MLD,
// IGMP, ARP, and what is neither IPv4 nor IPv6.
enum class Background { kExcluded, kIncluded };

// An skb as it passed. GSO and GRO make one skb of many packets on the wire.
struct CapturedPacket {
  Direction direction = Direction::kIn;
  Background background = Background::kExcluded;  // kIncluded: it is such.
  absl::Time time;
  uint16_t ether_type = 0;
  // The transport protocol, behind IPv6 extension headers; addresses and, where
  // there are any (not in later fragments), ports. Zero when not IP.
  uint8_t protocol = 0;
  Endpoint src, dst;
  // From the IP header on.
  uint64_t skb_bytes = 0;
  // Transport payload of a segment, which makes `segments` packets on the wire
  // with `wire_bytes` from the IP header on; 0, 1, skb_bytes without GSO.
  uint64_t gso_bytes = 0;
  uint64_t segments = 1;
  uint64_t wire_bytes = 0;
  // The first bytes, and where the IP header is in them.
  std::string data;
  size_t network_offset = 0;

  // The data from the IP header on.
  absl::string_view ip() const {
    return absl::string_view(data).substr(network_offset);
  }
};

// What to count; a field that is not set matches all.
struct PacketFilter {
  std::optional<Direction> direction = std::nullopt;
  std::optional<int> family = std::nullopt;  // AF_INET or AF_INET6
  std::optional<uint8_t> protocol = std::nullopt;
  std::optional<IpAddress> src = std::nullopt;
  std::optional<IpAddress> dst = std::nullopt;
  std::optional<uint16_t> sport = std::nullopt;
  std::optional<uint16_t> dport = std::nullopt;
  Background background = Background::kExcluded;

  bool Matches(const CapturedPacket& packet) const;
};

struct PacketCount {
  uint64_t packets = 0;     // On the wire.
  uint64_t wire_bytes = 0;  // Of these, from the IP header on.
  uint64_t skbs = 0;
  uint64_t skb_bytes = 0;  // From the IP header on.

  friend bool operator==(const PacketCount&, const PacketCount&) = default;
};
std::ostream& operator<<(std::ostream& os, const PacketCount& count);

// Whether the kernel is asked for the GSO size of each skb (PACKET_VNET_HDR).
// Kernels before 6.2 can't tell that of UDP GSO and lose the packet for the
// capture, which is then incomplete: there, switch off the link's feature
// "tx-udp-segmentation". Without asking, every skb counts as one packet.
enum class Segments { kCounted, kIgnored };

struct CaptureOptions {
  // How much of each skb is kept, and of how many (the first ones). Counting
  // has no limit.
  size_t kept_bytes = 2048;
  size_t kept_packets = 4096;
  Segments segments = Segments::kCounted;
  // The socket's, for what comes while the reader doesn't run; the kernel takes
  // twice as much.
  int buffer_bytes = 64 << 20;
};

// A running capture; a thread of its own empties the socket. All methods may be
// called from any thread. Move-only; the destructor ends it.
class PacketCapture {
 public:
  // Everything that passes `link` from the return of this call on.
  static absl::StatusOr<PacketCapture> Start(
      const NetNamespace& ns, const std::string& link,
      const CaptureOptions& options = {});

  PacketCapture(PacketCapture&&) noexcept;
  PacketCapture& operator=(PacketCapture&&) noexcept;
  ~PacketCapture();

  // What has passed until now. A packet that a process has received has been
  // counted on the interface it came in by; one that has just been sent may
  // still be on its way to another interface: see WaitFor(). kDataLoss when the
  // kernel dropped packets for the capture, or couldn't describe one.
  absl::StatusOr<PacketCount> Count(const PacketFilter& filter = {}) const;

  // Waits until at least this many packets on the wire match. kDeadlineExceeded
  // says how many did.
  absl::Status WaitFor(const PacketFilter& filter, uint64_t packets,
                       absl::Duration timeout = absl::Seconds(5)) const;

  // The kept packets that match, in order. kDataLoss as in Count(), and when
  // more packets passed than could be kept.
  absl::StatusOr<std::vector<CapturedPacket>> Packets(
      const PacketFilter& filter = {}) const;

  // Forgets what was counted and kept up to now.
  void Clear();

 private:
  struct State;
  explicit PacketCapture(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

// Fills in all fields but direction, time, data and network_offset from the
// data. For tests of the capture itself and for packets from elsewhere.
void DescribePacket(CapturedPacket& packet);

}  // namespace netpolicy::testing

#endif  // NETPOLICY_LIBPOLICY_TESTING_PACKET_CAPTURE_H_
