// SPDX-License-Identifier: Apache-2.0

#include "netd/daemon/table_life.h"

#include <algorithm>
#include <fstream>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace netpolicy {

std::string BootId() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  file >> id;
  return id;
}

absl::StatusOr<std::string> LifeOfTables(
    const EngineStatus& status, const std::string& boot,
    std::initializer_list<absl::string_view> names) {
  std::string life = boot;
  for (const MapStatus& map : status.maps) {
    if (std::find(names.begin(), names.end(), map.name) != names.end()) {
      absl::StrAppend(&life, " ", map.name, "=", map.id);
    }
  }
  if (boot.empty() || life == boot) {
    return absl::InternalError(
        "look at tables: it is not known which they are");
  }
  return life;
}

}  // namespace netpolicy
