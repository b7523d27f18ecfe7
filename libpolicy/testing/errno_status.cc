// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/testing/errno_status.h"

#include <cstring>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace netpolicy::testing {
namespace {

constexpr absl::string_view kPayloadUrl = "netpolicy.testing/errno";

}  // namespace

std::string ErrnoName(int error) {
  const char* name = strerrorname_np(error);
  return name != nullptr ? name : absl::StrCat("errno ", error);
}

absl::Status ErrnoStatus(int error, absl::string_view what) {
  const char* text = strerrordesc_np(error);
  std::string cause = text != nullptr ? text : "unknown error";
  // "Operation not permitted" reads on after a colon, "RFS specific" does not.
  if (cause.size() > 1 && absl::ascii_islower(cause[1])) {
    cause[0] = absl::ascii_tolower(cause[0]);
  }
  absl::Status status(
      absl::ErrnoToStatusCode(error),
      absl::StrCat(what, ": ", cause, " (", ErrnoName(error), ")"));
  SetErrno(status, error);
  return status;
}

int ErrnoOf(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kPayloadUrl);
  int error = 0;
  if (payload.has_value() && !absl::SimpleAtoi(std::string(*payload), &error)) {
    return 0;
  }
  return error;
}

void SetErrno(absl::Status& status, int error) {
  if (error != 0)
    status.SetPayload(kPayloadUrl, absl::Cord(absl::StrCat(error)));
}

}  // namespace netpolicy::testing
