// SPDX-License-Identifier: Apache-2.0
//
// The seam between the commit and the kernel: every write of a commit goes
// through it, so that a test can make the n-th one fail, or be the last one of
// a process.

#ifndef NETPOLICY_LIBPOLICY_ENGINE_TABLE_WRITER_H_
#define NETPOLICY_LIBPOLICY_ENGINE_TABLE_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "bpf_progs/abi/policy.h"
#include "libpolicy/engine/tables.h"

namespace netpolicy {

class TableWriter {
 public:
  virtual ~TableWriter() = default;

  // Writes a word that no packet is judged by: of the idle slot, or of a
  // position that nobody has.
  virtual absl::Status Store(__u64& word, uint64_t value) = 0;

  // Writes a word of np_control or of the slot in force, after everything
  // before. A store into memory can't fail.
  virtual void Publish(__u64& word, uint64_t value) = 0;

  // Enters UIDs into np_uid_index; on an error the first `done` are in it.
  virtual absl::Status InsertPositions(
      absl::Span<const np_uid_key> uids,
      absl::Span<const np_uid_position> positions, size_t& done) = 0;

  // Removes UIDs from np_uid_index; on an error the first `done` are gone.
  virtual absl::Status DeletePositions(absl::Span<const np_uid_key> uids,
                                       size_t& done) = 0;

  // Writes or removes an entry that no packet is judged by: of the idle slot,
  // or of a set of rules that no slot names. To remove what is not there is no
  // error.
  virtual absl::Status Set(const RawMap& map, const void* key,
                           const void* value) = 0;
  virtual absl::Status Remove(const RawMap& map, const void* key) = 0;

  // Returns when every program that runs at the time of the call has ended.
  virtual absl::Status Fence() = 0;
};

// The one that writes. `tables` must outlive it.
absl::StatusOr<std::unique_ptr<TableWriter>> MakeKernelTableWriter(
    const Tables& tables);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_ENGINE_TABLE_WRITER_H_
