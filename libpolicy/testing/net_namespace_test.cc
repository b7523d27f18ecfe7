// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/testing/net_namespace.h"

#include <cerrno>
#include <cstdint>
#include <optional>
#include <string>

#include <net/if.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/capability.h"
#include "libpolicy/testing/container.h"
#include "libpolicy/testing/endpoint.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/veth_pair.h"

namespace netpolicy::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

uint64_t OwnNetns() {
  struct stat info = {};
  stat("/proc/thread-self/ns/net", &info);
  return info.st_ino;
}

template <typename Condition>
bool Eventually(Condition condition) {
  const absl::Time deadline = absl::Now() + absl::Seconds(5);
  while (!condition() && absl::Now() < deadline)
    absl::SleepFor(absl::Milliseconds(5));
  return condition();
}

// Sends one datagram from one namespace to the other; true when it arrived.
bool DatagramArrives(const NetNamespace& from, const NetNamespace& to,
                     const IpAddress& target) {
  auto sender = from.OpenSocket(target.family(), SOCK_DGRAM);
  auto receiver = to.OpenSocket(target.family(), SOCK_DGRAM);
  if (!sender.ok() || !receiver.ok()) return false;
  const timeval timeout = {.tv_sec = 1, .tv_usec = 0};
  setsockopt(receiver->get(), SOL_SOCKET, SO_RCVTIMEO, &timeout,
             sizeof(timeout));
  sockaddr_storage address;
  const socklen_t size = Endpoint{target, 5000}.ToSockaddr(&address);
  if (bind(receiver->get(), reinterpret_cast<sockaddr*>(&address), size) != 0)
    return false;
  if (sendto(sender->get(), "x", 1, 0, reinterpret_cast<sockaddr*>(&address),
             size) != 1) {
    return false;
  }
  char buffer[2];
  return recv(receiver->get(), buffer, sizeof(buffer), 0) == 1;
}

class NetNamespaceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (auto missing = MissingForNetworkTests()) GTEST_SKIP() << *missing;
    auto left = NetNamespace::Create();
    auto right = NetNamespace::Create();
    ASSERT_THAT(left, IsOk());
    ASSERT_THAT(right, IsOk());
    left_.emplace(*std::move(left));
    right_.emplace(*std::move(right));
  }

  std::optional<NetNamespace> left_, right_;
};

TEST_F(NetNamespaceTest, TheCallerStaysWhereItIs) {
  const uint64_t before = OwnNetns();
  auto ns = NetNamespace::Create();
  ASSERT_THAT(ns, IsOk());
  EXPECT_EQ(OwnNetns(), before);
  EXPECT_NE(ns->inode(), before);
  uint64_t inside = 0;
  EXPECT_THAT(ns->Run([&] {
    inside = OwnNetns();
    return absl::OkStatus();
  }),
              IsOk());
  EXPECT_EQ(inside, ns->inode());
  EXPECT_EQ(OwnNetns(), before);
}

TEST_F(NetNamespaceTest, ScopedNetnsNests) {
  const uint64_t before = OwnNetns();
  {
    auto outer = ScopedNetns::Enter(*left_);
    ASSERT_THAT(outer, IsOk());
    EXPECT_EQ(OwnNetns(), left_->inode());
    {
      auto inner = ScopedNetns::Enter(*right_);
      ASSERT_THAT(inner, IsOk());
      EXPECT_EQ(OwnNetns(), right_->inode());
    }
    EXPECT_EQ(OwnNetns(), left_->inode());
  }
  EXPECT_EQ(OwnNetns(), before);
}

TEST_F(NetNamespaceTest, LoopbackWorksAtOnce) {
  EXPECT_TRUE(DatagramArrives(*left_, *left_, "127.0.0.1"));
  EXPECT_TRUE(DatagramArrives(*left_, *left_, "::1"));
}

TEST_F(NetNamespaceTest, VethCarriesBothFamiliesBothWays) {
  auto pair = VethPair::Create(*left_, *right_,
                               {.left_name = "wlan0", .right_name = "lan0"});
  ASSERT_THAT(pair, IsOk());
  EXPECT_EQ(pair->left().name, "wlan0");
  EXPECT_THAT(left_->LinkIndex("wlan0"), IsOkAndHolds(pair->left().index));
  EXPECT_THAT(right_->LinkMac("lan0"), IsOkAndHolds(pair->right().mac));
  EXPECT_NE(pair->left().mac, pair->right().mac);
  EXPECT_TRUE(DatagramArrives(*left_, *right_, "10.77.0.2"));
  EXPECT_TRUE(DatagramArrives(*right_, *left_, "10.77.0.1"));
  EXPECT_TRUE(DatagramArrives(*left_, *right_, "fd77::2"));
  EXPECT_TRUE(DatagramArrives(*right_, *left_, "fd77::1"));
}

TEST_F(NetNamespaceTest, DiscoveredNeighboursWorkToo) {
  auto pair = VethPair::Create(*left_, *right_,
                               {.neighbours = Neighbours::kDiscovered});
  ASSERT_THAT(pair, IsOk());
  EXPECT_TRUE(DatagramArrives(*left_, *right_, "10.77.0.2"));
  EXPECT_TRUE(DatagramArrives(*left_, *right_, "fd77::2"));
}

TEST_F(NetNamespaceTest, APairInOneNamespaceAndMoreThanOnePair) {
  auto inside =
      VethPair::Create(*left_, *left_, {.left_name = "a", .right_name = "b"});
  ASSERT_THAT(inside, IsOk());
  auto across = VethPair::Create(*left_, *right_,
                                 {.left_v4 = "10.78.0.1",
                                  .right_v4 = "10.78.0.2",
                                  .left_v6 = std::nullopt,
                                  .right_v6 = std::nullopt});
  ASSERT_THAT(across, IsOk());
  EXPECT_TRUE(DatagramArrives(*left_, *right_, "10.78.0.2"));
  EXPECT_FALSE(across->left().v6.has_value());
  EXPECT_THAT(VethPair::Create(*left_, *right_, {}), HasErrno(EEXIST));
}

TEST_F(NetNamespaceTest, PairsAndNamespacesTakeTheirLinksWithThem) {
  {
    auto pair = VethPair::Create(*left_, *right_);
    ASSERT_THAT(pair, IsOk());
  }
  EXPECT_THAT(right_->LinkIndex("eth0"), HasErrno(ENODEV));
  ASSERT_THAT(left_->AddVeth("x", *right_, "y"), IsOk());
  left_.reset();
  EXPECT_TRUE(Eventually([&] { return !right_->LinkIndex("y").ok(); }));
}

TEST_F(NetNamespaceTest, DeletedLinksAreNoTrouble) {
  auto pair = VethPair::Create(*left_, *right_);
  ASSERT_THAT(pair, IsOk());
  EXPECT_THAT(right_->DeleteLink("eth0"), IsOk());
  EXPECT_THAT(left_->LinkIndex("eth0"), HasErrno(ENODEV));
  ASSERT_THAT(left_->AddLink("eth0", "ifb"), IsOk());
  pair = absl::CancelledError("destroyed");
  EXPECT_THAT(left_->LinkIndex("eth0"), IsOk())
      << "deleted somebody else's link";
}

TEST_F(NetNamespaceTest, MtuAndMacAreSet) {
  auto pair = VethPair::Create(*left_, *right_, {.mtu_bytes = 1400});
  ASSERT_THAT(pair, IsOk());
  EXPECT_THAT(left_->ReadSysctl("net/ipv6/conf/eth0/mtu"),
              IsOkAndHolds("1400"));
  EXPECT_THAT(left_->SetMtu("eth0", 1280), IsOk());
  EXPECT_THAT(left_->ReadSysctl("net/ipv6/conf/eth0/mtu"),
              IsOkAndHolds("1280"));
  const MacAddress mac = {0x02, 0, 0, 0, 0, 0x07};
  EXPECT_THAT(left_->SetMac("eth0", mac), IsOk());
  EXPECT_THAT(left_->LinkMac("eth0"), IsOkAndHolds(mac));
}

TEST_F(NetNamespaceTest, SysctlsBelongToTheirNamespace) {
  ASSERT_THAT(left_->WriteSysctl("net/ipv4/ip_forward", "1"), IsOk());
  ASSERT_THAT(right_->WriteSysctl("net/ipv4/ip_forward", "0"), IsOk());
  EXPECT_THAT(left_->ReadSysctl("net/ipv4/ip_forward"), IsOkAndHolds("1"));
  EXPECT_THAT(right_->ReadSysctl("net/ipv4/ip_forward"), IsOkAndHolds("0"));
  EXPECT_THAT(left_->WriteSysctl("net/ipv4/no_such_thing", "1"),
              HasErrno(ENOENT));
}

TEST_F(NetNamespaceTest, OffloadsAreSwitched) {
  auto pair = VethPair::Create(*left_, *right_);
  ASSERT_THAT(pair, IsOk());
  for (Offload offload :
       {Offload::kTso, Offload::kGso, Offload::kGro, Offload::kTxChecksum}) {
    for (Toggle toggle : {Toggle::kOff, Toggle::kOn}) {
      SCOPED_TRACE(static_cast<int>(offload));
      EXPECT_THAT(left_->SetOffload("eth0", offload, toggle), IsOk());
      EXPECT_THAT(left_->GetOffload("eth0", offload), IsOkAndHolds(toggle));
    }
  }
}

TEST_F(NetNamespaceTest, FeaturesAreSwitchedByName) {
  auto pair = VethPair::Create(*left_, *right_);
  ASSERT_THAT(pair, IsOk());
  for (Toggle toggle : {Toggle::kOff, Toggle::kOn}) {
    EXPECT_THAT(left_->SetFeature("eth0", "rx-gro", toggle), IsOk());
    EXPECT_THAT(left_->GetOffload("eth0", Offload::kGro), IsOkAndHolds(toggle));
  }
  // Some kernels' veth never does this one.
  EXPECT_THAT(left_->SetFeature("eth0", "tx-udp-segmentation", Toggle::kOff),
              IsOk());
  EXPECT_THAT(left_->SetFeature("eth0", "no-such-feature", Toggle::kOn),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(
      left_->SetFeature("lo", "rx-vlan-filter", Toggle::kOn),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("stays off")));
}

TEST_F(NetNamespaceTest, RoutesLeadThroughARouter) {
  auto router = NetNamespace::Create();
  ASSERT_THAT(router, IsOk());
  auto near = VethPair::Create(*left_, *router, {.right_name = "near"});
  auto far = VethPair::Create(*router, *right_,
                              {.left_name = "far",
                               .left_v4 = "10.78.0.1",
                               .right_v4 = "10.78.0.2",
                               .left_v6 = "fd78::1",
                               .right_v6 = "fd78::2"});
  ASSERT_THAT(near, IsOk());
  ASSERT_THAT(far, IsOk());
  EXPECT_FALSE(DatagramArrives(*left_, *right_, "10.78.0.2"));
  ASSERT_THAT(router->WriteSysctl("net/ipv4/ip_forward", "1"), IsOk());
  ASSERT_THAT(router->WriteSysctl("net/ipv6/conf/all/forwarding", "1"), IsOk());
  // The way back, or else the reverse path filter may drop what arrives.
  ASSERT_THAT(right_->AddRoute({.via = "10.78.0.1"}), IsOk());
  // IPv4 over an IPv6 gateway, as a CLAT does it.
  ASSERT_THAT(left_->AddRoute({.destination = "10.78.0.0",
                               .prefix_length = 24,
                               .via = "fd77::2",
                               .device = "eth0"}),
              IsOk());
  ASSERT_THAT(left_->AddRoute({.via = "fd77::2"}), IsOk());
  EXPECT_TRUE(DatagramArrives(*left_, *right_, "10.78.0.2"));
  EXPECT_TRUE(DatagramArrives(*left_, *right_, "fd78::2"));
  EXPECT_THAT(left_->AddRoute({.via = "fd77::2"}), HasErrno(EEXIST));
  EXPECT_THAT(left_->DeleteRoute({.via = "fd77::2"}), IsOk());
  EXPECT_FALSE(DatagramArrives(*left_, *right_, "fd78::2"));
}

TEST_F(NetNamespaceTest, AddressesComeAndGo) {
  auto pair = VethPair::Create(*left_, *right_);
  ASSERT_THAT(pair, IsOk());
  ASSERT_THAT(right_->AddAddress("eth0", "fd77::3", 64), IsOk());
  EXPECT_TRUE(DatagramArrives(*left_, *right_, "fd77::3"));
  EXPECT_THAT(right_->DeleteAddress("eth0", "fd77::3", 64), IsOk());
  EXPECT_FALSE(DatagramArrives(*left_, *right_, "fd77::3"));
}

TEST_F(NetNamespaceTest, CountersCount) {
  auto pair = VethPair::Create(*left_, *right_);
  ASSERT_THAT(pair, IsOk());
  auto before = right_->Counters("eth0");
  ASSERT_THAT(before, IsOk());
  ASSERT_TRUE(DatagramArrives(*left_, *right_, "10.77.0.2"));
  auto after = right_->Counters("eth0");
  ASSERT_THAT(after, IsOk());
  EXPECT_GT(after->rx_packets, before->rx_packets);
  EXPECT_GE(after->rx_bytes, before->rx_bytes + 14 + 20 + 8 + 1);
}

TEST_F(NetNamespaceTest, ErrorsNameTheObject) {
  EXPECT_THAT(left_->SetMtu("no0", 1500),
              StatusIs(absl::StatusCode::kNotFound,
                       "set mtu 1500 of link no0: no such device "
                       "(ENODEV)"));
  EXPECT_THAT(left_->LinkIndex("a-name-that-is-too-long"), HasErrno(EINVAL));
  EXPECT_THAT(left_->AddLink("x", "no-such-kind"), HasErrno(EOPNOTSUPP));
}

TEST(ContainerTest, ItsNamespaceBelongsToIt) {
  if (auto missing =
          MissingCapability({Capability::kRoot, Capability::kUserNamespaces})) {
    GTEST_SKIP() << *missing;
  }
  auto box = Container::Create({"0 100000 65536", "0 100000 65536"});
  ASSERT_THAT(box, IsOk());
  EXPECT_TRUE(DatagramArrives(box->net, box->net, "127.0.0.1"));
  EXPECT_THAT(Container::Create({"nonsense", "0 0 1"}), HasErrno(EINVAL));
}

}  // namespace
}  // namespace netpolicy::testing
