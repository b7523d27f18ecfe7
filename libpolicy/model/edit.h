#ifndef NETPOLICY_LIBPOLICY_MODEL_EDIT_H_
#define NETPOLICY_LIBPOLICY_MODEL_EDIT_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/optional.h"
#include "absl/types/variant.h"
#include "libpolicy/model/ids.h"
#include "libpolicy/model/network_change.h"
#include "libpolicy/model/policy.h"

// Changes to a policy (and those of network_change.h). A Transaction is a list
// of changes that take effect together or not at all.
//
//   Transaction transaction = {SetChainEnabled{"dozable", Switch::kOn},
//                              SetUidRule{Uid{10007}, Action::kDeny}};
//   engine.Commit(transaction, {});

namespace netpolicy {

// Everything becomes as in `policy`, except for the numbers of user-defined
// chains: a chain that exists under the same name keeps the number it has, so
// that counted refusals keep their meaning; another one gets the number it has
// in `policy` if that is free, else the lowest free one.
struct ReplacePolicy {
  Policy policy;

  friend bool operator==(const ReplacePolicy&, const ReplacePolicy&) = default;
};
struct SetDefaultRule {
  Action rule;

  friend bool operator==(const SetDefaultRule&,
                         const SetDefaultRule&) = default;
};
struct SetDefaultInternet {
  Permission internet;

  friend bool operator==(const SetDefaultInternet&,
                         const SetDefaultInternet&) = default;
};
// Makes a user-defined chain, or redefines the sense of one. A new chain has no
// members, is off and gets the lowest free number. Errors: kInvalidArgument for
// a bad name or one of Android's chains with another sense; kResourceExhausted
// when there are NP_USER_CHAINS already.
struct DefineChain {
  std::string name;
  ChainSense sense;

  friend bool operator==(const DefineChain&, const DefineChain&) = default;
};
// Removes a user-defined chain and its members. Errors: kNotFound;
// kInvalidArgument for Android's.
struct RemoveChain {
  std::string name;

  friend bool operator==(const RemoveChain&, const RemoveChain&) = default;
};
// Android: setChildChain(). Errors: kNotFound.
struct SetChainEnabled {
  std::string name;
  Switch enabled;

  friend bool operator==(const SetChainEnabled&,
                         const SetChainEnabled&) = default;
};
// The chain lists exactly `uids`. Android: replaceUidChain(). Errors:
// kNotFound.
struct ReplaceChain {
  std::string name;
  std::vector<Uid> uids;

  friend bool operator==(const ReplaceChain&, const ReplaceChain&) = default;
};
// kOn: the UID is listed. Android: setUidRule() with the rule that is not the
// chain's default. Errors: kNotFound.
struct SetChainMember {
  std::string name;
  Uid uid;
  Switch listed;

  friend bool operator==(const SetChainMember&,
                         const SetChainMember&) = default;
};
// Unset: the default rule holds again.
struct SetUidRule {
  Uid uid;
  absl::optional<Action> rule;

  friend bool operator==(const SetUidRule&, const SetUidRule&) = default;
};
// Unset: the default permission holds again.
struct SetInternet {
  Uid uid;
  absl::optional<Permission> internet;

  friend bool operator==(const SetInternet&, const SetInternet&) = default;
};
// The policy no longer mentions the UID: it has nothing of its own and is in no
// chain.
struct ClearUid {
  Uid uid;

  friend bool operator==(const ClearUid&, const ClearUid&) = default;
};

using Change = absl::variant<
    ReplacePolicy, SetDefaultRule, SetDefaultInternet, DefineChain, RemoveChain,
    SetChainEnabled, ReplaceChain, SetChainMember, SetUidRule, SetInternet,
    ClearUid, SetSettings, SetProfile, SetDefaultLockdown,
    SetDefaultLocalNetwork, SetDefaultInterfaces, SetInterface, RemoveInterface,
    SetUidInterfaces, SetLockdown, SetLocalNetworkAccess, SetUpdateDeviceStats,
    SetNetworkRules, AddNetworkRule, RemoveNetworkRule, SetIngressDiscard,
    RemoveIngressDiscard, SetLocalNetworkRule, RemoveLocalNetworkRule,
    SetBlockedBindPorts>;
using Transaction = std::vector<Change>;

// The difference that a transaction makes. Holds the new value of everything
// that changed.
struct PolicyDelta {
  absl::optional<PolicyDefaults> defaults;    // unset: as before
  absl::optional<std::vector<Chain>> chains;  // all of them; unset: as before
  absl::optional<NetworkPolicy> network;      // unset: as before
  UidPolicies uids;  // only those that changed; empty(): no longer mentioned

  friend bool operator==(const PolicyDelta&, const PolicyDelta&) = default;

  bool empty() const {
    return !defaults.has_value() && !chains.has_value() &&
           !network.has_value() && uids.empty();
  }
};

// Works out transactions over a base policy without copying it: cost is that of
// the change, not of the policy (except where a change touches every UID, as
// ReplaceChain and ReplacePolicy do).
//
// The base must outlive the edit and not change meanwhile. Not thread-safe.
class PolicyEdit {
 public:
  explicit PolicyEdit(const Policy& base) : base_(base) {}

  // Applies one change after those before it. On error the edit is as it was
  // before the call. Errors: as said at each change; kInvalidArgument for a UID
  // that is no UID.
  absl::Status Apply(const Change& change);

  // The net difference to the base so far: what was changed and changed back
  // isn't in it.
  PolicyDelta Delta() const&;
  PolicyDelta Delta() &&;

  // Applies a delta made over `policy` to it. Trusts the delta: this is also
  // how code that has checked everything itself builds a policy, from Policy().
  static void ApplyDelta(const PolicyDelta& delta, Policy& policy);
  static void ApplyDelta(PolicyDelta&& delta, Policy& policy);

 private:
  PolicyDelta TakeDelta();

  struct Applier;
  struct NetworkApplier;

  const PolicyDefaults& defaults() const;
  const std::vector<Chain>& chains() const;
  const NetworkPolicy& network() const;
  // Valid until the UID is set.
  const UidPolicy& Get(Uid uid) const;

  // For writing: a copy of the base's on first use.
  PolicyDefaults& MutableDefaults();
  std::vector<Chain>& MutableChains();
  NetworkPolicy& MutableNetwork();
  void Set(Uid uid, UidPolicy policy);

  // The UIDs listed in the chain of that number, ascending.
  std::vector<Uid> ChainMembers(int number) const;

  const Policy& base_;
  absl::optional<PolicyDefaults> defaults_;
  absl::optional<std::vector<Chain>> chains_;
  absl::optional<NetworkPolicy> network_;
  UidPolicies uids_;  // only those that differ from the base
};

// The difference between two policies, as a PolicyEdit with ReplacePolicy would
// give it: applied to `from` it gives `to`, but for the numbers of chains.
PolicyDelta Diff(const Policy& from, const Policy& to);

// A delta for people, one line a change with '+', '-' or '~' before it, e.g.
//   ~ chain dozable: off -> on
//   + chain dozable lists uid 10007
//   ~ uid 10009: rule allow -> deny
// A run of UIDs with the same change is one line. A removed chain's members
// aren't named. Empty when nothing changes.
std::string DeltaToText(const Policy& base, const PolicyDelta& delta);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_MODEL_EDIT_H_
