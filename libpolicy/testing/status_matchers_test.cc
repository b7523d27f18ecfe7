// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/testing/status_matchers.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace netpolicy::testing {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pointee;

TEST(StatusMatchers, IsOkTakesStatusAndStatusOr) {
  EXPECT_THAT(absl::OkStatus(), IsOk());
  EXPECT_THAT(absl::StatusOr<int>(1), IsOk());
  EXPECT_THAT(absl::InternalError("x"), Not(IsOk()));
  EXPECT_THAT(absl::StatusOr<int>(absl::InternalError("x")), Not(IsOk()));
}

TEST(StatusMatchers, IsOkAndHoldsTakesValuesAndMatchers) {
  EXPECT_THAT(absl::StatusOr<int>(3), IsOkAndHolds(3));
  EXPECT_THAT(absl::StatusOr<size_t>(3u), IsOkAndHolds(3));
  EXPECT_THAT(absl::StatusOr<int>(3), Not(IsOkAndHolds(4)));
  EXPECT_THAT(absl::StatusOr<std::string>("abc"), IsOkAndHolds("abc"));
  EXPECT_THAT(absl::StatusOr<std::string>("abc"), IsOkAndHolds(HasSubstr("b")));
  EXPECT_THAT(absl::StatusOr<std::vector<int>>({1, 2}),
              IsOkAndHolds(ElementsAre(1, 2)));
  EXPECT_THAT(absl::StatusOr<int>(absl::InternalError("x")),
              Not(IsOkAndHolds(3)));
}

TEST(StatusMatchers, IsOkAndHoldsTakesMoveOnlyValues) {
  const absl::StatusOr<std::unique_ptr<int>> lvalue = std::make_unique<int>(5);
  EXPECT_THAT(lvalue, IsOkAndHolds(Pointee(5)));
  EXPECT_THAT(absl::StatusOr<std::unique_ptr<int>>(std::make_unique<int>(6)),
              IsOkAndHolds(Pointee(6)));
}

TEST(StatusMatchers, StatusIsMatchesCodeAndMessage) {
  const absl::Status aborted =
      absl::AbortedError("commit policy: lost the race");
  EXPECT_THAT(aborted, StatusIs(absl::StatusCode::kAborted));
  EXPECT_THAT(aborted, StatusIs(AnyOf(absl::StatusCode::kAborted,
                                      absl::StatusCode::kUnavailable)));
  EXPECT_THAT(aborted, StatusIs(absl::StatusCode::kAborted,
                                "commit policy: lost the race"));
  EXPECT_THAT(aborted, StatusIs(absl::StatusCode::kAborted, HasSubstr("race")));
  EXPECT_THAT(aborted,
              Not(StatusIs(absl::StatusCode::kInternal, HasSubstr("race"))));
  EXPECT_THAT(aborted,
              Not(StatusIs(absl::StatusCode::kAborted, HasSubstr("won"))));
  EXPECT_THAT(absl::StatusOr<int>(aborted),
              StatusIs(absl::StatusCode::kAborted));
}

TEST(StatusMatchers, AFailureNamesTheStatus) {
  ::testing::StringMatchResultListener listener;
  ::testing::Matcher<absl::Status> is_ok = IsOk();
  EXPECT_FALSE(is_ok.MatchAndExplain(absl::NotFoundError("open map x: gone"),
                                     &listener));
  EXPECT_THAT(listener.str(), HasSubstr("NOT_FOUND: open map x: gone"));

  ::testing::StringMatchResultListener holds_listener;
  ::testing::Matcher<absl::StatusOr<int>> holds = IsOkAndHolds(1);
  EXPECT_FALSE(holds.MatchAndExplain(absl::NotFoundError("open map y: gone"),
                                     &holds_listener));
  EXPECT_THAT(holds_listener.str(), HasSubstr("NOT_FOUND: open map y: gone"));
}

}  // namespace
}  // namespace netpolicy::testing
