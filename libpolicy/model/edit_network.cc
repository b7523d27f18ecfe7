#include "libpolicy/model/edit_network.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/model/text.h"

namespace netpolicy {
namespace {

absl::Status Of(absl::string_view operation, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(),
                      absl::StrCat(operation, ": ", status.message()));
}

std::string OwnerName(absl::optional<Uid> uid) {
  return uid.has_value() ? absl::StrCat("uid ", ToInt(*uid)) : "defaults";
}

absl::Status CheckOwner(absl::string_view operation, absl::optional<Uid> uid) {
  return uid.has_value() ? CheckUidOf(operation, *uid) : absl::OkStatus();
}

absl::Status CheckRules(absl::string_view operation,
                        const NetworkRules& rules) {
  for (const NetworkRule& rule : rules) {
    NP_RETURN_IF_ERROR(Of(absl::StrCat(operation, " ", NetworkRuleText(rule)),
                          CheckNetworkRule(rule)));
  }
  return absl::OkStatus();
}

bool SameButAction(const NetworkRule& a, NetworkRule b) {
  b.action = a.action;
  return a == b;
}

void InsertRule(const NetworkRule& rule, NetworkRules& rules) {
  const auto at = std::lower_bound(rules.begin(), rules.end(), rule, RuleLess);
  if (at == rules.end() || !(*at == rule)) rules.insert(at, rule);
}

// Puts `entry` where the order by `key` has it, in place of one with its key.
template <typename Entry, typename Key>
void Put(Entry entry, Key Entry::*key, std::vector<Entry>& entries) {
  const auto at = std::lower_bound(
      entries.begin(), entries.end(), entry,
      [&](const Entry& a, const Entry& b) { return a.*key < b.*key; });
  if (at != entries.end() && (*at).*key == entry.*key) {
    *at = std::move(entry);
  } else {
    entries.insert(at, std::move(entry));
  }
}

}  // namespace

absl::Status CheckUidOf(absl::string_view operation, Uid uid) {
  if (uid <= kMaxUid) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(operation, " uid ", ToInt(uid), ": not a uid"));
}

const NetworkRules& PolicyEdit::NetworkApplier::RulesOf(
    absl::optional<Uid> uid) const {
  return uid.has_value() ? edit.Get(*uid).network_rules
                         : edit.defaults().network_rules;
}

void PolicyEdit::NetworkApplier::SetRulesOf(absl::optional<Uid> uid,
                                            NetworkRules rules) const {
  if (!uid.has_value()) {
    edit.MutableDefaults().network_rules = std::move(rules);
    return;
  }
  UidPolicy policy = edit.Get(*uid);
  policy.network_rules = std::move(rules);
  edit.Set(*uid, std::move(policy));
}

absl::Status PolicyEdit::NetworkApplier::operator()(
    const SetSettings& change) const {
  NP_RETURN_IF_ERROR(Of("set settings", CheckSettings(change.settings)));
  edit.MutableNetwork().settings = change.settings;
  return absl::OkStatus();
}

absl::Status PolicyEdit::NetworkApplier::operator()(
    const SetProfile& change) const {
  edit.MutableNetwork().settings = SettingsOf(change.profile);
  return absl::OkStatus();
}

absl::Status PolicyEdit::NetworkApplier::operator()(
    const SetDefaultLockdown& change) const {
  edit.MutableDefaults().lockdown = change.lockdown;
  return absl::OkStatus();
}

absl::Status PolicyEdit::NetworkApplier::operator()(
    const SetDefaultLocalNetwork& change) const {
  edit.MutableDefaults().local_network = change.local_network;
  return absl::OkStatus();
}

absl::Status PolicyEdit::NetworkApplier::operator()(
    const SetDefaultInterfaces& change) const {
  Selectors interfaces = Canonical(change.interfaces);
  NP_RETURN_IF_ERROR(
      Of("set interfaces of defaults", CheckSelectors(interfaces)));
  edit.MutableDefaults().interfaces = std::move(interfaces);
  return absl::OkStatus();
}

absl::Status PolicyEdit::NetworkApplier::operator()(
    const SetInterface& change) const {
  Interface interface = change.interface;
  interface.classes = Canonical(std::move(interface.classes));
  NP_RETURN_IF_ERROR(Of(absl::StrCat("set interface ", Quote(interface.name)),
                        CheckInterface(interface)));
  Put(std::move(interface), &Interface::name, edit.MutableNetwork().interfaces);
  return absl::OkStatus();
}

absl::Status PolicyEdit::NetworkApplier::operator()(
    const RemoveInterface& change) const {
  const std::vector<Interface>& interfaces = edit.network().interfaces;
  for (size_t i = 0; i < interfaces.size(); ++i) {
    if (interfaces[i].name != change.name) continue;
    std::vector<Interface>& mutable_interfaces =
        edit.MutableNetwork().interfaces;
    mutable_interfaces.erase(mutable_interfaces.begin() +
                             static_cast<std::ptrdiff_t>(i));
    return absl::OkStatus();
  }
  return absl::NotFoundError(absl::StrCat(
      "remove interface ", Quote(change.name), ": nothing is said of it"));
}

absl::Status PolicyEdit::NetworkApplier::operator()(
    const SetUidInterfaces& change) const {
  NP_RETURN_IF_ERROR(CheckUidOf("set interfaces of", change.uid));
  UidPolicy policy = edit.Get(change.uid);
  policy.interfaces = Canonical(change.interfaces);
  NP_RETURN_IF_ERROR(
      Of(absl::StrCat("set interfaces of uid ", ToInt(change.uid)),
         CheckSelectors(policy.interfaces)));
  edit.Set(change.uid, std::move(policy));
  return absl::OkStatus();
}

absl::Status PolicyEdit::NetworkApplier::operator()(
    const SetLockdown& change) const {
  NP_RETURN_IF_ERROR(CheckUidOf("set lockdown of", change.uid));
  UidPolicy policy = edit.Get(change.uid);
  policy.lockdown = change.lockdown;
  edit.Set(change.uid, std::move(policy));
  return absl::OkStatus();
}

absl::Status PolicyEdit::NetworkApplier::operator()(
    const SetLocalNetworkAccess& change) const {
  NP_RETURN_IF_ERROR(CheckUidOf("set local network access of", change.uid));
  UidPolicy policy = edit.Get(change.uid);
  policy.local_network = change.local_network;
  edit.Set(change.uid, std::move(policy));
  return absl::OkStatus();
}

absl::Status PolicyEdit::NetworkApplier::operator()(
    const SetUpdateDeviceStats& change) const {
  NP_RETURN_IF_ERROR(CheckUidOf("set update_device_stats of", change.uid));
  UidPolicy policy = edit.Get(change.uid);
  policy.update_device_stats = change.update_device_stats;
  edit.Set(change.uid, std::move(policy));
  return absl::OkStatus();
}

absl::Status PolicyEdit::NetworkApplier::operator()(
    const SetNetworkRules& change) const {
  NP_RETURN_IF_ERROR(CheckOwner("set network rules of", change.uid));
  NP_RETURN_IF_ERROR(
      CheckRules(absl::StrCat("set network rules of ", OwnerName(change.uid)),
                 change.rules));
  SetRulesOf(change.uid, CanonicalRules(change.rules));
  return absl::OkStatus();
}

absl::Status PolicyEdit::NetworkApplier::operator()(
    const AddNetworkRule& change) const {
  NP_RETURN_IF_ERROR(CheckOwner("add a network rule to", change.uid));
  NP_RETURN_IF_ERROR(CheckRules(absl::StrCat("add to ", OwnerName(change.uid)),
                                {change.rule}));
  NetworkRules rules = RulesOf(change.uid);
  InsertRule(change.rule, rules);
  SetRulesOf(change.uid, std::move(rules));
  return absl::OkStatus();
}

absl::Status PolicyEdit::NetworkApplier::operator()(
    const RemoveNetworkRule& change) const {
  NP_RETURN_IF_ERROR(CheckOwner("remove a network rule of", change.uid));
  NetworkRules rules = RulesOf(change.uid);
  const auto found = std::find(rules.begin(), rules.end(), change.rule);
  if (found == rules.end()) {
    return absl::NotFoundError(
        absl::StrCat("remove ", NetworkRuleText(change.rule), " of ",
                     OwnerName(change.uid), ": there is no such rule"));
  }
  rules.erase(found);
  SetRulesOf(change.uid, std::move(rules));
  return absl::OkStatus();
}

absl::Status PolicyEdit::NetworkApplier::operator()(
    const SetIngressDiscard& change) const {
  IngressDiscard discard = change.discard;
  discard.interfaces = Canonical(std::move(discard.interfaces));
  const std::string operation =
      absl::StrCat("set ingress discard of ", AddressText(discard.address));
  NP_RETURN_IF_ERROR(Of(operation, CheckSelectors(discard.interfaces)));
  if (discard.interfaces.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(operation, ": interfaces: names none"));
  }
  Put(std::move(discard), &IngressDiscard::address,
      edit.MutableNetwork().ingress_discard);
  return absl::OkStatus();
}

absl::Status PolicyEdit::NetworkApplier::operator()(
    const RemoveIngressDiscard& change) const {
  for (const IngressDiscard& discard : edit.network().ingress_discard) {
    if (discard.address != change.address) continue;
    std::vector<IngressDiscard>& all = edit.MutableNetwork().ingress_discard;
    all.erase(
        std::find_if(all.begin(), all.end(), [&](const IngressDiscard& other) {
          return other.address == change.address;
        }));
    return absl::OkStatus();
  }
  return absl::NotFoundError(absl::StrCat("remove ingress discard of ",
                                          AddressText(change.address),
                                          ": there is none"));
}

absl::Status PolicyEdit::NetworkApplier::operator()(
    const SetLocalNetworkRule& change) const {
  NP_RETURN_IF_ERROR(
      Of(absl::StrCat("set local network ", NetworkRuleText(change.rule)),
         CheckLocalNetworkRule(change.rule)));
  NetworkRules rules = edit.network().local_network;
  rules.erase(std::remove_if(rules.begin(), rules.end(),
                             [&](const NetworkRule& rule) {
                               return SameButAction(rule, change.rule);
                             }),
              rules.end());
  InsertRule(change.rule, rules);
  edit.MutableNetwork().local_network = std::move(rules);
  return absl::OkStatus();
}

absl::Status PolicyEdit::NetworkApplier::operator()(
    const RemoveLocalNetworkRule& change) const {
  NetworkRules rules = edit.network().local_network;
  const auto found =
      std::find_if(rules.begin(), rules.end(), [&](const NetworkRule& rule) {
        return SameButAction(rule, change.rule);
      });
  if (found == rules.end()) {
    return absl::NotFoundError(absl::StrCat("remove local network ",
                                            NetworkRuleText(change.rule),
                                            ": there is no such rule"));
  }
  rules.erase(found);
  edit.MutableNetwork().local_network = std::move(rules);
  return absl::OkStatus();
}

absl::Status PolicyEdit::NetworkApplier::operator()(
    const SetBlockedBindPorts& change) const {
  for (const PortRange& range : change.ports) {
    NP_RETURN_IF_ERROR(Of("set blocked bind ports", CheckBindPorts({range})));
  }
  edit.MutableNetwork().blocked_bind_ports = CanonicalPorts(change.ports);
  return absl::OkStatus();
}

}  // namespace netpolicy
