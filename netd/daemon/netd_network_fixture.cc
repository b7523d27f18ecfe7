// SPDX-License-Identifier: Apache-2.0

#include "netd/daemon/netd_network_fixture.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "clat/testing/program.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy::testing {

void NetdNetworkFixture::SetUp() {
  NetdFixture::SetUp();
  if (IsSkipped() || HasFatalFailure()) return;
  auto ns = NetNamespace::Create();
  ASSERT_THAT(ns, IsOk());
  ns_.emplace(*std::move(ns));
  auto peer = NetNamespace::Create();
  ASSERT_THAT(peer, IsOk());
  peer_.emplace(*std::move(peer));
  auto veth = VethPair::Create(*ns_, *peer_);
  ASSERT_THAT(veth, IsOk());
  veth_.emplace(*std::move(veth));
}

void NetdNetworkFixture::StartNetd(std::vector<std::string> more) {
  NetdProcess::Options options = With(std::move(more));
  options.child.netns = ns_->fd();
  netd_ = StartReady(options);
  ASSERT_NE(netd_, nullptr);
}

absl::StatusOr<Actor> NetdNetworkFixture::SpawnApp(uid_t uid) const {
  return Actor::Spawn(
      {.uid = uid, .cgroup = cgroup_->path(), .netns = ns_->fd()});
}

NetdNetworkFixture::Said NetdNetworkFixture::RunNdc(
    const std::string& words, const NetNamespace* elsewhere) const {
  const auto result = clat::testing::RunProgram(
      elsewhere == nullptr ? *ns_ : *elsewhere,
      {"/bin/sh", "-c",
       absl::StrCat("netd/cli/ndc --socket ", Socket(), " ", words)},
      absl::Seconds(20));
  EXPECT_THAT(result, IsOk()) << "ndc " << words;
  if (!result.ok()) return {};
  return {result->exit_code, result->output};
}

}  // namespace netpolicy::testing
