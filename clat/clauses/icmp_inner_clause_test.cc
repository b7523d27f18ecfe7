// SPDX-License-Identifier: Apache-2.0

// RFC 7915, 4.3 and 5.3: the packet in an ICMP error; RFC 4884: what may follow
// it.

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
constexpr Direction k64 = Direction::k6to4;

// Packets from them to us, which an error of ours is about.
PacketBuilder Theirs4(Ip4Fields fields = {}) {
  fields.src = kThem4;
  fields.dst = kUs4;
  return PacketBuilder().Ip4(fields);
}
PacketBuilder Theirs6(Ip6Fields fields = {}) {
  fields.src = kThem6;
  fields.dst = kUs6;
  return PacketBuilder().Ip6(fields);
}
// And from us to them.
PacketBuilder Ours4(Ip4Fields fields = {}) {
  fields.src = kUs4;
  fields.dst = kThem4;
  return PacketBuilder().Ip4(fields);
}
PacketBuilder Ours6(Ip6Fields fields = {}) {
  fields.src = kUs6;
  fields.dst = kThem6;
  return PacketBuilder().Ip6(fields);
}

// Port unreachable about these packets.
Clause From4(std::string name, const std::string& inner4,
             const std::string& inner6) {
  return {std::move(name),
          k46,
          Four().Icmp4({.type = 3, .code = 3}).Payload(inner4).Build(),
          {Six().Icmp6({.type = 1, .code = 4}).Payload(inner6).Build()}};
}
Clause From6(std::string name, const std::string& inner6,
             const std::string& inner4) {
  return {std::move(name),
          k64,
          SixIn().Icmp6({.type = 1, .code = 4}).Payload(inner6).Build(),
          {FourIn().Icmp4({.type = 3, .code = 3}).Payload(inner4).Build()}};
}
Clause Dropped4(std::string name, const std::string& inner4, uint32_t outcome) {
  return {std::move(name),
          k46,
          Four().Icmp4({.type = 3, .code = 3}).Payload(inner4).Build(),
          {},
          outcome};
}
Clause Dropped6(std::string name, const std::string& inner6, uint32_t outcome) {
  return {std::move(name),
          k64,
          SixIn().Icmp6({.type = 1, .code = 4}).Payload(inner6).Build(),
          {},
          outcome};
}

TEST(IcmpInnerClauses, Headers) {
  CheckClauses({
      From4("4.3 The inner TTL is kept, even 0",
            Theirs4({.tos = 0xb8, .ttl = 0}).Udp({}).Payload("x").Build(),
            Theirs6({.traffic_class = 0xb8, .hop_limit = 0})
                .Udp({})
                .Payload("x")
                .Build()),
      From6(
          "5.3 The inner hop limit is kept, even 0",
          Ours6({.traffic_class = 0xb8, .flow_label = 0x12345, .hop_limit = 0})
              .Udp({})
              .Payload("x")
              .Build(),
          Ours4({.tos = 0xb8, .ttl = 0}).Udp({}).Payload("x").Build()),
      From4("4.3 Inner TCP", Theirs4().Tcp({}).Payload("odd").Build(),
            Theirs6().Tcp({}).Payload("odd").Build()),
      From6("5.3 Inner TCP", Ours6().Tcp({}).Payload("odd").Build(),
            Ours4().Tcp({}).Payload("odd").Build()),
      From4("4.3 Inner echo, its checksum too",
            Theirs4().Icmp4({.rest = 0x11112222}).Payload("ping").Build(),
            Theirs6().Icmp6({.rest = 0x11112222}).Payload("ping").Build()),
      From6("5.3 Inner echo, its checksum too",
            Ours6().Icmp6({.rest = 0x11112222}).Payload("ping").Build(),
            Ours4().Icmp4({.rest = 0x11112222}).Payload("ping").Build()),
      From4("4.3 Inner UDP without a checksum stays so",
            Theirs4().Udp({.checksum = 0}).Payload("x").Build(),
            Theirs6().Udp({.checksum = 0}).Payload("x").Build()),
      From4("4.3 Inner options are left out",
            Theirs4({.options = std::string("\x94\x04\0\0", 4)})
                .Udp({})
                .Payload("x")
                .Build(),
            Theirs6().Udp({}).Payload("x").Build()),
      From4("4.3 Inner protocols that are not known",
            Theirs4({.protocol = 253}).PayloadOfSize(40).Build(),
            Theirs6({.next_header = 253}).PayloadOfSize(40).Build()),
      From6("5.3 Inner protocols that are not known",
            Ours6({.next_header = 253}).PayloadOfSize(40).Build(),
            Ours4({.protocol = 253}).PayloadOfSize(40).Build()),
      From6("5.3 Inner extension headers are left out",
            Ours6()
                .Extension6({.header = 0})
                .Extension6({.header = 60})
                .Udp({})
                .Payload("x")
                .Build(),
            Ours4().Udp({}).Payload("x").Build()),
      From6("5.1 Inner DF: set when it was over 1260 bytes",
            Ours6().Udp({}).PayloadOfSize(1400).Build().substr(0, 60),
            Ours4({.dont_fragment = true})
                .Udp({})
                .PayloadOfSize(1400)
                .Build()
                .substr(0, 40)),
  });
}

TEST(IcmpInnerClauses, CutOff) {
  const auto cut = [](const PacketBuilder& builder, size_t size) {
    return builder.Build().substr(0, size);
  };
  // Of TCP only ports and the sequence number are there: no checksum.
  const std::string original = std::string(300, 'z');
  CheckClauses({
      From4("4.3 Inner TCP cut to 8 bytes",
            cut(Theirs4().Tcp({}).Payload(original), 28),
            cut(Theirs6().Tcp({}).Payload(original), 48)),
      From6("5.3 Inner TCP cut to 8 bytes",
            cut(Ours6().Tcp({}).Payload(original), 48),
            cut(Ours4().Tcp({}).Payload(original), 28)),
      From4("4.3 Inner UDP cut to 8 bytes",
            cut(Theirs4().Udp({}).Payload(original), 28),
            cut(Theirs6().Udp({}).Payload(original), 48)),
      From6("5.3 Inner UDP cut to 8 bytes",
            cut(Ours6().Udp({}).Payload(original), 48),
            cut(Ours4().Udp({}).Payload(original), 28)),
      From4("4.3 Inner echo cut off: by the length that its header tells",
            cut(Theirs4().Icmp4({.rest = 5}).Payload(original), 28),
            cut(Theirs6().Icmp6({.rest = 5}).Payload(original), 48)),
      From6("5.3 Inner echo cut off: by the length that its header tells",
            cut(Ours6().Icmp6({.rest = 5}).Payload(original), 48),
            cut(Ours4().Icmp4({.rest = 5}).Payload(original), 28)),
      From4("4.3 Only the inner header", cut(Theirs4().Tcp({}), 20),
            cut(Theirs6().Tcp({}), 40)),
      From6("5.3 Only the inner header", cut(Ours6().Tcp({}), 40),
            cut(Ours4().Tcp({}), 20)),
      Dropped4("4.3 Less than the inner header", cut(Theirs4().Udp({}), 19),
               NP_CLAT_ICMP_INNER),
      Dropped6("5.3 Less than the inner header", cut(Ours6().Udp({}), 39),
               NP_CLAT_ICMP_INNER),
      // RFC 4443, 2.4(c); RFC 1812, 4.3.2.3.
      From4("4.2 Not over 1280 bytes",
            Theirs4().Udp({}).PayloadOfSize(1400).Build(),
            cut(Theirs6().Udp({}).PayloadOfSize(1400), 1232)),
      From6("5.2 Not over 576 bytes",
            Ours6().Udp({}).PayloadOfSize(1100).Build(),
            cut(Ours4().Udp({}).PayloadOfSize(1100), 548)),
  });
}

TEST(IcmpInnerClauses, Fragments) {
  std::vector<Clause> rows;
  const auto theirs4 =
      FragmentPacket(Theirs4().Udp({}).PayloadOfSize(100).Build(), 40, 0xbeef);
  const auto theirs6 =
      FragmentPacket(Theirs6().Udp({}).PayloadOfSize(100).Build(), 40, 0xbeef);
  const auto ours4 =
      FragmentPacket(Ours4().Udp({}).PayloadOfSize(100).Build(), 40, 0xbeef);
  const auto ours6 = FragmentPacket(Ours6().Udp({}).PayloadOfSize(100).Build(),
                                    40, 0x7777beef);
  for (size_t i = 0; i < theirs4.size(); ++i) {
    rows.push_back(
        From4(absl::StrCat("4.3 Inner fragment ", i), theirs4[i], theirs6[i]));
    rows.push_back(
        From6(absl::StrCat("5.3 Inner fragment ", i), ours6[i], ours4[i]));
  }
  rows.push_back(Dropped4("1.2 Inner fragment of ICMP",
                          Theirs4({.more_fragments = true}).Icmp4({}).Build(),
                          NP_CLAT_ICMP_FRAGMENT));
  rows.push_back(Dropped6("1.2 Inner fragment of ICMPv6",
                          Ours6().Fragment6({.more = true}).Icmp6({}).Build(),
                          NP_CLAT_ICMP_FRAGMENT));
  CheckClauses(rows);
}

TEST(IcmpInnerClauses, NotTranslated) {
  const std::string innermost4 = Ours4().Udp({}).Build();
  const std::string innermost6 = Theirs6().Udp({}).Build();
  CheckClauses({
      Dropped4("4.3 An error in an error",
               Theirs4().Icmp4({.type = 3}).Payload(innermost4).Build(),
               NP_CLAT_ICMP_NESTED),
      Dropped4("4.3 A redirect in an error",
               Theirs4().Icmp4({.type = 5}).Payload(innermost4).Build(),
               NP_CLAT_ICMP_NESTED),
      Dropped6("5.3 An error in an error",
               Ours6().Icmp6({.type = 3}).Payload(innermost6).Build(),
               NP_CLAT_ICMP_NESTED),
      Dropped4("4.2 An inner message without a counterpart",
               Theirs4().Icmp4({.type = 13}).Build(), NP_CLAT_ICMP_INNER),
      Dropped6("5.2 An inner message without a counterpart",
               Ours6().Icmp6({.type = 135}).Build(), NP_CLAT_ICMP_INNER),
      Dropped4("4.3 An inner packet that is not IPv4",
               Theirs6().Udp({}).Build(), NP_CLAT_ICMP_INNER),
      Dropped6("5.3 An inner packet that is not IPv6",
               Ours4().Udp({}).PayloadOfSize(40).Build(), NP_CLAT_ICMP_INNER),
      Dropped4("4.3 An inner source that can't be translated",
               PacketBuilder()
                   .Ip4({.src = "127.0.0.1", .dst = kUs4})
                   .Udp({})
                   .Build(),
               NP_CLAT_ICMP_INNER),
      Dropped6("5.3 An inner destination that can't be translated",
               PacketBuilder()
                   .Ip6({.src = kUs6, .dst = "2001:db8:9::9"})
                   .Udp({})
                   .Build(),
               NP_CLAT_ICMP_INNER),
      Dropped6("5.1.1 Inner extension header behind a Fragment header",
               Ours6()
                   .Fragment6({.next_header = 60, .id = 1})
                   .PayloadOfSize(16)
                   .Build(),
               NP_CLAT_ICMP_INNER),
  });
}

// Extensions, with a checksum over themselves that nobody touches.
const std::string& Extensions() {
  static const auto* extensions =
      new std::string("\x20\0\x9a\x92\0\x08\x01\x01\x12\x34\x51\x40", 12);
  return *extensions;
}

TEST(IcmpInnerClauses, Rfc4884) {
  const auto zeros = [](size_t n) { return std::string(n, '\0'); };
  // Original datagrams of 128 bytes, padded if they are shorter.
  const std::string short4 = Theirs4().Udp({}).PayloadOfSize(50).Build();
  const std::string short6 = Theirs6().Udp({}).PayloadOfSize(50).Build();
  const std::string our6 = Ours6().Udp({}).PayloadOfSize(80).Build();
  const std::string our4 = Ours4().Udp({}).PayloadOfSize(80).Build();
  const std::string long4 = Theirs4().Udp({}).PayloadOfSize(1200).Build();
  const std::string long6 = Theirs6().Udp({}).PayloadOfSize(1200).Build();
  const std::string longer6 = Ours6().Udp({}).PayloadOfSize(1000).Build();
  const std::string longer4 = Ours4().Udp({}).PayloadOfSize(1000).Build();
  const std::string& more = Extensions();
  ASSERT_EQ(short4.size(), 78u);
  ASSERT_EQ(our6.size(), 128u);
  const auto in4 = [](uint8_t type, uint8_t code, uint32_t rest,
                      const std::string& body) {
    return Four()
        .Icmp4({.type = type, .code = code, .rest = rest})
        .Payload(body)
        .Build();
  };
  const auto out6 = [](uint8_t type, uint8_t code, uint32_t rest,
                       const std::string& body) {
    return std::vector<std::string>{
        Six()
            .Icmp6({.type = type, .code = code, .rest = rest})
            .Payload(body)
            .Build()};
  };
  const auto in6 = [](uint8_t type, uint8_t code, uint32_t rest,
                      const std::string& body) {
    return SixIn()
        .Icmp6({.type = type, .code = code, .rest = rest})
        .Payload(body)
        .Build();
  };
  const auto out4 = [](uint8_t type, uint8_t code, uint32_t rest,
                       const std::string& body) {
    return std::vector<std::string>{
        FourIn()
            .Icmp4({.type = type, .code = code, .rest = rest})
            .Payload(body)
            .Build()};
  };
  CheckClauses({
      // 78 + 50 zeros = 32 units of 4; with 20 bytes more 148, 19 units of 8
      // are 152.
      {"RFC 4884 4.1 From 32 units of 4 to 19 units of 8", k46,
       in4(11, 0, 32 << 16, short4 + zeros(50) + more),
       out6(3, 0, 19U << 24, short6 + zeros(54) + more)},
      {"RFC 4884 4.2 Destination unreachable, too", k46,
       in4(3, 1, 32 << 16, short4 + zeros(50) + more),
       out6(1, 0, 19U << 24, short6 + zeros(54) + more)},
      // 128 bytes are 108 in IPv4, and 128 again with padding.
      {"RFC 4884 4.4 From 16 units of 8 to 32 units of 4", k64,
       in6(3, 0, 16U << 24, our6 + more),
       out4(11, 0, 32 << 16, our4 + zeros(20) + more)},
      {"RFC 4884 4.3 Destination unreachable, too", k64,
       in6(1, 0, 16U << 24, our6 + more),
       out4(3, 1, 32 << 16, our4 + zeros(20) + more)},
      // The original datagram is cut so that the extensions fit: 1232 - 12 =
      // 1220, in whole units 1216.
      {"RFC 4884 3 The original datagram gives way to 1280 bytes", k46,
       in4(11, 0, 255 << 16, long4.substr(0, 1020) + more),
       out6(3, 0, 130U << 24, long6.substr(0, 1040) + more)},
      // 548 - 12 = 536.
      {"RFC 4884 3 The original datagram gives way to 576 bytes", k64,
       in6(3, 0, 100U << 24, longer6.substr(0, 800) + more),
       out4(11, 0, 134 << 16, longer4.substr(0, 536) + more)},
      {"RFC 4884 4.5 A parameter problem of ICMPv6 has no extensions", k46,
       in4(12, 0, 32 << 16, short4 + zeros(50) + more),
       out6(4, 0, 0, short6 + zeros(50))},
      {"RFC 4884 4.5 A packet too big of ICMPv6 has no extensions", k46,
       in4(3, 4, 32 << 16 | 1400, short4 + zeros(50) + more),
       out6(2, 0, 1420, short6 + zeros(50))},
      {"RFC 4884 5.5 Without a length all is original datagram", k46,
       in4(11, 0, 0, short4 + zeros(50) + more),
       out6(3, 0, 0, short6 + zeros(50) + more)},
      {"RFC 4884 5.5 A length beyond the end is none", k46,
       in4(11, 0, 200 << 16, short4), out6(3, 0, 0, short6)},
      {"RFC 4884 4.1 A length without extensions", k46,
       in4(11, 0, 32 << 16, short4 + zeros(50)),
       out6(3, 0, 19U << 24, short6 + zeros(54))},
  });
}

TEST(IcmpInnerClauses, OuterChecksum) {
  const std::string in4 = Theirs4().Udp({}).Payload("odd").Build();
  const std::string in6 = Theirs6().Udp({}).Payload("odd").Build();
  std::string wrong4 =
      Four().Icmp4({.type = 3, .code = 1}).Payload(in4).Build();
  std::string wrong6 = Six().Icmp6({.type = 1, .code = 0}).Payload(in6).Build();
  wrong4[22] = static_cast<char>(wrong4[22] ^ 1);
  wrong6[42] = static_cast<char>(wrong6[42] + ((wrong4[22] & 1) != 0 ? 1 : -1));
  CheckClauses({
      {"4.2 A wrong checksum is not made right", k46, wrong4, {wrong6}},
  });
}

}  // namespace
}  // namespace netpolicy::clat
