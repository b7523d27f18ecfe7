// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/testing/errno_status.h"

#include <cerrno>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace netpolicy::testing {
namespace {

using ::testing::Not;

TEST(ErrnoStatus, MessageNamesOperationCauseAndErrno) {
  const absl::Status status = ErrnoStatus(EPERM, "connect [fd00::1]:53");
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(status.message(),
            "connect [fd00::1]:53: operation not permitted (EPERM)");
  EXPECT_EQ(ErrnoOf(status), EPERM);
}

TEST(ErrnoStatus, UnknownErrnoIsKept) {
  const absl::Status status = ErrnoStatus(524, "load program");
  EXPECT_EQ(status.message(), "load program: unknown error (errno 524)");
  EXPECT_EQ(ErrnoOf(status), 524);
}

TEST(ErrnoStatus, AStatusMadeElsewhereHasNoErrno) {
  EXPECT_EQ(ErrnoOf(absl::PermissionDeniedError("no")), 0);
  EXPECT_EQ(ErrnoOf(absl::OkStatus()), 0);
}

TEST(ErrnoStatus, HasErrnoTellsErrnosOfOneCodeApart) {
  EXPECT_THAT(ErrnoStatus(EPERM, "x"), HasErrno(EPERM));
  EXPECT_THAT(ErrnoStatus(EACCES, "x"), Not(HasErrno(EPERM)));
  EXPECT_THAT(absl::StatusOr<int>(ErrnoStatus(EPERM, "x")), HasErrno(EPERM));
  EXPECT_THAT(absl::StatusOr<int>(1), Not(HasErrno(EPERM)));
  EXPECT_THAT(absl::OkStatus(), Not(HasErrno(0)));
}

}  // namespace
}  // namespace netpolicy::testing
