// SPDX-License-Identifier: Apache-2.0

#include "netd/service/wire.h"

#include "gtest/gtest.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy {
namespace {

using ::netpolicy::testing::IsOk;

TEST(CommitResponse, SaysWhatWasClosedAndWhyNot) {
  CommitResult result;
  result.generation = Generation{7};
  for (const absl::optional<ClosedSockets>& closed :
       {absl::optional<ClosedSockets>(),
        absl::optional<ClosedSockets>(ClosedSockets{}),
        absl::optional<ClosedSockets>(ClosedSockets{.closed = uint64_t{1} << 40,
        .failed = 2,
        .error = absl::FailedPreconditionError("close sockets: \xff")})}) {
    result.closed_sockets = closed;
    const absl::StatusOr<CommitResult> got = FromWire(ToWire(result));
    ASSERT_THAT(got, IsOk());
    EXPECT_EQ(got->closed_sockets, closed);
    EXPECT_EQ(got->generation, Generation{7});
  }
}

}  // namespace
}  // namespace netpolicy
