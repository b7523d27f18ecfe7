// SPDX-License-Identifier: Apache-2.0

#include "netd/service/refused_wire.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/status_matchers.h"
#include "netd/service/testing/fake_policy.h"

namespace netpolicy {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

Refusals Sample() {
  Refusals refusals;
  refusals.generation = Generation{7};
  refusals.uid = Uid{10007};
  refusals.drops = {{Uid{10007},
                     Direction::kConnect,
                     ReasonSet(0x8000000000000003),
                     {"a", "b", "c"},
                     5,
                     600}};
  RefusedPeer peer;
  peer.direction = Direction::kEgress;
  peer.remote = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1};
  peer.protocol = 17;
  peer.remote_port = 65535;
  peer.reasons = ReasonSet(2);
  peer.explained = {{1, "dozable", "not listed"}};
  peer.count = 9;
  peer.last = absl::FromUnixNanos(1700000000123456789);
  refusals.peers = {peer};
  return refusals;
}

TEST(RefusedWire, KeepsEveryField) {
  testing::FakePolicy policy;
  policy.refusals = Sample();
  const auto response = RunRefused(RefusedToWire(Uid{10007}, 3), policy);
  ASSERT_THAT(response, IsOk());
  EXPECT_EQ(policy.last_refused, std::make_pair(Uid{10007}, uint32_t{3}));
  const absl::StatusOr<Refusals> decoded = FromWire(*response);
  ASSERT_THAT(decoded, IsOk());
  const Refusals& got = *decoded;
  const Refusals want = Sample();
  EXPECT_EQ(got.generation, want.generation);
  EXPECT_EQ(got.uid, want.uid);
  ASSERT_EQ(got.drops.size(), 1u);
  EXPECT_EQ(got.drops[0].uid, want.drops[0].uid);
  EXPECT_EQ(got.drops[0].direction, want.drops[0].direction);
  EXPECT_EQ(got.drops[0].reasons, want.drops[0].reasons);
  EXPECT_EQ(got.drops[0].reason_names, want.drops[0].reason_names);
  EXPECT_EQ(got.drops[0].packets, 5u);
  EXPECT_EQ(got.drops[0].bytes, 600u);
  ASSERT_EQ(got.peers.size(), 1u);
  const RefusedPeer& peer = got.peers[0];
  EXPECT_EQ(peer.direction, Direction::kEgress);
  EXPECT_EQ(peer.remote, want.peers[0].remote);
  EXPECT_EQ(peer.protocol, 17);
  EXPECT_EQ(peer.remote_port, 65535);
  EXPECT_EQ(peer.reasons, ReasonSet(2));
  ASSERT_EQ(peer.explained.size(), 1u);
  EXPECT_EQ(peer.explained[0].number, 1);
  EXPECT_EQ(peer.explained[0].name, "dozable");
  EXPECT_EQ(peer.explained[0].detail, "not listed");
  EXPECT_EQ(peer.count, 9u);
  EXPECT_EQ(peer.last, want.peers[0].last);
}

TEST(RefusedWire, WhatMakesNoSenseIsRefused) {
  testing::FakePolicy policy;
  service::RefusedRequest request;
  EXPECT_THAT(
      RunRefused(request, policy).status(),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("uid: missing")));
  request.set_uid(1);
  EXPECT_THAT(RunRefused(request, policy).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("max_peers: missing")));
  const struct {
    const char* message;
    void (*spoil)(service::RefusedResponse::Peer& peer);
  } kRows[] = {
      {"peer.direction: 5 is no direction",
       [](auto& peer) { peer.set_direction(5); }},
      {"peer.remote: 4 bytes are no address",
       [](auto& peer) { peer.set_remote("1234"); }},
      {"peer.protocol: 256 is no protocol",
       [](auto& peer) { peer.set_protocol(256); }},
      {"peer.remote_port: 65536 is no port",
       [](auto& peer) { peer.set_remote_port(65536); }},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.message);
    service::RefusedResponse response;
    service::RefusedResponse::Peer& peer = *response.add_peers();
    peer.set_remote(std::string(16, '\0'));
    EXPECT_THAT(FromWire(response), IsOk());
    row.spoil(peer);
    EXPECT_THAT(
        FromWire(response).status(),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(row.message)));
  }
}

}  // namespace
}  // namespace netpolicy
