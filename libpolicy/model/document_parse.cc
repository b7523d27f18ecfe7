#include <algorithm>
#include <initializer_list>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/model/document.h"
#include "libpolicy/model/faults.h"
#include "libpolicy/model/json_tree.h"
#include "libpolicy/model/network_rule.h"
#include "libpolicy/model/text.h"

namespace netpolicy {
namespace {

using Kind = JsonNode::Kind;

// Where in the document a value is; lives on the stack of its reader.
struct Path {
  const Path* parent = nullptr;
  absl::string_view field;  // a member's
  int index = -1;           // an element's
};

std::string ToString(const Path& path) {
  std::string text;
  if (path.parent != nullptr) text = ToString(*path.parent);
  if (path.index >= 0) absl::StrAppend(&text, "[", path.index, "]");
  if (!path.field.empty()) {
    absl::StrAppend(&text, text.empty() ? "" : ".", path.field);
  }
  return text;
}

// "10007" in decimal without leading zeros, nothing else.
bool ParseNumber(absl::string_view text, uint32_t& number) {
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return false;
  for (const char c : text) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return false;
  }
  return absl::SimpleAtoi(text, &number);
}

// "10100-10199".
bool ParseNumbers(absl::string_view text, uint32_t& first, uint32_t& last) {
  const size_t dash = text.find('-');
  return dash != absl::string_view::npos &&
         ParseNumber(text.substr(0, dash), first) &&
         ParseNumber(text.substr(dash + 1), last);
}

bool ParseRange(absl::string_view text, proto::DocumentUidRange& range) {
  uint32_t first = 0;
  uint32_t last = 0;
  if (!ParseNumbers(text, first, last) || Uid{first} > kMaxUid ||
      Uid{last} > kMaxUid) {
    return false;
  }
  range.set_first(first);
  range.set_last(last);
  return true;
}

// Reads a tree into a document and notes every fault on the way.
class Reader {
 public:
  Reader(const JsonTree& tree, absl::string_view source)
      : tree_(tree), source_(source) {}

  absl::Status status() const { return faults_.status(); }

  void ReadDocument(PolicyDocument& document) {
    ReadObject(
        Path(), 0,
        {"version", "profile", "settings", "defaults", "interfaces", "chains",
         "uids", "ingress_discard", "local_network", "blocked_bind_ports"},
        [&](const Path& path, size_t value) {
          if (path.field == "version") {
            uint32_t version = 0;
            if (ReadNumber(path, value, version)) document.set_version(version);
          } else if (path.field == "defaults") {
            ReadDefaults(path, value, *document.mutable_defaults());
          } else if (path.field == "chains") {
            ReadArray(path, value, [&](const Path& element, size_t node) {
              ReadChain(element, node, *document.add_chains());
            });
          } else if (path.field == "uids") {
            ReadArray(path, value, [&](const Path& element, size_t node) {
              ReadUid(element, node, *document.add_uids());
            });
          } else if (path.field == "profile") {
            const int word = ReadWord(path, value, {"linux", "android"});
            if (word == 0) document.set_profile(proto::PROFILE_LINUX);
            if (word == 1) document.set_profile(proto::PROFILE_ANDROID);
          } else if (path.field == "settings") {
            ReadSettings(path, value, *document.mutable_settings());
          } else if (path.field == "interfaces") {
            ReadArray(path, value, [&](const Path& element, size_t node) {
              ReadInterface(element, node, *document.add_interfaces());
            });
          } else if (path.field == "ingress_discard") {
            ReadArray(path, value, [&](const Path& element, size_t node) {
              ReadDiscard(element, node, *document.add_ingress_discard());
            });
          } else if (path.field == "local_network") {
            ReadArray(path, value, [&](const Path& element, size_t node) {
              ReadNetworkRule(
                  element, node,
                  {"interface", "prefix", "protocol", "ports", "action"},
                  *document.add_local_network());
            });
          } else {
            ReadArray(path, value, [&](const Path& element, size_t node) {
              ReadPorts(element, node, *document.add_blocked_bind_ports());
            });
          }
        });
  }

 private:
  const JsonNode& Node(size_t index) const { return tree_.nodes()[index]; }

  void Fault(const JsonNode& node, const Path& path, absl::string_view cause) {
    // To find a position means to read the text up to it.
    if (faults_.full()) return faults_.Add("");
    const std::string name = ToString(path);
    faults_.Add(absl::StrCat(source_, ":", tree_.Position(node), ": ", name,
                             name.empty() ? "" : ": ", cause));
  }

  void Unexpected(const JsonNode& node, const Path& path,
                  absl::string_view expected) {
    Fault(
        node, path,
        absl::StrCat("expected ", expected, ", found ", tree_.Describe(node)));
  }

  // Calls `read(path, index of the value)` for each member that is known.
  template <typename Function>
  void ReadObject(const Path& path, size_t index,
                  std::initializer_list<absl::string_view> fields,
                  Function read) {
    const JsonNode& object = Node(index);
    if (object.kind != Kind::kObject) {
      return Unexpected(object, path, "an object");
    }
    std::vector<absl::string_view> seen;
    for (size_t key = index + 1; key < object.next; key = Node(key + 1).next) {
      const std::string& name = tree_.String(Node(key));
      absl::string_view field;
      for (const absl::string_view known : fields) {
        if (known == name) field = known;
      }
      if (field.empty()) {
        Fault(Node(key), path,
              absl::StrCat("unknown field ", Quote(name), ", expected ",
                           absl::StrJoin(fields, ", ")));
        continue;
      }
      const Path member{&path, field, -1};
      if (std::find(seen.begin(), seen.end(), field) != seen.end()) {
        Fault(Node(key), member, "is there twice");
        continue;
      }
      seen.push_back(field);
      read(member, key + 1);
    }
  }

  // Calls `read(path, index)` for each element.
  template <typename Function>
  void ReadArray(const Path& path, size_t index, Function read) {
    const JsonNode& array = Node(index);
    if (array.kind != Kind::kArray) return Unexpected(array, path, "an array");
    Path element{&path, "", 0};
    for (size_t i = index + 1; i < array.next; i = Node(i).next) {
      read(element, i);
      ++element.index;
    }
  }

  bool ReadNumber(const Path& path, size_t index, uint32_t& value) {
    const JsonNode& node = Node(index);
    constexpr uint32_t kMost = std::numeric_limits<uint32_t>::max();
    if (node.kind == Kind::kUnsigned && node.number <= kMost) {
      value = static_cast<uint32_t>(node.number);
      return true;
    }
    Unexpected(node, path, "a whole number from 0 to 4294967295");
    return false;
  }

  absl::optional<bool> ReadBool(const Path& path, size_t index) {
    const JsonNode& node = Node(index);
    if (node.kind == Kind::kBool) return node.number != 0;
    Unexpected(node, path, "true or false");
    return absl::nullopt;
  }

  // The position among the words; -1 after a fault.
  int ReadWord(const Path& path, size_t index,
               std::initializer_list<absl::string_view> words) {
    const JsonNode& node = Node(index);
    std::string expected;
    int position = 0;
    for (const absl::string_view word : words) {
      if (node.kind == Kind::kString && tree_.String(node) == word) {
        return position;
      }
      ++position;
      const bool last = position == static_cast<int>(words.size());
      absl::StrAppend(&expected, position == 1 ? "" : (last ? " or " : ", "),
                      "\"", word, "\"");
    }
    Unexpected(node, path, expected);
    return -1;
  }

  absl::optional<std::string> ReadString(const Path& path, size_t index) {
    const JsonNode& node = Node(index);
    if (node.kind == Kind::kString) return tree_.String(node);
    Unexpected(node, path, "a string");
    return absl::nullopt;
  }

  // One or more strings.
  template <typename Function>
  void ReadNames(const Path& path, size_t index, Function add) {
    bool any = false;
    ReadArray(path, index, [&](const Path& element, size_t node) {
      const absl::optional<std::string> name = ReadString(element, node);
      if (name.has_value()) add(*name);
      any = true;
    });
    if (!any && Node(index).kind == Kind::kArray) {
      Fault(Node(index), path, "names none");
    }
  }

  template <typename Message>
  void ReadRule(const Path& path, size_t index, Message& message) {
    const int word = ReadWord(path, index, {"allow", "deny"});
    if (word == 0) message.set_rule(proto::ACTION_ALLOW);
    if (word == 1) message.set_rule(proto::ACTION_DENY);
  }

  // What UIDs and defaults have both; false: another field.
  template <typename Message>
  bool ReadSubject(const Path& member, size_t value, Message& message) {
    if (member.field == "rule") {
      ReadRule(member, value, message);
    } else if (member.field == "internet") {
      const absl::optional<bool> internet = ReadBool(member, value);
      if (internet.has_value()) message.set_internet(*internet);
    } else if (member.field == "lockdown") {
      const absl::optional<bool> lockdown = ReadBool(member, value);
      if (lockdown.has_value()) message.set_lockdown(*lockdown);
    } else if (member.field == "local_network") {
      const absl::optional<bool> local_network = ReadBool(member, value);
      if (local_network.has_value()) message.set_local_network(*local_network);
    } else if (member.field == "interfaces") {
      ReadNames(member, value,
                [&](const std::string& name) { message.add_interfaces(name); });
    } else if (member.field == "network_rules") {
      ReadArray(member, value, [&](const Path& element, size_t node) {
        ReadNetworkRule(
            element, node,
            {"action", "prefix", "protocol", "ports", "direction", "interface"},
            *message.add_network_rules());
      });
    } else {
      return false;
    }
    return true;
  }

  void ReadSettings(const Path& path, size_t index, proto::Settings& settings) {
    ReadObject(
        path, index,
        {"uids_per_user", "exempt_below", "no_owner", "closing_packets",
         "resolver"},
        [&](const Path& member, size_t value) {
          uint32_t number = 0;
          if (member.field == "uids_per_user") {
            if (ReadNumber(member, value, number)) {
              settings.set_uids_per_user(number);
            }
          } else if (member.field == "exempt_below") {
            if (ReadNumber(member, value, number)) {
              settings.set_exempt_below(number);
            }
          } else if (member.field == "no_owner") {
            const int word = ReadWord(member, value, {"allow", "deny", "root"});
            if (word == 0) settings.set_no_owner(proto::NO_OWNER_RULE_ALLOW);
            if (word == 1) settings.set_no_owner(proto::NO_OWNER_RULE_DENY);
            if (word == 2) settings.set_no_owner(proto::NO_OWNER_RULE_ROOT);
          } else if (member.field == "closing_packets") {
            const int word =
                ReadWord(member, value, {"judged", "pass_chains", "pass_all"});
            if (word == 0) {
              settings.set_closing_packets(proto::CLOSING_PACKETS_JUDGED);
            }
            if (word == 1) {
              settings.set_closing_packets(proto::CLOSING_PACKETS_PASS_CHAINS);
            }
            if (word == 2) {
              settings.set_closing_packets(proto::CLOSING_PACKETS_PASS_ALL);
            }
          } else {
            ReadResolver(member, value, *settings.mutable_resolver());
          }
        });
  }

  void ReadResolver(const Path& path, size_t index, proto::Resolver& resolver) {
    ReadObject(path, index, {"uid", "tag"},
               [&](const Path& member, size_t value) {
                 uint32_t number = 0;
                 if (!ReadNumber(member, value, number)) return;
                 if (member.field == "uid") {
                   resolver.set_uid(number);
                 } else {
                   resolver.set_tag(number);
                 }
               });
  }

  void ReadInterface(const Path& path, size_t index,
                     proto::Interface& interface) {
    ReadObject(path, index, {"name", "metered", "classes"},
               [&](const Path& member, size_t value) {
                 if (member.field == "name") {
                   const auto name = ReadString(member, value);
                   if (name.has_value()) interface.set_name(*name);
                 } else if (member.field == "metered") {
                   const auto metered = ReadBool(member, value);
                   if (metered.has_value()) interface.set_metered(*metered);
                 } else {
                   ReadNames(member, value, [&](const std::string& name) {
                     interface.add_classes(name);
                   });
                 }
               });
  }

  void ReadDiscard(const Path& path, size_t index,
                   proto::IngressDiscard& discard) {
    ReadObject(path, index, {"address", "interfaces"},
               [&](const Path& member, size_t value) {
                 if (member.field == "address") {
                   const auto address = ReadString(member, value);
                   if (address.has_value()) discard.set_address(*address);
                 } else {
                   ReadNames(member, value, [&](const std::string& name) {
                     discard.add_interfaces(name);
                   });
                 }
               });
  }

  // 53, "53" or "1-1023".
  void ReadPorts(const Path& path, size_t index, proto::PortRange& ports) {
    const JsonNode& node = Node(index);
    uint32_t first = 0;
    uint32_t last = 0;
    if (node.kind == Kind::kUnsigned && node.number <= 0xffff) {
      first = last = static_cast<uint32_t>(node.number);
    } else if (const absl::StatusOr<PortRange> range = ParsePortRange(
                   node.kind == Kind::kString ? tree_.String(node)
                                              : absl::string_view());
               range.ok()) {
      first = range->first;
      last = range->last;
    } else {
      return Unexpected(node, path, "a port (0 to 65535) or \"FIRST-LAST\"");
    }
    ports.set_first(first);
    ports.set_last(last);
  }

  void ReadProtocol(const Path& path, size_t index, proto::NetworkRule& rule) {
    const JsonNode& node = Node(index);
    if (node.kind == Kind::kUnsigned && node.number >= 1 &&
        node.number <= 255) {
      rule.set_protocol(static_cast<uint32_t>(node.number));
      return;
    }
    if (node.kind == Kind::kString) {
      const absl::StatusOr<uint8_t> protocol =
          ParseProtocol(tree_.String(node));
      if (protocol.ok()) return rule.set_protocol(*protocol);
    }
    Unexpected(node, path, "a protocol, such as \"tcp\", or 1 to 255");
  }

  void ReadNetworkRule(const Path& path, size_t index,
                       std::initializer_list<absl::string_view> fields,
                       proto::NetworkRule& rule) {
    ReadObject(path, index, fields, [&](const Path& member, size_t value) {
      if (member.field == "action") {
        const int word = ReadWord(member, value, {"allow", "deny"});
        if (word == 0) rule.set_action(proto::ACTION_ALLOW);
        if (word == 1) rule.set_action(proto::ACTION_DENY);
      } else if (member.field == "prefix") {
        const auto prefix = ReadString(member, value);
        if (prefix.has_value()) rule.set_prefix(*prefix);
      } else if (member.field == "protocol") {
        ReadProtocol(member, value, rule);
      } else if (member.field == "ports") {
        ReadPorts(member, value, *rule.mutable_ports());
      } else if (member.field == "direction") {
        const int word = ReadWord(member, value, {"in", "out"});
        if (word == 0) rule.set_direction(proto::RULE_DIRECTION_IN);
        if (word == 1) rule.set_direction(proto::RULE_DIRECTION_OUT);
      } else {
        const auto interface = ReadString(member, value);
        if (interface.has_value()) rule.set_interface(*interface);
      }
    });
  }

  void ReadRange(const Path& path, size_t index,
                 proto::DocumentUidRange& range) {
    const JsonNode& node = Node(index);
    if (node.kind == Kind::kUnsigned && node.number <= ToInt(kMaxUid)) {
      range.set_first(static_cast<uint32_t>(node.number));
      range.set_last(static_cast<uint32_t>(node.number));
    } else if (node.kind != Kind::kString ||
               !ParseRange(tree_.String(node), range)) {
      Unexpected(node, path, "a uid (0 to 4294967294) or \"FIRST-LAST\"");
    }
  }

  void ReadDefaults(const Path& path, size_t index,
                    proto::DocumentDefaults& defaults) {
    ReadObject(path, index,
               {"rule", "internet", "local_network", "lockdown", "interfaces",
                "network_rules"},
               [&](const Path& member, size_t value) {
                 ReadSubject(member, value, defaults);
               });
  }

  void ReadChain(const Path& path, size_t index, proto::DocumentChain& chain) {
    ReadObject(
        path, index, {"name", "type", "enabled", "uids"},
        [&](const Path& member, size_t value) {
          if (member.field == "name") {
            const JsonNode& node = Node(value);
            if (node.kind == Kind::kString) {
              chain.set_name(tree_.String(node));
            } else {
              Unexpected(node, member, "a string");
            }
          } else if (member.field == "type") {
            const int word = ReadWord(member, value, {"allowlist", "denylist"});
            if (word == 0) chain.set_type(proto::CHAIN_SENSE_ALLOWLIST);
            if (word == 1) chain.set_type(proto::CHAIN_SENSE_DENYLIST);
          } else if (member.field == "enabled") {
            const absl::optional<bool> enabled = ReadBool(member, value);
            if (enabled.has_value()) chain.set_enabled(*enabled);
          } else {
            ReadArray(member, value, [&](const Path& element, size_t node) {
              ReadRange(element, node, *chain.add_uids());
            });
          }
        });
  }

  void ReadUid(const Path& path, size_t index, proto::DocumentUid& uid) {
    ReadObject(path, index,
               {"uid", "rule", "internet", "update_device_stats", "interfaces",
                "lockdown", "local_network", "network_rules"},
               [&](const Path& member, size_t value) {
                 if (member.field == "uid") {
                   ReadRange(member, value, *uid.mutable_uid());
                 } else if (member.field == "update_device_stats") {
                   const absl::optional<bool> may = ReadBool(member, value);
                   if (may.has_value()) uid.set_update_device_stats(*may);
                 } else {
                   ReadSubject(member, value, uid);
                 }
               });
  }

  const JsonTree& tree_;
  const absl::string_view source_;
  Faults faults_;
};

}  // namespace

absl::StatusOr<PolicyDocument> ParsePolicyJson(absl::string_view text,
                                               absl::string_view source_name) {
  NP_ASSIGN_OR_RETURN(const JsonTree tree,
                      JsonTree::Parse(text, source_name,
                                      {kMaxPolicyJsonBytes, kMaxPolicyJsonDepth,
                                       kMaxPolicyJsonValues}));
  PolicyDocument document;
  Reader reader(tree, source_name);
  reader.ReadDocument(document);
  NP_RETURN_IF_ERROR(reader.status());
  return document;
}

}  // namespace netpolicy
