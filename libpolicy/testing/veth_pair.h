// SPDX-License-Identifier: Apache-2.0
//
// Two network namespaces and the cable between them.
//
//   auto phone = NetNamespace::Create();
//   auto router = NetNamespace::Create();
//   ASSERT_THAT(phone, IsOk());
//   ASSERT_THAT(router, IsOk());
//   auto wlan = VethPair::Create(*phone, *router, {.left_name = "wlan0"});
//   ASSERT_THAT(wlan, IsOk());
//   // 10.77.0.1 and fd77::1 reach 10.77.0.2 and fd77::2 from now on.
//   EXPECT_THAT(phone->AddRoute({.via = "10.77.0.2"}), IsOk());

#ifndef NETPOLICY_LIBPOLICY_TESTING_VETH_PAIR_H_
#define NETPOLICY_LIBPOLICY_TESTING_VETH_PAIR_H_

#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "libpolicy/testing/endpoint.h"
#include "libpolicy/testing/net_namespace.h"

namespace netpolicy::testing {

// Whether a link has a permanent entry for its peer, so that no ARP or
// neighbour discovery mixes with the traffic of the test.
enum class Neighbours { kPermanent, kDiscovered };

// What the two ends are. kNetkit: the left one is the primary; the links have
// no neighbours.
enum class PairKind { kVeth, kNetkit };

struct VethOptions {
  PairKind kind = PairKind::kVeth;
  std::string left_name = "eth0";
  std::string right_name = "eth0";
  // No address of a family when not given. Prefixes are /24 and /64.
  std::optional<IpAddress> left_v4 = "10.77.0.1";
  std::optional<IpAddress> right_v4 = "10.77.0.2";
  std::optional<IpAddress> left_v6 = "fd77::1";
  std::optional<IpAddress> right_v6 = "fd77::2";
  int mtu_bytes = 1500;
  Neighbours neighbours = Neighbours::kPermanent;
};

// One end of a pair.
struct VethEnd {
  std::string name;
  int index = 0;
  MacAddress mac = {};
  std::optional<IpAddress> v4, v6;
};

// Two connected Ethernet interfaces, up, with addresses. The destructor deletes
// them. The namespaces live at least as long. Movable; not thread-safe.
class VethPair {
 public:
  static absl::StatusOr<VethPair> Create(const NetNamespace& left,
                                         const NetNamespace& right,
                                         const VethOptions& options = {});

  VethPair(VethPair&& other) noexcept
      : left_ns_(other.left_ns_.Share()),
        right_ns_(other.right_ns_.Share()),
        left_(std::exchange(other.left_, {})),
        right_(std::exchange(other.right_, {})) {}
  VethPair& operator=(VethPair&& other) noexcept;
  ~VethPair();

  const VethEnd& left() const { return left_; }
  const VethEnd& right() const { return right_; }

 private:
  VethPair(NetNamespace left_ns, NetNamespace right_ns)
      : left_ns_(std::move(left_ns)), right_ns_(std::move(right_ns)) {}

  NetNamespace left_ns_, right_ns_;
  VethEnd left_, right_;
};

}  // namespace netpolicy::testing

#endif  // NETPOLICY_LIBPOLICY_TESTING_VETH_PAIR_H_
