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

// "10100-10199" or "10007" in decimal without leading zeros, nothing else.
bool ParseUid(absl::string_view text, uint32_t& uid) {
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return false;
  for (const char c : text) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return false;
  }
  return absl::SimpleAtoi(text, &uid) && Uid{uid} <= kMaxUid;
}

bool ParseRange(absl::string_view text, proto::DocumentUidRange& range) {
  const size_t dash = text.find('-');
  if (dash == absl::string_view::npos) return false;
  uint32_t first = 0;
  uint32_t last = 0;
  if (!ParseUid(text.substr(0, dash), first) ||
      !ParseUid(text.substr(dash + 1), last)) {
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
        Path(), 0, {"version", "defaults", "chains", "uids"},
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
          } else {
            ReadArray(path, value, [&](const Path& element, size_t node) {
              ReadUid(element, node, *document.add_uids());
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

  // The position among two words; -1 after a fault.
  int ReadWord(const Path& path, size_t index, absl::string_view first,
               absl::string_view second) {
    const JsonNode& node = Node(index);
    if (node.kind == Kind::kString) {
      if (tree_.String(node) == first) return 0;
      if (tree_.String(node) == second) return 1;
    }
    Unexpected(node, path, absl::StrCat("\"", first, "\" or \"", second, "\""));
    return -1;
  }

  template <typename Message>
  void ReadRule(const Path& path, size_t index, Message& message) {
    const int word = ReadWord(path, index, "allow", "deny");
    if (word == 0) message.set_rule(proto::ACTION_ALLOW);
    if (word == 1) message.set_rule(proto::ACTION_DENY);
  }

  template <typename Message>
  void ReadInternet(const Path& path, size_t index, Message& message) {
    const absl::optional<bool> internet = ReadBool(path, index);
    if (internet.has_value()) message.set_internet(*internet);
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
    ReadObject(path, index, {"rule", "internet"},
               [&](const Path& member, size_t value) {
                 if (member.field == "rule") {
                   ReadRule(member, value, defaults);
                 } else {
                   ReadInternet(member, value, defaults);
                 }
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
            const int word = ReadWord(member, value, "allowlist", "denylist");
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
    ReadObject(path, index, {"uid", "rule", "internet"},
               [&](const Path& member, size_t value) {
                 if (member.field == "uid") {
                   ReadRange(member, value, *uid.mutable_uid());
                 } else if (member.field == "rule") {
                   ReadRule(member, value, uid);
                 } else {
                   ReadInternet(member, value, uid);
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
