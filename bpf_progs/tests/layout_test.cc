// SPDX-License-Identifier: Apache-2.0
//
// The structs of the tables are laid out for the programs, as their BTF says,
// as they are for C++. Field by field: two fields of one size that changed
// places would pass for the asserts in the headers.

#include <bpf/btf.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bpf_progs/abi/control.h"
#include "bpf_progs/abi/network.h"
#include "bpf_progs/abi/policy.h"
#include "bpf_progs/abi/quota.h"
#include "bpf_progs/abi/socket.h"
#include "bpf_progs/abi/stats.h"
#include "gtest/gtest.h"

namespace netpolicy {
namespace {

struct Place {
  size_t offset;
  size_t size;

  friend bool operator==(const Place&, const Place&) = default;
  friend void PrintTo(const Place& place, std::ostream* out) {
    *out << place.size << " bytes at " << place.offset;
  }
};

struct Layout {
  const char* name;
  size_t size;
  std::map<std::string, Place> fields;
};

// The one macro, as offsetof() wants the words themselves.
#define PLACE(type, field)                                 \
  {                                                        \
#field, { offsetof(type, field), sizeof(type::field) } \
  }

std::vector<Layout> Layouts() {
  return {
      {"np_control",
       sizeof(np_control),
       {PLACE(np_control, magic), PLACE(np_control, abi_major),
        PLACE(np_control, abi_minor), PLACE(np_control, active),
        PLACE(np_control, fenced_generation), PLACE(np_control, ready),
        PLACE(np_control, netns), PLACE(np_control, rows_per_uid),
        PLACE(np_control, sequence), PLACE(np_control, change_position),
        PLACE(np_control, change_rules), PLACE(np_control, change_uid),
        PLACE(np_control, change_stated)}},
      {"np_policy_config",
       sizeof(np_policy_config),
       {PLACE(np_policy_config, enabled), PLACE(np_policy_config, allowlists),
        PLACE(np_policy_config, not_on_loopback),
        PLACE(np_policy_config, metered_only),
        PLACE(np_policy_config, at_socket),
        PLACE(np_policy_config, icmp6_passes),
        PLACE(np_policy_config, closing_passes),
        PLACE(np_policy_config, resolver_passes),
        PLACE(np_policy_config, default_interfaces),
        PLACE(np_policy_config, default_network_set),
        PLACE(np_policy_config, local_network_set),
        PLACE(np_policy_config, uids_per_user),
        PLACE(np_policy_config, exempt_below),
        PLACE(np_policy_config, no_owner_uid),
        PLACE(np_policy_config, resolver_uid),
        PLACE(np_policy_config, resolver_tag), PLACE(np_policy_config, flags)}},
      {"np_uid_key", sizeof(np_uid_key), {PLACE(np_uid_key, uid)}},
      {"np_uid_position",
       sizeof(np_uid_position),
       {PLACE(np_uid_position, position)}},
      {"np_uid_policy",
       sizeof(np_uid_policy),
       {PLACE(np_uid_policy, rules), PLACE(np_uid_policy, uid),
        PLACE(np_uid_policy, stated), PLACE(np_uid_policy, interfaces),
        PLACE(np_uid_policy, network_set), PLACE(np_uid_policy, pad)}},
      {"np_chain", sizeof(np_chain), {PLACE(np_chain, name)}},
      {"np_interface_key",
       sizeof(np_interface_key),
       {PLACE(np_interface_key, prefixlen), PLACE(np_interface_key, slot),
        PLACE(np_interface_key, name)}},
      {"np_interface",
       sizeof(np_interface),
       {PLACE(np_interface, selectors), PLACE(np_interface, metered),
        PLACE(np_interface, pad)}},
      {"np_prefix_key",
       sizeof(np_prefix_key),
       {PLACE(np_prefix_key, prefixlen), PLACE(np_prefix_key, set),
        PLACE(np_prefix_key, address)}},
      {"np_prefix",
       sizeof(np_prefix),
       {PLACE(np_prefix, first), PLACE(np_prefix, count)}},
      {"np_network_rule",
       sizeof(np_network_rule),
       {PLACE(np_network_rule, interfaces), PLACE(np_network_rule, port_first),
        PLACE(np_network_rule, port_last), PLACE(np_network_rule, protocol),
        PLACE(np_network_rule, directions), PLACE(np_network_rule, action),
        PLACE(np_network_rule, pad)}},
      {"np_discard_key",
       sizeof(np_discard_key),
       {PLACE(np_discard_key, slot), PLACE(np_discard_key, address)}},
      {"np_discard", sizeof(np_discard), {PLACE(np_discard, interfaces)}},
      {"np_refused_key",
       sizeof(np_refused_key),
       {PLACE(np_refused_key, uid), PLACE(np_refused_key, direction),
        PLACE(np_refused_key, protocol), PLACE(np_refused_key, remote_port),
        PLACE(np_refused_key, remote)}},
      {"np_refused",
       sizeof(np_refused),
       {PLACE(np_refused, reasons), PLACE(np_refused, count),
        PLACE(np_refused, last_ns)}},
      {"np_row_key",
       sizeof(np_row_key),
       {PLACE(np_row_key, uid), PLACE(np_row_key, tag),
        PLACE(np_row_key, counter_set), PLACE(np_row_key, ifindex)}},
      {"np_row", sizeof(np_row), {PLACE(np_row, row)}},
      {"np_uid_share", sizeof(np_uid_share), {PLACE(np_uid_share, rows)}},
      {"np_counter_set",
       sizeof(np_counter_set),
       {PLACE(np_counter_set, counter_set)}},
      {"np_direction_counters",
       sizeof(np_direction_counters),
       {PLACE(np_direction_counters, skbs),
        PLACE(np_direction_counters, skb_bytes),
        PLACE(np_direction_counters, extra_packets),
        PLACE(np_direction_counters, extra_bytes)}},
      {"np_counters", sizeof(np_counters), {PLACE(np_counters, direction)}},
      {"np_drop_key",
       sizeof(np_drop_key),
       {PLACE(np_drop_key, uid), PLACE(np_drop_key, direction),
        PLACE(np_drop_key, reasons)}},
      {"np_drop_counters",
       sizeof(np_drop_counters),
       {PLACE(np_drop_counters, packets), PLACE(np_drop_counters, bytes)}},
      {"np_socket_path",
       sizeof(np_socket_path),
       {PLACE(np_socket_path, passed), PLACE(np_socket_path, row)}},
      {"np_socket",
       sizeof(np_socket),
       {PLACE(np_socket, uid), PLACE(np_socket, tag),
        PLACE(np_socket, charge_uid), PLACE(np_socket, charges_other),
        PLACE(np_socket, path)}},
      {"np_quota_key",
       sizeof(np_quota_key),
       {PLACE(np_quota_key, subject), PLACE(np_quota_key, uid),
        PLACE(np_quota_key, name)}},
      {"np_quota_set", sizeof(np_quota_set), {PLACE(np_quota_set, positions)}},
      {"np_quota",
       sizeof(np_quota),
       {PLACE(np_quota, end), PLACE(np_quota, charged),
        PLACE(np_quota, packets), PLACE(np_quota, bytes),
        PLACE(np_quota, refused_packets), PLACE(np_quota, refused_bytes),
        PLACE(np_quota, crossed), PLACE(np_quota, crossed_ns),
        PLACE(np_quota, wakes_lost), PLACE(np_quota, flags),
        PLACE(np_quota, id), PLACE(np_quota, limit), PLACE(np_quota, base),
        PLACE(np_quota, told), PLACE(np_quota, period_start),
        PLACE(np_quota, period), PLACE(np_quota, period_value),
        PLACE(np_quota, key)}},
  };
}

TEST(Layout, IsTheSameForProgramsAndForCpp) {
  const std::unique_ptr<btf, void (*)(btf*)> types(
      btf__parse_elf("bpf_progs/policy.bpf.o", nullptr), btf__free);
  ASSERT_NE(types, nullptr);
  for (const Layout& layout : Layouts()) {
    const int id =
        btf__find_by_name_kind(types.get(), layout.name, BTF_KIND_STRUCT);
    ASSERT_GT(id, 0) << layout.name;
    const btf_type* type = btf__type_by_id(types.get(), id);
    EXPECT_EQ(type->size, layout.size) << layout.name;
    std::map<std::string, Place> fields;
    const btf_member* members = btf_members(type);
    for (uint16_t i = 0; i < btf_vlen(type); ++i) {
      EXPECT_EQ(btf_member_bitfield_size(type, i), 0u) << layout.name;
      const char* name = btf__name_by_offset(types.get(), members[i].name_off);
      fields[name] = {.offset = btf_member_bit_offset(type, i) / 8,
                      .size = static_cast<size_t>(
                          btf__resolve_size(types.get(), members[i].type))};
    }
    EXPECT_EQ(fields, layout.fields) << layout.name;
  }
}

}  // namespace
}  // namespace netpolicy
