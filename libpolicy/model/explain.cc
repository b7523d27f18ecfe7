#include "libpolicy/model/explain.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "bpf_progs/abi/reason.h"
#include "libpolicy/model/text.h"

namespace netpolicy {

std::string ExplainReason(const Policy& policy, Uid uid, int reason) {
  const std::string who = uid == kNoOwner ? "a packet without an owner"
                                          : absl::StrCat("uid ", ToInt(uid));
  const UidPolicy own = policy.Find(uid);
  const PolicyDefaults& defaults = policy.defaults();

  if (reason == NP_REASON_UID_RULE) {
    if (own.rule == absl::optional<Action>(Action::kDeny)) {
      return absl::StrCat(who, " is denied by its own rule");
    }
    if (!own.rule.has_value() && defaults.rule == Action::kDeny) {
      return absl::StrCat("the default rule is deny and ", who,
                          " has no rule of its own");
    }
  } else if (reason == NP_REASON_INTERNET_PERMISSION) {
    if (own.internet == absl::optional<Permission>(Permission::kRevoked)) {
      return absl::StrCat(who, " has no internet permission, by its own entry");
    }
    if (!own.internet.has_value() &&
        defaults.internet == Permission::kRevoked) {
      return absl::StrCat(who, " has no internet permission, by default");
    }
  } else if (const Chain* chain = policy.FindChain(reason);
             chain != nullptr && chain->enabled == Switch::kOn) {
    const bool listed = (own.chains & NP_REASON_BIT(reason)) != 0;
    if (listed == (chain->sense == ChainSense::kDenylist)) {
      return absl::StrCat(who, listed ? " is listed in " : " is not listed in ",
                          ChainSenseName(chain->sense), " ", chain->name,
                          ", which is on");
    }
  }
  return absl::StrCat("the policy does not give ", who, " the reason ",
                      policy.ReasonName(reason));
}

}  // namespace netpolicy
