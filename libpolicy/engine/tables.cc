// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/engine/tables.h"

#include <linux/bpf.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"

namespace netpolicy {
namespace {

template <typename Value>
absl::StatusOr<MappedTable<Value>> OpenMapped(UniqueFd fd) {
  NP_ASSIGN_OR_RETURN(RawMap map, RawMap::Open(std::move(fd)));
  NP_RETURN_IF_ERROR(
      internal::CheckElementSizes(map.info(), sizeof(uint32_t), sizeof(Value)));
  NP_ASSIGN_OR_RETURN(auto array, MappedArray<Value>::Map(map));
  return MappedTable<Value>{std::move(map), std::move(array)};
}

absl::Status CheckType(const MapInfo& info, bpf_map_type expected) {
  if (info.type == expected) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("open map ", info.name,
                                                    ": type is ", info.type,
                                                    ", expected ", expected));
}

absl::Status CheckSize(const MapInfo& info, uint32_t expected) {
  if (info.max_entries == expected) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("open map ", info.name, ": ", info.max_entries,
                   " entries, expected ", expected));
}

}  // namespace

absl::StatusOr<Tables> Tables::Open(
    absl::FunctionRef<absl::StatusOr<UniqueFd>(absl::string_view name)>
        descriptor_of) {
  std::vector<UniqueFd> fds;
  for (absl::string_view name : kTableNames) {
    NP_ASSIGN_OR_RETURN(UniqueFd fd, descriptor_of(name));
    fds.push_back(std::move(fd));
  }
  // In the order of kTableNames.
  NP_ASSIGN_OR_RETURN(auto control, OpenMapped<np_control>(std::move(fds[0])));
  NP_ASSIGN_OR_RETURN(auto config,
                      OpenMapped<np_policy_config>(std::move(fds[1])));
  NP_ASSIGN_OR_RETURN(auto chain, OpenMapped<np_chain>(std::move(fds[2])));
  NP_ASSIGN_OR_RETURN(auto uid_index, Map<np_uid_key, np_uid_position>::Open(
                                          std::move(fds[3])));
  NP_ASSIGN_OR_RETURN(auto uid_policy,
                      OpenMapped<np_uid_policy>(std::move(fds[4])));
  NP_ASSIGN_OR_RETURN(auto rows,
                      ReadOnlyMap<np_row_key, np_row>::Open(std::move(fds[5])));
  NP_ASSIGN_OR_RETURN(RawMap free_rows, RawMap::Open(std::move(fds[6])));
  NP_ASSIGN_OR_RETURN(
      auto counters, PerCpuMap<uint32_t, np_counters>::Open(std::move(fds[7])));
  NP_ASSIGN_OR_RETURN(
      auto drops,
      PerCpuMap<np_drop_key, np_drop_counters>::Open(std::move(fds[8])));
  NP_ASSIGN_OR_RETURN(auto loss,
                      PerCpuMap<uint32_t, uint64_t>::Open(std::move(fds[9])));
  NP_ASSIGN_OR_RETURN(auto socket,
                      (Map<int, np_socket>::Open(std::move(fds[10]))));
  NP_ASSIGN_OR_RETURN(RawMap fence, RawMap::Open(std::move(fds[11])));
  NP_ASSIGN_OR_RETURN(
      auto counter_sets,
      (Map<np_uid_key, np_counter_set>::Open(std::move(fds[12]))));
  NP_ASSIGN_OR_RETURN(
      auto interfaces,
      Map<np_interface_key, np_interface>::Open(std::move(fds[13])));
  NP_ASSIGN_OR_RETURN(auto prefixes,
                      Map<np_prefix_key, np_prefix>::Open(std::move(fds[14])));
  NP_ASSIGN_OR_RETURN(auto network_rules,
                      OpenMapped<np_network_rule>(std::move(fds[15])));
  NP_ASSIGN_OR_RETURN(
      auto discards, Map<np_discard_key, np_discard>::Open(std::move(fds[16])));
  NP_ASSIGN_OR_RETURN(auto bind_ports,
                      OpenMapped<uint64_t>(std::move(fds[17])));
  NP_ASSIGN_OR_RETURN(auto source, OpenMapped<uint64_t>(std::move(fds[18])));
  NP_ASSIGN_OR_RETURN(
      auto refused,
      ReadOnlyMap<np_refused_key, np_refused>::Open(std::move(fds[19])));
  NP_ASSIGN_OR_RETURN(
      auto uid_shares,
      ReadOnlyMap<np_uid_key, np_uid_share>::Open(std::move(fds[20])));
  NP_ASSIGN_OR_RETURN(RawMap free_uid_rows, RawMap::Open(std::move(fds[21])));
  NP_ASSIGN_OR_RETURN(auto quotas, OpenMapped<np_quota>(std::move(fds[22])));
  NP_ASSIGN_OR_RETURN(
      auto quota_sets,
      (Map<np_quota_key, np_quota_set>::Open(std::move(fds[23]))));
  NP_ASSIGN_OR_RETURN(RawMap quota_wake, RawMap::Open(std::move(fds[24])));

  // Mapped tables are arrays: nothing else can be mapped.
  NP_RETURN_IF_ERROR(CheckType(uid_index.info(), BPF_MAP_TYPE_HASH));
  NP_RETURN_IF_ERROR(CheckType(rows.info(), BPF_MAP_TYPE_HASH));
  NP_RETURN_IF_ERROR(CheckType(free_rows.info(), BPF_MAP_TYPE_QUEUE));
  NP_RETURN_IF_ERROR(CheckType(uid_shares.info(), BPF_MAP_TYPE_HASH));
  NP_RETURN_IF_ERROR(CheckType(free_uid_rows.info(), BPF_MAP_TYPE_QUEUE));
  NP_RETURN_IF_ERROR(CheckType(counters.info(), BPF_MAP_TYPE_PERCPU_ARRAY));
  NP_RETURN_IF_ERROR(CheckType(drops.info(), BPF_MAP_TYPE_PERCPU_HASH));
  NP_RETURN_IF_ERROR(CheckType(loss.info(), BPF_MAP_TYPE_PERCPU_ARRAY));
  NP_RETURN_IF_ERROR(CheckType(socket.info(), BPF_MAP_TYPE_SK_STORAGE));
  NP_RETURN_IF_ERROR(CheckType(counter_sets.info(), BPF_MAP_TYPE_HASH));
  NP_RETURN_IF_ERROR(CheckType(fence.info(), BPF_MAP_TYPE_ARRAY_OF_MAPS));

  NP_RETURN_IF_ERROR(CheckType(interfaces.info(), BPF_MAP_TYPE_LPM_TRIE));
  NP_RETURN_IF_ERROR(CheckType(prefixes.info(), BPF_MAP_TYPE_LPM_TRIE));
  NP_RETURN_IF_ERROR(CheckType(discards.info(), BPF_MAP_TYPE_HASH));
  NP_RETURN_IF_ERROR(CheckType(refused.info(), BPF_MAP_TYPE_LRU_HASH));

  NP_RETURN_IF_ERROR(CheckType(quota_sets.info(), BPF_MAP_TYPE_HASH));
  NP_RETURN_IF_ERROR(CheckType(quota_wake.info(), BPF_MAP_TYPE_RINGBUF));

  NP_RETURN_IF_ERROR(CheckSize(control.map.info(), 1));
  NP_RETURN_IF_ERROR(CheckSize(quotas.map.info(), NP_QUOTAS));
  NP_RETURN_IF_ERROR(CheckSize(config.map.info(), NP_SLOTS));
  NP_RETURN_IF_ERROR(CheckSize(chain.map.info(), NP_SLOTS * NP_REASONS));
  NP_RETURN_IF_ERROR(CheckSize(uid_policy.map.info(),
                               NP_SLOTS * uid_index.info().max_entries));
  NP_RETURN_IF_ERROR(
      CheckSize(bind_ports.map.info(), NP_SLOTS * NP_BIND_PORT_WORDS));
  return Tables{
      std::move(control),       std::move(config),     std::move(chain),
      std::move(uid_index),     std::move(uid_policy), std::move(rows),
      std::move(free_rows),     std::move(counters),   std::move(drops),
      std::move(loss),          std::move(socket),     std::move(fence),
      std::move(counter_sets),  std::move(interfaces), std::move(prefixes),
      std::move(network_rules), std::move(discards),   std::move(bind_ports),
      std::move(source),        std::move(refused),    std::move(uid_shares),
      std::move(free_uid_rows), std::move(quotas),     std::move(quota_sets),
      std::move(quota_wake)};
}

std::vector<const RawMap*> Tables::All() const {
  return {&control.map,        &config.map,       &chain.map,
          &uid_index.raw(),    &uid_policy.map,   &rows.raw(),
          &free_rows,          &counters.raw(),   &drops.raw(),
          &loss.raw(),         &socket.raw(),     &fence,
          &counter_sets.raw(), &interfaces.raw(), &prefixes.raw(),
          &network_rules.map,  &discards.raw(),   &bind_ports.map,
          &source.map,         &refused.raw(),    &uid_shares.raw(),
          &free_uid_rows,      &quotas.map,       &quota_sets.raw(),
          &quota_wake};
}

}  // namespace netpolicy
