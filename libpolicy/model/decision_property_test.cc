// The whole way from a policy to a verdict, against a model without a single
// bit: sets of UIDs and names of reasons.

#include <map>
#include <set>
#include <string>

#include "bpf_progs/lib/decision.h"
#include "gtest/gtest.h"
#include "libpolicy/model/edit.h"
#include "libpolicy/model/image.h"
#include "libpolicy/model/policy.h"
#include "libpolicy/model/random_policy.h"
#include "libpolicy/model/reason.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy {
namespace {

using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::IsOkAndHolds;
using ::netpolicy::testing::Random;
using ::netpolicy::testing::RandomChange;
using ::netpolicy::testing::RandomNetworkPolicy;
using ::netpolicy::testing::RandomPolicy;
using ::netpolicy::testing::RandomUid;

struct NaiveChain {
  bool allowlist = false;
  bool on = false;
  std::set<uint32_t> uids;
};

// What the changes mean, read off edit.h and the policy language.
struct NaivePolicy {
  bool default_allow = true;
  bool default_internet = true;
  std::map<std::string, NaiveChain> chains = {
      {"dozable", {true, false, {}}},
      {"standby", {false, false, {}}},
      {"powersave", {true, false, {}}},
      {"restricted", {true, false, {}}},
      {"background", {true, false, {}}},
      {"low_power_standby", {true, false, {}}},
      {"oem_deny_1", {false, false, {}}},
      {"oem_deny_2", {false, false, {}}},
      {"oem_deny_3", {false, false, {}}},
      {"metered_allow", {true, false, {}}},
      {"metered_deny_user", {false, true, {}}},
      {"metered_deny_admin", {false, true, {}}},
  };
  std::map<uint32_t, bool> allow;
  std::map<uint32_t, bool> internet;

  // Only changes that succeed.
  void operator()(const ReplacePolicy&) {}
  void operator()(const SetDefaultRule& c) {
    default_allow = c.rule == Action::kAllow;
  }
  void operator()(const SetDefaultInternet& c) {
    default_internet = c.internet == Permission::kGranted;
  }
  void operator()(const DefineChain& c) {
    chains[c.name].allowlist = c.sense == ChainSense::kAllowlist;
  }
  void operator()(const RemoveChain& c) { chains.erase(c.name); }
  void operator()(const SetChainEnabled& c) {
    chains[c.name].on = c.enabled == Switch::kOn;
  }
  void operator()(const ReplaceChain& c) {
    chains[c.name].uids.clear();
    for (const Uid uid : c.uids) chains[c.name].uids.insert(ToInt(uid));
  }
  void operator()(const SetChainMember& c) {
    if (c.listed == Switch::kOn) {
      chains[c.name].uids.insert(ToInt(c.uid));
    } else {
      chains[c.name].uids.erase(ToInt(c.uid));
    }
  }
  void operator()(const SetUidRule& c) {
    allow.erase(ToInt(c.uid));
    if (c.rule.has_value()) allow[ToInt(c.uid)] = *c.rule == Action::kAllow;
  }
  void operator()(const SetInternet& c) {
    internet.erase(ToInt(c.uid));
    if (c.internet.has_value()) {
      internet[ToInt(c.uid)] = *c.internet == Permission::kGranted;
    }
  }
  // What depends on packets: see network_image_test.cc.
  template <typename NetworkChange>
  void operator()(const NetworkChange&) {}
  void operator()(const ClearUid& c) {
    for (auto& [name, chain] : chains) chain.uids.erase(ToInt(c.uid));
    allow.erase(ToInt(c.uid));
    internet.erase(ToInt(c.uid));
  }

  std::set<std::string> Refuse(uint32_t uid, bool loopback, bool metered,
                               bool socket_create) const {
    std::set<std::string> reasons;
    if (socket_create) {
      const auto it = internet.find(uid);
      const bool granted = it == internet.end() ? default_internet : it->second;
      if (!granted) reasons.insert("internet_permission");
      return reasons;
    }
    const auto it = allow.find(uid);
    const bool allowed = it == allow.end() ? default_allow : it->second;
    if (!allowed) reasons.insert("uid_rule");
    for (const auto& [name, chain] : chains) {
      if (!chain.on || (loopback && name == "background")) continue;
      if (!metered && name.rfind("metered_", 0) == 0) continue;
      const bool listed = chain.uids.count(uid) != 0;
      if (listed != chain.allowlist) {
        reasons.insert(name == "metered_allow" ? "data_saver" : name);
      }
    }
    return reasons;
  }
};

std::set<std::string> Decide(const MapImage& image, const Policy& policy,
                             Uid uid, uint32_t facts) {
  const auto it = image.uids.find(uid);
  const uint64_t rules = it == image.uids.end() ? 0 : it->second.rules;
  std::set<std::string> names;
  for (const int reason :
       ReasonSet(np_decide(&image.config, rules, facts, 0)).numbers()) {
    names.insert(policy.ReasonName(reason));
  }
  return names;
}

TEST(Decision, IsThatOfTheNaiveModel) {
  Random random(1);
  int refusals = 0;
  for (int round = 0; round < 200; ++round) {
    Policy policy;
    NaivePolicy naive;
    for (int i = 0; i < 60; ++i) {
      const Change change = RandomChange(random, policy);
      PolicyEdit edit(policy);
      if (edit.Apply(change).ok()) absl::visit(naive, change);
      PolicyEdit::ApplyDelta(edit.Delta(), policy);
    }
    const MapImage image = Compile(policy).value();
    for (int i = 0; i < 50; ++i) {
      const Uid uid = RandomUid(random);
      for (uint32_t facts = 0; facts < 8; ++facts) {
        const std::set<std::string> expected =
            naive.Refuse(ToInt(uid), (facts & NP_FACT_LOOPBACK) != 0,
                         (facts & NP_FACT_METERED) != 0,
                         (facts & NP_FACT_SOCKET_CREATE) != 0);
        ASSERT_EQ(Decide(image, policy, uid, facts), expected)
            << "round " << round << " uid " << ToInt(uid) << " facts " << facts;
        refusals += expected.empty() ? 0 : 1;
      }
    }
  }
  // Not a test of nothing.
  EXPECT_GT(refusals, 10000);
}

TEST(Decompile, IsTheInverseOfCompile) {
  Random random(2);
  for (int round = 0; round < 1000; ++round) {
    const Policy policy = RandomPolicy(random);
    ASSERT_THAT(Decompile(Compile(policy).value()), IsOkAndHolds(policy))
        << ImageToText(Compile(policy).value());
  }
}

TEST(Decompile, IsTheInverseOfCompileForNetworks) {
  Random random(4);
  int compiled = 0;
  for (int round = 0; round < 1000; ++round) {
    const Policy policy = RandomNetworkPolicy(random);
    const absl::StatusOr<MapImage> image = Compile(policy);
    if (!image.ok()) continue;  // more rules for one address than tables hold
    ++compiled;
    ASSERT_THAT(Decompile(*image), IsOkAndHolds(policy)) << ImageToText(*image);
  }
  EXPECT_GT(compiled, 900);
}

// What the engine does at a commit: the old tables and the delta give the new
// tables.
TEST(Compile, LosesNothingOfADelta) {
  Random random(3);
  for (int round = 0; round < 500; ++round) {
    const Policy base = RandomPolicy(random);
    PolicyEdit edit(base);
    if (round % 2 == 0) {
      ASSERT_THAT(edit.Apply(ReplacePolicy{RandomPolicy(random)}), IsOk());
    }
    for (int i = 0; i < 5; ++i) {
      edit.Apply(RandomChange(random, base)).IgnoreError();
    }
    const PolicyDelta delta = edit.Delta();
    Policy next = base;
    PolicyEdit::ApplyDelta(delta, next);

    ASSERT_THAT(Decompile(Compile(next).value()), IsOkAndHolds(next));
    // Up to the numbers of chains, which the order of changes decides.
    EXPECT_TRUE(Diff(base, base).empty());
    Policy again = base;
    PolicyEdit::ApplyDelta(Diff(base, next), again);
    EXPECT_TRUE(Diff(again, next).empty());
    EXPECT_TRUE(Diff(next, again).empty());
    // The words appear exactly when something changes.
    EXPECT_EQ(DeltaToText(base, delta).empty(), delta.empty());
  }
}

}  // namespace
}  // namespace netpolicy
