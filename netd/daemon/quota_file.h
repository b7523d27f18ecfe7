// SPDX-License-Identifier: Apache-2.0
//
// The file that keeps quotas over a reboot: a message of quota_state.proto,
// sealed (sealed_file.h) as netpolicy-quotas.

#ifndef NETPOLICY_NETD_DAEMON_QUOTA_FILE_H_
#define NETPOLICY_NETD_DAEMON_QUOTA_FILE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "libpolicy/engine/quota.h"
#include "netd/daemon/sealed_file.h"
#include "netd/service/quotas.h"

namespace netpolicy {

struct QuotaState {
  // A crossing that became an alert, of which the kernel may not know.
  struct Noted {
    QuotaId id{};
    uint64_t level = 0;
    uint64_t number = 0;  // of the alert

    friend bool operator==(const Noted&, const Noted&) = default;
  };

  std::vector<Quota> quotas;
  QuotaAlerts alerts;        // not acknowledged
  uint64_t last_number = 0;  // of an alert
  std::string tables;        // that `noted` is about: LifeOfTables()
  std::vector<Noted> noted;
};

// The content of a file with that.
std::string EncodeQuotaState(const QuotaState& state);

// Errors, as "load quotas PATH: cause": kDataLoss when it was cut off or
// changed; kFailedPrecondition when a newer netd wrote it.
absl::StatusOr<QuotaState> DecodeQuotaState(absl::string_view content,
                                            absl::string_view path);

// The file at a path. One process at a time should use it.
class QuotaFile {
 public:
  explicit QuotaFile(std::string path) : path_(std::move(path)) {}

  // Unset when there is no file. Errors: as DecodeQuotaState(); the system's.
  absl::StatusOr<absl::optional<QuotaState>> Load() const;

  // Renames a file that can't be read; returns its new name. Errors: the
  // system's.
  absl::StatusOr<std::string> MoveAside() const;

  // Errors: those of StagedFile::Stage().
  absl::StatusOr<StagedFile> Stage(absl::string_view content) const;

 private:
  std::string path_;
};

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_DAEMON_QUOTA_FILE_H_
