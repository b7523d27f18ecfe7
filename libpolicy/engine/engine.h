// SPDX-License-Identifier: Apache-2.0
//
// The policy engine in this process: loads the programs or adopts those that
// are pinned, commits policies, explains and counts.
//
//   NP_ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine, Engine::Open({}));
//   NP_RETURN_IF_ERROR(engine->Commit({SetUidRule{Uid{10007}, Action::kDeny}},
//   {})
//                          .status());
//   engine.reset();                                   // stays in force
//   NP_RETURN_IF_ERROR(Engine::Detach(pin_dir));      // ends it

#ifndef NETPOLICY_LIBPOLICY_ENGINE_ENGINE_H_
#define NETPOLICY_LIBPOLICY_ENGINE_ENGINE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "libpolicy/engine/charging.h"
#include "libpolicy/engine/engine_options.h"
#include "libpolicy/engine/policy_interface.h"
#include "libpolicy/engine/quota.h"
#include "libpolicy/kernel/ring_reader.h"

namespace netpolicy {

class QuotaTables;

// Several engines, also in several processes, may be open on one pin directory;
// commits take turns. Thread-safe. No threads of its own, no log, no global
// state but, during Open(), libbpf's print function.
class Engine final : public PolicyInterface, public ChargingService {
 public:
  // When there is nothing in options.pin_dir yet: creates tables with the
  // initial policy as generation 1, loads the programs, attaches them to the
  // cgroup. Else takes over what is pinned: tables and policy stay as they are;
  // programs that differ from this version's are replaced without a packet
  // unjudged; missing links are made again. On an error, of what was there
  // nothing is changed (save that programs before the one that failed may have
  // been replaced), and of what was not there nothing is left.
  //
  // Needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON (or CAP_SYS_ADMIN for the
  // first and third), and the right to write to the pin directory.
  //
  // Errors: kPermissionDenied naming the capability; kNotFound (cgroup, bpffs
  // directory; nothing to adopt); kFailedPrecondition (not a cgroup v2
  // directory, not a bpffs, pins of another version, links to another cgroup, a
  // kernel that can't run the programs); kInvalidArgument (sizes);
  // kResourceExhausted (memory; tables too small for the initial policy);
  // kUnavailable (another process keeps the lock); kDataLoss (tables that
  // contradict themselves).
  static absl::StatusOr<std::unique_ptr<Engine>> Open(
      const EngineOptions& options);

  // Ends enforcement and removes everything pinned in `pin_dir`, and the
  // directory. That there is nothing is no error. Engines that are open on it
  // fail from then on with kFailedPrecondition. Errors, which change nothing:
  // kFailedPrecondition when something is there that this version does not
  // make; kPermissionDenied; kUnavailable.
  static absl::Status Detach(const std::string& pin_dir,
                             absl::Duration lock_timeout = absl::Seconds(5));

  // Leaves enforcement in place.
  ~Engine() override;

  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // What Open() found and did.
  const OpenReport& open_report() const;

  absl::StatusOr<PolicySnapshot> GetPolicy() override;
  absl::StatusOr<CommitResult> Commit(const Transaction& transaction,
                                      const CommitOptions& options) override;
  absl::StatusOr<Explanation> Explain(const ExplainQuery& query) override;
  absl::StatusOr<StatsSnapshot> Stats() override;
  absl::StatusOr<Refusals> Refused(Uid uid, uint32_t max_peers) override;
  absl::StatusOr<EngineStatus> Status() override;

  // The process may charge whom it likes: it can write the tables anyway.
  absl::Status TagSocket(int socket, const SocketTag& tag) override;
  absl::Status SetCounterSet(Uid uid, uint32_t counter_set) override;
  absl::StatusOr<std::vector<UidCounterSet>> CounterSets() override;
  // For a service that hands on what others ask for.
  absl::Status TagSocketFor(Uid caller, int socket,
                            const SocketTag& tag) override;
  absl::Status SetCounterSetFor(Uid caller, Uid uid,
                                uint32_t counter_set) override;

  // Gives the same policy a new generation: no socket goes on by a verdict of
  // before. For when something changed that rules look at and the programs are
  // not told of, such as the name of an interface. Errors: those of a commit.
  absl::Status OutdateVerdicts();

  // Quotas (quota.h). Each call does all of what it says or nothing. All:
  // kFailedPrecondition when detached, kUnavailable when another process keeps
  // the lock.
  //
  // From when it returns, every packet is charged. The same but for the limit
  // as one that is there: changes that one's limit. `zone` says when days and
  // months begin. Errors: kInvalidArgument; kResourceExhausted when the subject
  // has 4 already, or all have 1023 together.
  absl::StatusOr<QuotaId> SetQuota(const QuotaDefinition& definition,
                                   absl::TimeZone zone = absl::LocalTimeZone());
  // Errors: kNotFound.
  absl::Status RemoveQuota(QuotaId id);
  // Begins a period with nothing used. Errors: kNotFound.
  absl::Status ResetQuota(QuotaId id);
  // By id.
  absl::StatusOr<std::vector<Quota>> Quotas();

  // Puts quotas that Quotas() returned into tables that are new. Does nothing
  // if a quota was ever set in these; returns how many it put there.
  absl::StatusOr<int> RestoreQuotas(absl::Span<const Quota> quotas);

  // Begins the periods that are due. Somebody must call it when the time that
  // it returns has come, and when the clock was set.
  absl::StatusOr<absl::Time> RestartQuotaPeriods(absl::Time now,
                                                 absl::TimeZone zone);

  // Crossings that nobody was told of yet. Once the caller has told (and
  // written down, to be sure) it acknowledges, and the crossing is not returned
  // any more. A quota has one crossing a period; of one that is not fetched
  // until the next is crossed only that one is known. Errors: kNotFound when
  // the quota is gone.
  absl::StatusOr<std::vector<QuotaCrossing>> QuotaCrossings();
  absl::Status AcknowledgeQuotaCrossing(const QuotaCrossing& crossing);

  // Something to wait with until there may be crossings: readable then, also
  // when that was before; to be drained before QuotaCrossings() is called. One
  // at a time, of all engines on these tables; must not outlive the engine.
  absl::StatusOr<RingReader> OpenQuotaWake() const;

 private:
  friend class EnginePeer;
  struct Impl;

  explicit Engine(std::unique_ptr<Impl> impl);

  absl::StatusOr<bool> MayChargeOthers(absl::string_view operation, Uid caller);

  template <typename Use>
  auto WithQuotas(absl::string_view operation, Use use)
      -> decltype(use(std::declval<QuotaTables&>()));

  std::unique_ptr<Impl> impl_;
};

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_ENGINE_ENGINE_H_
