// SPDX-License-Identifier: Apache-2.0

#include "netd/daemon/persistent_quotas.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"
#include "netd/daemon/table_life.h"

namespace netpolicy {
namespace {

bool IsSame(const QuotaState::Noted& noted, const QuotaCrossing& crossing) {
  return noted.id == crossing.quota.id && noted.level == crossing.level;
}

const Quota* FindQuota(const std::vector<Quota>& quotas, QuotaId id) {
  for (const Quota& quota : quotas) {
    if (quota.id == id) return &quota;
  }
  return nullptr;
}

void AddAlert(const QuotaCrossing& crossing, const Quota& quota,
              QuotaState& state) {
  state.noted.push_back(
      {crossing.quota.id, crossing.level, ++state.last_number});
  state.alerts.list.push_back(
      {.number = state.last_number, .time = crossing.time, .quota = quota});
  const size_t count = state.alerts.list.size();
  if (count > PersistentQuotas::kMaxAlerts) {
    state.alerts.list.erase(state.alerts.list.begin());
    ++state.alerts.lost;
  }
}

}  // namespace

absl::StatusOr<SavedQuotas> PersistentQuotas::LoadSaved(
    const std::string& path) {
  const QuotaFile file(path);
  SavedQuotas saved;
  absl::StatusOr<absl::optional<QuotaState>> loaded = file.Load();
  if (absl::IsDataLoss(loaded.status())) {
    NP_ASSIGN_OR_RETURN(const std::string aside, file.MoveAside());
    saved.damage =
        absl::StrCat(loaded.status().message(), "; moved to ", aside);
    return saved;
  }
  NP_RETURN_IF_ERROR(loaded.status());
  saved.state = std::move(*loaded).value_or(QuotaState());
  return saved;
}

absl::StatusOr<std::unique_ptr<PersistentQuotas>> PersistentQuotas::Open(
    Engine& engine, SavedQuotas saved, Options options) {
  std::unique_ptr<PersistentQuotas> quotas(
      new PersistentQuotas(engine, std::move(options)));
  NP_RETURN_IF_ERROR(quotas->Restore(std::move(saved)));
  return quotas;
}

absl::Status PersistentQuotas::Restore(SavedQuotas saved) {
  damage_ = std::move(saved.damage);
  state_ = std::move(saved.state);
  content_ = EncodeQuotaState(state_);

  NP_ASSIGN_OR_RETURN(restored_, engine_.RestoreQuotas(state_.quotas));
  restored_ += engine_.open_report().quotas_restored;
  NP_ASSIGN_OR_RETURN(const EngineStatus status, engine_.Status());
  NP_ASSIGN_OR_RETURN(tables_, LifeOfTables(status, BootId(), {"np_quotas"}));
  // Other tables have crossings of their own.
  if (state_.tables != tables_) state_.noted.clear();
  state_.tables = tables_;
  return absl::OkStatus();
}

absl::Status PersistentQuotas::Save(const QuotaState& state) {
  std::string content = EncodeQuotaState(state);
  if (content == content_) return absl::OkStatus();
  NP_ASSIGN_OR_RETURN(StagedFile staged, file_.Stage(content));
  NP_RETURN_IF_ERROR(staged.Publish());
  content_ = std::move(content);
  return absl::OkStatus();
}

absl::Status PersistentQuotas::Refresh() {
  // Before periods begin, to show what was used when it was crossed.
  NP_ASSIGN_OR_RETURN(const std::vector<QuotaCrossing> before,
                      engine_.QuotaCrossings());
  NP_ASSIGN_OR_RETURN(
      const absl::Time next_period,
      engine_.RestartQuotaPeriods(options_.now(), options_.zone));
  QuotaState next = state_;
  NP_ASSIGN_OR_RETURN(next.quotas, engine_.Quotas());
  // After the quotas: what is written of a quota must not say that it was
  // crossed unless there is the alert, too.
  NP_ASSIGN_OR_RETURN(const std::vector<QuotaCrossing> crossings,
                      engine_.QuotaCrossings());
  for (const QuotaCrossing& crossing : crossings) {
    for (Quota& quota : next.quotas) {
      if (quota.id == crossing.quota.id) quota = crossing.quota;
    }
    const bool noted = std::any_of(
        next.noted.begin(), next.noted.end(),
        [&](const QuotaState::Noted& n) { return IsSame(n, crossing); });
    if (noted) continue;
    const auto as_crossed = std::find_if(
        before.begin(), before.end(), [&](const QuotaCrossing& other) {
          return other.quota.id == crossing.quota.id &&
                 other.level == crossing.level;
        });
    AddAlert(crossing,
             as_crossed == before.end() ? crossing.quota : as_crossed->quota,
             next);
  }
  NP_RETURN_IF_ERROR(Save(next));
  state_ = std::move(next);
  Tell();
  Acknowledge(crossings);
  options_.on_next_period(next_period);
  return absl::OkStatus();
}

// Of what the kernel does not know to be seen.
void PersistentQuotas::Tell() {
  for (const QuotaState::Noted& noted : state_.noted) {
    if (noted.number <= told_) continue;
    told_ = noted.number;
    for (const QuotaAlert& alert : state_.alerts.list) {
      if (alert.number == noted.number) options_.on_alert(alert);
    }
  }
}

void PersistentQuotas::Acknowledge(
    const std::vector<QuotaCrossing>& crossings) {
  // What is not returned any more is known to be seen, or gone.
  std::erase_if(state_.noted, [&](const QuotaState::Noted& noted) {
    const auto it = std::find_if(
        crossings.begin(), crossings.end(),
        [&](const QuotaCrossing& crossing) { return IsSame(noted, crossing); });
    if (it == crossings.end()) return true;
    const absl::Status status = engine_.AcknowledgeQuotaCrossing(*it);
    // Else it is returned again, and found among these.
    return status.ok() || absl::IsNotFound(status);
  });
}

absl::StatusOr<QuotaId> PersistentQuotas::SetQuota(
    const QuotaDefinition& definition) {
  NP_ASSIGN_OR_RETURN(const std::vector<Quota> before, engine_.Quotas());
  NP_ASSIGN_OR_RETURN(const QuotaId id,
                      engine_.SetQuota(definition, options_.zone));
  const absl::Status status = Refresh();
  if (status.ok()) return id;
  const Quota* const old = FindQuota(before, id);
  const absl::Status undone =
      old == nullptr
          ? engine_.RemoveQuota(id)
          : engine_.SetQuota(old->definition, options_.zone).status();
  if (undone.ok()) return status;
  return absl::Status(status.code(),
                      absl::StrCat(status.message(), "; quota ", ToInt(id),
                                   " is in force: ", undone.message()));
}

// Makes a change that is known beforehand: on the disk, in force, for good.
absl::Status PersistentQuotas::ChangeSaved(
    QuotaId id, std::function<void(QuotaState&)> change,
    std::function<absl::Status()> act) {
  // Also lest a crossing be lost with its quota.
  NP_RETURN_IF_ERROR(Refresh());
  QuotaState next = state_;
  if (FindQuota(next.quotas, id) == nullptr)
    return act();  // says that it isn't
  change(next);
  std::string content = EncodeQuotaState(next);
  NP_ASSIGN_OR_RETURN(StagedFile staged, file_.Stage(content));
  NP_RETURN_IF_ERROR(act());
  state_ = std::move(next);
  NP_RETURN_IF_ERROR(staged.Publish());
  content_ = std::move(content);
  return Refresh();
}

absl::Status PersistentQuotas::RemoveQuota(QuotaId id) {
  return ChangeSaved(
      id,
      [id](QuotaState& state) {
        std::erase_if(state.quotas,
                      [id](const Quota& quota) { return quota.id == id; });
      },
      [this, id] { return engine_.RemoveQuota(id); });
}

absl::Status PersistentQuotas::ResetQuota(QuotaId id) {
  return ChangeSaved(
      id,
      [id](QuotaState& state) {
        for (Quota& quota : state.quotas) {
          if (quota.id != id) continue;
          quota.used = 0;
          quota.crossed = false;
        }
      },
      [this, id] { return engine_.ResetQuota(id); });
}

absl::StatusOr<std::vector<Quota>> PersistentQuotas::Quotas() {
  return engine_.Quotas();
}

absl::StatusOr<QuotaAlerts> PersistentQuotas::Alerts() {
  NP_ASSIGN_OR_RETURN(const std::vector<QuotaCrossing> crossings,
                      engine_.QuotaCrossings());
  // With what was crossed just now. Else what is used need not be saved for
  // each who asks, only which crossings the kernel knows to be seen.
  NP_RETURN_IF_ERROR(crossings.empty() ? Save(state_) : Refresh());
  return state_.alerts;
}

absl::Status PersistentQuotas::AcknowledgeAlerts(uint64_t number) {
  if (number > state_.last_number) {
    return absl::InvalidArgumentError(
        absl::StrCat("acknowledge alerts: there is no alert ", number));
  }
  QuotaState next = state_;
  std::erase_if(next.alerts.list, [number](const QuotaAlert& alert) {
    return alert.number <= number;
  });
  next.alerts.lost = 0;
  NP_RETURN_IF_ERROR(Save(next));
  state_ = std::move(next);
  return absl::OkStatus();
}

}  // namespace netpolicy
