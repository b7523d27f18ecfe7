// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/kernel/probe_network.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/if.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/kernel/cgroup.h"
#include "libpolicy/kernel/errno_status.h"
#include "libpolicy/kernel/link.h"
#include "libpolicy/kernel/socket_diag.h"
#include "libpolicy/kernel/tc_link.h"

namespace netpolicy {
namespace {

constexpr int kTcpHeaderBytes = 20;
constexpr int kTcpFlagsAt = 13;
constexpr int kSynAck = 0x12;

bpf_insn Instruction(int code, int dst, int src, int off, int imm) {
  bpf_insn instruction{};
  instruction.code = static_cast<__u8>(code);
  instruction.dst_reg = static_cast<__u8>(dst & 0xf);
  instruction.src_reg = static_cast<__u8>(src & 0xf);
  instruction.off = static_cast<__s16>(off);
  instruction.imm = imm;
  return instruction;
}

// Lets everything pass, and writes 1 to the map's only entry when it sees a
// SYN-ACK from `port` (wire order) behind an IP header of `header_bytes`.
UniqueFd LoadWatcher(int map_fd, int header_bytes, uint16_t port) {
  constexpr int kMove = BPF_ALU64 | BPF_MOV;
  constexpr int kUnlessEqual = BPF_JMP | BPF_JNE | BPF_K;
  const bpf_insn instructions[] = {
      // if (bpf_skb_load_bytes(skb, header_bytes, fp - 24, 20)) goto pass;
      Instruction(kMove | BPF_K, BPF_REG_2, 0, 0, header_bytes),
      Instruction(kMove | BPF_X, BPF_REG_3, BPF_REG_10, 0, 0),
      Instruction(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_3, 0, 0, -24),
      Instruction(kMove | BPF_K, BPF_REG_4, 0, 0, kTcpHeaderBytes),
      Instruction(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_skb_load_bytes),
      Instruction(kUnlessEqual, BPF_REG_0, 0, 13, 0),
      // if (source port != port || (flags & SYN-ACK) != SYN-ACK) goto pass;
      Instruction(BPF_LDX | BPF_MEM | BPF_H, BPF_REG_1, BPF_REG_10, -24, 0),
      Instruction(kUnlessEqual, BPF_REG_1, 0, 11, port),
      Instruction(BPF_LDX | BPF_MEM | BPF_B, BPF_REG_1, BPF_REG_10,
                  -24 + kTcpFlagsAt, 0),
      Instruction(BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_1, 0, 0, kSynAck),
      Instruction(kUnlessEqual, BPF_REG_1, 0, 8, kSynAck),
      // map[0] = 1;
      Instruction(BPF_ST | BPF_MEM | BPF_W, BPF_REG_10, 0, -4, 0),
      Instruction(kMove | BPF_X, BPF_REG_2, BPF_REG_10, 0, 0),
      Instruction(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, -4),
      Instruction(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0,
                  map_fd),
      Instruction(0, 0, 0, 0, 0),
      Instruction(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
      Instruction(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 1, 0),
      Instruction(BPF_ST | BPF_MEM | BPF_DW, BPF_REG_0, 0, 0, 1),
      // pass:
      Instruction(kMove | BPF_K, BPF_REG_0, 0, 0, 1),
      Instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
  };
  LIBBPF_OPTS(bpf_prog_load_opts, options,
              .expected_attach_type = BPF_CGROUP_INET_EGRESS);
  return UniqueFd(bpf_prog_load(BPF_PROG_TYPE_CGROUP_SKB, "np_probe", "GPL",
                                instructions, std::size(instructions),
                                &options));
}

absl::StatusOr<Cgroup> OwnCgroup() {
  NP_ASSIGN_OR_RETURN(const std::string mount, FindCgroup2Mount());
  std::ifstream lines("/proc/self/cgroup");
  std::string line;
  while (std::getline(lines, line)) {
    absl::string_view path = line;
    if (absl::ConsumePrefix(&path, "0::")) {
      return OpenCgroup(absl::StrCat(mount, path));
    }
  }
  return absl::NotFoundError("find own cgroup: none in /proc/self/cgroup");
}

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  uint16_t port() const {
    return storage.ss_family == AF_INET
               ? reinterpret_cast<const sockaddr_in&>(storage).sin_port
               : reinterpret_cast<const sockaddr_in6&>(storage).sin6_port;
  }
};

Address Loopback(int family) {
  Address address;
  address.storage.ss_family = static_cast<sa_family_t>(family);
  if (family == AF_INET) {
    reinterpret_cast<sockaddr_in&>(address.storage).sin_addr.s_addr =
        htonl(INADDR_LOOPBACK);
    address.size = sizeof(sockaddr_in);
  } else {
    reinterpret_cast<sockaddr_in6&>(address.storage).sin6_addr =
        in6addr_loopback;
    address.size = sizeof(sockaddr_in6);
  }
  return address;
}

// `probe` is for messages: "probe SYN-ACKs".
absl::StatusOr<UniqueFd> MakeSocket(int family, int type,
                                    absl::string_view probe) {
  UniqueFd fd(socket(family, type | SOCK_CLOEXEC, 0));
  if (!fd.ok()) {
    return StatusFromErrno(errno, absl::StrCat(probe, ": make socket"));
  }
  // Also bounds connect().
  const timeval timeout = {.tv_sec = 1, .tv_usec = 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  return fd;
}

// A socket that can be connected to, at a port that was free; `address` gets
// the port.
absl::StatusOr<UniqueFd> Listen(int family, int type, Address& address,
                                absl::string_view probe) {
  NP_ASSIGN_OR_RETURN(UniqueFd listener, MakeSocket(family, type, probe));
  if (bind(listener.get(), address.get(), address.size) != 0 ||
      (type == SOCK_STREAM && listen(listener.get(), 1) != 0) ||
      getsockname(listener.get(), address.get(), &address.size) != 0) {
    return StatusFromErrno(errno, absl::StrCat(probe, ": listen on loopback"));
  }
  return listener;
}

absl::Status Connect(const UniqueFd& client, Address& address,
                     absl::string_view probe) {
  if (connect(client.get(), address.get(), address.size) == 0) {
    return absl::OkStatus();
  }
  return StatusFromErrno(errno, absl::StrCat(probe, ": connect over loopback"));
}

absl::Status SetLoopbackUp() {
  const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::snprintf(request.ifr_name, sizeof(request.ifr_name), "lo");
  if (ioctl(fd.get(), SIOCGIFFLAGS, &request) != 0) {
    return StatusFromErrno(errno, "read flags of lo");
  }
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  if (ioctl(fd.get(), SIOCSIFFLAGS, &request) != 0) {
    return StatusFromErrno(errno, "set flags of lo");
  }
  return absl::OkStatus();
}

// A program for interfaces that leaves every packet to the next one.
UniqueFd LoadTcProgram() {
  const bpf_insn instructions[] = {
      Instruction(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, TC_ACT_UNSPEC),
      Instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
  };
  return UniqueFd(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "np_probe", "GPL",
                                instructions, std::size(instructions),
                                nullptr));
}

// A kernel that has such links looks for the interface, and there is none.
absl::StatusOr<bool> IsKnown(const absl::Status& status) {
  if (absl::IsNotFound(status)) return true;
  if (absl::IsFailedPrecondition(status)) return false;
  return status;
}

enum class Namespace : uint8_t { kOwn, kCallers };

void ProbeInterfaces(Namespace where, NetworkProbe& probe) {
  const UniqueFd fd = LoadTcProgram();
  if (!fd.ok()) {
    const absl::Status status =
        BpfStatusFromErrno(errno, "load program for interfaces", "CAP_BPF");
    probe.tcx = probe.clsact = probe.netkit = status;
    return;
  }
  const TcProgram program{.fd = fd.get(), .name = "np_probe"};
  const TcPlace nowhere{IfIndex{0x7fffffff}, TcHook::kEgress};
  probe.tcx = IsKnown(CreateTcxLink(nowhere, program).status());
  probe.netkit = IsKnown(CreateNetkitLink(nowhere, program).status());
  if (where == Namespace::kCallers) {
    probe.clsact = absl::PermissionDeniedError(
        "try clsact: needs a network namespace of its own (CAP_SYS_ADMIN)");
    return;
  }
  const absl::Status status =
      SetTcFilter({IfIndex{1}, TcHook::kEgress}, program);
  if (absl::IsPermissionDenied(status)) {
    probe.clsact = status;
  } else {
    probe.clsact = status.ok();
  }
}

}  // namespace

absl::StatusOr<bool> EgressSeesSynAcks(int family) {
  NP_ASSIGN_OR_RETURN(const Cgroup cgroup, OwnCgroup());
  Address address = Loopback(family);
  constexpr absl::string_view kProbe = "probe SYN-ACKs";
  NP_ASSIGN_OR_RETURN(const UniqueFd listener,
                      Listen(family, SOCK_STREAM, address, kProbe));
  const UniqueFd map(
      bpf_map_create(BPF_MAP_TYPE_ARRAY, "np_probe", 4, 8, 1, nullptr));
  if (!map.ok()) {
    return BpfStatusFromErrno(errno, "probe SYN-ACKs: create map", "CAP_BPF");
  }
  const UniqueFd program =
      LoadWatcher(map.get(), family == AF_INET ? 20 : 40, address.port());
  if (!program.ok()) {
    return BpfStatusFromErrno(errno, "probe SYN-ACKs: load program",
                              "CAP_BPF and CAP_NET_ADMIN");
  }
  NP_ASSIGN_OR_RETURN(
      const UniqueFd link,
      CreateCgroupLink(program.get(), cgroup.fd.get(), BPF_CGROUP_INET_EGRESS,
                       "probe for SYN-ACKs"));
  NP_ASSIGN_OR_RETURN(const UniqueFd client,
                      MakeSocket(family, SOCK_STREAM, kProbe));
  NP_RETURN_IF_ERROR(Connect(client, address, kProbe));
  NP_RETURN_IF_ERROR(DetachLink(link.get(), "probe for SYN-ACKs"));
  const uint32_t key = 0;
  uint64_t seen = 0;
  if (bpf_map_lookup_elem(map.get(), &key, &seen) != 0) {
    return BpfStatusFromErrno(errno, "probe SYN-ACKs: read map", "CAP_BPF");
  }
  return seen != 0;
}

absl::StatusOr<bool> SocketsCanBeDestroyed(int type) {
  constexpr absl::string_view kProbe = "probe closing sockets";
  Address address = Loopback(AF_INET);
  NP_ASSIGN_OR_RETURN(const UniqueFd listener,
                      Listen(AF_INET, type, address, kProbe));
  NP_ASSIGN_OR_RETURN(const UniqueFd client, MakeSocket(AF_INET, type, kProbe));
  NP_RETURN_IF_ERROR(Connect(client, address, kProbe));
  NP_ASSIGN_OR_RETURN(const ConnectedSocket socket,
                      DescribeSocket(client.get()));
  absl::StatusOr<SocketDiag> diag = SocketDiag::Open();
  if (absl::IsFailedPrecondition(diag.status())) return false;
  NP_RETURN_IF_ERROR(diag.status());
  const absl::StatusOr<SocketDiag::Outcome> outcome = diag->Destroy(socket);
  if (absl::IsFailedPrecondition(outcome.status())) return false;
  NP_RETURN_IF_ERROR(outcome.status());
  char byte = 0;
  // A kernel without a listing for the protocol knows no such socket.
  return *outcome == SocketDiag::Outcome::kDestroyed &&
         recv(client.get(), &byte, 1, 0) < 0 && errno == ECONNABORTED;
}

NetworkProbe ProbeNetwork() {
  const absl::Status untried = absl::UnknownError("not tried");
  NetworkProbe probe{untried, untried, untried, untried,
                     untried, untried, untried};
  // A thread, as only a thread can leave the namespace for good.
  std::thread([&probe] {
    Namespace where = Namespace::kCallers;
    if (unshare(CLONE_NEWNET) == 0) {
      where = Namespace::kOwn;
      SetLoopbackUp().IgnoreError();  // What needs it will say so.
    }
    probe.syn_acks_v4 = EgressSeesSynAcks(AF_INET);
    probe.syn_acks_v6 = EgressSeesSynAcks(AF_INET6);
    probe.destroy_tcp = SocketsCanBeDestroyed(SOCK_STREAM);
    probe.destroy_udp = SocketsCanBeDestroyed(SOCK_DGRAM);
    ProbeInterfaces(where, probe);
  }).join();
  return probe;
}

}  // namespace netpolicy
