// SPDX-License-Identifier: Apache-2.0
//
// A host on an IPv6-only link, and an IPv4-only server behind a NAT64 made of
// Debian's tayga:
//
//   lan ---(optional)--- host eth0 ===IPv6 only=== router ---IPv4--- server
//                                                  tayga
//
// AddUplink() gives the host another one, with a NAT64 of its own:
//
//   host eth1 ===IPv6 only=== other_router ---IPv4--- server
//                             tayga
//
//   auto bed = Testbed::Create();
//   ASSERT_THAT(bed->StartPlat(), IsOk());
//   ... translate on bed->host's eth0 with prefix Testbed::kPrefix ...
//   RunProgram(bed->host(), {"/usr/bin/ping", "-c1", Testbed::kServer4}, ...);

#ifndef NETPOLICY_CLAT_TESTING_TESTBED_H_
#define NETPOLICY_CLAT_TESTING_TESTBED_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clat/testing/program.h"
#include "clat/testing/tun_pair.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/process.h"
#include "libpolicy/testing/scratch_dir.h"
#include "libpolicy/testing/veth_pair.h"

namespace netpolicy::clat::testing {

// With or without a link header in front of packets.
enum class UplinkKind : uint8_t { kEthernet, kRawIp };

// Of a test's parameter, for its name.
inline std::string UplinkKindName(
    const ::testing::TestParamInfo<UplinkKind>& info) {
  return info.param == UplinkKind::kEthernet ? "Ethernet" : "RawIp";
}

class Testbed {
 public:
  static constexpr char kPrefix[] = "2001:db8:64::/96";
  static constexpr char kServer4[] = "203.0.113.2";
  static constexpr char kServer6[] = "2001:db8:2::2";
  static constexpr char kHost6[] = "2001:db8:1::2";
  static constexpr char kRouter6[] = "2001:db8:1::1";
  static constexpr char kOtherPrefix[] = "2001:db8:74::/96";
  static constexpr char kOtherPool4[] = "192.168.254.";  // its clients', /24
  static constexpr char kPool4[] = "192.168.255.";
  static constexpr char kLanHost4[] = "10.9.0.2";

  // The host has an address and a default route of IPv6, as if a router had
  // advertised them.
  static absl::StatusOr<Testbed> Create(
      UplinkKind kind = UplinkKind::kEthernet);

  Testbed(Testbed&&) = default;
  Testbed& operator=(Testbed&&) = delete;

  // Debian's tayga, and what it needs; nullopt of `missing` when there is one.
  static std::optional<std::string> MissingPlat();
  absl::Status StartPlat(const std::string& prefix = kPrefix);
  void StopPlat() { plat_.reset(); }
  // One more beside it, on the same router.
  absl::Status AddPlat(const std::string& prefix);

  // A second uplink, its default route behind that of the first, and its NAT64.
  absl::Status AddUplink();

  // A client of the host's in a network of its own, with a default route to the
  // host, which forwards.
  absl::Status AddLan();

  const netpolicy::testing::NetNamespace& host() const { return *host_; }
  const netpolicy::testing::NetNamespace& router() const { return *router_; }
  const netpolicy::testing::NetNamespace& other_router() const {
    return *other_router_;
  }
  const netpolicy::testing::NetNamespace& server() const { return *server_; }
  const netpolicy::testing::NetNamespace& lan() const { return *lan_; }
  const netpolicy::testing::ScratchDir& scratch() const { return *scratch_; }

  // Standard output and error of a shell command that succeeded. Errors: what
  // it printed.
  static absl::StatusOr<std::string> Shell(
      const netpolicy::testing::NetNamespace& ns, const std::string& command,
      absl::Duration limit = absl::Seconds(20));

  // Runs until the testbed goes.
  absl::Status Serve(const netpolicy::testing::NetNamespace& ns,
                     const std::vector<std::string>& arguments);

 private:
  // A NAT64, its interface, and its addresses of IPv4 and IPv6.
  struct Nat64 {
    std::string device;
    std::string prefix;
    std::string own4;
    std::string own6;
    std::string pool4;
  };

  Testbed() = default;
  absl::Status ConnectHost(UplinkKind kind);
  absl::StatusOr<netpolicy::testing::ChildProcess> StartNat64(
      const netpolicy::testing::NetNamespace& ns, const Nat64& nat64);

  std::unique_ptr<netpolicy::testing::NetNamespace> host_, router_,
      other_router_, server_, lan_;
  std::unique_ptr<netpolicy::testing::ScratchDir> scratch_;
  std::optional<netpolicy::testing::VethPair> uplink_, internet_, lan_cable_,
      other_uplink_, other_internet_;
  std::optional<TunPair> raw_uplink_;
  std::optional<netpolicy::testing::ChildProcess> plat_;
  std::vector<netpolicy::testing::ChildProcess> servers_;
};

}  // namespace netpolicy::clat::testing

#endif  // NETPOLICY_CLAT_TESTING_TESTBED_H_
