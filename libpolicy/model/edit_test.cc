#include "libpolicy/model/edit.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "bpf_progs/abi/reason.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy {
namespace {

using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr auto kInvalidArgument = absl::StatusCode::kInvalidArgument;
constexpr auto kNotFound = absl::StatusCode::kNotFound;
constexpr auto kResourceExhausted = absl::StatusCode::kResourceExhausted;

// `base` after `transaction`.
Policy After(const Policy& base, const Transaction& transaction) {
  PolicyEdit edit(base);
  for (const Change& change : transaction) {
    EXPECT_THAT(edit.Apply(change), IsOk());
  }
  Policy policy = base;
  PolicyEdit::ApplyDelta(edit.Delta(), policy);
  return policy;
}

std::string TextOf(const Policy& base, const Transaction& transaction) {
  PolicyEdit edit(base);
  for (const Change& change : transaction) {
    EXPECT_THAT(edit.Apply(change), IsOk());
  }
  return DeltaToText(base, edit.Delta());
}

// 10050 is in denylist kids (32), which is off; 10001 in dozable, which is on;
// 10007 may not.
Policy Sample() {
  return After(Policy(), {DefineChain{"kids", ChainSense::kDenylist},
                          SetChainMember{"kids", Uid{10050}, Switch::kOn},
                          ReplaceChain{"dozable", {Uid{10001}}},
                          SetChainEnabled{"dozable", Switch::kOn},
                          SetUidRule{Uid{10007}, Action::kDeny}});
}

TEST(PolicyEdit, AppliesEachChange) {
  const Policy policy = Sample();
  EXPECT_EQ(policy.FindChain("kids")->number, 32);
  EXPECT_EQ(policy.FindChain("kids")->enabled, Switch::kOff);
  EXPECT_EQ(policy.FindChain("dozable")->enabled, Switch::kOn);
  EXPECT_THAT(policy.ChainMembers(32), ElementsAre(Uid{10050}));
  EXPECT_THAT(policy.ChainMembers(NP_REASON_DOZABLE), ElementsAre(Uid{10001}));
  EXPECT_EQ(policy.Find(Uid{10007}).rule, Action::kDeny);
  EXPECT_THAT(policy.uids(), SizeIs(3));

  const Policy next = After(
      policy,
      {SetDefaultRule{Action::kDeny}, SetDefaultInternet{Permission::kRevoked},
       SetInternet{Uid{10007}, Permission::kGranted},
       SetUidRule{Uid{10007}, absl::nullopt}, ClearUid{Uid{10001}}});
  EXPECT_EQ(next.defaults().rule, Action::kDeny);
  EXPECT_EQ(next.defaults().internet, Permission::kRevoked);
  EXPECT_EQ(next.Find(Uid{10007}).rule, absl::nullopt);
  EXPECT_EQ(next.Find(Uid{10007}).internet, Permission::kGranted);
  EXPECT_THAT(next.ChainMembers(NP_REASON_DOZABLE), IsEmpty());
  EXPECT_THAT(next.uids(), SizeIs(2));
}

TEST(PolicyEdit, WhatIsChangedBackIsNotInTheDelta) {
  const Policy base = Sample();
  PolicyEdit edit(base);
  for (const Transaction& step :
       {Transaction{
            SetDefaultRule{Action::kDeny}, SetChainEnabled{"kids", Switch::kOn},
            SetUidRule{Uid{10009}, Action::kDeny}, ReplaceChain{"dozable", {}}},
        Transaction{SetDefaultRule{Action::kAllow},
                    SetChainEnabled{"kids", Switch::kOff}, ClearUid{Uid{10009}},
                    SetChainMember{"dozable", Uid{10001}, Switch::kOn}}}) {
    for (const Change& change : step) ASSERT_THAT(edit.Apply(change), IsOk());
  }
  EXPECT_TRUE(edit.Delta().empty());
}

TEST(PolicyEdit, TheDeltaHoldsOnlyTheUidsThatChanged) {
  const Policy base = Sample();
  PolicyEdit edit(base);
  ASSERT_THAT(edit.Apply(ReplaceChain{"kids", {Uid{10051}, Uid{10050}}}),
              IsOk());
  const PolicyDelta delta = edit.Delta();
  EXPECT_FALSE(delta.defaults.has_value());
  EXPECT_FALSE(delta.chains.has_value());
  ASSERT_THAT(delta.uids, SizeIs(1));
  EXPECT_EQ(delta.uids.at(Uid{10051}).chains, NP_REASON_BIT(32));
}

TEST(PolicyEdit, ErrorsChangeNothing) {
  const struct {
    absl::string_view name;
    Change change;
    absl::StatusCode code;
    std::string message;
  } kRows[] = {
      {"bad chain name", DefineChain{"Kids", ChainSense::kDenylist},
       kInvalidArgument,
       "define chain \"Kids\": not a chain name, which is a letter and at most "
       "30 of a-z, 0-9 and _"},
      {"name of 32 letters",
       DefineChain{std::string(32, 'a'), ChainSense::kDenylist},
       kInvalidArgument,
       "define chain \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\": not a chain name, "
       "which is a letter and at most 30 of a-z, 0-9 and _"},
      {"name of a reason", DefineChain{"uid_rule", ChainSense::kDenylist},
       kInvalidArgument, "define chain uid_rule: the name is reserved"},
      {"Android's with another sense",
       DefineChain{"dozable", ChainSense::kDenylist}, kInvalidArgument,
       "define chain dozable as denylist: it is Android's allowlist"},
      {"remove Android's", RemoveChain{"dozable"}, kInvalidArgument,
       "remove chain dozable: every policy has this chain"},
      {"remove none", RemoveChain{"none"}, kNotFound,
       "remove chain \"none\": there is no such chain"},
      {"switch none", SetChainEnabled{"none", Switch::kOn}, kNotFound,
       "switch chain \"none\": there is no such chain"},
      {"replace none", ReplaceChain{"none", {}}, kNotFound,
       "replace chain \"none\": there is no such chain"},
      {"add to none", SetChainMember{"none", Uid{1}, Switch::kOn}, kNotFound,
       "add to chain \"none\": there is no such chain"},
      {"remove from none", SetChainMember{"none", Uid{1}, Switch::kOff},
       kNotFound, "remove from chain \"none\": there is no such chain"},
      {"replace by no uid", ReplaceChain{"kids", {Uid{1}, kNoOwner}},
       kInvalidArgument, "replace chain kids by uid 4294967295: not a uid"},
      {"add no uid", SetChainMember{"kids", kNoOwner, Switch::kOn},
       kInvalidArgument, "add to chain kids uid 4294967295: not a uid"},
      {"rule of no uid", SetUidRule{kNoOwner, Action::kDeny}, kInvalidArgument,
       "set rule of uid 4294967295: not a uid"},
      {"internet of no uid", SetInternet{kNoOwner, Permission::kGranted},
       kInvalidArgument, "set internet of uid 4294967295: not a uid"},
      {"clear no uid", ClearUid{kNoOwner}, kInvalidArgument,
       "clear uid 4294967295: not a uid"},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.name);
    const Policy base = Sample();
    PolicyEdit edit(base);
    ASSERT_THAT(edit.Apply(SetUidRule{Uid{10008}, Action::kDeny}), IsOk());
    const PolicyDelta before = edit.Delta();
    EXPECT_THAT(edit.Apply(row.change), StatusIs(row.code, row.message));
    EXPECT_EQ(edit.Delta(), before);
  }
}

TEST(PolicyEdit, ThereAreAtMost32UserDefinedChains) {
  Transaction transaction;
  for (int i = 0; i < NP_USER_CHAINS; ++i) {
    transaction.push_back(
        DefineChain{absl::StrCat("own_", i), ChainSense::kDenylist});
  }
  const Policy full = After(Policy(), transaction);
  EXPECT_EQ(full.FindChain("own_31")->number, 63);
  PolicyEdit edit(full);
  EXPECT_THAT(edit.Apply(DefineChain{"one_more", ChainSense::kDenylist}),
              StatusIs(kResourceExhausted,
                       "define chain one_more: there are 32 chains already, "
                       "the most"));
  EXPECT_THAT(edit.Apply(DefineChain{"own_31", ChainSense::kAllowlist}),
              IsOk());
}

TEST(PolicyEdit, AChainKeepsItsNumberWhileItExists) {
  const Policy base =
      After(Policy(), {DefineChain{"a", ChainSense::kDenylist},
                       DefineChain{"b", ChainSense::kDenylist},
                       SetChainMember{"b", Uid{5}, Switch::kOn}});
  const Policy removed = After(base, {RemoveChain{"a"}});
  EXPECT_EQ(removed.FindChain("b")->number, 33);
  EXPECT_THAT(removed.ChainMembers(33), ElementsAre(Uid{5}));
  const Policy next = After(removed, {DefineChain{"c", ChainSense::kDenylist}});
  EXPECT_EQ(next.FindChain("c")->number, 32);
  EXPECT_EQ(next.FindChain("b")->number, 33);
}

TEST(PolicyEdit, ARedefinedChainKeepsMembersAndSwitch) {
  const Policy next =
      After(Sample(), {SetChainEnabled{"kids", Switch::kOn},
                       DefineChain{"kids", ChainSense::kAllowlist}});
  EXPECT_EQ(next.FindChain("kids")->sense, ChainSense::kAllowlist);
  EXPECT_EQ(next.FindChain("kids")->enabled, Switch::kOn);
  EXPECT_THAT(next.ChainMembers(32), ElementsAre(Uid{10050}));
}

TEST(PolicyEdit, ARemovedChainLeavesNoMembers) {
  const Policy next =
      After(Sample(),
            {RemoveChain{"kids"}, DefineChain{"other", ChainSense::kDenylist}});
  EXPECT_EQ(next.FindChain("other")->number, 32);
  EXPECT_THAT(next.ChainMembers(32), IsEmpty());
  EXPECT_EQ(next.uids().count(Uid{10050}), 0u);
}

TEST(PolicyEdit, AReplacedPolicyKeepsTheNumbersOfChainsThatExist) {
  const Policy base = After(Policy(), {DefineChain{"a", ChainSense::kDenylist},
                                       DefineChain{"b", ChainSense::kDenylist},
                                       SetChainMember{"a", Uid{1}, Switch::kOn},
                                       SetUidRule{Uid{9}, Action::kDeny}});
  // The same names in another order, and a new one between them.
  const Policy other =
      After(Policy(), {DefineChain{"b", ChainSense::kDenylist},
                       DefineChain{"c", ChainSense::kAllowlist},
                       DefineChain{"a", ChainSense::kDenylist},
                       SetChainMember{"a", Uid{1}, Switch::kOn},
                       SetChainMember{"c", Uid{2}, Switch::kOn}});
  const Policy next =
      After(base, {SetUidRule{Uid{8}, Action::kAllow}, ReplacePolicy{other}});
  EXPECT_EQ(next.FindChain("a")->number, 32);
  EXPECT_EQ(next.FindChain("b")->number, 33);
  EXPECT_EQ(next.FindChain("c")->number, 34);
  EXPECT_THAT(next.ChainMembers(32), ElementsAre(Uid{1}));
  EXPECT_THAT(next.ChainMembers(34), ElementsAre(Uid{2}));
  EXPECT_THAT(next.uids(), SizeIs(2));
  EXPECT_TRUE(Diff(next, other).empty());
}

TEST(Diff, AppliedToTheFirstGivesTheSecond) {
  const Policy sample = Sample();
  Policy policy;
  PolicyEdit::ApplyDelta(Diff(policy, sample), policy);
  EXPECT_EQ(policy, sample);
  PolicyEdit::ApplyDelta(Diff(policy, Policy()), policy);
  EXPECT_EQ(policy, Policy());
}

TEST(DeltaToText, SaysEachChangeInOneLine) {
  const struct {
    absl::string_view name;
    Transaction transaction;
    absl::string_view text;
  } kRows[] = {
      {"nothing", {SetChainEnabled{"dozable", Switch::kOn}}, ""},
      {"defaults",
       {SetDefaultRule{Action::kDeny},
        SetDefaultInternet{Permission::kRevoked}},
       "~ default rule: allow -> deny\n"
       "~ default internet: granted -> revoked\n"},
      {"switch and sense",
       {SetChainEnabled{"kids", Switch::kOn},
        DefineChain{"kids", ChainSense::kAllowlist}},
       "~ chain kids: denylist -> allowlist\n"
       "~ chain kids: off -> on\n"},
      {"members",
       {ReplaceChain{"dozable", {Uid{10002}, Uid{10003}, Uid{10010}}}},
       "- chain dozable lists uid 10001\n"
       "+ chain dozable lists uids 10002-10003\n"
       "+ chain dozable lists uid 10010\n"},
      {"new chain",
       {DefineChain{"work", ChainSense::kAllowlist},
        SetChainMember{"work", Uid{10001}, Switch::kOn}},
       "+ chain work (allowlist, off)\n"
       "+ chain work lists uid 10001\n"},
      {"removed chain",
       {RemoveChain{"kids"}},
       "- chain kids (denylist, off)\n"},
      {"another chain with the same number and member",
       {RemoveChain{"kids"}, DefineChain{"work", ChainSense::kDenylist},
        SetChainMember{"work", Uid{10050}, Switch::kOn},
        SetChainMember{"work", Uid{10049}, Switch::kOn}},
       "- chain kids (denylist, off)\n"
       "+ chain work (denylist, off)\n"
       "+ chain work lists uids 10049-10050\n"},
      {"uids",
       {SetUidRule{Uid{10007}, Action::kAllow},
        SetUidRule{Uid{10008}, Action::kDeny},
        SetUidRule{Uid{10009}, Action::kDeny},
        SetInternet{Uid{10008}, Permission::kRevoked}},
       "~ uid 10007: rule deny -> allow\n"
       "+ uid 10008: internet revoked\n"
       "+ uids 10008-10009: rule deny\n"},
      {"cleared uid", {ClearUid{Uid{10007}}}, "- uid 10007: rule deny\n"},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.name);
    EXPECT_EQ(TextOf(Sample(), row.transaction), row.text);
  }
}

}  // namespace
}  // namespace netpolicy
