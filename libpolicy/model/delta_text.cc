#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "bpf_progs/abi/reason.h"
#include "libpolicy/model/edit.h"
#include "libpolicy/model/text.h"

namespace netpolicy {
namespace {

// One line for each run of consecutive UIDs that have the same text.
class Runs {
 public:
  void Add(Uid uid, const std::string& text) { uids_[text].push_back(uid); }

  // Lines "text uid N" or "text uids N-M", by UID, each with `suffix`.
  void AppendTo(std::string& out) {
    std::vector<std::pair<Uid, std::string>> lines;
    for (auto& [text, uids] : uids_) {
      std::sort(uids.begin(), uids.end());
      const size_t mark = text.find('%');
      for (const UidRange& range : CompressUids(uids)) {
        lines.emplace_back(
            range.first,
            absl::StrCat(text.substr(0, mark),
                         range.first == range.last ? "uid " : "uids ",
                         UidRangeName(range), text.substr(mark + 1), "\n"));
      }
    }
    std::sort(lines.begin(), lines.end());
    for (const auto& line : lines) out.append(line.second);
  }

 private:
  std::map<std::string, std::vector<Uid>> uids_;  // '%' in the text: the UIDs
};

const Chain* FindByName(const std::vector<Chain>& chains,
                        absl::string_view name) {
  for (const Chain& chain : chains) {
    if (chain.name == name) return &chain;
  }
  return nullptr;
}

std::string ChainText(const Chain& chain) {
  return absl::StrCat("chain ", chain.name, " (", ChainSenseName(chain.sense),
                      ", ", SwitchName(chain.enabled), ")");
}

// What becomes of one chain: it and its members. Either may be nullptr.
void AppendChain(const Policy& base, const PolicyDelta& delta,
                 const Chain* before, const Chain* after, std::string& out) {
  if (after == nullptr) {
    absl::StrAppend(&out, "- ", ChainText(*before), "\n");
    return;
  }
  if (before == nullptr) {
    absl::StrAppend(&out, "+ ", ChainText(*after), "\n");
  } else {
    if (before->sense != after->sense) {
      absl::StrAppend(&out, "~ chain ", after->name, ": ",
                      ChainSenseName(before->sense), " -> ",
                      ChainSenseName(after->sense), "\n");
    }
    if (before->enabled != after->enabled) {
      absl::StrAppend(&out, "~ chain ", after->name, ": ",
                      SwitchName(before->enabled), " -> ",
                      SwitchName(after->enabled), "\n");
    }
  }
  const uint64_t bit = NP_REASON_BIT(after->number);
  const std::string lists = absl::StrCat(" chain ", after->name, " lists %");
  Runs runs;
  for (const auto& [uid, policy] : delta.uids) {
    const bool was = before != nullptr && (base.Find(uid).chains & bit) != 0;
    const bool is = (policy.chains & bit) != 0;
    if (was != is) runs.Add(uid, absl::StrCat(is ? "+" : "-", lists));
  }
  // A new chain whose number was another's: who was listed in that one and is
  // in this one did not change and so is not in the delta.
  if (before == nullptr && base.FindChain(after->number) != nullptr) {
    for (const Uid uid : base.ChainMembers(after->number)) {
      if (delta.uids.count(uid) == 0) runs.Add(uid, absl::StrCat("+", lists));
    }
  }
  runs.AppendTo(out);
}

// "~ <uids>: <what> allow -> deny", '+' when there was none, '-' when there is
// none any more; nothing when equal.
template <typename T, typename NameFunction>
void AddValue(Uid uid, absl::string_view what, const absl::optional<T>& before,
              const absl::optional<T>& after, NameFunction name, Runs& runs) {
  if (before == after) return;
  if (!before.has_value()) {
    runs.Add(uid, absl::StrCat("+ %: ", what, " ", name(*after)));
  } else if (!after.has_value()) {
    runs.Add(uid, absl::StrCat("- %: ", what, " ", name(*before)));
  } else {
    runs.Add(uid, absl::StrCat("~ %: ", what, " ", name(*before), " -> ",
                               name(*after)));
  }
}

}  // namespace

std::string DeltaToText(const Policy& base, const PolicyDelta& delta) {
  std::string out;
  if (delta.defaults.has_value()) {
    const PolicyDefaults& before = base.defaults();
    const PolicyDefaults& after = *delta.defaults;
    if (before.rule != after.rule) {
      absl::StrAppend(&out, "~ default rule: ", ActionName(before.rule), " -> ",
                      ActionName(after.rule), "\n");
    }
    if (before.internet != after.internet) {
      absl::StrAppend(&out,
                      "~ default internet: ", PermissionName(before.internet),
                      " -> ", PermissionName(after.internet), "\n");
    }
  }

  const std::vector<Chain> before_chains(base.chains().begin(),
                                         base.chains().end());
  const std::vector<Chain>& after_chains =
      delta.chains.has_value() ? *delta.chains : before_chains;
  for (const Chain& before : before_chains) {
    if (FindByName(after_chains, before.name) == nullptr) {
      AppendChain(base, delta, &before, nullptr, out);
    }
  }
  for (const Chain& after : after_chains) {
    const Chain* before = FindByName(before_chains, after.name);
    // A chain that was removed and made again may have another number.
    if (before != nullptr && before->number != after.number) {
      AppendChain(base, delta, before, nullptr, out);
      before = nullptr;
    }
    AppendChain(base, delta, before, &after, out);
  }

  Runs runs;
  for (const auto& [uid, after] : delta.uids) {
    const UidPolicy before = base.Find(uid);
    AddValue(uid, "rule", before.rule, after.rule, ActionName, runs);
    AddValue(uid, "internet", before.internet, after.internet, PermissionName,
             runs);
  }
  runs.AppendTo(out);
  return out;
}

}  // namespace netpolicy
