// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/testing/packet_builder.h"

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/packet_text.h"

namespace netpolicy::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

std::string Hex(absl::string_view hex) { return absl::HexStringToBytes(hex); }

struct Row {
  const char* name;
  PacketBuilder builder;
  // As scapy 2.5 builds it.
  const char* expected;
  LinkType link = LinkType::kIp;
};

TEST(PacketBuilder, BuildsWhatScapyBuilds) {
  const Row rows[] = {
      {"UDP over IPv4", PacketBuilder().Ip4({}).Udp({}).Payload("x"),
       "4500001d00000000401166340a4d00010a4d0002"
       "9c4000350009d6c978"},
      {"TCP over IPv6 with options",
       PacketBuilder()
           .Ip6({.traffic_class = 0x12, .flow_label = 0x34567, .hop_limit = 7})
           .Tcp({.acknowledgement = 2,
                 .flags = kTcpSyn | kTcpAck,
                 .options = std::string("\x02\x04\x05\xb4", 4)}),
       "6123456700180607fd770000000000000000000000000001fd770000000000000000000"
       "000000002"
       "9c40005000000001000000026012ffff00910000020405b4"},
      {"echo request",
       PacketBuilder()
           .Ip4({.tos = 0xb8, .id = 0x1234, .dont_fragment = true, .ttl = 3})
           .Icmp4({.rest = 0x00010002})
           .Payload("ping"),
       "45b8002012344000030150550a4d00010a4d0002"
       "0800192c0001000270696e67"},
      {"packet too big, with a quote whose checksum and lengths are wrong",
       PacketBuilder()
           .Ip6({})
           .Icmp6({.type = 2, .rest = 1280})
           .Payload(PacketBuilder()
                        .Ip6({.src = "fd77::2",
                              .dst = "fd77::1",
                              .payload_length = 1400})
                        .Udp({.sport = 53,
                              .dport = 40000,
                              .length = 1400,
                              .checksum = 0xbeef})
                        .Build()),
       "6000000000383a40fd770000000000000000000000000001fd770000000000000000000"
       "000000002"
       "02002b1200000500"
       "6000000005781140fd770000000000000000000000000002fd770000000000000000000"
       "000000001"
       "00359c400578beef"},
      {"first fragment",
       PacketBuilder()
           .Ip6({})
           .Fragment6({.more = true, .id = 0xabcdef01})
           .Udp({})
           .Payload("abcdefgh"),
       "6000000000182c40fd770000000000000000000000000001fd770000000000000000000"
       "000000002"
       "11000001abcdef01"
       "9c4000350010d6d06162636465666768"},
      {"hop-by-hop options",
       PacketBuilder().Ip6({}).Extension6({}).Udp({}).Payload("x"),
       "6000000000110040fd770000000000000000000000000001fd770000000000000000000"
       "000000002"
       "1100010400000000"
       "9c4000350009f07378"},
      {"Ethernet", PacketBuilder().Ethernet({}).Ip4({}).Udp({}),
       "0200000000020200000000010800"
       "4500001c00000000401166350a4d00010a4d0002"
       "9c40003500084ecc",
       LinkType::kEthernet},
      {"VLAN, and no payload", PacketBuilder().Ethernet({}).Vlan({}).Ip6({}),
       "0200000000020200000000018100000186dd"
       "6000000000003b40fd770000000000000000000000000001fd770000000000000000000"
       "000000002",
       LinkType::kEthernet},
      {"IPv4 in IPv6: checksum over the inner addresses",
       PacketBuilder().Ip6({}).Ip4({}).Udp({}),
       "60000000001c0440fd770000000000000000000000000001fd770000000000000000000"
       "000000002"
       "4500001c00000000401166350a4d00010a4d0002"
       "9c40003500084ecc"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    EXPECT_THAT(row.builder.Build(), EqualsPacket(Hex(row.expected), row.link));
  }
}

TEST(PacketBuilder, AnyFieldCanBeForced) {
  EXPECT_THAT(PacketBuilder()
                  .Ip4({.version = 5,
                        .header_words = 4,
                        .total_length = 1,
                        .fragment_offset = 3,
                        .protocol = 200,
                        .checksum = 0xdead})
                  .Tcp({.header_words = 15, .checksum = 0xbeef})
                  .Build(),
              EqualsPacket(Hex("540000010000000340c8dead0a4d00010a4d0002"
                               "9c400050000000010000000"
                               "0f010ffffbeef0000")));
  EXPECT_THAT(
      PacketBuilder()
          .Ip6({.version = 4, .payload_length = 7, .next_header = 99})
          .Extension6({.header = 60,
                       .next_header = 43,
                       .length_field = 200,
                       .body = "ab"})
          .Build(),
      EqualsPacket(Hex("4000000000076340fd770000000000000000000000000001"
                       "fd770000000000000000000000000002"
                       "2bc8616200000000")));
}

TEST(PacketBuilder, PatchesAndTruncatesTheFinishedPacket) {
  EXPECT_EQ(
      PacketBuilder().Payload("abcdef").Patch(1, "XY").Truncate(4).Build(),
      "aXYd");
  EXPECT_EQ(PacketBuilder().Payload("ab").Patch(3, "Z").Build(),
            std::string("ab\0Z", 4));
  EXPECT_EQ(PacketBuilder().PayloadOfSize(28).Build(),
            "abcdefghijklmnopqrstuvwxyzab");
}

TEST(PacketBuilder, AUdpChecksumOfZeroIsSentAsAllOnes) {
  // Without data it is 0x4ecc (see above). Two bytes add 2 to both lengths, so
  // they must be 0x4ecc - 4.
  const std::string packet =
      PacketBuilder().Ip4({}).Udp({}).Payload("\x4e\xc8").Build();
  EXPECT_EQ(packet.substr(26, 2), "\xff\xff");
}

TEST(PacketBuilder, AnAddressOfTheOtherFamilyIsABugOfTheTest) {
  EXPECT_DEATH(PacketBuilder().Ip4({.src = "fd77::1"}).Build(),
               "fd77::1 is of the other family");
}

TEST(FragmentPacket, FragmentsAddUpToThePacket) {
  for (const std::string& packet :
       {PacketBuilder().Ip4({}).Udp({}).PayloadOfSize(40).Build(),
        PacketBuilder().Ip6({}).Udp({}).PayloadOfSize(40).Build()}) {
    const bool v4 = packet[0] == 0x45;
    const size_t header_bytes = v4 ? 20 : 40;
    const std::vector<std::string> fragments =
        FragmentPacket(packet, 23, 0xabcdef01);
    ASSERT_THAT(fragments, SizeIs(3));
    std::string payload;
    for (const std::string& fragment : fragments) {
      payload += fragment.substr(header_bytes + (v4 ? 0 : 8));
    }
    EXPECT_EQ(payload, packet.substr(header_bytes));
  }
  EXPECT_THAT(
      FragmentPacket(PacketBuilder()
                         .Ip4({})
                         .Udp({.checksum = 0x1234})
                         .PayloadOfSize(8)
                         .Build(),
                     8, 7),
      ElementsAre(
          EqualsPacket(
              PacketBuilder()
                  .Ip4({.id = 7, .more_fragments = true, .protocol = 17})
                  .Payload(Hex("9c40003500101234"))
                  .Build()),
          EqualsPacket(PacketBuilder()
                           .Ip4({.id = 7, .fragment_offset = 1, .protocol = 17})
                           .Payload("abcdefgh")
                           .Build())));
  EXPECT_THAT(
      FragmentPacket(PacketBuilder()
                         .Ip6({})
                         .Udp({.checksum = 0x1234})
                         .Payload("12345678")
                         .Build(),
                     8, 7),
      ElementsAre(
          EqualsPacket(
              PacketBuilder()
                  .Ip6({})
                  .Fragment6({.next_header = 17, .more = true, .id = 7})
                  .Payload(Hex("9c40003500101234"))
                  .Build()),
          EqualsPacket(PacketBuilder()
                           .Ip6({})
                           .Fragment6({.next_header = 17, .offset = 1, .id = 7})
                           .Payload("12345678")
                           .Build())));
}

}  // namespace
}  // namespace netpolicy::testing
