#include "libpolicy/model/edit.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "bpf_progs/abi/reason.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/model/edit_network.h"
#include "libpolicy/model/text.h"

namespace netpolicy {
namespace {

constexpr uint64_t kUserChains = ~0ULL << NP_REASON_USER_CHAIN_0;
static_assert(NP_REASON_USER_CHAIN_0 + NP_USER_CHAINS == NP_REASONS);

uint64_t NumbersOf(const std::vector<Chain>& chains) {
  uint64_t numbers = 0;
  for (const Chain& chain : chains) numbers |= NP_REASON_BIT(chain.number);
  return numbers;
}

// The lowest number that no chain has; NP_REASONS when there is none.
int FreeNumber(uint64_t taken) {
  int number = NP_REASON_USER_CHAIN_0;
  while (number < NP_REASONS && (taken & NP_REASON_BIT(number)) != 0) ++number;
  return number;
}

void InsertByNumber(Chain chain, std::vector<Chain>& chains) {
  const auto at = std::find_if(
      chains.begin(), chains.end(),
      [&](const Chain& other) { return other.number > chain.number; });
  chains.insert(at, std::move(chain));
}

// How the chains of a policy are numbered when it replaces one that has
// `current`.
struct Renumbering {
  std::vector<Chain> chains;
  int number[NP_REASONS];  // of the chain that had this number in the policy
};

Renumbering Renumber(absl::Span<const Chain> replacement,
                     const std::vector<Chain>& current) {
  Renumbering result;
  uint64_t taken = 0;
  uint64_t named = 0;  // of the replacement: those that exist by name
  for (const Chain& chain : replacement) {
    for (const Chain& old : current) {
      if (old.name != chain.name) continue;
      named |= NP_REASON_BIT(chain.number);
      taken |= NP_REASON_BIT(old.number);
      result.number[chain.number] = old.number;
    }
  }
  // New chains whose own number is free have it before the others choose.
  for (const Chain& chain : replacement) {
    const uint64_t bit = NP_REASON_BIT(chain.number);
    if ((named & bit) != 0 || (taken & bit) != 0) continue;
    named |= bit;
    taken |= bit;
    result.number[chain.number] = chain.number;
  }
  for (Chain chain : replacement) {
    int& number = result.number[chain.number];
    if ((named & NP_REASON_BIT(chain.number)) == 0) {
      number = FreeNumber(taken);
      taken |= NP_REASON_BIT(number);
    }
    chain.number = number;
    InsertByNumber(std::move(chain), result.chains);
  }
  return result;
}

// `chains` of a UID with every bit where the chain's new number is.
uint64_t Renumbered(uint64_t chains, const Renumbering& renumbering) {
  uint64_t result = chains & ~kUserChains;
  for (int number = NP_REASON_USER_CHAIN_0; number < NP_REASONS; ++number) {
    if ((chains & NP_REASON_BIT(number)) != 0) {
      result |= NP_REASON_BIT(renumbering.number[number]);
    }
  }
  return result;
}

}  // namespace

// Applies one change of each kind. Nothing is written before everything is
// checked.
struct PolicyEdit::Applier {
  PolicyEdit& edit;

  absl::Status operator()(const ReplacePolicy& change) const {
    const Policy& policy = change.policy;
    Renumbering renumbering = Renumber(policy.chains(), edit.chains());
    for (const auto& [uid, unused] : edit.base_.uids()) {
      if (policy.uids().count(uid) == 0) edit.Set(uid, UidPolicy());
    }
    std::vector<Uid> gone;
    for (const auto& [uid, unused] : edit.uids_) {
      if (policy.uids().count(uid) == 0) gone.push_back(uid);
    }
    for (const Uid uid : gone) edit.Set(uid, UidPolicy());
    for (const auto& [uid, value] : policy.uids()) {
      UidPolicy renumbered = value;
      renumbered.chains = Renumbered(value.chains, renumbering);
      edit.Set(uid, std::move(renumbered));
    }
    edit.MutableDefaults() = policy.defaults();
    edit.MutableChains() = std::move(renumbering.chains);
    edit.MutableNetwork() = policy.network();
    return absl::OkStatus();
  }

  absl::Status operator()(const SetDefaultRule& change) const {
    edit.MutableDefaults().rule = change.rule;
    return absl::OkStatus();
  }

  absl::Status operator()(const SetDefaultInternet& change) const {
    edit.MutableDefaults().internet = change.internet;
    return absl::OkStatus();
  }

  absl::Status operator()(const DefineChain& change) const {
    const absl::StatusOr<size_t> found = Position("define", change.name);
    if (found.ok()) {
      const Chain& chain = edit.chains()[*found];
      if (chain.sense == change.sense) return absl::OkStatus();
      if (IsAndroidChain(chain.number)) {
        return absl::InvalidArgumentError(absl::StrCat(
            "define chain ", chain.name, " as ", ChainSenseName(change.sense),
            ": it is Android's ", ChainSenseName(chain.sense)));
      }
      edit.MutableChains()[*found].sense = change.sense;
      return absl::OkStatus();
    }
    if (absl::Status status = CheckUserChainName(change.name); !status.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("define ", status.message()));
    }
    const int number = FreeNumber(NumbersOf(edit.chains()));
    if (number == NP_REASONS) {
      return absl::ResourceExhaustedError(
          absl::StrCat("define chain ", change.name, ": there are ",
                       NP_USER_CHAINS, " chains already, the most"));
    }
    InsertByNumber({number, change.name, change.sense, Switch::kOff},
                   edit.MutableChains());
    return absl::OkStatus();
  }

  absl::Status operator()(const RemoveChain& change) const {
    NP_ASSIGN_OR_RETURN(const size_t position, Position("remove", change.name));
    const int number = edit.chains()[position].number;
    if (IsAndroidChain(number)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "remove chain ", change.name, ": every policy has this chain"));
    }
    for (const Uid uid : edit.ChainMembers(number)) {
      SetListed(uid, number, Switch::kOff);
    }
    std::vector<Chain>& chains = edit.MutableChains();
    chains.erase(chains.begin() + static_cast<std::ptrdiff_t>(position));
    return absl::OkStatus();
  }

  absl::Status operator()(const SetChainEnabled& change) const {
    NP_ASSIGN_OR_RETURN(const size_t position, Position("switch", change.name));
    edit.MutableChains()[position].enabled = change.enabled;
    return absl::OkStatus();
  }

  absl::Status operator()(const ReplaceChain& change) const {
    NP_ASSIGN_OR_RETURN(const size_t position,
                        Position("replace", change.name));
    const int number = edit.chains()[position].number;
    std::vector<Uid> uids = change.uids;
    std::sort(uids.begin(), uids.end());
    uids.erase(std::unique(uids.begin(), uids.end()), uids.end());
    if (!uids.empty()) {
      NP_RETURN_IF_ERROR(CheckUidOf(
          absl::StrCat("replace chain ", change.name, " by"), uids.back()));
    }
    if (edit.uids_.empty()) {
      ReplaceInBase(uids, NP_REASON_BIT(number));
      return absl::OkStatus();
    }
    const std::vector<Uid> members = edit.ChainMembers(number);
    std::vector<Uid> changed;
    std::set_difference(members.begin(), members.end(), uids.begin(),
                        uids.end(), std::back_inserter(changed));
    for (const Uid uid : changed) SetListed(uid, number, Switch::kOff);
    changed.clear();
    std::set_difference(uids.begin(), uids.end(), members.begin(),
                        members.end(), std::back_inserter(changed));
    for (const Uid uid : changed) SetListed(uid, number, Switch::kOn);
    return absl::OkStatus();
  }

  absl::Status operator()(const SetChainMember& change) const {
    const bool on = change.listed == Switch::kOn;
    NP_ASSIGN_OR_RETURN(const size_t position,
                        Position(on ? "add to" : "remove from", change.name));
    NP_RETURN_IF_ERROR(CheckUidOf(
        absl::StrCat(on ? "add to" : "remove from", " chain ", change.name),
        change.uid));
    SetListed(change.uid, edit.chains()[position].number, change.listed);
    return absl::OkStatus();
  }

  absl::Status operator()(const SetUidRule& change) const {
    NP_RETURN_IF_ERROR(CheckUidOf("set rule of", change.uid));
    UidPolicy policy = edit.Get(change.uid);
    policy.rule = change.rule;
    edit.Set(change.uid, std::move(policy));
    return absl::OkStatus();
  }

  absl::Status operator()(const SetInternet& change) const {
    NP_RETURN_IF_ERROR(CheckUidOf("set internet of", change.uid));
    UidPolicy policy = edit.Get(change.uid);
    policy.internet = change.internet;
    edit.Set(change.uid, std::move(policy));
    return absl::OkStatus();
  }

  template <typename NetworkChange>
  absl::Status operator()(const NetworkChange& change) const {
    return NetworkApplier{edit}(change);
  }

  absl::Status operator()(const ClearUid& change) const {
    NP_RETURN_IF_ERROR(CheckUidOf("clear", change.uid));
    edit.Set(change.uid, UidPolicy());
    return absl::OkStatus();
  }

 private:
  // Where the chain of that name is.
  absl::StatusOr<size_t> Position(absl::string_view operation,
                                  absl::string_view name) const {
    const std::vector<Chain>& chains = edit.chains();
    for (size_t i = 0; i < chains.size(); ++i) {
      if (chains[i].name == name) return i;
    }
    return absl::NotFoundError(absl::StrCat(operation, " chain ", Quote(name),
                                            ": there is no such chain"));
  }

  // ReplaceChain where no UID was changed before: one walk, side by side.
  void ReplaceInBase(const std::vector<Uid>& uids, uint64_t bit) const {
    auto it = edit.base_.uids().begin();
    const auto end = edit.base_.uids().end();
    auto next = uids.begin();
    while (it != end || next != uids.end()) {
      const bool in_base =
          it != end && (next == uids.end() || it->first <= *next);
      const bool listed =
          next != uids.end() && (it == end || *next <= it->first);
      const Uid uid = in_base ? it->first : *next;
      const uint64_t before = in_base ? it->second.chains : 0;
      const uint64_t after = listed ? before | bit : before & ~bit;
      if (after != before) {
        UidPolicy policy = in_base ? it->second : UidPolicy();
        policy.chains = after;
        edit.uids_.emplace_hint(edit.uids_.end(), uid, std::move(policy));
      }
      if (in_base) ++it;
      if (listed) ++next;
    }
  }

  void SetListed(Uid uid, int number, Switch listed) const {
    const uint64_t bit = NP_REASON_BIT(number);
    const UidPolicy& before = edit.Get(uid);
    if (((before.chains & bit) != 0) == (listed == Switch::kOn)) return;
    UidPolicy policy = before;
    if (listed == Switch::kOn) {
      policy.chains |= bit;
    } else {
      policy.chains &= ~bit;
    }
    edit.Set(uid, std::move(policy));
  }
};

absl::Status PolicyEdit::Apply(const Change& change) {
  return absl::visit(Applier{*this}, change);
}

PolicyDelta PolicyEdit::Delta() const& { return PolicyEdit(*this).TakeDelta(); }

PolicyDelta PolicyEdit::Delta() && { return TakeDelta(); }

PolicyDelta PolicyEdit::TakeDelta() {
  PolicyDelta delta;
  if (defaults_.has_value() && !(*defaults_ == base_.defaults())) {
    delta.defaults = defaults_;
  }
  if (chains_.has_value() && absl::MakeConstSpan(*chains_) != base_.chains()) {
    delta.chains = chains_;
  }
  if (network_.has_value() && !(*network_ == base_.network())) {
    delta.network = network_;
  }
  delta.uids = std::move(uids_);
  return delta;
}

void PolicyEdit::ApplyDelta(const PolicyDelta& delta, Policy& policy) {
  if (delta.defaults.has_value()) policy.defaults_ = *delta.defaults;
  if (delta.chains.has_value()) policy.chains_ = *delta.chains;
  if (delta.network.has_value()) policy.network_ = *delta.network;
  UidPolicies& uids = policy.uids_;
  auto it = uids.begin();
  for (const auto& [uid, value] : delta.uids) {
    it = StepTo(uid, uids, it);
    const bool there = it != uids.end() && it->first == uid;
    if (!there) {
      if (!value.empty()) it = uids.emplace_hint(it, uid, value);
    } else if (value.empty()) {
      it = uids.erase(it);
    } else {
      it->second = value;
    }
  }
}

void PolicyEdit::ApplyDelta(PolicyDelta&& delta, Policy& policy) {
  if (policy.uids_.empty()) {
    // All there will be is here already.
    for (auto it = delta.uids.begin(); it != delta.uids.end();) {
      it = it->second.empty() ? delta.uids.erase(it) : std::next(it);
    }
    policy.uids_ = std::move(delta.uids);
    delta.uids.clear();
  }
  ApplyDelta(static_cast<const PolicyDelta&>(delta), policy);
}

const PolicyDefaults& PolicyEdit::defaults() const {
  return defaults_.has_value() ? *defaults_ : base_.defaults_;
}

const std::vector<Chain>& PolicyEdit::chains() const {
  return chains_.has_value() ? *chains_ : base_.chains_;
}

const NetworkPolicy& PolicyEdit::network() const {
  return network_.has_value() ? *network_ : base_.network_;
}

const UidPolicy& PolicyEdit::Get(Uid uid) const {
  const auto it = uids_.find(uid);
  return it == uids_.end() ? base_.Find(uid) : it->second;
}

PolicyDefaults& PolicyEdit::MutableDefaults() {
  if (!defaults_.has_value()) defaults_ = base_.defaults();
  return *defaults_;
}

std::vector<Chain>& PolicyEdit::MutableChains() {
  if (!chains_.has_value()) chains_ = base_.chains_;
  return *chains_;
}

NetworkPolicy& PolicyEdit::MutableNetwork() {
  if (!network_.has_value()) network_ = base_.network_;
  return *network_;
}

void PolicyEdit::Set(Uid uid, UidPolicy policy) {
  if (policy == base_.Find(uid)) {
    uids_.erase(uid);
  } else {
    // Lists ascend: mostly it goes behind all others.
    const auto at = uids_.empty() || uids_.rbegin()->first < uid
                        ? uids_.end()
                        : uids_.lower_bound(uid);
    uids_.insert_or_assign(at, uid, std::move(policy));
  }
}

std::vector<Uid> PolicyEdit::ChainMembers(int number) const {
  std::vector<Uid> members;
  auto changed = uids_.begin();
  const auto add = [&](Uid uid, const UidPolicy& policy) {
    if ((policy.chains & NP_REASON_BIT(number)) != 0) members.push_back(uid);
  };
  for (const auto& [uid, policy] : base_.uids()) {
    for (; changed != uids_.end() && changed->first < uid; ++changed) {
      add(changed->first, changed->second);
    }
    if (changed != uids_.end() && changed->first == uid) {
      add(uid, changed->second);
      ++changed;
    } else {
      add(uid, policy);
    }
  }
  for (; changed != uids_.end(); ++changed) {
    add(changed->first, changed->second);
  }
  return members;
}

PolicyDelta Diff(const Policy& from, const Policy& to) {
  PolicyEdit edit(from);
  // Cannot fail: a Policy is valid.
  edit.Apply(ReplacePolicy{to}).IgnoreError();
  return edit.Delta();
}

}  // namespace netpolicy
