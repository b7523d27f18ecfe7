// SPDX-License-Identifier: Apache-2.0
//
// What the tables take of the kernel's memory, as the kernel itself says; the
// figures of docs/operations.md. Printed as a table for that page.

#include <sys/utsname.h>

#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/engine/engine.h"
#include "libpolicy/kernel/map.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/test_environment.h"

namespace netpolicy::testing {
namespace {

struct Configuration {
  const char* name;
  EngineOptions options;
  // What docs/operations.md promises: so much, and so much more for each CPU.
  uint64_t most_bytes;
  uint64_t most_bytes_per_cpu;
};

std::vector<Configuration> Configurations() {
  EngineOptions embedded;
  embedded.max_uids = 256;
  embedded.max_rows = 512;
  embedded.max_uid_rows = 64;
  embedded.max_drops = 128;
  embedded.max_interfaces = 16;
  embedded.max_prefixes = 256;
  embedded.max_network_rules = 256;
  embedded.max_discards = 16;
  embedded.max_source_bytes = 16 << 10;
  embedded.max_refused = 64;
  return {{"default", EngineOptions(), 16 << 20, 3 << 19},
          {"embedded", embedded, 640 << 10, 64 << 10}};
}

TEST(MapMemory, IsNoMoreThanDocumented) {
  if (auto missing = MissingForBpfTests()) GTEST_SKIP() << *missing;
  auto cpus = PossibleCpus();
  ASSERT_THAT(cpus, IsOk());
  utsname machine;
  ASSERT_EQ(uname(&machine), 0);
  printf("kernel %s, %u possible CPUs\n", machine.release, *cpus);
  for (Configuration& configuration : Configurations()) {
    SCOPED_TRACE(configuration.name);
    auto bpffs = BpfFs::Mount();
    auto cgroup = TestCgroup::Create();
    ASSERT_THAT(bpffs, IsOk());
    ASSERT_THAT(cgroup, IsOk());
    EngineOptions& options = configuration.options;
    options.cgroup = cgroup->path();
    options.pin_dir = bpffs->File("netpolicy");
    auto engine = Engine::Open(options);
    ASSERT_THAT(engine, IsOk());
    auto status = (*engine)->Status();
    ASSERT_THAT(status, IsOk());
    uint64_t total = 0;
    for (const MapStatus& map : status->maps) {
      printf("| %s | `%s` | %u | %llu |\n", configuration.name,
             map.name.c_str(), map.max_entries,
             static_cast<unsigned long long>(map.memory_bytes));
      total += map.memory_bytes;
    }
    printf("| %s | all | | %llu |\n", configuration.name,
           static_cast<unsigned long long>(total));
    EXPECT_LE(total, configuration.most_bytes +
                         *cpus * configuration.most_bytes_per_cpu);
  }
}

}  // namespace
}  // namespace netpolicy::testing
