#include "libpolicy/model/wire.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "bpf_progs/abi/reason.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/model/text.h"
#include "libpolicy/model/wire_network.h"

namespace netpolicy {
namespace {

// ----- To messages -----

proto::Action ActionToProto(Action action) {
  return action == Action::kAllow ? proto::ACTION_ALLOW : proto::ACTION_DENY;
}

proto::ChainSense SenseToProto(ChainSense sense) {
  return sense == ChainSense::kAllowlist ? proto::CHAIN_SENSE_ALLOWLIST
                                         : proto::CHAIN_SENSE_DENYLIST;
}

void SetDefaults(const PolicyDefaults& defaults, proto::Defaults& message) {
  message.set_rule(ActionToProto(defaults.rule));
  message.set_internet(defaults.internet == Permission::kGranted);
  message.set_lockdown(defaults.lockdown == Switch::kOn);
  message.set_local_network(defaults.local_network == Permission::kGranted);
  for (const std::string& name : defaults.interfaces) {
    message.add_interfaces(name);
  }
  ToProto(defaults.network_rules, *message.mutable_network_rules());
}

void SetChain(const Chain& chain, proto::Chain& message) {
  message.set_number(static_cast<uint32_t>(chain.number));
  message.set_name(chain.name);
  message.set_sense(SenseToProto(chain.sense));
  message.set_enabled(chain.enabled == Switch::kOn);
}

void SetUidPolicy(Uid uid, const UidPolicy& policy, proto::UidPolicy& message) {
  message.set_uid(ToInt(uid));
  message.set_chains(policy.chains);
  if (policy.rule.has_value()) message.set_rule(ActionToProto(*policy.rule));
  if (policy.internet.has_value()) {
    message.set_internet(*policy.internet == Permission::kGranted);
  }
  if (policy.lockdown.has_value()) {
    message.set_lockdown(*policy.lockdown == Switch::kOn);
  }
  if (policy.local_network.has_value()) {
    message.set_local_network(*policy.local_network == Permission::kGranted);
  }
  if (policy.update_device_stats == Permission::kGranted) {
    message.set_update_device_stats(true);
  }
  for (const std::string& name : policy.interfaces) {
    message.add_interfaces(name);
  }
  ToProto(policy.network_rules, *message.mutable_network_rules());
}

struct ChangeToProto {
  proto::Change& message;

  void operator()(const ReplacePolicy& change) const {
    *message.mutable_replace_policy()->mutable_policy() =
        ToProto(change.policy);
  }
  void operator()(const SetDefaultRule& change) const {
    message.mutable_set_default_rule()->set_rule(ActionToProto(change.rule));
  }
  void operator()(const SetDefaultInternet& change) const {
    message.mutable_set_default_internet()->set_internet(change.internet ==
                                                         Permission::kGranted);
  }
  void operator()(const DefineChain& change) const {
    message.mutable_define_chain()->set_name(change.name);
    message.mutable_define_chain()->set_sense(SenseToProto(change.sense));
  }
  void operator()(const RemoveChain& change) const {
    message.mutable_remove_chain()->set_name(change.name);
  }
  void operator()(const SetChainEnabled& change) const {
    message.mutable_set_chain_enabled()->set_name(change.name);
    message.mutable_set_chain_enabled()->set_enabled(change.enabled ==
                                                     Switch::kOn);
  }
  void operator()(const ReplaceChain& change) const {
    message.mutable_replace_chain()->set_name(change.name);
    for (const Uid uid : change.uids) {
      message.mutable_replace_chain()->add_uids(ToInt(uid));
    }
  }
  void operator()(const SetChainMember& change) const {
    message.mutable_set_chain_member()->set_name(change.name);
    message.mutable_set_chain_member()->set_uid(ToInt(change.uid));
    message.mutable_set_chain_member()->set_listed(change.listed ==
                                                   Switch::kOn);
  }
  void operator()(const SetUidRule& change) const {
    message.mutable_set_uid_rule()->set_uid(ToInt(change.uid));
    if (change.rule.has_value()) {
      message.mutable_set_uid_rule()->set_rule(ActionToProto(*change.rule));
    }
  }
  void operator()(const SetInternet& change) const {
    message.mutable_set_internet()->set_uid(ToInt(change.uid));
    if (change.internet.has_value()) {
      message.mutable_set_internet()->set_internet(*change.internet ==
                                                   Permission::kGranted);
    }
  }
  template <typename NetworkChange>
  void operator()(const NetworkChange& change) const {
    NetworkChangeToProto(change, message);
  }
  void operator()(const ClearUid& change) const {
    message.mutable_clear_uid()->set_uid(ToInt(change.uid));
  }
};

// ----- From messages. Errors name the field; callers put the path before.
// -----

absl::Status Fault(absl::string_view field, absl::string_view cause) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", cause));
}

absl::Status Require(bool present, absl::string_view field) {
  return present ? absl::OkStatus() : Fault(field, "is missing");
}

absl::Status Under(absl::string_view path, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::InvalidArgumentError(absl::StrCat(path, ".", status.message()));
}

absl::Status Under(absl::string_view list, int index,
                   const absl::Status& status) {
  if (status.ok()) return status;
  return Under(absl::StrCat(list, "[", index, "]"), status);
}

absl::Status GetAction(absl::string_view field, proto::Action action,
                       Action& out) {
  switch (action) {
    case proto::ACTION_ALLOW:
      out = Action::kAllow;
      return absl::OkStatus();
    case proto::ACTION_DENY:
      out = Action::kDeny;
      return absl::OkStatus();
    default:
      return Fault(field,
                   absl::StrCat("unknown value ", static_cast<int>(action)));
  }
}

absl::Status GetSense(absl::string_view field, proto::ChainSense sense,
                      ChainSense& out) {
  switch (sense) {
    case proto::CHAIN_SENSE_ALLOWLIST:
      out = ChainSense::kAllowlist;
      return absl::OkStatus();
    case proto::CHAIN_SENSE_DENYLIST:
      out = ChainSense::kDenylist;
      return absl::OkStatus();
    default:
      return Fault(field,
                   absl::StrCat("unknown value ", static_cast<int>(sense)));
  }
}

Permission ToPermission(bool internet) {
  return internet ? Permission::kGranted : Permission::kRevoked;
}

Switch ToSwitch(bool on) { return on ? Switch::kOn : Switch::kOff; }

absl::Status CheckUid(absl::string_view field, uint32_t uid) {
  if (Uid{uid} <= kMaxUid) return absl::OkStatus();
  return Fault(field, absl::StrCat(uid, " is not a uid"));
}

// Every change names what it changes by one of these.
template <typename Message>
absl::Status GetUid(const Message& message, Uid& out) {
  NP_RETURN_IF_ERROR(Require(message.has_uid(), "uid"));
  NP_RETURN_IF_ERROR(CheckUid("uid", message.uid()));
  out = Uid{message.uid()};
  return absl::OkStatus();
}

template <typename Message>
absl::Status GetName(const Message& message, std::string& out) {
  NP_RETURN_IF_ERROR(Require(message.has_name(), "name"));
  out = message.name();
  return absl::OkStatus();
}

absl::StatusOr<PolicyDefaults> GetDefaults(const proto::Defaults& message) {
  PolicyDefaults defaults;
  NP_RETURN_IF_ERROR(Require(message.has_rule(), "rule"));
  NP_RETURN_IF_ERROR(GetAction("rule", message.rule(), defaults.rule));
  NP_RETURN_IF_ERROR(Require(message.has_internet(), "internet"));
  defaults.internet = ToPermission(message.internet());
  if (message.has_lockdown()) defaults.lockdown = ToSwitch(message.lockdown());
  if (message.has_local_network()) {
    defaults.local_network = ToPermission(message.local_network());
  }
  NP_ASSIGN_OR_RETURN(defaults.interfaces,
                      SelectorsFromProto(message.interfaces()));
  NP_ASSIGN_OR_RETURN(defaults.network_rules,
                      RulesFromProto("network_rules", message.network_rules()));
  return defaults;
}

// One chain, with the name and the sense that its number asks for.
absl::StatusOr<Chain> GetChain(const proto::Chain& message) {
  static_assert(NP_REASON_USER_CHAIN_0 + NP_USER_CHAINS == NP_REASONS);
  Chain chain;
  NP_RETURN_IF_ERROR(Require(message.has_number(), "number"));
  const uint32_t number = message.number();
  if (number >= NP_REASONS || (!IsAndroidChain(static_cast<int>(number)) &&
                               number < NP_REASON_USER_CHAIN_0)) {
    return Fault("number", absl::StrCat("there is no chain ", number));
  }
  chain.number = static_cast<int>(number);
  NP_RETURN_IF_ERROR(GetName(message, chain.name));
  NP_RETURN_IF_ERROR(Require(message.has_sense(), "sense"));
  NP_RETURN_IF_ERROR(GetSense("sense", message.sense(), chain.sense));
  NP_RETURN_IF_ERROR(Require(message.has_enabled(), "enabled"));
  chain.enabled = ToSwitch(message.enabled());

  if (!IsAndroidChain(chain.number)) {
    if (absl::Status status = CheckUserChainName(chain.name); !status.ok()) {
      return Fault("name", status.message());
    }
    return chain;
  }
  const Policy fixed;
  const Chain& android = *fixed.FindChain(chain.number);
  if (chain.name != android.name) {
    return Fault("name", absl::StrCat("chain ", number, " is ", android.name,
                                      ", not ", Quote(chain.name)));
  }
  if (chain.sense != android.sense) {
    return Fault("sense", absl::StrCat("chain ", android.name, " is Android's ",
                                       ChainSenseName(android.sense)));
  }
  return chain;
}

// All chains of a policy: by number, Android's among them, no name twice. Those
// for metered interfaces may be missing: earlier versions had none, and netd
// keeps policies.
template <typename Repeated>
absl::StatusOr<std::vector<Chain>> GetChains(const Repeated& messages) {
  std::vector<Chain> chains;
  for (int i = 0; i < messages.size(); ++i) {
    absl::StatusOr<Chain> chain = GetChain(messages[i]);
    if (!chain.ok()) return Under("chains", i, chain.status());
    if (!chains.empty() && chains.back().number >= chain->number) {
      return Under("chains", i, Fault("number", "is not in order"));
    }
    for (const Chain& other : chains) {
      if (other.name == chain->name) {
        return Under("chains", i,
                     Fault("name", absl::StrCat("chain ", other.name,
                                                " is there already")));
      }
    }
    chains.push_back(*std::move(chain));
  }
  const Policy fixed;
  for (size_t i = 0; i < fixed.chains().size(); ++i) {
    const Chain& chain = fixed.chains()[i];
    if (i < chains.size() && chains[i].number == chain.number) continue;
    if (chain.number >= NP_REASON_DATA_SAVER) {
      chains.insert(chains.begin() + static_cast<std::ptrdiff_t>(i), chain);
    } else {
      return Fault("chains", absl::StrCat("chain ", chain.name, " is missing"));
    }
  }
  return chains;
}

// The bits that a UID's chains can have: of `chains`, or of any that can be.
uint64_t ChainBits(const absl::optional<std::vector<Chain>>& chains) {
  uint64_t bits = 0;
  if (chains.has_value()) {
    for (const Chain& chain : *chains) bits |= NP_REASON_BIT(chain.number);
  } else {
    bits = ~0ULL << NP_REASON_USER_CHAIN_0;
    const Policy fixed;
    for (const Chain& chain : fixed.chains()) {
      bits |= NP_REASON_BIT(chain.number);
    }
  }
  return bits;
}

absl::Status GetUidPolicy(const proto::UidPolicy& message, uint64_t chain_bits,
                          Uid& uid, UidPolicy& policy) {
  NP_RETURN_IF_ERROR(GetUid(message, uid));
  if ((message.chains() & ~chain_bits) != 0) {
    return Fault("chains", absl::StrCat("0x", absl::Hex(message.chains()),
                                        " has chains that do not exist"));
  }
  policy.chains = message.chains();
  if (message.has_rule()) {
    Action rule{};
    NP_RETURN_IF_ERROR(GetAction("rule", message.rule(), rule));
    policy.rule = rule;
  }
  if (message.has_internet()) {
    policy.internet = ToPermission(message.internet());
  }
  if (message.has_lockdown()) policy.lockdown = ToSwitch(message.lockdown());
  if (message.has_local_network()) {
    policy.local_network = ToPermission(message.local_network());
  }
  policy.update_device_stats = ToPermission(message.update_device_stats());
  NP_ASSIGN_OR_RETURN(policy.interfaces,
                      SelectorsFromProto(message.interfaces()));
  NP_ASSIGN_OR_RETURN(policy.network_rules,
                      RulesFromProto("network_rules", message.network_rules()));
  return absl::OkStatus();
}

template <typename Repeated>
absl::StatusOr<UidPolicies> GetUids(const Repeated& messages,
                                    uint64_t chain_bits) {
  UidPolicies uids;
  for (int i = 0; i < messages.size(); ++i) {
    Uid uid{};
    UidPolicy policy;
    NP_RETURN_IF_ERROR(
        Under("uids", i, GetUidPolicy(messages[i], chain_bits, uid, policy)));
    if (!uids.empty() && uids.rbegin()->first >= uid) {
      return Under("uids", i, Fault("uid", "is not in order"));
    }
    uids.emplace_hint(uids.end(), uid, policy);
  }
  return uids;
}

absl::StatusOr<Change> GetReplacePolicy(const proto::ReplacePolicy& message) {
  NP_RETURN_IF_ERROR(Require(message.has_policy(), "policy"));
  absl::StatusOr<Policy> policy = FromProto(message.policy());
  if (!policy.ok()) return Under("policy", policy.status());
  return ReplacePolicy{*std::move(policy)};
}

absl::StatusOr<Change> GetSetDefaultRule(const proto::SetDefaultRule& message) {
  SetDefaultRule change{};
  NP_RETURN_IF_ERROR(Require(message.has_rule(), "rule"));
  NP_RETURN_IF_ERROR(GetAction("rule", message.rule(), change.rule));
  return change;
}

absl::StatusOr<Change> GetSetDefaultInternet(
    const proto::SetDefaultInternet& message) {
  NP_RETURN_IF_ERROR(Require(message.has_internet(), "internet"));
  return SetDefaultInternet{ToPermission(message.internet())};
}

absl::StatusOr<Change> GetDefineChain(const proto::DefineChain& message) {
  DefineChain change{};
  NP_RETURN_IF_ERROR(GetName(message, change.name));
  NP_RETURN_IF_ERROR(Require(message.has_sense(), "sense"));
  NP_RETURN_IF_ERROR(GetSense("sense", message.sense(), change.sense));
  return change;
}

absl::StatusOr<Change> GetRemoveChain(const proto::RemoveChain& message) {
  RemoveChain change;
  NP_RETURN_IF_ERROR(GetName(message, change.name));
  return change;
}

absl::StatusOr<Change> GetSetChainEnabled(
    const proto::SetChainEnabled& message) {
  SetChainEnabled change{};
  NP_RETURN_IF_ERROR(GetName(message, change.name));
  NP_RETURN_IF_ERROR(Require(message.has_enabled(), "enabled"));
  change.enabled = ToSwitch(message.enabled());
  return change;
}

absl::StatusOr<Change> GetReplaceChain(const proto::ReplaceChain& message) {
  ReplaceChain change;
  NP_RETURN_IF_ERROR(GetName(message, change.name));
  change.uids.reserve(static_cast<size_t>(message.uids_size()));
  for (int i = 0; i < message.uids_size(); ++i) {
    if (absl::Status status = CheckUid("", message.uids(i)); !status.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("uids[", i, "]", status.message()));
    }
    change.uids.push_back(Uid{message.uids(i)});
  }
  return change;
}

absl::StatusOr<Change> GetSetChainMember(const proto::SetChainMember& message) {
  SetChainMember change{};
  NP_RETURN_IF_ERROR(GetName(message, change.name));
  NP_RETURN_IF_ERROR(GetUid(message, change.uid));
  NP_RETURN_IF_ERROR(Require(message.has_listed(), "listed"));
  change.listed = ToSwitch(message.listed());
  return change;
}

absl::StatusOr<Change> GetSetUidRule(const proto::SetUidRule& message) {
  SetUidRule change{};
  NP_RETURN_IF_ERROR(GetUid(message, change.uid));
  if (message.has_rule()) {
    Action rule{};
    NP_RETURN_IF_ERROR(GetAction("rule", message.rule(), rule));
    change.rule = rule;
  }
  return change;
}

absl::StatusOr<Change> GetSetInternet(const proto::SetInternet& message) {
  SetInternet change{};
  NP_RETURN_IF_ERROR(GetUid(message, change.uid));
  if (message.has_internet())
    change.internet = ToPermission(message.internet());
  return change;
}

absl::StatusOr<Change> GetClearUid(const proto::ClearUid& message) {
  ClearUid change{};
  NP_RETURN_IF_ERROR(GetUid(message, change.uid));
  return change;
}

// `change`, with the name of the oneof's field before its error.
absl::StatusOr<Change> Named(absl::string_view field,
                             absl::StatusOr<Change> change) {
  if (change.ok()) return change;
  return Under(field, change.status());
}

absl::StatusOr<Change> GetChange(const proto::Change& message) {
  switch (message.kind_case()) {
    case proto::Change::kReplacePolicy:
      return Named("replace_policy",
                   GetReplacePolicy(message.replace_policy()));
    case proto::Change::kSetDefaultRule:
      return Named("set_default_rule",
                   GetSetDefaultRule(message.set_default_rule()));
    case proto::Change::kSetDefaultInternet:
      return Named("set_default_internet",
                   GetSetDefaultInternet(message.set_default_internet()));
    case proto::Change::kDefineChain:
      return Named("define_chain", GetDefineChain(message.define_chain()));
    case proto::Change::kRemoveChain:
      return Named("remove_chain", GetRemoveChain(message.remove_chain()));
    case proto::Change::kSetChainEnabled:
      return Named("set_chain_enabled",
                   GetSetChainEnabled(message.set_chain_enabled()));
    case proto::Change::kReplaceChain:
      return Named("replace_chain", GetReplaceChain(message.replace_chain()));
    case proto::Change::kSetChainMember:
      return Named("set_chain_member",
                   GetSetChainMember(message.set_chain_member()));
    case proto::Change::kSetUidRule:
      return Named("set_uid_rule", GetSetUidRule(message.set_uid_rule()));
    case proto::Change::kSetInternet:
      return Named("set_internet", GetSetInternet(message.set_internet()));
    case proto::Change::kClearUid:
      return Named("clear_uid", GetClearUid(message.clear_uid()));
    default:
      return NetworkChangeFromProto(message);
  }
}

}  // namespace

proto::Policy ToProto(const Policy& policy) {
  proto::Policy message;
  SetDefaults(policy.defaults(), *message.mutable_defaults());
  for (const Chain& chain : policy.chains()) {
    SetChain(chain, *message.add_chains());
  }
  for (const auto& [uid, value] : policy.uids()) {
    SetUidPolicy(uid, value, *message.add_uids());
  }
  ToProto(policy.network(), *message.mutable_network());
  return message;
}

absl::StatusOr<Policy> FromProto(const proto::Policy& message) {
  PolicyDelta delta;
  NP_RETURN_IF_ERROR(Require(message.has_defaults(), "defaults"));
  absl::StatusOr<PolicyDefaults> defaults = GetDefaults(message.defaults());
  if (!defaults.ok()) return Under("defaults", defaults.status());
  delta.defaults = *defaults;
  NP_ASSIGN_OR_RETURN(delta.chains, GetChains(message.chains()));
  absl::StatusOr<NetworkPolicy> network = FromProto(message.network());
  if (!network.ok()) return Under("network", network.status());
  delta.network = *std::move(network);
  NP_ASSIGN_OR_RETURN(delta.uids,
                      GetUids(message.uids(), ChainBits(delta.chains)));
  int index = 0;
  for (const auto& [uid, policy] : delta.uids) {
    if (policy.empty()) {
      return Fault(absl::StrCat("uids[", index, "]"), "says nothing");
    }
    ++index;
  }
  Policy policy;
  PolicyEdit::ApplyDelta(std::move(delta), policy);
  return policy;
}

proto::Transaction ToProto(const Transaction& transaction) {
  proto::Transaction message;
  for (const Change& change : transaction) {
    absl::visit(ChangeToProto{*message.add_changes()}, change);
  }
  return message;
}

absl::StatusOr<Transaction> FromProto(const proto::Transaction& message) {
  Transaction transaction;
  transaction.reserve(static_cast<size_t>(message.changes_size()));
  for (int i = 0; i < message.changes_size(); ++i) {
    absl::StatusOr<Change> change = GetChange(message.changes(i));
    if (!change.ok()) return Under("changes", i, change.status());
    transaction.push_back(*std::move(change));
  }
  return transaction;
}

proto::PolicyDelta ToProto(const PolicyDelta& delta) {
  proto::PolicyDelta message;
  if (delta.defaults.has_value()) {
    SetDefaults(*delta.defaults, *message.mutable_defaults());
  }
  if (delta.chains.has_value()) {
    for (const Chain& chain : *delta.chains) {
      SetChain(chain, *message.mutable_chains()->add_chains());
    }
  }
  for (const auto& [uid, policy] : delta.uids) {
    SetUidPolicy(uid, policy, *message.add_uids());
  }
  if (delta.network.has_value()) {
    ToProto(*delta.network, *message.mutable_network());
  }
  return message;
}

absl::StatusOr<PolicyDelta> FromProto(const proto::PolicyDelta& message) {
  PolicyDelta delta;
  if (message.has_defaults()) {
    absl::StatusOr<PolicyDefaults> defaults = GetDefaults(message.defaults());
    if (!defaults.ok()) return Under("defaults", defaults.status());
    delta.defaults = *defaults;
  }
  if (message.has_chains()) {
    absl::StatusOr<std::vector<Chain>> chains =
        GetChains(message.chains().chains());
    if (!chains.ok()) return Under("chains", chains.status());
    delta.chains = *std::move(chains);
  }
  if (message.has_network()) {
    absl::StatusOr<NetworkPolicy> network = FromProto(message.network());
    if (!network.ok()) return Under("network", network.status());
    delta.network = *std::move(network);
  }
  NP_ASSIGN_OR_RETURN(delta.uids,
                      GetUids(message.uids(), ChainBits(delta.chains)));
  return delta;
}

}  // namespace netpolicy
