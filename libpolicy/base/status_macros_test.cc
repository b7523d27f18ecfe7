// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/base/status_macros.h"

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"

namespace netpolicy {
namespace {

template <typename A, typename B>
absl::StatusOr<std::pair<A, B>> MakePair(A a, B b) {
  return std::pair<A, B>(a, b);
}

absl::Status ReturnIfError(const absl::Status& status, int& evaluations,
                           bool& went_on) {
  NP_RETURN_IF_ERROR((++evaluations, status));
  went_on = true;
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<int>> MoveThrough(
    absl::StatusOr<std::unique_ptr<int>> in) {
  NP_ASSIGN_OR_RETURN(std::unique_ptr<int> value, std::move(in));
  ++*value;
  return value;
}

absl::StatusOr<int> Sum() {
  NP_ASSIGN_OR_RETURN(auto first, MakePair<int, int>(1, 2));
  int assigned = 0;
  NP_ASSIGN_OR_RETURN(assigned, absl::StatusOr<int>(4));
  if (assigned != 4) NP_RETURN_IF_ERROR(absl::InternalError("not assigned"));
  return first.first + first.second + assigned;
}

TEST(StatusMacros, OkGoesOnAndEvaluatesOnce) {
  int evaluations = 0;
  bool went_on = false;
  EXPECT_TRUE(ReturnIfError(absl::OkStatus(), evaluations, went_on).ok());
  EXPECT_EQ(evaluations, 1);
  EXPECT_TRUE(went_on);
}

TEST(StatusMacros, ErrorReturnsUnchangedAndEvaluatesOnce) {
  int evaluations = 0;
  bool went_on = false;
  const absl::Status error = absl::AbortedError("commit policy: lost the race");
  EXPECT_EQ(ReturnIfError(error, evaluations, went_on), error);
  EXPECT_EQ(evaluations, 1);
  EXPECT_FALSE(went_on);
}

TEST(StatusMacros, AssignMovesTheValue) {
  absl::StatusOr<std::unique_ptr<int>> result =
      MoveThrough(std::make_unique<int>(41));
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(**result, 42);
}

TEST(StatusMacros, AssignReturnsTheErrorUnchanged) {
  const absl::Status error =
      absl::NotFoundError("open map x: no such file or directory");
  EXPECT_EQ(MoveThrough(error).status(), error);
}

TEST(StatusMacros, ExpressionsMayContainCommasAndShareAScope) {
  absl::StatusOr<int> sum = Sum();
  ASSERT_TRUE(sum.ok());
  EXPECT_EQ(*sum, 7);
}

}  // namespace
}  // namespace netpolicy
