// SPDX-License-Identifier: Apache-2.0

// The next version, for upgrade_test: the engine, built with an ABI whose minor
// version is one higher, and with programs of other instructions.
//
//   next_engine CGROUP PIN_DIRECTORY
//
// opens it, prints how many programs it has replaced, the tables' minor version
// and its own, and ends, which leaves everything in force.

#include <cstdio>

#include "bpf_progs/abi/control.h"
#include "libpolicy/engine/engine.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  netpolicy::EngineOptions options;
  options.cgroup = argv[1];
  options.pin_dir = argv[2];
  const auto engine = netpolicy::Engine::Open(options);
  if (!engine.ok()) {
    std::printf("%s\n", engine.status().ToString().c_str());
    return 1;
  }
  const auto status = (*engine)->Status();
  if (!status.ok()) return 1;
  std::printf("%d %u %d\n", (*engine)->open_report().programs_replaced,
              status->abi_minor, NP_ABI_MINOR + 1);
  return 0;
}
