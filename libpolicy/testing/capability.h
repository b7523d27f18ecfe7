// SPDX-License-Identifier: Apache-2.0
//
// What a test needs from the machine, so that it can skip itself and say why.
//
//   TEST(Egress, BlockedUidGetsEperm) {
//     if (auto missing = MissingForBpfTests()) GTEST_SKIP() << *missing;
//     ...
//   }
//
// Each capability is found out by doing the thing once per process, not from
// version numbers.

#ifndef NETPOLICY_LIBPOLICY_TESTING_CAPABILITY_H_
#define NETPOLICY_LIBPOLICY_TESTING_CAPABILITY_H_

#include <initializer_list>
#include <optional>
#include <string>

namespace netpolicy::testing {

enum class Capability {
  kRoot,            // Effective UID 0 with CAP_SYS_ADMIN and CAP_NET_ADMIN.
  kBpf,             // bpf(2) makes a map and loads a cgroup_skb program.
  kBpfFs,           // A bpffs can be mounted.
  kCgroup2,         // cgroup2 is mounted, a cgroup can be made.
  kNetNamespaces,   // A network namespace can be made.
  kUserNamespaces,  // A user namespace can be made.
  kVeth,            // A veth pair can be made.
  kPacketSockets,   // AF_PACKET, for PacketCapture.
};

// The first of these that is missing, with its cause: "veth: add veth eth0:
// operation not supported (EOPNOTSUPP)". Nothing when all are there.
std::optional<std::string> MissingCapability(
    std::initializer_list<Capability> needed);

// All that tests of BPF programs with real sockets need: everything above but
// user namespaces.
std::optional<std::string> MissingForBpfTests();

// Root, namespaces, veth, packet sockets.
std::optional<std::string> MissingForNetworkTests();

}  // namespace netpolicy::testing

#endif  // NETPOLICY_LIBPOLICY_TESTING_CAPABILITY_H_
