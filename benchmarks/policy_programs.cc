// SPDX-License-Identifier: Apache-2.0

#include "benchmarks/policy_programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>

#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "benchmarks/measure.h"
#include "bpf_progs/abi/control.h"
#include "bpf_progs/abi/network.h"
#include "bpf_progs/abi/policy.h"
#include "bpf_progs/policy.skel.h"
#include "libpolicy/kernel/program_features.h"

namespace netpolicy {
namespace {

constexpr uint32_t kRows = 1024;
constexpr uint32_t kSlot = 0;
// UIDs other than the owner's, as an application's are.
constexpr uint32_t kFirstUid = 10000;
constexpr char kLinkName[] = "wwan0";
constexpr uint32_t kSelectors = 1;
constexpr uint32_t kNetworkSet = 1;
constexpr uint32_t kNetworkRules = 4;

// An Ethernet frame with a TCP acknowledgement over IPv4, as TEST_RUN takes it.
std::array<uint8_t, 66> MakePacket() {
  std::array<uint8_t, 66> frame{};
  frame[12] = 0x08;  // ETH_P_IP
  iphdr ip{};
  ip.version = 4;
  ip.ihl = 5;
  ip.tot_len = htons(52);
  ip.ttl = 64;
  ip.protocol = IPPROTO_TCP;
  ip.saddr = htonl(0xc0000201);
  ip.daddr = htonl(0xc0000202);
  tcphdr tcp{};
  tcp.source = htons(443);
  tcp.dest = htons(40000);
  tcp.doff = 8;
  tcp.ack = 1;
  std::memcpy(&frame[14], &ip, sizeof(ip));
  std::memcpy(&frame[34], &tcp, sizeof(tcp));
  return frame;
}

np_policy_config MakeConfig() {
  np_policy_config config{};
  config.metered_only = NP_REASON_BIT(NP_REASON_DATA_SAVER) |
                        NP_REASON_BIT(NP_REASON_METERED_DENY_USER) |
                        NP_REASON_BIT(NP_REASON_METERED_DENY_ADMIN);
  config.enabled = ((NP_REASON_BIT(10) - 1) & ~1ULL) | config.metered_only |
                   NP_REASON_BIT(NP_REASON_INTERFACE_RULE) |
                   NP_REASON_BIT(NP_REASON_NETWORK_RULE);
  config.allowlists = NP_REASON_BIT(NP_REASON_DOZABLE) |
                      NP_REASON_BIT(NP_REASON_POWERSAVE) |
                      NP_REASON_BIT(NP_REASON_RESTRICTED) |
                      NP_REASON_BIT(NP_REASON_LOW_POWER_STANDBY) |
                      NP_REASON_BIT(NP_REASON_BACKGROUND) |
                      NP_REASON_BIT(NP_REASON_DATA_SAVER) |
                      NP_REASON_BIT(NP_REASON_NETWORK_RULE);
  config.not_on_loopback = NP_REASON_BIT(NP_REASON_BACKGROUND) |
                           NP_REASON_BIT(NP_REASON_INTERFACE_RULE);
  config.no_owner_uid = NP_UID_NONE;
  config.flags = NP_POLICY_INTERFACES;
  return config;
}

template <typename Key, typename Value>
bool Put(const bpf_map* map, const Key& key, const Value& value) {
  return bpf_map_update_elem(bpf_map__fd(map), &key, &value, 0) == 0;
}

bool FillInterface(const policy_bpf& programs) {
  np_interface_key key{};
  key.prefixlen = NP_INTERFACE_PREFIX_BITS + 8 * sizeof(kLinkName);
  key.slot = kSlot;
  std::memcpy(key.name, kLinkName, sizeof(kLinkName));
  return Put(programs.maps.np_interface, key,
             np_interface{.selectors = kSelectors, .metered = 1, .pad = 0});
}

// A /32 each, but for one, which is the network that the packet's ends are in.
bool FillPrefixes(const policy_bpf& programs, uint32_t prefixes) {
  for (uint32_t i = 0; i < kNetworkRules; ++i) {
    np_network_rule rule{};
    rule.interfaces = NP_NETWORK_ANY_INTERFACE;
    rule.directions = 1 << NP_INGRESS | 1 << NP_EGRESS;
    rule.protocol = IPPROTO_TCP;
    const bool last = i == kNetworkRules - 1;
    rule.port_first = last ? 0 : static_cast<uint16_t>(1000 + i);
    rule.port_last = last ? 65535 : rule.port_first;
    rule.action = last ? NP_NETWORK_ALLOW : NP_NETWORK_DENY;
    if (!Put(programs.maps.np_network_rule, i, rule)) return false;
  }
  for (uint32_t i = 0; i < prefixes; ++i) {
    np_prefix_key key{};
    key.set = kNetworkSet;
    key.address[10] = key.address[11] = 0xff;
    const uint32_t address =
        htonl(i == 0 ? 0xc0000200 : 0xc0000000 + i * 0x00010003);
    std::memcpy(&key.address[12], &address, sizeof(address));
    key.prefixlen =
        NP_PREFIX_SET_BITS + NP_PREFIX_IPV4_BITS + (i == 0 ? 24 : 32);
    if (!Put(programs.maps.np_prefix, key, np_prefix{0, kNetworkRules})) {
      return false;
    }
  }
  return true;
}

bool Fill(const policy_bpf& programs, const ProgramsOptions& options) {
  const auto& maps = programs.maps;
  for (uint32_t row = NP_OVERFLOW_ROW + 1; row < kRows; ++row) {
    const np_row value = {row};
    if (bpf_map_update_elem(bpf_map__fd(maps.np_free_rows), nullptr, &value,
                            0) != 0) {
      return false;
    }
  }
  np_policy_config config = MakeConfig();
  if (options.prefixes > 0) config.flags |= NP_POLICY_NETWORK_RULES;
  if (!Put(maps.np_config, kSlot, config)) return false;
  for (uint32_t position = 0; position < options.uids; ++position) {
    // TEST_RUN's socket belongs to UID 0.
    const uint32_t uid = position == 0 ? 0 : kFirstUid + position;
    np_uid_policy policy{};
    policy.uid = uid;
    // In all allowlists and no denylist; interface rules and, as their bit is
    // that of an allowlist, network rules hold.
    policy.rules =
        (config.allowlists & ~NP_REASON_BIT(NP_REASON_NETWORK_RULE)) |
        NP_REASON_BIT(NP_REASON_INTERFACE_RULE);
    policy.interfaces = kSelectors;
    if (position == 0 && options.prefixes > 0) policy.network_set = kNetworkSet;
    if (!Put(maps.np_uid_policy, position, policy) ||
        !Put(maps.np_uid_index, np_uid_key{uid}, np_uid_position{position})) {
      return false;
    }
  }
  if (!FillInterface(programs) || !FillPrefixes(programs, options.prefixes)) {
    return false;
  }
  np_control control{};
  control.magic = NP_ABI_MAGIC;
  control.netns = static_cast<uint32_t>(PacketLink::Get().netns.inode());
  control.active = np_active(1, kSlot);
  return Put(maps.np_control, uint32_t{0}, control);
}

}  // namespace

std::unique_ptr<PolicyPrograms> PolicyPrograms::Load(
    const ProgramsOptions& options) {
  policy_bpf* const skeleton = policy_bpf::open();
  if (skeleton == nullptr) return nullptr;
  auto programs = std::unique_ptr<PolicyPrograms>(new PolicyPrograms(skeleton));
  const auto& maps = skeleton->maps;
  bpf_map__set_max_entries(maps.np_uid_index, options.uids);
  bpf_map__set_max_entries(maps.np_uid_policy, options.uids * NP_SLOTS);
  bpf_map__set_max_entries(maps.np_rows, kRows);
  bpf_map__set_max_entries(maps.np_free_rows, kRows);
  bpf_map__set_max_entries(maps.np_counters, kRows);
  bpf_map__set_max_entries(maps.np_drops, kRows);
  bpf_map__set_max_entries(maps.np_interface, 16);
  bpf_map__set_max_entries(maps.np_network_rule, kNetworkRules);
  bpf_map__set_max_entries(maps.np_prefix, options.prefixes + 1);
  skeleton->rodata->np_slot_size = options.uids;
  skeleton->rodata->np_has_typed_skb = HasTypedSkb();
  skeleton->rodata->np_use_verdict_cache = options.path == Path::kEstablished;
  skeleton->rodata->np_use_socket_storage = options.path != Path::kFallback;
  skeleton->rodata->np_use_accounting = options.accounting;
  if (policy_bpf::load(skeleton) != 0) return nullptr;
  if (!Fill(*skeleton, options)) return nullptr;
  return programs;
}

PolicyPrograms::~PolicyPrograms() { policy_bpf::destroy(skeleton_); }

int PolicyPrograms::fd(int direction) const {
  return bpf_program__fd(direction == NP_INGRESS ? skeleton_->progs.np_ingress
                                                 : skeleton_->progs.np_egress);
}

uint64_t PolicyPrograms::Charged(int direction) const {
  std::vector<np_counters> per_cpu(
      static_cast<size_t>(libbpf_num_possible_cpus()));
  uint64_t skbs = 0;
  for (uint32_t row = 0; row < kRows; ++row) {
    if (bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.np_counters), &row,
                            per_cpu.data()) != 0) {
      continue;
    }
    for (const np_counters& counters : per_cpu) {
      skbs += counters.direction[direction].skbs;
    }
  }
  return skbs;
}

const PacketLink& PacketLink::Get() {
  static const auto* const link = [] {
    auto netns = Require(testing::NetNamespace::Create());
    Require(netns.AddLink(kLinkName, "ifb"));
    const int ifindex = Require(netns.LinkIndex(kLinkName));
    return new PacketLink{.netns = std::move(netns),
                          .ifindex = static_cast<uint32_t>(ifindex)};
  }();
  return *link;
}

double NanosecondsPerPacket(int program_fd, int packets) {
  static const auto packet = MakePacket();
  __sk_buff context{};
  context.ifindex = PacketLink::Get().ifindex;
  LIBBPF_OPTS(bpf_test_run_opts, opts);
  opts.data_in = packet.data();
  opts.data_size_in = packet.size();
  opts.ctx_in = &context;
  opts.ctx_size_in = sizeof(context);
  opts.repeat = packets;
  const double begin = SecondsOn(CLOCK_THREAD_CPUTIME_ID);
  if (bpf_prog_test_run_opts(program_fd, &opts) != 0) return -1;
  const double spent = SecondsOn(CLOCK_THREAD_CPUTIME_ID) - begin;
  return opts.retval == 1 ? spent * 1e9 / packets : -1;
}

}  // namespace netpolicy
