// SPDX-License-Identifier: Apache-2.0
//
// Builds packets from headers, right by default and wrong on demand.
//
//   // Lengths, next headers and checksums are filled in.
//   std::string query = PacketBuilder()
//                           .Ip6({.src = "fd77::1", .dst = "fd77::2"})
//                           .Udp({.sport = 4096, .dport = 53})
//                           .Payload("x")
//                           .Build();
//
//   // Any field can be forced, here a checksum and the IHL.
//   std::string broken = PacketBuilder()
//                            .Ip4({.header_words = 4})
//                            .Tcp({.flags = kTcpSyn, .checksum = 0xdead})
//                            .Build();
//
//   // ICMP errors quote another packet.
//   PacketBuilder().Ip4({}).Icmp4({.type = 3, .code = 4, .rest = 1280})
//       .Payload(query.substr(0, 28)).Build();
//
// Numbers are in host order; the builder writes network order. A field that is
// not set is computed from what follows it: see each struct.

#ifndef NETPOLICY_LIBPOLICY_TESTING_PACKET_BUILDER_H_
#define NETPOLICY_LIBPOLICY_TESTING_PACKET_BUILDER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "libpolicy/testing/endpoint.h"
#include "libpolicy/testing/net_namespace.h"

namespace netpolicy::testing {

// TCP flags.
inline constexpr uint8_t kTcpFin = 0x01;
inline constexpr uint8_t kTcpSyn = 0x02;
inline constexpr uint8_t kTcpRst = 0x04;
inline constexpr uint8_t kTcpPsh = 0x08;
inline constexpr uint8_t kTcpAck = 0x10;
inline constexpr uint8_t kTcpUrg = 0x20;
inline constexpr uint8_t kTcpEce = 0x40;
inline constexpr uint8_t kTcpCwr = 0x80;

struct EthernetFields {
  MacAddress dst = {2, 0, 0, 0, 0, 2};
  MacAddress src = {2, 0, 0, 0, 0, 1};
  std::optional<uint16_t> type = std::nullopt;  // By the next header.
};

struct VlanFields {
  uint16_t tci = 1;
  std::optional<uint16_t> type = std::nullopt;  // By the next header.
};

// RFC 791.
struct Ip4Fields {
  IpAddress src = "10.77.0.1";
  IpAddress dst = "10.77.0.2";
  uint8_t version = 4;
  std::optional<uint8_t> header_words = std::nullopt;  // By the options.
  uint8_t tos = 0;
  std::optional<uint16_t> total_length = std::nullopt;  // Of all that follows.
  uint16_t id = 0;
  bool dont_fragment = false;
  bool more_fragments = false;
  uint16_t fragment_offset = 0;  // In units of 8 bytes.
  uint8_t ttl = 64;
  std::optional<uint8_t> protocol = std::nullopt;   // By the next header.
  std::optional<uint16_t> checksum = std::nullopt;  // Of this header.
  std::string options = "";  // Zeros are added up to a multiple of 4 bytes.
};

// RFC 8200.
struct Ip6Fields {
  IpAddress src = "fd77::1";
  IpAddress dst = "fd77::2";
  uint8_t version = 6;
  uint8_t traffic_class = 0;
  uint32_t flow_label = 0;
  std::optional<uint16_t> payload_length =
      std::nullopt;                                   // Of all that follows.
  std::optional<uint8_t> next_header = std::nullopt;  // By the next header.
  uint8_t hop_limit = 64;
};

// The fragment header of IPv6, RFC 8200 section 4.5.
struct Fragment6Fields {
  std::optional<uint8_t> next_header = std::nullopt;  // By the next header.
  uint8_t reserved = 0;
  uint16_t offset = 0;  // In units of 8 bytes.
  bool more = false;
  uint32_t id = 0;
};

// Any other extension header: 0 hop-by-hop, 43 routing, 51 authentication, 60
// destination options, 135 mobility ...
struct Extension6Fields {
  uint8_t header = 0;                                  // Its own number.
  std::optional<uint8_t> next_header = std::nullopt;   // By the next header.
  std::optional<uint8_t> length_field = std::nullopt;  // By the size.
  // What follows the length; zeros (Pad1) are added until the header is a
  // multiple of 8 bytes (authentication: of 4).
  std::string body = std::string("\x01\x04\0\0\0\0", 6);  // PadN
};

// RFC 9293.
struct TcpFields {
  uint16_t sport = 40000;
  uint16_t dport = 80;
  uint32_t sequence = 1;
  uint32_t acknowledgement = 0;
  std::optional<uint8_t> header_words = std::nullopt;  // By the options.
  uint8_t flags = kTcpAck;
  uint16_t window = 65535;
  std::optional<uint16_t> checksum = std::nullopt;
  uint16_t urgent = 0;
  std::string options = "";  // Zeros are added up to a multiple of 4 bytes.
};

// RFC 768.
struct UdpFields {
  uint16_t sport = 40000;
  uint16_t dport = 53;
  std::optional<uint16_t> length = std::nullopt;
  std::optional<uint16_t> checksum = std::nullopt;  // 0: "none".
};

// RFC 792.
struct Icmp4Fields {
  uint8_t type = 8;
  uint8_t code = 0;
  std::optional<uint16_t> checksum = std::nullopt;
  // The second word: identifier << 16 | sequence, or an MTU, or ...
  uint32_t rest = 0;
};

// RFC 4443.
struct Icmp6Fields {
  uint8_t type = 128;
  uint8_t code = 0;
  std::optional<uint16_t> checksum = std::nullopt;
  uint32_t rest = 0;  // As in Icmp4Fields; the MTU of a "packet too big".
};

// Collects headers from the outside to the inside. A value type; Build() may be
// called more than once.
class PacketBuilder {
 public:
  PacketBuilder& Ethernet(const EthernetFields& fields) { return Add(fields); }
  PacketBuilder& Vlan(const VlanFields& fields) { return Add(fields); }
  PacketBuilder& Ip4(const Ip4Fields& fields) { return Add(fields); }
  PacketBuilder& Ip6(const Ip6Fields& fields) { return Add(fields); }
  PacketBuilder& Fragment6(const Fragment6Fields& fields) {
    return Add(fields);
  }
  PacketBuilder& Extension6(const Extension6Fields& fields) {
    return Add(fields);
  }
  PacketBuilder& Tcp(const TcpFields& fields) { return Add(fields); }
  PacketBuilder& Udp(const UdpFields& fields) { return Add(fields); }
  PacketBuilder& Icmp4(const Icmp4Fields& fields) { return Add(fields); }
  PacketBuilder& Icmp6(const Icmp6Fields& fields) { return Add(fields); }

  // Bytes as they are: data, a quoted packet, a header not known here.
  PacketBuilder& Payload(absl::string_view bytes);
  // This many bytes "abc...zabc...".
  PacketBuilder& PayloadOfSize(size_t bytes);

  // Overwrites bytes of the finished packet; grows it if need be.
  PacketBuilder& Patch(size_t offset, absl::string_view bytes);
  // Cuts the finished packet off after this many bytes, after patching.
  PacketBuilder& Truncate(size_t bytes);

  // The packet. Checksums of TCP, UDP and ICMPv6 are over the addresses of the
  // IP header before them; without one they are left 0.
  std::string Build() const;

 private:
  using Layer = std::variant<EthernetFields, VlanFields, Ip4Fields, Ip6Fields,
                             Fragment6Fields, Extension6Fields, TcpFields,
                             UdpFields, Icmp4Fields, Icmp6Fields, std::string>;

  PacketBuilder& Add(Layer layer) {
    layers_.push_back(std::move(layer));
    return *this;
  }
  std::string BuildLayer(size_t index, const std::string& payload) const;
  std::string Transport(size_t index, std::string bytes, uint8_t protocol,
                        size_t checksum_offset,
                        std::optional<uint16_t> checksum) const;

  std::vector<Layer> layers_;
  std::vector<std::pair<size_t, std::string>> patches_;
  std::optional<size_t> truncate_;
};

// Cuts an IP packet without fragment header into fragments that carry at most
// `payload_bytes` of its payload each (rounded down to a multiple of 8). Aborts
// on anything else. Fragments are in order. IPv6 extension headers count as
// payload.
std::vector<std::string> FragmentPacket(absl::string_view packet,
                                        size_t payload_bytes, uint32_t id);

// The Internet checksum (RFC 1071) of these bytes, in host order, not yet
// complemented; `sum` is carried on.
uint32_t ChecksumAdd(uint32_t sum, absl::string_view bytes);
uint16_t ChecksumFinish(uint32_t sum);

}  // namespace netpolicy::testing

#endif  // NETPOLICY_LIBPOLICY_TESTING_PACKET_BUILDER_H_
