// SPDX-License-Identifier: Apache-2.0

#include "netd/cli/session.h"

#include "absl/strings/str_cat.h"

namespace netpolicy::cli {

absl::StatusOr<PolicyInterface*> Session::policy() {
  if (policy_ == nullptr) {
    absl::StatusOr<std::unique_ptr<PolicyInterface>> policy =
        environment_.connect(options_);
    if (!policy.ok()) {
      const absl::StatusCode code = policy.status().code();
      if (code == absl::StatusCode::kNotFound ||
          code == absl::StatusCode::kUnavailable) {
        exit_code_ = kExitUnreachable;
      }
      return policy.status();
    }
    policy_ = *std::move(policy);
  }
  return policy_.get();
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
