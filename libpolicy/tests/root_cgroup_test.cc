// SPDX-License-Identifier: Apache-2.0
//
// The root cgroup, where the kernel's own sockets are. It judges every process,
// so this is for a machine that is the test's alone: NETPOLICY_WHOLE_MACHINE=1
// says that it is (tools/vm_suite.txt does).

#include <netinet/in.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "bpf_progs/abi/policy.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/engine/engine.h"
#include "libpolicy/model/document.h"
#include "libpolicy/testing/actor.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/test_environment.h"
#include "libpolicy/testing/veth_pair.h"

namespace netpolicy::testing {
namespace {

constexpr char kRootCgroup[] = "/sys/fs/cgroup";
constexpr uid_t kAsker = 10001;

class RootCgroupTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (getenv("NETPOLICY_WHOLE_MACHINE") == nullptr) {
      GTEST_SKIP() << "would judge all of this machine; "
                      "NETPOLICY_WHOLE_MACHINE=1 says that it may";
    }
    if (auto missing = MissingForBpfTests()) GTEST_SKIP() << *missing;
    auto bpffs = BpfFs::Mount();
    ASSERT_THAT(bpffs, IsOk());
    bpffs_.emplace(*std::move(bpffs));
    for (auto* ns : {&near_, &far_}) {
      auto made = NetNamespace::Create();
      ASSERT_THAT(made, IsOk());
      ns->emplace(*std::move(made));
      ASSERT_THAT(
          (*ns)->WriteSysctl("net/ipv4/ping_group_range", "0 2147483647"),
          IsOk());
    }
    auto veth = VethPair::Create(*near_, *far_);
    ASSERT_THAT(veth, IsOk());
    veth_.emplace(*std::move(veth));
    EngineOptions options;
    options.cgroup = kRootCgroup;
    options.pin_dir = bpffs_->File("netpolicy");
    auto engine = Engine::Open(options);
    ASSERT_THAT(engine, IsOk());
    engine_ = *std::move(engine);
    auto asker = Actor::Spawn({.uid = kAsker, .netns = far_->fd()});
    ASSERT_THAT(asker, IsOk());
    asker_.emplace(*std::move(asker));
  }

  void TearDown() override {
    if (engine_ == nullptr) return;
    EXPECT_THAT(Engine::Detach(bpffs_->File("netpolicy")), IsOk());
  }

  void Apply(absl::string_view json) {
    const auto document = ParsePolicyJson(json, "test policy");
    ASSERT_THAT(document, IsOk());
    const auto policy = Validate(*document);
    ASSERT_THAT(policy, IsOk());
    CommitOptions options;
    options.fence = Fence::kWait;
    ASSERT_THAT(engine_->Commit({ReplacePolicy{*policy}}, options), IsOk());
  }

  // Whether near answers an echo request of the asker.
  bool Answers(int family) {
    const auto socket = asker_->PingSocket(family);
    EXPECT_THAT(socket, IsOk());
    if (!socket.ok()) return false;
    const char request[8] = {static_cast<char>(family == AF_INET ? 8 : 128)};
    const Endpoint near = {family == AF_INET ? "10.77.0.1" : "fd77::1", 0};
    EXPECT_THAT(asker_->SendTo(*socket, near,
                               absl::string_view(request, sizeof(request))),
                IsOk());
    const bool answered = asker_->Receive(*socket, absl::Seconds(2)).ok();
    EXPECT_THAT(asker_->Close(*socket), IsOk());
    return answered;
  }

  // What a connection to a port where nobody listens gives.
  int ClosedPort() {
    const auto socket = asker_->TcpSocket(AF_INET);
    EXPECT_THAT(socket, IsOk());
    if (!socket.ok()) return -1;
    const absl::Status status =
        asker_->Connect(*socket, {"10.77.0.1", 9}, absl::Milliseconds(1500));
    EXPECT_THAT(asker_->Close(*socket), IsOk());
    return absl::IsDeadlineExceeded(status) ? ETIMEDOUT : ErrnoOf(status);
  }

  uint64_t ChargedTo(Uid uid) {
    const auto stats = engine_->Stats();
    EXPECT_THAT(stats, IsOk());
    uint64_t packets = 0;
    for (const StatsRow& row : stats->rows) {
      if (row.uid == uid) packets += row.tx.packets;
    }
    return packets;
  }

  std::optional<BpfFs> bpffs_;
  std::optional<NetNamespace> near_;
  std::optional<NetNamespace> far_;
  std::optional<VethPair> veth_;
  std::unique_ptr<Engine> engine_;
  std::optional<Actor> asker_;
};

TEST_F(RootCgroupTest, TheKernelsOwnPacketsHaveNoOwner) {
  const struct {
    const char* name;
    const char* policy;
    bool answers;
  } kRows[] = {
      {"nobody is denied", R"({"version": 1})", true},
      // A policy that denies all but one application leaves the machine's
      // network working.
      {"all but the asker are denied",
       R"({"version": 1, "defaults": {"rule": "deny"},
           "uids": [{"uid": 10001, "rule": "allow"}]})",
       true},
      {"root is denied",
       R"({"version": 1, "uids": [{"uid": 0, "rule": "deny"}]})", true},
      {"nobody's packets are denied",
       R"({"version": 1, "settings": {"no_owner": "deny"}})", false},
      {"nobody's packets are root's, which is denied",
       R"({"version": 1, "settings": {"no_owner": "root"},
           "uids": [{"uid": 0, "rule": "deny"}]})",
       false},
      {"nobody's packets are root's, which is allowed",
       R"({"version": 1, "settings": {"no_owner": "root"},
           "defaults": {"rule": "deny"},
           "uids": [{"uid": 0, "rule": "allow"},
                    {"uid": 10001, "rule": "allow"}]})",
       true},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.name);
    Apply(row.policy);
    const uint64_t nobodys = ChargedTo(Uid{NP_UID_NONE});
    EXPECT_EQ(Answers(AF_INET), row.answers);
    EXPECT_EQ(Answers(AF_INET6), row.answers);
    // A RST is a closing packet, which passes here whatever its owner.
    EXPECT_EQ(ClosedPort(), ECONNREFUSED);
    const bool as_root = absl::StrContains(row.policy, R"("no_owner": "root")");
    EXPECT_EQ(ChargedTo(Uid{NP_UID_NONE}) > nobodys, !as_root);
  }
}

}  // namespace
}  // namespace netpolicy::testing
