// SPDX-License-Identifier: Apache-2.0

#include "clat/pref64_option.h"

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy::clat {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::IsOkAndHolds;
using testing::StatusIs;

std::string Hex(absl::string_view text) { return absl::HexStringToBytes(text); }

struct OptionRow {
  const char* description;
  const char* options;   // hexadecimal
  const char* expected;  // "" for none
};

// Type 38, length 2, lifetime and code, 96 bits of prefix.
constexpr OptionRow kOptions[] = {
    {"RFC 8781 4, /96, 600 s",
     "2602"
     "0258"
     "0064ff9b0000000000000000",
     "64:ff9b::/96 10m"},
    {"RFC 8781 4, code 1 is /64",
     "2602"
     "0259"
     "20010db80064ffff00000000",
     "2001:db8:64:ffff::/64 10m"},
    {"RFC 8781 4, code 2 is /56",
     "2602"
     "025a"
     "20010db80064ff0000000000",
     "2001:db8:64:ff00::/56 10m"},
    {"RFC 8781 4, code 3 is /48",
     "2602"
     "025b"
     "20010db80064000000000000",
     "2001:db8:64::/48 10m"},
    {"RFC 8781 4, code 4 is /40",
     "2602"
     "025c"
     "20010db80100000000000000",
     "2001:db8:100::/40 10m"},
    {"RFC 8781 4, code 5 is /32",
     "2602"
     "025d"
     "20010db80000000000000000",
     "2001:db8::/32 10m"},
    {"RFC 8781 4, code 6 is ignored",
     "2602"
     "025e"
     "20010db80000000000000000",
     ""},
    {"RFC 8781 4, code 7 is ignored",
     "2602"
     "025f"
     "20010db80000000000000000",
     ""},
    {"RFC 8781 4, bits behind the prefix are ignored",
     "2602"
     "025d"
     "20010db8ffffffffffffffff",
     "2001:db8::/32 10m"},
    {"RFC 8781 4.1, the longest lifetime is 65528 s",
     "2602"
     "fff8"
     "0064ff9b0000000000000000",
     "64:ff9b::/96 18h12m8s"},
    {"RFC 8781 4.1, lifetime 0 ends it",
     "2602"
     "0000"
     "0064ff9b0000000000000000",
     "64:ff9b::/96 0"},
    {"RFC 8781 4, another length is ignored",
     "2603"
     "0258"
     "0064ff9b0000000000000000"
     "0000000000000000",
     ""},
    {"RFC 6052 2.2, bits 64 to 71 must be 0",
     "2602"
     "0258"
     "20010db8000000000100"
     "0000",
     ""},
    {"not of unicast addresses",
     "2602"
     "0258"
     "ff0200000000000000000000",
     ""},
    {"behind an MTU option",
     "0501"
     "0000"
     "000005dc"
     "2602"
     "0258"
     "0064ff9b0000000000000000",
     "64:ff9b::/96 10m"},
    {"two of them",
     "2602"
     "0258"
     "0064ff9b0000000000000000"
     "2602"
     "0010"
     "20010db80064000000000000",
     "64:ff9b::/96 10m,2001:db8:64::/96 16s"},
    {"RFC 4861 4.6, length 0 ends the list",
     "0500"
     "2602"
     "0258"
     "0064ff9b0000000000000000",
     ""},
    {"cut off",
     "2602"
     "0258"
     "0064ff9b00000000000000",
     ""},
    {"nothing", "", ""},
};

TEST(ParsePref64Options, EveryRow) {
  for (const OptionRow& row : kOptions) {
    SCOPED_TRACE(row.description);
    std::string text;
    for (const Pref64Notice& notice : ParsePref64Options(Hex(row.options))) {
      absl::StrAppend(&text, text.empty() ? "" : ",", notice.prefix.ToString(),
                      " ", absl::FormatDuration(notice.lifetime));
    }
    EXPECT_EQ(text, row.expected);
  }
}

// Type 134, code 0, checksum, hop limit, flags, router lifetime, reachable time
// and retransmission timer.
constexpr char kAdvertisement[] =
    "86000000"
    "40000708"
    "00000000"
    "00000000";

TEST(ParseRouterAdvertisement, FindsWhatIsBehindItsHeader) {
  EXPECT_THAT(
      ParseRouterAdvertisement(Hex(absl::StrCat(kAdvertisement,
                                                "2602"
                                                "0258"
                                                "0064ff9b0000000000000000"))),
      IsOkAndHolds(ElementsAre(
          Pref64Notice{*Pref64::Parse("64:ff9b::/96"), absl::Minutes(10)})));
  EXPECT_THAT(ParseRouterAdvertisement(Hex(kAdvertisement)),
              IsOkAndHolds(IsEmpty()));
}

TEST(ParseRouterAdvertisement, TakesNothingElse) {
  for (const char* text : {"", "86",
                           "85000000"
                           "40000708"
                           "00000000"
                           "00000000",
                           "86010000"
                           "40000708"
                           "00000000"
                           "00000000",
                           "86000000"
                           "40000708"
                           "00000000"
                           "000000"}) {
    EXPECT_THAT(ParseRouterAdvertisement(Hex(text)).status(),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
}

struct AnswerRow {
  const char* description;
  std::vector<const char*> addresses;
  std::vector<const char*> expected;
};

// 192.0.0.170 is c000:00aa.
const AnswerRow kAnswers[] = {
    {"RFC 7050 3, /96",
     {"64:ff9b::c000:aa", "64:ff9b::c000:ab"},
     {"64:ff9b::/96"}},
    {"RFC 6052 2.4, /32", {"2001:db8:c000:aa::"}, {"2001:db8::/32"}},
    {"RFC 6052 2.4, /40", {"2001:db8:1c0:0:aa::"}, {"2001:db8:100::/40"}},
    {"RFC 6052 2.4, /48",
     {"2001:db8:122:c000:0:aa00::"},
     {"2001:db8:122::/48"}},
    {"RFC 6052 2.4, /56",
     {"2001:db8:122:3c0:0:aa::"},
     {"2001:db8:122:300::/56"}},
    {"RFC 6052 2.4, /64",
     {"2001:db8:122:344:c0:0:aa00:0"},
     {"2001:db8:122:344::/64"}},
    {"two prefixes",
     {"64:ff9b::c000:aa", "2001:db8:64::c000:ab"},
     {"64:ff9b::/96", "2001:db8:64::/96"}},
    {"RFC 7050 3, the other address is none of them", {"64:ff9b::c000:ac"}, {}},
    {"an ordinary address", {"2001:db8::1"}, {}},
    {"RFC 7050 3, the value is in the prefix, too: no suffix behind an address",
     {"2001:db8:c000:aa::c000:aa"},
     {"2001:db8:c000:aa::/96"}},
    {"nothing", {}, {}},
};

TEST(FindPref64s, EveryRow) {
  for (const AnswerRow& row : kAnswers) {
    SCOPED_TRACE(row.description);
    std::vector<Ipv6Address> addresses;
    for (const char* text : row.addresses) {
      addresses.push_back(*Ipv6Address::Parse(text));
    }
    std::vector<std::string> found;
    for (const Pref64& prefix : FindPref64s(addresses)) {
      found.push_back(prefix.ToString());
    }
    EXPECT_EQ(found, std::vector<std::string>(row.expected.begin(),
                                              row.expected.end()));
  }
}

}  // namespace
}  // namespace netpolicy::clat
