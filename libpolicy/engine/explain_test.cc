// SPDX-License-Identifier: Apache-2.0

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "bpf_progs/abi/reason.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/engine/engine_fixture.h"

namespace netpolicy {
namespace {

using ::netpolicy::testing::IsOk;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint8_t kTcp = 6;
constexpr uint8_t kIcmp = 1;

AddressBytes Address(absl::string_view text) { return *ParseAddress(text); }

NetworkRule Rule(Action action, absl::string_view prefix, uint8_t protocol = 0,
                 PortRange ports = kAnyPort) {
  NetworkRule rule;
  rule.action = action;
  rule.prefix = *ParseIpPrefix(prefix);
  rule.protocol = protocol;
  rule.ports = ports;
  return rule;
}

class ExplainTest : public EngineFixture {
 protected:
  void SetUp() override {
    EngineFixture::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    engine_ = Open();
    ASSERT_NE(engine_, nullptr);
  }

  // "name: detail" of each reason in one direction.
  std::vector<std::string> Why(Direction direction, ExplainQuery query) {
    query.direction = direction;
    const absl::StatusOr<Explanation> explanation = engine_->Explain(query);
    EXPECT_THAT(explanation, IsOk());
    std::vector<std::string> why;
    if (!explanation.ok()) return why;
    EXPECT_THAT(explanation->verdicts, SizeIs(1));
    for (const ExplainedReason& reason : explanation->verdicts[0].reasons) {
      why.push_back(reason.name + ": " + reason.detail);
    }
    return why;
  }

  bool Passes(Direction direction, const ExplainQuery& query) {
    return Why(direction, query).empty();
  }

  static ExplainQuery To(absl::string_view remote, uint8_t protocol = kTcp,
                         absl::optional<uint16_t> port = 80,
                         Uid uid = Uid{10007}) {
    ExplainQuery query;
    query.uid = uid;
    query.remote = Address(remote);
    query.protocol = protocol;
    query.remote_port = port;
    return query;
  }

  std::unique_ptr<Engine> engine_;
};

TEST_F(ExplainTest, NamesTheNetworkRuleThatDecided) {
  ASSERT_THAT(
      engine_->Commit(
          {SetNetworkRules{Uid{10007},
                           {Rule(Action::kDeny, "10.0.0.0/8", kTcp, {1, 1023}),
                            Rule(Action::kAllow, "10.1.2.3"),
                            Rule(Action::kDeny, "2001:db8::/32")}},
           SetNetworkRules{absl::nullopt,
                           {Rule(Action::kDeny, "192.0.2.0/24")}}},
          {}),
      IsOk());
  const std::string own =
      "network_rule: uid 10007 network_rules[deny 10.0.0.0/8 tcp 1-1023]";
  for (const Direction direction :
       {Direction::kIngress, Direction::kEgress, Direction::kConnect}) {
    EXPECT_THAT(Why(direction, To("10.0.0.1")), ElementsAre(own));
    EXPECT_THAT(Why(direction, To("10.0.0.1", kTcp, 1024)), IsEmpty());
    EXPECT_THAT(Why(direction, To("10.0.0.1", kIcmp)), IsEmpty());
    EXPECT_THAT(Why(direction, To("10.1.2.3")), IsEmpty());
    EXPECT_THAT(Why(direction, To("2001:db8::1")),
                ElementsAre("network_rule: uid 10007 network_rules[deny "
                            "2001:db8::/32]"));
    EXPECT_THAT(
        Why(direction, To("192.0.2.9")),
        ElementsAre("network_rule: defaults.network_rules[deny 192.0.2.0/24]"));
    EXPECT_THAT(Why(direction, To("10.0.0.1", kTcp, 80, Uid{10008})),
                IsEmpty());
  }
  // The port may be one of those that are denied.
  EXPECT_THAT(Why(Direction::kEgress, To("10.0.0.1", kTcp, absl::nullopt)),
              ElementsAre(own));
}

TEST_F(ExplainTest, AnswersForTheInterface) {
  ASSERT_THAT(engine_->Commit({SetUidInterfaces{Uid{10007}, {"tun0", "@vpn"}},
                               SetLockdown{Uid{10007}, Switch::kOn},
                               SetUidInterfaces{Uid{10008}, {"*"}},
                               SetLockdown{Uid{10008}, Switch::kOn}},
                              {}),
              IsOk());
  ExplainQuery query;
  query.uid = Uid{10007};
  EXPECT_THAT(
      Why(Direction::kEgress, query),
      ElementsAre("lockdown_vpn: uid 10007 is locked down, and may use "
                  "interfaces @vpn tun0 only",
                  "interface_rule: uid 10007 may use interfaces @vpn tun0 "
                  "only"));
  query.interface = "lo";
  EXPECT_THAT(Why(Direction::kEgress, query), IsEmpty());
  query.interface = "";
  query.uid = Uid{10008};
  EXPECT_THAT(Why(Direction::kIngress, query), IsEmpty());
}

TEST_F(ExplainTest, AnswersForMeteredInterfaces) {
  ASSERT_THAT(engine_->Commit({SetChainEnabled{"metered_allow", Switch::kOn},
                               SetChainMember{"metered_deny_user", Uid{10007},
                                              Switch::kOn}},
                              {}),
              IsOk());
  ExplainQuery query;
  query.uid = Uid{10007};
  EXPECT_THAT(Why(Direction::kEgress, query), IsEmpty());
  query.metered = Switch::kOn;
  EXPECT_THAT(Why(Direction::kEgress, query),
              ElementsAre("data_saver: uid 10007 is not listed in allowlist "
                          "metered_allow, which is on",
                          "metered_deny_user: uid 10007 is listed in denylist "
                          "metered_deny_user, which is on"));
}

TEST_F(ExplainTest, AnswersForLocalNetworksDiscardAndPorts) {
  NetworkRule local = Rule(Action::kDeny, "192.168.0.0/16");
  local.interface = "@home";
  NetworkRule anywhere = Rule(Action::kDeny, "172.16.0.0/12");
  anywhere.interface = "lo";
  ASSERT_THAT(engine_->Commit(
                  {SetLocalNetworkAccess{Uid{10007}, Permission::kRevoked},
                   SetLocalNetworkRule{local}, SetLocalNetworkRule{anywhere},
                   SetIngressDiscard{{Address("10.8.0.2"), {"tun0"}}},
                   SetBlockedBindPorts{{{5353, 5353}}}},
                  {}),
              IsOk());
  // An interface that nothing is known of is no @home.
  EXPECT_THAT(Why(Direction::kEgress, To("192.168.1.1")), IsEmpty());
  ExplainQuery query;
  query.uid = Uid{10007};
  query.local = Address("10.8.0.2");
  EXPECT_THAT(Why(Direction::kIngress, query),
              ElementsAre("ingress_discard: ingress_discard keeps the address "
                          "to other interfaces"));
  EXPECT_THAT(Why(Direction::kEgress, query), IsEmpty());
  query.local_port = 5353;
  EXPECT_THAT(Why(Direction::kBind, query),
              ElementsAre("bind_port: the port is one of blocked_bind_ports"));
  query.local_port = 5354;
  EXPECT_THAT(Why(Direction::kBind, query), IsEmpty());
}

TEST_F(ExplainTest, GoesByAppIdWhereThePolicyDoes) {
  ASSERT_THAT(engine_->Commit({SetProfile{Profile::kAndroid},
                               SetInternet{Uid{10007}, Permission::kRevoked},
                               SetUidRule{Uid{1000}, Action::kDeny}},
                              {}),
              IsOk());
  ExplainQuery query;
  query.uid = Uid{110007};
  EXPECT_THAT(
      Why(Direction::kSocketCreate, query),
      ElementsAre("internet_permission: uid 10007 has no internet permission, "
                  "by its own entry"));
  query.uid = Uid{1000};
  EXPECT_THAT(Why(Direction::kEgress, query), IsEmpty());
}

TEST_F(ExplainTest, KindsOfPacketsPassWhatLetsThemPass) {
  ASSERT_THAT(engine_->Commit({SetUidRule{Uid{10007}, Action::kDeny},
                               SetUidInterfaces{Uid{10008}, {"tun0"}},
                               SetLockdown{Uid{10008}, Switch::kOn},
                               SetChainEnabled{"metered_allow", Switch::kOn}},
                              {}),
              IsOk());
  constexpr uint8_t kEsp = 50;
  constexpr uint8_t kIcmp6 = 58;
  const struct {
    const char* name;
    Uid uid;
    PacketKind kind;
    uint8_t protocol;
    bool received_passes;
    bool sent_passes;
  } kRows[] = {
      {"other", Uid{10007}, PacketKind::kOrdinary, kTcp, false, false},
      {"reset", Uid{10007}, PacketKind::kTcpReset, kTcp, true, true},
      {"reset", Uid{10007}, PacketKind::kTcpReset, 0, true, true},
      {"end", Uid{10007}, PacketKind::kTcpFin, kTcp, true, false},
      {"ESP", Uid{10007}, PacketKind::kOrdinary, kEsp, true, true},
      {"discovery", Uid{10007}, PacketKind::kIcmp6Control, 0, false, false},
      {"lockdown", Uid{10008}, PacketKind::kTcpReset, kTcp, false, false},
      {"lockdown", Uid{10008}, PacketKind::kOrdinary, kEsp, false, false},
      // Data saver.
      {"other", Uid{10009}, PacketKind::kOrdinary, kIcmp6, false, false},
      {"discovery", Uid{10009}, PacketKind::kIcmp6Control, kIcmp6, true, true},
  };
  for (const auto& row : kRows) {
    ExplainQuery query;
    query.uid = row.uid;
    query.kind = row.kind;
    query.protocol = row.protocol;
    query.metered = Switch::kOn;
    EXPECT_EQ(Passes(Direction::kIngress, query), row.received_passes)
        << row.name << " of " << ToInt(row.uid);
    EXPECT_EQ(Passes(Direction::kEgress, query), row.sent_passes)
        << row.name << " of " << ToInt(row.uid);
  }
  ASSERT_THAT(
      engine_->Commit({SetSettings{{.closing_packets = ClosingPackets::kJudged,
                                    .resolver = absl::nullopt}}},
                      {}),
      IsOk());
  ExplainQuery query;
  query.uid = Uid{10007};
  query.kind = PacketKind::kTcpReset;
  EXPECT_FALSE(Passes(Direction::kEgress, query));
}

TEST_F(ExplainTest, AKindHasOneProtocol) {
  for (const auto& [kind, protocol] :
       {std::pair(PacketKind::kTcpReset, kIcmp),
        std::pair(PacketKind::kTcpFin, uint8_t{58}),
        std::pair(PacketKind::kIcmp6Control, kTcp)}) {
    ExplainQuery query;
    query.uid = Uid{10007};
    query.kind = kind;
    query.protocol = protocol;
    EXPECT_THAT(engine_->Explain(query),
                testing::StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

TEST_F(ExplainTest, TheResolversTagPassesInterfaceRules) {
  ASSERT_THAT(
      engine_->Commit({SetUidInterfaces{Uid{1051}, {"tun0"}},
                       SetSettings{{.resolver = Resolver{Uid{1051}, 7}}}},
                      {}),
      IsOk());
  ExplainQuery query;
  query.uid = Uid{1051};
  query.tag = 6;
  EXPECT_THAT(Why(Direction::kEgress, query), SizeIs(1));
  query.tag = 7;
  EXPECT_THAT(Why(Direction::kEgress, query), IsEmpty());
}

TEST_F(ExplainTest, PacketsWithoutAnOwnerHaveTheirOwnRule) {
  ExplainQuery query;
  query.uid = kNoOwner;
  const absl::StatusOr<Explanation> all = engine_->Explain(query);
  ASSERT_THAT(all, IsOk());
  EXPECT_THAT(all->verdicts, SizeIs(2)) << "received and sent";
  // The defaults are not for them.
  ASSERT_THAT(engine_->Commit({SetDefaultRule{Action::kDeny}}, {}), IsOk());
  EXPECT_THAT(Why(Direction::kIngress, query), IsEmpty());
  ASSERT_THAT(engine_->Commit({SetSettings{{.no_owner = NoOwnerRule::kDeny,
                                            .resolver = absl::nullopt}}},
                              {}),
              IsOk());
  EXPECT_THAT(Why(Direction::kIngress, query),
              ElementsAre("no_owner: no application owns the packet, and "
                          "settings.no_owner is deny"));
  ASSERT_THAT(engine_->Commit({SetSettings{{.no_owner = NoOwnerRule::kRoot,
                                            .resolver = absl::nullopt}}},
                              {}),
              IsOk());
  EXPECT_THAT(Why(Direction::kIngress, query),
              ElementsAre("uid_rule: the default rule is deny and uid 0 has no "
                          "rule of its own"));
  query.direction = Direction::kSocketCreate;
  EXPECT_THAT(engine_->Explain(query),
              testing::StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(ExplainTest, AsksAboutCallsOnlyWhenItKnowsThem) {
  ExplainQuery query = To("10.0.0.1");
  query.local_port = 1;
  const absl::StatusOr<Explanation> all = engine_->Explain(query);
  ASSERT_THAT(all, IsOk());
  std::vector<Direction> directions;
  for (const ExplainedVerdict& verdict : all->verdicts) {
    directions.push_back(verdict.direction);
  }
  EXPECT_THAT(directions, ElementsAre(Direction::kIngress, Direction::kEgress,
                                      Direction::kSocketCreate,
                                      Direction::kConnect, Direction::kBind));
}

}  // namespace
}  // namespace netpolicy
