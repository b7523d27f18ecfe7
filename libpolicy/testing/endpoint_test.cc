// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/testing/endpoint.h"

#include <netinet/in.h>

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy::testing {
namespace {

TEST(IpAddress, LiteralsOfBothFamilies) {
  EXPECT_EQ(IpAddress("10.77.0.1").bytes(),
            absl::string_view("\x0a\x4d\x00\x01", 4));
  EXPECT_EQ(IpAddress("fd77::1").family(), AF_INET6);
  EXPECT_EQ(IpAddress("FD77:0:0::0001").ToString(), "fd77::1");
  EXPECT_NE(IpAddress::Any(AF_INET), IpAddress::Any(AF_INET6));
}

TEST(IpAddress, OtherTextIsAnError) {
  for (const char* text : {"", "10.0.0", "10.0.0.256", "fd77::1::2", "x"}) {
    EXPECT_THAT(IpAddress::Parse(text),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
  EXPECT_DEATH(IpAddress("10.0.0"),
               "parse address 10.0.0: neither IPv4 nor IPv6");
}

TEST(Endpoint, SocketAddressesGoBothWays) {
  const Endpoint endpoints[] = {
      {"10.77.0.1", 53},
      {"fd77::1", 443},
      {.address = "fe80::1", .port = 1, .scope_id = 2}};
  for (const Endpoint& endpoint : endpoints) {
    sockaddr_storage address;
    EXPECT_EQ(endpoint.ToSockaddr(&address), endpoint.address.IsV4()
                                                 ? sizeof(sockaddr_in)
                                                 : sizeof(sockaddr_in6));
    EXPECT_THAT(Endpoint::FromSockaddr(address), IsOkAndHolds(endpoint));
  }
  sockaddr_storage unix_address = {};
  unix_address.ss_family = AF_UNIX;
  EXPECT_THAT(Endpoint::FromSockaddr(unix_address),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(Endpoint, TextShowsThePortAndTheScope) {
  EXPECT_EQ((Endpoint{"10.77.0.1", 53}.ToString()), "10.77.0.1:53");
  EXPECT_EQ((Endpoint{"fd77::1", 53}.ToString()), "[fd77::1]:53");
  EXPECT_EQ(
      (Endpoint{.address = "fe80::1", .port = 53, .scope_id = 2}.ToString()),
      "[fe80::1%2]:53");
}

}  // namespace
}  // namespace netpolicy::testing
