#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "libpolicy/model/document.h"
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

// {"rule": ..., "internet": ...}, with what `message` has, after `members`.
template <typename Message>
std::string JsonRules(std::vector<std::string> members,
                      const Message& message) {
  if (message.has_rule() && message.rule() != proto::ACTION_UNSPECIFIED) {
    members.push_back(message.rule() == proto::ACTION_ALLOW
                          ? "\"rule\": \"allow\""
                          : "\"rule\": \"deny\"");
  }
  if (message.has_internet()) {
    members.push_back(
        absl::StrCat("\"internet\": ", JsonBool(message.internet())));
  }
  return absl::StrCat("{", absl::StrJoin(members, ", "), "}");
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
  return JsonRules(std::move(members), uid);
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

}  // namespace

PolicyDocument ToDocument(const Policy& policy, const PolicyLimits& limits) {
  PolicyDocument document;
  document.set_version(1);
  const PolicyDefaults& defaults = policy.defaults();
  document.mutable_defaults()->set_rule(ActionToProto(defaults.rule));
  document.mutable_defaults()->set_internet(defaults.internet ==
                                            Permission::kGranted);
  for (const Chain& chain : policy.chains()) {
    const std::vector<Uid> uids = policy.ChainMembers(chain.number);
    if (IsAndroidChain(chain.number) && chain.enabled == Switch::kOff &&
        uids.empty()) {
      continue;
    }
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
  const std::map<Uid, UidPolicy>& uids = policy.uids();
  for (auto it = uids.begin(); it != uids.end();) {
    const UidPolicy& said = it->second;
    UidRange range{it->first, it->first};
    for (++it;
         it != uids.end() && ToInt(it->first) == ToInt(range.last) + 1 &&
         it->second.rule == said.rule && it->second.internet == said.internet;
         ++it) {
      range.last = it->first;
    }
    if (!said.rule.has_value() && !said.internet.has_value()) continue;
    Split(range, limits, [&](const proto::DocumentUidRange& piece) {
      proto::DocumentUid& entry = *document.add_uids();
      *entry.mutable_uid() = piece;
      if (said.rule.has_value()) entry.set_rule(ActionToProto(*said.rule));
      if (said.internet.has_value()) {
        entry.set_internet(*said.internet == Permission::kGranted);
      }
    });
  }
  return document;
}

std::string ToJson(const PolicyDocument& document) {
  std::vector<std::string> members;
  if (document.has_version()) {
    members.push_back(absl::StrCat("\"version\": ", document.version()));
  }
  if (document.has_defaults()) {
    members.push_back(
        absl::StrCat("\"defaults\": ", JsonRules({}, document.defaults())));
  }
  members.push_back(JsonList("chains", document.chains(), JsonChain));
  members.push_back(JsonList("uids", document.uids(), JsonUid));
  return absl::StrCat("{\n  ", absl::StrJoin(members, ",\n  "), "\n}\n");
}

}  // namespace netpolicy
