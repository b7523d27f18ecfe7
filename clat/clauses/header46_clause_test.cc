// SPDX-License-Identifier: Apache-2.0

// RFC 7915, 4.1 and 4.5: from an IPv4 packet to an IPv6 packet.

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clat/clauses/clause.h"
#include "gtest/gtest.h"

namespace netpolicy::clat {
namespace {

using netpolicy::testing::FragmentPacket;
using netpolicy::testing::Ip4Fields;
using netpolicy::testing::Ip6Fields;
using netpolicy::testing::PacketBuilder;

constexpr Direction k46 = Direction::k4to6;

Clause Row(std::string name, const PacketBuilder& in,
           std::vector<std::string> out, uint32_t outcome = 0,
           TranslatorConfig config = Plain()) {
  return {std::move(name), k46,     in.Build(),
          std::move(out),  outcome, std::move(config)};
}

TEST(Header46Clauses, Fields) {
  std::vector<Clause> rows;
  for (const int tos : {0x00, 0x01, 0x02, 0x03, 0x80, 0xb8, 0xff}) {
    const auto byte = static_cast<uint8_t>(tos);
    rows.push_back(Row(absl::StrCat("4.1 Traffic Class: all 8 bits, ", tos),
                       Four({.tos = byte}).Tcp({}),
                       {Six({.traffic_class = byte}).Tcp({}).Build()}));
  }
  rows.push_back(Row("4.1 Flow Label: 0, whatever the identification",
                     Four({.id = 0xffff}).Udp({}).Payload("x"),
                     {Six({.flow_label = 0}).Udp({}).Payload("x").Build()}));
  rows.push_back(Row("4.1 Hop Limit: the TTL less one",
                     Four({.ttl = 255}).Udp({}),
                     {Six({.hop_limit = 254}).Udp({}).Build()}));
  rows.push_back(Row("4.1 Hop Limit: 2 becomes 1", Four({.ttl = 2}).Udp({}),
                     {Six({.hop_limit = 1}).Udp({}).Build()}));
  rows.push_back(Row("4.1 Hop Limit: copied when told so",
                     Four({.ttl = 1}).Udp({}),
                     {Six({.hop_limit = 1}).Udp({}).Build()}, 0,
                     With([](auto& c) { c.hop_count = HopCount::kCopy; })));
  rows.push_back(Row("4.1 No Fragment header for a whole packet, DF clear",
                     Four({.id = 7}).Tcp({}).PayloadOfSize(100),
                     {Six().Tcp({}).PayloadOfSize(100).Build()}));
  rows.push_back(Row("4.1 No Fragment header for a whole packet, DF set",
                     Four({.id = 7, .dont_fragment = true}).Tcp({}),
                     {Six().Tcp({}).Build()}));
  for (const int number : {50, 59, 132, 253}) {
    const auto protocol = static_cast<uint8_t>(number);
    rows.push_back(Row(absl::StrCat("4.1 No payload at all, ", number),
                       Four({.protocol = protocol}),
                       {Six({.next_header = protocol}).Build()}));
  }
  CheckClauses(rows);
}

TEST(Header46Clauses, Protocols) {
  std::vector<Clause> rows;
  // ESP, GRE, AH, SCTP, no next header, experiments: no checksum over
  // addresses.
  for (const int number : {47, 50, 51, 59, 132, 253, 255}) {
    const auto protocol = static_cast<uint8_t>(number);
    rows.push_back(
        Row(absl::StrCat("4.1 Next Header: copied, ", number),
            Four({.protocol = protocol}).PayloadOfSize(30),
            {Six({.next_header = protocol}).PayloadOfSize(30).Build()}));
  }
  for (const int number : {0, 43, 44, 58, 60}) {
    rows.push_back(
        Row(absl::StrCat("4.1 Next Header: IPv6's own are dropped, ", number),
            Four({.protocol = static_cast<uint8_t>(number)}).PayloadOfSize(30),
            {}, NP_CLAT_PROTOCOL));
  }
  // Query, reports of its three versions, leave.
  for (const char type : {'\x11', '\x12', '\x16', '\x22', '\x17'}) {
    rows.push_back(Row(absl::StrCat("4.2 IGMP: dropped, ", int{type}),
                       Four({.protocol = 2}).Payload(std::string(8, type)), {},
                       NP_CLAT_PROTOCOL));
  }
  CheckClauses(rows);
}

std::string Bytes(std::vector<int> values) {
  std::string out;
  for (const int value : values) out.push_back(static_cast<char>(value));
  return out;
}

TEST(Header46Clauses, Options) {
  const std::string plain = Six().Udp({}).Payload("x").Build();
  const auto with = [](std::vector<int> options) {
    return Four({.options = Bytes(std::move(options))}).Udp({}).Payload("x");
  };
  const auto refused = [&](const PacketBuilder& in) {
    return PacketBuilder()
        .Ip4(
            {.src = kStandIn4, .dst = kUs4, .tos = 0xc0, .dont_fragment = true})
        .Icmp4({.type = 3, .code = 5})
        .Payload(in.Build())
        .Build();
  };
  const PacketBuilder loose = with({131, 7, 4, 203, 0, 113, 1, 0});
  const PacketBuilder strict = with({137, 7, 4, 203, 0, 113, 1, 0});
  const PacketBuilder behind =
      with({1, 1, 148, 4, 0, 0, 131, 7, 4, 203, 0, 113, 1});
  const PacketBuilder half =
      with({137, 11, 8, 203, 0, 113, 1, 203, 0, 113, 2, 0});
  CheckClauses({
      Row("4.1 Options are ignored: no operation", with({1, 1, 1, 0}), {plain}),
      Row("4.1 Options are ignored: record route",
          with({7, 7, 4, 0, 0, 0, 0, 0}), {plain}),
      Row("4.1 Options are ignored: router alert", with({148, 4, 0, 0}),
          {plain}),
      Row("4.1 Options are ignored: 40 bytes of timestamps",
          with({68, 40, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                0,  0,  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}),
          {plain}),
      Row("4.1 Unexpired loose source route: 3/5", loose, {refused(loose)},
          NP_CLAT_SOURCE_ROUTE),
      Row("4.1 Unexpired strict source route: 3/5", strict, {refused(strict)},
          NP_CLAT_SOURCE_ROUTE),
      Row("4.1 Unexpired source route behind other options: 3/5", behind,
          {refused(behind)}, NP_CLAT_SOURCE_ROUTE),
      Row("4.1 Source route half used: 3/5", half, {refused(half)},
          NP_CLAT_SOURCE_ROUTE),
      Row("4.1 Expired loose source route: ignored",
          with({131, 7, 8, 203, 0, 113, 1, 0}), {plain}),
      Row("4.1 Expired strict source route: ignored",
          with({137, 7, 8, 203, 0, 113, 1, 0}), {plain}),
      Row("4.1 Behind the end of the options nothing counts",
          with({0, 131, 7, 4, 203, 0, 113, 1}), {plain}),
  });
}

// The fragments of one datagram, and of what it becomes.
std::vector<Clause> Fragmented(const std::string& name, bool dont_fragment) {
  const std::string four =
      Four({.tos = 0x12}).Udp({}).PayloadOfSize(1000).Build();
  const std::string six =
      Six({.traffic_class = 0x12}).Udp({}).PayloadOfSize(1000).Build();
  const auto fours = FragmentPacket(four, 400, 0xbeef);
  const auto sixes = FragmentPacket(six, 400, 0xbeef);
  std::vector<Clause> rows;
  for (size_t i = 0; i < fours.size(); ++i) {
    std::string in = fours[i];
    if (dont_fragment) {
      // Flags and checksum of the header are both 0x4000 further.
      in[6] = static_cast<char>(in[6] | 0x40);
      const int sum =
          (static_cast<uint8_t>(in[10]) << 8 | static_cast<uint8_t>(in[11])) -
          0x4000;
      const int folded = sum < 0 ? sum + 0xffff : sum;
      in[10] = static_cast<char>(folded >> 8);
      in[11] = static_cast<char>(folded & 0xff);
    }
    rows.push_back({absl::StrCat(name, ", fragment ", i), k46, in, {sixes[i]}});
  }
  return rows;
}

TEST(Header46Clauses, Fragments) {
  CheckClauses(Fragmented("4.1 Fragment header", false));
  CheckClauses(Fragmented("4.1 Fragment header, DF set", true));
  const std::string split_again = std::string(1240, 'q');
  CheckClauses({
      Row("4.1 A fragment that is too long becomes two",
          Four({.id = 9,
                .more_fragments = true,
                .fragment_offset = 185,
                .protocol = 17})
              .Payload(split_again),
          {Six({.next_header = 44})
               .Fragment6(
                   {.next_header = 17, .offset = 185, .more = true, .id = 9})
               .Payload(split_again.substr(0, 1232))
               .Build(),
           Six({.next_header = 44})
               .Fragment6(
                   {.next_header = 17, .offset = 339, .more = true, .id = 9})
               .Payload(split_again.substr(1232))
               .Build()}),
      Row("1.2 Fragmented ICMP is not translated: first",
          Four({.more_fragments = true}).Icmp4({}).PayloadOfSize(16), {},
          NP_CLAT_ICMP_FRAGMENT),
      Row("1.2 Fragmented ICMP is not translated: later",
          Four({.fragment_offset = 3, .protocol = 1}).PayloadOfSize(16), {},
          NP_CLAT_ICMP_FRAGMENT),
  });
}

TEST(Header46Clauses, Sizes) {
  // A TCP header of 20 bytes and so much more makes IPv4 packets of `total`.
  const auto four = [](size_t total, bool dont_fragment) {
    return Four({.id = 0x1234, .dont_fragment = dont_fragment})
        .Tcp({})
        .PayloadOfSize(total - 40);
  };
  const auto six = [](size_t total) {
    return Six().Tcp({}).PayloadOfSize(total - 40).Build();
  };
  const auto too_big = [](const PacketBuilder& in, uint32_t mtu) {
    return PacketBuilder()
        .Ip4(
            {.src = kStandIn4, .dst = kUs4, .tos = 0xc0, .dont_fragment = true})
        .Icmp4({.type = 3, .code = 4, .rest = mtu})
        .Payload(in.Build().substr(0, 548))
        .Build();
  };
  const auto mtu6 = [](uint32_t mtu) {
    return With([mtu](auto& c) { c.mtu6 = mtu; });
  };
  const auto lowest = [](uint32_t mtu) {
    return With([mtu](auto& c) { c.lowest_ipv6_mtu = mtu; });
  };
  const PacketBuilder fragment =
      Four({.dont_fragment = true, .more_fragments = true, .protocol = 17})
          .PayloadOfSize(1456);
  CheckClauses({
      Row("4 DF clear: 1280 bytes stay whole", four(1260, false), {six(1260)}),
      Row("4 DF clear: 1281 bytes become fragments", four(1261, false),
          FragmentPacket(six(1261), 1232, 0x1234)),
      Row("4 DF clear: two fragments of 1280 and the rest", four(1500, false),
          FragmentPacket(six(1500), 1232, 0x1234)),
      Row("4 DF clear: five fragments", four(6000, false),
          FragmentPacket(six(6000), 1232, 0x1234)),
      Row("4 DF clear: as many fragments as it takes", four(60000, false),
          FragmentPacket(six(60000), 1232, 0x1234)),
      Row("4 DF clear: the lowest IPv6 MTU can be more", four(1480, false),
          {six(1480)}, 0, lowest(1500)),
      Row("4 DF clear: and one byte more than that", four(1481, false),
          FragmentPacket(six(1481), 1448, 0x1234), 0, lowest(1500)),
      Row("4 DF clear: never more than the next hop takes", four(1480, false),
          FragmentPacket(six(1480), 1352, 0x1234), 0, With([](auto& c) {
            c.lowest_ipv6_mtu = 1500;
            c.mtu6 = 1400;
          })),
      Row("4.1 DF set: what fits stays whole", four(1480, true), {six(1480)}),
      Row("4.1 DF set and too big: 3/4 with the MTU less 20", four(1481, true),
          {too_big(four(1481, true), 1480)}, NP_CLAT_TOO_BIG),
      Row("4.1 DF set and too big: an MTU of 1280", four(1261, true),
          {too_big(four(1261, true), 1260)}, NP_CLAT_TOO_BIG, mtu6(1280)),
      Row("4.1 DF set and an MTU of 9000", four(8980, true), {six(8980)}, 0,
          mtu6(9000)),
      Row("4.1 DF set and too big: a fragment, 8 bytes less", fragment,
          {too_big(fragment, 1472)}, NP_CLAT_TOO_BIG),
  });
}

// A header of 8 bytes with a checksum at 6, of all of `payload`, which UDP-Lite
// and DCCP have over the same pseudo header as UDP.
std::string Like(uint8_t protocol, absl::string_view addresses,
                 std::string payload) {
  const auto length = static_cast<char>(payload.size());
  const std::string pseudo = absl::StrCat(
      addresses, std::string({0, length, 0, static_cast<char>(protocol)}));
  const uint16_t sum =
      netpolicy::testing::ChecksumFinish(netpolicy::testing::ChecksumAdd(
          netpolicy::testing::ChecksumAdd(0, pseudo), payload));
  payload[6] = static_cast<char>(sum >> 8);
  payload[7] = static_cast<char>(sum & 0xff);
  return payload;
}

TEST(Header46Clauses, Checksums) {
  const std::string addresses4 = Four({.protocol = 253}).Build().substr(12, 8);
  const std::string addresses6 =
      Six({.next_header = 253}).Build().substr(8, 32);
  const std::string data("\x9c\x40\0\x35\0\0\0\0lite and dccp!", 22);
  const Ip6Fields neutral_out = {
      .src = kNeutralUs6, .dst = kThem6, .hop_limit = 63};
  const auto drop = With([](auto& c) { c.udp_zero = ZeroChecksum::kDrop; });
  // What makes the sum in IPv6 0: the checksum of the packet with zeros there.
  const std::string zeros(2, '\0');
  const std::string neutral =
      Six().Udp({}).Payload(zeros).Build().substr(46, 2);
  std::string fragment_of_zero = FragmentPacket(
      Four().Udp({.checksum = 0}).PayloadOfSize(40).Build(), 24, 5)[0];
  std::vector<Clause> rows = {
      Row("4.5 TCP", Four().Tcp({}).Payload("odd"),
          {Six().Tcp({}).Payload("odd").Build()}),
      Row("4.5 UDP", Four().Udp({}).Payload("odd"),
          {Six().Udp({}).Payload("odd").Build()}),
      Row("4.5 UDP: a sum of 0 is written 0xffff",
          Four().Udp({}).Payload(neutral),
          {Six().Udp({.checksum = 0xffff}).Payload(neutral).Build()}),
      Row("RFC 6052 4.1 Checksum-neutral addresses: TCP's stays, if wrong, too",
          Four().Tcp({.checksum = 0x1234}).Payload("odd"),
          {PacketBuilder()
               .Ip6(neutral_out)
               .Tcp({.checksum = 0x1234})
               .Payload("odd")
               .Build()},
          0, Neutral()),
      Row("RFC 6052 4.1 Checksum-neutral addresses: UDP's stays",
          Four().Udp({}).Payload("odd"),
          {PacketBuilder().Ip6(neutral_out).Udp({}).Payload("odd").Build()}, 0,
          Neutral()),
      Row("4.5 UDP without a checksum: computed",
          Four().Udp({.checksum = 0}).Payload("abc"),
          {Six().Udp({}).Payload("abc").Build()}),
      Row("4.5 UDP without a checksum: computed over 1200 bytes",
          Four().Udp({.checksum = 0}).PayloadOfSize(1200),
          {Six().Udp({}).PayloadOfSize(1200).Build()}),
      Row("4.5 UDP without a checksum: computed, then in fragments",
          Four({.id = 77}).Udp({.checksum = 0}).PayloadOfSize(3000),
          FragmentPacket(Six().Udp({}).PayloadOfSize(3000).Build(), 1232, 77)),
      Row("4.5 UDP without a checksum: a sum of 0 is written 0xffff",
          Four().Udp({.checksum = 0}).Payload(neutral),
          {Six().Udp({.checksum = 0xffff}).Payload(neutral).Build()}),
      Row("4.5 UDP without a checksum: dropped when told so",
          Four().Udp({.checksum = 0}).Payload("abc"), {}, NP_CLAT_UDP_ZERO,
          drop),
      {"4.5 UDP without a checksum: a first fragment is dropped",
       k46,
       fragment_of_zero,
       {},
       NP_CLAT_UDP_ZERO_FRAGMENT},
      Row("4.5 A later fragment has no checksum to adjust",
          Four({.id = 5, .fragment_offset = 4, .protocol = 17})
              .Payload(std::string(8, '\0')),
          {Six({.next_header = 44})
               .Fragment6({.next_header = 17, .offset = 4, .id = 5})
               .Payload(std::string(8, '\0'))
               .Build()}),
  };
  for (const int number : {33, 136}) {
    const auto protocol = static_cast<uint8_t>(number);
    rows.push_back(Row(
        absl::StrCat("4.5 Others with a pseudo header, ", number),
        Four({.protocol = protocol}).Payload(Like(protocol, addresses4, data)),
        {Six({.next_header = protocol})
             .Payload(Like(protocol, addresses6, data))
             .Build()}));
  }
  // A checksum that is wrong by 1 stays wrong by 1.
  std::string wrong4 = Four().Tcp({}).Payload("wrong").Build();
  std::string wrong6 = Six().Tcp({}).Payload("wrong").Build();
  wrong4[20 + 16] = static_cast<char>(wrong4[20 + 16] ^ 0x01);
  wrong6[40 + 16] = static_cast<char>(wrong6[40 + 16] +
                                      ((wrong4[20 + 16] & 1) != 0 ? 1 : -1));
  rows.push_back(
      {"4.5 A wrong checksum is not made right", k46, wrong4, {wrong6}});
  CheckClauses(rows);
}

TEST(Header46Clauses, Malformed) {
  std::string options = Four({.header_words = 15, .protocol = 253}).Build();
  CheckClauses({
      Row("RFC 1812 5.2.2 Header checksum wrong",
          Four({.checksum = 0x1234}).Udp({}), {}, NP_CLAT_MALFORMED),
      Row("RFC 1812 5.2.2 Header length below 5",
          Four({.header_words = 4}).Udp({}), {}, NP_CLAT_MALFORMED),
      {"RFC 1812 5.2.2 Header longer than the packet",
       k46,
       options,
       {},
       NP_CLAT_MALFORMED},
      Row("RFC 1812 5.2.2 Total length more than there is",
          Four({.total_length = 1000}).Udp({}), {}, NP_CLAT_MALFORMED),
      Row("RFC 1812 5.2.2 Total length less than the header",
          Four({.total_length = 19}).Udp({}), {}, NP_CLAT_MALFORMED),
      Row("A TCP header that is cut off",
          Four({.protocol = 6}).PayloadOfSize(12), {}, NP_CLAT_MALFORMED),
      Row("A fragment that ends behind 65535",
          Four({.fragment_offset = 8191, .protocol = 17}).PayloadOfSize(100),
          {}, NP_CLAT_MALFORMED),
  });
}

}  // namespace
}  // namespace netpolicy::clat
