#include "libpolicy/model/wire_network.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"

namespace netpolicy {
namespace {

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

std::string At(absl::string_view list, int index) {
  return absl::StrCat(list, "[", index, "]");
}

Switch ToSwitch(bool on) { return on ? Switch::kOn : Switch::kOff; }

Permission ToPermission(bool granted) {
  return granted ? Permission::kGranted : Permission::kRevoked;
}

// ----- To messages -----

struct NetworkToProto {
  proto::Change& message;

  template <typename OtherChange>
  void operator()(const OtherChange&) const {}

  void operator()(const SetSettings& change) const {
    ToProto(change.settings,
            *message.mutable_set_settings()->mutable_settings());
  }
  void operator()(const SetProfile& change) const {
    message.mutable_set_profile()->set_profile(ToProto(change.profile));
  }
  void operator()(const SetDefaultLockdown& change) const {
    message.mutable_set_default_lockdown()->set_lockdown(change.lockdown ==
                                                         Switch::kOn);
  }
  void operator()(const SetDefaultLocalNetwork& change) const {
    message.mutable_set_default_local_network()->set_local_network(
        change.local_network == Permission::kGranted);
  }
  void operator()(const SetDefaultInterfaces& change) const {
    auto* list = message.mutable_set_default_interfaces()->mutable_interfaces();
    *list = {change.interfaces.begin(), change.interfaces.end()};
  }
  void operator()(const SetInterface& change) const {
    ToProto(change.interface,
            *message.mutable_set_interface()->mutable_interface());
  }
  void operator()(const RemoveInterface& change) const {
    message.mutable_remove_interface()->set_name(change.name);
  }
  void operator()(const SetUidInterfaces& change) const {
    proto::SetUidInterfaces& entry = *message.mutable_set_uid_interfaces();
    entry.set_uid(ToInt(change.uid));
    *entry.mutable_interfaces() = {change.interfaces.begin(),
                                   change.interfaces.end()};
  }
  void operator()(const SetLockdown& change) const {
    proto::SetLockdown& entry = *message.mutable_set_lockdown();
    entry.set_uid(ToInt(change.uid));
    if (change.lockdown.has_value()) {
      entry.set_lockdown(*change.lockdown == Switch::kOn);
    }
  }
  void operator()(const SetLocalNetworkAccess& change) const {
    proto::SetLocalNetworkAccess& entry =
        *message.mutable_set_local_network_access();
    entry.set_uid(ToInt(change.uid));
    if (change.local_network.has_value()) {
      entry.set_local_network(*change.local_network == Permission::kGranted);
    }
  }
  void operator()(const SetUpdateDeviceStats& change) const {
    proto::SetUpdateDeviceStats& entry =
        *message.mutable_set_update_device_stats();
    entry.set_uid(ToInt(change.uid));
    entry.set_update_device_stats(change.update_device_stats ==
                                  Permission::kGranted);
  }
  void operator()(const SetNetworkRules& change) const {
    proto::SetNetworkRules& entry = *message.mutable_set_network_rules();
    if (change.uid.has_value()) entry.set_uid(ToInt(*change.uid));
    ToProto(change.rules, *entry.mutable_rules());
  }
  void operator()(const AddNetworkRule& change) const {
    proto::AddNetworkRule& entry = *message.mutable_add_network_rule();
    if (change.uid.has_value()) entry.set_uid(ToInt(*change.uid));
    ToProto(change.rule, *entry.mutable_rule());
  }
  void operator()(const RemoveNetworkRule& change) const {
    proto::RemoveNetworkRule& entry = *message.mutable_remove_network_rule();
    if (change.uid.has_value()) entry.set_uid(ToInt(*change.uid));
    ToProto(change.rule, *entry.mutable_rule());
  }
  void operator()(const SetIngressDiscard& change) const {
    ToProto(change.discard,
            *message.mutable_set_ingress_discard()->mutable_discard());
  }
  void operator()(const RemoveIngressDiscard& change) const {
    message.mutable_remove_ingress_discard()->set_address(
        AddressText(change.address));
  }
  void operator()(const SetLocalNetworkRule& change) const {
    ToProto(change.rule,
            *message.mutable_set_local_network_rule()->mutable_rule());
  }
  void operator()(const RemoveLocalNetworkRule& change) const {
    ToProto(change.rule,
            *message.mutable_remove_local_network_rule()->mutable_rule());
  }
  void operator()(const SetBlockedBindPorts& change) const {
    proto::SetBlockedBindPorts& entry =
        *message.mutable_set_blocked_bind_ports();
    for (const PortRange& ports : change.ports) {
      ToProto(ports, *entry.add_ports());
    }
  }
};

// ----- From messages -----

template <typename Message>
absl::Status GetUid(const Message& message, Uid& out) {
  NP_RETURN_IF_ERROR(Require(message.has_uid(), "uid"));
  if (Uid{message.uid()} > kMaxUid) {
    return Fault("uid", absl::StrCat(message.uid(), " is not a uid"));
  }
  out = Uid{message.uid()};
  return absl::OkStatus();
}

template <typename Message>
absl::Status GetOwner(const Message& message, absl::optional<Uid>& out) {
  if (!message.has_uid()) return absl::OkStatus();
  Uid uid{};
  NP_RETURN_IF_ERROR(GetUid(message, uid));
  out = uid;
  return absl::OkStatus();
}

absl::StatusOr<Change> Get(const proto::SetSettings& message) {
  NP_RETURN_IF_ERROR(Require(message.has_settings(), "settings"));
  const absl::StatusOr<Settings> settings =
      SettingsFromProto(message.settings(), Settings());
  if (!settings.ok()) return Under("settings", settings.status());
  return SetSettings{*settings};
}

absl::StatusOr<Change> Get(const proto::SetProfile& message) {
  NP_RETURN_IF_ERROR(Require(message.has_profile(), "profile"));
  NP_ASSIGN_OR_RETURN(const Profile profile,
                      ProfileFromProto(message.profile()));
  return SetProfile{profile};
}

absl::StatusOr<Change> Get(const proto::SetDefaultLockdown& message) {
  NP_RETURN_IF_ERROR(Require(message.has_lockdown(), "lockdown"));
  return SetDefaultLockdown{ToSwitch(message.lockdown())};
}

absl::StatusOr<Change> Get(const proto::SetDefaultLocalNetwork& message) {
  NP_RETURN_IF_ERROR(Require(message.has_local_network(), "local_network"));
  return SetDefaultLocalNetwork{ToPermission(message.local_network())};
}

absl::StatusOr<Change> Get(const proto::SetDefaultInterfaces& message) {
  SetDefaultInterfaces change;
  NP_ASSIGN_OR_RETURN(change.interfaces,
                      SelectorsFromProto(message.interfaces()));
  return change;
}

absl::StatusOr<Change> Get(const proto::SetInterface& message) {
  NP_RETURN_IF_ERROR(Require(message.has_interface(), "interface"));
  absl::StatusOr<Interface> interface = FromProto(message.interface());
  if (!interface.ok()) return Under("interface", interface.status());
  return SetInterface{*std::move(interface)};
}

absl::StatusOr<Change> Get(const proto::RemoveInterface& message) {
  NP_RETURN_IF_ERROR(Require(message.has_name(), "name"));
  return RemoveInterface{message.name()};
}

absl::StatusOr<Change> Get(const proto::SetUidInterfaces& message) {
  SetUidInterfaces change{};
  NP_RETURN_IF_ERROR(GetUid(message, change.uid));
  NP_ASSIGN_OR_RETURN(change.interfaces,
                      SelectorsFromProto(message.interfaces()));
  return change;
}

absl::StatusOr<Change> Get(const proto::SetLockdown& message) {
  SetLockdown change{};
  NP_RETURN_IF_ERROR(GetUid(message, change.uid));
  if (message.has_lockdown()) change.lockdown = ToSwitch(message.lockdown());
  return change;
}

absl::StatusOr<Change> Get(const proto::SetLocalNetworkAccess& message) {
  SetLocalNetworkAccess change{};
  NP_RETURN_IF_ERROR(GetUid(message, change.uid));
  if (message.has_local_network()) {
    change.local_network = ToPermission(message.local_network());
  }
  return change;
}

absl::StatusOr<Change> Get(const proto::SetUpdateDeviceStats& message) {
  SetUpdateDeviceStats change{};
  NP_RETURN_IF_ERROR(GetUid(message, change.uid));
  NP_RETURN_IF_ERROR(
      Require(message.has_update_device_stats(), "update_device_stats"));
  change.update_device_stats = ToPermission(message.update_device_stats());
  return change;
}

absl::StatusOr<Change> Get(const proto::SetNetworkRules& message) {
  SetNetworkRules change;
  NP_RETURN_IF_ERROR(GetOwner(message, change.uid));
  NP_ASSIGN_OR_RETURN(change.rules, RulesFromProto("rules", message.rules()));
  return change;
}

// AddNetworkRule and RemoveNetworkRule.
template <typename RuleChange, typename Message>
absl::StatusOr<Change> GetRuleChange(const Message& message) {
  RuleChange change;
  NP_RETURN_IF_ERROR(GetOwner(message, change.uid));
  NP_RETURN_IF_ERROR(Require(message.has_rule(), "rule"));
  absl::StatusOr<NetworkRule> rule = FromProto(message.rule());
  if (!rule.ok()) return Under("rule", rule.status());
  change.rule = *std::move(rule);
  return change;
}

template <typename RuleChange, typename Message>
absl::StatusOr<Change> GetLocalRuleChange(const Message& message) {
  NP_RETURN_IF_ERROR(Require(message.has_rule(), "rule"));
  absl::StatusOr<NetworkRule> rule = LocalRuleFromProto(message.rule());
  if (!rule.ok()) return Under("rule", rule.status());
  return RuleChange{*std::move(rule)};
}

absl::StatusOr<Change> Get(const proto::SetIngressDiscard& message) {
  NP_RETURN_IF_ERROR(Require(message.has_discard(), "discard"));
  absl::StatusOr<IngressDiscard> discard = FromProto(message.discard());
  if (!discard.ok()) return Under("discard", discard.status());
  return SetIngressDiscard{*std::move(discard)};
}

absl::StatusOr<Change> Get(const proto::RemoveIngressDiscard& message) {
  NP_RETURN_IF_ERROR(Require(message.has_address(), "address"));
  const absl::StatusOr<AddressBytes> address = ParseAddress(message.address());
  if (!address.ok()) return Fault("address", address.status().message());
  return RemoveIngressDiscard{*address};
}

using PortMessages = google::protobuf::RepeatedPtrField<proto::PortRange>;

absl::StatusOr<std::vector<PortRange>> BindPortsFromProto(
    absl::string_view list, const PortMessages& messages) {
  std::vector<PortRange> ports;
  for (int i = 0; i < messages.size(); ++i) {
    const absl::StatusOr<PortRange> range = FromProto(messages[i]);
    if (!range.ok()) return Under(At(list, i), range.status());
    if (absl::Status status = CheckBindPorts({*range}); !status.ok()) {
      return Fault(At(list, i),
                   absl::StrCat(PortRangeText(*range), ": no ports to block"));
    }
    ports.push_back(*range);
  }
  return ports;
}

absl::StatusOr<Change> Get(const proto::SetBlockedBindPorts& message) {
  SetBlockedBindPorts change;
  NP_ASSIGN_OR_RETURN(change.ports,
                      BindPortsFromProto("ports", message.ports()));
  return change;
}

absl::StatusOr<Change> Named(absl::string_view kind,
                             absl::StatusOr<Change> change) {
  if (change.ok()) return change;
  return Under(kind, change.status());
}

}  // namespace

void NetworkChangeToProto(const Change& change, proto::Change& message) {
  absl::visit(NetworkToProto{message}, change);
}

absl::StatusOr<Change> NetworkChangeFromProto(const proto::Change& message) {
  switch (message.kind_case()) {
    case proto::Change::kSetSettings:
      return Named("set_settings", Get(message.set_settings()));
    case proto::Change::kSetProfile:
      return Named("set_profile", Get(message.set_profile()));
    case proto::Change::kSetDefaultLockdown:
      return Named("set_default_lockdown", Get(message.set_default_lockdown()));
    case proto::Change::kSetDefaultLocalNetwork:
      return Named("set_default_local_network",
                   Get(message.set_default_local_network()));
    case proto::Change::kSetDefaultInterfaces:
      return Named("set_default_interfaces",
                   Get(message.set_default_interfaces()));
    case proto::Change::kSetInterface:
      return Named("set_interface", Get(message.set_interface()));
    case proto::Change::kRemoveInterface:
      return Named("remove_interface", Get(message.remove_interface()));
    case proto::Change::kSetUidInterfaces:
      return Named("set_uid_interfaces", Get(message.set_uid_interfaces()));
    case proto::Change::kSetLockdown:
      return Named("set_lockdown", Get(message.set_lockdown()));
    case proto::Change::kSetLocalNetworkAccess:
      return Named("set_local_network_access",
                   Get(message.set_local_network_access()));
    case proto::Change::kSetUpdateDeviceStats:
      return Named("set_update_device_stats",
                   Get(message.set_update_device_stats()));
    case proto::Change::kSetNetworkRules:
      return Named("set_network_rules", Get(message.set_network_rules()));
    case proto::Change::kAddNetworkRule:
      return Named("add_network_rule",
                   GetRuleChange<AddNetworkRule>(message.add_network_rule()));
    case proto::Change::kRemoveNetworkRule:
      return Named("remove_network_rule", GetRuleChange<RemoveNetworkRule>(
                                              message.remove_network_rule()));
    case proto::Change::kSetIngressDiscard:
      return Named("set_ingress_discard", Get(message.set_ingress_discard()));
    case proto::Change::kRemoveIngressDiscard:
      return Named("remove_ingress_discard",
                   Get(message.remove_ingress_discard()));
    case proto::Change::kSetLocalNetworkRule:
      return Named("set_local_network_rule",
                   GetLocalRuleChange<SetLocalNetworkRule>(
                       message.set_local_network_rule()));
    case proto::Change::kRemoveLocalNetworkRule:
      return Named("remove_local_network_rule",
                   GetLocalRuleChange<RemoveLocalNetworkRule>(
                       message.remove_local_network_rule()));
    case proto::Change::kSetBlockedBindPorts:
      return Named("set_blocked_bind_ports",
                   Get(message.set_blocked_bind_ports()));
    default:
      // Also a kind that only a later version knows.
      return Fault("kind", "is missing or unknown");
  }
}

void ToProto(const NetworkRules& rules, RuleMessages& messages) {
  for (const NetworkRule& rule : rules) ToProto(rule, *messages.Add());
}

absl::StatusOr<NetworkRules> RulesFromProto(absl::string_view list,
                                            const RuleMessages& messages) {
  NetworkRules rules;
  for (int i = 0; i < messages.size(); ++i) {
    absl::StatusOr<NetworkRule> rule = FromProto(messages[i]);
    if (!rule.ok()) return Under(At(list, i), rule.status());
    rules.push_back(*std::move(rule));
  }
  return CanonicalRules(std::move(rules));
}

void ToProto(const NetworkPolicy& network, proto::NetworkPolicy& message) {
  ToProto(network.settings, *message.mutable_settings());
  for (const Interface& interface : network.interfaces) {
    ToProto(interface, *message.add_interfaces());
  }
  for (const IngressDiscard& discard : network.ingress_discard) {
    ToProto(discard, *message.add_ingress_discard());
  }
  ToProto(network.local_network, *message.mutable_local_network());
  for (const PortRange& ports : network.blocked_bind_ports) {
    ToProto(ports, *message.add_blocked_bind_ports());
  }
}

absl::StatusOr<NetworkPolicy> FromProto(const proto::NetworkPolicy& message) {
  NetworkPolicy network;
  const absl::StatusOr<Settings> settings =
      SettingsFromProto(message.settings(), Settings());
  if (!settings.ok()) return Under("settings", settings.status());
  network.settings = *settings;
  for (int i = 0; i < message.interfaces_size(); ++i) {
    absl::StatusOr<Interface> interface = FromProto(message.interfaces(i));
    const std::string path = At("interfaces", i);
    if (!interface.ok()) return Under(path, interface.status());
    if (i > 0 && network.interfaces.back().name >= interface->name) {
      return Fault(path + ".name", "is not in order");
    }
    network.interfaces.push_back(*std::move(interface));
  }
  for (int i = 0; i < message.ingress_discard_size(); ++i) {
    absl::StatusOr<IngressDiscard> discard =
        FromProto(message.ingress_discard(i));
    const std::string path = At("ingress_discard", i);
    if (!discard.ok()) return Under(path, discard.status());
    if (i > 0 && network.ingress_discard.back().address >= discard->address) {
      return Fault(path + ".address", "is not in order");
    }
    network.ingress_discard.push_back(*std::move(discard));
  }
  for (int i = 0; i < message.local_network_size(); ++i) {
    absl::StatusOr<NetworkRule> rule =
        LocalRuleFromProto(message.local_network(i));
    if (!rule.ok()) return Under(At("local_network", i), rule.status());
    network.local_network.push_back(*std::move(rule));
  }
  network.local_network = CanonicalRules(std::move(network.local_network));
  NP_ASSIGN_OR_RETURN(
      network.blocked_bind_ports,
      BindPortsFromProto("blocked_bind_ports", message.blocked_bind_ports()));
  network.blocked_bind_ports =
      CanonicalPorts(std::move(network.blocked_bind_ports));
  return network;
}

}  // namespace netpolicy
