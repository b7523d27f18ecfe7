// SPDX-License-Identifier: Apache-2.0
//
// The tables of bpf_progs/maps/policy_maps.h as this process holds them: typed
// maps, and mappings of those that are mapped. What they hold is said in
// bpf_progs/abi/.

#ifndef NETPOLICY_LIBPOLICY_ENGINE_TABLES_H_
#define NETPOLICY_LIBPOLICY_ENGINE_TABLES_H_

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "bpf_progs/abi/control.h"
#include "bpf_progs/abi/network.h"
#include "bpf_progs/abi/policy.h"
#include "bpf_progs/abi/quota.h"
#include "bpf_progs/abi/socket.h"
#include "bpf_progs/abi/stats.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/kernel/map.h"
#include "libpolicy/kernel/mapped_array.h"

namespace netpolicy {

// Names of the tables, which are also those of their pins.
inline constexpr std::array<absl::string_view, 25> kTableNames = {
    "np_control",     "np_config",     "np_chain",     "np_uid_index",
    "np_uid_policy",  "np_rows",       "np_free_rows", "np_counters",
    "np_drops",       "np_loss",       "np_socket",    "np_fence",
    "np_counter_set", "np_interface",  "np_prefix",    "np_network_rule",
    "np_discard",     "np_bind_ports", "np_source",    "np_refused",
    "np_uid_share",   "np_free_uid",   "np_quotas",    "np_quota_set",
    "np_quota_wake"};

// Those that tables of ABI 3.0 lack; they are then made when adopted.
inline constexpr std::array<absl::string_view, 3> kLaterTables = {
    "np_quotas", "np_quota_set", "np_quota_wake"};

// A table that is read, or written, through memory.
template <typename Value>
struct MappedTable {
  RawMap map;
  MappedArray<Value> array;
};

// Owns descriptors and mappings. Immutable after Open(): safe to use from
// several threads, as far as the tables' own rules allow
// (bpf_progs/abi/control.h).
struct Tables {
  MappedTable<np_control> control;
  MappedTable<np_policy_config> config;
  MappedTable<np_chain> chain;
  Map<np_uid_key, np_uid_position> uid_index;
  MappedTable<np_uid_policy> uid_policy;
  ReadOnlyMap<np_row_key, np_row> rows;
  RawMap free_rows;
  PerCpuMap<uint32_t, np_counters> counters;
  PerCpuMap<np_drop_key, np_drop_counters> drops;
  PerCpuMap<uint32_t, uint64_t> loss;
  Map<int, np_socket> socket;  // by descriptor
  RawMap fence;
  Map<np_uid_key, np_counter_set> counter_sets;
  Map<np_interface_key, np_interface> interfaces;
  Map<np_prefix_key, np_prefix> prefixes;
  MappedTable<np_network_rule> network_rules;
  Map<np_discard_key, np_discard> discards;
  MappedTable<uint64_t> bind_ports;
  MappedTable<uint64_t> source;
  ReadOnlyMap<np_refused_key, np_refused> refused;
  ReadOnlyMap<np_uid_key, np_uid_share> uid_shares;
  RawMap free_uid_rows;
  MappedTable<np_quota> quotas;
  Map<np_quota_key, np_quota_set> quota_sets;
  RawMap quota_wake;

  // Takes each table from `descriptor_of(name)`. Errors: those of the source;
  // kFailedPrecondition when sizes don't fit each other or the ABI headers.
  static absl::StatusOr<Tables> Open(
      absl::FunctionRef<absl::StatusOr<UniqueFd>(absl::string_view name)>
          descriptor_of);

  // Positions in one slot of np_uid_policy.
  uint32_t slot_size() const {
    return uid_policy.map.info().max_entries / NP_SLOTS;
  }

  // UIDs that a policy may mention: half the positions, so that whatever policy
  // fits can replace whatever other one is in force (a UID keeps its position
  // while a packet could still be judged by the old policy).
  uint32_t max_uids() const { return slot_size() / 2; }

  // All of them, in the order of kTableNames.
  std::vector<const RawMap*> All() const;

  np_control& control_entry() const { return control.array.at(0); }
  np_policy_config& config_of(uint32_t slot) const {
    return config.array.at(slot);
  }
  np_chain& chain_of(uint32_t slot, int number) const {
    return chain.array.at(slot * NP_REASONS + static_cast<uint32_t>(number));
  }
  np_uid_policy& entry(uint32_t slot, uint32_t position) const {
    return uid_policy.array.at(size_t{slot} * slot_size() + position);
  }
};

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_ENGINE_TABLES_H_
