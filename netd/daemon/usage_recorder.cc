// SPDX-License-Identifier: Apache-2.0

#include "netd/daemon/usage_recorder.h"

#include <event2/event.h>
#include <net/if.h>

#include <ctime>
#include <map>

#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"
#include "netd/daemon/log.h"
#include "netd/daemon/table_life.h"

namespace netpolicy {
namespace {

int64_t Seconds(clockid_t clock) {
  timespec now = {};
  clock_gettime(clock, &now);
  return now.tv_sec;
}

UsageCounters Counters(const TrafficCounters& rx, const TrafficCounters& tx) {
  return {rx.packets, rx.bytes, tx.packets, tx.bytes};
}

std::vector<UsageReading> Readings(const StatsSnapshot& stats) {
  std::map<uint32_t, std::string> names;
  std::vector<UsageReading> readings;
  readings.reserve(stats.rows.size() + 1);
  for (const StatsRow& row : stats.rows) {
    const uint32_t ifindex = ToInt(row.ifindex);
    const auto [name, added] = names.try_emplace(ifindex);
    if (added) {
      char buffer[IF_NAMESIZE] = {};
      if (if_indextoname(ifindex, buffer) != nullptr) name->second = buffer;
    }
    readings.push_back(
        {ifindex,
         {ToInt(row.uid), row.tag, row.counter_set, name->second},
         Counters(row.rx, row.tx)});
  }
  readings.push_back({0,
                      {ToInt(kNoOwner), 0, 0, kOverflowInterface},
                      Counters(stats.overflow_rx, stats.overflow_tx)});
  return readings;
}

}  // namespace

void UsageRecorder::Free::operator()(event* e) const { event_free(e); }

absl::StatusOr<std::unique_ptr<UsageRecorder>> UsageRecorder::Start(
    const DaemonOptions& options, PolicyInterface& policy, event_base* base) {
  std::unique_ptr<UsageRecorder> recorder(new UsageRecorder(options, policy));
  recorder->Flush().IgnoreError();  // logged
  if (base == nullptr) return recorder;
  recorder->timer_.reset(
      event_new(base, -1, EV_PERSIST, &OnTimer, recorder.get()));
  const timeval interval = {static_cast<time_t>(options.usage_seconds), 0};
  if (recorder->timer_ == nullptr ||
      event_add(recorder->timer_.get(), &interval) != 0) {
    return absl::ResourceExhaustedError("make usage timer: out of memory");
  }
  return recorder;
}

void UsageRecorder::OnTimer(int, int16_t, void* self) {
  static_cast<UsageRecorder*>(self)->Flush().IgnoreError();  // logged
}

absl::Status UsageRecorder::Flush() {
  const absl::Status status = TryFlush();
  if (!status.ok() && status != last_) {
    Log("usage_not_stored", {{"error", status.message()}});
  } else if (status.ok() && !last_.ok()) {
    Log("usage_stored_again");
  }
  last_ = status;
  // A damaged file is moved aside at the next opening.
  if (absl::IsDataLoss(status)) store_.reset();
  return status;
}

absl::Status UsageRecorder::TryFlush() {
  if (life_.empty()) {
    boot_ = BootId();
    NP_ASSIGN_OR_RETURN(const EngineStatus status, policy_.Status());
    NP_ASSIGN_OR_RETURN(
        life_, LifeOfTables(status, boot_, {"np_rows", "np_counters"}));
  }
  if (store_ == nullptr) {
    UsageStoreOptions options;
    options.hours_kept_days = static_cast<int>(options_.usage_hours_kept);
    options.days_kept_days = static_cast<int>(options_.usage_days_kept);
    options.months_kept_days = static_cast<int>(options_.usage_months_kept);
    options.zone = absl::LocalTimeZone();
    NP_ASSIGN_OR_RETURN(
        store_,
        UsageStore::Open(absl::StrCat(options_.state, ".usage"), options));
    if (!store_->damage().empty()) {
      Log("usage_damaged", {{"error", store_->damage()}});
    }
  }
  NP_ASSIGN_OR_RETURN(const StatsSnapshot stats, policy_.Stats());
  return store_->Add(life_,
                     {Seconds(CLOCK_REALTIME), Seconds(CLOCK_BOOTTIME), boot_},
                     Readings(stats));
}

absl::StatusOr<std::vector<UsageRow>> UsageRecorder::Usage(
    const UsageQuery& query) {
  // What a full disk keeps from being written should not keep from reading.
  const absl::Status flushed = Flush();
  if (store_ == nullptr) return flushed;
  return store_->Query(query);
}

absl::Status UsageRecorder::ForgetUsage(uint32_t uid) {
  // First what is not yet stored, or it would come back.
  NP_RETURN_IF_ERROR(Flush());
  return store_->Forget(uid);
}

DoctorFinding UsageRecorder::Finding() const {
  DoctorFinding finding;
  finding.name = "usage_history";
  finding.state = last_.ok() ? DoctorFinding::State::kPresent
                             : DoctorFinding::State::kMissing;
  finding.detail = last_.ok() ? absl::StrCat(options_.state, ".usage")
                              : std::string(last_.message());
  if (!last_.ok()) {
    finding.cost =
        "usage is not stored; it stays in the kernel's counters and is stored "
        "when this is mended, unless the machine restarts before";
  }
  if (last_.ok() && store_ != nullptr && !store_->damage().empty()) {
    finding.state = DoctorFinding::State::kFallback;
    finding.detail = store_->damage();
    finding.cost = "usage from before is in the file that was moved aside";
  }
  return finding;
}

}  // namespace netpolicy
