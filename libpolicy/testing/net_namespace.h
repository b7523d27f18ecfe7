// SPDX-License-Identifier: Apache-2.0
//
// Network namespaces and their interfaces, without ip(8).
//
//   auto ns = NetNamespace::Create();
//   ASSERT_THAT(ns, IsOk());
//   EXPECT_THAT(ns->AddLink("ifb0", "ifb"), IsOk());
//   EXPECT_THAT(ns->SetMtu("ifb0", 1280), IsOk());
//   EXPECT_THAT(ns->WriteSysctl("net/ipv4/ip_forward", "1"), IsOk());
//
// To connect two namespaces see veth_pair.h; for a container's see container.h.
//
// A namespace is held by descriptors only: no name, no mount. It goes, with all
// in it, when the last of NetNamespace, the processes and the sockets in it has
// gone. /sys/class/net of a thread that entered it still shows the old one.

#ifndef NETPOLICY_LIBPOLICY_TESTING_NET_NAMESPACE_H_
#define NETPOLICY_LIBPOLICY_TESTING_NET_NAMESPACE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/testing/endpoint.h"

namespace netpolicy::testing {

using MacAddress = std::array<uint8_t, 6>;

enum class Toggle { kOff, kOn };

// What ethtool -K calls tso, gso, gro, tx and rx.
enum class Offload { kTso, kGso, kGro, kTxChecksum, kRxChecksum };

struct Route {
  // Default route of the family of `via` (or of `family`) when not given.
  std::optional<IpAddress> destination = std::nullopt;
  // In bits; the whole address when not given.
  std::optional<int> prefix_length = std::nullopt;
  // At least one of these. An IPv6 gateway for an IPv4 route is fine.
  std::optional<IpAddress> via = std::nullopt;
  std::string device = "";
  // Only used when neither address tells: AF_INET or AF_INET6.
  int family = 0;
  uint32_t table = 254;  // RT_TABLE_MAIN
};

// Counters of a link as the kernel keeps them (rtnl_link_stats64).
struct LinkCounters {
  uint64_t rx_packets = 0, tx_packets = 0, rx_bytes = 0, tx_bytes = 0;
  uint64_t rx_dropped = 0, tx_dropped = 0;
};

// A network namespace. Not thread-safe, but no method changes the namespace of
// the calling thread. Errors carry errno (errno_status.h).
class NetNamespace {
 public:
  // A new one, after PrepareForTests().
  static absl::StatusOr<NetNamespace> Create();

  // Takes a namespace that somebody else made, from an nsfs descriptor (the
  // descriptor is copied); changes nothing in it.
  static absl::StatusOr<NetNamespace> Adopt(int nsfs_fd);

  // Brings lo up, and turns off duplicate address detection and router
  // solicitations for interfaces made later.
  absl::Status PrepareForTests() const;

  // Another handle on the same namespace.
  NetNamespace Share() const { return NetNamespace(state_); }

  // For setns(2), ChildOptions::netns; valid as long as this object.
  int fd() const;

  // The inode number, as in /proc/<pid>/ns/net and as the lower half of what
  // programs can compare. Nonzero.
  uint64_t inode() const;

  // Runs `body` on a fresh thread inside the namespace and waits for it.
  absl::Status Run(absl::FunctionRef<absl::Status()> body) const;

  // A socket in this namespace, owned by the caller (and its UID). Works from
  // any namespace from then on.
  absl::StatusOr<UniqueFd> OpenSocket(int family, int type,
                                      int protocol = 0) const;

  // `key` as a path below /proc/sys: "net/ipv4/ip_forward".
  absl::Status WriteSysctl(absl::string_view key,
                           absl::string_view value) const;
  // Without the final newline.
  absl::StatusOr<std::string> ReadSysctl(absl::string_view key) const;

  // --- Interfaces, by name ---
  absl::StatusOr<int> LinkIndex(const std::string& name) const;
  absl::StatusOr<MacAddress> LinkMac(const std::string& name) const;
  absl::StatusOr<LinkCounters> Counters(const std::string& name) const;

  // `kind` is a link type without parameters of its own: "ifb", "bridge",
  // "dummy" ... The link is down.
  absl::Status AddLink(const std::string& name, const std::string& kind) const;
  // Both ends are down and have no address; see VethPair.
  absl::Status AddVeth(const std::string& name, const NetNamespace& peer,
                       const std::string& peer_name) const;
  // The same with a netkit pair (Linux 6.7), whose primary is `name`.
  absl::Status AddNetkit(const std::string& name, const NetNamespace& peer,
                         const std::string& peer_name) const;
  absl::Status DeleteLink(const std::string& name) const;
  absl::Status DeleteLink(int index) const;

  absl::Status SetLink(const std::string& name, Toggle up) const;
  // Sets it down for that, and up again.
  absl::Status RenameLink(const std::string& from, const std::string& to) const;
  // Waits up to 5 s until a link has its carrier and its queues. The end of a
  // veth that was set up first gets them from a kernel worker (linkwatch) and
  // drops all before. VethPair has waited.
  absl::Status WaitUntilRunning(const std::string& name) const;
  absl::Status SetMtu(const std::string& name, int mtu_bytes) const;
  absl::Status SetMac(const std::string& name, const MacAddress& mac) const;

  // When the link is up, the address is usable on return (for IPv6: nodad).
  absl::Status AddAddress(const std::string& name, const IpAddress& address,
                          int prefix_length) const;
  absl::Status DeleteAddress(const std::string& name, const IpAddress& address,
                             int prefix_length) const;
  absl::Status AddRoute(const Route& route) const;
  absl::Status DeleteRoute(const Route& route) const;
  // A permanent neighbour entry.
  absl::Status AddNeighbour(const std::string& name, const IpAddress& address,
                            const MacAddress& mac) const;

  absl::Status SetOffload(const std::string& name, Offload offload,
                          Toggle toggle) const;
  // Any feature by the name that ethtool -k shows: "tx-udp-segmentation". An
  // error when the link doesn't do it.
  absl::Status SetFeature(const std::string& name, const std::string& feature,
                          Toggle toggle) const;
  absl::StatusOr<Toggle> GetOffload(const std::string& name,
                                    Offload offload) const;

 private:
  struct State;

  explicit NetNamespace(std::shared_ptr<State> state)
      : state_(std::move(state)) {}
  absl::Status AddPair(const std::string& kind, uint16_t peer_info,
                       const std::string& name, const NetNamespace& peer,
                       const std::string& peer_name) const;
  absl::Status ChangeAddress(const std::string& name, const IpAddress& address,
                             int prefix_length, uint16_t type,
                             uint16_t flags) const;
  // The bytes of an IFLA_ attribute; "" when the link has none such.
  absl::StatusOr<std::string> LinkAttribute(const std::string& name,
                                            uint16_t type) const;
  absl::Status ChangeRoute(const Route& route, uint16_t type,
                           uint16_t flags) const;

  std::shared_ptr<State> state_;
};

// Moves the calling thread into a namespace until the end of the scope. Must be
// destroyed by the same thread, innermost first. Failing to go back aborts: the
// test would work on somebody else's interfaces.
class ScopedNetns {
 public:
  static absl::StatusOr<ScopedNetns> Enter(const NetNamespace& ns);

  ScopedNetns(ScopedNetns&&) = default;
  ScopedNetns& operator=(ScopedNetns&&) = delete;
  ~ScopedNetns();

 private:
  explicit ScopedNetns(UniqueFd previous) : previous_(std::move(previous)) {}

  UniqueFd previous_;
};

}  // namespace netpolicy::testing

#endif  // NETPOLICY_LIBPOLICY_TESTING_NET_NAMESPACE_H_
