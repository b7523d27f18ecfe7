// SPDX-License-Identifier: Apache-2.0

#include "netd/service/clat_wire.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::StatusIs;

class FakeClat final : public clat::ClatInterface {
 public:
  absl::Status Start(const std::string& interface,
                     const clat::UplinkSettings& settings) override {
    started = interface;
    with = settings;
    return absl::OkStatus();
  }
  absl::Status Stop(const std::string& interface) override {
    return absl::NotFoundError("stop " + interface);
  }
  absl::StatusOr<std::vector<clat::UplinkStatus>> Uplinks() override {
    return uplinks;
  }
  absl::StatusOr<std::vector<clat::DiscoveredPrefix>> Discover(
      const std::string&) override {
    return prefixes;
  }
  absl::StatusOr<clat::Changes> ChangesAfter(uint64_t seen) override {
    return log.After(seen);
  }

  clat::ChangeLog log;
  std::string started;
  clat::UplinkSettings with;
  std::vector<clat::UplinkStatus> uplinks;
  std::vector<clat::DiscoveredPrefix> prefixes;
};

clat::DiscoveredPrefix Prefix() {
  return {*clat::Pref64::Parse("64:ff9b::/96"), "router",
          *clat::Ipv6Address::Parse("fe80::1"), absl::Minutes(10)};
}

TEST(ClatWire, SettingsComeAsTheyWere) {
  const clat::UplinkSettings all{
      .prefix = *clat::Pref64::Parse("2001:db8:64::/96"),
      .local4 = *clat::Ipv4Address::Parse("192.0.0.4"),
      .network6 = *clat::Ipv6Prefix::Parse("2001:db8:9::/64"),
      .mappings = {{*clat::Ipv4Prefix::Parse("10.9.0.0/24"),
                    *clat::Ipv6Prefix::Parse("2001:db8:a::/120")}},
      .native4 = clat::NativeIpv4::kIsIgnored};
  for (const clat::UplinkSettings& settings : {all, clat::UplinkSettings{}}) {
    FakeClat clat;
    ASSERT_THAT(RunClat(ClatStartToWire("wwan0", settings), clat), IsOk());
    EXPECT_EQ(clat.started, "wwan0");
    EXPECT_EQ(clat.with, settings);
  }
}

TEST(ClatWire, UplinksComeAsTheyWere) {
  FakeClat clat;
  clat::UplinkStatus off{.interface = "wlan0", .ifindex = 0, .origin = "asked"};
  off.off_reason = "no_prefix";
  off.detail = "no NAT64 prefix is known";
  clat::UplinkStatus on{
      .interface = "wwan0", .ifindex = 4, .origin = "automatic"};
  on.prefixes = {Prefix()};
  on.translation = clat::UplinkStatus::Translation{
      .prefix = *clat::Pref64::Parse("64:ff9b::/96")};
  on.translation->source = "router";
  on.translation->pair = {*clat::Ipv4Address::Parse("192.0.0.1"),
                          *clat::Ipv6Address::Parse("2001:db8::1")};
  on.translation->router = *clat::Ipv6Address::Parse("fe80::1");
  on.translation->mtu4 = 1472;
  on.translation->method = "tcx";
  on.translation->counters.outcomes[NP_CLAT_TRANSLATED_46] = 7;
  on.translation->counters.answers[NP_CLAT_ANSWERS_WITHHELD] = 8;
  on.translation->counters.bytes64 = 9;
  clat.uplinks = {off, on};
  auto response =
      RunClat(ClatToWire(service::ClatRequest::OPERATION_UPLINKS, ""), clat);
  ASSERT_THAT(response, IsOk());
  auto uplinks = UplinksFromWire(*response);
  ASSERT_THAT(uplinks, IsOk());
  ASSERT_EQ(uplinks->size(), 2u);
  EXPECT_EQ((*uplinks)[0].off_reason, "no_prefix");
  EXPECT_FALSE((*uplinks)[0].translation.has_value());
  const clat::UplinkStatus& same = (*uplinks)[1];
  EXPECT_EQ(same.interface, "wwan0");
  EXPECT_EQ(same.ifindex, 4u);
  EXPECT_EQ(same.origin, "automatic");
  ASSERT_EQ(same.prefixes.size(), 1u);
  EXPECT_EQ(same.prefixes[0].router, Prefix().router);
  EXPECT_EQ(same.prefixes[0].lifetime, absl::Minutes(10));
  ASSERT_TRUE(same.translation.has_value());
  EXPECT_EQ(same.translation->pair, on.translation->pair);
  EXPECT_EQ(same.translation->router, on.translation->router);
  EXPECT_EQ(same.translation->mtu4, 1472u);
  EXPECT_EQ(same.translation->method, "tcx");
  EXPECT_EQ(same.translation->counters.outcomes[NP_CLAT_TRANSLATED_46], 7u);
  EXPECT_EQ(same.translation->counters.answers[NP_CLAT_ANSWERS_WITHHELD], 8u);
  EXPECT_EQ(same.translation->counters.bytes64, 9u);
}

TEST(ClatWire, PrefixesComeAsTheyWere) {
  FakeClat clat;
  clat.prefixes = {Prefix()};
  auto response = RunClat(
      ClatToWire(service::ClatRequest::OPERATION_DISCOVER, "wwan0"), clat);
  ASSERT_THAT(response, IsOk());
  auto prefixes = PrefixesFromWire(*response);
  ASSERT_THAT(prefixes, IsOk());
  ASSERT_EQ(prefixes->size(), 1u);
  EXPECT_EQ((*prefixes)[0].prefix, Prefix().prefix);
  EXPECT_EQ((*prefixes)[0].source, "router");
}

TEST(ClatWire, ChangesComeAsTheyWere) {
  FakeClat clat;
  clat.log.Add({.kind = "on"});
  clat.log.Add({.time = absl::FromUnixMillis(1750000000123),
                .kind = "off",
                .interface = "wwan0",
                .detail = "the link has IPv4 itself"});
  service::ClatRequest request =
      ClatToWire(service::ClatRequest::OPERATION_CHANGES, "");
  request.set_seen(1);
  auto response = RunClat(request, clat);
  ASSERT_THAT(response, IsOk());
  const clat::Changes changes = ChangesFromWire(*response);
  EXPECT_EQ(changes.last, 2u);
  ASSERT_EQ(changes.list.size(), 1u);
  const clat::Change& change = changes.list[0];
  EXPECT_EQ(change.number, 2u);
  EXPECT_EQ(change.time, absl::FromUnixMillis(1750000000123));
  EXPECT_EQ(change.kind, "off");
  EXPECT_EQ(change.interface, "wwan0");
  EXPECT_EQ(change.detail, "the link has IPv4 itself");
}

TEST(ClatWire, WhatMakesNoSenseIsRefused) {
  FakeClat clat;
  EXPECT_THAT(RunClat({}, clat).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "decode clat: operation: missing"));
  EXPECT_THAT(
      RunClat(ClatToWire(service::ClatRequest::OPERATION_STOP, ""), clat)
          .status(),
      StatusIs(absl::StatusCode::kInvalidArgument,
               "decode clat: interface: missing"));
  service::ClatRequest wrong = ClatStartToWire("wwan0", {});
  wrong.set_prefix("64:ff9b::/97");
  EXPECT_THAT(
      RunClat(wrong, clat).status(),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("64:ff9b::/97")));
  EXPECT_THAT(
      RunClat(ClatToWire(service::ClatRequest::OPERATION_STOP, "x"), clat)
          .status(),
      StatusIs(absl::StatusCode::kNotFound, "stop x"));
}

}  // namespace
}  // namespace netpolicy
