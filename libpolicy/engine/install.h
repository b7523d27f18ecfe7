// SPDX-License-Identifier: Apache-2.0
//
// Getting the programs and their tables into the kernel, finding them there,
// and taking them out. All of it under the lock on the pin directory.
//
// Setting up: tables, their contents, programs, pins of both, links, pins of
// links, and last np_control.ready = 1. Who finds pins without that removes
// them and begins anew: nothing that counts was lost, as the links of a
// half-made set-up enforce the initial policy.

#ifndef NETPOLICY_LIBPOLICY_ENGINE_INSTALL_H_
#define NETPOLICY_LIBPOLICY_ENGINE_INSTALL_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/engine/engine_options.h"
#include "libpolicy/engine/tables.h"
#include "libpolicy/kernel/cgroup.h"

namespace netpolicy {

struct InstalledProgram {
  std::string name;
  UniqueFd program;
  UniqueFd link;
};

// What is in the kernel.
struct Installation {
  std::unique_ptr<Tables> tables;
  std::vector<InstalledProgram> programs;
  Cgroup cgroup;
  UniqueFd pin_dir;  // for locking
  OpenReport report;
};

// Engine::Open().
absl::StatusOr<Installation> Install(const EngineOptions& options);

// Engine::Detach().
absl::Status Uninstall(const std::string& pin_dir, absl::Duration lock_timeout);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_ENGINE_INSTALL_H_
