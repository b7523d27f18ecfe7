// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_CLI_FILES_H_
#define NETPOLICY_NETD_CLI_FILES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// What ndc reads and writes for whoever called it.

namespace netpolicy::cli {

// The whole of a file, "-": of standard input. Errors, as "read PATH: cause":
// kNotFound when it can't be opened, kUnavailable when it can't be read,
// kInvalidArgument when it is larger than a policy may be.
absl::StatusOr<std::string> ReadFile(const std::string& path);

// Makes or replaces a file, all of it or not at all, with the mode that new
// files have; into what is there and no plain file, such as a pipe, it is
// written. "-": standard output. Errors, as "write PATH: cause":
// kUnavailable.
absl::Status WriteFile(const std::string& path, absl::string_view text);

// False when not all could be written; errno says why.
bool WriteAll(int fd, absl::string_view text);

}  // namespace netpolicy::cli

#endif  // NETPOLICY_NETD_CLI_FILES_H_
