// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/engine/snapshot.h"

#include <sched.h>

#include <atomic>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/kernel/mapped_array.h"

namespace netpolicy {

bool ReadStable(const np_control& control, int attempts,
                absl::FunctionRef<void(uint64_t active)> read) {
  for (int i = 0; i < attempts; ++i) {
    const uint64_t sequence = LoadAcquire(control.sequence);
    const uint64_t active = LoadAcquire(control.active);
    if (sequence % 2 == 0) {
      read(active);
      // The loads of the tables come before those of the check. A writer steps
      // the sequence on before it touches a table, so whoever read something
      // new sees the new sequence here.
      std::atomic_thread_fence(std::memory_order_acquire);
      if (LoadWord(control.sequence) == sequence &&
          LoadWord(control.active) == active) {
        return true;
      }
    }
    sched_yield();
  }
  return false;
}

void CopyConfig(const Tables& tables, uint64_t active, TableCopy& copy) {
  const uint32_t slot = np_active_slot(active);
  copy.generation = Generation{np_active_generation(active)};
  copy.config = CopyWords(tables.config_of(slot));
  for (int number = 0; number < NP_REASONS; ++number) {
    copy.chains[static_cast<size_t>(number)] =
        CopyWords(tables.chain_of(slot, number));
  }
  copy.source = CopySource(tables, slot);
}

void CopyUids(const Tables& tables, uint64_t active, TableCopy& copy) {
  const uint32_t slot = np_active_slot(active);
  copy.uids.clear();
  for (uint32_t position = 0; position < tables.slot_size(); ++position) {
    const np_uid_policy entry = CopyWords(tables.entry(slot, position));
    if (entry.rules != 0 || entry.stated != 0) copy.uids.push_back(entry);
  }
}

absl::StatusOr<Policy> DecompileCopy(const TableCopy& copy) {
  NP_RETURN_IF_ERROR(CheckSource(copy.source));
  return Decompile(copy.config, copy.chains, copy.uids, copy.source.bytes);
}

absl::Status CheckReady(const np_control& control,
                        absl::string_view operation) {
  if (LoadAcquire(control.ready) == 1) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(operation, ": the tables were detached"));
}

}  // namespace netpolicy
