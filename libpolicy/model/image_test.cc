#include "libpolicy/model/image.h"

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/model/edit.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy {
namespace {

using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::IsOkAndHolds;
using ::netpolicy::testing::StatusIs;

constexpr auto kDataLoss = absl::StatusCode::kDataLoss;
constexpr auto kFailedPrecondition = absl::StatusCode::kFailedPrecondition;

// The bits of the reasons with these numbers.
uint64_t Bits(std::initializer_list<int> numbers) {
  uint64_t bits = 0;
  for (const int number : numbers) bits |= uint64_t{1} << number;
  return bits;
}

Policy Make(const Transaction& transaction) {
  const Policy base;
  PolicyEdit edit(base);
  for (const Change& change : transaction) {
    EXPECT_THAT(edit.Apply(change), IsOk());
  }
  Policy policy;
  PolicyEdit::ApplyDelta(edit.Delta(), policy);
  return policy;
}

TEST(CompileConfig, SetsTheBitsOfChainsAndDefaults) {
  const struct {
    absl::string_view name;
    Transaction transaction;
    uint64_t enabled;
    uint64_t allowlists;
  } kRows[] = {
      {"empty",
       {},
       Bits({0, 11, 12, 13, 14, 15, 16, 17, 18}),
       Bits({1, 3, 4, 5, 6, 10, 15, 18, 21})},
      {"default deny",
       {SetDefaultRule{Action::kDeny}},
       Bits({0, 11, 12, 13, 14, 15, 16, 17, 18}),
       Bits({0, 1, 3, 4, 5, 6, 10, 15, 18, 21})},
      {"default without internet",
       {SetDefaultInternet{Permission::kRevoked}},
       Bits({0, 11, 12, 13, 14, 15, 16, 17, 18}),
       Bits({1, 3, 4, 5, 6, 10, 15, 17, 18, 21})},
      {"chains that are on",
       {SetChainEnabled{"dozable", Switch::kOn},
        SetChainEnabled{"oem_deny_3", Switch::kOn}},
       Bits({0, 1, 9, 11, 12, 13, 14, 15, 16, 17, 18}),
       Bits({1, 3, 4, 5, 6, 10, 15, 18, 21})},
      {"chains of one's own",
       {DefineChain{"a", ChainSense::kDenylist},
        DefineChain{"b", ChainSense::kAllowlist},
        SetChainEnabled{"a", Switch::kOn}},
       Bits({0, 11, 12, 13, 14, 15, 16, 17, 18, 32}),
       Bits({1, 3, 4, 5, 6, 10, 15, 18, 21, 33})},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.name);
    const Policy policy = Make(row.transaction);
    const np_policy_config config =
        CompileConfig(policy.defaults(), policy.chains(), policy.network(), {});
    EXPECT_EQ(config.enabled, row.enabled);
    EXPECT_EQ(config.allowlists, row.allowlists);
    EXPECT_EQ(config.not_on_loopback, Bits({6, 13, 14, 15, 16}));
    EXPECT_EQ(config.metered_only, Bits({10, 11, 12}));
    EXPECT_EQ(config.icmp6_passes, Bits({10}));
    EXPECT_EQ(config.at_socket, Bits({17}));
    EXPECT_EQ(config.closing_passes, ~Bits({13, 14, 15}));
    EXPECT_EQ(config.flags, NP_POLICY_NETWORK_RULES);
  }
}

TEST(CompileUid, SetsABitWhereTheUidIsListedOrDiffersFromTheDefault) {
  const PolicyDefaults kOpen;
  const PolicyDefaults kClosed{Action::kDeny, Permission::kRevoked};
  const struct {
    absl::string_view name;
    UidPolicy policy;
    PolicyDefaults defaults;
    uint64_t rules;
    uint32_t stated;
  } kRows[] = {
      {"nothing", {}, kOpen, 0, 0},
      {"nothing, closed", {}, kClosed, 0, 0},
      {"chains", {Bits({1, 63}), {}, {}}, kOpen, Bits({1, 63}), 0},
      {"allow", {0, Action::kAllow, {}}, kOpen, 0, NP_STATED_RULE_ALLOW},
      {"deny", {0, Action::kDeny, {}}, kOpen, Bits({0}), NP_STATED_RULE_DENY},
      {"allow, closed",
       {0, Action::kAllow, {}},
       kClosed,
       Bits({0}),
       NP_STATED_RULE_ALLOW},
      {"deny, closed", {0, Action::kDeny, {}}, kClosed, 0, NP_STATED_RULE_DENY},
      {"granted",
       {0, {}, Permission::kGranted},
       kOpen,
       0,
       NP_STATED_INTERNET_GRANTED},
      {"revoked",
       {0, {}, Permission::kRevoked},
       kOpen,
       Bits({17}),
       NP_STATED_INTERNET_REVOKED},
      {"granted, closed",
       {0, {}, Permission::kGranted},
       kClosed,
       Bits({17}),
       NP_STATED_INTERNET_GRANTED},
      {"revoked, closed",
       {0, {}, Permission::kRevoked},
       kClosed,
       0,
       NP_STATED_INTERNET_REVOKED},
      {"all",
       {Bits({2, 40}), Action::kDeny, Permission::kRevoked},
       kOpen,
       Bits({0, 2, 17, 40}),
       NP_STATED_RULE_DENY | NP_STATED_INTERNET_REVOKED},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.name);
    const np_uid_policy entry =
        CompileUid(Uid{10007}, row.policy, row.defaults, {}, 0);
    EXPECT_EQ(entry.rules, row.rules);
    EXPECT_EQ(entry.stated, row.stated);
    EXPECT_EQ(entry.uid, 10007u);
    EXPECT_EQ(entry.pad, 0u);
  }
}

TEST(CompileChains, NamesThoseThatThereAre) {
  const std::string longest(31, 'z');
  const Policy policy = Make({DefineChain{longest, ChainSense::kDenylist}});
  const ChainNames names = CompileChains(policy.chains());
  EXPECT_STREQ(names[0].name, "");
  EXPECT_STREQ(names[1].name, "dozable");
  EXPECT_STREQ(names[9].name, "oem_deny_3");
  EXPECT_STREQ(names[10].name, "metered_allow");
  EXPECT_STREQ(names[12].name, "metered_deny_admin");
  EXPECT_STREQ(names[13].name, "");
  EXPECT_STREQ(names[32].name, longest.c_str());
  EXPECT_STREQ(names[33].name, "");
}

TEST(Decompile, SkipsEntriesThatSayNothing) {
  const MapImage image = Compile(Policy()).value();
  np_uid_policy unused = {};
  unused.uid = 10007;
  EXPECT_THAT(
      Decompile(image.config, image.chains, {unused, unused, {}}, image.source),
      IsOkAndHolds(Policy()));
}

// Tables of: denylist kids (32), on, lists 10050; 10007 is denied.
struct Tables {
  np_policy_config config;
  ChainNames chains;
  std::vector<np_uid_policy> uids;
};

Tables Sample() {
  const MapImage image =
      Compile(Make({DefineChain{"kids", ChainSense::kDenylist},
                    SetChainEnabled{"kids", Switch::kOn},
                    SetChainMember{"kids", Uid{10050}, Switch::kOn},
                    SetUidRule{Uid{10007}, Action::kDeny}}))
          .value();
  return {image.config,
          image.chains,
          {image.uids.at(Uid{10007}), image.uids.at(Uid{10050})}};
}

TEST(Decompile, RefusesTablesThatMakeNoSense) {
  const struct {
    absl::string_view name;
    std::function<void(Tables&)> spoil;
    absl::StatusCode code;
    absl::string_view message;
  } kRows[] = {
      {"nothing written", [](Tables& t) { t = {}; }, kDataLoss,
       "read np_chain[1]: chain \"\" should be dozable"},
      {"enabled, unknown rule",
       [](Tables& t) { t.config.enabled |= Bits({19}); }, kFailedPrecondition,
       "read np_policy_config.enabled: rule quota is not known here"},
      {"enabled, reserved rule",
       [](Tables& t) { t.config.enabled |= Bits({31}); }, kFailedPrecondition,
       "read np_policy_config.enabled: rule reserved_31 is not known here"},
      {"enabled, no chain", [](Tables& t) { t.config.enabled |= Bits({33}); },
       kDataLoss,
       "read np_policy_config.enabled: bit 33 is set, but there is no such "
       "chain"},
      {"enabled, rules off", [](Tables& t) { t.config.enabled = Bits({0}); },
       kDataLoss,
       "read np_policy_config.enabled: uid_rule and internet_permission are "
       "always on"},
      {"allowlists, no chain",
       [](Tables& t) { t.config.allowlists |= Bits({63}); }, kDataLoss,
       "read np_policy_config.allowlists: bit 63 is set, but there is no such "
       "chain"},
      {"allowlists, Android's other sense",
       [](Tables& t) { t.config.allowlists ^= Bits({2}); }, kDataLoss,
       "read np_policy_config.allowlists: chain standby should be denylist"},
      {"not_on_loopback", [](Tables& t) { t.config.not_on_loopback = 0; },
       kFailedPrecondition,
       "read np_policy_config.not_on_loopback: 0x0, expected 0x1e040"},
      {"metered_only", [](Tables& t) { t.config.metered_only = Bits({32}); },
       kFailedPrecondition,
       "read np_policy_config.metered_only: 0x100000000, expected "
       "0x1c00"},
      {"at_socket", [](Tables& t) { t.config.at_socket = Bits({0}); },
       kFailedPrecondition,
       "read np_policy_config.at_socket: 0x1, expected 0x20000"},
      {"config flags", [](Tables& t) { t.config.flags = 1; },
       kFailedPrecondition, "read np_policy_config.flags: 0x1, expected 0x2"},
      {"Android's name",
       [](Tables& t) { std::strcpy(t.chains[4].name, "restrictes"); },
       kDataLoss,
       "read np_chain[4]: chain \"restrictes\" should be restricted"},
      {"a later version's chain",
       [](Tables& t) { std::strcpy(t.chains[20].name, "bind_port"); },
       kFailedPrecondition,
       "read np_chain[20]: chain \"bind_port\" is not known here"},
      {"bad name", [](Tables& t) { std::strcpy(t.chains[33].name, "A\x1b"); },
       kDataLoss,
       "read np_chain[33]: chain \"A\\x1b\": not a chain name, which is a "
       "letter and at most 30 of a-z, 0-9 and _"},
      {"name without end",
       [](Tables& t) { std::memset(t.chains[33].name, 'a', 32); }, kDataLoss,
       "read np_chain[33]: the name does not end"},
      {"something after the name",
       [](Tables& t) { t.chains[33].name[31] = 'a'; }, kDataLoss,
       "read np_chain[33]: something follows the name"},
      {"a name twice",
       [](Tables& t) { std::strcpy(t.chains[40].name, "kids"); }, kDataLoss,
       "read np_chain[40]: chain kids is also number 32"},
      {"uid, unknown rule", [](Tables& t) { t.uids[0].rules |= Bits({19}); },
       kFailedPrecondition,
       "read np_uid_policy[uid=10007].rules: rule quota is not known "
       "here"},
      {"uid, no chain", [](Tables& t) { t.uids[0].rules |= Bits({33}); },
       kDataLoss,
       "read np_uid_policy[uid=10007].rules: bit 33 is set, but there is no "
       "such chain"},
      {"uid, rule not stated", [](Tables& t) { t.uids[0].stated = 0; },
       kDataLoss,
       "read np_uid_policy[uid=10007].rules: uid_rule is not as stated"},
      {"uid, stated without effect", [](Tables& t) { t.uids[0].rules = 0; },
       kDataLoss,
       "read np_uid_policy[uid=10007].rules: uid_rule is not as stated"},
      {"uid, internet not stated",
       [](Tables& t) { t.uids[1].rules |= Bits({17}); }, kDataLoss,
       "read np_uid_policy[uid=10050].rules: internet_permission is not as "
       "stated"},
      {"uid, both rules",
       [](Tables& t) { t.uids[0].stated |= NP_STATED_RULE_ALLOW; }, kDataLoss,
       "read np_uid_policy[uid=10007].stated: rule is allow and deny"},
      {"uid, both permissions",
       [](Tables& t) {
         t.uids[0].stated |=
             NP_STATED_INTERNET_GRANTED | NP_STATED_INTERNET_REVOKED;
       },
       kDataLoss,
       "read np_uid_policy[uid=10007].stated: internet is granted and "
       "revoked"},
      {"uid, unknown flag", [](Tables& t) { t.uids[0].stated |= 0x800; },
       kFailedPrecondition,
       "read np_uid_policy[uid=10007].stated: 0x802 has flags that are not "
       "known here"},
      {"uid pad", [](Tables& t) { t.uids[1].pad = 1; }, kFailedPrecondition,
       "read np_uid_policy[uid=10050].pad: is not 0"},
      {"no uid", [](Tables& t) { t.uids[1].uid = NP_UID_NONE; },
       kFailedPrecondition, "read np_uid_policy[uid=4294967295]: is not a uid"},
      {"a uid twice", [](Tables& t) { t.uids[1].uid = 10007; }, kDataLoss,
       "read np_uid_policy[uid=10007]: there are two entries"},
  };
  Tables good = Sample();
  ASSERT_THAT(Decompile(good.config, good.chains, good.uids, ""), IsOk());
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.name);
    Tables tables = Sample();
    row.spoil(tables);
    EXPECT_THAT(Decompile(tables.config, tables.chains, tables.uids, ""),
                StatusIs(row.code, std::string(row.message)));
  }
  EXPECT_THAT(
      Decompile(good.config, absl::MakeSpan(good.chains).first(63), good.uids,
                ""),
      StatusIs(kFailedPrecondition, "read np_chain: 63 entries, expected 64"));
}

TEST(ImageToText, NamesEverything) {
  const Tables tables = Sample();
  MapImage image;
  image.config = tables.config;
  image.chains = tables.chains;
  for (const uint32_t uid : {10049, 10050, 10052}) {
    image.uids[Uid{uid}] = tables.uids[1];
  }
  image.uids[Uid{7}] = tables.uids[0];
  EXPECT_EQ(ImageToText(image), R"(np_policy_config
  enabled          0x000000010007f801  uid_rule metered_deny_user metered_deny_admin lockdown_vpn interface_rule ingress_discard local_network internet_permission network_rule kids
  allowlists       0x000000000024847a  dozable powersave restricted low_power_standby background metered_allow ingress_discard network_rule no_owner
  not_on_loopback  0x000000000001e040  background lockdown_vpn interface_rule ingress_discard local_network
  metered_only     0x0000000000001c00  metered_allow metered_deny_user metered_deny_admin
  at_socket        0x0000000000020000  internet_permission
  icmp6_passes     0x0000000000000400  metered_allow
  closing_passes   0xffffffffffff1fff  uid_rule dozable powersave restricted low_power_standby background metered_allow metered_deny_user metered_deny_admin local_network internet_permission network_rule no_owner kids
  resolver_passes  0x0000000000000000  -
np_chain
   1  dozable
   2  standby
   3  powersave
   4  restricted
   5  low_power_standby
   6  background
   7  oem_deny_1
   8  oem_deny_2
   9  oem_deny_3
  10  metered_allow
  11  metered_deny_user
  12  metered_deny_admin
  32  kids
np_uid_policy
  7  rules: uid_rule  stated: rule=deny
  10049-10050  rules: kids  stated: -
  10052  rules: kids  stated: -
)");
}

}  // namespace
}  // namespace netpolicy
