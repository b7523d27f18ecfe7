#include "libpolicy/model/wire.h"

#include <functional>
#include <string>

#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/model/random_policy.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy {
namespace {

using ::netpolicy::testing::Below;
using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::IsOkAndHolds;
using ::netpolicy::testing::Random;
using ::netpolicy::testing::RandomChange;
using ::netpolicy::testing::RandomPolicy;
using ::netpolicy::testing::StatusIs;

constexpr auto kInvalidArgument = absl::StatusCode::kInvalidArgument;

// What the other side makes of it.
template <typename Message>
Message Sent(const Message& message) {
  Message received;
  EXPECT_TRUE(received.ParseFromString(message.SerializeAsString()));
  return received;
}

TEST(Wire, WhatIsSentOfNetworksIsReceived) {
  Random random(2);
  for (int round = 0; round < 300; ++round) {
    const Policy base = ::netpolicy::testing::RandomNetworkPolicy(random);
    const Policy policy = ::netpolicy::testing::RandomNetworkPolicy(random);
    ASSERT_THAT(FromProto(Sent(ToProto(policy))), IsOkAndHolds(policy));
    const PolicyDelta delta = Diff(base, policy);
    ASSERT_THAT(FromProto(Sent(ToProto(delta))), IsOkAndHolds(delta));
    // The words appear exactly when something changes.
    ASSERT_EQ(DeltaToText(base, delta).empty(), delta.empty());
  }
}

TEST(Wire, WhatIsSentIsReceived) {
  Random random(1);
  for (int round = 0; round < 300; ++round) {
    const Policy policy = RandomPolicy(random);
    ASSERT_THAT(FromProto(Sent(ToProto(policy))), IsOkAndHolds(policy));

    Transaction transaction;
    PolicyEdit edit(policy);
    for (uint32_t i = Below(random, 20); i > 0; --i) {
      transaction.push_back(RandomChange(random, policy));
      edit.Apply(transaction.back()).IgnoreError();
    }
    if (round % 4 == 0) {
      transaction.push_back(ReplacePolicy{RandomPolicy(random)});
      ASSERT_THAT(edit.Apply(transaction.back()), IsOk());
    }
    ASSERT_THAT(FromProto(Sent(ToProto(transaction))),
                IsOkAndHolds(transaction));
    const PolicyDelta delta = edit.Delta();
    ASSERT_THAT(FromProto(Sent(ToProto(delta))), IsOkAndHolds(delta));
  }
}

// A policy with one chain of its own (chains[12]) and uids 10007 and 10008.
proto::Policy Sample() {
  const Policy base;
  PolicyEdit edit(base);
  EXPECT_THAT(edit.Apply(DefineChain{"kids", ChainSense::kDenylist}), IsOk());
  EXPECT_THAT(edit.Apply(SetUidRule{Uid{10007}, Action::kDeny}), IsOk());
  EXPECT_THAT(edit.Apply(SetUidRule{Uid{10008}, Action::kDeny}), IsOk());
  Policy policy;
  PolicyEdit::ApplyDelta(edit.Delta(), policy);
  return ToProto(policy);
}

TEST(FromProto, RefusesPoliciesThatCannotBe) {
  const struct {
    absl::string_view name;
    std::function<void(proto::Policy&)> spoil;
    absl::string_view message;
  } kRows[] = {
      {"no defaults", [](auto& p) { p.clear_defaults(); },
       "defaults: is missing"},
      {"no default rule", [](auto& p) { p.mutable_defaults()->clear_rule(); },
       "defaults.rule: is missing"},
      {"unspecified default rule",
       [](auto& p) {
         p.mutable_defaults()->set_rule(proto::ACTION_UNSPECIFIED);
       },
       "defaults.rule: unknown value 0"},
      {"no default permission",
       [](auto& p) { p.mutable_defaults()->clear_internet(); },
       "defaults.internet: is missing"},
      {"no chains", [](auto& p) { p.clear_chains(); },
       "chains: chain dozable is missing"},
      {"no chain 3", [](auto& p) { p.mutable_chains()->DeleteSubrange(2, 1); },
       "chains: chain powersave is missing"},
      {"no number", [](auto& p) { p.mutable_chains(0)->clear_number(); },
       "chains[0].number: is missing"},
      {"number of no chain",
       [](auto& p) { p.mutable_chains(12)->set_number(13); },
       "chains[12].number: there is no chain 13"},
      {"number out of range",
       [](auto& p) { p.mutable_chains(12)->set_number(64); },
       "chains[12].number: there is no chain 64"},
      {"number out of int's range",
       [](auto& p) { p.mutable_chains(12)->set_number(0xffffffff); },
       "chains[12].number: there is no chain 4294967295"},
      {"no name", [](auto& p) { p.mutable_chains(12)->clear_name(); },
       "chains[12].name: is missing"},
      {"bad name", [](auto& p) { p.mutable_chains(12)->set_name("a b"); },
       "chains[12].name: chain \"a b\": not a chain name, which is a letter "
       "and "
       "at most 30 of a-z, 0-9 and _"},
      {"Android's other name",
       [](auto& p) { p.mutable_chains(0)->set_name("kids"); },
       "chains[0].name: chain 1 is dozable, not \"kids\""},
      {"Android's other sense",
       [](auto& p) {
         p.mutable_chains(0)->set_sense(proto::CHAIN_SENSE_DENYLIST);
       },
       "chains[0].sense: chain dozable is Android's allowlist"},
      {"no sense", [](auto& p) { p.mutable_chains(12)->clear_sense(); },
       "chains[12].sense: is missing"},
      {"unknown sense",
       [](auto& p) {
         p.mutable_chains(12)->set_sense(static_cast<proto::ChainSense>(3));
       },
       "chains[12].sense: unknown value 3"},
      {"no switch", [](auto& p) { p.mutable_chains(12)->clear_enabled(); },
       "chains[12].enabled: is missing"},
      {"a chain twice", [](auto& p) { *p.add_chains() = p.chains(12); },
       "chains[13].number: is not in order"},
      {"a name twice",
       [](auto& p) {
         *p.add_chains() = p.chains(12);
         p.mutable_chains(13)->set_number(33);
       },
       "chains[13].name: chain kids is there already"},
      {"no uid", [](auto& p) { p.mutable_uids(1)->clear_uid(); },
       "uids[1].uid: is missing"},
      {"bad uid", [](auto& p) { p.mutable_uids(1)->set_uid(0xffffffff); },
       "uids[1].uid: 4294967295 is not a uid"},
      {"a uid twice", [](auto& p) { p.mutable_uids(1)->set_uid(10007); },
       "uids[1].uid: is not in order"},
      {"unknown rule",
       [](auto& p) {
         p.mutable_uids(0)->set_rule(static_cast<proto::Action>(-1));
       },
       "uids[0].rule: unknown value -1"},
      {"in no chain",
       [](auto& p) { p.mutable_uids(0)->set_chains(1ULL << 33); },
       "uids[0].chains: 0x200000000 has chains that do not exist"},
      {"a bit that is no chain's",
       [](auto& p) { p.mutable_uids(0)->set_chains(1); },
       "uids[0].chains: 0x1 has chains that do not exist"},
      {"nothing said", [](auto& p) { p.mutable_uids(1)->clear_rule(); },
       "uids[1]: says nothing"},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.name);
    proto::Policy message = Sample();
    ASSERT_THAT(FromProto(message), IsOk());
    row.spoil(message);
    EXPECT_THAT(FromProto(Sent(message)),
                StatusIs(kInvalidArgument, std::string(row.message)));
  }
}

TEST(FromProto, RefusesChangesThatCannotBe) {
  const struct {
    std::function<void(proto::Change&)> make;
    absl::string_view message;
  } kRows[] = {
      {[](auto&) {}, "kind: is missing or unknown"},
      {[](auto& c) { c.mutable_replace_policy(); },
       "replace_policy.policy: is missing"},
      {[](auto& c) { c.mutable_replace_policy()->mutable_policy(); },
       "replace_policy.policy.defaults: is missing"},
      {[](auto& c) { c.mutable_set_default_rule(); },
       "set_default_rule.rule: is missing"},
      {[](auto& c) {
         c.mutable_set_default_rule()->set_rule(static_cast<proto::Action>(9));
       },
       "set_default_rule.rule: unknown value 9"},
      {[](auto& c) { c.mutable_set_default_internet(); },
       "set_default_internet.internet: is missing"},
      {[](auto& c) { c.mutable_define_chain(); },
       "define_chain.name: is missing"},
      {[](auto& c) { c.mutable_define_chain()->set_name("a"); },
       "define_chain.sense: is missing"},
      {[](auto& c) {
         c.mutable_define_chain()->set_name("a");
         c.mutable_define_chain()->set_sense(proto::CHAIN_SENSE_UNSPECIFIED);
       },
       "define_chain.sense: unknown value 0"},
      {[](auto& c) { c.mutable_remove_chain(); },
       "remove_chain.name: is missing"},
      {[](auto& c) { c.mutable_set_chain_enabled(); },
       "set_chain_enabled.name: is missing"},
      {[](auto& c) { c.mutable_set_chain_enabled()->set_name("a"); },
       "set_chain_enabled.enabled: is missing"},
      {[](auto& c) { c.mutable_replace_chain(); },
       "replace_chain.name: is missing"},
      {[](auto& c) {
         c.mutable_replace_chain()->set_name("a");
         c.mutable_replace_chain()->add_uids(1);
         c.mutable_replace_chain()->add_uids(0xffffffff);
       },
       "replace_chain.uids[1]: 4294967295 is not a uid"},
      {[](auto& c) { c.mutable_set_chain_member()->set_name("a"); },
       "set_chain_member.uid: is missing"},
      {[](auto& c) {
         c.mutable_set_chain_member()->set_name("a");
         c.mutable_set_chain_member()->set_uid(1);
       },
       "set_chain_member.listed: is missing"},
      {[](auto& c) { c.mutable_set_uid_rule(); },
       "set_uid_rule.uid: is missing"},
      {[](auto& c) {
         c.mutable_set_uid_rule()->set_uid(1);
         c.mutable_set_uid_rule()->set_rule(proto::ACTION_UNSPECIFIED);
       },
       "set_uid_rule.rule: unknown value 0"},
      {[](auto& c) { c.mutable_set_internet()->set_uid(0xffffffff); },
       "set_internet.uid: 4294967295 is not a uid"},
      {[](auto& c) { c.mutable_clear_uid(); }, "clear_uid.uid: is missing"},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.message);
    proto::Transaction message;
    message.add_changes()->mutable_clear_uid()->set_uid(1);
    row.make(*message.add_changes());
    EXPECT_THAT(
        FromProto(Sent(message)),
        StatusIs(kInvalidArgument, "changes[1]." + std::string(row.message)));
  }
}

TEST(FromProto, RefusesDeltasThatCannotBe) {
  const struct {
    std::function<void(proto::PolicyDelta&)> make;
    absl::string_view message;
  } kRows[] = {
      {[](auto& d) { d.mutable_defaults()->set_internet(true); },
       "defaults.rule: is missing"},
      {[](auto& d) { d.mutable_chains(); },
       "chains.chains: chain dozable is missing"},
      {[](auto& d) { d.mutable_chains()->add_chains(); },
       "chains.chains[0].number: is missing"},
      {[](auto& d) { d.add_uids(); }, "uids[0].uid: is missing"},
      {[](auto& d) {
         d.add_uids()->set_uid(1);
         d.mutable_uids(0)->set_chains(1 << 13);
       },
       "uids[0].chains: 0x2000 has chains that do not exist"},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.message);
    proto::PolicyDelta message;
    row.make(message);
    EXPECT_THAT(FromProto(Sent(message)),
                StatusIs(kInvalidArgument, std::string(row.message)));
  }
}

}  // namespace
}  // namespace netpolicy
