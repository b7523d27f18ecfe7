// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/testing/packet_builder.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace netpolicy::testing {
namespace {

constexpr uint8_t kAuthentication = 51;

// Appends numbers in network order.
class Writer {
 public:
  Writer& U8(unsigned value) {
    bytes_.push_back(static_cast<char>(value));
    return *this;
  }
  Writer& U16(unsigned value) { return U8(value >> 8).U8(value & 0xff); }
  Writer& U32(uint32_t value) { return U16(value >> 16).U16(value & 0xffff); }
  Writer& Bytes(absl::string_view bytes) {
    bytes_.append(bytes.data(), bytes.size());
    return *this;
  }
  Writer& Mac(const MacAddress& mac) {
    return Bytes({reinterpret_cast<const char*>(mac.data()), mac.size()});
  }
  std::string Take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

void PutU16(std::string& bytes, size_t offset, uint16_t value) {
  bytes[offset] = static_cast<char>(value >> 8);
  bytes[offset + 1] = static_cast<char>(value & 0xff);
}

std::string PaddedTo(size_t unit, std::string bytes, size_t before = 0) {
  while ((bytes.size() + before) % unit != 0) bytes.push_back('\0');
  return bytes;
}

// An IPv6 address in an IPv4 header, or the other way round, is a bug of the
// test, not a wrong field.
absl::string_view AddressBytes(const IpAddress& address, size_t size) {
  if (address.bytes().size() == size) return address.bytes();
  fprintf(stderr, "build packet: %s is of the other family\n",
          address.ToString().c_str());
  abort();
}

// What a header is called by the one before it.
template <typename... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <typename... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

template <typename Layer>
uint16_t EtherType(const Layer* layer) {
  if (layer == nullptr) return 0;
  return std::visit(Overloaded{
                        [](const VlanFields&) -> uint16_t { return 0x8100; },
                        [](const Ip4Fields&) -> uint16_t { return 0x0800; },
                        [](const Ip6Fields&) -> uint16_t { return 0x86dd; },
                        [](const auto&) -> uint16_t { return 0; },
                    },
                    *layer);
}

// The protocol number; nothing known follows: "no next header" of IPv6.
template <typename Layer>
uint8_t Protocol(const Layer* layer) {
  if (layer == nullptr) return 59;
  return std::visit(Overloaded{
                        [](const Ip4Fields&) -> uint8_t { return 4; },
                        [](const Ip6Fields&) -> uint8_t { return 41; },
                        [](const Fragment6Fields&) -> uint8_t { return 44; },
                        [](const Extension6Fields& fields) -> uint8_t {
                          return fields.header;
                        },
                        [](const TcpFields&) -> uint8_t { return 6; },
                        [](const UdpFields&) -> uint8_t { return 17; },
                        [](const Icmp4Fields&) -> uint8_t { return 1; },
                        [](const Icmp6Fields&) -> uint8_t { return 58; },
                        [](const auto&) -> uint8_t { return 59; },
                    },
                    *layer);
}

std::string BuildIp4(const Ip4Fields& fields, uint8_t protocol,
                     const std::string& payload) {
  const std::string options = PaddedTo(4, fields.options);
  const size_t header_bytes = 20 + options.size();
  const unsigned words =
      fields.header_words.value_or(static_cast<uint8_t>(header_bytes / 4));
  const unsigned flags = (fields.dont_fragment ? 0x4000u : 0u) |
                         (fields.more_fragments ? 0x2000u : 0u);
  std::string header =
      Writer()
          .U8(((fields.version & 0xfu) << 4) | (words & 0xfu))
          .U8(fields.tos)
          .U16(fields.total_length.value_or(
              static_cast<uint16_t>(header_bytes + payload.size())))
          .U16(fields.id)
          .U16(flags | (fields.fragment_offset & 0x1fffu))
          .U8(fields.ttl)
          .U8(fields.protocol.value_or(protocol))
          .U16(0)
          .Bytes(AddressBytes(fields.src, 4))
          .Bytes(AddressBytes(fields.dst, 4))
          .Bytes(options)
          .Take();
  PutU16(header, 10,
         fields.checksum.value_or(ChecksumFinish(ChecksumAdd(0, header))));
  return header;
}

std::string BuildIp6(const Ip6Fields& fields, uint8_t next_header,
                     const std::string& payload) {
  return Writer()
      .U32(((fields.version & 0xfu) << 28) |
           (uint32_t{fields.traffic_class} << 20) |
           (fields.flow_label & 0xfffffu))
      .U16(
          fields.payload_length.value_or(static_cast<uint16_t>(payload.size())))
      .U8(fields.next_header.value_or(next_header))
      .U8(fields.hop_limit)
      .Bytes(AddressBytes(fields.src, 16))
      .Bytes(AddressBytes(fields.dst, 16))
      .Take();
}

std::string BuildExtension6(const Extension6Fields& fields,
                            uint8_t next_header) {
  const bool authentication = fields.header == kAuthentication;
  const std::string body = PaddedTo(authentication ? 4 : 8, fields.body, 2);
  const size_t size = body.size() + 2;
  const size_t length = authentication ? size / 4 - 2 : size / 8 - 1;
  return Writer()
      .U8(fields.next_header.value_or(next_header))
      .U8(fields.length_field.value_or(static_cast<uint8_t>(length)))
      .Bytes(body)
      .Take();
}

std::string BuildTcpHeader(const TcpFields& fields) {
  const std::string options = PaddedTo(4, fields.options);
  const unsigned words = fields.header_words.value_or(
      static_cast<uint8_t>((20 + options.size()) / 4));
  return Writer()
      .U16(fields.sport)
      .U16(fields.dport)
      .U32(fields.sequence)
      .U32(fields.acknowledgement)
      .U8((words & 0xfu) << 4)
      .U8(fields.flags)
      .U16(fields.window)
      .U16(0)
      .U16(fields.urgent)
      .Bytes(options)
      .Take();
}

}  // namespace

uint32_t ChecksumAdd(uint32_t sum, absl::string_view bytes) {
  uint64_t total = sum;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const uint32_t byte = static_cast<uint8_t>(bytes[i]);
    total += i % 2 == 0 ? byte << 8 : byte;
  }
  while (total >> 16 != 0) total = (total & 0xffff) + (total >> 16);
  return static_cast<uint32_t>(total);
}

uint16_t ChecksumFinish(uint32_t sum) {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

PacketBuilder& PacketBuilder::Payload(absl::string_view bytes) {
  return Add(std::string(bytes));
}

PacketBuilder& PacketBuilder::PayloadOfSize(size_t bytes) {
  std::string payload(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i)
    payload[i] = static_cast<char>('a' + i % 26);
  return Add(std::move(payload));
}

PacketBuilder& PacketBuilder::Patch(size_t offset, absl::string_view bytes) {
  patches_.emplace_back(offset, std::string(bytes));
  return *this;
}

PacketBuilder& PacketBuilder::Truncate(size_t bytes) {
  truncate_ = bytes;
  return *this;
}

std::string PacketBuilder::Transport(size_t index, std::string bytes,
                                     uint8_t protocol, size_t checksum_offset,
                                     std::optional<uint16_t> checksum) const {
  if (checksum) {
    PutU16(bytes, checksum_offset, *checksum);
    return bytes;
  }
  const auto size = static_cast<uint32_t>(bytes.size());
  for (size_t i = index; i-- > 0;) {
    Writer pseudo;
    if (const auto* ip4 = std::get_if<Ip4Fields>(&layers_[i])) {
      pseudo.Bytes(AddressBytes(ip4->src, 4)).Bytes(AddressBytes(ip4->dst, 4));
    } else if (const auto* ip6 = std::get_if<Ip6Fields>(&layers_[i])) {
      pseudo.Bytes(AddressBytes(ip6->src, 16))
          .Bytes(AddressBytes(ip6->dst, 16));
    } else {
      continue;
    }
    // Both pseudo-headers sum up alike: length and protocol.
    pseudo.U32(size).U32(protocol);
    uint16_t sum =
        ChecksumFinish(ChecksumAdd(ChecksumAdd(0, pseudo.Take()), bytes));
    if (protocol == 17 && sum == 0) sum = 0xffff;  // 0 means "none", RFC 768.
    PutU16(bytes, checksum_offset, sum);
    break;
  }
  return bytes;
}

std::string PacketBuilder::BuildLayer(size_t index,
                                      const std::string& payload) const {
  const Layer* next =
      index + 1 < layers_.size() ? &layers_[index + 1] : nullptr;
  return std::visit(
      Overloaded{
          [&](const EthernetFields& fields) {
            return Writer()
                .Mac(fields.dst)
                .Mac(fields.src)
                .U16(fields.type.value_or(EtherType(next)))
                .Bytes(payload)
                .Take();
          },
          [&](const VlanFields& fields) {
            return Writer()
                .U16(fields.tci)
                .U16(fields.type.value_or(EtherType(next)))
                .Bytes(payload)
                .Take();
          },
          [&](const Ip4Fields& fields) {
            return BuildIp4(fields, Protocol(next), payload) + payload;
          },
          [&](const Ip6Fields& fields) {
            return BuildIp6(fields, Protocol(next), payload) + payload;
          },
          [&](const Fragment6Fields& fields) {
            return Writer()
                .U8(fields.next_header.value_or(Protocol(next)))
                .U8(fields.reserved)
                .U16(((fields.offset & 0x1fffu) << 3) | (fields.more ? 1u : 0u))
                .U32(fields.id)
                .Bytes(payload)
                .Take();
          },
          [&](const Extension6Fields& fields) {
            return BuildExtension6(fields, Protocol(next)) + payload;
          },
          [&](const TcpFields& fields) {
            return Transport(index, BuildTcpHeader(fields) + payload, 6, 16,
                             fields.checksum);
          },
          [&](const UdpFields& fields) {
            return Transport(index,
                             Writer()
                                 .U16(fields.sport)
                                 .U16(fields.dport)
                                 .U16(fields.length.value_or(
                                     static_cast<uint16_t>(8 + payload.size())))
                                 .U16(0)
                                 .Bytes(payload)
                                 .Take(),
                             17, 6, fields.checksum);
          },
          [&](const Icmp4Fields& fields) {
            std::string bytes = Writer()
                                    .U8(fields.type)
                                    .U8(fields.code)
                                    .U16(0)
                                    .U32(fields.rest)
                                    .Bytes(payload)
                                    .Take();
            PutU16(bytes, 2,
                   fields.checksum.value_or(
                       ChecksumFinish(ChecksumAdd(0, bytes))));
            return bytes;
          },
          [&](const Icmp6Fields& fields) {
            return Transport(index,
                             Writer()
                                 .U8(fields.type)
                                 .U8(fields.code)
                                 .U16(0)
                                 .U32(fields.rest)
                                 .Bytes(payload)
                                 .Take(),
                             58, 2, fields.checksum);
          },
          [&](const std::string& bytes) { return bytes + payload; },
      },
      layers_[index]);
}

std::string PacketBuilder::Build() const {
  std::string packet;
  for (size_t i = layers_.size(); i-- > 0;) packet = BuildLayer(i, packet);
  for (const auto& [offset, bytes] : patches_) {
    if (packet.size() < offset + bytes.size())
      packet.resize(offset + bytes.size());
    packet.replace(offset, bytes.size(), bytes);
  }
  if (truncate_ && packet.size() > *truncate_) packet.resize(*truncate_);
  return packet;
}

std::vector<std::string> FragmentPacket(absl::string_view packet,
                                        size_t payload_bytes, uint32_t id) {
  const size_t unit = payload_bytes / 8 * 8;
  const unsigned version =
      packet.empty() ? 0 : static_cast<uint8_t>(packet[0]) >> 4;
  const size_t header_bytes =
      version == 4 ? (static_cast<uint8_t>(packet[0]) & 0xfu) * 4 : 40;
  if ((version != 4 && version != 6) || packet.size() < header_bytes ||
      unit == 0)
    abort();
  const absl::string_view payload = packet.substr(header_bytes);
  std::vector<std::string> fragments;
  for (size_t offset = 0; offset < payload.size(); offset += unit) {
    const absl::string_view part = payload.substr(offset, unit);
    const bool more = offset + part.size() < payload.size();
    std::string header(packet.substr(0, header_bytes));
    if (version == 4) {
      PutU16(header, 2, static_cast<uint16_t>(header_bytes + part.size()));
      PutU16(header, 4, static_cast<uint16_t>(id));
      PutU16(header, 6,
             static_cast<uint16_t>((more ? 0x2000u : 0u) | (offset / 8)));
      PutU16(header, 10, 0);
      PutU16(header, 10, ChecksumFinish(ChecksumAdd(0, header)));
    } else {
      PutU16(header, 4, static_cast<uint16_t>(8 + part.size()));
      const uint8_t next_header = static_cast<uint8_t>(header[6]);
      header[6] = 44;
      absl::StrAppend(&header,
                      Writer()
                          .U8(next_header)
                          .U8(0)
                          .U16(static_cast<unsigned>(offset) | (more ? 1u : 0u))
                          .U32(id)
                          .Take());
    }
    fragments.push_back(absl::StrCat(header, part));
  }
  return fragments;
}

}  // namespace netpolicy::testing
