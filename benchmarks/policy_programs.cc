// SPDX-License-Identifier: Apache-2.0

#include "benchmarks/policy_programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>

#include <cstring>
#include <vector>

#include "benchmarks/measure.h"
#include "bpf_progs/abi/control.h"
#include "bpf_progs/abi/policy.h"
#include "bpf_progs/policy.skel.h"

namespace netpolicy {
namespace {

constexpr uint32_t kRows = 1024;
constexpr uint32_t kSlot = 0;
// UIDs other than the owner's, as an application's are.
constexpr uint32_t kFirstUid = 10000;

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
  config.enabled = ((NP_REASON_BIT(10) - 1) & ~1ULL) | config.metered_only;
  config.allowlists =
      NP_REASON_BIT(NP_REASON_DOZABLE) | NP_REASON_BIT(NP_REASON_POWERSAVE) |
      NP_REASON_BIT(NP_REASON_RESTRICTED) |
      NP_REASON_BIT(NP_REASON_LOW_POWER_STANDBY) |
      NP_REASON_BIT(NP_REASON_BACKGROUND) | NP_REASON_BIT(NP_REASON_DATA_SAVER);
  return config;
}

template <typename Key, typename Value>
bool Put(const bpf_map* map, const Key& key, const Value& value) {
  return bpf_map_update_elem(bpf_map__fd(map), &key, &value, 0) == 0;
}

bool Fill(const policy_bpf& programs, uint32_t uids) {
  const auto& maps = programs.maps;
  for (uint32_t row = NP_OVERFLOW_ROW + 1; row < kRows; ++row) {
    const np_row value = {row};
    if (bpf_map_update_elem(bpf_map__fd(maps.np_free_rows), nullptr, &value,
                            0) != 0) {
      return false;
    }
  }
  const np_policy_config config = MakeConfig();
  if (!Put(maps.np_config, kSlot, config)) return false;
  for (uint32_t position = 0; position < uids; ++position) {
    // TEST_RUN's socket belongs to UID 0.
    const uint32_t uid = position == 0 ? 0 : kFirstUid + position;
    np_uid_policy policy{};
    policy.uid = uid;
    policy.rules = config.allowlists;
    if (!Put(maps.np_uid_policy, position, policy) ||
        !Put(maps.np_uid_index, np_uid_key{uid}, np_uid_position{position})) {
      return false;
    }
  }
  np_control control{};
  control.magic = NP_ABI_MAGIC;
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
  skeleton->rodata->np_slot_size = options.uids;
  skeleton->rodata->np_use_verdict_cache = options.path == Path::kEstablished;
  skeleton->rodata->np_use_socket_storage = options.path != Path::kFallback;
  if (policy_bpf::load(skeleton) != 0) return nullptr;
  if (!Fill(*skeleton, options.uids)) return nullptr;
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

double NanosecondsPerPacket(int program_fd, int packets) {
  static const auto packet = MakePacket();
  LIBBPF_OPTS(bpf_test_run_opts, opts);
  opts.data_in = packet.data();
  opts.data_size_in = packet.size();
  opts.repeat = packets;
  const double begin = SecondsOn(CLOCK_THREAD_CPUTIME_ID);
  if (bpf_prog_test_run_opts(program_fd, &opts) != 0) return -1;
  const double spent = SecondsOn(CLOCK_THREAD_CPUTIME_ID) - begin;
  return opts.retval == 1 ? spent * 1e9 / packets : -1;
}

}  // namespace netpolicy
