// What each program costs the verifier and the kernel, against what is on
// record for the running kernel: growth of more than a tenth is an error until
// the record is changed on purpose.
//
// The record is testdata/verifier_cost.txt, one line a program and kernel. To
// renew the lines of the running kernel, set NETPOLICY_RECORD to the name of a
// file that the new lines are written to; tools/vm has --env and --output for
// the other kernels.

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include <cstdio>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bpf_progs/clat.skel.h"
#include "bpf_progs/policy.skel.h"
#include "bpf_progs/traffic.skel.h"
#include "gtest/gtest.h"
#include "libpolicy/kernel/program_features.h"
#include "libpolicy/testing/capability.h"

namespace netpolicy {
namespace {

constexpr char kRecord[] = "testdata/verifier_cost.txt";

// The verifier of every kernel gives up at a million; far below it, a new
// kernel that looks closer still has room.
constexpr uint32_t kMostInstructions = 250000;

struct Cost {
  uint32_t instructions = 0;  // that the verifier processed
  uint32_t states = 0;
  uint32_t xlated_bytes = 0;
  uint32_t jited_bytes = 0;
};

using Costs = std::map<std::string, Cost>;  // by program

// "6.1" for 6.1.0-42-amd64.
std::string KernelSeries() {
  utsname name;
  int major = 0;
  int minor = 0;

  uname(&name);
  if (sscanf(name.release, "%d.%d", &major, &minor) != 2) return name.release;
  return absl::StrCat(major, ".", minor);
}

// The lines of `kernel` in the record.
Costs ReadRecord(const std::string& kernel) {
  std::ifstream file(kRecord);
  std::string line;
  Costs costs;

  EXPECT_TRUE(file.good()) << "no file " << kRecord;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string of_kernel;
    std::string program;
    Cost cost;
    if (line.empty() || line[0] == '#') continue;
    words >> of_kernel >> program >> cost.instructions >> cost.states >>
        cost.xlated_bytes >> cost.jited_bytes;
    EXPECT_FALSE(words.fail()) << kRecord << ": " << line;
    if (of_kernel == kernel) costs[program] = cost;
  }
  return costs;
}

int Silence(libbpf_print_level, const char*, va_list) { return 0; }

struct Destroy {
  template <typename Skeleton>
  void operator()(Skeleton* skeleton) const {
    Skeleton::destroy(skeleton);
  }
};

// As libpolicy and clat load them.
void Configure(policy_bpf& skeleton) {
  skeleton.rodata->np_storage_at_create = HasStorageAtSocketCreate();
  skeleton.rodata->np_storage_at_connect = HasStorageAtConnect();
  skeleton.rodata->np_has_typed_skb = HasTypedSkb();
}
void Configure(clat_bpf&) {}
void Configure(traffic_bpf&) {}

// Null: failed, with a reason.
template <typename Skeleton>
std::unique_ptr<Skeleton, Destroy> Open() {
  std::unique_ptr<Skeleton, Destroy> skeleton(Skeleton::open());

  libbpf_set_print(Silence);
  // Kernels before 5.11 charge programs and maps to the locked memory.
  const rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_MEMLOCK, &unlimited);
  if (skeleton == nullptr) {
    ADD_FAILURE() << "the object does not open";
  } else {
    Configure(*skeleton);
  }
  return skeleton;
}

// Loads every program and asks the kernel what it cost. The load time is
// printed and not kept: it says more of the machine than of the program.
template <typename Skeleton>
void Measure(Costs& costs) {
  auto skeleton = Open<Skeleton>();
  std::map<std::string, std::vector<char>> logs;

  if (skeleton == nullptr) return;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, skeleton->obj) {
    std::vector<char>& log = logs[bpf_program__name(program)];
    log.resize(64 << 10);
    bpf_program__set_log_level(program, 4);  // BPF_LOG_STATS
    bpf_program__set_log_buf(program, log.data(), log.size());
  }
  const absl::Time begin = absl::Now();
  if (Skeleton::load(skeleton.get()) != 0) {
    for (const auto& [name, log] : logs) {
      ADD_FAILURE() << name << " does not load: " << log.data();
    }
    return;
  }
  printf("%s loaded in %s\n", bpf_object__name(skeleton->obj),
         absl::FormatDuration(absl::Now() - begin).c_str());
  bpf_object__for_each_program(program, skeleton->obj) {
    const std::string name = bpf_program__name(program);
    Cost& cost = costs[name];
    const std::string log = logs[name].data();
    const size_t at = log.find("processed ");
    EXPECT_NE(at, std::string::npos) << name << ": " << log;
    if (at != std::string::npos) {
      EXPECT_EQ(sscanf(log.c_str() + at,
                       "processed %u insns (limit %*u) max_states_per_insn %*u "
                       "total_states %u",
                       &cost.instructions, &cost.states),
                2)
          << log;
    }
    bpf_prog_info info{};
    uint32_t size = sizeof(info);
    EXPECT_EQ(bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size),
              0);
    cost.xlated_bytes = info.xlated_prog_len;
    cost.jited_bytes = info.jited_prog_len;
  }
}

void ExpectNotMuchMore(const char* what, uint32_t now, uint32_t on_record) {
  EXPECT_LE(now, on_record + on_record / 10)
      << what << " grew by more than a tenth over " << kRecord;
}

TEST(VerifierCost, StaysNearTheRecord) {
  if (auto missing = testing::MissingForBpfTests()) GTEST_SKIP() << *missing;
  const std::string kernel = KernelSeries();
  Costs costs;
  Measure<policy_bpf>(costs);
  Measure<clat_bpf>(costs);
  Measure<traffic_bpf>(costs);
  const Costs record = ReadRecord(kernel);
  std::string lines;

  ASSERT_FALSE(costs.empty());
  for (const auto& [name, cost] : costs) {
    absl::StrAppend(&lines, kernel, " ", name, " ", cost.instructions, " ",
                    cost.states, " ", cost.xlated_bytes, " ", cost.jited_bytes,
                    "\n");
  }
  printf("kernel program instructions states xlated_bytes jited_bytes\n%s",
         lines.c_str());
  for (const auto& [name, cost] : costs) {
    EXPECT_LE(cost.instructions, kMostInstructions) << name;
  }
  if (const char* file = getenv("NETPOLICY_RECORD")) {
    std::ofstream(file) << lines;
    return;
  }
  if (record.empty()) {
    GTEST_SKIP() << "kernel " << kernel << " is not on record in " << kRecord;
  }
  for (const auto& [name, cost] : costs) {
    SCOPED_TRACE(name);
    const auto old = record.find(name);
    if (old == record.end()) {
      ADD_FAILURE() << "not on record in " << kRecord;
      continue;
    }
    ExpectNotMuchMore("instructions", cost.instructions,
                      old->second.instructions);
    ExpectNotMuchMore("states", cost.states, old->second.states);
    ExpectNotMuchMore("xlated size", cost.xlated_bytes,
                      old->second.xlated_bytes);
    ExpectNotMuchMore("jited size", cost.jited_bytes, old->second.jited_bytes);
  }
}

// Verifiers of kernels that can't read words from anywhere (without
// CONFIG_HAVE_EFFICIENT_UNALIGNED_ACCESS: many of the MIPS that gateways are
// made of) accept aligned accesses only. This flag makes the others as strict.
template <typename Skeleton>
void ExpectAligned() {
  auto skeleton = Open<Skeleton>();
  bpf_program* program = nullptr;

  if (skeleton == nullptr) return;
  bpf_object__for_each_program(program, skeleton->obj) {
    EXPECT_EQ(bpf_program__set_flags(program, bpf_program__flags(program) |
                                                  BPF_F_STRICT_ALIGNMENT),
              0);
  }
  EXPECT_EQ(Skeleton::load(skeleton.get()), 0)
      << bpf_object__name(skeleton->obj);
}

TEST(Verifier, AcceptsEveryProgramWhereWordsMustBeAligned) {
  if (auto missing = testing::MissingForBpfTests()) GTEST_SKIP() << *missing;
  ExpectAligned<policy_bpf>();
  ExpectAligned<clat_bpf>();
  ExpectAligned<traffic_bpf>();
}

}  // namespace
}  // namespace netpolicy
