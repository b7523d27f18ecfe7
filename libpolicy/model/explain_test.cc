#include "libpolicy/model/explain.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "bpf_progs/abi/reason.h"
#include "bpf_progs/lib/decision.h"
#include "gtest/gtest.h"
#include "libpolicy/model/edit.h"
#include "libpolicy/model/image.h"
#include "libpolicy/model/random_policy.h"
#include "libpolicy/model/reason.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy {
namespace {

using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::Random;
using ::netpolicy::testing::RandomPolicy;
using ::netpolicy::testing::RandomUid;

TEST(ExplainReason, SaysWhatGaveIt) {
  const struct {
    absl::string_view name;
    Transaction transaction;
    Uid uid;
    int reason;
    absl::string_view text;
  } kRows[] = {
      {"allowlist",
       {SetChainEnabled{"dozable", Switch::kOn}},
       Uid{10007},
       NP_REASON_DOZABLE,
       "uid 10007 is not listed in allowlist dozable, which is on"},
      {"denylist",
       {DefineChain{"kids", ChainSense::kDenylist},
        SetChainEnabled{"kids", Switch::kOn},
        SetChainMember{"kids", Uid{10007}, Switch::kOn}},
       Uid{10007},
       NP_REASON_USER_CHAIN_0,
       "uid 10007 is listed in denylist kids, which is on"},
      {"own rule",
       {SetDefaultRule{Action::kDeny}, SetUidRule{Uid{10007}, Action::kDeny}},
       Uid{10007},
       NP_REASON_UID_RULE,
       "uid 10007 is denied by its own rule"},
      {"default rule",
       {SetDefaultRule{Action::kDeny}},
       Uid{10007},
       NP_REASON_UID_RULE,
       "the default rule is deny and uid 10007 has no rule of its own"},
      {"own permission",
       {SetInternet{Uid{10007}, Permission::kRevoked}},
       Uid{10007},
       NP_REASON_INTERNET_PERMISSION,
       "uid 10007 has no internet permission, by its own entry"},
      {"default permission",
       {SetDefaultInternet{Permission::kRevoked}},
       Uid{10007},
       NP_REASON_INTERNET_PERMISSION,
       "uid 10007 has no internet permission, by default"},
      {"no owner",
       {SetChainEnabled{"dozable", Switch::kOn}},
       kNoOwner,
       NP_REASON_DOZABLE,
       "a packet without an owner is not listed in allowlist dozable, which is "
       "on"},
      {"chain that is off",
       {},
       Uid{10007},
       NP_REASON_DOZABLE,
       "the policy does not give uid 10007 the reason dozable"},
      {"no such chain",
       {},
       Uid{10007},
       NP_REASON_USER_CHAIN_0 + 3,
       "the policy does not give uid 10007 the reason chain_3"},
      {"allowed",
       {},
       Uid{10007},
       NP_REASON_UID_RULE,
       "the policy does not give uid 10007 the reason uid_rule"},
      {"not a rule of policies",
       {},
       Uid{10007},
       NP_REASON_QUOTA,
       "the policy does not give uid 10007 the reason quota"},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.name);
    const Policy base;
    PolicyEdit edit(base);
    for (const Change& change : row.transaction) {
      ASSERT_THAT(edit.Apply(change), IsOk());
    }
    Policy policy;
    PolicyEdit::ApplyDelta(edit.Delta(), policy);
    EXPECT_EQ(ExplainReason(policy, row.uid, row.reason), row.text);
  }
}

TEST(ExplainReason, AgreesWithTheDecision) {
  Random random(1);
  for (int round = 0; round < 200; ++round) {
    const Policy policy = RandomPolicy(random);
    const MapImage image = Compile(policy).value();
    for (int i = 0; i < 10; ++i) {
      const Uid uid = RandomUid(random);
      const auto it = image.uids.find(uid);
      const uint64_t rules = it == image.uids.end() ? 0 : it->second.rules;
      // Packets on a metered interface and socket calls meet every rule.
      const ReasonSet reasons(
          np_decide(&image.config, rules, NP_FACT_METERED, 0) |
          np_decide(&image.config, rules, NP_FACT_SOCKET_CREATE, 0));
      for (int reason = 0; reason < NP_REASONS; ++reason) {
        const std::string text = ExplainReason(policy, uid, reason);
        EXPECT_EQ(!absl::StartsWith(text, "the policy does not give"),
                  reasons.contains(reason))
            << text;
      }
    }
  }
}

}  // namespace
}  // namespace netpolicy
