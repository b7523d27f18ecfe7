// SPDX-License-Identifier: Apache-2.0

#include "netd/cli/fake_policy.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "bpf_progs/abi/reason.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/model/edit.h"

namespace netpolicy::cli {
namespace {

Policy MakePolicy() {
  Policy policy;
  PolicyEdit edit(policy);
  const Transaction transaction = {
      DefineChain{"games", ChainSense::kDenylist},
      SetChainEnabled{"games", Switch::kOn},
      ReplaceChain{"games", {Uid{10002}, Uid{10100}, Uid{10101}, Uid{10102}}},
      SetChainEnabled{"dozable", Switch::kOn},
      ReplaceChain{"dozable", {Uid{0}, Uid{10001}}},
      SetChainMember{"standby", Uid{10001}, Switch::kOn},
      SetUidRule{Uid{10003}, Action::kDeny},
      SetUidRule{Uid{10001}, Action::kAllow},
      SetInternet{Uid{10004}, Permission::kRevoked},
  };
  for (const Change& change : transaction) {
    // A mistake here shows in the first golden.
    if (!edit.Apply(change).ok()) return Policy();
  }
  PolicyEdit::ApplyDelta(edit.Delta(), policy);
  return policy;
}

StatsSnapshot MakeStats() {
  StatsSnapshot stats;
  stats.rows = {
      // 64 segments in 2 skbs.
      {Uid{10001},
       0,
       0,
       IfIndex{2},
       {1234, 1234567, 700, 1200000},
       {2345678, 3456789012345, 80000, 3450000000000}},
      {Uid{10001}, 0, 0, IfIndex{1}, {5, 500, 5, 500}, {5, 500, 5, 500}},
      {Uid{10002}, 0xf00, 1, IfIndex{7}, {1, 60, 1, 60}, {}},
      {kNoOwner, 0, 0, IfIndex{2}, {3, 180, 3, 180}, {2, 2047, 2, 2047}},
  };
  stats.overflow_rx = {10, 1000, 10, 1000};
  stats.overflow_tx = {};
  stats.drops = {
      {Uid{10002},
       Direction::kIngress,
       ReasonSet(NP_REASON_BIT(NP_REASON_USER_CHAIN_0) |
                 NP_REASON_BIT(NP_REASON_DOZABLE)),
       {"dozable", "games"},
       2,
       120},
      {Uid{10003},
       Direction::kEgress,
       ReasonSet(NP_REASON_BIT(NP_REASON_UID_RULE)),
       {"uid_rule"},
       1500,
       90000},
      {Uid{10004},
       Direction::kSocketCreate,
       ReasonSet(NP_REASON_BIT(NP_REASON_INTERNET_PERMISSION)),
       {"internet_permission"},
       4,
       0},
  };
  stats.losses = {{"slow_path", 321}, {"no_socket", 5},  {"socket_storage", 0},
                  {"rows_full", 10},  {"drops_full", 0}, {"unparsable", 0},
                  {"tables", 0},      {"rows_share", 3}, {"rows_taken", 0}};
  return stats;
}

}  // namespace

FakePolicy::FakePolicy() : policy(MakePolicy()), stats(MakeStats()) {
  reasons[Uid{10002}][Direction::kIngress] =
      reasons[Uid{10002}][Direction::kEgress] = {
          {NP_REASON_DOZABLE, "dozable",
           "uid 10002 is not listed in allowlist dozable"},
          {NP_REASON_USER_CHAIN_0, "games",
           "uid 10002 is listed in denylist games"}};
  reasons[Uid{10004}][Direction::kSocketCreate] = {
      {NP_REASON_INTERNET_PERMISSION, "internet_permission",
       "uid 10004 has no permission"}};

  RefusedPeer tcp;
  tcp.direction = Direction::kIngress;
  tcp.remote[10] = tcp.remote[11] = 0xff;
  tcp.remote[12] = 192;
  tcp.remote[14] = 2;
  tcp.remote[15] = 1;
  tcp.protocol = 6;
  tcp.remote_port = 443;
  tcp.explained = reasons[Uid{10002}][Direction::kIngress];
  tcp.reasons = stats.drops[0].reasons;
  tcp.count = 1234;
  tcp.last = absl::FromUnixSeconds(1700003600);
  RefusedPeer ping;
  ping.direction = Direction::kEgress;
  ping.remote = {0x20, 0x01, 0x0d, 0xb8};
  ping.protocol = 58;
  ping.explained = {tcp.explained[1]};
  ping.count = 1;
  ping.last = absl::FromUnixSeconds(1700003599);
  RefusedPeer udp6 = ping;
  udp6.protocol = 17;
  udp6.remote_port = 53;
  refused_peers = {tcp, ping, udp6};

  commits = {
      {Generation{7}, absl::FromUnixSeconds(1700000000), absl::nullopt, ""},
      {Generation{12}, absl::FromUnixSeconds(1700003600),
       CommitAuthor{0, 4711, "ndc uid deny 10003"},
       "+ uid 10003: rule deny\n"}};
  policies = {{Generation{7}, policy}, {Generation{12}, policy}};
  Policy& before = policies[Generation{7}];
  PolicyEdit edit(before);
  if (edit.Apply(SetUidRule{Uid{10003}, absl::nullopt}).ok()) {
    PolicyEdit::ApplyDelta(edit.Delta(), before);
  }

  status.generation = generation;
  status.fenced_generation = Generation{11};
  status.abi_major = 1;
  status.cgroup = "/sys/fs/cgroup";
  status.cgroup_id = 1;
  status.pin_dir = "/sys/fs/bpf/netpolicy";
  status.programs = {{"np_ingress", 101, 201, "0123456789abcdef", 4096, 2345},
                     {"np_egress", 102, 0, "fedcba9876543210", 5120, 3000}};
  status.maps = {{"np_uid_policy", 301, 8192, absl::nullopt, 262144},
                 {"np_rows", 302, 16384, 4, 0}};
  status.losses = stats.losses;
  status.absent_interfaces = {"tun0", "wg*"};
}

absl::StatusOr<Refusals> FakePolicy::Refused(Uid uid, uint32_t max_peers) {
  Refusals refusals;
  refusals.generation = generation;
  refusals.uid = uid;
  for (const DropRow& row : stats.drops) {
    if (row.uid == uid) refusals.drops.push_back(row);
  }
  if (uid == Uid{10002}) refusals.peers = refused_peers;
  if (uid == kNoOwner) {
    refusals.drops = {{kNoOwner,
                       Direction::kIngress,
                       ReasonSet(NP_REASON_BIT(NP_REASON_NO_OWNER)),
                       {"no_owner"},
                       3,
                       180}};
  }
  if (refusals.peers.size() > max_peers) refusals.peers.resize(max_peers);
  return refusals;
}

absl::StatusOr<PolicySnapshot> FakePolicy::GetPolicy() {
  return PolicySnapshot{generation, policy};
}

absl::StatusOr<CommitResult> FakePolicy::Commit(const Transaction& transaction,
                                                const CommitOptions& options) {
  last_options = options;
  if (lost_races > 0) {
    --lost_races;
    return absl::AbortedError("commit policy: lost the race");
  }
  if (options.expected_generation.has_value() &&
      *options.expected_generation != generation) {
    return absl::AbortedError(absl::StrCat(
        "commit policy: generation ", ToInt(generation), " is in force, not ",
        ToInt(*options.expected_generation)));
  }
  PolicyEdit edit(policy);
  for (const Change& change : transaction) {
    NP_RETURN_IF_ERROR(edit.Apply(change));
  }
  CommitResult result;
  result.delta = edit.Delta();
  result.difference = DeltaToText(policy, result.delta);
  if (options.mode == CommitMode::kApply && !result.delta.empty()) {
    PolicyEdit::ApplyDelta(result.delta, policy);
    generation = Generation{ToInt(generation) + 1};
    commits.push_back({generation, absl::FromUnixSeconds(1700007200),
                       CommitAuthor{10001, 815, "ndc"}, result.difference});
    policies[generation] = policy;
    if (options.close_sockets == CloseSockets::kNewlyBlocked) {
      result.closed_sockets = closed_sockets;
    }
  }
  result.generation = generation;
  return result;
}

absl::StatusOr<CommitLogSnapshot> FakePolicy::Log() {
  return CommitLogSnapshot{generation, commits};
}

absl::StatusOr<PolicySnapshot> FakePolicy::PolicyAt(Generation wanted) {
  const auto it = policies.find(wanted);
  if (it == policies.end()) {
    return absl::NotFoundError(
        absl::StrCat("read commit log: no generation ", ToInt(wanted)));
  }
  return PolicySnapshot{wanted, it->second};
}

absl::StatusOr<Explanation> FakePolicy::Explain(const ExplainQuery& query) {
  if (query.interface == "nosuch0") {
    return absl::NotFoundError("explain interface nosuch0: no such interface");
  }
  Explanation explanation;
  explanation.generation = generation;
  explanation.query = query;
  for (const Direction direction :
       {Direction::kIngress, Direction::kEgress, Direction::kSocketCreate}) {
    if (query.direction.value_or(direction) != direction) continue;
    explanation.verdicts.push_back({direction, reasons[query.uid][direction]});
  }
  return explanation;
}

}  // namespace netpolicy::cli
