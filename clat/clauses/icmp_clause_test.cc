// SPDX-License-Identifier: Apache-2.0

// RFC 7915, 4.2, 4.4, 5.2 and 5.4: ICMP messages, and those that the translator
// sends itself.

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clat/clauses/clause.h"
#include "clat/offline/sandbox.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/test_environment.h"

namespace netpolicy::clat {
namespace {

using netpolicy::testing::PacketBuilder;

constexpr Direction k46 = Direction::k4to6;
constexpr Direction k64 = Direction::k6to4;

// What an error is about: a packet from the other side to the error's sender.
std::string About4(size_t size = 20) {
  return PacketBuilder()
      .Ip4({.src = kThem4, .dst = kUs4, .id = 0, .ttl = 9})
      .Udp({})
      .PayloadOfSize(size)
      .Build();
}
std::string About6(size_t size = 20) {
  return PacketBuilder()
      .Ip6({.src = kThem6, .dst = kUs6, .hop_limit = 9})
      .Udp({})
      .PayloadOfSize(size)
      .Build();
}
// And one from us.
std::string Ours6(size_t size = 20) {
  return PacketBuilder()
      .Ip6({.src = kUs6, .dst = kThem6, .hop_limit = 9})
      .Udp({})
      .PayloadOfSize(size)
      .Build();
}
std::string Ours4(size_t size = 20, bool dont_fragment = false) {
  return PacketBuilder()
      .Ip4({.src = kUs4,
            .dst = kThem4,
            .dont_fragment = dont_fragment,
            .ttl = 9})
      .Udp({})
      .PayloadOfSize(size)
      .Build();
}

struct Message {
  int type;
  int code = 0;
  uint32_t rest = 0;
};
struct MessageRow {
  const char* name;
  Message in;
  Message out;
};

// Identifier and sequence number are the rest.
TEST(IcmpClauses, Echo) {
  CheckClauses({
      {"4.2 Echo becomes echo request",
       k46,
       Four().Icmp4({.type = 8, .rest = 0xbeef0001}).Payload("ping").Build(),
       {Six()
            .Icmp6({.type = 128, .rest = 0xbeef0001})
            .Payload("ping")
            .Build()}},
      {"4.2 Echo reply becomes echo reply",
       k46,
       Four().Icmp4({.type = 0, .rest = 0xbeef0001}).Payload("pong").Build(),
       {Six()
            .Icmp6({.type = 129, .rest = 0xbeef0001})
            .Payload("pong")
            .Build()}},
      {"5.2 Echo request becomes echo",
       k64,
       SixIn().Icmp6({.type = 128, .rest = 0xbeef0001}).Payload("odd").Build(),
       {FourIn()
            .Icmp4({.type = 8, .rest = 0xbeef0001})
            .Payload("odd")
            .Build()}},
      {"5.2 Echo reply becomes echo reply",
       k64,
       SixIn().Icmp6({.type = 129, .rest = 0xbeef0001}).Payload("odd").Build(),
       {FourIn()
            .Icmp4({.type = 0, .rest = 0xbeef0001})
            .Payload("odd")
            .Build()}},
      {"4.2 Echo without a body",
       k46,
       Four().Icmp4({}).Build(),
       {Six().Icmp6({}).Build()}},
      {"4.2 An echo of 3000 bytes that may be fragmented is", k46,
       Four({.id = 3}).Icmp4({}).PayloadOfSize(3000).Build(),
       netpolicy::testing::FragmentPacket(
           Six().Icmp6({}).PayloadOfSize(3000).Build(), 1232, 3)},
      {"4.2 Less than an ICMP header",
       k46,
       Four({.protocol = 1}).PayloadOfSize(7).Build(),
       {},
       NP_CLAT_MALFORMED},
      {"5.2 Less than an ICMPv6 header",
       k64,
       SixIn({.next_header = 58}).PayloadOfSize(7).Build(),
       {},
       NP_CLAT_MALFORMED},
  });
}

// The second words of all that come in have bits set that must not go on.
TEST(IcmpClauses, ErrorsFrom4) {
  const MessageRow rows[] = {
      {"3/0 net unreachable", {3, 0, 0xff00ffff}, {1, 0}},
      {"3/1 host unreachable", {3, 1, 0xff00ffff}, {1, 0}},
      {"3/2 protocol unreachable", {3, 2, 0xff00ffff}, {4, 1, 6}},
      {"3/3 port unreachable", {3, 3, 0xff00ffff}, {1, 4}},
      {"3/5 source route failed", {3, 5, 0xff00ffff}, {1, 0}},
      {"3/6 net unknown", {3, 6, 0xff00ffff}, {1, 0}},
      {"3/7 host unknown", {3, 7, 0xff00ffff}, {1, 0}},
      {"3/8 source host isolated", {3, 8, 0xff00ffff}, {1, 0}},
      {"3/9 net prohibited", {3, 9, 0xff00ffff}, {1, 1}},
      {"3/10 host prohibited", {3, 10, 0xff00ffff}, {1, 1}},
      {"3/11 net unreachable for TOS", {3, 11, 0xff00ffff}, {1, 0}},
      {"3/12 host unreachable for TOS", {3, 12, 0xff00ffff}, {1, 0}},
      {"3/13 prohibited", {3, 13, 0xff00ffff}, {1, 1}},
      {"3/15 precedence cutoff", {3, 15, 0xff00ffff}, {1, 1}},
      {"11/0 TTL exceeded", {11, 0, 0xff00ffff}, {3, 0}},
      {"11/1 reassembly time exceeded", {11, 1, 0xff00ffff}, {3, 1}},
      {"3/4 MTU: 20 more", {3, 4, 1400}, {2, 0, 1420}},
      {"3/4 MTU: never below 1280", {3, 4, 576}, {2, 0, 1280}},
      {"3/4 MTU: 1260 is 1280", {3, 4, 1260}, {2, 0, 1280}},
      {"3/4 MTU: 1261 is 1281", {3, 4, 1261}, {2, 0, 1281}},
      {"3/4 MTU: no more than the next IPv6 hop's", {3, 4, 9000}, {2, 0, 1500}},
      {"3/4 MTU: the upper half of the word is unused",
       {3, 4, 0xffff0000 | 1400},
       {2, 0, 1420}},
      {"12/0 pointer 0", {12, 0, 0}, {4, 0, 0}},
      {"12/0 pointer 1", {12, 0, 1 << 24}, {4, 0, 1}},
      {"12/0 pointer 2", {12, 0, 2 << 24}, {4, 0, 4}},
      {"12/0 pointer 3", {12, 0, 3 << 24}, {4, 0, 4}},
      {"12/0 pointer 8", {12, 0, 8 << 24}, {4, 0, 7}},
      {"12/0 pointer 9", {12, 0, 9 << 24}, {4, 0, 6}},
      {"12/0 pointer 12", {12, 0, 12 << 24}, {4, 0, 8}},
      {"12/0 pointer 15", {12, 0, 15 << 24}, {4, 0, 8}},
      {"12/0 pointer 16", {12, 0, 16 << 24}, {4, 0, 24}},
      {"12/0 pointer 19", {12, 0, 19 << 24}, {4, 0, 24}},
      {"12/2 bad length", {12, 2, 2 << 24}, {4, 0, 4}},
      {"12/0 the other bytes are unused", {12, 0, 8 << 24 | 0xffff}, {4, 0, 7}},
  };
  std::vector<Clause> clauses;
  for (const MessageRow& row : rows) {
    clauses.push_back({absl::StrCat("4.2 ", row.name),
                       k46,
                       Four()
                           .Icmp4({.type = static_cast<uint8_t>(row.in.type),
                                   .code = static_cast<uint8_t>(row.in.code),
                                   .rest = row.in.rest})
                           .Payload(About4())
                           .Build(),
                       {Six()
                            .Icmp6({.type = static_cast<uint8_t>(row.out.type),
                                    .code = static_cast<uint8_t>(row.out.code),
                                    .rest = row.out.rest})
                            .Payload(About6())
                            .Build()}});
  }
  CheckClauses(clauses);
}

TEST(IcmpClauses, Rfc1191PlateausWhenTheMtuIsMissing) {
  struct Plateau {
    uint32_t mtu6;
    uint16_t total;  // as the inner header tells
    uint32_t expected;
  };
  const Plateau plateaus[] = {
      {1500, 1500, 1500},     // 1492, and no more than the next hop takes
      {9000, 1500, 1512},     // 1492
      {9000, 1492, 1280},     // 1006
      {9000, 1493, 1512},     // 1492
      {9000, 4352, 2022},     // 2002
      {9000, 4353, 4372},     // 4352
      {9000, 9000, 8186},     // 8166
      {65535, 17915, 17934},  // 17914
      {65535, 32001, 32020},  // 32000
      {9000, 576, 1280},      // 508
  };
  std::vector<Clause> clauses;
  for (const Plateau& row : plateaus) {
    // The original was `total` bytes, of which 28 came back.
    const std::string original4 = PacketBuilder()
                                      .Ip4({.src = kThem4, .dst = kUs4})
                                      .Udp({})
                                      .PayloadOfSize(row.total - 28)
                                      .Build()
                                      .substr(0, 28);
    const std::string original6 = PacketBuilder()
                                      .Ip6({.src = kThem6, .dst = kUs6})
                                      .Udp({})
                                      .PayloadOfSize(row.total - 28)
                                      .Build()
                                      .substr(0, 48);
    clauses.push_back(
        {absl::StrCat("4.2 3/4 MTU 0: the plateau below ", row.total),
         k46,
         Four().Icmp4({.type = 3, .code = 4}).Payload(original4).Build(),
         {Six()
              .Icmp6({.type = 2, .rest = row.expected})
              .Payload(original6)
              .Build()},
         0,
         With([&](auto& c) {
           c.mtu6 = row.mtu6;
           c.mtu4 = 0;
         })});
  }
  clauses.push_back(
      {"4.2 3/4 MTU: no more than the next IPv4 hop's and 20",
       k46,
       Four()
           .Icmp4({.type = 3, .code = 4, .rest = 1490})
           .Payload(About4())
           .Build(),
       {Six().Icmp6({.type = 2, .rest = 1420}).Payload(About6()).Build()},
       0,
       With([](auto& c) { c.mtu4 = 1400; })});
  CheckClauses(clauses);
}

TEST(IcmpClauses, NotTranslatedFrom4) {
  std::vector<Clause> clauses;
  for (const Message& message : std::vector<Message>{{3, 14},
                                                     {3, 16},
                                                     {3, 255},
                                                     {4, 0},
                                                     {5, 0},
                                                     {5, 1},
                                                     {6, 0},
                                                     {9, 0},
                                                     {10, 0},
                                                     {12, 1},
                                                     {12, 3},
                                                     {12, 0, 4 << 24},
                                                     {12, 0, 5 << 24},
                                                     {12, 0, 6 << 24},
                                                     {12, 0, 7 << 24},
                                                     {12, 0, 10 << 24},
                                                     {12, 0, 11 << 24},
                                                     {12, 0, 20U << 24},
                                                     {12, 0, 255U << 24},
                                                     {13, 0},
                                                     {14, 0},
                                                     {15, 0},
                                                     {16, 0},
                                                     {17, 0},
                                                     {18, 0},
                                                     {1, 0},
                                                     {2, 0},
                                                     {7, 0},
                                                     {30, 0},
                                                     {40, 0},
                                                     {42, 0},
                                                     {253, 0}}) {
    clauses.push_back({absl::StrCat("4.2 Dropped: ", message.type, "/",
                                    message.code, " ", message.rest >> 24),
                       k46,
                       Four()
                           .Icmp4({.type = static_cast<uint8_t>(message.type),
                                   .code = static_cast<uint8_t>(message.code),
                                   .rest = message.rest})
                           .Payload(About4())
                           .Build(),
                       {},
                       NP_CLAT_ICMP_TYPE});
  }
  CheckClauses(clauses);
}

TEST(IcmpClauses, ErrorsFrom6) {
  const MessageRow rows[] = {
      {"1/0 no route", {1, 0, 0x00ffffff}, {3, 1}},
      {"1/1 prohibited", {1, 1, 0x00ffffff}, {3, 10}},
      {"1/2 beyond scope", {1, 2, 0x00ffffff}, {3, 1}},
      {"1/3 address unreachable", {1, 3, 0x00ffffff}, {3, 1}},
      {"1/4 port unreachable", {1, 4, 0x00ffffff}, {3, 3}},
      {"2/0 MTU: 20 less", {2, 0, 1400}, {3, 4, 1380}},
      {"2/0 MTU: 1280 is 1260", {2, 0, 1280}, {3, 4, 1260}},
      {"2/0 MTU: below 1280", {2, 0, 1000}, {3, 4, 980}},
      {"2/0 MTU: no more than the next IPv6 hop's less 20",
       {2, 0, 9000},
       {3, 4, 1480}},
      {"2/0 MTU: all 32 bits count", {2, 0, 0x00010000}, {3, 4, 1480}},
      {"3/0 hop limit exceeded", {3, 0, 0x00ffffff}, {11, 0}},
      {"3/1 reassembly time exceeded", {3, 1, 0x00ffffff}, {11, 1}},
      {"4/1 next header", {4, 1, 6}, {3, 2}},
      {"4/1 next header, whatever the pointer", {4, 1, 40}, {3, 2}},
      {"4/0 pointer 0", {4, 0, 0}, {12, 0, 0}},
      {"4/0 pointer 1", {4, 0, 1}, {12, 0, 1 << 24}},
      {"4/0 pointer 4", {4, 0, 4}, {12, 0, 2 << 24}},
      {"4/0 pointer 5", {4, 0, 5}, {12, 0, 2 << 24}},
      {"4/0 pointer 6", {4, 0, 6}, {12, 0, 9 << 24}},
      {"4/0 pointer 7", {4, 0, 7}, {12, 0, 8 << 24}},
      {"4/0 pointer 8", {4, 0, 8}, {12, 0, 12 << 24}},
      {"4/0 pointer 23", {4, 0, 23}, {12, 0, 12 << 24}},
      {"4/0 pointer 24", {4, 0, 24}, {12, 0, 16 << 24}},
      {"4/0 pointer 39", {4, 0, 39}, {12, 0, 16 << 24}},
  };
  std::vector<Clause> clauses;
  for (const MessageRow& row : rows) {
    clauses.push_back({absl::StrCat("5.2 ", row.name),
                       k64,
                       SixIn()
                           .Icmp6({.type = static_cast<uint8_t>(row.in.type),
                                   .code = static_cast<uint8_t>(row.in.code),
                                   .rest = row.in.rest})
                           .Payload(Ours6())
                           .Build(),
                       {FourIn()
                            .Icmp4({.type = static_cast<uint8_t>(row.out.type),
                                    .code = static_cast<uint8_t>(row.out.code),
                                    .rest = row.out.rest})
                            .Payload(Ours4())
                            .Build()}});
  }
  clauses.push_back(
      {"5.2 2/0 MTU: no more than the next IPv4 hop's",
       k64,
       SixIn().Icmp6({.type = 2, .rest = 1480}).Payload(Ours6()).Build(),
       {FourIn()
            .Icmp4({.type = 3, .code = 4, .rest = 1400})
            .Payload(Ours4())
            .Build()},
       0,
       With([](auto& c) { c.mtu4 = 1400; })});
  CheckClauses(clauses);
}

TEST(IcmpClauses, NotTranslatedFrom6) {
  std::vector<Clause> clauses;
  for (const Message& message : std::vector<Message>{
           {1, 5},   {1, 6},    {1, 7},    {1, 255},   {4, 2},
           {4, 3},   {4, 0, 2}, {4, 0, 3}, {4, 0, 40}, {4, 0, 0x01000000},
           {0, 0},   {5, 0},    {100, 0},  {127, 0},   {130, 0},
           {131, 0}, {132, 0},  {133, 0},  {134, 0},   {135, 0},
           {136, 0}, {137, 0},  {138, 0},  {139, 0},   {141, 0},
           {143, 0}, {200, 0},  {255, 0}}) {
    clauses.push_back({absl::StrCat("5.2 Dropped: ", message.type, "/",
                                    message.code, " ", message.rest),
                       k64,
                       SixIn()
                           .Icmp6({.type = static_cast<uint8_t>(message.type),
                                   .code = static_cast<uint8_t>(message.code),
                                   .rest = message.rest})
                           .Payload(Ours6())
                           .Build(),
                       {},
                       NP_CLAT_ICMP_TYPE});
  }
  // The link's own business goes on to the stack.
  const std::string solicitation =
      PacketBuilder()
          .Ip6({.src = "fe80::1", .dst = kUs6, .hop_limit = 255})
          .Icmp6({.type = 135})
          .Payload(std::string(16, '\x20'))
          .Build();
  clauses.push_back({"RFC 4861 7.1 Neighbour discovery is left alone",
                     k64,
                     solicitation,
                     {solicitation}});
  CheckClauses(clauses);
}

// An error that the translator sends to us for `about`.
std::string To4(uint8_t type, uint8_t code, const std::string& about) {
  return PacketBuilder()
      .Ip4({.src = kStandIn4, .dst = kUs4, .tos = 0xc0, .dont_fragment = true})
      .Icmp4({.type = type, .code = code})
      .Payload(about)
      .Build();
}
std::string To6(uint8_t type, uint8_t code, const std::string& about) {
  return PacketBuilder()
      .Ip6({.src = kUs6, .dst = kThem6})
      .Icmp6({.type = type, .code = code})
      .Payload(about)
      .Build();
}

TEST(IcmpClauses, SentByTheTranslator) {
  const std::string last4 = Four({.dont_fragment = true, .ttl = 1})
                                .Udp({})
                                .PayloadOfSize(700)
                                .Build();
  const std::string last6 =
      SixIn({.hop_limit = 1}).Udp({}).PayloadOfSize(1400).Build();
  const std::string zero4 = Four({.ttl = 0}).Udp({}).Build();
  const std::string zero6 = SixIn({.hop_limit = 0}).Udp({}).Build();
  const std::string echo4 = Four({.ttl = 1}).Icmp4({}).Payload("t").Build();
  const std::string echo6 =
      SixIn({.hop_limit = 1}).Icmp6({}).Payload("t").Build();
  const auto sources = With([](auto& c) {
    c.icmp_source4 = *Ipv4Prefix::Parse("203.0.113.9");
    c.icmp_source6 = *Ipv6Address::Parse("2001:db8::c1a7");
  });
  CheckClauses({
      {"4.4 TTL 1: 11/0, of 576 bytes at most",
       k46,
       last4,
       {To4(11, 0, last4.substr(0, 548))},
       NP_CLAT_TTL},
      {"4.4 TTL 0: 11/0", k46, zero4, {To4(11, 0, zero4)}, NP_CLAT_TTL},
      {"4.4 TTL 1: also for a ping",
       k46,
       echo4,
       {To4(11, 0, echo4)},
       NP_CLAT_TTL},
      {"5.4 Hop limit 1: 3/0, of 1280 bytes at most",
       k64,
       last6,
       {To6(3, 0, last6.substr(0, 1232))},
       NP_CLAT_TTL},
      {"5.4 Hop limit 0: 3/0", k64, zero6, {To6(3, 0, zero6)}, NP_CLAT_TTL},
      {"5.4 Hop limit 1: also for a ping",
       k64,
       echo6,
       {To6(3, 0, echo6)},
       NP_CLAT_TTL},
      {"4.4 The source address is ours to choose",
       k46,
       zero4,
       {PacketBuilder()
            .Ip4({.src = "203.0.113.9",
                  .dst = kUs4,
                  .tos = 0xc0,
                  .dont_fragment = true})
            .Icmp4({.type = 11})
            .Payload(zero4)
            .Build()},
       NP_CLAT_TTL,
       sources},
      {"5.4 The source address is ours to choose",
       k64,
       zero6,
       {PacketBuilder()
            .Ip6({.src = "2001:db8::c1a7", .dst = kThem6})
            .Icmp6({.type = 3})
            .Payload(zero6)
            .Build()},
       NP_CLAT_TTL,
       sources},
      {"RFC 1812 4.3.2.7 Never for an ICMP error",
       k46,
       Four({.ttl = 1}).Icmp4({.type = 3, .code = 3}).Payload(About4()).Build(),
       {},
       NP_CLAT_TTL},
      {"RFC 1812 4.3.2.7 Never for a later fragment",
       k46,
       Four({.fragment_offset = 2, .ttl = 1, .protocol = 17})
           .PayloadOfSize(16)
           .Build(),
       {},
       NP_CLAT_TTL},
      {"RFC 4443 2.4(e) Never for an ICMPv6 error",
       k64,
       SixIn({.hop_limit = 1}).Icmp6({.type = 1}).Payload(Ours6()).Build(),
       {},
       NP_CLAT_TTL},
  });
}

TEST(IcmpClauses, Rfc4443TheirRateIsLimited) {
  if (auto missing = netpolicy::testing::MissingForBpfTests()) {
    GTEST_SKIP() << *missing;
  }
  auto sandbox = Sandbox::Create(LinkType::kRawIp);
  ASSERT_TRUE(sandbox.ok()) << sandbox.status();
  const std::string in = Four({.ttl = 1}).Udp({}).Build();
  const auto run = [&](std::optional<uint32_t> per_second, uint32_t burst) {
    EXPECT_TRUE((*sandbox)
                    ->Configure(With([&](auto& c) {
                      c.icmp_per_second = per_second;
                      c.icmp_burst = burst;
                    }))
                    .ok());
    const auto before = (*sandbox)->object().ReadCounters(0);
    int answers = 0;
    for (int i = 0; i < 20; ++i) {
      answers += static_cast<int>((*sandbox)->Run(k46, in)->packets.size());
    }
    const auto after = (*sandbox)->object().ReadCounters(0);
    EXPECT_EQ(after->outcomes[NP_CLAT_TTL] - before->outcomes[NP_CLAT_TTL],
              20u);
    EXPECT_EQ(after->answers[NP_CLAT_ANSWERS_SENT] -
                  before->answers[NP_CLAT_ANSWERS_SENT],
              static_cast<uint64_t>(answers));
    EXPECT_EQ(after->answers[NP_CLAT_ANSWERS_WITHHELD] -
                  before->answers[NP_CLAT_ANSWERS_WITHHELD],
              static_cast<uint64_t>(20 - answers));
    return answers;
  };
  EXPECT_EQ(run(std::nullopt, 1), 20);
  EXPECT_EQ(run(0, 1), 0);
  // Those of a burst, on each processor, and one more a second.
  const int limited = run(1, 2);
  EXPECT_GE(limited, 1);
  EXPECT_LE(limited, 10);
}

}  // namespace
}  // namespace netpolicy::clat
