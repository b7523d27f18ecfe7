// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_BENCHMARKS_POLICY_BENCHMARK_H_
#define NETPOLICY_BENCHMARKS_POLICY_BENCHMARK_H_

namespace netpolicy {

// Each registers what its file measures. What they need is set up when the
// first benchmark that needs it runs.
void RegisterProgramBenchmarks();  // program/...
void RegisterCommitBenchmarks();   // commit/...

}  // namespace netpolicy

#endif  // NETPOLICY_BENCHMARKS_POLICY_BENCHMARK_H_
