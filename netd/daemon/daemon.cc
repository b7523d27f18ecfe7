// SPDX-License-Identifier: Apache-2.0

#include "netd/daemon/daemon.h"

#include <event2/event.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/base/version.h"
#include "libpolicy/engine/engine.h"
#include "libpolicy/kernel/errno_status.h"
#include "libpolicy/kernel/probe.h"
#include "netd/daemon/clat_service.h"
#include "netd/daemon/commit_log.h"
#include "netd/daemon/file.h"
#include "netd/daemon/link_watch.h"
#include "netd/daemon/log.h"
#include "netd/daemon/machine.h"
#include "netd/daemon/persistent_policy.h"
#include "netd/daemon/pin_lock.h"
#include "netd/daemon/privileges.h"
#include "netd/daemon/quota_service.h"
#include "netd/daemon/state_file.h"
#include "netd/daemon/usage_recorder.h"
#include "netd/service/file_lock.h"
#include "netd/service/server.h"

namespace netpolicy {
namespace {

struct EventDeleter {
  void operator()(event_base* base) const { event_base_free(base); }
  void operator()(event* e) const { event_free(e); }
};
template <typename T>
using EventPtr = std::unique_ptr<T, EventDeleter>;

// What ended netd before its time, and how it says so to its caller.
struct Failure {
  ExitCode code;
  absl::Status status;
};

ExitCode Fail(const Failure& failure, const ServiceNotifier* notifier) {
  Log("error", {{"error", failure.status.message()}});
  if (notifier != nullptr) {
    notifier->Send(absl::StrCat("STATUS=", failure.status.message()))
        .IgnoreError();
  }
  return failure.code;
}

// A lock that another netd has is a failure of its own kind.
Failure LockFailure(const absl::Status& status) {
  return {absl::IsUnavailable(status) ? kExitRunning : kExitFailure, status};
}

// Makes the directory that a file goes into, unless it is there. Only the last
// component: a longer path that is missing is rather misspelt.
absl::Status MakeDirectoryFor(const std::string& file, mode_t mode) {
  const std::string directory = DirectoryOf(file);
  if (mkdir(directory.c_str(), mode) == 0 || errno == EEXIST) {
    return absl::OkStatus();
  }
  return StatusFromErrno(errno, absl::StrCat("make directory ", directory));
}

// Logs what the server tells. Reads that succeed are not worth a line.
class LoggingObserver final : public ServerObserver {
 public:
  void OnCall(const Peer& peer, const CallRecord& record) override {
    if (!record.status.ok()) {
      Log("call_failed", {{"call", record.call},
                          {"uid", peer.uid},
                          {"pid", peer.pid},
                          {"error", record.status.message()}});
    } else if (record.call == "commit" && !record.dry_run) {
      Log("commit", {{"uid", peer.uid},
                     {"pid", peer.pid},
                     {"generation", ToInt(record.generation)}});
    } else if (!record.change.empty()) {
      Log("quota_changed",
          {{"uid", peer.uid}, {"pid", peer.pid}, {"change", record.change}});
    }
  }
  void OnDropped(const Peer& peer, const absl::Status& why) override {
    Log("client_dropped",
        {{"uid", peer.uid}, {"pid", peer.pid}, {"error", why.message()}});
  }
  void OnAcceptError(const absl::Status& why) override {
    Log("accept_failed", {{"error", why.message()}});
  }
};

// Everything that is open while netd runs.
class Daemon {
 public:
  Daemon(const DaemonOptions& options, const ServiceNotifier& notifier)
      : options_(options), notifier_(notifier), state_(options.state) {}

  // Unset: OK.
  absl::optional<Failure> Start();

  // Serves until told to stop.
  void Run();

 private:
  absl::optional<Failure> TakeLocks();
  absl::optional<Failure> OpenEngine();
  absl::optional<Failure> Serve();
  bool HandleSignals();

  static void OnSignal(evutil_socket_t signal, int16_t, void* self);
  static void OnWatchdog(evutil_socket_t, int16_t, void* self);
  void Stop(int signal);

  const DaemonOptions& options_;
  const ServiceNotifier& notifier_;
  const StateFile state_;
  absl::optional<FileLock> state_lock_;
  absl::optional<Listener> listener_;
  absl::optional<PinLock> pin_lock_;
  std::unique_ptr<Engine> engine_;
  std::vector<Feature> features_;
  absl::optional<CommitLog> commit_log_;
  std::unique_ptr<PersistentPolicy> policy_;
  std::unique_ptr<RequestHandler> handler_;
  LoggingObserver observer_;
  EventPtr<event_base> base_;
  std::unique_ptr<ClatService> clat_;
  std::unique_ptr<LinkWatch> links_;
  std::unique_ptr<UsageRecorder> usage_;
  std::unique_ptr<QuotaService> quotas_;
  std::vector<EventPtr<event>> events_;
  std::unique_ptr<Server> server_;
  bool stopping_ = false;
};

absl::optional<Failure> Daemon::TakeLocks() {
  absl::Status status = MakeDirectoryFor(options_.socket, 0755);
  if (status.ok()) status = MakeDirectoryFor(options_.state, 0700);
  if (!status.ok()) return Failure{kExitFailure, status};

  absl::StatusOr<Listener> listener =
      Listener::Open(options_.socket, options_.socket_mode);
  if (!listener.ok()) return LockFailure(listener.status());
  listener_.emplace(*std::move(listener));
  absl::StatusOr<FileLock> state_lock =
      FileLock::Acquire(absl::StrCat(options_.state, ".lock"));
  if (!state_lock.ok()) return LockFailure(state_lock.status());
  state_lock_.emplace(*std::move(state_lock));
  absl::StatusOr<absl::optional<PinLock>> pin_lock =
      PinLock::Acquire(options_.engine.pin_dir);
  if (!pin_lock.ok()) return LockFailure(pin_lock.status());
  pin_lock_ = *std::move(pin_lock);
  return absl::nullopt;
}

absl::optional<Failure> Daemon::OpenEngine() {
  absl::StatusOr<absl::optional<Policy>> saved = state_.Load();
  if (!saved.ok()) return Failure{kExitState, saved.status()};

  absl::StatusOr<SavedQuotas> quotas_saved = QuotaService::LoadSaved(options_);
  if (!quotas_saved.ok()) return Failure{kExitState, quotas_saved.status()};

  EngineOptions engine_options = options_.engine;
  if (saved->has_value()) engine_options.initial_policy = **saved;
  engine_options.initial_quotas = quotas_saved->state.quotas;
  absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Open(engine_options);
  if (!engine.ok()) return Failure{kExitFailure, engine.status()};
  engine_ = *std::move(engine);
  // Two netds that were started at once both got here; one of them gets the
  // lock.
  if (!pin_lock_.has_value() || !pin_lock_->IsCurrent()) {
    absl::StatusOr<absl::optional<PinLock>> lock =
        PinLock::Acquire(options_.engine.pin_dir);
    if (!lock.ok()) return LockFailure(lock.status());
    pin_lock_ = *std::move(lock);
  }
  absl::StatusOr<CommitLog> commit_log =
      CommitLog::Open(absl::StrCat(options_.state, ".commits"), {});
  if (!commit_log.ok()) return Failure{kExitState, commit_log.status()};
  commit_log_.emplace(*std::move(commit_log));
  if (commit_log_->damaged_bytes() > 0) {
    Log("commit_log_damaged",
        {{"unreadable_bytes", commit_log_->damaged_bytes()}});
  }
  policy_ = std::make_unique<PersistentPolicy>(
      *engine_, state_, *std::move(saved), *commit_log_,
      [](const absl::Status& status) {
        Log("commit_not_logged", {{"error", status.message()}});
      });
  const absl::Status synced = policy_->Sync();
  if (!synced.ok()) return Failure{kExitState, synced};
  absl::StatusOr<std::unique_ptr<QuotaService>> quotas =
      QuotaService::Open(options_, *std::move(quotas_saved), *engine_);
  if (!quotas.ok()) return Failure{kExitState, quotas.status()};
  quotas_ = *std::move(quotas);

  const OpenReport& report = engine_->open_report();
  if (report.start == OpenReport::Start::kAdopted) {
    Log("adopted", {{"pin_dir", options_.engine.pin_dir},
                    {"programs_kept", report.programs_kept},
                    {"programs_replaced", report.programs_replaced},
                    {"links_created", report.links_created}});
  } else {
    Log("loaded", {{"pin_dir", options_.engine.pin_dir},
                   {"leftovers_removed", report.leftovers_removed}});
  }
  return absl::nullopt;
}

bool Daemon::HandleSignals() {
  base_.reset(event_base_new());
  if (base_ == nullptr) return false;
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
    events_.emplace_back(evsignal_new(base_.get(), signal, &OnSignal, this));
    if (events_.back() == nullptr ||
        evsignal_add(events_.back().get(), nullptr) != 0) {
      return false;
    }
  }
  if (notifier_.watchdog().has_value()) {
    const timeval interval = absl::ToTimeval(*notifier_.watchdog() / 2);
    events_.emplace_back(
        event_new(base_.get(), -1, EV_PERSIST, &OnWatchdog, this));
    if (events_.back() == nullptr ||
        event_add(events_.back().get(), &interval) != 0) {
      return false;
    }
  }
  return true;
}

absl::optional<Failure> Daemon::Serve() {
  if (!HandleSignals()) {
    return Failure{kExitFailure, absl::ResourceExhaustedError(
                                     "make event loop: out of memory")};
  }
  features_ = ProbeFeatures(options_.engine.cgroup, options_.engine.pin_dir);
  if (options_.clat_interfaces.has_value()) {
    absl::StatusOr<std::unique_ptr<ClatService>> clat =
        ClatService::Open(options_, base_.get());
    if (!clat.ok()) return LockFailure(clat.status());
    clat_ = *std::move(clat);
  }
  absl::StatusOr<std::unique_ptr<LinkWatch>> links =
      LinkWatch::Open(*engine_, base_.get());
  if (!links.ok()) return Failure{kExitFailure, links.status()};
  links_ = *std::move(links);
  const absl::Status dropped = DropPrivileges();
  if (!dropped.ok()) return Failure{kExitFailure, dropped};
  handler_ = std::make_unique<RequestHandler>(
      *policy_,
      AccessRules{.own_uid = geteuid(),
                  .read_group = options_.read_group,
                  .change_group = options_.change_group},
      [this]() -> absl::StatusOr<DoctorReport> {
        NP_ASSIGN_OR_RETURN(const EngineStatus status, engine_->Status());
        DoctorReport report = ExamineMachine(features_, &status);
        if (usage_ != nullptr) report.push_back(usage_->Finding());
        report.push_back(quotas_->Finding());
        return report;
      },
      policy_.get());
  handler_->set_charging(engine_.get());
  if (clat_ != nullptr) handler_->set_clat(&clat_->clat());
  if (options_.usage_seconds > 0) {
    absl::StatusOr<std::unique_ptr<UsageRecorder>> usage =
        UsageRecorder::Start(options_, *engine_, base_.get());
    if (!usage.ok()) return Failure{kExitFailure, usage.status()};
    usage_ = *std::move(usage);
    handler_->set_usage(usage_.get());
  }
  const absl::Status quotas = quotas_->Start(base_.get());
  if (!quotas.ok()) return Failure{kExitFailure, quotas};
  handler_->set_quotas(&quotas_->quotas());
  absl::StatusOr<std::unique_ptr<Server>> server =
      Server::Start(base_.get(), *std::exchange(listener_, absl::nullopt),
                    *handler_, ServerLimits{}, observer_);
  if (!server.ok()) return Failure{kExitFailure, server.status()};
  server_ = *std::move(server);
  return absl::nullopt;
}

absl::optional<Failure> Daemon::Start() {
  Log("start", {{"version", kVersion}, {"pid", getpid()}});
  // libevent writes to sockets with writev(2).
  signal(SIGPIPE, SIG_IGN);
  // A state file beyond RLIMIT_FSIZE is an error of write(2) like a full disk.
  signal(SIGXFSZ, SIG_IGN);
  for (const auto step :
       {&Daemon::TakeLocks, &Daemon::OpenEngine, &Daemon::Serve}) {
    absl::optional<Failure> failure = (this->*step)();
    if (failure.has_value()) return failure;
  }
  const absl::StatusOr<EngineStatus> status = engine_->Status();
  if (!status.ok()) return Failure{kExitFailure, status.status()};
  Log("ready", {{"generation", ToInt(status->generation)},
                {"cgroup", status->cgroup},
                {"socket", options_.socket},
                {"capabilities", EffectiveCapabilities()}});
  const absl::Status told = notifier_.Send("READY=1");
  if (!told.ok()) Log("notify_failed", {{"error", told.message()}});
  return absl::nullopt;
}

void Daemon::Run() {
  event_base_dispatch(base_.get());
  server_.reset();
  if (usage_ != nullptr) usage_->Flush().IgnoreError();  // logged
  quotas_->Flush().IgnoreError();                        // logged
  // What others have committed meanwhile.
  const absl::Status synced = policy_->Sync();
  if (!synced.ok()) Log("state_not_saved", {{"error", synced.message()}});
  Log("stopped", {{"enforcement", "on"}});
}

void Daemon::OnSignal(evutil_socket_t signal, int16_t, void* self) {
  static_cast<Daemon*>(self)->Stop(static_cast<int>(signal));
}

void Daemon::OnWatchdog(evutil_socket_t, int16_t, void* self) {
  static_cast<Daemon*>(self)->notifier_.Send("WATCHDOG=1").IgnoreError();
}

void Daemon::Stop(int signal) {
  if (signal == SIGHUP) {
    Log("hangup", {{"ignored", "restart netd to read its configuration"}});
    return;
  }
  if (std::exchange(stopping_, true)) {
    event_base_loopbreak(base_.get());
    return;
  }
  Log("stopping", {{"signal", signal}});
  notifier_.Send("STOPPING=1").IgnoreError();
  server_->Drain([this] { event_base_loopbreak(base_.get()); });
}

}  // namespace

ExitCode RunDaemon(const DaemonOptions& options,
                   const ServiceNotifier& notifier) {
  Daemon daemon(options, notifier);
  const absl::optional<Failure> failure = daemon.Start();
  if (failure.has_value()) return Fail(*failure, &notifier);
  daemon.Run();
  return kExitOk;
}

// The counters go with the tables.
static void StoreLastCounters(const DaemonOptions& options) {
  EngineOptions engine_options = options.engine;
  engine_options.mode = OpenMode::kAdoptOnly;
  const auto engine = Engine::Open(engine_options);
  if (!engine.ok()) return;  // nothing there, or not ours to read
  if (options.usage_seconds > 0) {
    UsageRecorder::Start(options, **engine, nullptr).status().IgnoreError();
  }
  StoreLastQuotas(options, **engine);
}

ExitCode RunDetach(const DaemonOptions& options) {
  const std::string& pin_dir = options.engine.pin_dir;
  absl::StatusOr<absl::optional<PinLock>> lock = PinLock::Acquire(pin_dir);
  if (!lock.ok()) return Fail(LockFailure(lock.status()), nullptr);
  const absl::Status clat = DetachClat(options);
  if (!clat.ok()) return Fail({kExitFailure, clat}, nullptr);
  StoreLastCounters(options);
  const absl::Status detached = Engine::Detach(pin_dir);
  if (!detached.ok()) return Fail({kExitFailure, detached}, nullptr);
  Log("detached", {{"pin_dir", pin_dir}, {"enforcement", "off"}});
  return kExitOk;
}

}  // namespace netpolicy
