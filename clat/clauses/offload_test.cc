// SPDX-License-Identifier: Apache-2.0

// Packets whose checksum or segments are left to the device: they stay whole,
// and what is left to do is right for the other IP version.

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "clat/clauses/clause.h"
#include "clat/offline/sandbox.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/packet_builder.h"
#include "libpolicy/testing/packet_text.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/test_environment.h"

namespace netpolicy::clat {
namespace {

using netpolicy::testing::ChecksumAdd;
using netpolicy::testing::ChecksumFinish;
using netpolicy::testing::EqualsPacket;
using netpolicy::testing::IsOk;
using netpolicy::testing::PacketBuilder;

struct Transport {
  const char* name;
  uint8_t protocol;
  uint16_t check_at;
  uint16_t header_len;
};
constexpr Transport kTcp = {"TCP", 6, 16, 20};
constexpr Transport kUdp = {"UDP", 17, 6, 8};

struct Row {
  const char* name;
  Direction direction;
  Transport transport;
  size_t data;
  uint16_t gso_size;  // 0: one packet, only its checksum is left to the device
  uint8_t gso_type_in;
  uint8_t gso_type_out;
};

constexpr Row kRows[] = {
    {"TCP checksum, 4 to 6", Direction::k4to6, kTcp, 101, 0, 0, 0},
    {"TCP checksum, 6 to 4", Direction::k6to4, kTcp, 101, 0, 0, 0},
    {"UDP checksum, 4 to 6", Direction::k4to6, kUdp, 101, 0, 0, 0},
    {"UDP checksum, 6 to 4", Direction::k6to4, kUdp, 101, 0, 0, 0},
    {"TCP super-packet, 4 to 6", Direction::k4to6, kTcp, 20001, 1400,
     OffloadHeader::kTcp4, OffloadHeader::kTcp6},
    {"TCP super-packet, 6 to 4", Direction::k6to4, kTcp, 20001, 1400,
     OffloadHeader::kTcp6, OffloadHeader::kTcp4},
    {"TCP super-packet of over 60000 bytes, 4 to 6", Direction::k4to6, kTcp,
     60000, 1400, OffloadHeader::kTcp4, OffloadHeader::kTcp6},
    {"UDP super-packet, 4 to 6", Direction::k4to6, kUdp, 20001, 1300,
     OffloadHeader::kUdp, OffloadHeader::kUdp},
    {"UDP super-packet, 6 to 4", Direction::k6to4, kUdp, 20001, 1300,
     OffloadHeader::kUdp, OffloadHeader::kUdp},
};

PacketBuilder With(PacketBuilder builder, const Row& row) {
  row.transport.protocol == kTcp.protocol ? builder.Tcp({}) : builder.Udp({});
  return builder.PayloadOfSize(row.data);
}

// The packet with a right checksum, before and after.
std::string Before(const Row& row) {
  return row.direction == Direction::k4to6
             ? With(Four({.dont_fragment = true}), row).Build()
             : With(SixIn(), row).Build();
}
std::string After(const Row& row) {
  if (row.direction == Direction::k4to6) return With(Six(), row).Build();
  return With(FourIn({.dont_fragment = row.gso_size != 0}), row).Build();
}

size_t HeaderLen(absl::string_view packet) {
  return (packet[0] >> 4 & 0xf) == 6 ? 40 : 20;
}

void Put(std::string& packet, size_t at, uint16_t value) {
  packet[at] = static_cast<char>(value >> 8);
  packet[at + 1] = static_cast<char>(value & 0xff);
}

// What the stack leaves in the field: the sum of the pseudo header.
std::string WithoutChecksum(std::string packet, const Transport& transport) {
  const size_t header = HeaderLen(packet);
  const size_t at = header == 40 ? 8 : 12;
  const size_t length = packet.size() - header;
  uint32_t sum = ChecksumAdd(
      0, absl::string_view(packet).substr(at, header == 40 ? 32 : 8));
  sum += static_cast<uint32_t>(length) + transport.protocol;
  Put(packet, header + transport.check_at,
      static_cast<uint16_t>(~ChecksumFinish(sum)));
  return packet;
}

// What the device does to a whole packet.
std::string Complete(std::string packet, size_t start, size_t offset) {
  const uint16_t sum =
      ChecksumFinish(ChecksumAdd(0, absl::string_view(packet).substr(start)));
  Put(packet, start + offset, sum == 0 ? 0xffff : sum);
  return packet;
}

void CheckRow(Sandbox& sandbox, const Row& row, size_t l2) {
  const std::string frame =
      l2 == 0
          ? ""
          : PacketBuilder()
                .Ethernet(
                    {.type = static_cast<uint16_t>(
                         row.direction == Direction::k4to6 ? 0x0800 : 0x86dd)})
                .Build();
  const std::string before = Before(row);
  Sandbox::Packet in;
  in.bytes = frame + WithoutChecksum(before, row.transport);
  in.offload.flags = OffloadHeader::kNeedsChecksum;
  in.offload.csum_start = static_cast<uint16_t>(l2 + HeaderLen(before));
  in.offload.csum_offset = row.transport.check_at;
  if (row.gso_size != 0) {
    in.offload.gso_type = row.gso_type_in;
    in.offload.gso_size = row.gso_size;
    in.offload.hdr_len =
        static_cast<uint16_t>(in.offload.csum_start + row.transport.header_len);
  }
  auto result = sandbox.Run(row.direction, in);
  if (row.gso_type_in == OffloadHeader::kUdp &&
      absl::IsInvalidArgument(result.status())) {
    return;  // no UDP segmentation in virtio headers before Linux 6.2
  }
  ASSERT_THAT(result, IsOk());
  ASSERT_EQ(result->packets.size(), 1u) << "stays whole";
  const Sandbox::Packet& out = result->packets[0];
  std::string got = out.bytes.substr(l2);
  const std::string expected = After(row);
  ASSERT_EQ(got.size(), expected.size());
  EXPECT_EQ(out.offload.flags & OffloadHeader::kNeedsChecksum,
            OffloadHeader::kNeedsChecksum);
  EXPECT_EQ(out.offload.csum_start, l2 + HeaderLen(expected));
  EXPECT_EQ(out.offload.csum_offset, row.transport.check_at);
  EXPECT_EQ(out.offload.gso_type, row.gso_type_out);
  EXPECT_EQ(out.offload.gso_size, row.gso_size);
  got = Complete(got, HeaderLen(expected), row.transport.check_at);
  if (row.direction == Direction::k6to4) {  // the identification is free
    got.replace(4, 2, expected.substr(4, 2));
    got.replace(10, 2, expected.substr(10, 2));
  }
  EXPECT_TRUE(got == expected)
      << netpolicy::testing::FormatPacket({"", got.substr(0, 80)});
}

TEST(Offload, WhatIsLeftToTheDeviceIsRightForTheOtherVersion) {
  if (auto missing = netpolicy::testing::MissingForBpfTests()) {
    GTEST_SKIP() << *missing;
  }
  for (const LinkType link : {LinkType::kRawIp, LinkType::kEthernet}) {
    auto sandbox = Sandbox::Create(link, Offload::kOn);
    ASSERT_THAT(sandbox, IsOk());
    ASSERT_THAT((*sandbox)->Configure(Plain()), IsOk());
    for (const Row& row : kRows) {
      SCOPED_TRACE(absl::StrCat(
          row.name, link == LinkType::kRawIp ? ", raw IP" : ", Ethernet"));
      CheckRow(**sandbox, row, link == LinkType::kRawIp ? 0 : 14);
    }
  }
}

// A device without offloads gets the same segments as of an IPv6 sender.
TEST(Offload, SegmentsOfATranslatedSuperPacketAreRight) {
  if (auto missing = netpolicy::testing::MissingForBpfTests()) {
    GTEST_SKIP() << *missing;
  }
  auto sandbox = Sandbox::Create(LinkType::kRawIp, Offload::kOff);
  ASSERT_THAT(sandbox, IsOk());
  ASSERT_THAT((*sandbox)->Configure(Plain()), IsOk());
  const std::string data = PacketBuilder().PayloadOfSize(4200).Build();
  Sandbox::Packet in;
  in.bytes = WithoutChecksum(Four({.dont_fragment = true})
                                 .Tcp({.sequence = 1000})
                                 .Payload(data)
                                 .Build(),
                             kTcp);
  in.offload.flags = OffloadHeader::kNeedsChecksum;
  in.offload.csum_start = 20;
  in.offload.csum_offset = 16;
  in.offload.gso_type = OffloadHeader::kTcp4;
  in.offload.gso_size = 1400;
  in.offload.hdr_len = 40;
  auto result = (*sandbox)->Run(Direction::k4to6, in);
  ASSERT_THAT(result, IsOk());
  ASSERT_EQ(result->packets.size(), 3u);
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_THAT(result->packets[i].bytes,
                EqualsPacket(Six()
                                 .Tcp({.sequence = 1000 + i * 1400})
                                 .Payload(data.substr(i * 1400, 1400))
                                 .Build()));
  }
}

}  // namespace
}  // namespace netpolicy::clat
