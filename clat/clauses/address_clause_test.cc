// SPDX-License-Identifier: Apache-2.0

// RFC 6052 (embedded addresses), RFC 7757 (explicit mappings), RFC 6791
// (senders without an IPv4 address), and which addresses are translated at all.

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clat/clauses/clause.h"
#include "gtest/gtest.h"

namespace netpolicy::clat {
namespace {

using netpolicy::testing::PacketBuilder;

constexpr Direction k46 = Direction::k4to6;
constexpr Direction k64 = Direction::k6to4;

std::string Udp4(const char* src, const char* dst, uint8_t ttl = 64) {
  return PacketBuilder()
      .Ip4({.src = src, .dst = dst, .ttl = ttl})
      .Udp({})
      .Build();
}
std::string Udp6(const char* src, const char* dst, uint8_t hop_limit = 64) {
  return PacketBuilder()
      .Ip6({.src = src, .dst = dst, .hop_limit = hop_limit})
      .Udp({})
      .Build();
}

TranslatorConfig Prefix(const char* prefix) {
  return With([&](auto& c) { c.prefix = *Pref64::Parse(prefix); });
}

// There and back.
void AddBoth(std::vector<Clause>& rows, const std::string& name,
             const char* theirs4, const char* theirs6,
             const TranslatorConfig& config) {
  rows.push_back({absl::StrCat(name, ", 4 to 6"),
                  k46,
                  Udp4(kUs4, theirs4),
                  {Udp6(kUs6, theirs6, 63)},
                  0,
                  config});
  rows.push_back({absl::StrCat(name, ", 6 to 4"),
                  k64,
                  Udp6(theirs6, kUs6),
                  {Udp4(theirs4, kUs4, 63)},
                  0,
                  config});
}

TEST(AddressClauses, Rfc6052Table2) {
  std::vector<Clause> rows;
  const struct {
    const char* prefix;
    const char* address;
  } table[] = {
      {"2001:db8::/32", "2001:db8:c000:221::"},
      {"2001:db8:100::/40", "2001:db8:1c0:2:21::"},
      {"2001:db8:122::/48", "2001:db8:122:c000:2:2100::"},
      {"2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"},
      {"2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"},
      {"2001:db8:122:344::/96", "2001:db8:122:344::c000:221"},
      {"64:ff9b::/96", "64:ff9b::c000:221"},
  };
  for (const auto& row : table) {
    AddBoth(rows, absl::StrCat("RFC 6052 2.4 ", row.prefix), "192.0.2.33",
            row.address, Prefix(row.prefix));
  }
  CheckClauses(rows);
}

TEST(AddressClauses, Rfc6052OctetAndSuffix) {
  std::vector<Clause> rows;
  const struct {
    const char* prefix;
    const char* octet;   // bits 64 to 71 not 0
    const char* suffix;  // last bit not 0
    const char* first;   // first bit behind the address not 0
  } table[] = {
      {"2001:db8::/32", "2001:db8:c000:221:100::", "2001:db8:c000:221::1",
       "2001:db8:c000:221:80::"},
      {"2001:db8:100::/40", "2001:db8:1c0:2:121::", "2001:db8:1c0:2:21::1",
       "2001:db8:1c0:2:21:8000::"},
      {"2001:db8:122::/48", "2001:db8:122:c000:102:2100::",
       "2001:db8:122:c000:2:2100::1", "2001:db8:122:c000:2:2180::"},
      {"2001:db8:122:300::/56", "2001:db8:122:3c0:100:221::",
       "2001:db8:122:3c0:0:221::1", "2001:db8:122:3c0:0:221:8000::"},
      {"2001:db8:122:344::/64", "2001:db8:122:344:1c0:2:2100:0",
       "2001:db8:122:344:c0:2:2100:1", "2001:db8:122:344:c0:2:2180:0"},
  };
  for (const auto& row : table) {
    for (const char* address : {row.octet, row.suffix, row.first}) {
      rows.push_back({absl::StrCat("RFC 6052 2.2 Must be 0: ", address),
                      k64,
                      Udp6(address, kUs6),
                      {},
                      NP_CLAT_SOURCE,
                      Prefix(row.prefix)});
    }
  }
  rows.push_back({"RFC 6052 2.3 An address outside the prefix",
                  k64,
                  Udp6("2001:db8:9::9", kUs6),
                  {},
                  NP_CLAT_SOURCE});
  rows.push_back({"RFC 6052 2.3 An address one bit outside the prefix",
                  k64,
                  Udp6("64:ff9b::1:c633:6407", kUs6),
                  {},
                  NP_CLAT_SOURCE});
  CheckClauses(rows);
}

TEST(AddressClauses, Rfc6052NotGlobal) {
  std::vector<Clause> rows;
  const auto strict =
      With([](auto& c) { c.not_global = NotGlobal::kDropWithDocumentation; });
  const auto any = With([](auto& c) { c.not_global = NotGlobal::kTranslate; });
  const auto own = Prefix("2001:db8:122:344::/96");
  const struct {
    const char* ip4;
    const char* well_known;
    const char* network_specific;
  } table[] = {
      {"10.1.2.3", "64:ff9b::a01:203", "2001:db8:122:344::a01:203"},
      {"100.64.0.1", "64:ff9b::6440:1", "2001:db8:122:344::6440:1"},
      {"172.16.0.1", "64:ff9b::ac10:1", "2001:db8:122:344::ac10:1"},
      {"172.31.255.255", "64:ff9b::ac1f:ffff", "2001:db8:122:344::ac1f:ffff"},
      {"192.168.1.1", "64:ff9b::c0a8:101", "2001:db8:122:344::c0a8:101"},
      {"198.18.0.1", "64:ff9b::c612:1", "2001:db8:122:344::c612:1"},
      {"192.0.0.9", "64:ff9b::c000:9", "2001:db8:122:344::c000:9"},
  };
  for (const auto& row : table) {
    const std::string name = absl::StrCat("RFC 6052 3.1 ", row.ip4);
    rows.push_back({absl::StrCat(name, " to the well-known prefix: dropped"),
                    k46,
                    Udp4(kUs4, row.ip4),
                    {},
                    NP_CLAT_NOT_GLOBAL});
    rows.push_back({absl::StrCat(name, " from the well-known prefix: dropped"),
                    k64,
                    Udp6(row.well_known, kUs6),
                    {},
                    NP_CLAT_NOT_GLOBAL});
    AddBoth(rows, absl::StrCat(name, " in the well-known prefix, allowed"),
            row.ip4, row.well_known, any);
    AddBoth(rows, absl::StrCat(name, " in a network's own prefix"), row.ip4,
            row.network_specific, own);
  }
  AddBoth(rows, "RFC 6052 3.1 172.32.0.1 is global", "172.32.0.1",
          "64:ff9b::ac20:1", strict);
  AddBoth(rows, "RFC 5737 Documentation", "203.0.113.1", "64:ff9b::cb00:7101",
          Plain());
  rows.push_back({"RFC 5737 Documentation, strictly: dropped",
                  k46,
                  Udp4(kUs4, "203.0.113.1"),
                  {},
                  NP_CLAT_NOT_GLOBAL,
                  strict});
  rows.push_back({"RFC 5737 Documentation, strictly: dropped, 6 to 4",
                  k64,
                  Udp6("64:ff9b::cb00:7101", kUs6),
                  {},
                  NP_CLAT_NOT_GLOBAL,
                  strict});
  CheckClauses(rows);
}

TEST(AddressClauses, NobodysAddresses) {
  std::vector<Clause> rows;
  const struct {
    const char* ip4;
    const char* ip6;
  } table[] = {
      {"0.0.0.0", "2001:db8:122:344::"},
      {"0.1.2.3", "2001:db8:122:344::1:203"},
      {"127.0.0.1", "2001:db8:122:344::7f00:1"},
      {"169.254.1.1", "2001:db8:122:344::a9fe:101"},
      {"224.0.0.1", "2001:db8:122:344::e000:1"},
      {"239.255.255.250", "2001:db8:122:344::efff:fffa"},
      {"240.0.0.1", "2001:db8:122:344::f000:1"},
      {"255.255.255.255", "2001:db8:122:344::ffff:ffff"},
  };
  const auto own = Prefix("2001:db8:122:344::/96");
  for (const auto& row : table) {
    rows.push_back({absl::StrCat("RFC 1812 5.3.7 To ", row.ip4),
                    k46,
                    Udp4(kUs4, row.ip4),
                    {},
                    NP_CLAT_DESTINATION,
                    own});
    rows.push_back({absl::StrCat("4.1 Illegal source ", row.ip4),
                    k46,
                    Udp4(row.ip4, kThem4),
                    {},
                    NP_CLAT_SOURCE,
                    own});
    rows.push_back({absl::StrCat("5.1 From ", row.ip4),
                    k64,
                    Udp6(row.ip6, kUs6),
                    {},
                    NP_CLAT_SOURCE,
                    own});
  }
  for (const char* source : {"ff02::1", "::", "::1", "fe80::1"}) {
    rows.push_back({absl::StrCat("5.1 Illegal source ", source),
                    k64,
                    Udp6(source, kUs6),
                    {},
                    NP_CLAT_SOURCE});
  }
  const std::string other4 = Udp4("10.1.2.3", kThem4);
  const std::string other6 = Udp6(kThem6, "2001:db8:1234::465");
  const std::string group6 = Udp6(kThem6, "ff02::1");
  rows.push_back(
      {"Others' packets are left alone, IPv4", k46, other4, {other4}});
  rows.push_back(
      {"Others' packets are left alone, IPv6", k64, other6, {other6}});
  rows.push_back({"Multicast is left alone, IPv6", k64, group6, {group6}});
  CheckClauses(rows);
}

// The table of RFC 7757, 3.1, and addresses for its rows.
TEST(AddressClauses, Rfc7757) {
  const auto config = With([](auto& c) {
    const auto add = [&](const char* ip4, const char* ip6) {
      c.mappings.push_back({*Ipv4Prefix::Parse(ip4), *Ipv6Prefix::Parse(ip6)});
    };
    add("192.0.2.1/32", "2001:db8:aaaa::/128");
    add("192.0.2.2/32", "2001:db8:bbbb::b/128");
    add("192.0.2.16/28", "2001:db8:cccc::/124");
    add("192.0.2.128/26", "2001:db8:dddd::/64");
    add("192.0.2.192/29", "2001:db8:eeee:8::/62");
    add("192.0.2.224/31", "64:ff9b::/127");
  });
  std::vector<Clause> rows;
  const struct {
    const char* ip4;
    const char* ip6;
  } table[] = {
      {"192.0.2.1", "2001:db8:aaaa::"},
      {"192.0.2.2", "2001:db8:bbbb::b"},
      {"192.0.2.16", "2001:db8:cccc::"},
      {"192.0.2.24", "2001:db8:cccc::8"},
      {"192.0.2.31", "2001:db8:cccc::f"},
      {"192.0.2.128", "2001:db8:dddd::"},
      {"192.0.2.152", "2001:db8:dddd:0:6000::"},
      {"192.0.2.183", "2001:db8:dddd:0:dc00::"},
      {"192.0.2.191", "2001:db8:dddd:0:fc00::"},
      {"192.0.2.193", "2001:db8:eeee:8:8000::"},
      {"192.0.2.195", "2001:db8:eeee:9:8000::"},
      {"192.0.2.199", "2001:db8:eeee:b:8000::"},
      {"192.0.2.224", "64:ff9b::"},
      {"192.0.2.225", "64:ff9b::1"},
  };
  for (const auto& row : table) {
    const std::string name = absl::StrCat("RFC 7757 3.3 ", row.ip4);
    rows.push_back({absl::StrCat(name, " as source"),
                    k46,
                    Udp4(row.ip4, kThem4),
                    {Udp6(row.ip6, kThem6, 63)},
                    0,
                    config});
    rows.push_back({absl::StrCat(name, " as destination"),
                    k46,
                    Udp4(kUs4, row.ip4),
                    {Udp6(kUs6, row.ip6, 63)},
                    0,
                    config});
    rows.push_back({absl::StrCat(name, " as IPv6 destination"),
                    k64,
                    Udp6(kThem6, row.ip6),
                    {Udp4(kThem4, row.ip4, 63)},
                    0,
                    config});
    rows.push_back({absl::StrCat(name, " as IPv6 source"),
                    k64,
                    Udp6(row.ip6, kUs6),
                    {Udp4(row.ip4, kUs4, 63)},
                    0,
                    config});
  }
  AddBoth(rows, "RFC 7757 3.3 Without a mapping by the prefix", kThem4, kThem6,
          config);
  rows.push_back({"RFC 7757 3.3.2 Bits behind the suffix are ignored",
                  k64,
                  Udp6(kThem6, "2001:db8:dddd:0:6000::77"),
                  {Udp4(kThem4, "192.0.2.152", 63)},
                  0,
                  config});
  const auto nested = With([](auto& c) {
    c.mappings = {
        {*Ipv4Prefix::Parse("203.0.113.0/24"),
         *Ipv6Prefix::Parse("2001:db8:aa::/120")},
        {*Ipv4Prefix::Parse("203.0.113.8/29"),
         *Ipv6Prefix::Parse("2001:db8:bb::/125")},
    };
  });
  rows.push_back({"RFC 7757 3.3.1 The longest prefix wins",
                  k46,
                  Udp4("203.0.113.9", kThem4),
                  {Udp6("2001:db8:bb::1", kThem6, 63)},
                  0,
                  nested});
  rows.push_back({"RFC 7757 3.3.1 And outside it the shorter one",
                  k46,
                  Udp4("203.0.113.7", kThem4),
                  {Udp6("2001:db8:aa::7", kThem6, 63)},
                  0,
                  nested});
  CheckClauses(rows);
}

TEST(AddressClauses, Rfc6791) {
  const std::string ours6 =
      PacketBuilder().Ip6({.src = kUs6, .dst = kThem6}).Udp({}).Build();
  const std::string ours4 =
      PacketBuilder().Ip4({.src = kUs4, .dst = kThem4}).Udp({}).Build();
  const auto from6 = [&](const char* source) {
    return PacketBuilder()
        .Ip6({.src = source, .dst = kUs6})
        .Icmp6({.type = 3})
        .Payload(ours6)
        .Build();
  };
  const auto from4 = [&](const char* source) {
    return std::vector<std::string>{
        PacketBuilder()
            .Ip4({.src = source, .dst = kUs4, .ttl = 63})
            .Icmp4({.type = 11})
            .Payload(ours4)
            .Build()};
  };
  CheckClauses({
      {"RFC 7600 The dummy for a router without an IPv4 address", k64,
       from6(kRouter6), from4(kStandIn4)},
      {"RFC 6791 3.2 An address that was configured", k64, from6(kRouter6),
       from4("203.0.113.77"), 0, With([](auto& c) {
         c.icmp_source4 = *Ipv4Prefix::Parse("203.0.113.77");
       })},
      {"RFC 6791 3.1 A router in the prefix keeps its address", k64,
       from6("64:ff9b::cb00:7109"), from4("203.0.113.9")},
      {"RFC 6791 Only errors: an echo reply is dropped",
       k64,
       PacketBuilder()
           .Ip6({.src = kRouter6, .dst = kUs6})
           .Icmp6({.type = 129})
           .Build(),
       {},
       NP_CLAT_SOURCE},
      {"RFC 6791 Only errors: UDP is dropped",
       k64,
       Udp6(kRouter6, kUs6),
       {},
       NP_CLAT_SOURCE},
  });
}

}  // namespace
}  // namespace netpolicy::clat
