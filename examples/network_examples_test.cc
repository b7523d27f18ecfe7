// SPDX-License-Identifier: Apache-2.0

// The policy files about networks do what their comments say, by the engine's
// own answer from the kernel's tables.

#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/engine/engine_fixture.h"
#include "libpolicy/model/document.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy {
namespace {

using testing::IsOk;
using Names = std::vector<std::string>;

constexpr uint8_t kTcp = 6;
constexpr uint8_t kUdp = 17;

struct Row {
  const char* file;
  uint32_t uid;
  const char* interface;
  const char* remote;  // "": none said
  uint8_t protocol;
  uint16_t port;
  Names refused;  // why a packet to there is refused
};

const Row kRows[] = {
    {"vpn_lockdown.json", 1000, "tun0", "192.0.2.1", kTcp, 443, {}},
    {"vpn_lockdown.json", 1000, "wg1", "192.0.2.1", kTcp, 443, {}},
    {"vpn_lockdown.json",
     1000,
     "wlan0",
     "192.0.2.1",
     kTcp,
     443,
     {"lockdown_vpn", "interface_rule"}},
    {"vpn_lockdown.json", 1000, "lo", "127.0.0.1", kTcp, 443, {}},
    {"vpn_lockdown.json", 990, "wlan0", "192.0.2.1", kUdp, 1194, {}},
    {"vpn_lockdown.json", 0, "eth0", "192.0.2.1", kUdp, 123, {}},

    {"metered_link.json", 10010, "wwan0", "192.0.2.1", kTcp, 443, {}},
    {"metered_link.json", 10020, "wwan0", "192.0.2.1", kTcp, 443, {}},
    {"metered_link.json",
     10030,
     "wwan0",
     "192.0.2.1",
     kTcp,
     443,
     {"metered_deny_user"}},
    {"metered_link.json", 10030, "wwan1", "192.0.2.1", kTcp, 443, {}},
    {"metered_link.json", 10030, "wlan0", "192.0.2.1", kTcp, 443, {}},

    {"local_network_only.json", 10060, "eth0", "192.168.1.20", kTcp, 554, {}},
    {"local_network_only.json", 10060, "eth0", "192.168.1.1", kUdp, 53, {}},
    {"local_network_only.json",
     10060,
     "eth0",
     "192.168.1.20",
     kTcp,
     22,
     {"network_rule"}},
    {"local_network_only.json",
     10060,
     "eth0",
     "192.0.2.1",
     kTcp,
     443,
     {"network_rule"}},
    {"local_network_only.json", 10061, "eth0", "172.31.0.9", kTcp, 631, {}},
    {"local_network_only.json", 10061, "eth0", "fe80::1", kUdp, 5353, {}},
    {"local_network_only.json",
     10061,
     "eth0",
     "172.32.0.9",
     kTcp,
     631,
     {"network_rule"}},
    {"local_network_only.json",
     10061,
     "eth0",
     "2001:db8::1",
     kTcp,
     443,
     {"network_rule"}},
    {"local_network_only.json", 10062, "eth0", "192.0.2.1", kTcp, 443, {}},
};

class NetworkExamplesTest : public EngineFixture {
 protected:
  void SetUp() override {
    EngineFixture::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    // The interfaces that are asked about are there.
    auto ns = testing::NetNamespace::Create();
    ASSERT_THAT(ns, IsOk());
    ns_.emplace(*std::move(ns));
    for (const auto& [name, peer] :
         {std::pair("tun0", "wg1"), {"wlan0", "eth0"}, {"wwan0", "wwan1"}}) {
      ASSERT_THAT(ns_->AddVeth(name, *ns_, peer), IsOk());
    }
    auto inside = testing::ScopedNetns::Enter(*ns_);
    ASSERT_THAT(inside, IsOk());
    inside_.emplace(*std::move(inside));
    EngineOptions engine = Options();
    engine.max_uids = EngineOptions().max_uids;
    engine_ = Open(engine);
    ASSERT_NE(engine_, nullptr);
  }

  void Replace(const std::string& name) {
    std::ifstream file(absl::StrCat("examples/", name));
    const std::string text((std::istreambuf_iterator<char>(file)),
                           std::istreambuf_iterator<char>());
    const absl::StatusOr<PolicyDocument> document = ParsePolicyJson(text, name);
    ASSERT_THAT(document, IsOk());
    const absl::StatusOr<Policy> policy = Validate(*document);
    ASSERT_THAT(policy, IsOk());
    ASSERT_THAT(engine_->Commit({ReplacePolicy{*policy}}, {}), IsOk());
  }

  // The names of the reasons to refuse.
  Names Refused(ExplainQuery query) {
    const absl::StatusOr<Explanation> explanation = engine_->Explain(query);
    EXPECT_THAT(explanation, IsOk());
    Names names;
    if (!explanation.ok()) return names;
    for (const ExplainedReason& reason : explanation->verdicts.at(0).reasons) {
      names.push_back(reason.name);
    }
    return names;
  }

  absl::optional<testing::NetNamespace> ns_;
  absl::optional<testing::ScopedNetns> inside_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(NetworkExamplesTest, DoWhatTheySay) {
  std::string loaded;
  for (const Row& row : kRows) {
    SCOPED_TRACE(absl::StrCat(row.file, " uid ", row.uid, " ", row.interface,
                              " ", row.remote, " port ", row.port));
    if (loaded != row.file) Replace(row.file);
    loaded = row.file;
    ExplainQuery query;
    query.uid = Uid{row.uid};
    query.interface = row.interface;
    query.direction = Direction::kEgress;
    query.remote = *ParseAddress(row.remote);
    query.protocol = row.protocol;
    query.remote_port = row.port;
    EXPECT_EQ(Refused(query), row.refused);
  }
}

TEST_F(NetworkExamplesTest, DataSaverLeavesMeteredLinksToTheListed) {
  Replace("metered_link.json");
  ASSERT_THAT(
      engine_->Commit({SetChainEnabled{"metered_allow", Switch::kOn}}, {}),
      IsOk());
  ExplainQuery query;
  query.direction = Direction::kEgress;
  query.interface = "wwan0";
  query.uid = Uid{10010};
  EXPECT_EQ(Refused(query), Names());
  query.uid = Uid{10020};
  EXPECT_EQ(Refused(query), Names{"data_saver"});
  query.interface = "wwan1";
  EXPECT_EQ(Refused(query), Names());
}

TEST_F(NetworkExamplesTest, TheTunnelsAddressIsReachedByTheTunnelAlone) {
  Replace("vpn_lockdown.json");
  ExplainQuery query;
  query.uid = Uid{990};
  query.direction = Direction::kIngress;
  query.local = *ParseAddress("10.8.0.2");
  query.interface = "wlan0";
  EXPECT_EQ(Refused(query), Names{"ingress_discard"});
  query.interface = "tun0";
  EXPECT_EQ(Refused(query), Names());
}

TEST_F(NetworkExamplesTest, NobodyTakesTheRecordersPort) {
  Replace("local_network_only.json");
  ExplainQuery query;
  query.uid = Uid{10062};
  query.direction = Direction::kBind;
  query.protocol = kTcp;
  query.local_port = 8554;
  EXPECT_EQ(Refused(query), Names{"bind_port"});
  query.local_port = 8555;
  EXPECT_EQ(Refused(query), Names());
}

}  // namespace
}  // namespace netpolicy
