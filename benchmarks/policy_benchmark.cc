// SPDX-License-Identifier: Apache-2.0
//
// What does a packet cost, and what does a commit? See README.md.

#include "benchmarks/policy_benchmark.h"

#include "benchmark/benchmark.h"

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  netpolicy::RegisterProgramBenchmarks();
  netpolicy::RegisterCommitBenchmarks();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
