// Whatever the policy and the packet, three must agree on the verdict and on
// all its reasons: the programs in the kernel, with the socket's cached verdict
// and without any storage; the headers that libpolicy shares with them; and a
// naive model of its own (verdict_model.h).

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "bpf_progs/abi/control.h"
#include "bpf_progs/abi/stats.h"
#include "bpf_progs/lib/decision.h"
#include "bpf_progs/lib/network_rule.h"
#include "bpf_progs/policy.skel.h"
#include "bpf_progs/tests/verdict_model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/kernel/program_features.h"
#include "libpolicy/testing/capability.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy {
namespace {

using testing::IsOk;
using testing::NetNamespace;
using testing::ScopedNetns;

constexpr uint64_t kDefaultPairs = 1'000'000;
constexpr uint64_t kPacketsPerPolicy = 200;
constexpr uint32_t kMaxEntries = 1024;
// The owner of BPF_PROG_TEST_RUN's socket.
constexpr uint32_t kUid = 0;

// How many pairs of policy and packet to try; more by an environment variable.
uint64_t Pairs() {
  uint64_t pairs = kDefaultPairs;
  const char* const text = getenv("NETPOLICY_VERDICT_PAIRS");
  if (text != nullptr && !absl::SimpleAtoi(text, &pairs)) ADD_FAILURE() << text;
  return pairs;
}

uint64_t Seed() {
  uint64_t seed = 20240607;
  const char* const text = getenv("NETPOLICY_SEED");
  if (text != nullptr && !absl::SimpleAtoi(text, &seed)) ADD_FAILURE() << text;
  return seed;
}

struct Destroy {
  void operator()(policy_bpf* p) const { policy_bpf::destroy(p); }
};
using Programs = std::unique_ptr<policy_bpf, Destroy>;

enum class Storage : uint8_t { kUsed, kNone };

// The programs, with the tables of `others` when given.
Programs LoadPrograms(Storage storage, const policy_bpf* others) {
  Programs programs(policy_bpf::open());
  if (programs == nullptr) return nullptr;
  bpf_map* map;
  bpf_object__for_each_map(map, programs->obj) {
    if (bpf_map__is_internal(map)) continue;
    if (others != nullptr) {
      const int fd =
          bpf_object__find_map_fd_by_name(others->obj, bpf_map__name(map));
      if (bpf_map__reuse_fd(map, fd) != 0) return nullptr;
    } else if (map == programs->maps.np_uid_policy ||
               (bpf_map__max_entries(map) == 1 &&
                map != programs->maps.np_control)) {
      bpf_map__set_max_entries(map, kMaxEntries);
    }
  }
  programs->rodata->np_slot_size = kMaxEntries / NP_SLOTS;
  programs->rodata->np_has_typed_skb = HasTypedSkb();
  programs->rodata->np_use_socket_storage = storage == Storage::kUsed;
  if (policy_bpf::load(programs.get()) != 0) return nullptr;
  return programs;
}

np_interface_key KeyOf(const InterfaceEntry& entry, uint32_t slot) {
  np_interface_key key{};
  key.slot = slot;
  std::memcpy(key.name, entry.name.data(), entry.name.size());
  key.prefixlen = static_cast<uint32_t>(
      NP_INTERFACE_PREFIX_BITS +
      8 * (entry.name.size() + (entry.is_prefix ? 0 : 1)));
  return key;
}

np_prefix_key KeyOf(const PrefixEntry& entry, uint32_t) {
  np_prefix_key key{};
  key.set = entry.set;
  std::memcpy(key.address, entry.address.data(), sizeof(key.address));
  key.prefixlen = NP_PREFIX_SET_BITS + entry.length;
  return key;
}

np_discard_key KeyOf(const DiscardEntry& entry, uint32_t slot) {
  np_discard_key key{};
  key.slot = slot;
  std::memcpy(key.address, entry.address.data(), sizeof(key.address));
  return key;
}

const np_interface& ValueOf(const InterfaceEntry& entry) { return entry.value; }
const np_prefix& ValueOf(const PrefixEntry& entry) { return entry.run; }
const np_discard& ValueOf(const DiscardEntry& entry) { return entry.value; }

// The reasons by the headers that libpolicy compiles too.
uint64_t Predict(const World& world, const Packet& packet, const Link& link) {
  const np_policy_config& config = world.config;
  const np_interface entry = LinkEntry(world, link);
  const uint32_t flags =
      (packet.egress ? NP_PACKET_EGRESS : 0) |
      (packet.ports == Ports::kKnown ? NP_PACKET_PORTS : 0) |
      (packet.ports == Ports::kUnread ? NP_PACKET_PORTS_UNREAD : 0);
  const uint64_t word =
      np_packet(packet.protocol, flags, packet.remote_port, 0);
  const auto denies = [&](uint32_t set) {
    World only = world;
    // The list by the model, each rule of it by the shared header.
    for (np_network_rule& rule : only.rules) {
      const bool matches =
          np_match_rule(&rule, word, entry.selectors) == NP_RULE_MATCHES;
      const uint8_t action = rule.action;
      rule = {};
      rule.interfaces = NP_NETWORK_ANY_INTERFACE;
      rule.port_last = 65535;
      rule.directions = matches ? 3 : 0;
      rule.action = action;
    }
    return ListDenies(only, set, packet, entry.selectors);
  };
  uint64_t violated = 0;
  const uint64_t allowed = world.uid.interfaces != 0
                               ? world.uid.interfaces
                               : config.default_interfaces;
  if ((allowed & entry.selectors) == 0) {
    violated |= NP_REASON_BIT(NP_REASON_LOCKDOWN_VPN) |
                NP_REASON_BIT(NP_REASON_INTERFACE_RULE);
  }
  if ((config.flags & NP_POLICY_NETWORK_RULES) != 0 &&
      denies(world.uid.network_set != 0 ? world.uid.network_set
                                        : config.default_network_set)) {
    violated |= NP_REASON_BIT(NP_REASON_NETWORK_RULE);
  }
  if ((config.flags & NP_POLICY_LOCAL_NETWORK) != 0 &&
      denies(config.local_network_set)) {
    violated |= NP_REASON_BIT(NP_REASON_LOCAL_NETWORK);
  }
  if ((config.flags & NP_POLICY_DISCARD) != 0 && !packet.egress) {
    for (const DiscardEntry& discard : world.discards) {
      if (discard.address == packet.local &&
          (discard.value.interfaces & entry.selectors) == 0) {
        violated |= NP_REASON_BIT(NP_REASON_INGRESS_DISCARD);
      }
    }
  }
  uint32_t facts = np_owner_facts(&config, kUid, 0);
  if (link.loopback) facts |= NP_FACT_LOOPBACK;
  if (entry.metered != 0) facts |= NP_FACT_METERED;
  if (packet.closing) facts |= NP_FACT_CLOSING;
  if (packet.icmp6_control) facts |= NP_FACT_ICMP6_CONTROL;
  return np_decide(&config, world.uid.rules, facts, violated);
}

uint64_t ToBits(const std::vector<int>& reasons) {
  uint64_t bits = 0;
  for (int reason : reasons) bits |= NP_REASON_BIT(reason);
  return bits;
}

class VerdictProperty : public ::testing::Test {
 protected:
  void SetUp() override {
    if (auto missing = testing::MissingForBpfTests()) GTEST_SKIP() << *missing;
    programs_ = LoadPrograms(Storage::kUsed, nullptr);
    ASSERT_NE(programs_, nullptr);
    without_storage_ = LoadPrograms(Storage::kNone, programs_.get());
    ASSERT_NE(without_storage_, nullptr);
    for (std::optional<NetNamespace>* ns : {&home_, &foreign_}) {
      auto made = NetNamespace::Create();
      ASSERT_THAT(made, IsOk());
      ASSERT_THAT(made->AddLink("wwan0", "ifb"), IsOk());
      ASSERT_THAT(made->AddLink("wlan0", "ifb"), IsOk());
      ASSERT_THAT(made->AddLink("wwan01", "ifb"), IsOk());
      ns->emplace(*std::move(made));
    }
    for (uint32_t row = 1; row < kMaxEntries; ++row) {
      const np_row value = {row};
      bpf_map_update_elem(Fd(programs_->maps.np_free_rows), nullptr, &value, 0);
    }
    const np_uid_key key = {kUid};
    const np_uid_position position = {3};
    ASSERT_TRUE(Put(programs_->maps.np_uid_index, key, position));
  }

  static int Fd(const bpf_map* map) { return bpf_map__fd(map); }

  template <typename Key, typename Value>
  static bool Put(const bpf_map* map, const Key& key, const Value& value) {
    return bpf_map_update_elem(Fd(map), &key, &value, BPF_ANY) == 0;
  }

  template <typename Entry>
  static void PutAll(const bpf_map* map, const std::vector<Entry>& entries,
                     uint32_t slot) {
    for (const Entry& entry : entries) {
      ASSERT_TRUE(Put(map, KeyOf(entry, slot), ValueOf(entry)));
    }
  }

  template <typename Entry>
  static void RemoveAll(const bpf_map* map, const std::vector<Entry>& entries,
                        uint32_t slot) {
    for (const Entry& entry : entries) {
      const auto key = KeyOf(entry, slot);
      ASSERT_EQ(bpf_map_delete_elem(Fd(map), &key), 0);
    }
  }

  void Publish(const World& world, uint64_t generation) {
    const auto& maps = programs_->maps;
    const uint32_t slot = generation & 1;
    const uint32_t zero = 0;
    PutAll(maps.np_interface, world.interfaces, slot);
    PutAll(maps.np_prefix, world.prefixes, slot);
    PutAll(maps.np_discard, world.discards, slot);
    for (uint32_t i = 0; i < world.rules.size(); ++i) {
      ASSERT_TRUE(Put(maps.np_network_rule, i, world.rules[i]));
    }
    ASSERT_TRUE(Put(maps.np_config, slot, world.config));
    ASSERT_TRUE(Put(maps.np_uid_policy, slot * (kMaxEntries / NP_SLOTS) + 3,
                    world.uid));
    np_control control{};
    control.magic = NP_ABI_MAGIC;
    control.netns = static_cast<uint32_t>(home_->inode());
    control.active = np_active(generation, slot);
    ASSERT_TRUE(Put(maps.np_control, zero, control));
  }

  void Retract(const World& world, uint64_t generation) {
    const auto& maps = programs_->maps;
    const uint32_t slot = generation & 1;
    RemoveAll(maps.np_interface, world.interfaces, slot);
    RemoveAll(maps.np_prefix, world.prefixes, slot);
    RemoveAll(maps.np_discard, world.discards, slot);
  }

  // The verdict on the last of `repeat` such packets of one socket: 1 if it
  // passes.
  uint32_t Run(const policy_bpf& programs, const Packet& packet, int ifindex,
               int repeat) {
    const std::string frame =
        std::string(12, '\0') +
        (packet.bytes[0] >> 4 == 4 ? std::string("\x08\x00", 2)
                                   : std::string("\x86\xdd", 2)) +
        packet.bytes;
    __sk_buff context = {};
    context.ifindex = static_cast<uint32_t>(ifindex);
    LIBBPF_OPTS(bpf_test_run_opts, opts);
    opts.data_in = frame.data();
    opts.data_size_in = static_cast<uint32_t>(frame.size());
    if (ifindex != NP_LOOPBACK_IFINDEX) {
      opts.ctx_in = &context;
      opts.ctx_size_in = sizeof(context);
    }
    opts.repeat = repeat;
    const int error = bpf_prog_test_run_opts(
        bpf_program__fd(packet.egress ? programs.progs.np_egress
                                      : programs.progs.np_ingress),
        &opts);
    return error == 0 ? opts.retval : 0xffffffff;
  }

  // np_drops, by direction and reasons, emptied.
  std::map<std::pair<uint32_t, uint64_t>, uint64_t> TakeDrops() {
    std::map<std::pair<uint32_t, uint64_t>, uint64_t> drops;
    std::vector<np_drop_counters> per_cpu(
        static_cast<size_t>(libbpf_num_possible_cpus()));
    const int fd = Fd(programs_->maps.np_drops);
    np_drop_key key;
    while (bpf_map_get_next_key(fd, nullptr, &key) == 0) {
      EXPECT_EQ(key.uid, kUid);
      EXPECT_EQ(bpf_map_lookup_elem(fd, &key, per_cpu.data()), 0);
      for (const np_drop_counters& counters : per_cpu) {
        drops[{key.direction, key.reasons}] += counters.packets;
      }
      if (bpf_map_delete_elem(fd, &key) != 0) break;
    }
    return drops;
  }

  Programs programs_;
  Programs without_storage_;
  // Where the policy is from, and another namespace with links of the same
  // names.
  std::optional<NetNamespace> home_;
  std::optional<NetNamespace> foreign_;
};

TEST_F(VerdictProperty, KernelSharedHeadersAndNaiveModelAgree) {
  const uint64_t pairs = Pairs();
  Random random(Seed());
  uint64_t generation = 0;
  uint64_t tried = 0;
  uint64_t refused = 0;
  uint64_t reasons_seen = 0;

  while (tried < pairs) {
    const World world = RandomWorld(random);
    ++generation;
    ASSERT_NO_FATAL_FAILURE(Publish(world, generation));
    const bool foreign = random() % 8 == 0;
    const NetNamespace& ns = foreign ? *foreign_ : *home_;
    auto inside = ScopedNetns::Enter(ns);
    ASSERT_THAT(inside, IsOk());
    std::vector<std::pair<Link, int>> links = {
        {{.name = "lo", .loopback = true, .foreign = foreign},
         NP_LOOPBACK_IFINDEX}};
    for (const char* name : {"wwan0", "wlan0", "wwan01"}) {
      auto index = ns.LinkIndex(name);
      ASSERT_THAT(index, IsOk());
      links.push_back({{.name = name, .foreign = foreign}, *index});
    }

    std::map<std::pair<uint32_t, uint64_t>, uint64_t> expected_drops;
    for (uint64_t i = 0; i < kPacketsPerPolicy; ++i, ++tried) {
      const Packet packet = RandomPacket(random);
      const auto& [link, ifindex] = links[random() % links.size()];
      const uint64_t expected = ToBits(Judge(world, packet, link));
      const auto describe = [&, &link = link] {
        return absl::StrCat(
            "generation ", generation, " of seed ", Seed(), ", ", link.name,
            foreign ? " (foreign)" : "", packet.egress ? ", out" : ", in",
            ", protocol ", packet.protocol, ", remote port ",
            packet.remote_port, ", expected reasons ", absl::Hex(expected),
            ", packet ", absl::BytesToHexString(packet.bytes));
      };
      ASSERT_EQ(Predict(world, packet, link), expected) << describe();
      // One socket's first packet, or its third; or a socket without storage.
      const bool storage = random() % 4 != 0;
      const int repeat = random() % 4 == 0 ? 3 : 1;
      ASSERT_EQ(Run(storage ? *programs_ : *without_storage_, packet, ifindex,
                    repeat),
                expected == 0 ? 1u : 0u)
          << describe() << (storage ? "" : ", no storage") << ", repeat "
          << repeat;
      if (expected != 0) {
        ++refused;
        reasons_seen |= expected;
        expected_drops[{packet.egress ? NP_EGRESS : NP_INGRESS, expected}] +=
            static_cast<uint64_t>(repeat);
      }
    }
    // Every refusal was counted under exactly its reasons.
    ASSERT_EQ(TakeDrops(), expected_drops) << "generation " << generation;
    ASSERT_NO_FATAL_FAILURE(Retract(world, generation));
  }

  // The random policies are worth something.
  EXPECT_GT(refused, pairs / 4);
  EXPECT_LT(refused, pairs * 3 / 4);
  const uint64_t never = NP_REASON_BIT(NP_REASON_INTERNET_PERMISSION) |
                         NP_REASON_BIT(NP_REASON_NO_OWNER);
  EXPECT_EQ(reasons_seen, ~never);
  RecordProperty("refused", static_cast<int>(refused));
}

}  // namespace
}  // namespace netpolicy
