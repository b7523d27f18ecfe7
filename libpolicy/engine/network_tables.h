// SPDX-License-Identifier: Apache-2.0
//
// The tables of interfaces and network rules (bpf_progs/abi/network.h) in a
// commit: part of Committer.
//
// np_interface, np_discard, np_bind_ports and np_source exist once for each
// slot, as the policy tables do. Sets of rules belong to no slot: what a set
// holds is written before a slot names it and never changes. A set that the
// slot in force does not name is removed when the idle slot is filled the next
// time, since no packet can be judged by it then.

#ifndef NETPOLICY_LIBPOLICY_ENGINE_NETWORK_TABLES_H_
#define NETPOLICY_LIBPOLICY_ENGINE_NETWORK_TABLES_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "bpf_progs/abi/policy.h"
#include "libpolicy/engine/table_writer.h"
#include "libpolicy/engine/tables.h"
#include "libpolicy/model/edit.h"
#include "libpolicy/model/network_image.h"
#include "libpolicy/model/policy.h"

namespace netpolicy {

// Not thread-safe.
class NetworkTables {
 public:
  // `tables` must outlive it.
  explicit NetworkTables(const Tables& tables) : tables_(tables) {}

  // Whether the delta changes anything that Fill() writes.
  static bool Concerns(const Policy& base, const PolicyDelta& delta);

  // Learns what the tables hold for the policy in force. `uids`: its entries of
  // np_uid_policy. Errors: kDataLoss.
  absl::Status Reload(const Policy& policy, const SelectorNumbers& selectors,
                      const np_policy_config& config,
                      const std::vector<np_uid_policy>& uids);

  // Makes the tables of the idle slot those of `policy`, and what sets it
  // needs. Nothing that the slot in force names is touched. Requires that no
  // packet is judged by the idle slot. Errors: kResourceExhausted when it does
  // not fit, found out before anything is written; those of the writer, after
  // which Reload() must follow.
  absl::Status Fill(const Policy& policy, uint32_t slot, TableWriter& writer);

  // The errors that Fill() would give before it writes anything.
  absl::Status Check(const Policy& policy) const {
    return MakePlan(policy, 0).status();
  }

  // Whether Fill() has nothing to do for that slot, if the policy's part in
  // them is as it was the last time.
  bool IsFilled(uint32_t slot) const { return filled_[slot]; }

  // What Fill() or Reload() found out last.
  const NetworkNumbers& numbers() const { return numbers_; }

  // The set of a UID with these rules of its own; 0: none.
  uint32_t SetOf(const NetworkRules& own) const;

 private:
  enum class Use : uint8_t { kUid, kLocalNetwork };
  // By what a set is known: rules of its own, those of the defaults behind
  // them, and what for.
  struct SetKey {
    Use use;
    NetworkRules own;
    NetworkRules defaults;
  };
  struct SetKeyLess {
    bool operator()(const SetKey& a, const SetKey& b) const;
  };
  struct RuleSet {
    uint32_t id = 0;
    std::vector<np_prefix_key> prefixes;
    std::vector<np_prefix> runs;  // of np_network_rule, each once
  };
  using RuleSets = std::map<SetKey, RuleSet, SetKeyLess>;

  // All of a policy, worked out and found to fit.
  struct Plan {
    SelectorNumbers selectors;
    std::vector<SetKey> keys;
    std::vector<std::pair<SetKey, std::vector<CompiledPrefix>>> fresh_sets;
    std::vector<std::pair<np_interface_key, np_interface>> interfaces;
    std::vector<std::pair<np_discard_key, np_discard>> discards;
    std::string source;
  };
  absl::StatusOr<Plan> MakePlan(const Policy& policy, uint32_t slot) const;

  static std::vector<SetKey> KeysOf(const Policy& policy);

  absl::Status RemoveStaleSets(TableWriter& writer);
  absl::Status AddSet(const SetKey& key,
                      const std::vector<CompiledPrefix>& compiled,
                      TableWriter& writer);
  absl::Status FillWords(const Policy& policy, const std::string& source,
                         uint32_t slot, TableWriter& writer);

  // A run of `count` free rules; unset: there is none.
  absl::optional<uint32_t> FindRun(uint32_t count);

  const Tables& tables_;

  NetworkNumbers numbers_;
  RuleSets sets_;                 // that the policy of numbers_ names
  std::vector<RuleSet> stale_;    // in the tables, named by nobody
  std::vector<bool> used_rules_;  // of np_network_rule
  uint32_t next_id_ = 1;
  bool filled_[NP_SLOTS] = {false, false};
};

// np_source of one slot as it is; may be torn while somebody writes it.
struct SourceCopy {
  np_source_header header{};
  std::string bytes;
};
SourceCopy CopySource(const Tables& tables, uint32_t slot);

// kDataLoss when the bytes are not those that the header speaks of.
absl::Status CheckSource(const SourceCopy& source);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_ENGINE_NETWORK_TABLES_H_
