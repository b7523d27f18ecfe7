// SPDX-License-Identifier: Apache-2.0

#include "clat/testing/differential.h"

#include <cstdlib>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "clat/offline/sandbox.h"
#include "clat/outcome.h"
#include "clat/translator_object.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/capability.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy::clat::testing {
namespace {

using ::netpolicy::testing::IsOk;

// clat_differential runs as many as you like.
constexpr uint64_t kPackets = 60000;

// How many of each link; fewer where processors are emulated.
uint64_t Packets() {
  const char* text = std::getenv("NETPOLICY_DIFFERENTIAL_PACKETS");
  uint64_t packets = kPackets;
  if (text != nullptr && !absl::SimpleAtoi(text, &packets)) {
    ADD_FAILURE() << "NETPOLICY_DIFFERENTIAL_PACKETS is no number: " << text;
  }
  return packets;
}

class Differential : public ::testing::TestWithParam<LinkType> {};

TEST_P(Differential, ProgramsAndReferenceAgreeOnRandomPackets) {
  if (auto missing = netpolicy::testing::MissingForBpfTests()) {
    GTEST_SKIP() << *missing;
  }
  const absl::StatusOr<DifferentialResult> result =
      RunDifferential(GetParam(), /*seed=*/20260101, Packets());
  ASSERT_THAT(result, IsOk());
  for (const std::string& difference : result->differences) {
    ADD_FAILURE() << difference;
  }
  EXPECT_EQ(result->packets, Packets());
  EXPECT_FALSE(result->outcomes.contains(NP_CLAT_KERNEL));
  if (Packets() < kPackets) return;
  // The packets are random, but not so random that anything is never met.
  for (uint32_t outcome = 0; outcome < NP_CLAT_OUTCOMES; ++outcome) {
    if (OutcomeName(outcome) == "unknown" || outcome == NP_CLAT_KERNEL ||
        outcome == NP_CLAT_CANNOT_SPLIT) {
      continue;
    }
    EXPECT_TRUE(result->outcomes.contains(outcome)) << OutcomeName(outcome);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Links, Differential,
    ::testing::Values(LinkType::kRawIp, LinkType::kEthernet),
    [](const ::testing::TestParamInfo<LinkType>& info) {
      return std::string(info.param == LinkType::kRawIp ? "RawIp" : "Ethernet");
    });

}  // namespace
}  // namespace netpolicy::clat::testing
