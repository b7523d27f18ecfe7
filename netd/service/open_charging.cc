// SPDX-License-Identifier: Apache-2.0

#include "netd/service/open_charging.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "libpolicy/engine/engine.h"

namespace netpolicy {

absl::StatusOr<std::unique_ptr<ChargingInterface>> OpenCharging(
    const ChargingOptions& options) {
  EngineOptions engine_options;
  engine_options.pin_dir = options.pin_dir;
  engine_options.mode = OpenMode::kAdoptOnly;
  absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Open(engine_options);
  if (engine.ok()) return *std::move(engine);
  absl::StatusOr<std::unique_ptr<Client>> netd =
      Client::Connect(options.socket, options.deadline);
  if (netd.ok()) return *std::move(netd);
  return absl::Status(netd.status().code(),
                      absl::StrCat(netd.status().message(),
                                   "; directly: ", engine.status().message()));
}

}  // namespace netpolicy
