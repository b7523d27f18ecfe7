#include "libpolicy/model/network_wire.h"

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

absl::Status Unknown(absl::string_view field, int value) {
  return Fault(field, absl::StrCat("unknown value ", value));
}

absl::Status Below(absl::string_view field, const absl::Status& status) {
  return status.ok() ? status : Fault(field, status.message());
}

absl::StatusOr<uint16_t> GetPort(absl::string_view field, bool present,
                                 uint32_t port) {
  if (!present) return Fault(field, "is missing");
  if (port > 0xffff) return Fault(field, absl::StrCat(port, " is no port"));
  return static_cast<uint16_t>(port);
}

absl::StatusOr<Action> GetAction(proto::Action action) {
  switch (action) {
    case proto::ACTION_ALLOW:
      return Action::kAllow;
    case proto::ACTION_DENY:
      return Action::kDeny;
    default:
      return Unknown("action", static_cast<int>(action));
  }
}

// Everything but the action.
absl::Status GetMatch(const proto::NetworkRule& message, NetworkRule& rule) {
  if (message.has_prefix()) {
    const absl::StatusOr<IpPrefix> prefix = ParseIpPrefix(message.prefix());
    NP_RETURN_IF_ERROR(Below("prefix", prefix.status()));
    rule.prefix = *prefix;
  }
  if (message.has_protocol()) {
    if (message.protocol() < 1 || message.protocol() > 255) {
      return Fault("protocol",
                   absl::StrCat(message.protocol(), " is no protocol"));
    }
    rule.protocol = static_cast<uint8_t>(message.protocol());
  }
  if (message.has_ports()) {
    const absl::StatusOr<PortRange> ports = FromProto(message.ports());
    if (!ports.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("ports.", ports.status().message()));
    }
    rule.ports = *ports;
  }
  if (message.has_direction()) {
    if (message.direction() == proto::RULE_DIRECTION_IN) {
      rule.direction = RuleDirection::kIn;
    } else if (message.direction() == proto::RULE_DIRECTION_OUT) {
      rule.direction = RuleDirection::kOut;
    } else {
      return Unknown("direction", static_cast<int>(message.direction()));
    }
  }
  if (message.has_interface()) {
    if (message.interface().empty()) return Fault("interface", "is empty");
    rule.interface = message.interface();
  }
  return absl::OkStatus();
}

}  // namespace

void ToProto(const Settings& settings, proto::Settings& message) {
  message.set_uids_per_user(settings.uids_per_user);
  message.set_exempt_below(settings.exempt_below);
  switch (settings.no_owner) {
    case NoOwnerRule::kAllow:
      message.set_no_owner(proto::NO_OWNER_RULE_ALLOW);
      break;
    case NoOwnerRule::kDeny:
      message.set_no_owner(proto::NO_OWNER_RULE_DENY);
      break;
    case NoOwnerRule::kRoot:
      message.set_no_owner(proto::NO_OWNER_RULE_ROOT);
      break;
  }
  switch (settings.closing_packets) {
    case ClosingPackets::kJudged:
      message.set_closing_packets(proto::CLOSING_PACKETS_JUDGED);
      break;
    case ClosingPackets::kPassChains:
      message.set_closing_packets(proto::CLOSING_PACKETS_PASS_CHAINS);
      break;
    case ClosingPackets::kPassAll:
      message.set_closing_packets(proto::CLOSING_PACKETS_PASS_ALL);
      break;
  }
  if (settings.resolver.has_value()) {
    message.mutable_resolver()->set_uid(ToInt(settings.resolver->uid));
    message.mutable_resolver()->set_tag(settings.resolver->tag);
  }
}

void ToProto(const Interface& interface, proto::Interface& message) {
  message.set_name(interface.name);
  if (interface.metered.has_value()) {
    message.set_metered(*interface.metered == Switch::kOn);
  }
  for (const std::string& name : interface.classes) message.add_classes(name);
}

void ToProto(const NetworkRule& rule, proto::NetworkRule& message) {
  message.set_action(rule.action == Action::kAllow ? proto::ACTION_ALLOW
                                                   : proto::ACTION_DENY);
  if (rule.prefix.family != IpFamily::kAny) {
    message.set_prefix(IpPrefixText(rule.prefix));
  }
  if (rule.protocol != 0) message.set_protocol(rule.protocol);
  if (rule.ports != kAnyPort) ToProto(rule.ports, *message.mutable_ports());
  if (rule.direction == RuleDirection::kIn) {
    message.set_direction(proto::RULE_DIRECTION_IN);
  } else if (rule.direction == RuleDirection::kOut) {
    message.set_direction(proto::RULE_DIRECTION_OUT);
  }
  if (!rule.interface.empty()) message.set_interface(rule.interface);
}

void ToProto(const PortRange& ports, proto::PortRange& message) {
  message.set_first(ports.first);
  message.set_last(ports.last);
}

void ToProto(const IngressDiscard& discard, proto::IngressDiscard& message) {
  message.set_address(AddressText(discard.address));
  for (const std::string& name : discard.interfaces) {
    message.add_interfaces(name);
  }
}

proto::Profile ToProto(Profile profile) {
  return profile == Profile::kLinux ? proto::PROFILE_LINUX
                                    : proto::PROFILE_ANDROID;
}

absl::StatusOr<Settings> SettingsFromProto(const proto::Settings& message,
                                           const Settings& base) {
  Settings settings = base;
  if (message.has_uids_per_user()) {
    settings.uids_per_user = message.uids_per_user();
  }
  if (message.has_exempt_below()) {
    settings.exempt_below = message.exempt_below();
  }
  if (message.has_no_owner()) {
    switch (message.no_owner()) {
      case proto::NO_OWNER_RULE_ALLOW:
        settings.no_owner = NoOwnerRule::kAllow;
        break;
      case proto::NO_OWNER_RULE_DENY:
        settings.no_owner = NoOwnerRule::kDeny;
        break;
      case proto::NO_OWNER_RULE_ROOT:
        settings.no_owner = NoOwnerRule::kRoot;
        break;
      default:
        return Unknown("no_owner", static_cast<int>(message.no_owner()));
    }
  }
  if (message.has_closing_packets()) {
    switch (message.closing_packets()) {
      case proto::CLOSING_PACKETS_JUDGED:
        settings.closing_packets = ClosingPackets::kJudged;
        break;
      case proto::CLOSING_PACKETS_PASS_CHAINS:
        settings.closing_packets = ClosingPackets::kPassChains;
        break;
      case proto::CLOSING_PACKETS_PASS_ALL:
        settings.closing_packets = ClosingPackets::kPassAll;
        break;
      default:
        return Unknown("closing_packets",
                       static_cast<int>(message.closing_packets()));
    }
  }
  if (message.has_resolver()) {
    if (!message.resolver().has_uid()) {
      return Fault("resolver.uid", "is missing");
    }
    if (!message.resolver().has_tag()) {
      return Fault("resolver.tag", "is missing");
    }
    settings.resolver =
        Resolver{Uid{message.resolver().uid()}, message.resolver().tag()};
  }
  NP_RETURN_IF_ERROR(CheckSettings(settings));
  return settings;
}

absl::StatusOr<Profile> ProfileFromProto(proto::Profile profile) {
  switch (profile) {
    case proto::PROFILE_LINUX:
      return Profile::kLinux;
    case proto::PROFILE_ANDROID:
      return Profile::kAndroid;
    default:
      return Unknown("profile", static_cast<int>(profile));
  }
}

absl::StatusOr<Interface> FromProto(const proto::Interface& message) {
  Interface interface;
  if (!message.has_name()) return Fault("name", "is missing");
  interface.name = message.name();
  if (message.has_metered()) {
    interface.metered = message.metered() ? Switch::kOn : Switch::kOff;
  }
  interface.classes =
      Canonical({message.classes().begin(), message.classes().end()});
  NP_RETURN_IF_ERROR(CheckInterface(interface));
  return interface;
}

absl::StatusOr<NetworkRule> FromProto(const proto::NetworkRule& message) {
  NetworkRule rule;
  if (!message.has_action()) return Fault("action", "is missing");
  NP_ASSIGN_OR_RETURN(rule.action, GetAction(message.action()));
  NP_RETURN_IF_ERROR(GetMatch(message, rule));
  NP_RETURN_IF_ERROR(CheckNetworkRule(rule));
  return rule;
}

absl::StatusOr<NetworkRule> LocalRuleFromProto(
    const proto::NetworkRule& message) {
  NetworkRule rule;
  if (message.has_action()) {
    NP_ASSIGN_OR_RETURN(rule.action, GetAction(message.action()));
  }
  NP_RETURN_IF_ERROR(GetMatch(message, rule));
  NP_RETURN_IF_ERROR(CheckLocalNetworkRule(rule));
  return rule;
}

absl::StatusOr<PortRange> FromProto(const proto::PortRange& message) {
  PortRange ports;
  NP_ASSIGN_OR_RETURN(ports.first,
                      GetPort("first", message.has_first(), message.first()));
  NP_ASSIGN_OR_RETURN(ports.last,
                      GetPort("last", message.has_last(), message.last()));
  return ports;
}

absl::StatusOr<IngressDiscard> FromProto(const proto::IngressDiscard& message) {
  IngressDiscard discard;
  if (!message.has_address()) return Fault("address", "is missing");
  const absl::StatusOr<AddressBytes> address = ParseAddress(message.address());
  NP_RETURN_IF_ERROR(Below("address", address.status()));
  discard.address = *address;
  if (message.interfaces().empty()) return Fault("interfaces", "names none");
  NP_ASSIGN_OR_RETURN(discard.interfaces,
                      SelectorsFromProto(message.interfaces()));
  return discard;
}

absl::StatusOr<Selectors> SelectorsFromProto(const Strings& names) {
  for (int i = 0; i < names.size(); ++i) {
    NP_RETURN_IF_ERROR(
        Below(absl::StrCat("interfaces[", i, "]"), CheckSelector(names[i])));
  }
  return Canonical({names.begin(), names.end()});
}

}  // namespace netpolicy
