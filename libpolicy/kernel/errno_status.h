// SPDX-License-Identifier: Apache-2.0
//
// What the kernel's error numbers mean, operation by operation. Above this
// layer there are only statuses, with messages of the form `operation object:
// cause`.

#ifndef NETPOLICY_LIBPOLICY_KERNEL_ERRNO_STATUS_H_
#define NETPOLICY_LIBPOLICY_KERNEL_ERRNO_STATUS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace netpolicy {

// The kernel's own ENOTSUPP, which user space has no name for: a map type has
// no such operation (include/linux/errno.h).
inline constexpr int kErrnoNotSupported = 524;

// The error in words, lower case: "no such file or directory". `error` is a
// positive errno.
std::string ErrnoText(int error);

// The status of a failed system call that has no finer translation. `operation`
// is the operation and its object: "open directory /x". A `hint`, when given,
// follows the cause in parentheses.
//
// Codes: EPERM, EACCES kPermissionDenied; ENOENT, ENODEV, ENXIO, ESRCH
// kNotFound; EEXIST kAlreadyExists; EBUSY, EAGAIN, EINTR kUnavailable; ENOMEM,
// ENOSPC, E2BIG, EMFILE, ENFILE, EDQUOT kResourceExhausted; ENOTDIR, EISDIR,
// ELOOP, ENAMETOOLONG kInvalidArgument; ENOSYS, EOPNOTSUPP, 524, EROFS
// kFailedPrecondition; the rest, EINVAL among them, kInternal: we asked for
// something that makes no sense.
absl::Status StatusFromErrno(int error, absl::string_view operation,
                             absl::string_view hint = "");

// As StatusFromErrno() for bpf(2) calls that need privileges: EPERM names them.
// `capabilities`: "CAP_BPF and CAP_NET_ADMIN".
absl::Status BpfStatusFromErrno(int error, absl::string_view operation,
                                absl::string_view capabilities);

enum class MapOperation : uint8_t { kLookup, kUpdate, kDelete, kDump };

// The status of a failed operation on an element (`element`:
// "np_uid_index[uid=10007]"). A map that is full says E2BIG (hash, queue), or
// ENOSPC (LPM trie): kResourceExhausted "map full at 4096 entries". E2BIG from
// an array is an index beyond its end: kInternal. ENOENT: kNotFound "no entry".
// EEXIST: kAlreadyExists. 524 and EOPNOTSUPP: kFailedPrecondition.
absl::Status MapStatusFromErrno(int error, MapOperation operation,
                                absl::string_view element, uint32_t map_type,
                                uint32_t max_entries);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_KERNEL_ERRNO_STATUS_H_
