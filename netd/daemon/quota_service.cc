// SPDX-License-Identifier: Apache-2.0

#include "netd/daemon/quota_service.h"

#include <event2/event.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/kernel/errno_status.h"
#include "netd/daemon/log.h"

namespace netpolicy {
namespace {

// Where usage is not stored, quotas are all the same.
constexpr uint32_t kDefaultSeconds = 60;

std::string PathOf(const DaemonOptions& options) {
  return absl::StrCat(options.state, ".quotas");
}

PersistentQuotas::Options OptionsFor(const DaemonOptions& options) {
  PersistentQuotas::Options result;
  result.path = PathOf(options);
  result.zone = absl::LocalTimeZone();
  result.now = [] { return absl::Now(); };
  result.on_alert = [](const QuotaAlert& alert) {
    Log("quota_crossed",
        {{"alert", alert.number},
         {"quota", ToInt(alert.quota.id)},
         {"time", absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", alert.time,
                                   absl::UTCTimeZone())},
         {"what", ToString(alert.quota.definition)}});
  };
  return result;
}

}  // namespace

void QuotaService::Free::operator()(event* e) const { event_free(e); }

absl::StatusOr<SavedQuotas> QuotaService::LoadSaved(
    const DaemonOptions& options) {
  return PersistentQuotas::LoadSaved(PathOf(options));
}

absl::StatusOr<std::unique_ptr<QuotaService>> QuotaService::Open(
    const DaemonOptions& options, SavedQuotas saved, Engine& engine) {
  std::unique_ptr<QuotaService> service(new QuotaService(options));
  PersistentQuotas::Options quota_options = OptionsFor(options);
  QuotaService* const self = service.get();
  quota_options.on_next_period = [self](absl::Time t) { self->WaitUntil(t); };
  NP_ASSIGN_OR_RETURN(service->quotas_,
                      PersistentQuotas::Open(engine, std::move(saved),
                                             std::move(quota_options)));
  if (!service->quotas_->damage().empty()) {
    Log("quotas_damaged", {{"error", service->quotas_->damage()}});
  }
  if (service->quotas_->restored() > 0) {
    Log("quotas_restored", {{"count", service->quotas_->restored()}});
  }
  NP_ASSIGN_OR_RETURN(service->wake_, engine.OpenQuotaWake());
  return service;
}

absl::Status QuotaService::Start(event_base* base) {
  clock_.reset(timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC));
  if (!clock_.ok()) return StatusFromErrno(errno, "make timer of quotas");
  const timeval interval = {
      static_cast<time_t>(options_.usage_seconds == 0 ? kDefaultSeconds
                                                      : options_.usage_seconds),
      0};
  interval_event_.reset(event_new(base, -1, EV_PERSIST, &OnInterval, this));
  clock_event_.reset(
      event_new(base, clock_.get(), EV_READ | EV_PERSIST, &OnClock, this));
  wake_event_.reset(
      event_new(base, wake_->fd(), EV_READ | EV_PERSIST, &OnWake, this));
  if (interval_event_ == nullptr || clock_event_ == nullptr ||
      wake_event_ == nullptr || event_add(interval_event_.get(), &interval) ||
      event_add(clock_event_.get(), nullptr) ||
      event_add(wake_event_.get(), nullptr)) {
    return absl::ResourceExhaustedError("watch quotas: out of memory");
  }
  WaitUntil(absl::InfiniteFuture());
  // What can't be done now, such as saving to a full disk, is tried again.
  Flush().IgnoreError();  // logged
  return absl::OkStatus();
}

void QuotaService::WaitUntil(absl::Time next_period) {
  if (!clock_.ok()) return;
  // At the latest in a year: never is no time of the kernel's. And not at
  // once, so that whatever clocks do there is no loop.
  const absl::Time now = absl::Now();
  const absl::Time when = std::clamp(next_period, now + absl::Milliseconds(10),
                                     now + absl::Hours(24 * 365));
  const itimerspec timer = {.it_interval = {},
                            .it_value = absl::ToTimespec(when)};
  // Readable also, with ECANCELED, when the clock is set.
  if (timerfd_settime(clock_.get(), TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET,
                      &timer, nullptr) == 0) {
    return;
  }
  if (errno == ECANCELED) {
    // It was set while the time was worked out.
    WaitUntil(absl::InfinitePast());
    return;
  }
  const absl::Status status = StatusFromErrno(errno, "set timer of quotas");
  Log("quotas_not_saved", {{"error", status.message()}});
}

absl::Status QuotaService::Flush() {
  const absl::Status status = quotas_->Refresh();
  if (!status.ok() && status != last_) {
    Log("quotas_not_saved", {{"error", status.message()}});
  } else if (status.ok() && !last_.ok()) {
    Log("quotas_saved_again");
  }
  last_ = status;
  return status;
}

void QuotaService::OnInterval(int, int16_t, void* self) {
  static_cast<QuotaService*>(self)->Flush().IgnoreError();  // logged
}

void QuotaService::OnClock(int fd, int16_t, void* self) {
  uint64_t count = 0;
  if (read(fd, &count, sizeof(count)) < 0 && errno == EAGAIN) return;
  auto* const service = static_cast<QuotaService*>(self);
  // A timer that was cancelled stays so until it is set.
  if (!service->Flush().ok()) service->WaitUntil(absl::InfiniteFuture());
}

void QuotaService::OnWake(int, int16_t, void* self) {
  auto* const service = static_cast<QuotaService*>(self);
  const absl::Status drained = service->wake_->Drain();
  if (!drained.ok()) Log("quotas_not_saved", {{"error", drained.message()}});
  service->Flush().IgnoreError();  // logged
}

DoctorFinding QuotaService::Finding() const {
  DoctorFinding finding;
  finding.name = "quotas";
  finding.state = last_.ok() ? DoctorFinding::State::kPresent
                             : DoctorFinding::State::kMissing;
  finding.detail = last_.ok() ? absl::StrCat(options_.state, ".quotas")
                              : std::string(last_.message());
  if (!last_.ok()) {
    finding.cost =
        "quotas are in force and counted, but what is used meanwhile is not "
        "over a reboot, and alerts wait";
  } else if (!quotas_->damage().empty()) {
    finding.state = DoctorFinding::State::kFallback;
    finding.detail = quotas_->damage();
    finding.cost =
        "after a reboot that came before, quotas of that file are not in force";
  }
  return finding;
}

void StoreLastQuotas(const DaemonOptions& options, Engine& engine) {
  const absl::Status status = [&]() -> absl::Status {
    NP_ASSIGN_OR_RETURN(SavedQuotas saved, QuotaService::LoadSaved(options));
    NP_ASSIGN_OR_RETURN(
        const auto quotas,
        PersistentQuotas::Open(engine, std::move(saved), OptionsFor(options)));
    return quotas->Refresh();
  }();
  if (!status.ok()) Log("quotas_not_saved", {{"error", status.message()}});
}

}  // namespace netpolicy
