#include "libpolicy/model/random_policy.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace netpolicy::testing {
namespace {

// More than there can be, but only a test of thousands of changes gets there.
constexpr uint32_t kOwnChains = 40;

template <typename T>
T Either(Random& random, T a, T b) {
  return Below(random, 2) == 0 ? a : b;
}

template <typename T>
absl::optional<T> Maybe(Random& random, T a, T b) {
  if (Below(random, 3) == 0) return absl::nullopt;
  return Either(random, a, b);
}

// Mostly of a chain that there is.
std::string ChainName(Random& random, const Policy& policy) {
  if (Below(random, 6) == 0) {
    return absl::StrCat("own_", Below(random, kOwnChains));
  }
  const auto chains = policy.chains();
  return chains[Below(random, static_cast<uint32_t>(chains.size()))].name;
}

}  // namespace

uint32_t Below(Random& random, uint32_t limit) {
  return static_cast<uint32_t>(random() % limit);
}

Uid RandomUid(Random& random) {
  switch (Below(random, 8)) {
    case 0:
      return Uid{Below(random, 3)};
    case 1:
      return Uid{ToInt(kMaxUid) - Below(random, 3)};
    default:
      return Uid{10000 + Below(random, 30)};
  }
}

Change RandomChange(Random& random, const Policy& policy) {
  const std::string name = ChainName(random, policy);
  switch (Below(random, 12)) {
    case 0:
      return SetDefaultRule{Either(random, Action::kAllow, Action::kDeny)};
    case 1:
      return SetDefaultInternet{
          Either(random, Permission::kGranted, Permission::kRevoked)};
    case 2:
      return DefineChain{
          absl::StrCat("own_", Below(random, kOwnChains)),
          Either(random, ChainSense::kAllowlist, ChainSense::kDenylist)};
    case 3:
      return Below(random, 3) == 0 ? Change(RemoveChain{name})
                                   : SetChainEnabled{name, Switch::kOn};
    case 4:
    case 5:
      return SetChainEnabled{name, Either(random, Switch::kOff, Switch::kOn)};
    case 6: {
      std::vector<Uid> uids(Below(random, 6));
      for (Uid& uid : uids) uid = RandomUid(random);
      return ReplaceChain{name, uids};
    }
    case 7:
    case 8:
      return SetChainMember{name, RandomUid(random),
                            Either(random, Switch::kOff, Switch::kOn)};
    case 9:
      return SetUidRule{RandomUid(random),
                        Maybe(random, Action::kAllow, Action::kDeny)};
    case 10:
      return SetInternet{RandomUid(random), Maybe(random, Permission::kGranted,
                                                  Permission::kRevoked)};
    default:
      return ClearUid{RandomUid(random)};
  }
}

Policy RandomPolicy(Random& random) {
  Policy policy;
  const uint32_t changes = Below(random, 60);
  for (uint32_t i = 0; i < changes; ++i) {
    PolicyEdit edit(policy);
    // Those that do not apply change nothing.
    edit.Apply(RandomChange(random, policy)).IgnoreError();
    PolicyEdit::ApplyDelta(edit.Delta(), policy);
  }
  return policy;
}

}  // namespace netpolicy::testing
