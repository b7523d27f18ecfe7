// SPDX-License-Identifier: Apache-2.0
//
// The last commits, with the policy that each put in force, over restarts.
//
// A file: the line "netpolicy-commits VERSION", then records. A record is the
// length of a netpolicy.storage.Commit (netd/daemon/commit_log.proto) and the
// crc32 of those bytes, 4 bytes each, most significant first, and the bytes.
// Records are only ever appended; now and then the file is replaced by one with
// the last ones.

#ifndef NETPOLICY_NETD_DAEMON_COMMIT_LOG_H_
#define NETPOLICY_NETD_DAEMON_COMMIT_LOG_H_

#include <cstddef>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/model/policy.h"
#include "netd/service/history.h"

namespace netpolicy {

inline constexpr int kCommitLogVersion = 1;

// What is kept at least of the newest. The file may grow to twice that before
// it is replaced.
struct CommitLogLimits {
  size_t commits = 100;
  size_t bytes = 16U << 20;  // of records; the newest one is kept in any case
};

// Longest CommitRecord::difference that is kept; what is longer is cut at the
// end of a line, and says so.
inline constexpr size_t kMaxLoggedDifference = 32U << 10;

// Who uses it sees to it that nobody else does (FileLock). Not thread-safe.
class CommitLog {
 public:
  // Reads the file, which need not be there. What a power cut or a fault left
  // unreadable is no error: records before it are kept, and the file as it was
  // is moved to PATH.damaged. Errors, as "open commit log PATH: cause": the
  // system's.
  static absl::StatusOr<CommitLog> Open(std::string path,
                                        const CommitLogLimits& limits);

  CommitLog(CommitLog&&) = default;
  CommitLog& operator=(CommitLog&&) = default;

  // Bytes at the end of the file that could not be read by Open(); they are in
  // PATH.damaged.
  size_t damaged_bytes() const { return damaged_bytes_; }

  // Adds the newest commit and waits until it is on the disk. On error, as
  // "write commit log PATH: cause", it is known until the process ends, and the
  // next call tries to write it again.
  absl::Status Append(const CommitRecord& record, const Policy& policy);

  // Oldest first.
  std::vector<CommitRecord> Records() const;

  // Of the newest commit; 0 when there is none.
  Generation newest() const {
    return entries_.empty() ? Generation{0} : entries_.back().generation;
  }

  // The policy that the newest commit put in force. Errors: kNotFound when
  // there is none; kDataLoss.
  absl::StatusOr<Policy> NewestPolicy() const;

  // The policy that was in force under a generation, given the one that is in
  // force now. A generation between those of two commits made no change to the
  // policy. Errors: kNotFound; kDataLoss.
  absl::StatusOr<Policy> PolicyAt(Generation generation,
                                  Generation in_force) const;

 private:
  // A record as it is in the file, and what of it is needed often.
  struct Entry {
    Generation generation{};
    std::string bytes;
  };

  CommitLog(std::string path, const CommitLogLimits& limits)
      : path_(std::move(path)), limits_(limits) {}

  absl::Status Load();
  size_t Parse(absl::string_view content);
  void Add(Entry entry);
  absl::Status AppendToFile();
  absl::Status ReplaceFile();

  std::string path_;
  CommitLogLimits limits_;
  std::deque<Entry> entries_;
  size_t bytes_ = 0;  // of entries_
  size_t damaged_bytes_ = 0;
  UniqueFd fd_;  // to append; not open: the file must be replaced first
  size_t file_bytes_ = 0;
  size_t file_records_ = 0;
};

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_DAEMON_COMMIT_LOG_H_
