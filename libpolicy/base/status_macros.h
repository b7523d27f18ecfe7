// SPDX-License-Identifier: Apache-2.0
//
// Early return on error for functions that return absl::Status or
// absl::StatusOr<T>.
//
//   absl::StatusOr<Snapshot> Read(absl::string_view path) {
//     NP_ASSIGN_OR_RETURN(UniqueFd fd, OpenReadOnly(path));
//     NP_ASSIGN_OR_RETURN(auto rows, Parse<std::pair<int, int>>(fd.get()));
//     NP_RETURN_IF_ERROR(Validate(rows));
//     return Snapshot(std::move(rows));
//   }
//
// The status is returned unchanged: the callee has already named the operation,
// the object and the cause. To add words, write the `if` yourself.

#ifndef NETPOLICY_LIBPOLICY_BASE_STATUS_MACROS_H_
#define NETPOLICY_LIBPOLICY_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Evaluates an expression of type absl::Status once; returns it from the
// enclosing function when it is an error. The expression may contain commas.
#define NP_RETURN_IF_ERROR(...)                          \
  do {                                                   \
    if (absl::Status np_status_or_error = (__VA_ARGS__); \
        !np_status_or_error.ok()) {                      \
      return np_status_or_error;                         \
    }                                                    \
  } while (false)

// Evaluates an expression of type absl::StatusOr<T> once; returns its status
// when it is an error, else moves the value into `lhs`, which is a declaration
// (`auto x`) or an assignable expression. The expression may contain commas;
// `lhs` may not. It expands to several statements, so it can't be the body of
// an unbraced `if`.
#define NP_ASSIGN_OR_RETURN(lhs, ...) \
  NP_STATUS_MACROS_ASSIGN_(           \
      NP_STATUS_MACROS_CONCAT_(np_status_or_, __COUNTER__), lhs, __VA_ARGS__)

// Implementation details.
#define NP_STATUS_MACROS_CONCAT_INNER_(a, b) a##b
#define NP_STATUS_MACROS_CONCAT_(a, b) NP_STATUS_MACROS_CONCAT_INNER_(a, b)
#define NP_STATUS_MACROS_ASSIGN_(variable, lhs, ...) \
  auto variable = (__VA_ARGS__);                     \
  if (!variable.ok()) {                              \
    return std::move(variable).status();             \
  }                                                  \
  lhs = *std::move(variable)

#endif  // NETPOLICY_LIBPOLICY_BASE_STATUS_MACROS_H_
