// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/engine/engine.h"

#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bpf_progs/lib/decision.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/engine/engine_impl.h"
#include "libpolicy/engine/judgement.h"
#include "libpolicy/engine/quota_explain.h"
#include "libpolicy/engine/refusals.h"
#include "libpolicy/engine/snapshot.h"
#include "libpolicy/engine/socket_closer.h"
#include "libpolicy/engine/stats.h"
#include "libpolicy/kernel/errno_status.h"
#include "libpolicy/kernel/link.h"
#include "libpolicy/kernel/pin.h"
#include "libpolicy/model/explain.h"
#include "libpolicy/model/interface.h"
#include "libpolicy/model/interface_names.h"
#include "libpolicy/model/network_image.h"

namespace netpolicy {
namespace {

// Reads that go wrong because somebody commits, before the lock is taken.
constexpr int kAttempts = 100;

// An interface must be there, lest a misspelt name get an answer.
absl::Status CheckInterfaceExists(const std::string& interface) {
  if (interface.empty() || if_nametoindex(interface.c_str()) != 0) {
    return absl::OkStatus();
  }
  return absl::NotFoundError(absl::StrCat("explain: no interface ", interface));
}

// A kind implies its protocol; packets without an owner are all that is asked
// of them.
absl::StatusOr<ExplainQuery> Complete(ExplainQuery query) {
  if (query.kind != PacketKind::kOrdinary) {
    const bool tcp = query.kind != PacketKind::kIcmp6Control;
    const uint8_t protocol =
        tcp ? uint8_t{IPPROTO_TCP} : uint8_t{IPPROTO_ICMPV6};
    if (query.protocol != 0 && query.protocol != protocol) {
      return absl::InvalidArgumentError(
          absl::StrCat("explain: protocol ", query.protocol,
                       " has no packets of that kind, only ",
                       tcp ? "tcp" : "icmp6", " has"));
    }
    query.protocol = protocol;
  }
  if (query.uid == kNoOwner && query.direction.has_value() &&
      *query.direction != Direction::kIngress &&
      *query.direction != Direction::kEgress) {
    return absl::InvalidArgumentError(
        "explain: only packets can be without an owner, calls can't");
  }
  return query;
}

// The directions that the query asks about.
std::vector<Direction> DirectionsOf(const ExplainQuery& query) {
  if (query.direction.has_value()) return {*query.direction};
  std::vector<Direction> directions = {Direction::kIngress, Direction::kEgress};
  if (query.uid == kNoOwner) return directions;
  directions.push_back(Direction::kSocketCreate);
  if (query.remote.has_value()) directions.push_back(Direction::kConnect);
  if (query.local_port.has_value()) directions.push_back(Direction::kBind);
  return directions;
}

// Patterns of the policy that mean no interface there is.
std::vector<std::string> AbsentInterfaces(const Policy& policy) {
  std::vector<std::string> absent = InterfacePatterns(policy);
  if (absent.empty()) return absent;
  struct Free {
    void operator()(struct if_nameindex* list) const { if_freenameindex(list); }
  };
  const std::unique_ptr<struct if_nameindex, Free> interfaces(if_nameindex());
  if (interfaces == nullptr) return {};
  const auto is_there = [&interfaces](const std::string& pattern) {
    for (const struct if_nameindex* each = interfaces.get();
         each->if_index != 0; ++each) {
      if (MatchesPattern(pattern, each->if_name)) return true;
    }
    return false;
  };
  absent.erase(std::remove_if(absent.begin(), absent.end(), is_there),
               absent.end());
  return absent;
}

absl::StatusOr<uint32_t> CountEntries(const RawMap& map) {
  uint32_t count = 0;
  NP_RETURN_IF_ERROR(map.ForEach(
      map.info().max_entries, [&count](const void*, const void*) { ++count; }));
  return count;
}

// What is in force now: another engine may have put its own program into the
// link since this one was opened. With kAdoptOnly either descriptor may be
// missing.
absl::StatusOr<ProgramStatus> StatusOfProgram(const InstalledProgram& program,
                                              const std::string& pin) {
  ProgramStatus status;
  status.name = program.name;
  absl::optional<uint32_t> linked;
  if (program.link.ok()) {
    NP_ASSIGN_OR_RETURN(const CgroupLinkInfo link,
                        ReadCgroupLinkInfo(program.link.get()));
    status.link_id = link.cgroup_id == 0 ? 0 : link.id;
    linked = link.program_id;
  }
  if (!program.program.ok()) return status;
  NP_ASSIGN_OR_RETURN(ProgramInfo info, ReadProgramInfo(program.program.get()));
  if (linked.has_value() && *linked != info.id) {
    const absl::StatusOr<UniqueFd> pinned = OpenPin(pin, PinKind::kProgram);
    if (pinned.ok()) {
      NP_ASSIGN_OR_RETURN(info, ReadProgramInfo(pinned->get()));
    }
  }
  status.id = info.id;
  status.tag = std::move(info.tag);
  status.xlated_bytes = info.xlated_bytes;
  status.jited_bytes = info.jited_bytes;
  return status;
}

}  // namespace

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Engine::~Engine() = default;

absl::StatusOr<std::unique_ptr<Engine>> Engine::Open(
    const EngineOptions& options) {
  NP_ASSIGN_OR_RETURN(Installation installation, Install(options));
  NP_ASSIGN_OR_RETURN(auto writer, MakeKernelTableWriter(*installation.tables));
  return std::unique_ptr<Engine>(new Engine(std::make_unique<Impl>(
      options, std::move(installation), std::move(writer))));
}

absl::Status Engine::Detach(const std::string& pin_dir,
                            absl::Duration lock_timeout) {
  return Uninstall(pin_dir, lock_timeout);
}

const OpenReport& Engine::open_report() const {
  return impl_->installation.report;
}

absl::StatusOr<DirectoryLock> Engine::Impl::Lock(DirectoryLock::Kind kind) {
  return DirectoryLock::Acquire(installation.pin_dir.get(), options.pin_dir,
                                kind, options.lock_timeout);
}

absl::Status Engine::Impl::Read(absl::string_view operation,
                                absl::FunctionRef<void(uint64_t active)> read) {
  const np_control& control = tables().control_entry();
  NP_RETURN_IF_ERROR(CheckReady(control, operation));
  if (ReadStable(control, kAttempts, read)) return absl::OkStatus();
  const absl::MutexLock mutex_lock(&mutex);
  NP_ASSIGN_OR_RETURN(const DirectoryLock lock,
                      Lock(DirectoryLock::Kind::kExclusive));
  // Nobody commits now, but somebody may have died over it.
  committer.CompleteInterrupted();
  read(LoadAcquire(control.active));
  return absl::OkStatus();
}

absl::StatusOr<PolicySnapshot> Engine::GetPolicy() {
  const Tables& tables = impl_->tables();
  TableCopy copy;
  NP_RETURN_IF_ERROR(impl_->Read("read policy", [&](uint64_t active) {
    CopyConfig(tables, active, copy);
    CopyUids(tables, active, copy);
  }));
  NP_ASSIGN_OR_RETURN(Policy policy, DecompileCopy(copy));
  return PolicySnapshot{.generation = copy.generation,
                        .policy = std::move(policy)};
}

absl::StatusOr<CommitResult> Engine::Commit(const Transaction& transaction,
                                            const CommitOptions& options) {
  const absl::MutexLock mutex_lock(&impl_->mutex);
  NP_ASSIGN_OR_RETURN(const DirectoryLock lock,
                      impl_->Lock(DirectoryLock::Kind::kExclusive));
  Committer& committer = impl_->committer;
  if (options.close_sockets == CloseSockets::kNone ||
      options.mode == CommitMode::kDryRun) {
    return committer.Commit(transaction, options);
  }
  const Tables& tables = impl_->tables();
  NP_RETURN_IF_ERROR(CheckReady(tables.control_entry(), "commit policy"));
  committer.CompleteInterrupted();
  const auto slot = [&tables] {
    return np_active_slot(LoadAcquire(tables.control_entry().active));
  };
  SocketCloser closer(tables, impl_->installation.cgroup);
  closer.NoteBlocked(slot());
  NP_ASSIGN_OR_RETURN(CommitResult result,
                      committer.Commit(transaction, options));
  if (!result.delta.empty()) {
    result.closed_sockets = closer.CloseNewlyBlocked(slot());
  }
  return result;
}

absl::StatusOr<Explanation> Engine::Explain(const ExplainQuery& asked) {
  NP_RETURN_IF_ERROR(CheckInterfaceExists(asked.interface));
  NP_ASSIGN_OR_RETURN(const ExplainQuery query, Complete(asked));
  const Place place =
      IsOnLoopback(query) ? Place::kLoopback : Place::kElsewhere;
  const Tables& tables = impl_->tables();
  TableCopy copy;
  std::vector<absl::StatusOr<ReasonSet>> judged;
  absl::Status index_status;
  const std::vector<Direction> directions = DirectionsOf(query);
  NP_RETURN_IF_ERROR(impl_->Read("explain", [&](uint64_t active) {
    const uint32_t slot = np_active_slot(active);
    CopyConfig(tables, active, copy);
    copy.uids.clear();
    // What is said of the UID, and of its app id.
    const uint32_t owner = OwnerOf(copy.config, query);
    for (const uint32_t uid : {owner, np_app_id(&copy.config, owner)}) {
      const auto position = tables.uid_index.Lookup({.uid = uid});
      index_status = position.status();
      if (!position.ok()) return;
      if (position->has_value() && (*position)->position < tables.slot_size() &&
          (copy.uids.empty() || copy.uids[0].uid != uid)) {
        copy.uids.push_back(
            CopyWords(tables.entry(slot, (*position)->position)));
      }
    }
    judged.clear();
    for (const Direction direction : directions) {
      judged.push_back(Judge(tables, slot, query, direction, place));
    }
  }));
  NP_RETURN_IF_ERROR(index_status);
  NP_ASSIGN_OR_RETURN(const Policy policy, DecompileCopy(copy));

  Explanation explanation;
  explanation.generation = copy.generation;
  explanation.query = query;
  for (size_t i = 0; i < directions.size(); ++i) {
    NP_ASSIGN_OR_RETURN(const ReasonSet reasons, judged[i]);
    ExplainedVerdict verdict;
    verdict.direction = directions[i];
    const bool at_create = directions[i] == Direction::kSocketCreate;
    const uint32_t owner = OwnerOf(copy.config, query);
    const Uid subject = Uid{at_create ? np_app_id(&copy.config, owner) : owner};
    absl::optional<PacketFacts> packet;
    if (query.remote.has_value()) {
      packet = PacketFacts{.remote = *query.remote,
                           .protocol = query.protocol,
                           .remote_port = query.remote_port,
                           .direction = directions[i] == Direction::kIngress
                                            ? RuleDirection::kIn
                                            : RuleDirection::kOut,
                           .interface = query.interface};
    }
    for (const int reason : reasons.numbers()) {
      verdict.reasons.push_back(
          {.number = reason,
           .name = policy.ReasonName(reason),
           .detail = ExplainReason(policy, subject, reason, packet)});
    }
    explanation.verdicts.push_back(std::move(verdict));
  }
  NP_RETURN_IF_ERROR(AddExhaustedQuotas(tables, place, explanation));
  return explanation;
}

absl::StatusOr<StatsSnapshot> Engine::Stats() {
  const Tables& tables = impl_->tables();
  TableCopy copy;
  NP_RETURN_IF_ERROR(impl_->Read("read stats", [&](uint64_t active) {
    CopyConfig(tables, active, copy);
  }));
  NP_ASSIGN_OR_RETURN(const Policy policy, DecompileCopy(copy));
  return ReadStats(tables, policy);
}

absl::StatusOr<Refusals> Engine::Refused(Uid uid, uint32_t max_peers) {
  NP_ASSIGN_OR_RETURN(const PolicySnapshot snapshot, GetPolicy());
  return ReadRefusals(impl_->tables(), snapshot, uid, max_peers);
}

absl::Status Engine::OutdateVerdicts() {
  const absl::MutexLock mutex_lock(&impl_->mutex);
  NP_ASSIGN_OR_RETURN(const DirectoryLock lock,
                      impl_->Lock(DirectoryLock::Kind::kExclusive));
  return impl_->committer.OutdateVerdicts();
}

absl::StatusOr<EngineStatus> Engine::Status() {
  const Tables& tables = impl_->tables();
  const np_control& control = tables.control_entry();
  NP_RETURN_IF_ERROR(CheckReady(control, "read status"));
  EngineStatus status;
  status.generation =
      Generation{np_active_generation(LoadAcquire(control.active))};
  status.fenced_generation = Generation{LoadWord(control.fenced_generation)};
  status.abi_major = control.abi_major;
  status.abi_minor = control.abi_minor;
  status.cgroup = impl_->installation.cgroup.path;
  status.cgroup_id = impl_->installation.cgroup.id;
  status.pin_dir = impl_->options.pin_dir;
  for (const InstalledProgram& program : impl_->installation.programs) {
    NP_ASSIGN_OR_RETURN(
        ProgramStatus entry,
        StatusOfProgram(program, absl::StrCat(impl_->options.pin_dir,
                                              "/programs/", program.name)));
    status.programs.push_back(std::move(entry));
  }
  for (const RawMap* map : tables.All()) {
    NP_ASSIGN_OR_RETURN(MapInfo info, ReadMapInfo(map->fd()));
    MapStatus entry{.name = std::move(info.name),
                    .id = info.id,
                    .max_entries = info.max_entries,
                    .used_entries = absl::nullopt,
                    .memory_bytes = info.memory_bytes};
    if (map == &tables.uid_index.raw() || map == &tables.rows.raw() ||
        map == &tables.counter_sets.raw() || map == &tables.drops.raw()) {
      NP_ASSIGN_OR_RETURN(entry.used_entries, CountEntries(*map));
    }
    status.maps.push_back(std::move(entry));
  }
  NP_ASSIGN_OR_RETURN(status.losses, ReadLosses(tables));
  TableCopy copy;
  NP_RETURN_IF_ERROR(impl_->Read("read policy", [&](uint64_t active) {
    CopyConfig(tables, active, copy);
  }));
  // Which has every interface that the policy names, without the UIDs' rules.
  NP_ASSIGN_OR_RETURN(const NetworkSource source,
                      ParseSource(copy.source.bytes));
  status.absent_interfaces = AbsentInterfaces(source.policy);
  return status;
}

}  // namespace netpolicy
