// SPDX-License-Identifier: Apache-2.0

#include "clat/clauses/clause.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "clat/offline/sandbox.h"
#include "clat/outcome.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/packet_text.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/test_environment.h"

namespace netpolicy::clat {
namespace {

using netpolicy::testing::ChecksumAdd;
using netpolicy::testing::ChecksumFinish;
using netpolicy::testing::EqualsPacket;
using netpolicy::testing::Ip4Fields;
using netpolicy::testing::Ip6Fields;
using netpolicy::testing::IsOk;
using netpolicy::testing::PacketBuilder;

constexpr absl::string_view kHere("\x02\0\0\0\0\x0a", 6);
constexpr absl::string_view kThere("\x02\0\0\0\0\x0b", 6);

std::string TypeOf(absl::string_view packet) {
  const bool six = !packet.empty() && (packet[0] >> 4 & 0xf) == 6;
  return six ? std::string("\x86\xdd", 2) : std::string("\x08\x00", 2);
}

// Sets an identification that is the translator's to choose to 0; returns it.
uint16_t TakeIdentification(std::string& packet) {
  const uint16_t id = static_cast<uint16_t>(
      static_cast<uint8_t>(packet[4]) << 8 | static_cast<uint8_t>(packet[5]));
  packet[4] = packet[5] = packet[10] = packet[11] = 0;
  const uint16_t sum =
      ChecksumFinish(ChecksumAdd(0, absl::string_view(packet).substr(0, 20)));
  packet[10] = static_cast<char>(sum >> 8);
  packet[11] = static_cast<char>(sum & 0xff);
  return id;
}

bool HasChosenIdentification(const Clause& clause, absl::string_view packet) {
  return clause.direction == Direction::k6to4 && clause.outcome == 0 &&
         packet.size() >= 20 && packet[0] == 0x45 && packet[4] == 0 &&
         packet[5] == 0;
}

// One for all tests of the process: to load programs takes the verifier of an
// emulated machine seconds, and a row's configuration replaces the last one's.
const absl::StatusOr<std::unique_ptr<Sandbox>>& Shared(LinkType link) {
  if (link == LinkType::kEthernet) {
    static const auto* ethernet =
        new absl::StatusOr<std::unique_ptr<Sandbox>>(Sandbox::Create(link));
    return *ethernet;
  }
  static const auto* raw =
      new absl::StatusOr<std::unique_ptr<Sandbox>>(Sandbox::Create(link));
  return *raw;
}

void CheckClause(Sandbox& sandbox, LinkType link, const Clause& clause) {
  ASSERT_THAT(sandbox.Configure(clause.config), IsOk());
  const bool ethernet = link == LinkType::kEthernet;
  const std::string in =
      ethernet ? absl::StrCat(kThere, kHere, TypeOf(clause.in), clause.in)
               : clause.in;
  auto before = sandbox.object().ReadCounters(0);
  auto result = sandbox.Run(clause.direction, in);
  auto after = sandbox.object().ReadCounters(0);
  ASSERT_THAT(before, IsOk());
  ASSERT_THAT(result, IsOk());
  ASSERT_THAT(after, IsOk());

  uint32_t outcome = clause.outcome;
  if (outcome == 0 && (clause.out.size() != 1 || clause.out[0] != clause.in)) {
    outcome = clause.direction == Direction::k4to6 ? NP_CLAT_TRANSLATED_46
                                                   : NP_CLAT_TRANSLATED_64;
    if (clause.out.size() > 1) outcome += NP_CLAT_SPLIT_46 - 1;
  }
  for (uint32_t i = 0; i < NP_CLAT_OUTCOMES; ++i) {
    EXPECT_EQ(after->outcomes[i] - before->outcomes[i], i == outcome ? 1u : 0u)
        << "counter " << OutcomeName(i);
  }
  const bool answered = outcome >= NP_CLAT_FIRST_DROP && !clause.out.empty();
  EXPECT_EQ(after->answers[NP_CLAT_ANSWERS_SENT] -
                before->answers[NP_CLAT_ANSWERS_SENT],
            answered ? 1u : 0u);

  std::vector<std::string> got;
  for (Sandbox::Packet& packet : result->packets) {
    std::string bytes = std::move(packet.bytes);
    if (ethernet) {
      ASSERT_GE(bytes.size(), 14u);
      EXPECT_EQ(bytes.substr(0, 12), answered ? absl::StrCat(kHere, kThere)
                                              : absl::StrCat(kThere, kHere));
      EXPECT_EQ(bytes.substr(12, 2),
                TypeOf(absl::string_view(bytes).substr(14)));
      bytes.erase(0, 14);
    }
    got.push_back(std::move(bytes));
  }
  ASSERT_EQ(got.size(), clause.out.size())
      << (got.empty() ? "dropped"
                      : netpolicy::testing::FormatPacket({"", got[0]}));
  std::optional<uint16_t> first;
  for (size_t i = 0; i < got.size(); ++i) {
    if (HasChosenIdentification(clause, clause.out[i])) {
      const uint16_t id = TakeIdentification(got[i]);
      EXPECT_NE(id, 0);
      EXPECT_EQ(id, first.value_or(id)) << "fragments of one packet";
      first = id;
    }
    EXPECT_THAT(got[i], EqualsPacket(clause.out[i])) << "packet " << i;
  }
}

}  // namespace

TranslatorConfig Plain() {
  TranslatorConfig config{.prefix = *Pref64::Parse("64:ff9b::/96")};
  config.pairs = {{*Ipv4Address::Parse(kUs4), *Ipv6Address::Parse(kUs6)}};
  config.mtu4 = 1500;
  config.icmp_per_second = std::nullopt;
  return config;
}

TranslatorConfig Neutral() {
  return With([](TranslatorConfig& config) {
    config.pairs = {
        {*Ipv4Address::Parse(kUs4), *Ipv6Address::Parse(kNeutralUs6)}};
  });
}

void CheckClauses(const std::vector<Clause>& clauses) {
  if (auto missing = netpolicy::testing::MissingForBpfTests()) {
    GTEST_SKIP() << *missing;
  }
  for (const LinkType link : {LinkType::kRawIp, LinkType::kEthernet}) {
    const absl::StatusOr<std::unique_ptr<Sandbox>>& sandbox = Shared(link);
    ASSERT_THAT(sandbox, IsOk());
    for (const Clause& clause : clauses) {
      SCOPED_TRACE(absl::StrCat(
          clause.name, link == LinkType::kRawIp ? ", raw IP" : ", Ethernet",
          ", as scapy: ", netpolicy::testing::ToScapy(clause.in)));
      CheckClause(**sandbox, link, clause);
    }
  }
}

PacketBuilder Four(Ip4Fields fields) {
  fields.src = kUs4;
  fields.dst = kThem4;
  return PacketBuilder().Ip4(fields);
}

PacketBuilder Six(Ip6Fields fields) {
  fields.src = kUs6;
  fields.dst = kThem6;
  if (fields.hop_limit == Ip6Fields{}.hop_limit) fields.hop_limit = 63;
  return PacketBuilder().Ip6(fields);
}

PacketBuilder SixIn(Ip6Fields fields) {
  fields.src = kThem6;
  fields.dst = kUs6;
  return PacketBuilder().Ip6(fields);
}

PacketBuilder FourIn(Ip4Fields fields) {
  fields.src = kThem4;
  fields.dst = kUs4;
  if (fields.ttl == Ip4Fields{}.ttl) fields.ttl = 63;
  return PacketBuilder().Ip4(fields);
}

}  // namespace netpolicy::clat
