// SPDX-License-Identifier: Apache-2.0

#include "clat/router_listener.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <poll.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "clat/network.h"
#include "clat/testing/fake_router.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/capability.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/veth_pair.h"

namespace netpolicy::clat {
namespace {

using netpolicy::testing::IsOk;
using netpolicy::testing::IsOkAndHolds;
using netpolicy::testing::NetNamespace;
using netpolicy::testing::ScopedNetns;
using netpolicy::testing::VethPair;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

bool Readable(int fd, int milliseconds) {
  pollfd wait = {fd, POLLIN, 0};
  return poll(&wait, 1, milliseconds) == 1;
}

class RouterListenerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (auto missing = netpolicy::testing::MissingForNetworkTests()) {
      GTEST_SKIP() << *missing;
    }
    auto host = NetNamespace::Create();
    auto router = NetNamespace::Create();
    ASSERT_THAT(host, IsOk());
    ASSERT_THAT(router, IsOk());
    host_ = std::make_unique<NetNamespace>(*std::move(host));
    router_ = std::make_unique<NetNamespace>(*std::move(router));
    auto cable = VethPair::Create(*host_, *router_);
    ASSERT_THAT(cable, IsOk());
    cable_ = std::make_unique<VethPair>(*std::move(cable));
    ifindex_ = IfIndex{static_cast<uint32_t>(cable_->left().index)};
    auto inside = ScopedNetns::Enter(*host_);
    ASSERT_THAT(inside, IsOk());
    inside_.emplace(*std::move(inside));
  }

  const Pref64Notice expected_{*Pref64::Parse("2001:db8:64::/96"),
                               absl::Seconds(600)};
  const testing::Advertisement advertisement_{
      .nat64 = {{expected_.prefix, expected_.lifetime}}};
  std::unique_ptr<NetNamespace> host_, router_;
  std::unique_ptr<VethPair> cable_;
  IfIndex ifindex_{};
  std::optional<ScopedNetns> inside_;
};

TEST_F(RouterListenerTest, HearsThePrefixByItsSocket) {
  // As where a network manager of user space listens to routers.
  ASSERT_THAT(host_->WriteSysctl("net/ipv6/conf/eth0/accept_ra", "0"), IsOk());
  auto listener = RouterListener::Open();
  ASSERT_THAT(listener, IsOk());
  EXPECT_THAT(listener->Read(), IsOkAndHolds(IsEmpty()));
  ASSERT_THAT(testing::Advertise(*router_, "eth0", advertisement_), IsOk());
  ASSERT_TRUE(Readable(listener->fd(), 2000));
  auto notices = listener->Read();
  ASSERT_THAT(notices, IsOk());
  ASSERT_THAT(*notices, SizeIs(1));
  EXPECT_EQ((*notices)[0].ifindex, ifindex_);
  EXPECT_EQ((*notices)[0].router.bytes[0], 0xfe);
  EXPECT_THAT((*notices)[0].prefixes, ElementsAre(expected_));
}

TEST_F(RouterListenerTest, HearsThePrefixFromTheKernel) {
  ASSERT_THAT(host_->WriteSysctl("net/ipv6/conf/eth0/accept_ra", "2"), IsOk());
  auto monitor = MonitorNetwork();
  ASSERT_THAT(monitor, IsOk());
  ASSERT_THAT(testing::Advertise(*router_, "eth0", advertisement_), IsOk());
  std::optional<RouterNotice> heard;
  while (!heard.has_value() && Readable(monitor->fd(), 2000)) {
    auto messages = monitor->Read();
    ASSERT_THAT(messages, IsOk());
    for (const NetlinkMessage& message : *messages) {
      if (auto notice = ParseUserOption(message)) heard = notice;
    }
  }
  ASSERT_TRUE(heard.has_value());
  EXPECT_EQ(heard->ifindex, ifindex_);
  EXPECT_EQ(heard->router.bytes[0], 0xfe);
  EXPECT_THAT(heard->prefixes, ElementsAre(expected_));
}

TEST_F(RouterListenerTest, Rfc4861WhatWasForwardedIsNotHeard) {
  auto listener = RouterListener::Open();
  ASSERT_THAT(listener, IsOk());
  testing::Advertisement forwarded = advertisement_;
  forwarded.hop_limit = 254;
  ASSERT_THAT(testing::Advertise(*router_, "eth0", forwarded), IsOk());
  ASSERT_TRUE(Readable(listener->fd(), 2000));
  EXPECT_THAT(listener->Read(), IsOkAndHolds(IsEmpty()));
}

TEST_F(RouterListenerTest, AsksRouters) {
  // Solicitations are heard by who has joined the group, as routers do.
  auto socket = router_->OpenSocket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
  ASSERT_THAT(socket, IsOk());
  icmp6_filter filter;
  ICMP6_FILTER_SETBLOCKALL(&filter);
  ICMP6_FILTER_SETPASS(ND_ROUTER_SOLICIT, &filter);
  ASSERT_EQ(setsockopt(socket->get(), IPPROTO_ICMPV6, ICMP6_FILTER, &filter,
                       sizeof(filter)),
            0);
  ipv6_mreq group{};
  group.ipv6mr_multiaddr.s6_addr[0] = 0xff;
  group.ipv6mr_multiaddr.s6_addr[1] = 0x02;
  group.ipv6mr_multiaddr.s6_addr[15] = 0x02;
  group.ipv6mr_interface = static_cast<unsigned>(cable_->right().index);
  ASSERT_EQ(setsockopt(socket->get(), IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &group,
                       sizeof(group)),
            0);
  auto listener = RouterListener::Open();
  ASSERT_THAT(listener, IsOk());
  EXPECT_THAT(listener->Solicit(ifindex_), IsOk());
  EXPECT_TRUE(Readable(socket->get(), 2000));
}

}  // namespace
}  // namespace netpolicy::clat
