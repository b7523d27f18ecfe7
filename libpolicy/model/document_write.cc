#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "libpolicy/model/document.h"
#include "libpolicy/model/network_wire.h"
#include "libpolicy/model/text.h"

namespace netpolicy {
namespace {

constexpr size_t kLineWidth = 100;

proto::Action ActionToProto(Action action) {
  return action == Action::kAllow ? proto::ACTION_ALLOW : proto::ACTION_DENY;
}

// `range` in pieces of at most `limits.range_uids`: together they might have
// become longer than a document may say in one.
template <typename Function>
void Split(UidRange range, const PolicyLimits& limits, Function add) {
  uint64_t first = ToInt(range.first);
  while (first <= ToInt(range.last)) {
    const uint64_t last = std::min<uint64_t>(
        ToInt(range.last), first + std::max(limits.range_uids, 1U) - 1);
    proto::DocumentUidRange piece;
    piece.set_first(static_cast<uint32_t>(first));
    piece.set_last(static_cast<uint32_t>(last));
    add(piece);
    first = last + 1;
  }
}

// Text in a JSON string: what isn't ASCII stays as it is.
std::string JsonString(absl::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppendFormat(&out, "\\u%04x", c);
    } else {
      out.push_back(c);
    }
  }
  return out + "\"";
}

std::string JsonRange(const proto::DocumentUidRange& range) {
  if (range.first() == range.last()) return absl::StrCat(range.first());
  return absl::StrCat("\"", range.first(), "-", range.last(), "\"");
}

absl::string_view JsonBool(bool value) { return value ? "true" : "false"; }

std::string JsonMembers(const std::vector<std::string>& members) {
  return absl::StrCat("{", absl::StrJoin(members, ", "), "}");
}

void AddMember(absl::string_view name, absl::string_view json,
               std::vector<std::string>& members) {
  members.push_back(absl::StrCat("\"", name, "\": ", json));
}

template <typename Repeated>
std::string JsonStrings(const Repeated& strings) {
  return absl::StrCat(
      "[",
      absl::StrJoin(strings, ", ",
                    [](std::string* out, const std::string& text) {
                      out->append(JsonString(text));
                    }),
      "]");
}

std::string JsonPorts(const proto::PortRange& ports) {
  if (ports.first() == ports.last()) return absl::StrCat(ports.first());
  return absl::StrCat("\"", ports.first(), "-", ports.last(), "\"");
}

std::string JsonAction(proto::Action action) {
  return action == proto::ACTION_ALLOW ? "\"allow\"" : "\"deny\"";
}

std::string JsonNetworkRule(const proto::NetworkRule& rule) {
  std::vector<std::string> members;
  if (rule.has_action()) {
    AddMember("action", JsonAction(rule.action()), members);
  }
  if (rule.has_prefix()) {
    AddMember("prefix", JsonString(rule.prefix()), members);
  }
  if (rule.has_protocol()) {
    const uint8_t number = static_cast<uint8_t>(rule.protocol());
    const std::string name = ProtocolName(number);
    AddMember("protocol",
              name == absl::StrCat(int{number}) ? name : JsonString(name),
              members);
  }
  if (rule.has_ports()) AddMember("ports", JsonPorts(rule.ports()), members);
  if (rule.has_direction()) {
    AddMember(
        "direction",
        rule.direction() == proto::RULE_DIRECTION_IN ? "\"in\"" : "\"out\"",
        members);
  }
  if (rule.has_interface()) {
    AddMember("interface", JsonString(rule.interface()), members);
  }
  return JsonMembers(members);
}

std::string JsonInterface(const proto::Interface& interface) {
  std::vector<std::string> members;
  AddMember("name", JsonString(interface.name()), members);
  if (interface.has_metered()) {
    AddMember("metered", JsonBool(interface.metered()), members);
  }
  if (!interface.classes().empty()) {
    AddMember("classes", JsonStrings(interface.classes()), members);
  }
  return JsonMembers(members);
}

std::string JsonDiscard(const proto::IngressDiscard& discard) {
  std::vector<std::string> members;
  AddMember("address", JsonString(discard.address()), members);
  AddMember("interfaces", JsonStrings(discard.interfaces()), members);
  return JsonMembers(members);
}

std::string JsonSettings(const proto::Settings& settings) {
  std::vector<std::string> members;
  if (settings.has_uids_per_user()) {
    AddMember("uids_per_user", absl::StrCat(settings.uids_per_user()), members);
  }
  if (settings.has_exempt_below()) {
    AddMember("exempt_below", absl::StrCat(settings.exempt_below()), members);
  }
  if (settings.has_no_owner()) {
    const proto::NoOwnerRule rule = settings.no_owner();
    AddMember("no_owner",
              rule == proto::NO_OWNER_RULE_ALLOW  ? "\"allow\""
              : rule == proto::NO_OWNER_RULE_DENY ? "\"deny\""
                                                  : "\"root\"",
              members);
  }
  if (settings.has_closing_packets()) {
    const proto::ClosingPackets closing = settings.closing_packets();
    AddMember("closing_packets",
              closing == proto::CLOSING_PACKETS_JUDGED ? "\"judged\""
              : closing == proto::CLOSING_PACKETS_PASS_CHAINS
                  ? "\"pass_chains\""
                  : "\"pass_all\"",
              members);
  }
  if (settings.has_resolver()) {
    AddMember("resolver",
              absl::StrCat("{\"uid\": ", settings.resolver().uid(),
                           ", \"tag\": ", settings.resolver().tag(), "}"),
              members);
  }
  return JsonMembers(members);
}

// What UIDs and defaults have both, after `members`.
template <typename Message>
std::string JsonSubject(std::vector<std::string> members,
                        const Message& message) {
  if (message.has_rule() && message.rule() != proto::ACTION_UNSPECIFIED) {
    AddMember("rule", JsonAction(message.rule()), members);
  }
  if (message.has_internet()) {
    AddMember("internet", JsonBool(message.internet()), members);
  }
  if (message.has_local_network()) {
    AddMember("local_network", JsonBool(message.local_network()), members);
  }
  if (message.has_lockdown()) {
    AddMember("lockdown", JsonBool(message.lockdown()), members);
  }
  if (!message.interfaces().empty()) {
    AddMember("interfaces", JsonStrings(message.interfaces()), members);
  }
  if (message.network_rules().empty()) return JsonMembers(members);
  std::string rules;
  for (const proto::NetworkRule& rule : message.network_rules()) {
    absl::StrAppend(&rules, rules.empty() ? "\n      " : ",\n      ",
                    JsonNetworkRule(rule));
  }
  AddMember("network_rules", absl::StrCat("[", rules, "\n    ]"), members);
  return JsonMembers(members);
}

std::string JsonChain(const proto::DocumentChain& chain) {
  std::vector<std::string> members;
  if (chain.has_name()) {
    members.push_back(absl::StrCat("\"name\": ", JsonString(chain.name())));
  }
  if (chain.type() == proto::CHAIN_SENSE_ALLOWLIST) {
    members.push_back("\"type\": \"allowlist\"");
  } else if (chain.type() == proto::CHAIN_SENSE_DENYLIST) {
    members.push_back("\"type\": \"denylist\"");
  }
  if (chain.has_enabled()) {
    members.push_back(absl::StrCat("\"enabled\": ", JsonBool(chain.enabled())));
  }
  std::vector<std::string> uids;
  for (const auto& range : chain.uids()) uids.push_back(JsonRange(range));
  members.push_back(absl::StrCat("\"uids\": [", absl::StrJoin(uids, ", ")));
  std::string line = absl::StrCat("{", absl::StrJoin(members, ", "), "]}");
  if (line.size() + 5 <= kLineWidth || uids.empty()) return line;

  // Too long for a line: as many a line as fit.
  members.back() = "\"uids\": [";
  std::string text = absl::StrCat("{", absl::StrJoin(members, ", "));
  size_t width = kLineWidth;
  for (size_t i = 0; i < uids.size(); ++i) {
    const std::string item = uids[i] + (i + 1 < uids.size() ? "," : "");
    if (width + 1 + item.size() > kLineWidth) {
      absl::StrAppend(&text, "\n      ", item);
      width = 6 + item.size();
    } else {
      absl::StrAppend(&text, " ", item);
      width += 1 + item.size();
    }
  }
  return text + "\n    ]}";
}

std::string JsonUid(const proto::DocumentUid& uid) {
  std::vector<std::string> members;
  if (uid.has_uid()) {
    members.push_back(absl::StrCat("\"uid\": ", JsonRange(uid.uid())));
  }
  if (uid.has_update_device_stats()) {
    AddMember("update_device_stats", JsonBool(uid.update_device_stats()),
              members);
  }
  return JsonSubject(std::move(members), uid);
}

// "name": [elements], one a line.
template <typename Repeated, typename Function>
std::string JsonList(absl::string_view name, const Repeated& messages,
                     Function to_json) {
  std::string text = absl::StrCat("\"", name, "\": [");
  for (int i = 0; i < messages.size(); ++i) {
    absl::StrAppend(&text, i == 0 ? "\n    " : ",\n    ", to_json(messages[i]));
  }
  absl::StrAppend(&text, messages.empty() ? "]" : "\n  ]");
  return text;
}

// Chains aside.
bool SaysTheSame(UidPolicy a, const UidPolicy& b) {
  a.chains = b.chains;
  return a == b;
}

// The lists that UIDs and defaults have both.
template <typename Values, typename Message>
void WriteLists(const Values& values, Message& message) {
  for (const std::string& name : values.interfaces) {
    message.add_interfaces(name);
  }
  for (const NetworkRule& rule : values.network_rules) {
    ToProto(rule, *message.add_network_rules());
  }
}

// The settings that are not those of profile linux, or the profile.
void WriteSettings(const Settings& settings, PolicyDocument& document) {
  const Settings base;
  if (settings == base) return;
  if (settings == SettingsOf(Profile::kAndroid)) {
    document.set_profile(proto::PROFILE_ANDROID);
    return;
  }
  proto::Settings& message = *document.mutable_settings();
  ToProto(settings, message);
  if (settings.uids_per_user == base.uids_per_user) {
    message.clear_uids_per_user();
  }
  if (settings.exempt_below == base.exempt_below) message.clear_exempt_below();
  if (settings.no_owner == base.no_owner) message.clear_no_owner();
  if (settings.closing_packets == base.closing_packets) {
    message.clear_closing_packets();
  }
}

// Everything but chains and UIDs.
void WriteNetwork(const Policy& policy, PolicyDocument& document) {
  const PolicyDefaults& defaults = policy.defaults();
  proto::DocumentDefaults& message = *document.mutable_defaults();
  if (defaults.local_network == Permission::kRevoked) {
    message.set_local_network(false);
  }
  if (defaults.lockdown == Switch::kOn) message.set_lockdown(true);
  WriteLists(defaults, message);

  const NetworkPolicy& network = policy.network();
  WriteSettings(network.settings, document);
  for (const Interface& interface : network.interfaces) {
    ToProto(interface, *document.add_interfaces());
  }
  for (const IngressDiscard& discard : network.ingress_discard) {
    ToProto(discard, *document.add_ingress_discard());
  }
  for (const NetworkRule& rule : network.local_network) {
    ToProto(rule, *document.add_local_network());
  }
  for (const PortRange& ports : network.blocked_bind_ports) {
    ToProto(ports, *document.add_blocked_bind_ports());
  }
}

}  // namespace

PolicyDocument ToDocument(const Policy& policy, const PolicyLimits& limits) {
  PolicyDocument document;
  document.set_version(1);
  const PolicyDefaults& defaults = policy.defaults();
  document.mutable_defaults()->set_rule(ActionToProto(defaults.rule));
  document.mutable_defaults()->set_internet(defaults.internet ==
                                            Permission::kGranted);
  WriteNetwork(policy, document);
  const Policy fixed;
  for (const Chain& chain : policy.chains()) {
    const std::vector<Uid> uids = policy.ChainMembers(chain.number);
    const Chain* android = fixed.FindChain(chain.number);
    if (android != nullptr && *android == chain && uids.empty()) continue;
    proto::DocumentChain& entry = *document.add_chains();
    entry.set_name(chain.name);
    entry.set_type(chain.sense == ChainSense::kAllowlist
                       ? proto::CHAIN_SENSE_ALLOWLIST
                       : proto::CHAIN_SENSE_DENYLIST);
    entry.set_enabled(chain.enabled == Switch::kOn);
    for (const UidRange& range : CompressUids(uids)) {
      Split(range, limits, [&](const proto::DocumentUidRange& piece) {
        *entry.add_uids() = piece;
      });
    }
  }

  // Runs of UIDs of which the same is said.
  const UidPolicies& uids = policy.uids();
  for (auto it = uids.begin(); it != uids.end();) {
    const UidPolicy& said = it->second;
    UidRange range{it->first, it->first};
    for (++it; it != uids.end() && ToInt(it->first) == ToInt(range.last) + 1 &&
               SaysTheSame(it->second, said);
         ++it) {
      range.last = it->first;
    }
    if (SaysTheSame(said, UidPolicy())) continue;
    Split(range, limits, [&](const proto::DocumentUidRange& piece) {
      proto::DocumentUid& entry = *document.add_uids();
      *entry.mutable_uid() = piece;
      if (said.rule.has_value()) entry.set_rule(ActionToProto(*said.rule));
      if (said.internet.has_value()) {
        entry.set_internet(*said.internet == Permission::kGranted);
      }
      if (said.update_device_stats == Permission::kGranted) {
        entry.set_update_device_stats(true);
      }
      if (said.local_network.has_value()) {
        entry.set_local_network(*said.local_network == Permission::kGranted);
      }
      if (said.lockdown.has_value()) {
        entry.set_lockdown(*said.lockdown == Switch::kOn);
      }
      WriteLists(said, entry);
    });
  }
  return document;
}

std::string ToJson(const PolicyDocument& document) {
  std::vector<std::string> members;
  if (document.has_version()) {
    members.push_back(absl::StrCat("\"version\": ", document.version()));
  }
  if (document.has_profile()) {
    AddMember("profile",
              document.profile() == proto::PROFILE_ANDROID ? "\"android\""
                                                           : "\"linux\"",
              members);
  }
  if (document.has_settings()) {
    AddMember("settings", JsonSettings(document.settings()), members);
  }
  if (document.has_defaults()) {
    members.push_back(
        absl::StrCat("\"defaults\": ", JsonSubject({}, document.defaults())));
  }
  const auto add_list = [&](absl::string_view name, const auto& messages,
                            auto to_json) {
    if (!messages.empty()) {
      members.push_back(JsonList(name, messages, to_json));
    }
  };
  add_list("interfaces", document.interfaces(), JsonInterface);
  members.push_back(JsonList("chains", document.chains(), JsonChain));
  members.push_back(JsonList("uids", document.uids(), JsonUid));
  add_list("ingress_discard", document.ingress_discard(), JsonDiscard);
  add_list("local_network", document.local_network(), JsonNetworkRule);
  add_list("blocked_bind_ports", document.blocked_bind_ports(), JsonPorts);
  return absl::StrCat("{\n  ", absl::StrJoin(members, ",\n  "), "\n}\n");
}

}  // namespace netpolicy
