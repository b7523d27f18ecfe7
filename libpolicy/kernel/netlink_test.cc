// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/kernel/netlink.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <poll.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/capability.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::NetNamespace;
using testing::ScopedNetns;
using testing::StatusIs;

using std::string_literals::operator""s;

TEST(NetlinkAttributes, FindsTheFirstOfAType) {
  // Length and type in host order (little endian here), padded to four bytes.
  const std::string bytes =
      "\x05\x00\x01\x00\x07\x00\x00\x00"s  // type 1: one byte
      "\x08\x00\x02\x00\x01\x02\x03\x04"s  // type 2: a number
      "\x08\x00\x02\x00\x09\x09\x09\x09"s
      "\x08\x00\x03\x00\x65\x74\x68\x00"s;  // type 3: text
  const NetlinkAttributes attributes(bytes);
  EXPECT_EQ(attributes.FindU8(1), uint8_t{7});
  EXPECT_EQ(attributes.FindU32(2), 0x04030201u);
  EXPECT_EQ(attributes.FindText(3), "eth");
  EXPECT_EQ(attributes.FindU32(4), std::nullopt);
  EXPECT_EQ(attributes.FindU32(1), std::nullopt) << "not of that size";
}

TEST(NetlinkAttributes, IgnoreTheFlagsOfAType) {
  const std::string bytes = "\x0c\x00\x01\x80\x08\x00\x02\x00\x01\x00\x00\x00"s;
  EXPECT_EQ(NetlinkAttributes(bytes).FindNested(1).FindU32(2), 1u);
}

TEST(NetlinkAttributes, NeverReadBeyondTheEnd) {
  for (const std::string& bytes :
       {"\x04"s, "\x08\x00\x01\x00\x01"s, "\x00\x00\x01\x00"s,
        "\x03\x00\x01\x00"s, "\xff\xff\x01\x00\x01\x00\x00\x00"s}) {
    EXPECT_EQ(NetlinkAttributes(bytes).Find(1), std::nullopt);
  }
}

TEST(NetlinkMessage, ShorterThanItsHeaderReadsAsZeros) {
  const NetlinkMessage message("\x12\x00\x00\x00\x10\x00"s);
  EXPECT_EQ(message.type(), NLMSG_NOOP);
  EXPECT_EQ(message.Get<ifinfomsg>().ifi_index, 0);
  EXPECT_THAT(message.Attributes(sizeof(ifinfomsg)), IsEmpty());
}

class NetlinkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (auto missing = testing::MissingForNetworkTests()) {
      GTEST_SKIP() << *missing;
    }
    auto ns = NetNamespace::Create();
    ASSERT_THAT(ns, IsOk());
    ns_ = std::make_unique<NetNamespace>(*std::move(ns));
    auto inside = ScopedNetns::Enter(*ns_);
    ASSERT_THAT(inside, IsOk());
    inside_ = std::make_unique<ScopedNetns>(*std::move(inside));
  }

  static std::vector<std::string> LinkNames(
      const std::vector<NetlinkMessage>& messages) {
    std::vector<std::string> names;
    for (const NetlinkMessage& message : messages) {
      names.push_back(NetlinkAttributes(message.Attributes(sizeof(ifinfomsg)))
                          .FindText(IFLA_IFNAME));
    }
    return names;
  }

  std::unique_ptr<NetNamespace> ns_;
  std::unique_ptr<ScopedNetns> inside_;
};

TEST_F(NetlinkTest, DumpsWhatThereIs) {
  auto socket = NetlinkSocket::Open();
  ASSERT_THAT(socket, IsOk());
  auto links =
      socket->Dump(NetlinkRequest(RTM_GETLINK, 0, ifinfomsg{}), "list links");
  ASSERT_THAT(links, IsOk());
  EXPECT_THAT(LinkNames(*links), Contains("lo"));
}

TEST_F(NetlinkTest, TheKernelsOwnWordsAreInTheError) {
  auto socket = NetlinkSocket::Open();
  ASSERT_THAT(socket, IsOk());
  rtmsg header{};
  header.rtm_family = AF_INET;
  header.rtm_dst_len = 33;
  NetlinkRequest request(RTM_NEWROUTE, NLM_F_CREATE, header);
  auto outcome = socket->Ask(request, "add route");
  ASSERT_THAT(outcome, IsOk());
  EXPECT_EQ(outcome->error, EINVAL);
  EXPECT_THAT(outcome->words, HasSubstr("prefix length"));
  EXPECT_THAT(socket->Transact(request, "add route"),
              StatusIs(absl::StatusCode::kInternal,
                       HasSubstr("add route: invalid argument (invalid prefix "
                                 "length")));
}

TEST_F(NetlinkTest, AMonitorHearsOfChanges) {
  auto monitor = NetlinkMonitor::Open({RTNLGRP_LINK});
  ASSERT_THAT(monitor, IsOk());
  EXPECT_THAT(monitor->Read(), IsOkAndHolds(IsEmpty()));
  ASSERT_THAT(ns_->AddLink("ifb7", "ifb"), IsOk());
  pollfd wait = {monitor->fd(), POLLIN, 0};
  ASSERT_EQ(poll(&wait, 1, 2000), 1);
  auto messages = monitor->Read();
  ASSERT_THAT(messages, IsOk());
  EXPECT_THAT(LinkNames(*messages), Contains("ifb7"));
}

}  // namespace
}  // namespace netpolicy
