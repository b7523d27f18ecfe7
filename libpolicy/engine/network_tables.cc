// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/engine/network_tables.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/kernel/mapped_array.h"

namespace netpolicy {
namespace {

uint32_t SourceWords(const Tables& tables) {
  return tables.source.map.info().max_entries / NP_SLOTS;
}

uint32_t Crc(const std::string& bytes) {
  return static_cast<uint32_t>(
      crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

absl::Status Full(absl::string_view what, size_t needed, size_t room) {
  return absl::ResourceExhaustedError(
      absl::StrCat("commit policy: ", needed, " ", what, ", room for ", room));
}

bool RulesLess(const NetworkRules& a, const NetworkRules& b) {
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(),
                                      RuleLess);
}

std::string Content(const CompiledPrefix& prefix) {
  return std::string(reinterpret_cast<const char*>(prefix.rules.data()),
                     prefix.rules.size() * sizeof(np_network_rule));
}

// Rules that the lists take, those with the same content once.
size_t CountRules(const std::vector<CompiledPrefix>& prefixes) {
  std::set<std::string> lists;
  size_t count = 0;
  for (const CompiledPrefix& prefix : prefixes) {
    if (lists.insert(Content(prefix)).second) count += prefix.rules.size();
  }
  return count;
}

template <typename Value>
bool SameBytes(const Value& a, const Value& b) {
  return std::memcmp(&a, &b, sizeof(Value)) == 0;
}

template <typename Value>
struct BytesLess {
  bool operator()(const Value& a, const Value& b) const {
    return std::memcmp(&a, &b, sizeof(Value)) < 0;
  }
};

// Makes the entries of one slot in a table these.
template <typename Key, typename Value>
absl::Status FillSlot(const Map<Key, Value>& map, TableWriter& writer,
                      uint32_t slot,
                      const std::vector<std::pair<Key, Value>>& entries) {
  NP_ASSIGN_OR_RETURN(const auto found, map.Dump());
  std::map<Key, Value, BytesLess<Key>> wanted(entries.begin(), entries.end());
  for (const auto& [key, value] : found) {
    if (key.slot != slot) continue;
    const auto want = wanted.find(key);
    if (want == wanted.end()) {
      NP_RETURN_IF_ERROR(writer.Remove(map.raw(), &key));
    } else if (SameBytes(want->second, value)) {
      wanted.erase(want);
    }
  }
  for (const auto& [key, value] : wanted) {
    NP_RETURN_IF_ERROR(writer.Set(map.raw(), &key, &value));
  }
  return absl::OkStatus();
}

}  // namespace

bool NetworkTables::SetKeyLess::operator()(const SetKey& a,
                                           const SetKey& b) const {
  if (a.use != b.use) return a.use < b.use;
  if (RulesLess(a.own, b.own)) return true;
  if (RulesLess(b.own, a.own)) return false;
  return RulesLess(a.defaults, b.defaults);
}

bool NetworkTables::Concerns(const Policy& base, const PolicyDelta& delta) {
  if (delta.network.has_value()) return true;
  if (delta.defaults.has_value() &&
      (delta.defaults->interfaces != base.defaults().interfaces ||
       delta.defaults->network_rules != base.defaults().network_rules)) {
    return true;
  }
  const UidPolicy nothing;
  auto it = base.uids().begin();
  const auto end = base.uids().end();
  for (const auto& [uid, policy] : delta.uids) {
    it = StepTo(uid, base.uids(), it);
    const UidPolicy& before =
        it != end && it->first == uid ? it->second : nothing;
    if (policy.interfaces != before.interfaces ||
        policy.network_rules != before.network_rules) {
      return true;
    }
  }
  return false;
}

std::vector<NetworkTables::SetKey> NetworkTables::KeysOf(const Policy& policy) {
  std::set<SetKey, SetKeyLess> keys;
  const NetworkRules& defaults = policy.defaults().network_rules;
  if (!defaults.empty()) keys.insert({Use::kUid, {}, defaults});
  if (!policy.network().local_network.empty()) {
    keys.insert({Use::kLocalNetwork, policy.network().local_network, {}});
  }
  for (const auto& [uid, entry] : policy.uids()) {
    if (entry.network_rules.empty()) continue;
    keys.insert({Use::kUid, entry.network_rules, defaults});
  }
  return {keys.begin(), keys.end()};
}

uint32_t NetworkTables::SetOf(const NetworkRules& own) const {
  if (own.empty()) return 0;
  // The sets with these rules differ by the defaults, of which one is current.
  auto it = sets_.lower_bound({Use::kUid, own, {}});
  return it != sets_.end() && it->first.own == own ? it->second.id : 0;
}

absl::Status NetworkTables::Reload(const Policy& policy,
                                   const SelectorNumbers& selectors,
                                   const np_policy_config& config,
                                   const std::vector<np_uid_policy>& uids) {
  numbers_ = {.selectors = selectors,
              .default_set = config.default_network_set,
              .local_set = config.local_network_set};
  sets_.clear();
  stale_.clear();
  used_rules_.assign(tables_.network_rules.map.info().max_entries, false);
  filled_[0] = filled_[1] = false;
  next_id_ = 1;

  NP_ASSIGN_OR_RETURN(const auto entries, tables_.prefixes.Dump());
  std::map<uint32_t, RuleSet> by_id;
  for (const auto& [key, value] : entries) {
    if (value.count > NP_NETWORK_LIST_MAX ||
        value.first + value.count > used_rules_.size()) {
      return absl::DataLossError(absl::StrCat("read np_prefix[set=", key.set,
                                              "]: rules beyond the end"));
    }
    RuleSet& set = by_id[key.set];
    set.id = key.set;
    set.prefixes.push_back(key);
    set.runs.push_back(value);
    next_id_ = std::max(next_id_, key.set + 1);
    std::fill_n(used_rules_.begin() + value.first, value.count, true);
  }
  for (auto& [id, set] : by_id) {
    std::sort(set.runs.begin(), set.runs.end(), BytesLess<np_prefix>());
    set.runs.erase(
        std::unique(set.runs.begin(), set.runs.end(), SameBytes<np_prefix>),
        set.runs.end());
  }
  const auto name = [&](uint32_t id, SetKey key) -> absl::Status {
    if (id == 0) return absl::OkStatus();
    if (sets_.count(key) != 0) return absl::OkStatus();
    const auto found = by_id.find(id);
    if (found == by_id.end()) {
      return absl::DataLossError(
          absl::StrCat("read np_prefix: set ", id, " is not there"));
    }
    sets_.emplace(std::move(key), std::move(found->second));
    by_id.erase(found);
    return absl::OkStatus();
  };
  const NetworkRules& defaults = policy.defaults().network_rules;
  NP_RETURN_IF_ERROR(
      name(config.default_network_set, {Use::kUid, {}, defaults}));
  NP_RETURN_IF_ERROR(
      name(config.local_network_set,
           {Use::kLocalNetwork, policy.network().local_network, {}}));
  for (const np_uid_policy& entry : uids) {
    if (entry.network_set == 0) continue;
    NP_RETURN_IF_ERROR(
        name(entry.network_set,
             {Use::kUid, policy.Find(Uid{entry.uid}).network_rules, defaults}));
  }
  for (auto& [id, set] : by_id) stale_.push_back(std::move(set));
  return absl::OkStatus();
}

absl::Status NetworkTables::RemoveStaleSets(TableWriter& writer) {
  while (!stale_.empty()) {
    for (const np_prefix_key& key : stale_.back().prefixes) {
      NP_RETURN_IF_ERROR(writer.Remove(tables_.prefixes.raw(), &key));
    }
    for (const np_prefix& run : stale_.back().runs) {
      std::fill_n(used_rules_.begin() + run.first, run.count, false);
    }
    stale_.pop_back();
  }
  return absl::OkStatus();
}

absl::optional<uint32_t> NetworkTables::FindRun(uint32_t count) {
  uint32_t length = 0;
  for (uint32_t i = 0; i < used_rules_.size(); ++i) {
    length = used_rules_[i] ? 0 : length + 1;
    if (length >= count) return i + 1 - count;
  }
  return absl::nullopt;
}

absl::Status NetworkTables::AddSet(const SetKey& key,
                                   const std::vector<CompiledPrefix>& compiled,
                                   TableWriter& writer) {
  RuleSet set;
  set.id = next_id_++;
  std::map<std::string, np_prefix> known;
  uint32_t hint = 0;
  for (const CompiledPrefix& prefix : compiled) {
    const std::string content = Content(prefix);
    auto run = known.find(content);
    if (run == known.end()) {
      const uint32_t count = static_cast<uint32_t>(prefix.rules.size());
      // Mostly the next rules are free.
      bool free = hint + count <= used_rules_.size();
      for (uint32_t i = 0; free && i < count; ++i) {
        free = !used_rules_[hint + i];
      }
      const absl::optional<uint32_t> first =
          free ? absl::optional<uint32_t>(hint) : FindRun(count);
      if (!first.has_value()) {
        return Full("network rules in a row", count, used_rules_.size());
      }
      for (uint32_t i = 0; i < count; ++i) {
        np_network_rule& rule = tables_.network_rules.array.at(*first + i);
        std::array<__u64, kWords<np_network_rule>> words;
        std::memcpy(words.data(), &prefix.rules[i], sizeof(rule));
        for (size_t word = 0; word < words.size(); ++word) {
          NP_RETURN_IF_ERROR(writer.Store(WordsOf(rule)[word], words[word]));
        }
        used_rules_[*first + i] = true;
      }
      hint = *first + count;
      run = known.emplace(content, np_prefix{*first, count}).first;
      set.runs.push_back(run->second);
    }
    np_prefix_key entry = {};
    entry.prefixlen = NP_PREFIX_SET_BITS + prefix.length;
    entry.set = set.id;
    std::copy(prefix.address.begin(), prefix.address.end(), entry.address);
    NP_RETURN_IF_ERROR(
        writer.Set(tables_.prefixes.raw(), &entry, &run->second));
    set.prefixes.push_back(entry);
  }
  sets_.emplace(key, std::move(set));
  return absl::OkStatus();
}

absl::StatusOr<NetworkTables::Plan> NetworkTables::MakePlan(
    const Policy& policy, uint32_t slot) const {
  Plan plan;
  NP_ASSIGN_OR_RETURN(plan.selectors, numbers_.selectors.Renumber(policy));
  plan.keys = KeysOf(policy);
  size_t prefixes = 0;
  size_t rules = 0;
  for (const SetKey& key : plan.keys) {
    const auto found = sets_.find(key);
    if (found != sets_.end()) {
      prefixes += found->second.prefixes.size();
      for (const np_prefix& run : found->second.runs) rules += run.count;
      continue;
    }
    NP_ASSIGN_OR_RETURN(auto compiled,
                        CompileRuleSet(key.own, key.defaults, plan.selectors));
    prefixes += compiled.size();
    rules += CountRules(compiled);
    plan.fresh_sets.emplace_back(key, std::move(compiled));
  }
  const size_t max_prefixes = tables_.prefixes.info().max_entries / 2;
  if (prefixes > max_prefixes) {
    return Full("prefixes of network rules", prefixes, max_prefixes);
  }
  const size_t max_rules = tables_.network_rules.map.info().max_entries / 2;
  if (rules > max_rules) {
    return Full("network rules", rules, max_rules);
  }
  plan.interfaces =
      CompileInterfaces(policy.network().interfaces, plan.selectors, slot);
  const size_t max_interfaces =
      tables_.interfaces.info().max_entries / NP_SLOTS;
  if (plan.interfaces.size() > max_interfaces) {
    return Full("names of interfaces", plan.interfaces.size(), max_interfaces);
  }
  plan.discards =
      CompileDiscards(policy.network().ingress_discard, plan.selectors, slot);
  const size_t max_discards = tables_.discards.info().max_entries / NP_SLOTS;
  if (plan.discards.size() > max_discards) {
    return Full("addresses with ingress discard", plan.discards.size(),
                max_discards);
  }
  plan.source = SerializeSource(policy, plan.selectors);
  const size_t max_source =
      size_t{SourceWords(tables_)} * 8 - sizeof(np_source_header);
  if (plan.source.size() > max_source) {
    return Full("bytes of network rules and interfaces", plan.source.size(),
                max_source);
  }
  return plan;
}

absl::Status NetworkTables::Fill(const Policy& policy, uint32_t slot,
                                 TableWriter& writer) {
  NP_ASSIGN_OR_RETURN(Plan plan, MakePlan(policy, slot));

  filled_[0] = filled_[1] = false;
  NP_RETURN_IF_ERROR(RemoveStaleSets(writer));
  for (const auto& [key, compiled] : plan.fresh_sets) {
    NP_RETURN_IF_ERROR(AddSet(key, compiled, writer));
  }
  NP_RETURN_IF_ERROR(
      FillSlot(tables_.interfaces, writer, slot, plan.interfaces));
  NP_RETURN_IF_ERROR(FillSlot(tables_.discards, writer, slot, plan.discards));
  NP_RETURN_IF_ERROR(FillWords(policy, plan.source, slot, writer));

  // What the policy does not name is removed the next time.
  RuleSets named;
  for (const SetKey& key : plan.keys) {
    auto node = sets_.extract(key);
    if (!node.empty()) named.insert(std::move(node));
  }
  for (auto& [key, set] : sets_) stale_.push_back(std::move(set));
  sets_ = std::move(named);
  numbers_.selectors = std::move(plan.selectors);
  const auto id_of = [this](const SetKey& key) {
    const auto found = sets_.find(key);
    return found == sets_.end() ? 0 : found->second.id;
  };
  numbers_.default_set =
      id_of({Use::kUid, {}, policy.defaults().network_rules});
  numbers_.local_set =
      id_of({Use::kLocalNetwork, policy.network().local_network, {}});
  filled_[slot] = true;
  return absl::OkStatus();
}

absl::Status NetworkTables::FillWords(const Policy& policy,
                                      const std::string& source, uint32_t slot,
                                      TableWriter& writer) {
  const auto store = [&writer](uint64_t& at, uint64_t value) -> absl::Status {
    __u64& word = *WordsOf(at);
    if (LoadWord(word) == value) return absl::OkStatus();
    return writer.Store(word, value);
  };
  const auto ports = CompileBindPorts(policy.network().blocked_bind_ports);
  for (size_t i = 0; i < ports.size(); ++i) {
    NP_RETURN_IF_ERROR(store(
        tables_.bind_ports.array.at(slot * NP_BIND_PORT_WORDS + i), ports[i]));
  }
  const np_source_header header = {
      .length = static_cast<uint32_t>(source.size()), .crc32 = Crc(source)};
  std::string text(reinterpret_cast<const char*>(&header), sizeof(header));
  text += source;
  text.resize((text.size() + 7) / 8 * 8);
  for (size_t i = 0; i < text.size() / 8; ++i) {
    uint64_t value;
    std::memcpy(&value, text.data() + i * 8, sizeof(value));
    NP_RETURN_IF_ERROR(
        store(tables_.source.array.at(slot * SourceWords(tables_) + i), value));
  }
  return absl::OkStatus();
}

SourceCopy CopySource(const Tables& tables, uint32_t slot) {
  const size_t base = size_t{slot} * SourceWords(tables);
  const auto word = [&](size_t i) {
    return LoadWord(*WordsOf(tables.source.array.at(base + i)));
  };
  SourceCopy copy;
  const uint64_t first = word(0);
  std::memcpy(&copy.header, &first, sizeof(copy.header));
  const size_t room = (size_t{SourceWords(tables)} - 1) * 8;
  const size_t length = std::min<size_t>(copy.header.length, room);
  copy.bytes.resize((length + 7) / 8 * 8);
  for (size_t i = 0; i < copy.bytes.size() / 8; ++i) {
    const uint64_t value = word(i + 1);
    std::memcpy(copy.bytes.data() + i * 8, &value, sizeof(value));
  }
  copy.bytes.resize(length);
  return copy;
}

absl::Status CheckSource(const SourceCopy& source) {
  if (source.header.length == source.bytes.size() &&
      source.header.crc32 == Crc(source.bytes)) {
    return absl::OkStatus();
  }
  return absl::DataLossError("read np_source: the checksum is wrong");
}

}  // namespace netpolicy
