#ifndef NETPOLICY_LIBPOLICY_MODEL_POLICY_H_
#define NETPOLICY_LIBPOLICY_MODEL_POLICY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "libpolicy/model/ids.h"

// A validated policy: what PolicyDocument says, with every name resolved and
// every range expanded. Pure values; no reference to a kernel, a clock or a
// file.

namespace netpolicy {

enum class Action : uint8_t { kAllow, kDeny };
enum class Permission : uint8_t { kGranted, kRevoked };
enum class Switch : uint8_t { kOff, kOn };

// An allowlist blocks, while it is on, every UID that is not listed; a denylist
// those that are.
enum class ChainSense : uint8_t { kAllowlist, kDenylist };

// A named list of UIDs with a switch. Its number is the number of the reason it
// gives (bpf_progs/abi/reason.h): 1 to 9 for Android's chains, which every
// policy has, with fixed sense; 32 to 63 for chains that the policy names
// itself.
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
// doesn't mention.
struct UidPolicy {
  uint64_t chains = 0;          // bit N: listed in chain N
  absl::optional<Action> rule;  // unset: the policy's default rule holds
  absl::optional<Permission>
      internet;  // unset: the policy's default permission holds

  bool empty() const {
    return chains == 0 && !rule.has_value() && !internet.has_value();
  }
  friend bool operator==(const UidPolicy& a, const UidPolicy& b) {
    return a.chains == b.chains && a.rule == b.rule && a.internet == b.internet;
  }
  friend bool operator!=(const UidPolicy& a, const UidPolicy& b) {
    return !(a == b);
  }
};

// What holds for all UIDs.
struct PolicyDefaults {
  Action rule = Action::kAllow;
  Permission internet = Permission::kGranted;

  friend bool operator==(const PolicyDefaults& a, const PolicyDefaults& b) {
    return a.rule == b.rule && a.internet == b.internet;
  }
};

// Default-constructed: everything passes, Android's chains are there and off,
// no UID is mentioned. A value: copy it, compare it. To change one, see
// PolicyEdit (model/edit.h).
class Policy {
 public:
  Policy();

  const PolicyDefaults& defaults() const { return defaults_; }

  // All chains by number: Android's, then the user-defined ones.
  absl::Span<const Chain> chains() const { return chains_; }

  // The chain of that name or number; nullptr when there is none. Valid until
  // the policy changes.
  const Chain* FindChain(absl::string_view name) const;
  const Chain* FindChain(int number) const;

  // UIDs that the policy mentions, ascending. No entry is empty().
  const std::map<Uid, UidPolicy>& uids() const { return uids_; }

  // What is said of `uid`; empty() when nothing is.
  UidPolicy Find(Uid uid) const;

  // The UIDs listed in the chain of that number, ascending.
  std::vector<Uid> ChainMembers(int number) const;

  // The name that a person knows a reason by: the chain's own name for
  // user-defined chains, else netpolicy::ReasonName().
  std::string ReasonName(int reason) const;

  friend bool operator==(const Policy& a, const Policy& b) {
    return a.defaults_ == b.defaults_ && a.chains_ == b.chains_ &&
           a.uids_ == b.uids_;
  }

 private:
  friend class PolicyEdit;

  PolicyDefaults defaults_;
  std::vector<Chain> chains_;
  std::map<Uid, UidPolicy> uids_;
};

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_MODEL_POLICY_H_
