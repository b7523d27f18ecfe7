// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/kernel/probe.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <iterator>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/kernel/capability.h"
#include "libpolicy/kernel/cgroup.h"
#include "libpolicy/kernel/errno_status.h"
#include "libpolicy/kernel/libbpf_log.h"
#include "libpolicy/kernel/link.h"
#include "libpolicy/kernel/map.h"
#include "libpolicy/kernel/pin.h"
#include "libpolicy/kernel/probe_network.h"
#include "libpolicy/kernel/program_features.h"

namespace netpolicy {
namespace {

Feature Row(absl::string_view name, Support support, std::string detail) {
  Feature feature;
  feature.name = std::string(name);
  feature.support = support;
  feature.detail = std::move(detail);
  return feature;
}

Feature Needed(absl::string_view name, bool there, absl::string_view good_for,
               absl::string_view otherwise) {
  return Row(name, there ? Support::kNative : Support::kAbsent,
             std::string(there ? good_for : otherwise));
}

Feature Wanted(absl::string_view name, bool there, absl::string_view good_for,
               absl::string_view otherwise) {
  return Row(name, there ? Support::kNative : Support::kFallback,
             std::string(there ? good_for : otherwise));
}

UniqueFd MakeMap(bpf_map_type type, uint32_t key_size, uint32_t value_size,
                 uint32_t entries, uint32_t flags = 0) {
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = flags);
  return UniqueFd(bpf_map_create(type, "np_probe", key_size, value_size,
                                 entries, &options));
}

// A program that lets everything pass; attached to nothing.
UniqueFd LoadPassingProgram(bpf_prog_type type, bpf_attach_type attach_type) {
  const bpf_insn instructions[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K,
       .dst_reg = BPF_REG_0,
       .src_reg = 0,
       .off = 0,
       .imm = 1},
      {.code = BPF_JMP | BPF_EXIT,
       .dst_reg = 0,
       .src_reg = 0,
       .off = 0,
       .imm = 0},
  };
  LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = attach_type);
  return UniqueFd(bpf_prog_load(type, "np_probe", "GPL", instructions,
                                std::size(instructions), &options));
}

Feature ProbeCapabilities() {
  const std::vector<std::string> missing = MissingBpfCapabilities();
  return Needed("capabilities", missing.empty(),
                "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are there",
                absl::StrCat("missing ", absl::StrJoin(missing, ", "),
                             ": nothing can be loaded"));
}

Feature ProbeCgroup(absl::string_view path) {
  constexpr absl::string_view kName = "cgroup2";
  std::string found(path);
  if (found.empty()) {
    const absl::StatusOr<std::string> mount = FindCgroup2Mount();
    if (!mount.ok()) {
      return Row(kName, Support::kAbsent,
                 std::string(mount.status().message()));
    }
    found = *mount;
  }
  const absl::StatusOr<Cgroup> cgroup = OpenCgroup(found);
  return Needed(kName, cgroup.ok(), found, cgroup.status().message());
}

Feature ProbeBpfFs(absl::string_view pin_dir) {
  absl::Status status = CheckOnBpfFs(pin_dir);
  if (absl::IsNotFound(status)) {
    const size_t slash = pin_dir.rfind('/');
    if (slash != absl::string_view::npos && slash > 0) {
      status = CheckOnBpfFs(pin_dir.substr(0, slash));
    }
  }
  return Needed("bpffs", status.ok(), pin_dir, status.message());
}

Feature ProbeBpf() {
  const UniqueFd map = MakeMap(BPF_MAP_TYPE_ARRAY, 4, 8, 1);
  const int error = map.ok() ? 0 : errno;
  return Needed("bpf", map.ok(), "maps can be created",
                absl::StrCat("create map: ", ErrnoText(error),
                             ": nothing can be loaded"));
}

Feature ProbeBtf() {
  const std::unique_ptr<btf, void (*)(btf*)> kernel(btf__load_vmlinux_btf(),
                                                    btf__free);
  return Needed("btf", kernel != nullptr,
                "the kernel says where its fields are",
                "the kernel has no BTF (CONFIG_DEBUG_INFO_BTF): the programs "
                "can't be fitted to it");
}

// Counts on cgroup_skb programs, and whether they become machine code.
void ProbePrograms(std::vector<Feature>& features) {
  const UniqueFd program =
      LoadPassingProgram(BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS);
  const int error = program.ok() ? 0 : errno;
  features.push_back(Needed(
      "cgroup_skb", program.ok(), "packets can be judged at a cgroup",
      absl::StrCat("load program: ", ErrnoText(error), ": no enforcement")));

  // Without a cgroup to attach to, a kernel that has such links says that the
  // descriptor is none.
  const UniqueFd link(
      bpf_link_create(program.get(), -1, BPF_CGROUP_INET_EGRESS, nullptr));
  const bool has_links = program.ok() && !link.ok() && errno == EBADF;
  features.push_back(
      Needed("cgroup_link", has_links,
             "programs attach beside others' and outlive the daemon",
             "no links to cgroups: no enforcement"));

  bool has_address_hooks = true;
  for (bpf_attach_type hook :
       {BPF_CGROUP_INET4_BIND, BPF_CGROUP_INET6_BIND, BPF_CGROUP_INET4_CONNECT,
        BPF_CGROUP_INET6_CONNECT, BPF_CGROUP_UDP4_SENDMSG,
        BPF_CGROUP_UDP6_SENDMSG}) {
    has_address_hooks &=
        LoadPassingProgram(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, hook).ok();
  }
  features.push_back(
      Needed("cgroup_sock_addr", has_address_hooks,
             "calls that can't succeed are refused at once: bind(), connect(), "
             "sendmsg()",
             "no programs at bind(), connect() and sendmsg(): no enforcement"));

  const absl::StatusOr<ProgramInfo> info = ReadProgramInfo(program.get());
  features.push_back(Wanted("jit", info.ok() && info->jited_bytes > 0,
                            "programs run as machine code",
                            "programs are interpreted: several times slower "
                            "(net.core.bpf_jit_enable)"));
}

void ProbeStorage(std::vector<Feature>& features) {
  features.push_back(
      Needed("sock_storage",
             libbpf_probe_bpf_map_type(BPF_MAP_TYPE_SK_STORAGE, nullptr) == 1,
             "verdict and counters are remembered with the socket",
             "no socket storage: the programs can't be loaded"));
  features.push_back(Wanted(
      "storage_at_create", HasStorageAtSocketCreate(),
      "a socket's owner is taken when it is made",
      "a socket's owner is taken at its first packet: who changed it before by "
      "fchown is charged"));
  features.push_back(Wanted(
      "typed_skb", HasTypedSkb(),
      "interfaces and owners of packets are read by plain loads",
      "interfaces and owners of packets are copied by a helper: judging a "
      "packet whose socket has no verdict yet takes twice as long"));
}

bool HasPrefixTables() {
  const UniqueFd map =
      MakeMap(BPF_MAP_TYPE_LPM_TRIE, 8, 8, 2, BPF_F_NO_PREALLOC);
  // 10.0.0.0/8, and an address in it.
  const uint8_t prefix[8] = {8, 0, 0, 0, 10, 0, 0, 0};
  const uint8_t address[8] = {32, 0, 0, 0, 10, 1, 2, 3};
  uint64_t value = 1;
  return map.ok() && bpf_map_update_elem(map.get(), prefix, &value, 0) == 0 &&
         bpf_map_lookup_elem(map.get(), address, &value) == 0;
}

bool HasMappedArrays() {
  const UniqueFd map = MakeMap(BPF_MAP_TYPE_ARRAY, 4, 8, 1, BPF_F_MMAPABLE);
  if (!map.ok()) return false;
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* address =
      mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, map.get(), 0);
  if (address == MAP_FAILED) return false;
  munmap(address, page);
  return true;
}

bool HasRingBuffer() {
  const auto page = static_cast<uint32_t>(sysconf(_SC_PAGESIZE));
  return MakeMap(BPF_MAP_TYPE_RINGBUF, 0, 0, page).ok();
}

bool HasHashBatch() {
  const UniqueFd map = MakeMap(BPF_MAP_TYPE_HASH, 4, 4, 2);
  const uint32_t keys[] = {1, 2};
  uint32_t count = 2;
  return map.ok() &&
         bpf_map_update_batch(map.get(), keys, keys, &count, nullptr) == 0;
}

bool HasPerCpuArrayBatch() {
  const absl::StatusOr<uint32_t> cpus = PossibleCpus();
  const UniqueFd map = MakeMap(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 2);
  if (!map.ok() || !cpus.ok()) return false;
  uint32_t position = 0;
  uint32_t keys[2];
  std::vector<uint64_t> values(size_t{2} * *cpus);
  uint32_t count = 2;
  return bpf_map_lookup_batch(map.get(), nullptr, &position, keys,
                              values.data(), &count, nullptr) == 0 ||
         errno == ENOENT;  // That was all of it.
}

bool HasFence() {
  const UniqueFd inner = MakeMap(BPF_MAP_TYPE_ARRAY, 4, 4, 1);
  LIBBPF_OPTS(bpf_map_create_opts, options,
              .inner_map_fd = static_cast<uint32_t>(inner.get()));
  const UniqueFd outer(bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "np_probe", 4,
                                      4, 1, &options));
  const uint32_t key = 0;
  const int value = inner.get();
  return inner.ok() && outer.ok() &&
         bpf_map_update_elem(outer.get(), &key, &value, BPF_ANY) == 0;
}

// The helper came in the series that moved the account of BPF memory from
// RLIMIT_MEMLOCK to memory cgroups (Linux 5.11); libbpf goes by the same sign.
Feature ProbeMemoryAccount() {
  const bool by_cgroup =
      libbpf_probe_bpf_helper(BPF_PROG_TYPE_SOCKET_FILTER,
                              BPF_FUNC_ktime_get_coarse_ns, nullptr) == 1;
  rlimit limit = {};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  return Wanted("memory_account", by_cgroup,
                "tables are charged to the memory cgroup",
                limit.rlim_cur == RLIM_INFINITY
                    ? "tables are charged to RLIMIT_MEMLOCK, which is unlimited"
                    : absl::StrCat("tables are charged to RLIMIT_MEMLOCK (",
                                   limit.rlim_cur,
                                   " bytes), which is raised on loading: needs "
                                   "CAP_SYS_RESOURCE"));
}

Feature Tried(absl::string_view name, const absl::StatusOr<bool>& there,
              absl::string_view good_for, absl::string_view otherwise) {
  if (!there.ok()) {
    return Row(name, Support::kUnknown, std::string(there.status().message()));
  }
  return Wanted(name, *there, good_for, otherwise);
}

void ProbeTraffic(std::vector<Feature>& features) {
  constexpr absl::string_view kSeen = "what servers answer to SYNs is counted";
  constexpr absl::string_view kUnseen =
      "the SYN-ACKs that servers send pass no program: one packet of 60 to 80 "
      "bytes a connection is not counted, and judged only by its SYN";
  const NetworkProbe probe = ProbeNetwork();
  features.push_back(Tried("syn_acks_ipv4", probe.syn_acks_v4, kSeen, kUnseen));
  features.push_back(Tried("syn_acks_ipv6", probe.syn_acks_v6, kSeen, kUnseen));
  features.push_back(Tried(
      "tcx", probe.tcx, "programs at interfaces hang by links of their own",
      "programs at interfaces hang by filters: whoever removes the "
      "clsact queueing discipline removes them"));
  Feature clsact = Tried("clsact", probe.clsact,
                         "programs can hang at interfaces by filters",
                         "no filters at interfaces; none are needed with tcx");
  if (clsact.support == Support::kFallback && !probe.tcx.value_or(false)) {
    clsact.support = Support::kAbsent;
    clsact.detail =
        "neither tcx nor clsact (CONFIG_NET_SCH_INGRESS, CONFIG_NET_CLS_BPF): "
        "interfaces can't be counted";
  }
  features.push_back(std::move(clsact));
  Feature destroy =
      Tried("socket_destroy", probe.destroy_tcp,
            "sockets that a commit blocks can be closed at once",
            "sockets that a commit blocks can't be closed "
            "(CONFIG_INET_DIAG_DESTROY): --close-sockets closes nothing, and "
            "their processes wait until they give up");
  if (destroy.support == Support::kFallback) destroy.support = Support::kAbsent;
  if (destroy.support == Support::kNative &&
      !probe.destroy_udp.value_or(true)) {
    destroy.support = Support::kFallback;
    destroy.detail =
        "datagram sockets that a commit blocks can't be closed "
        "(CONFIG_INET_UDP_DIAG), connections of TCP can";
  }
  features.push_back(std::move(destroy));
  features.push_back(
      Tried("netkit", probe.netkit,
            "programs can be at a container's netkit pair itself",
            "no netkit pairs; other interfaces are counted as well"));
}

}  // namespace

absl::string_view SupportName(Support support) {
  switch (support) {
    case Support::kNative:
      return "native";
    case Support::kFallback:
      return "fallback";
    case Support::kAbsent:
      return "absent";
    case Support::kUnknown:
      return "unknown";
  }
  return "unknown";
}

std::vector<Feature> ProbeFeatures(absl::string_view cgroup,
                                   absl::string_view pin_dir) {
  const LibbpfLog quiet;
  std::vector<Feature> features;
  features.push_back(ProbeCapabilities());
  features.push_back(ProbeCgroup(cgroup));
  features.push_back(ProbeBpfFs(pin_dir));
  features.push_back(ProbeBpf());
  features.push_back(ProbeBtf());
  ProbePrograms(features);
  ProbeStorage(features);
  features.push_back(Needed(
      "mapped_arrays", HasMappedArrays(), "a policy is published by one store",
      "arrays can't be mapped into memory: no atomic commit"));
  features.push_back(Needed("prefix_tables", HasPrefixTables(),
                            "rules can name networks and interfaces",
                            "no longest-prefix tables: no enforcement"));
  features.push_back(Needed(
      "lru_tables", MakeMap(BPF_MAP_TYPE_LRU_HASH, 4, 8, 1).ok(),
      "the last peers of which something was refused are remembered",
      "no tables that forget what is oldest: the programs can't be loaded"));
  features.push_back(Needed("fence", HasFence(),
                            "a commit can wait until no packet meets the old "
                            "policy",
                            "no maps of maps: no fence"));
  features.push_back(Wanted("hash_batch", HasHashBatch(),
                            "many entries are read and written in one call",
                            "one call for each entry: big commits and dumps "
                            "take longer"));
  features.push_back(Wanted("percpu_array_batch", HasPerCpuArrayBatch(),
                            "counters are read in few calls",
                            "one call for each counter row: statistics take "
                            "longer"));
  features.push_back(Wanted("ring_buffer", HasRingBuffer(),
                            "events can be streamed",
                            "no event stream; counters tell the same"));
  ProbeTraffic(features);
  features.push_back(ProbeMemoryAccount());
  return features;
}

}  // namespace netpolicy
