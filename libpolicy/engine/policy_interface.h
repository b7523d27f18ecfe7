#ifndef NETPOLICY_LIBPOLICY_ENGINE_POLICY_INTERFACE_H_
#define NETPOLICY_LIBPOLICY_ENGINE_POLICY_INTERFACE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "libpolicy/model/edit.h"
#include "libpolicy/model/ids.h"
#include "libpolicy/model/policy.h"
#include "libpolicy/model/reason.h"

namespace netpolicy {

// The policy in force, with the number it was committed under.
struct PolicySnapshot {
  Generation generation{};
  Policy policy;
};

enum class Fence : uint8_t {
  kNone,  // packets that are being judged while Commit() returns may still meet
          // the old policy
  kWait,  // when Commit() has returned, no packet is judged by an older policy
          // (some milliseconds)
};

enum class CommitMode : uint8_t {
  kApply,
  kDryRun,  // work out and check everything, change nothing
};

// Sockets that have a peer, in the network namespace of who commits (of netd,
// through a client): connections of TCP, also those that are being made, and
// datagram sockets that have been connected. Android: SOCK_DESTROY when a
// chain is enabled.
enum class CloseSockets : uint8_t {
  kNone,
  // Those are closed that the policy lets through before the commit, and after
  // it refuses for certain: with any packet of a connection, with packets in
  // both directions of a datagram socket, on the interface that they take.
  // Never those to this machine itself, nor those of cgroups that are not
  // governed. Their processes get ECONNABORTED at once.
  kNewlyBlocked,
};

// Who asked for a commit.
struct CommitAuthor {
  uint32_t uid = 0;     // in the initial user namespace
  int32_t pid = 0;      // of the process, which may be gone
  std::string command;  // its command line, perhaps cut

  friend bool operator==(const CommitAuthor&, const CommitAuthor&) = default;
};

struct CommitOptions {
  // Compare and swap: commit only if this is the generation in force.
  absl::optional<Generation> expected_generation = absl::nullopt;
  Fence fence = Fence::kNone;
  CommitMode mode = CommitMode::kApply;
  CloseSockets close_sockets = CloseSockets::kNone;
  // For who keeps a log of commits; an Engine keeps none. Of a commit through
  // netd it is what the kernel says of the peer, whatever the client put here.
  absl::optional<CommitAuthor> author = absl::nullopt;
};

struct ClosedSockets {
  uint64_t closed = 0;
  uint64_t failed = 0;  // blocked, but still there
  // Of the first that failed, or why they could not even be looked at. The
  // policy is in force all the same, and blocks them. kFailedPrecondition: the
  // kernel can't; kPermissionDenied: the process may not (CAP_NET_ADMIN).
  absl::Status error;

  friend bool operator==(const ClosedSockets&, const ClosedSockets&) = default;
};

struct CommitResult {
  Generation generation{};  // in force after the call; as before when nothing
                            // changed or on dry run
  PolicyDelta delta;        // against the policy before
  std::string difference;   // DeltaToText() of it
  // Set when it was asked for and the policy changed.
  absl::optional<ClosedSockets> closed_sockets = absl::nullopt;
};

// Kinds of packets that some rules let pass. ESP is one by its protocol.
enum class PacketKind : uint8_t {
  kOrdinary,
  kTcpReset,
  kTcpFin,        // lets only received ones pass
  kIcmp6Control,  // Packet Too Big, and neighbour discovery: router and
                  // neighbour solicitation and advertisement, redirect
};

// "Would this UID get through?"
struct ExplainQuery {
  Uid uid{};                   // kNoOwner: a packet without an owner
  std::string interface = "";  // a name in the engine's network namespace;
                               // empty: any but loopback
  absl::optional<Direction> direction =
      absl::nullopt;  // unset: every one; kConnect only with `remote`, kBind
                      // only with `local_port`

  // The packet, as far as it is known. Rules about an address that is not said
  // are left out.
  absl::optional<AddressBytes> remote = absl::nullopt;
  absl::optional<AddressBytes> local = absl::nullopt;
  uint8_t protocol = 0;  // IPPROTO_*; 0: one that no rule names
  absl::optional<uint16_t> remote_port = absl::nullopt;  // unset: unreadable
  absl::optional<uint16_t> local_port = absl::nullopt;
  // Instead of what the policy says of the interface.
  absl::optional<Switch> metered = absl::nullopt;
  // A kind implies its protocol.
  PacketKind kind = PacketKind::kOrdinary;
  uint32_t tag = 0;  // of the socket: settings may name that of the resolver
};

struct ExplainedReason {
  int number = 0;
  std::string name;    // Policy::ReasonName()
  std::string detail;  // what gave it, e.g. "uid 10007 is not listed in
                       // allowlist dozable"
};

struct ExplainedVerdict {
  Direction direction = Direction::kEgress;
  std::vector<ExplainedReason> reasons;  // empty: allowed
};

struct Explanation {
  Generation generation{};  // the policy that answered
  ExplainQuery query;
  std::vector<ExplainedVerdict> verdicts;  // by direction
};

// Layer-3 packets and bytes as on the wire, and the skbs that carried them (a
// GSO or GRO super-packet, or a datagram before fragmentation, is one skb).
struct TrafficCounters {
  uint64_t packets = 0;
  uint64_t bytes = 0;
  uint64_t skbs = 0;
  uint64_t skb_bytes = 0;
};

struct StatsRow {
  Uid uid{};
  uint32_t tag = 0;
  uint32_t counter_set = 0;
  IfIndex ifindex{};
  TrafficCounters rx;
  TrafficCounters tx;
};

struct DropRow {
  Uid uid{};
  Direction direction = Direction::kIngress;
  ReasonSet reasons;
  std::vector<std::string>
      reason_names;      // under the policy in force at reading
  uint64_t packets = 0;  // calls for kSocketCreate
  uint64_t bytes = 0;
};

// How often something fell back or was not recorded (bpf_progs/abi/loss.h).
struct LossCounter {
  std::string name;  // "slow_path", "rows_full", ...
  uint64_t count = 0;
};

// Counters since the tables were made. They only grow.
struct StatsSnapshot {
  std::vector<StatsRow> rows;   // by uid, tag, counter set, interface
  TrafficCounters overflow_rx;  // passed, but no row could be made for it
  TrafficCounters overflow_tx;
  std::vector<DropRow> drops;       // by uid, direction, reasons
  std::vector<LossCounter> losses;  // every kind, also those at 0
};

// A peer of which something was refused.
struct RefusedPeer {
  Direction direction = Direction::kIngress;
  AddressBytes remote{};
  uint8_t protocol = 0;      // IPPROTO_*; 0: not known
  uint16_t remote_port = 0;  // 0: has none, or not known
  ReasonSet reasons;         // of the last time
  // What in the policy in force gives them; nothing may, when it has changed.
  std::vector<ExplainedReason> explained;
  uint64_t count = 0;  // skbs, or calls
  absl::Time last;
};

// What was refused to one UID.
struct Refusals {
  Generation generation{};     // the policy in force, which names the reasons
  Uid uid{};                   // kNoOwner: to packets without an owner
  std::vector<DropRow> drops;  // all since the tables were made
  std::vector<RefusedPeer> peers;  // that are remembered; the latest first
};

struct ProgramStatus {
  std::string name;
  uint32_t id = 0;       // kernel's program id; 0: not pinned
  uint32_t link_id = 0;  // 0: not attached
  std::string tag;       // the kernel's hash of the instructions, hexadecimal
  uint32_t xlated_bytes = 0;
  uint32_t jited_bytes = 0;
};

struct MapStatus {
  std::string name;
  uint32_t id = 0;
  uint32_t max_entries = 0;
  absl::optional<uint32_t> used_entries;  // unset where it has no meaning
  uint64_t memory_bytes =
      0;  // as the kernel says in fdinfo; 0: it does not say
};

struct EngineStatus {
  Generation generation{};
  Generation fenced_generation{};
  uint32_t abi_major = 0;
  uint32_t abi_minor = 0;
  std::string cgroup;  // path it was opened with, or found at its links
  uint64_t cgroup_id = 0;
  std::string pin_dir;
  std::vector<ProgramStatus> programs;
  std::vector<MapStatus> maps;
  std::vector<LossCounter> losses;
  // Names and PREFIX* that the policy means interfaces by and that none has now
  // in the engine's network namespace; ascending. A misspelt one is here for
  // ever.
  std::vector<std::string> absent_interfaces;
};

// What can be asked of a network policy, in this process (Engine) or of a
// running netd (netd/service Client). All calls are thread-safe and block.
// Values returned are the caller's own.
class PolicyInterface {
 public:
  virtual ~PolicyInterface() = default;

  // The policy in force, read back from the kernel's tables.
  virtual absl::StatusOr<PolicySnapshot> GetPolicy() = 0;

  // Makes the changes take effect together, or none of them. A transaction that
  // changes nothing is OK and keeps the generation. Errors, all of which change
  // nothing: kInvalidArgument and kNotFound as at each Change, kAborted when
  // options.expected_generation is not in force, kResourceExhausted when the
  // tables are too small, kPermissionDenied, kUnavailable when another process
  // holds the commit lock too long.
  virtual absl::StatusOr<CommitResult> Commit(const Transaction& transaction,
                                              const CommitOptions& options) = 0;

  // The verdict of the very code that the programs run, over the tables they
  // read. Errors: kInvalidArgument for a kind of packet that its protocol does
  // not have; kNotFound for an unknown interface.
  virtual absl::StatusOr<Explanation> Explain(const ExplainQuery& query) = 0;

  virtual absl::StatusOr<StatsSnapshot> Stats() = 0;

  // What was refused to `uid` (or kNoOwner), with at most `max_peers` of the
  // peers that the kernel remembers.
  virtual absl::StatusOr<Refusals> Refused(Uid uid, uint32_t max_peers) = 0;

  virtual absl::StatusOr<EngineStatus> Status() = 0;
};

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_ENGINE_POLICY_INTERFACE_H_
