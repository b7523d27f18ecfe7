#include "libpolicy/model/policy.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "bpf_progs/abi/policy.h"
#include "bpf_progs/abi/reason.h"
#include "libpolicy/model/reason.h"
#include "libpolicy/model/text.h"

namespace netpolicy {

static_assert(kMaxChainNameLength < NP_CHAIN_NAME_LEN);

namespace {

// Android's chains that block whoever is not listed
// (BpfNetMapsConstants.ALLOW_CHAINS); the others are denylists.
constexpr uint64_t kAndroidAllowlists =
    NP_REASON_BIT(NP_REASON_DOZABLE) | NP_REASON_BIT(NP_REASON_POWERSAVE) |
    NP_REASON_BIT(NP_REASON_RESTRICTED) |
    NP_REASON_BIT(NP_REASON_LOW_POWER_STANDBY) |
    NP_REASON_BIT(NP_REASON_BACKGROUND) | NP_REASON_BIT(NP_REASON_DATA_SAVER);

// Those that are on in a policy that does not say so: whoever is listed there
// is meant to be refused.
constexpr uint64_t kAndroidOn = NP_REASON_BIT(NP_REASON_METERED_DENY_USER) |
                                NP_REASON_BIT(NP_REASON_METERED_DENY_ADMIN);

constexpr absl::string_view kMeteredAllow = "metered_allow";

// Whether some reason is, or may become, known by this name.
bool IsReasonName(absl::string_view name) {
  for (int reason = 0; reason < NP_REASONS; ++reason) {
    if (name == ReasonName(reason)) return true;
  }
  return name == kMeteredAllow;
}

}  // namespace

bool IsAndroidChain(int number) {
  return number >= NP_REASON_DOZABLE && number <= NP_REASON_METERED_DENY_ADMIN;
}

absl::Status CheckUserChainName(absl::string_view name) {
  bool ok = !name.empty() && name.size() <= kMaxChainNameLength &&
            absl::ascii_islower(static_cast<unsigned char>(name[0]));
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    ok = ok &&
         (absl::ascii_islower(byte) || absl::ascii_isdigit(byte) || c == '_');
  }
  if (!ok) {
    return absl::InvalidArgumentError(
        absl::StrCat("chain ", Quote(name),
                     ": not a chain name, which is a letter and at most ",
                     kMaxChainNameLength - 1, " of a-z, 0-9 and _"));
  }
  if (IsReasonName(name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("chain ", name, ": the name is reserved"));
  }
  return absl::OkStatus();
}

Policy::Policy() {
  chains_.reserve(NP_REASON_METERED_DENY_ADMIN);
  for (int number = NP_REASON_DOZABLE; IsAndroidChain(number); ++number) {
    const uint64_t bit = NP_REASON_BIT(number);
    // Chain 10 lists who may although data is saved; the reason is that others
    // may not.
    chains_.push_back({number,
                       number == NP_REASON_DATA_SAVER
                           ? std::string(kMeteredAllow)
                           : netpolicy::ReasonName(number),
                       (kAndroidAllowlists & bit) != 0 ? ChainSense::kAllowlist
                                                       : ChainSense::kDenylist,
                       (kAndroidOn & bit) != 0 ? Switch::kOn : Switch::kOff});
  }
}

const Chain* Policy::FindChain(absl::string_view name) const {
  for (const Chain& chain : chains_) {
    if (chain.name == name) return &chain;
  }
  return nullptr;
}

const Chain* Policy::FindChain(int number) const {
  for (const Chain& chain : chains_) {
    if (chain.number == number) return &chain;
  }
  return nullptr;
}

const UidPolicy& Policy::Find(Uid uid) const {
  static const UidPolicy kNothing;
  const auto it = uids_.find(uid);
  return it == uids_.end() ? kNothing : it->second;
}

std::vector<Uid> Policy::ChainMembers(int number) const {
  std::vector<Uid> members;
  for (const auto& [uid, policy] : uids_) {
    if ((policy.chains & NP_REASON_BIT(number)) != 0) members.push_back(uid);
  }
  return members;
}

std::string Policy::ReasonName(int reason) const {
  const Chain* chain =
      reason >= NP_REASON_USER_CHAIN_0 ? FindChain(reason) : nullptr;
  return chain != nullptr ? chain->name : netpolicy::ReasonName(reason);
}

}  // namespace netpolicy
