// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/testing/packet_text.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/packet_builder.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST(ParsePackets, AParagraphIsAPacket) {
  EXPECT_THAT(ParsePackets("# About this file.\n"
                           "\n"
                           "# first\n"
                           "# of two\n"
                           "00 01  0203   # comment 77\n"
                           "\t04\r\n"
                           "   \n"
                           "\n"
                           "abCD\n"),
              IsOkAndHolds(ElementsAre(
                  TextPacket{"first\nof two", std::string("\0\1\2\3\4", 5)},
                  TextPacket{"", "\xab\xcd"})));
  EXPECT_THAT(ParsePackets(""), IsOkAndHolds(IsEmpty()));
}

TEST(ParsePackets, FaultsNameTheirLine) {
  EXPECT_THAT(ParsePackets("00\n\n0 1\n"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "parse packets line 3: 0 has an odd number of digits"));
  EXPECT_THAT(ParsePackets("00 0x\n"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "parse packets line 1: 0x is not hexadecimal"));
}

TEST(FormatPacket, EveryHeaderIsALineWithItsMeaning) {
  const TextPacket question = {"a question",
                               PacketBuilder()
                                   .Ip6({})
                                   .Udp({.sport = 4096, .checksum = 1})
                                   .PayloadOfSize(20)
                                   .Build()};
  EXPECT_EQ(FormatPacket(question),
            "# a question\n"
            "60000000001c1140fd77000000000000  "
            "# IPv6 fd77::1 > fd77::2, length 28, hop limit 64, next 17\n"
            "0000000000000001fd77000000000000\n"
            "0000000000000002\n"
            "10000035001c0001                  # UDP 4096 > 53, length 28, "
            "wrong checksum\n"
            "6162636465666768696a6b6c6d6e6f70  # data\n"
            "71727374\n");
}

// One of every header, right and wrong, cut off anywhere: formatting and
// reading give the same bytes, and the layers cover them.
TEST(FormatPacket, NothingIsLost) {
  struct Row {
    const char* name;
    PacketBuilder builder;
    LinkType link = LinkType::kIp;
  };
  const std::string quote = PacketBuilder().Ip4({}).Udp({}).Build();
  const Row rows[] = {
      {"nothing known", PacketBuilder().Payload("hello")},
      {"TCP with options",
       PacketBuilder().Ip4({.options = "\1\1\1"}).Tcp({.options = "\1"})},
      {"wrong lengths", PacketBuilder().Ip4({.header_words = 15}).Udp({})},
      {"fragment", PacketBuilder().Ip4({.fragment_offset = 5}).Payload("abc")},
      {"IPv6 fragment",
       PacketBuilder().Ip6({}).Fragment6({.offset = 5}).Payload("abc")},
      {"extensions", PacketBuilder()
                         .Ip6({})
                         .Extension6({})
                         .Extension6({.header = 51, .body = "0123456789"})
                         .Fragment6({})
                         .Extension6({.header = 60, .length_field = 200})
                         .Udp({})},
      {"ICMP error", PacketBuilder().Ip4({}).Icmp4({.type = 3}).Payload(quote)},
      {"ICMPv6 error",
       PacketBuilder().Ip6({}).Icmp6({.type = 1}).Payload(quote)},
      {"Ethernet and VLAN",
       PacketBuilder().Ethernet({}).Vlan({}).Ip6({}).Icmp6({}),
       LinkType::kEthernet},
      {"tunnel", PacketBuilder().Ip6({}).Ip4({}).Ip6({}).Tcp({})},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const std::string whole = row.builder.Build();
    for (size_t size = 1; size <= whole.size(); ++size) {
      const TextPacket packet = {"title", whole.substr(0, size)};
      size_t covered = 0;
      for (const PacketLayer& layer : DissectPacket(packet.bytes, row.link)) {
        EXPECT_EQ(layer.offset, covered);
        covered += layer.size;
      }
      EXPECT_EQ(covered, size);
      EXPECT_THAT(ParsePackets(FormatPacket(packet, row.link)),
                  IsOkAndHolds(ElementsAre(packet)));
    }
  }
}

TEST(ToScapy, NamesWhatIsNotUsual) {
  struct Row {
    const char* name;
    std::string packet;
    const char* expected;
  };
  const Row rows[] = {
      {"usual", PacketBuilder().Ip6({}).Udp({}).Payload("x").Build(),
       R"(IPv6(src="fd77::1",dst="fd77::2",nh=17)/UDP(sport=40000,dport=53)/)"
       R"(Raw(bytes.fromhex("78")))"},
      {"wrong checksums",
       PacketBuilder().Ip4({.checksum = 1}).Udp({.checksum = 2}).Build(),
       R"(IP(src="10.77.0.1",dst="10.77.0.2",id=0,chksum=1,proto=17)/)"
       R"(UDP(sport=40000,dport=53,chksum=2))"},
      {"fragment",
       PacketBuilder()
           .Ip6({.hop_limit = 1})
           .Fragment6({.offset = 4, .more = true, .id = 9})
           .Build(),
       R"(IPv6(src="fd77::1",dst="fd77::2",hlim=1,nh=44)/)"
       R"(IPv6ExtHdrFragment(nh=59,id=9,offset=4,m=1))"},
      {"TCP",
       PacketBuilder().Ip4({.id = 1}).Tcp({.flags = kTcpSyn | kTcpEce}).Build(),
       R"(IP(src="10.77.0.1",dst="10.77.0.2",proto=6)/)"
       R"(TCP(sport=40000,dport=80,flags="SE",seq=1,window=65535))"},
  };
  for (const Row& row : rows)
    EXPECT_EQ(ToScapy(row.packet), row.expected) << row.name;
}

TEST(EqualsPacket, AMismatchNamesTheHeaderAndShowsBoth) {
  const std::string expected =
      PacketBuilder().Ip4({}).Udp({}).Payload("x").Build();
  const std::string actual =
      PacketBuilder().Ip4({}).Udp({}).Payload("x").Patch(20, "\1").Build();
  EXPECT_THAT(expected, EqualsPacket(expected));
  EXPECT_THAT(actual, Not(EqualsPacket(expected)));
  ::testing::StringMatchResultListener listener;
  EXPECT_FALSE(EqualsPacket(expected).MatchAndExplain(actual, &listener));
  EXPECT_THAT(listener.str(),
              HasSubstr("from byte 20 (byte 0 of UDP 40000 > 53, length 9)"));
  EXPECT_THAT(listener.str(), HasSubstr("actual:   IP("));
  EXPECT_THAT(listener.str(), HasSubstr("expected: IP("));
}

}  // namespace
}  // namespace netpolicy::testing
