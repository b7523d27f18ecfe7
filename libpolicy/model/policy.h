#ifndef NETPOLICY_LIBPOLICY_MODEL_POLICY_H_
#define NETPOLICY_LIBPOLICY_MODEL_POLICY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "libpolicy/model/ids.h"
#include "libpolicy/model/interface.h"
#include "libpolicy/model/ip_prefix.h"
#include "libpolicy/model/network_rule.h"
#include "libpolicy/model/settings.h"
#include "libpolicy/model/values.h"

// A validated policy: what PolicyDocument says, with every name resolved and
// every range expanded. Pure values; no reference to a kernel, a clock or a
// file.

namespace netpolicy {

// A named list of UIDs with a switch. Its number is the number of the reason it
// gives (bpf_progs/abi/reason.h): 1 to 12 for Android's chains, which every
// policy has, with fixed sense, 10 to 12 of them for metered interfaces only;
// 32 to 63 for chains that the policy names itself.
struct Chain {
  int number = 0;
  std::string name;  // [a-z][a-z0-9_]{0,30}
  ChainSense sense = ChainSense::kDenylist;
  Switch enabled = Switch::kOff;

  friend bool operator==(const Chain& a, const Chain& b) {
    return a.number == b.number && a.name == b.name && a.sense == b.sense &&
           a.enabled == b.enabled;
  }
};

inline constexpr size_t kMaxChainNameLength = 31;

// Whether `number` is that of one of Android's chains.
bool IsAndroidChain(int number);

// Whether a policy may give this name to a chain of its own: [a-z][a-z0-9_]
// {0,30}, and not the name of a reason (reason.h), so that names of reasons
// stay unambiguous. Errors: kInvalidArgument.
absl::Status CheckUserChainName(absl::string_view name);

// What a policy says of one UID. Default-constructed: nothing, as of a UID it
// doesn't mention. What is unset is as the policy's defaults say.
struct UidPolicy {
  uint64_t chains = 0;  // bit N: listed in chain N
  absl::optional<Action> rule = absl::nullopt;
  absl::optional<Permission> internet = absl::nullopt;
  absl::optional<Switch> lockdown =
      absl::nullopt;  // on: no packet but over `interfaces`
  absl::optional<Permission> local_network = absl::nullopt;
  // May charge its traffic to other UIDs.
  Permission update_device_stats = Permission::kRevoked;
  Selectors interfaces = {};        // that its packets may use; empty: unset
  NetworkRules network_rules = {};  // asked before those of the defaults

  bool empty() const { return *this == UidPolicy(); }
  friend bool operator==(const UidPolicy&, const UidPolicy&) = default;
};

// By UID. A B-tree, as commits walk it from end to end several times, and the
// nodes of a std::map lie scattered. Changing it invalidates all iterators.
using UidPolicies = absl::btree_map<Uid, UidPolicy>;

// The first entry at or behind `it` whose UID is not below `uid`, for walking
// along a list that is in order, too: to look each UID up costs as much as some
// steps to the next one.
template <typename Uids, typename Iterator>
Iterator StepTo(Uid uid, Uids& uids, Iterator it) {
  constexpr int kSteps = 8;
  for (int i = 0; i < kSteps && it != uids.end() && it->first < uid; ++i) ++it;
  if (it != uids.end() && it->first < uid) return uids.lower_bound(uid);
  return it;
}

// What holds for all UIDs.
struct PolicyDefaults {
  Action rule = Action::kAllow;
  Permission internet = Permission::kGranted;
  Switch lockdown = Switch::kOff;
  Permission local_network = Permission::kGranted;
  Selectors interfaces = {};  // empty: any
  NetworkRules network_rules = {};

  friend bool operator==(const PolicyDefaults&,
                         const PolicyDefaults&) = default;
};

// Packets to this address of the machine's own are discarded when they arrive
// over other interfaces than these.
struct IngressDiscard {
  AddressBytes address{};
  Selectors interfaces;

  friend bool operator==(const IngressDiscard&,
                         const IngressDiscard&) = default;
};

// What holds whoever the UID is. Default-constructed: what a policy says that
// says nothing of it.
struct NetworkPolicy {
  Settings settings;
  std::vector<Interface> interfaces;            // by name
  std::vector<IngressDiscard> ingress_discard;  // by address
  NetworkRules local_network;  // for UIDs without local network access
  std::vector<PortRange> blocked_bind_ports;  // ascending, apart

  friend bool operator==(const NetworkPolicy&, const NetworkPolicy&) = default;
};

// Default-constructed: everything passes, Android's chains are there, empty and
// off but for the two of denials on metered interfaces, no UID is mentioned. A
// value: copy it, compare it. To change one, see PolicyEdit (model/edit.h).
class Policy {
 public:
  Policy();

  const PolicyDefaults& defaults() const { return defaults_; }

  const NetworkPolicy& network() const { return network_; }

  // All chains by number: Android's, then the user-defined ones.
  absl::Span<const Chain> chains() const { return chains_; }

  // The chain of that name or number; nullptr when there is none. Valid until
  // the policy changes.
  const Chain* FindChain(absl::string_view name) const;
  const Chain* FindChain(int number) const;

  // UIDs that the policy mentions, ascending. No entry is empty().
  const UidPolicies& uids() const { return uids_; }

  // What is said of `uid`; empty() when nothing is. Valid until the policy
  // changes.
  const UidPolicy& Find(Uid uid) const;

  // The UIDs listed in the chain of that number, ascending.
  std::vector<Uid> ChainMembers(int number) const;

  // The name that a person knows a reason by: the chain's own name for
  // user-defined chains, else netpolicy::ReasonName().
  std::string ReasonName(int reason) const;

  friend bool operator==(const Policy& a, const Policy& b) {
    return a.defaults_ == b.defaults_ && a.chains_ == b.chains_ &&
           a.network_ == b.network_ && a.uids_ == b.uids_;
  }

 private:
  friend class PolicyEdit;

  PolicyDefaults defaults_;
  std::vector<Chain> chains_;
  NetworkPolicy network_;
  UidPolicies uids_;
};

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_MODEL_POLICY_H_
