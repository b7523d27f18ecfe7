// SPDX-License-Identifier: Apache-2.0

#include "netd/cli/session.h"

#include "absl/strings/str_cat.h"

namespace netpolicy::cli {

absl::StatusOr<PolicyInterface*> Session::policy() {
  return Connected(policy_, environment_.connect);
}

absl::StatusOr<clat::ClatInterface*> Session::clat() {
  return Connected(clat_, environment_.connect_clat);
}

absl::StatusOr<UsageHistory*> Session::usage() {
  return Connected(usage_, environment_.connect_usage);
}

absl::StatusOr<ChargingInterface*> Session::charging() {
  return Connected(charging_, environment_.connect_charging);
}

absl::StatusOr<QuotaKeeper*> Session::quotas() {
  return Connected(quotas_, environment_.connect_quotas);
}

absl::StatusOr<CommitHistory*> Session::history() {
  return Connected(history_, environment_.connect_history);
}

template <typename Interface>
absl::StatusOr<Interface*> Session::Connected(
    std::unique_ptr<Interface>& interface,
    const std::function<absl::StatusOr<std::unique_ptr<Interface>>(
        const GlobalOptions&)>& connect) {
  if (interface == nullptr) {
    absl::StatusOr<std::unique_ptr<Interface>> connected = connect(options_);
    if (!connected.ok()) {
      const absl::StatusCode code = connected.status().code();
      if (code == absl::StatusCode::kNotFound ||
          code == absl::StatusCode::kUnavailable) {
        exit_code_ = kExitUnreachable;
      }
      return connected.status();
    }
    interface = *std::move(connected);
  }
  return interface.get();
}

void Session::PrintJson(const Json& fields) {
  Json document;
  document["version"] = kJsonVersion;
  document.update(fields);
  Print(document.dump(2, ' ', /*ensure_ascii=*/false,
                      Json::error_handler_t::replace));
  Print("\n");
}

Json UidJson(Uid uid, Names& names) {
  Json json;
  if (uid == kNoOwner) {
    json["uid"] = nullptr;
    return json;
  }
  json["uid"] = ToInt(uid);
  if (const absl::optional<std::string> user = names.UserOfUid(uid)) {
    json["user"] = TextJson(*user);
  }
  return json;
}

Json TextJson(absl::string_view text) {
  // What isn't UTF-8 is replaced when the document is written.
  return Json(std::string(text));
}

}  // namespace netpolicy::cli
