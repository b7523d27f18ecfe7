// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_BENCHMARKS_POLICY_PROGRAMS_H_
#define NETPOLICY_BENCHMARKS_POLICY_PROGRAMS_H_

#include <cstdint>
#include <memory>

#include "bpf_progs/abi/stats.h"
#include "libpolicy/testing/net_namespace.h"

struct policy_bpf;

namespace netpolicy {

// Which way the packets take through the programs.
enum class Path {
  kEstablished,  // the verdict is in the socket's storage
  kFirstPacket,  // storage, but no verdict in it yet
  kFallback,     // no storage
};

struct ProgramsOptions {
  Path path = Path::kEstablished;
  // UIDs of the policy that have rules; the one of the packets among them.
  uint32_t uids = 1000;
  // Prefixes in the network rules of that UID, one of them around the peer,
  // whose list of four rules lets the packets pass. 0: it has no such rules.
  uint32_t prefixes = 0;
  // Off: the firewall alone, for the packets of established flows.
  bool accounting = true;
};

// The policy programs with tables of their own, attached to nothing, under a
// policy with every chain and the rules for metered interfaces on, which lets
// the owner of the packets pass.
class PolicyPrograms {
 public:
  // Null when the kernel refuses; why is on standard error.
  static std::unique_ptr<PolicyPrograms> Load(const ProgramsOptions& options);

  PolicyPrograms(const PolicyPrograms&) = delete;
  PolicyPrograms& operator=(const PolicyPrograms&) = delete;
  ~PolicyPrograms();

  // NP_INGRESS or NP_EGRESS.
  int fd(int direction) const;

  // skbs charged so far in this direction, on all rows.
  uint64_t Charged(int direction) const;

 private:
  explicit PolicyPrograms(policy_bpf* skeleton) : skeleton_(skeleton) {}

  policy_bpf* skeleton_;
};

// Where the packets are: on a metered link in a namespace of its own.
struct PacketLink {
  testing::NetNamespace netns;
  uint32_t ifindex;

  // Made at the first call; ends the process if it can't be.
  static const PacketLink& Get();
};

// Runs a program `packets` times on one TCP segment on the link, on the calling
// thread, which must be in the link's namespace. Nanoseconds of processor time
// a packet, with what BPF_PROG_TEST_RUN adds; negative on an error, or when the
// program lets it not pass.
double NanosecondsPerPacket(int program_fd, int packets);

}  // namespace netpolicy

#endif  // NETPOLICY_BENCHMARKS_POLICY_PROGRAMS_H_
