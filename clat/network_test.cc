// SPDX-License-Identifier: Apache-2.0

#include "clat/network.h"

#include <poll.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/capability.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/veth_pair.h"

namespace netpolicy::clat {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::NetNamespace;
using testing::ScopedNetns;
using ::testing::SizeIs;
using testing::StatusIs;
using testing::VethPair;

Ipv4Address Ip4(const std::string& text) { return *Ipv4Address::Parse(text); }
Ipv6Address Ip6(const std::string& text) { return *Ipv6Address::Parse(text); }

class NetworkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (auto missing = testing::MissingForNetworkTests()) {
      GTEST_SKIP() << *missing;
    }
    auto left = NetNamespace::Create();
    auto right = NetNamespace::Create();
    ASSERT_THAT(left, IsOk());
    ASSERT_THAT(right, IsOk());
    left_ = std::make_unique<NetNamespace>(*std::move(left));
    right_ = std::make_unique<NetNamespace>(*std::move(right));
    auto cable = VethPair::Create(
        *left_, *right_, {.left_v4 = std::nullopt, .right_v4 = std::nullopt});
    ASSERT_THAT(cable, IsOk());
    cable_ = std::make_unique<VethPair>(*std::move(cable));
    ifindex_ = IfIndex{static_cast<uint32_t>(cable_->left().index)};
    auto inside = ScopedNetns::Enter(*left_);
    ASSERT_THAT(inside, IsOk());
    inside_.emplace(*std::move(inside));
    auto socket = NetlinkSocket::Open();
    ASSERT_THAT(socket, IsOk());
    socket_.emplace(*std::move(socket));
  }

  NetworkState Read() {
    auto state = ReadNetwork(*socket_);
    EXPECT_THAT(state, IsOk());
    return state.value_or(NetworkState{});
  }

  // State of an address of the left end, once it is no longer tentative.
  std::optional<InterfaceAddress6::State> Settled(const Ipv6Address& address) {
    const absl::Time deadline = absl::Now() + absl::Seconds(5);
    while (absl::Now() < deadline) {
      const NetworkState state = Read();
      const InterfaceAddress6* found = state.FindAddress(ifindex_, address);
      if (found == nullptr) return std::nullopt;
      if (found->state != InterfaceAddress6::State::kTentative) {
        return found->state;
      }
      absl::SleepFor(absl::Milliseconds(20));
    }
    return InterfaceAddress6::State::kTentative;
  }

  std::unique_ptr<NetNamespace> left_, right_;
  std::unique_ptr<VethPair> cable_;
  IfIndex ifindex_{};
  std::optional<ScopedNetns> inside_;
  std::optional<NetlinkSocket> socket_;
};

TEST_F(NetworkTest, ReadsInterfaces) {
  ASSERT_THAT(left_->SetMtu("eth0", 1400), IsOk());
  const NetworkState state = Read();
  const Link* link = state.FindLink("eth0");
  ASSERT_NE(link, nullptr);
  EXPECT_EQ(link->ifindex, ifindex_);
  EXPECT_EQ(link->carrier, Presence::kPresent);
  EXPECT_EQ(link->loopback, Presence::kAbsent);
  EXPECT_EQ(link->type, LinkType::kEthernet);
  EXPECT_EQ(link->mtu, 1400u);
  EXPECT_EQ(link->mtu6, 1400u);
  const Link* loopback = state.FindLink("lo");
  ASSERT_NE(loopback, nullptr);
  EXPECT_EQ(loopback->loopback, Presence::kPresent);
  EXPECT_EQ(state.FindLink("eth1"), nullptr);
  ASSERT_THAT(right_->SetLink("eth0", testing::Toggle::kOff), IsOk());
  EXPECT_EQ(Read().FindLink("eth0")->carrier, Presence::kAbsent);
}

TEST_F(NetworkTest, TheMtuOfIpv6MayBeSmaller) {
  ASSERT_THAT(left_->WriteSysctl("net/ipv6/conf/eth0/mtu", "1300"), IsOk());
  const NetworkState state = Read();
  EXPECT_EQ(state.FindLink("eth0")->mtu, 1500u);
  EXPECT_EQ(state.FindLink("eth0")->mtu6, 1300u);
}

TEST_F(NetworkTest, ReadsGlobalAddressesAndDefaultRoutes) {
  ASSERT_THAT(left_->AddRoute({.via = "fd77::2"}), IsOk());
  const NetworkState state = Read();
  const InterfaceAddress6* address =
      state.FindAddress(ifindex_, Ip6("fd77::1"));
  ASSERT_NE(address, nullptr);
  EXPECT_EQ(address->prefix_length, 64);
  EXPECT_EQ(address->state, InterfaceAddress6::State::kPreferred);
  ASSERT_THAT(state.addresses6, SizeIs(1)) << "not ::1, not fe80::";
  const DefaultRoute6* route = state.BestRoute6(ifindex_);
  ASSERT_NE(route, nullptr);
  EXPECT_EQ(route->via, Ip6("fd77::2"));
  EXPECT_THAT(state.routes4, IsEmpty());
}

TEST_F(NetworkTest, AnIpv4RouteGoesByAnIpv6Router) {
  ASSERT_THAT(AddAddress4(*socket_, ifindex_, Ip4("192.0.0.1")), IsOk());
  EXPECT_THAT(AddAddress4(*socket_, ifindex_, Ip4("192.0.0.1")), IsOk())
      << "a second time";
  DefaultRoute4 route{.ifindex = ifindex_,
                      .metric = 4096,
                      .via6 = Ip6("fd77::2"),
                      .source = Ip4("192.0.0.1"),
                      .mtu = 1472};
  ASSERT_THAT(SetDefaultRoute4(*socket_, route), IsOk());
  route.mtu = 1372;
  ASSERT_THAT(SetDefaultRoute4(*socket_, route), IsOk());
  const NetworkState state = Read();
  ASSERT_THAT(state.routes4, SizeIs(1));
  EXPECT_EQ(state.routes4[0].ifindex, ifindex_);
  EXPECT_EQ(state.routes4[0].metric, 4096u);
  EXPECT_EQ(state.routes4[0].protocol, kRouteProtocol);
  EXPECT_EQ(state.routes4[0].via6, Ip6("fd77::2"));
  EXPECT_EQ(state.routes4[0].source, Ip4("192.0.0.1"));
  EXPECT_EQ(state.routes4[0].mtu, 1372u);
  EXPECT_THAT(RemoveDefaultRoute4(*socket_, route), IsOk());
  EXPECT_THAT(RemoveDefaultRoute4(*socket_, route), IsOk()) << "again";
  EXPECT_THAT(RemoveAddress4(*socket_, ifindex_, Ip4("192.0.0.1")), IsOk());
  EXPECT_THAT(RemoveAddress4(*socket_, ifindex_, Ip4("192.0.0.1")), IsOk());
  EXPECT_THAT(Read().routes4, IsEmpty());
  EXPECT_THAT(Read().addresses4, SizeIs(1)) << "lo's";
}

TEST_F(NetworkTest, OthersDefaultRoutesStay) {
  ASSERT_THAT(left_->AddAddress("eth0", "10.7.0.1", 24), IsOk());
  ASSERT_THAT(left_->AddRoute({.via = "10.7.0.2"}), IsOk());
  const DefaultRoute4 route{
      .ifindex = ifindex_, .metric = 4096, .via6 = Ip6("fd77::2"), .mtu = 1472};
  ASSERT_THAT(SetDefaultRoute4(*socket_, route), IsOk());
  EXPECT_THAT(Read().routes4, SizeIs(2));
  ASSERT_THAT(RemoveDefaultRoute4(*socket_, route), IsOk());
  const NetworkState state = Read();
  ASSERT_THAT(state.routes4, SizeIs(1));
  EXPECT_NE(state.routes4[0].protocol, kRouteProtocol);
  EXPECT_EQ(state.routes4[0].metric, 0u);
}

TEST_F(NetworkTest, AnAddressIsDefendedButNotUsed) {
  ASSERT_THAT(left_->WriteSysctl("net/ipv6/conf/eth0/accept_dad", "1"), IsOk());
  ASSERT_THAT(left_->WriteSysctl("net/ipv6/conf/eth0/dad_transmits", "1"),
              IsOk());
  const Ipv6Address address = Ip6("fd77::c1a7");
  ASSERT_THAT(AddAddress6(*socket_, ifindex_, address), IsOk());
  EXPECT_EQ(Settled(address), InterfaceAddress6::State::kDeprecated);
  EXPECT_THAT(RemoveAddress6(*socket_, ifindex_, address), IsOk());
  EXPECT_THAT(RemoveAddress6(*socket_, ifindex_, address), IsOk()) << "again";
  EXPECT_EQ(Read().FindAddress(ifindex_, address), nullptr);
}

TEST_F(NetworkTest, AnAddressThatSomebodyHasIsFoundOut) {
  ASSERT_THAT(left_->WriteSysctl("net/ipv6/conf/eth0/accept_dad", "1"), IsOk());
  ASSERT_THAT(left_->WriteSysctl("net/ipv6/conf/eth0/dad_transmits", "1"),
              IsOk());
  ASSERT_THAT(AddAddress6(*socket_, ifindex_, Ip6("fd77::2")), IsOk());
  EXPECT_EQ(Settled(Ip6("fd77::2")), InterfaceAddress6::State::kDuplicate);
}

TEST_F(NetworkTest, WhatCannotBeIsSaid) {
  EXPECT_THAT(AddAddress4(*socket_, IfIndex{4242}, Ip4("192.0.0.1")),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("add address 192.0.0.1 of interface 4242: no "
                                 "such device")));
}

TEST_F(NetworkTest, ItsMonitorHearsOfAddresses) {
  auto monitor = MonitorNetwork();
  ASSERT_THAT(monitor, IsOk());
  ASSERT_THAT(AddAddress4(*socket_, ifindex_, Ip4("192.0.0.1")), IsOk());
  pollfd wait = {monitor->fd(), POLLIN, 0};
  ASSERT_EQ(poll(&wait, 1, 2000), 1);
  auto messages = monitor->Read();
  ASSERT_THAT(messages, IsOk());
  NetworkState heard;
  for (const NetlinkMessage& message : *messages) AddToState(message, heard);
  ASSERT_THAT(heard.addresses4, SizeIs(1));
  EXPECT_EQ(heard.addresses4[0].address, Ip4("192.0.0.1"));
}

}  // namespace
}  // namespace netpolicy::clat
