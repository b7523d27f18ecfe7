// SPDX-License-Identifier: Apache-2.0

// RFC 7915, 5.1 and 5.5: from an IPv6 packet to an IPv4 packet.

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clat/clauses/clause.h"
#include "gtest/gtest.h"

namespace netpolicy::clat {
namespace {

using netpolicy::testing::FragmentPacket;
using netpolicy::testing::PacketBuilder;

constexpr Direction k64 = Direction::k6to4;

Clause Row(std::string name, const PacketBuilder& in,
           std::vector<std::string> out, uint32_t outcome = 0,
           TranslatorConfig config = Plain()) {
  return {std::move(name), k64,     in.Build(),
          std::move(out),  outcome, std::move(config)};
}

TEST(Header64Clauses, Fields) {
  std::vector<Clause> rows;
  for (const int tos : {0x00, 0x01, 0x02, 0x03, 0x80, 0xb8, 0xff}) {
    const auto byte = static_cast<uint8_t>(tos);
    rows.push_back(Row(absl::StrCat("5.1 Type of Service: all 8 bits, ", tos),
                       SixIn({.traffic_class = byte}).Tcp({}),
                       {FourIn({.tos = byte}).Tcp({}).Build()}));
  }
  for (const uint32_t label : {0x1u, 0x80000u, 0xfffffu}) {
    rows.push_back(Row(absl::StrCat("5.1 The flow label is lost, ", label),
                       SixIn({.flow_label = label}).Udp({}).Payload("x"),
                       {FourIn().Udp({}).Payload("x").Build()}));
  }
  rows.push_back(Row("5.1 TTL: the hop limit less one",
                     SixIn({.hop_limit = 255}).Udp({}),
                     {FourIn({.ttl = 254}).Udp({}).Build()}));
  rows.push_back(Row("5.1 TTL: 2 becomes 1", SixIn({.hop_limit = 2}).Udp({}),
                     {FourIn({.ttl = 1}).Udp({}).Build()}));
  rows.push_back(Row("5.1 TTL: copied when told so",
                     SixIn({.hop_limit = 1}).Udp({}),
                     {FourIn({.ttl = 1}).Udp({}).Build()}, 0,
                     With([](auto& c) { c.hop_count = HopCount::kCopy; })));
  for (const int number : {50, 59, 132, 253}) {
    const auto protocol = static_cast<uint8_t>(number);
    rows.push_back(Row(absl::StrCat("5.1 No payload at all, ", number),
                       SixIn({.next_header = protocol}),
                       {FourIn({.protocol = protocol}).Build()}));
  }
  CheckClauses(rows);
}

TEST(Header64Clauses, Protocols) {
  std::vector<Clause> rows;
  for (const int number : {47, 50, 51, 59, 132, 253, 255}) {
    const auto protocol = static_cast<uint8_t>(number);
    rows.push_back(
        Row(absl::StrCat("5.1 Protocol: copied, ", number),
            SixIn({.next_header = protocol}).PayloadOfSize(30),
            {FourIn({.protocol = protocol}).PayloadOfSize(30).Build()}));
  }
  for (const int number : {1, 2}) {
    rows.push_back(Row(
        absl::StrCat("5.1 Protocol: IPv4's own are dropped, ", number),
        SixIn({.next_header = static_cast<uint8_t>(number)}).PayloadOfSize(30),
        {}, NP_CLAT_PROTOCOL));
  }
  CheckClauses(rows);
}

TEST(Header64Clauses, DontFragment) {
  const auto six = [](size_t total) {
    return SixIn().Tcp({}).PayloadOfSize(total - 60);
  };
  const auto four = [](size_t total, bool dont_fragment) {
    return FourIn({.dont_fragment = dont_fragment})
        .Tcp({})
        .PayloadOfSize(total - 40)
        .Build();
  };
  const auto mtu4 = [](uint32_t mtu) {
    return With([mtu](auto& c) { c.mtu4 = mtu; });
  };
  const auto too_big = [](const PacketBuilder& in, uint32_t mtu) {
    return PacketBuilder()
        .Ip6({.src = kUs6, .dst = kThem6})
        .Icmp6({.type = 2, .rest = mtu})
        .Payload(in.Build().substr(0, 1232))
        .Build();
  };
  const auto pieces = [](const std::string& packet, size_t size) {
    std::vector<std::string> out = FragmentPacket(packet, size, 0);
    return out;
  };
  CheckClauses({
      Row("5.1 DF: clear in 1260 bytes", six(1280), {four(1260, false)}),
      Row("5.1 DF: set in 1261 bytes", six(1281), {four(1261, true)}),
      Row("5.1 DF: set in 1480 bytes", six(1500), {four(1480, true)}),
      Row("5.4 Too long for the next hop: 2/0 with its MTU and 20 more",
          six(1320), {too_big(six(1320), 1299)}, NP_CLAT_TOO_BIG, mtu4(1279)),
      Row("5.4 Too long for the next hop: never below 1280", six(1320),
          {too_big(six(1320), 1280)}, NP_CLAT_TOO_BIG, mtu4(1000)),
      Row("5.1 DF clear and too long for the next hop: fragments", six(1270),
          pieces(four(1250, false), 976), 0, mtu4(1000)),
  });
}

TEST(Header64Clauses, FragmentHeader) {
  const std::string six =
      SixIn({.traffic_class = 0x12}).Udp({}).PayloadOfSize(1000).Build();
  const std::string four =
      FourIn({.tos = 0x12}).Udp({}).PayloadOfSize(1000).Build();
  const auto sixes = FragmentPacket(six, 400, 0xabcd1234);
  const auto fours = FragmentPacket(four, 400, 0x1234);
  std::vector<Clause> rows;
  for (size_t i = 0; i < sixes.size(); ++i) {
    rows.push_back({absl::StrCat("5.1.1 Identification, MF and offset, DF "
                                 "clear, fragment ",
                                 i),
                    k64,
                    sixes[i],
                    {fours[i]}});
  }
  const std::string body = std::string(1400, 'b');
  const std::string checked = SixIn().Udp({}).Payload(body).Build().substr(40);
  const std::string body4 = FourIn().Udp({}).Payload(body).Build().substr(20);
  rows.push_back(Row("5.1.1 An atomic fragment becomes a whole packet",
                     SixIn().Fragment6({.id = 0x77771111}).Udp({}).Payload("x"),
                     {FourIn({.id = 0x1111}).Udp({}).Payload("x").Build()}));
  rows.push_back(Row(
      "5.1.1 An atomic fragment of over 1260 bytes: DF clear",
      SixIn().Fragment6({.next_header = 17, .id = 0x77771111}).Payload(checked),
      {FourIn({.id = 0x1111, .protocol = 17}).Payload(body4).Build()}));
  const std::string huge = std::string(50000, 'h');
  rows.push_back(Row(
      "5.1.1 An atomic fragment that the next hop does not take: fragments",
      SixIn()
          .Fragment6({.next_header = 17, .id = 0x77771111})
          .Payload(SixIn().Udp({}).Payload(huge).Build().substr(40)),
      FragmentPacket(FourIn().Udp({}).Payload(huge).Build(), 1480, 0x1111)));
  rows.push_back(Row("5.1.1 An atomic fragment of ICMPv6 is translated",
                     SixIn().Fragment6({.id = 0x77771111}).Icmp6({}),
                     {FourIn({.id = 0x1111}).Icmp4({}).Build()}));
  for (const int number : {0, 43, 44, 51, 60, 135, 139, 140}) {
    rows.push_back(
        Row(absl::StrCat("5.1.1 Extension header behind it: dropped, ", number),
            SixIn()
                .Fragment6({.next_header = static_cast<uint8_t>(number),
                            .more = true,
                            .id = 1})
                .Payload(std::string("\x11\0\x01\x04\0\0\0\0", 8))
                .PayloadOfSize(16),
            {}, NP_CLAT_EXTENSION_HEADER));
  }
  rows.push_back(Row("5.1.1 ESP behind it: translated",
                     SixIn()
                         .Fragment6({.next_header = 50, .more = true, .id = 1})
                         .PayloadOfSize(16),
                     {FourIn({.id = 1, .more_fragments = true, .protocol = 50})
                          .PayloadOfSize(16)
                          .Build()}));
  rows.push_back(Row("1.2 Fragmented ICMPv6 is not translated: first",
                     SixIn().Fragment6({.more = true, .id = 1}).Icmp6({}), {},
                     NP_CLAT_ICMP_FRAGMENT));
  rows.push_back(Row("1.2 Fragmented ICMPv6 is not translated: later",
                     SixIn()
                         .Fragment6({.next_header = 58, .offset = 3, .id = 1})
                         .PayloadOfSize(16),
                     {}, NP_CLAT_ICMP_FRAGMENT));
  rows.push_back(
      Row("A fragment that ends behind 65535: dropped",
          SixIn()
              .Fragment6({.next_header = 17, .offset = 8191, .id = 1})
              .PayloadOfSize(100),
          {}, NP_CLAT_TOO_LONG));
  CheckClauses(rows);
}

TEST(Header64Clauses, ExtensionHeaders) {
  const std::string plain = FourIn().Udp({}).Payload("x").Build();
  const auto routing = [](int left) {
    return std::string(
        {static_cast<char>(4), static_cast<char>(left), 0, 0, 0, 0});
  };
  const auto refused = [](const PacketBuilder& in, uint32_t pointer) {
    return PacketBuilder()
        .Ip6({.src = kUs6, .dst = kThem6})
        .Icmp6({.type = 4, .code = 0, .rest = pointer})
        .Payload(in.Build())
        .Build();
  };
  const auto end = [](PacketBuilder builder) {
    return builder.Udp({}).Payload("x");
  };
  const PacketBuilder left =
      end(SixIn().Extension6({.header = 43, .body = routing(1)}));
  const PacketBuilder left_behind =
      end(SixIn()
              .Extension6({.header = 0})
              .Extension6({.header = 43, .body = routing(2)}));
  std::string jumbo =
      SixIn({.payload_length = 0})
          .Extension6(
              {.header = 0, .body = std::string("\xc2\x04\0\x01\0\0", 6)})
          .Udp({})
          .Build();
  CheckClauses({
      Row("5.1 Hop-by-Hop Options are skipped",
          end(SixIn().Extension6({.header = 0})), {plain}),
      Row("5.1 Destination Options are skipped",
          end(SixIn().Extension6({.header = 60})), {plain}),
      Row("5.1 Destination Options of 264 bytes are skipped",
          end(SixIn().Extension6(
              {.header = 60, .body = std::string(262, '\0')})),
          {plain}),
      Row("5.1 A Routing header without segments left is skipped",
          end(SixIn().Extension6({.header = 43, .body = routing(0)})), {plain}),
      Row("5.1 Several are skipped",
          end(SixIn()
                  .Extension6({.header = 0})
                  .Extension6({.header = 60})
                  .Extension6({.header = 43, .body = routing(0)})
                  .Extension6({.header = 60})),
          {plain}),
      Row("5.1 They are skipped before a Fragment header, too",
          end(SixIn().Extension6({.header = 0}).Fragment6({.id = 0x77771111})),
          {FourIn({.id = 0x1111}).Udp({}).Payload("x").Build()}),
      Row("5.1 Segments left: 4/0 that points there", left, {refused(left, 43)},
          NP_CLAT_SEGMENTS_LEFT),
      Row("5.1 Segments left behind another header: 4/0 that points there",
          left_behind, {refused(left_behind, 51)}, NP_CLAT_SEGMENTS_LEFT),
      {"RFC 2675 3 A jumbogram: dropped", k64, jumbo, {}, NP_CLAT_TOO_LONG},
      Row("An extension header that is cut off: dropped",
          SixIn({.next_header = 60})
              .Payload(std::string("\x11\x05\0\0\0\0\0\0", 8)),
          {}, NP_CLAT_MALFORMED),
      Row("RFC 8200 3 Payload length more than there is: dropped",
          SixIn({.payload_length = 100}).Udp({}), {}, NP_CLAT_MALFORMED),
  });
}

TEST(Header64Clauses, Checksums) {
  const netpolicy::testing::Ip6Fields neutral_in = {
      .src = kThem6, .dst = kNeutralUs6, .hop_limit = 64};
  const std::string neutral =
      FourIn().Udp({}).Payload(std::string(2, '\0')).Build().substr(26, 2);
  CheckClauses({
      Row("5.5 TCP", SixIn().Tcp({}).Payload("odd"),
          {FourIn().Tcp({}).Payload("odd").Build()}),
      Row("5.5 UDP", SixIn().Udp({}).Payload("odd"),
          {FourIn().Udp({}).Payload("odd").Build()}),
      Row("5.5 UDP: a sum of 0 is written 0xffff",
          SixIn().Udp({}).Payload(neutral),
          {FourIn().Udp({.checksum = 0xffff}).Payload(neutral).Build()}),
      Row("RFC 6052 4.1 Checksum-neutral addresses: TCP's stays, if wrong, too",
          PacketBuilder()
              .Ip6(neutral_in)
              .Tcp({.checksum = 0x1234})
              .Payload("odd"),
          {FourIn().Tcp({.checksum = 0x1234}).Payload("odd").Build()}, 0,
          Neutral()),
      Row("RFC 6052 4.1 Checksum-neutral addresses: UDP's stays",
          PacketBuilder().Ip6(neutral_in).Udp({}).Payload("odd"),
          {FourIn().Udp({}).Payload("odd").Build()}, 0, Neutral()),
      Row("RFC 8200 8.1 UDP without a checksum: dropped",
          SixIn().Udp({.checksum = 0}).Payload("abc"), {}, NP_CLAT_UDP_ZERO),
      Row("RFC 8200 8.1 UDP without a checksum, a first fragment: dropped",
          SixIn()
              .Fragment6({.more = true, .id = 1})
              .Udp({.checksum = 0})
              .PayloadOfSize(16),
          {}, NP_CLAT_UDP_ZERO_FRAGMENT),
      Row("A TCP header that is cut off: dropped",
          SixIn({.next_header = 6}).PayloadOfSize(12), {}, NP_CLAT_MALFORMED),
  });
}

}  // namespace
}  // namespace netpolicy::clat
