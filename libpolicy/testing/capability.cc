// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/testing/capability.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <mutex>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/testing/bpf_fs.h"
#include "libpolicy/testing/container.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/test_cgroup.h"
#include "libpolicy/testing/veth_pair.h"

namespace netpolicy::testing {
namespace {

absl::Status ProbeRoot() {
  if (geteuid() != 0) return absl::PermissionDeniedError("not uid 0");
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capget, &header, data) != 0) {
    return ErrnoStatus(errno, "get capabilities");
  }
  if ((data[0].effective & (1u << CAP_SYS_ADMIN)) == 0) {
    return absl::PermissionDeniedError("no CAP_SYS_ADMIN");
  }
  if ((data[0].effective & (1u << CAP_NET_ADMIN)) == 0) {
    return absl::PermissionDeniedError("no CAP_NET_ADMIN");
  }
  return absl::OkStatus();
}

absl::Status ProbeBpf() {
  UniqueFd map(
      bpf_map_create(BPF_MAP_TYPE_ARRAY, "np_probe", 4, 4, 1, nullptr));
  if (!map.ok()) return ErrnoStatus(errno, "create array map");
  const bpf_insn insns[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K,
       .dst_reg = 0,
       .src_reg = 0,
       .off = 0,
       .imm = 1},
      {.code = BPF_JMP | BPF_EXIT,
       .dst_reg = 0,
       .src_reg = 0,
       .off = 0,
       .imm = 0},
  };
  UniqueFd program(bpf_prog_load(BPF_PROG_TYPE_CGROUP_SKB, "np_probe", "GPL",
                                 insns, 2, nullptr));
  if (!program.ok()) return ErrnoStatus(errno, "load cgroup_skb program");
  return absl::OkStatus();
}

absl::Status ProbeVeth() {
  NP_ASSIGN_OR_RETURN(NetNamespace left, NetNamespace::Create());
  NP_ASSIGN_OR_RETURN(NetNamespace right, NetNamespace::Create());
  return VethPair::Create(left, right).status();
}

absl::Status ProbePacketSockets() {
  UniqueFd fd(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  return fd.ok() ? absl::OkStatus() : ErrnoStatus(errno, "open packet socket");
}

struct Row {
  const char* name;
  absl::Status status;
};

Row Probe(Capability capability) {
  switch (capability) {
    case Capability::kRoot:
      return {"root", ProbeRoot()};
    case Capability::kBpf:
      return {"bpf", ProbeBpf()};
    case Capability::kBpfFs:
      return {"bpffs", BpfFs::Mount().status()};
    case Capability::kCgroup2:
      return {"cgroup2", TestCgroup::Create().status()};
    case Capability::kNetNamespaces:
      return {"network namespaces", NetNamespace::Create().status()};
    case Capability::kUserNamespaces:
      return {"user namespaces",
              Container::Create({"0 0 1", "0 0 1"}).status()};
    case Capability::kVeth:
      return {"veth", ProbeVeth()};
    case Capability::kPacketSockets:
      return {"packet sockets", ProbePacketSockets()};
  }
  return {"capability", absl::InternalError("unknown")};
}

}  // namespace

std::optional<std::string> MissingCapability(
    std::initializer_list<Capability> needed) {
  static auto* mutex = new std::mutex;
  static auto* known = new std::map<Capability, Row>;
  std::lock_guard<std::mutex> lock(*mutex);
  for (Capability capability : needed) {
    auto it = known->find(capability);
    if (it == known->end())
      it = known->emplace(capability, Probe(capability)).first;
    const Row& row = it->second;
    if (!row.status.ok()) {
      return absl::StrCat("missing ", row.name, ": ", row.status.message());
    }
  }
  return std::nullopt;
}

std::optional<std::string> MissingForBpfTests() {
  return MissingCapability({Capability::kRoot, Capability::kBpf,
                            Capability::kBpfFs, Capability::kCgroup2,
                            Capability::kNetNamespaces, Capability::kVeth,
                            Capability::kPacketSockets});
}

std::optional<std::string> MissingForNetworkTests() {
  return MissingCapability({Capability::kRoot, Capability::kNetNamespaces,
                            Capability::kVeth, Capability::kPacketSockets});
}

}  // namespace netpolicy::testing
