// SPDX-License-Identifier: Apache-2.0

#include "netd/daemon/quota_file.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/kernel/errno_status.h"
#include "netd/daemon/quota_state.pb.h"
#include "netd/service/quota_wire.h"

namespace netpolicy {
namespace {

constexpr Seal kSeal = {.magic = "netpolicy-quotas",
                        .version = 1,
                        .what = "quotas",
                        .what_of = "a file of netd's quotas"};

// Some thousand quotas and alerts of a hundred bytes.
constexpr size_t kMaxBytes = 4 << 20;

absl::StatusOr<QuotaState> FromMessage(const storage::QuotaState& message) {
  QuotaState state;
  for (const service::Quota& quota : message.quotas()) {
    NP_ASSIGN_OR_RETURN(Quota decoded, FromWire(quota));
    state.quotas.push_back(std::move(decoded));
  }
  for (const service::QuotaAlert& alert : message.alerts()) {
    NP_ASSIGN_OR_RETURN(QuotaAlert decoded, FromWire(alert));
    state.alerts.list.push_back(std::move(decoded));
  }
  state.alerts.lost = message.lost_alerts();
  state.last_number = message.last_number();
  state.tables = message.tables();
  for (const storage::QuotaState::Noted& noted : message.noted()) {
    state.noted.push_back({QuotaId{noted.id()}, noted.level(), noted.number()});
  }
  return state;
}

}  // namespace

std::string EncodeQuotaState(const QuotaState& state) {
  storage::QuotaState message;
  for (const Quota& quota : state.quotas) {
    *message.add_quotas() = ToWire(quota);
  }
  for (const QuotaAlert& alert : state.alerts.list) {
    *message.add_alerts() = ToWire(alert);
  }
  message.set_lost_alerts(state.alerts.lost);
  message.set_last_number(state.last_number);
  if (!state.noted.empty()) message.set_tables(state.tables);
  for (const QuotaState::Noted& noted : state.noted) {
    storage::QuotaState::Noted& added = *message.add_noted();
    added.set_id(ToInt(noted.id));
    added.set_level(noted.level);
    added.set_number(noted.number);
  }
  return SealBytes(kSeal, message.SerializeAsString());
}

absl::StatusOr<QuotaState> DecodeQuotaState(absl::string_view content,
                                            absl::string_view path) {
  NP_ASSIGN_OR_RETURN(const absl::string_view body,
                      UnsealBytes(kSeal, content, path));
  const auto wrong = [&](absl::string_view cause) {
    return absl::DataLossError(absl::StrCat("load quotas ", path, ": ", cause));
  };
  storage::QuotaState message;
  if (!message.ParseFromArray(body.data(), static_cast<int>(body.size()))) {
    return wrong("not a message");
  }
  absl::StatusOr<QuotaState> state = FromMessage(message);
  if (!state.ok()) return wrong(state.status().message());
  return state;
}

absl::StatusOr<absl::optional<QuotaState>> QuotaFile::Load() const {
  NP_ASSIGN_OR_RETURN(const absl::optional<std::string> content,
                      ReadSealed(kSeal, path_, kMaxBytes));
  if (!content.has_value()) return absl::nullopt;
  NP_ASSIGN_OR_RETURN(QuotaState state, DecodeQuotaState(*content, path_));
  return absl::make_optional(std::move(state));
}

absl::StatusOr<std::string> QuotaFile::MoveAside() const {
  std::string target = absl::StrCat(path_, ".damaged");
  for (int i = 1; access(target.c_str(), F_OK) == 0; ++i) {
    target = absl::StrCat(path_, ".damaged.", i);
  }
  if (rename(path_.c_str(), target.c_str()) != 0) {
    return StatusFromErrno(errno, absl::StrCat("rename ", path_));
  }
  return target;
}

absl::StatusOr<StagedFile> QuotaFile::Stage(absl::string_view content) const {
  return StagedFile::Stage(kSeal, path_, content);
}

}  // namespace netpolicy
