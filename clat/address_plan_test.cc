// SPDX-License-Identifier: Apache-2.0

#include "clat/address_plan.h"

#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy::clat {
namespace {

using testing::IsOkAndHolds;
using testing::StatusIs;

Ipv4Address Ip4(const std::string& text) { return *Ipv4Address::Parse(text); }
Ipv6Address Ip6(const std::string& text) { return *Ipv6Address::Parse(text); }

TEST(ChooseLocal4, TakesTheFirstThatIsFree) {
  EXPECT_THAT(ChooseLocal4({}), IsOkAndHolds(Ip4("192.0.0.1")));
  EXPECT_THAT(ChooseLocal4({Ip4("192.0.0.1"), Ip4("192.0.0.3")}),
              IsOkAndHolds(Ip4("192.0.0.2")));
}

TEST(ChooseLocal4, SaysWhenAllAreTaken) {
  std::set<Ipv4Address> taken;
  for (int i = 1; i <= 7; ++i)
    taken.insert(Ip4("192.0.0." + std::to_string(i)));
  EXPECT_THAT(ChooseLocal4(taken),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(ServiceContinuity, IsTheWholeOfRfc7335) {
  EXPECT_TRUE(IsServiceContinuity(Ip4("192.0.0.0")));
  EXPECT_TRUE(IsServiceContinuity(Ip4("192.0.0.7")));
  EXPECT_FALSE(IsServiceContinuity(Ip4("192.0.0.8")));
  EXPECT_FALSE(IsServiceContinuity(Ip4("191.255.255.255")));
}

// From the paper (Aumasson and Bernstein, 2012, appendix A) and its vectors.
TEST(KeyedHash, IsSipHash) {
  SecretKey key;
  for (uint8_t i = 0; i < key.size(); ++i) key[i] = i;
  std::string input;
  EXPECT_EQ(KeyedHash(key, input), 0x726fdb47dd0e0e31ULL);
  for (char i = 0; i < 15; ++i) input.push_back(i);
  EXPECT_EQ(KeyedHash(key, input), 0xa129ca6149be45e5ULL);
}

TEST(StableInterfaceId, ChangesWithEachOfItsParts) {
  const SecretKey secret = {1};
  const SecretKey other_secret = {2};
  const Ipv6Prefix network = *Ipv6Prefix::Parse("2001:db8:1:2::/64");
  const Ipv6Prefix other = *Ipv6Prefix::Parse("2001:db8:1:3::/64");
  const uint64_t id = StableInterfaceId(secret, network, "eth0", 0);
  EXPECT_EQ(StableInterfaceId(secret, network, "eth0", 0), id);
  EXPECT_EQ((std::set<uint64_t>{
                 id, StableInterfaceId(other_secret, network, "eth0", 0),
                 StableInterfaceId(secret, other, "eth0", 0),
                 StableInterfaceId(secret, network, "eth1", 0),
                 StableInterfaceId(secret, network, "eth0", 1)})
                .size(),
            5u);
}

TEST(ReservedInterfaceId, AreThoseOfRfc5453) {
  EXPECT_TRUE(IsReservedInterfaceId(0));
  EXPECT_TRUE(IsReservedInterfaceId(0x02005efffe000000));
  EXPECT_TRUE(IsReservedInterfaceId(0x02005efffeffffff));
  EXPECT_TRUE(IsReservedInterfaceId(0xfdffffffffffff80));
  EXPECT_TRUE(IsReservedInterfaceId(0xfdffffffffffffff));
  EXPECT_FALSE(IsReservedInterfaceId(1));
  EXPECT_FALSE(IsReservedInterfaceId(0xfdffffffffffff7f));
  EXPECT_FALSE(IsReservedInterfaceId(0xfe00000000000000));
}

struct Row {
  const char* description;
  const char* network;
  uint64_t interface_id;
  const char* prefix;
  const char* local4;
  const char* local6;
};

// The last word, by hand: (c000 + 0001) - (2001 + 0db8 + 0001 + 0002) -
// (0064 + ff9b) modulo ffff, and so on.
constexpr Row kRows[] = {
    {"well-known prefix, nothing but the network", "2001:db8:1:2::/64", 0,
     "64:ff9b::/96", "192.0.0.1", "2001:db8:1:2::9245"},
    {"an identifier: 1111 + 2222 + 3333 less", "2001:db8:1:2::/64",
     0x1111222233334444, "64:ff9b::/96", "192.0.0.1",
     "2001:db8:1:2:1111:2222:3333:2bdf"},
    {"another IPv4 address: 6 more", "2001:db8:1:2::/64", 0x1111222233334444,
     "64:ff9b::/96", "192.0.0.7", "2001:db8:1:2:1111:2222:3333:2be5"},
    {"less than zero wraps at ffff", "2001:db8:1:2::/64", 0xffff800000000000,
     "64:ff9b::/96", "192.0.0.1", "2001:db8:1:2:ffff:8000:0:1245"},
    {"a prefix of 32 bits: 2001 + 0db8 of its own", "fd00::/64", 0,
     "2001:db8::/32", "192.0.0.1", "fd00::9547"},
};

TEST(MakeLocal6, IsChecksumNeutral) {
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.description);
    EXPECT_EQ(MakeLocal6(*Ipv6Prefix::Parse(row.network), row.interface_id,
                         *Pref64::Parse(row.prefix), Ip4(row.local4))
                  .ToString(),
              row.local6);
  }
}

// Computed as a receiver does: the pseudo-header's addresses on both sides.
TEST(MakeLocal6, LeavesTheChecksumOfAnyDestinationAsItIs) {
  const Pref64 prefix = *Pref64::Parse("2001:db8:64::/96");
  const Ipv4Address local4 = Ip4("192.0.0.5");
  const Ipv6Address local6 =
      MakeLocal6(*Ipv6Prefix::Parse("2001:db8:ab:cd::/64"), 0xfedcba9876543210,
                 prefix, local4);
  auto sum = [](uint32_t start, const auto& bytes) {
    for (size_t i = 0; i < bytes.size(); i += 2) {
      start += static_cast<uint32_t>(bytes[i]) << 8 | bytes[i + 1];
      start = (start & 0xffff) + (start >> 16);
    }
    return start;
  };
  for (const char* text : {"198.51.100.1", "0.0.0.0", "255.255.255.255"}) {
    const Ipv4Address peer = Ip4(text);
    // Neither sum is 0, so that equal modulo ffff is equal.
    EXPECT_EQ(sum(sum(0, local4.bytes), peer.bytes),
              sum(sum(0, local6.bytes), prefix.Embed(peer).bytes))
        << text;
  }
}

// fdff + ff80 + 0002 is fd82 modulo ffff: the last word would be ff80.
TEST(MakeLocal6, IsNoReservedAddress) {
  const Ipv6Address address =
      MakeLocal6(*Ipv6Prefix::Parse("::/64"), 0xfdffffffffff0000,
                 *Pref64::Parse("2::/96"), Ip4("253.130.0.0"));
  EXPECT_EQ(address.bytes[8], 0xfd);
  EXPECT_EQ(address.bytes[10], 0xfe) << address.ToString();
}

TEST(NetworkOf, IsTheFirstHalf) {
  EXPECT_EQ(NetworkOf(Ip6("2001:db8:1:2:3:4:5:6")).ToString(),
            "2001:db8:1:2::/64");
}

}  // namespace
}  // namespace netpolicy::clat
