// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/kernel/errno_status.h"

#include <linux/bpf.h>

#include <cerrno>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy {
namespace {

using testing::StatusIs;

TEST(ErrnoText, IsLowerCase) {
  EXPECT_EQ(ErrnoText(ENOENT), "no such file or directory");
  EXPECT_EQ(ErrnoText(524), "not supported by this kernel");
}

TEST(StatusFromErrno, EachNumberHasItsCode) {
  struct Row {
    const char* name;
    int error;
    absl::StatusCode code;
  };
  for (const Row& row : {
           Row{"EPERM", EPERM, absl::StatusCode::kPermissionDenied},
           Row{"EACCES", EACCES, absl::StatusCode::kPermissionDenied},
           Row{"ENOENT", ENOENT, absl::StatusCode::kNotFound},
           Row{"ENODEV", ENODEV, absl::StatusCode::kNotFound},
           Row{"EEXIST", EEXIST, absl::StatusCode::kAlreadyExists},
           Row{"EBUSY", EBUSY, absl::StatusCode::kUnavailable},
           Row{"EAGAIN", EAGAIN, absl::StatusCode::kUnavailable},
           Row{"ENOMEM", ENOMEM, absl::StatusCode::kResourceExhausted},
           Row{"E2BIG", E2BIG, absl::StatusCode::kResourceExhausted},
           Row{"ENOTDIR", ENOTDIR, absl::StatusCode::kInvalidArgument},
           Row{"ENOSYS", ENOSYS, absl::StatusCode::kFailedPrecondition},
           Row{"ENOTSUPP", 524, absl::StatusCode::kFailedPrecondition},
           Row{"EINVAL", EINVAL, absl::StatusCode::kInternal},
           Row{"unknown", 4000, absl::StatusCode::kInternal},
       }) {
    EXPECT_EQ(StatusFromErrno(row.error, "do x").code(), row.code) << row.name;
  }
}

TEST(StatusFromErrno, SaysOperationObjectCauseAndHint) {
  EXPECT_THAT(StatusFromErrno(ENOENT, "open directory /x"),
              StatusIs(absl::StatusCode::kNotFound,
                       "open directory /x: no such file or directory"));
  EXPECT_THAT(
      StatusFromErrno(ENOENT, "open directory /x", "make it"),
      StatusIs(absl::StatusCode::kNotFound,
               "open directory /x: no such file or directory (make it)"));
}

TEST(BpfStatusFromErrno, NamesTheCapability) {
  EXPECT_THAT(
      BpfStatusFromErrno(EPERM, "create map x", "CAP_BPF"),
      StatusIs(absl::StatusCode::kPermissionDenied,
               "create map x: operation not permitted (needs CAP_BPF)"));
  EXPECT_THAT(BpfStatusFromErrno(ENOMEM, "create map x", "CAP_BPF"),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       "create map x: cannot allocate memory"));
}

TEST(MapStatusFromErrno, EachMapTypeSaysFullInItsWay) {
  struct Row {
    const char* name;
    int error;
    MapOperation operation;
    bpf_map_type type;
    absl::StatusCode code;
    const char* message;
  };
  for (const Row& row : {
           Row{"hash full", E2BIG, MapOperation::kUpdate, BPF_MAP_TYPE_HASH,
               absl::StatusCode::kResourceExhausted,
               "update m[k]: map full at 7 entries"},
           Row{"queue full", E2BIG, MapOperation::kUpdate, BPF_MAP_TYPE_QUEUE,
               absl::StatusCode::kResourceExhausted,
               "update m[k]: map full at 7 entries"},
           Row{"trie full", ENOSPC, MapOperation::kUpdate,
               BPF_MAP_TYPE_LPM_TRIE, absl::StatusCode::kResourceExhausted,
               "update m[k]: map full at 7 entries"},
           Row{"array end", E2BIG, MapOperation::kUpdate, BPF_MAP_TYPE_ARRAY,
               absl::StatusCode::kInternal,
               "update m[k]: beyond the end at 7 entries"},
           Row{"memory", ENOMEM, MapOperation::kUpdate, BPF_MAP_TYPE_HASH,
               absl::StatusCode::kResourceExhausted,
               "update m[k]: cannot allocate memory"},
           Row{"absent", ENOENT, MapOperation::kDelete, BPF_MAP_TYPE_HASH,
               absl::StatusCode::kNotFound, "delete m[k]: no entry"},
           Row{"exists", EEXIST, MapOperation::kUpdate, BPF_MAP_TYPE_HASH,
               absl::StatusCode::kAlreadyExists, "update m[k]: entry exists"},
           Row{"not allowed", EPERM, MapOperation::kLookup, BPF_MAP_TYPE_HASH,
               absl::StatusCode::kPermissionDenied,
               "look up m[k]: operation not permitted (needs CAP_BPF)"},
           Row{"no such operation", 524, MapOperation::kDump,
               BPF_MAP_TYPE_QUEUE, absl::StatusCode::kFailedPrecondition,
               "dump m[k]: not supported by this kernel"},
       }) {
    EXPECT_THAT(
        MapStatusFromErrno(row.error, row.operation, "m[k]", row.type, 7),
        StatusIs(row.code, row.message))
        << row.name;
  }
}

}  // namespace
}  // namespace netpolicy
