// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/kernel/errno_status.h"

#include <linux/bpf.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace netpolicy {
namespace {

absl::StatusCode CodeOf(int error) {
  switch (error) {
    case EPERM:
    case EACCES:
      return absl::StatusCode::kPermissionDenied;
    case ENOENT:
    case ENODEV:
    case ENXIO:
    case ESRCH:
      return absl::StatusCode::kNotFound;
    case EEXIST:
      return absl::StatusCode::kAlreadyExists;
    case EBUSY:
    case EAGAIN:
    case EINTR:
      return absl::StatusCode::kUnavailable;
    case ENOMEM:
    case ENOSPC:
    case E2BIG:
    case EMFILE:
    case ENFILE:
    case EDQUOT:
      return absl::StatusCode::kResourceExhausted;
    case ENOTDIR:
    case EISDIR:
    case ELOOP:
    case ENAMETOOLONG:
      return absl::StatusCode::kInvalidArgument;
    case ENOSYS:
    case EOPNOTSUPP:
    case EROFS:
    case kErrnoNotSupported:
      return absl::StatusCode::kFailedPrecondition;
    default:
      return absl::StatusCode::kInternal;
  }
}

absl::string_view Verb(MapOperation operation) {
  switch (operation) {
    case MapOperation::kLookup:
      return "look up";
    case MapOperation::kUpdate:
      return "update";
    case MapOperation::kDelete:
      return "delete";
    case MapOperation::kDump:
      return "dump";
  }
  return "use";
}

bool IsArray(uint32_t map_type) {
  return map_type == BPF_MAP_TYPE_ARRAY ||
         map_type == BPF_MAP_TYPE_PERCPU_ARRAY ||
         map_type == BPF_MAP_TYPE_ARRAY_OF_MAPS;
}

}  // namespace

std::string ErrnoText(int error) {
  if (error == kErrnoNotSupported) return "not supported by this kernel";
  char buffer[128];
  // The GNU strerror_r: the text may or may not be in the buffer.
  std::string text = strerror_r(error, buffer, sizeof(buffer));
  if (!text.empty()) text[0] = absl::ascii_tolower(text[0]);
  return text;
}

absl::Status StatusFromErrno(int error, absl::string_view operation,
                             absl::string_view hint) {
  std::string message = absl::StrCat(operation, ": ", ErrnoText(error));
  if (!hint.empty()) absl::StrAppend(&message, " (", hint, ")");
  return absl::Status(CodeOf(error), message);
}

absl::Status BpfStatusFromErrno(int error, absl::string_view operation,
                                absl::string_view capabilities) {
  if (error == EPERM) {
    return StatusFromErrno(error, operation,
                           absl::StrCat("needs ", capabilities));
  }
  return StatusFromErrno(error, operation);
}

absl::Status MapStatusFromErrno(int error, MapOperation operation,
                                absl::string_view element, uint32_t map_type,
                                uint32_t max_entries) {
  const std::string what = absl::StrCat(Verb(operation), " ", element);
  const bool array = IsArray(map_type);
  if (error == E2BIG && array) {
    return absl::InternalError(
        absl::StrCat(what, ": beyond the end at ", max_entries, " entries"));
  }
  if (operation == MapOperation::kUpdate &&
      (error == E2BIG ||
       (error == ENOSPC && map_type == BPF_MAP_TYPE_LPM_TRIE))) {
    return absl::ResourceExhaustedError(
        absl::StrCat(what, ": map full at ", max_entries, " entries"));
  }
  if (error == ENOENT) return absl::NotFoundError(what + ": no entry");
  if (error == EEXIST) return absl::AlreadyExistsError(what + ": entry exists");
  return BpfStatusFromErrno(error, what, "CAP_BPF");
}

}  // namespace netpolicy
