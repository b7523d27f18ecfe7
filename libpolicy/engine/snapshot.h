// SPDX-License-Identifier: Apache-2.0
//
// Reading the policy tables while others may be committing.
//
// A reader copies what it needs and then looks whether anybody changed anything
// meanwhile (np_control.sequence and .active); if so it begins again. It sees
// the tables as some commit left them, or nothing.

#ifndef NETPOLICY_LIBPOLICY_ENGINE_SNAPSHOT_H_
#define NETPOLICY_LIBPOLICY_ENGINE_SNAPSHOT_H_

#include <atomic>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "bpf_progs/abi/policy.h"
#include "libpolicy/engine/network_tables.h"
#include "libpolicy/engine/tables.h"
#include "libpolicy/model/ids.h"
#include "libpolicy/model/image.h"
#include "libpolicy/model/policy.h"

namespace netpolicy {

// What was copied from the slot in force.
struct TableCopy {
  Generation generation{};
  np_policy_config config{};
  ChainNames chains{};
  std::vector<np_uid_policy> uids;  // those that say something
  SourceCopy source;
};

// Calls `read(active)` until the tables stood still meanwhile, at most
// `attempts` times; false when they never did. What `read` copied before is
// void then.
bool ReadStable(const np_control& control, int attempts,
                absl::FunctionRef<void(uint64_t active)> read);

// Copies what holds for all UIDs.
void CopyConfig(const Tables& tables, uint64_t active, TableCopy& copy);

// Copies every UID's entry.
void CopyUids(const Tables& tables, uint64_t active, TableCopy& copy);

// Everything in a policy's own terms. Errors: those of Decompile().
absl::StatusOr<Policy> DecompileCopy(const TableCopy& copy);

// kFailedPrecondition `OPERATION: the tables were detached` when np_control
// says that they are not in use.
absl::Status CheckReady(const np_control& control, absl::string_view operation);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_ENGINE_SNAPSHOT_H_
