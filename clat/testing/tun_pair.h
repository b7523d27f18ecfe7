// SPDX-License-Identifier: Apache-2.0
//
// Two connected interfaces without a link header, as those of mobile networks
// and tunnels are: TUN devices, between which a thread carries packets.
// Segmentation and checksums may be left to the other end, as on a veth.
//
//   auto pair = TunPair::Create(*host, "wwan0", *router, "down0");

#ifndef NETPOLICY_CLAT_TESTING_TUN_PAIR_H_
#define NETPOLICY_CLAT_TESTING_TUN_PAIR_H_

#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/testing/net_namespace.h"

namespace netpolicy::clat::testing {

// Up, without addresses, 1500 bytes. The destructor deletes both. Movable; not
// thread-safe. Errors: what opening /dev/net/tun or setting up said.
class TunPair {
 public:
  static absl::StatusOr<TunPair> Create(
      const netpolicy::testing::NetNamespace& left,
      const std::string& left_name,
      const netpolicy::testing::NetNamespace& right,
      const std::string& right_name);

  TunPair(TunPair&&) = default;
  TunPair& operator=(TunPair&&) = delete;
  ~TunPair();

 private:
  struct Ends {
    UniqueFd left, right, stop;
  };

  explicit TunPair(std::unique_ptr<Ends> ends);
  static void Carry(const Ends& ends);

  std::unique_ptr<Ends> ends_;
  std::thread carrier_;
};

}  // namespace netpolicy::clat::testing

#endif  // NETPOLICY_CLAT_TESTING_TUN_PAIR_H_
