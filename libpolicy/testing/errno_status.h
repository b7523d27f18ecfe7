// SPDX-License-Identifier: Apache-2.0
//
// Statuses that carry the errno of a failed system call, and a matcher for it.
//
//   if (connect(fd, ...) < 0) return ErrnoStatus(errno, "connect
//   [fd00::1]:53");
//
//   EXPECT_THAT(app->Connect(socket, peer), HasErrno(EPERM));
//
// The code of such a status follows absl::ErrnoToStatusCode; the exact errno
// travels in a payload, as several errnos share a code.

#ifndef NETPOLICY_LIBPOLICY_TESTING_ERRNO_STATUS_H_
#define NETPOLICY_LIBPOLICY_TESTING_ERRNO_STATUS_H_

#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"

namespace netpolicy::testing {

// The status of a failed call; `what` is the operation and its object. The
// message reads `connect [fd00::1]:53: operation not permitted (EPERM)`.
// `error` is a positive errno.
absl::Status ErrnoStatus(int error, absl::string_view what);

// The errno that a status carries, or 0 when it carries none.
int ErrnoOf(const absl::Status& status);

// Adds an errno to a status that was made elsewhere (0 adds nothing).
void SetErrno(absl::Status& status, int error);

// "EPERM" for EPERM; "errno 4095" for an unknown number.
std::string ErrnoName(int error);

namespace internal {

class HasErrnoMatcher {
 public:
  using is_gtest_matcher = void;

  explicit HasErrnoMatcher(int error) : error_(error) {}

  bool MatchAndExplain(const absl::Status& status,
                       ::testing::MatchResultListener* listener) const {
    *listener << "which is " << status.ToString();
    return !status.ok() && ErrnoOf(status) == error_;
  }
  template <typename T>
  bool MatchAndExplain(const absl::StatusOr<T>& status_or,
                       ::testing::MatchResultListener* listener) const {
    return MatchAndExplain(status_or.status(), listener);
  }
  void DescribeTo(std::ostream* os) const {
    *os << "failed with " << ErrnoName(error_);
  }
  void DescribeNegationTo(std::ostream* os) const {
    *os << "did not fail with " << ErrnoName(error_);
  }

 private:
  int error_;
};

}  // namespace internal

// Matches a failed status, or StatusOr, whose system call set this errno.
inline internal::HasErrnoMatcher HasErrno(int error) {
  return internal::HasErrnoMatcher(error);
}

}  // namespace netpolicy::testing

#endif  // NETPOLICY_LIBPOLICY_TESTING_ERRNO_STATUS_H_
