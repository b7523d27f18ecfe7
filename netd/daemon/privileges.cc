// SPDX-License-Identifier: Apache-2.0

#include "netd/daemon/privileges.h"

#include <cap-ng.h>
#include <linux/capability.h>
#include <sys/prctl.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "libpolicy/kernel/errno_status.h"

namespace netpolicy {
namespace {

constexpr int kKept[] = {CAP_BPF, CAP_NET_ADMIN};

absl::Status Error(absl::string_view cause) {
  return absl::InternalError(absl::StrCat("drop privileges: ", cause));
}

}  // namespace

absl::Status DropPrivileges() {
  const absl::Span<const int> kept(kKept);
  if (capng_get_caps_process() != 0) return Error("no capabilities to be read");
  std::vector<bool> have(kept.size());
  for (size_t i = 0; i < kept.size(); ++i) {
    have[i] = capng_have_capability(CAPNG_PERMITTED,
                                    static_cast<unsigned>(kept[i])) != 0;
  }
  // The bounding set can only be changed with this one.
  const bool bounding =
      capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) != 0;
  capng_clear(CAPNG_SELECT_ALL);
  for (size_t i = 0; i < kept.size(); ++i) {
    if (!have[i]) continue;
    capng_update(CAPNG_ADD,
                 static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED),
                 static_cast<unsigned>(kept[i]));
  }
  if (bounding && capng_apply(CAPNG_SELECT_BOUNDS) != 0) {
    return Error("the bounding set stays");
  }
  if (capng_apply(CAPNG_SELECT_CAPS) != 0) return Error("capset failed");
  if (capng_apply(CAPNG_SELECT_AMBIENT) != 0) {
    return Error("the ambient set stays");
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return Error(ErrnoText(errno));
  }
  return absl::OkStatus();
}

std::string EffectiveCapabilities() {
  if (capng_get_caps_process() != 0) return "unknown";
  struct Free {
    void operator()(char* text) const { free(text); }
  };
  const std::unique_ptr<char, Free> text(
      capng_print_caps_text(CAPNG_PRINT_BUFFER, CAPNG_EFFECTIVE));
  if (text == nullptr) return "unknown";
  std::string names;
  for (const char* c = text.get(); *c != '\0'; ++c) {
    if (*c != ' ') names += *c;
  }
  return names.empty() ? "none" : names;
}

}  // namespace netpolicy
