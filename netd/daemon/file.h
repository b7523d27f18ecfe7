// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_DAEMON_FILE_H_
#define NETPOLICY_NETD_DAEMON_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace netpolicy {

// The content of a regular file. Errors, as "read PATH: cause":
// kInvalidArgument when it is larger than `max_bytes` or not a regular file;
// kNotFound and the system's others (libpolicy/kernel/errno_status.h).
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes);

// Writes all of it. Errors, as "write PATH: cause": the system's.
absl::Status WriteAll(int fd, absl::string_view bytes, const std::string& path);

// The directory that the name `path` is in: "/a" for "/a/b", "." for "b".
std::string DirectoryOf(const std::string& path);

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_DAEMON_FILE_H_
