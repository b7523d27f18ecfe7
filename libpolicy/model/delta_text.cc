#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
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
  void Add(std::vector<Uid> uids, const std::string& text) {
    if (!uids.empty()) uids_[text] = std::move(uids);
  }

  // Lines "text uid N" or "text uids N-M", by UID and then by the line.
  void AppendTo(std::string& out) {
    const auto before = [](const Line& a, const Line& b) {
      if (a.range.first != b.range.first) return a.range.first < b.range.first;
      std::string text_of_a;
      std::string text_of_b;
      a.AppendTo(text_of_a);
      b.AppendTo(text_of_b);
      return text_of_a < text_of_b;
    };
    std::vector<Line> lines;
    for (auto& [text, uids] : uids_) {
      if (!std::is_sorted(uids.begin(), uids.end())) {
        std::sort(uids.begin(), uids.end());
      }
      const auto sorted = static_cast<std::ptrdiff_t>(lines.size());
      for (const UidRange& range : CompressUids(uids)) {
        lines.push_back({range, &text});
      }
      // Few texts with many lines each, or the other way round.
      if (uids_.size() == 2) {
        std::inplace_merge(lines.begin(), lines.begin() + sorted, lines.end(),
                           before);
      }
    }
    if (uids_.size() > 2) std::sort(lines.begin(), lines.end(), before);
    for (const Line& line : lines) line.AppendTo(out);
  }

 private:
  struct Line {
    UidRange range;
    const std::string* text;

    void AppendTo(std::string& out) const {
      const absl::string_view whole = *text;
      const size_t mark = whole.find('%');
      absl::StrAppend(&out, whole.substr(0, mark),
                      range.first == range.last ? "uid " : "uids ",
                      UidRangeName(range), whole.substr(mark + 1), "\n");
    }
  };

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

// What becomes of one UID.
struct UidChange {
  Uid uid{};
  const UidPolicy* before = nullptr;
  const UidPolicy* after = nullptr;
};

std::vector<UidChange> UidChanges(const Policy& base,
                                  const PolicyDelta& delta) {
  static const UidPolicy kNothing;
  std::vector<UidChange> changes;
  changes.reserve(delta.uids.size());
  auto it = base.uids().begin();
  const auto end = base.uids().end();
  for (const auto& [uid, after] : delta.uids) {
    it = StepTo(uid, base.uids(), it);
    const bool found = it != end && it->first == uid;
    changes.push_back({uid, found ? &it->second : &kNothing, &after});
  }
  return changes;
}

// What becomes of one chain: it and its members. Either may be nullptr.
void AppendChain(const Policy& base, const PolicyDelta& delta,
                 const std::vector<UidChange>& changes, const Chain* before,
                 const Chain* after, std::string& out) {
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
  std::vector<Uid> added;
  std::vector<Uid> removed;
  for (const UidChange& change : changes) {
    const bool was = before != nullptr && (change.before->chains & bit) != 0;
    const bool is = (change.after->chains & bit) != 0;
    if (was != is) (is ? added : removed).push_back(change.uid);
  }
  // A new chain whose number was another's: who was listed in that one and is
  // in this one did not change and so is not in the delta.
  if (before == nullptr && base.FindChain(after->number) != nullptr) {
    for (const Uid uid : base.ChainMembers(after->number)) {
      if (delta.uids.count(uid) == 0) added.push_back(uid);
    }
  }
  Runs runs;
  runs.Add(std::move(added), absl::StrCat("+", lists));
  runs.Add(std::move(removed), absl::StrCat("-", lists));
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

// What a list says, for AddValue(); nothing when it is empty.
absl::optional<std::string> ListText(const std::vector<std::string>& names) {
  if (names.empty()) return absl::nullopt;
  return absl::StrJoin(names, " ");
}

absl::string_view Same(const std::string& text) { return text; }

// The elements of `a` that aren't in `b`; both in order.
template <typename T, typename Less>
std::vector<T> Without(const std::vector<T>& a, const std::vector<T>& b,
                       Less less) {
  std::vector<T> rest;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(),
                      std::back_inserter(rest), less);
  return rest;
}

// Calls `add('-' or '+', rule)` for each that was removed or added.
template <typename Function>
void ForEachRule(const NetworkRules& before, const NetworkRules& after,
                 Function add) {
  if (before == after) return;
  for (const NetworkRule& rule : Without(before, after, RuleLess)) {
    add("-", rule);
  }
  for (const NetworkRule& rule : Without(after, before, RuleLess)) {
    add("+", rule);
  }
}

// "~ default what: allow -> deny".
template <typename T, typename NameFunction>
void AppendValue(absl::string_view what, const T& before, const T& after,
                 NameFunction name, std::string& out) {
  if (before == after) return;
  absl::StrAppend(&out, "~ ", what, ": ", name(before), " -> ", name(after),
                  "\n");
}

void AppendDefaults(const PolicyDefaults& before, const PolicyDefaults& after,
                    std::string& out) {
  const auto selectors = [](const Selectors& interfaces) {
    return ListText(interfaces).value_or("any");
  };
  AppendValue("default rule", before.rule, after.rule, ActionName, out);
  AppendValue("default internet", before.internet, after.internet,
              PermissionName, out);
  AppendValue("default lockdown", before.lockdown, after.lockdown, SwitchName,
              out);
  AppendValue("default local network", before.local_network,
              after.local_network, PermissionName, out);
  AppendValue("default interfaces", before.interfaces, after.interfaces,
              selectors, out);
  ForEachRule(before.network_rules, after.network_rules,
              [&](absl::string_view sign, const NetworkRule& rule) {
                absl::StrAppend(&out, sign, " default network rule ",
                                NetworkRuleText(rule), "\n");
              });
}

std::string ResolverText(const absl::optional<Resolver>& resolver) {
  if (!resolver.has_value()) return "none";
  return absl::StrCat("uid ", ToInt(resolver->uid), " with tag ",
                      resolver->tag);
}

void AppendSettings(const Settings& before, const Settings& after,
                    std::string& out) {
  const auto number = [](uint32_t value) { return absl::StrCat(value); };
  AppendValue("setting uids_per_user", before.uids_per_user,
              after.uids_per_user, number, out);
  AppendValue("setting exempt_below", before.exempt_below, after.exempt_below,
              number, out);
  AppendValue("setting no_owner", before.no_owner, after.no_owner,
              NoOwnerRuleName, out);
  AppendValue("setting closing_packets", before.closing_packets,
              after.closing_packets, ClosingPacketsName, out);
  AppendValue("setting resolver", before.resolver, after.resolver, ResolverText,
              out);
}

// "<what> NAME: <text of it>", by a key that is there once in each list.
template <typename Entry, typename KeyFunction, typename TextFunction>
void AppendEntries(absl::string_view what, const std::vector<Entry>& before,
                   const std::vector<Entry>& after, KeyFunction key,
                   TextFunction text, std::string& out) {
  std::map<std::string, std::pair<const Entry*, const Entry*>> entries;
  for (const Entry& entry : before) entries[key(entry)].first = &entry;
  for (const Entry& entry : after) entries[key(entry)].second = &entry;
  for (const auto& [name, entry] : entries) {
    const auto& [was, is] = entry;
    if (was == nullptr) {
      absl::StrAppend(&out, "+ ", what, " ", name, ": ", text(*is), "\n");
    } else if (is == nullptr) {
      absl::StrAppend(&out, "- ", what, " ", name, ": ", text(*was), "\n");
    } else if (!(*was == *is)) {
      absl::StrAppend(&out, "~ ", what, " ", name, ": ", text(*was), " -> ",
                      text(*is), "\n");
    }
  }
}

std::string InterfaceText(const Interface& interface) {
  std::vector<std::string> words;
  if (interface.metered.has_value()) {
    words.push_back(*interface.metered == Switch::kOn ? "metered"
                                                      : "not metered");
  }
  for (const std::string& name : interface.classes) {
    words.push_back(absl::StrCat("@", name));
  }
  return words.empty() ? "nothing said" : absl::StrJoin(words, " ");
}

void AppendNetwork(const NetworkPolicy& before, const NetworkPolicy& after,
                   std::string& out) {
  AppendSettings(before.settings, after.settings, out);
  AppendEntries(
      "interface", before.interfaces, after.interfaces,
      [](const Interface& interface) { return interface.name; }, InterfaceText,
      out);
  AppendEntries(
      "ingress discard", before.ingress_discard, after.ingress_discard,
      [](const IngressDiscard& discard) {
        return AddressText(discard.address);
      },
      [](const IngressDiscard& discard) {
        return absl::StrCat("but over ",
                            absl::StrJoin(discard.interfaces, " "));
      },
      out);
  ForEachRule(before.local_network, after.local_network,
              [&](absl::string_view sign, const NetworkRule& rule) {
                absl::StrAppend(&out, sign, " local network ",
                                NetworkRuleText(rule), "\n");
              });
  const auto ports = [](const std::vector<PortRange>& ranges) {
    if (ranges.empty()) return std::string("none");
    return absl::StrJoin(ranges, " ",
                         [](std::string* text, const PortRange& range) {
                           text->append(PortRangeText(range));
                         });
  };
  AppendValue("blocked bind ports", before.blocked_bind_ports,
              after.blocked_bind_ports, ports, out);
}

bool DifferInChainsAlone(const UidPolicy& a, const UidPolicy& b) {
  return a.rule == b.rule && a.internet == b.internet &&
         a.lockdown == b.lockdown && a.local_network == b.local_network &&
         a.update_device_stats == b.update_device_stats &&
         a.interfaces == b.interfaces && a.network_rules == b.network_rules;
}

void AddUid(Uid uid, const UidPolicy& before, const UidPolicy& after,
            Runs& runs) {
  if (DifferInChainsAlone(before, after)) return;
  AddValue(uid, "rule", before.rule, after.rule, ActionName, runs);
  AddValue(uid, "internet", before.internet, after.internet, PermissionName,
           runs);
  AddValue(uid, "lockdown", before.lockdown, after.lockdown, SwitchName, runs);
  AddValue(uid, "local network", before.local_network, after.local_network,
           PermissionName, runs);
  if (before.interfaces != after.interfaces) {
    AddValue(uid, "interfaces", ListText(before.interfaces),
             ListText(after.interfaces), Same, runs);
  }
  if (before.update_device_stats != after.update_device_stats) {
    runs.Add(uid, after.update_device_stats == Permission::kGranted
                      ? "+ %: update_device_stats"
                      : "- %: update_device_stats");
  }
  ForEachRule(before.network_rules, after.network_rules,
              [&](absl::string_view sign, const NetworkRule& rule) {
                runs.Add(uid, absl::StrCat(sign, " %: network rule ",
                                           NetworkRuleText(rule)));
              });
}

}  // namespace

std::string DeltaToText(const Policy& base, const PolicyDelta& delta) {
  std::string out;
  if (delta.defaults.has_value()) {
    AppendDefaults(base.defaults(), *delta.defaults, out);
  }
  if (delta.network.has_value()) {
    AppendNetwork(base.network(), *delta.network, out);
  }

  const std::vector<UidChange> changes = UidChanges(base, delta);
  const std::vector<Chain> before_chains(base.chains().begin(),
                                         base.chains().end());
  const std::vector<Chain>& after_chains =
      delta.chains.has_value() ? *delta.chains : before_chains;
  for (const Chain& before : before_chains) {
    if (FindByName(after_chains, before.name) == nullptr) {
      AppendChain(base, delta, changes, &before, nullptr, out);
    }
  }
  for (const Chain& after : after_chains) {
    const Chain* before = FindByName(before_chains, after.name);
    // A chain that was removed and made again may have another number.
    if (before != nullptr && before->number != after.number) {
      AppendChain(base, delta, changes, before, nullptr, out);
      before = nullptr;
    }
    AppendChain(base, delta, changes, before, &after, out);
  }

  Runs runs;
  for (const UidChange& change : changes) {
    AddUid(change.uid, *change.before, *change.after, runs);
  }
  runs.AppendTo(out);
  return out;
}

}  // namespace netpolicy
