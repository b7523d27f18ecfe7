// SPDX-License-Identifier: Apache-2.0

#include "netd/daemon/machine.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/scratch_dir.h"

namespace netpolicy {
namespace {

using State = DoctorFinding::State;

void Write(const std::string& path, const std::string& content) {
  std::filesystem::create_directories(
      std::filesystem::path(path).parent_path());
  std::ofstream(path) << content;
}

EngineStatus Attached() {
  EngineStatus status;
  status.cgroup = "/sys/fs/cgroup";
  status.programs.resize(2);
  status.programs[0].name = "np_ingress";
  status.programs[0].link_id = 1;
  status.programs[1].name = "np_egress";
  status.programs[1].link_id = 2;
  return status;
}

class MachineTest : public ::testing::Test {
 protected:
  // The finding of that name.
  DoctorFinding Find(const EngineStatus& status, const std::string& name) {
    for (const DoctorFinding& finding :
         ExamineMachine(features_, &status, dir_.path())) {
      if (finding.name == name) return finding;
    }
    ADD_FAILURE() << "no finding " << name;
    return {};
  }
  std::string File(const std::string& name) { return dir_.path() + name; }

  std::vector<Feature> features_;
  const testing::ScratchDir dir_ = testing::ScratchDir::Create().value();
};

TEST_F(MachineTest, SettingsAreJudged) {
  const struct {
    const char* name;
    const char* file;
    const char* value;  // nullptr: there is no file
    State state;
    const char* detail;
    bool costs;
  } kRows[] = {
      {"unprivileged_bpf_off", "/proc/sys/kernel/unprivileged_bpf_disabled",
       "2\n", State::kPresent, "kernel/unprivileged_bpf_disabled = 2", false},
      {"unprivileged_bpf_off", "/proc/sys/kernel/unprivileged_bpf_disabled",
       "0\n", State::kMissing, "kernel/unprivileged_bpf_disabled = 0", true},
      {"socket_memory", "/proc/sys/net/core/optmem_max", "131072\n",
       State::kPresent, "net/core/optmem_max = 131072", false},
      {"socket_memory", "/proc/sys/net/core/optmem_max", "1024\n",
       State::kMissing, "net/core/optmem_max = 1024", true},
      {"socket_memory", "/proc/sys/net/core/optmem_max", nullptr,
       State::kUnknown, "net/core/optmem_max can't be read", false},
      {"socket_memory", "/proc/sys/net/core/optmem_max", "x", State::kUnknown,
       "net/core/optmem_max can't be read", false},
      {"whole_machine", "/sys/fs/cgroup/cgroup.procs", "", State::kPresent,
       "/sys/fs/cgroup", false},
      {"whole_machine", "/sys/fs/cgroup/cgroup.type", "domain\n",
       State::kMissing, "/sys/fs/cgroup", true},
  };
  for (const auto& row : kRows) {
    const std::string file = File(row.file);
    std::filesystem::remove(file);
    if (row.value != nullptr) Write(file, row.value);
    const DoctorFinding finding = Find(Attached(), row.name);
    EXPECT_EQ(finding.state, row.state) << row.file << " " << row.value;
    EXPECT_EQ(finding.detail, row.detail);
    EXPECT_EQ(!finding.cost.empty(), row.costs) << row.file << " " << row.value;
  }
}

TEST_F(MachineTest, FeaturesAreTakenOver) {
  features_.resize(4);
  features_[0] = {.name = "jit", .support = Support::kNative, .detail = "fast"};
  features_[1] = {
      .name = "batch", .support = Support::kFallback, .detail = "takes longer"};
  features_[2] = {
      .name = "bpf", .support = Support::kAbsent, .detail = "no enforcement"};
  features_[3] = {
      .name = "clsact", .support = Support::kUnknown, .detail = "not allowed"};
  EXPECT_EQ(Find(Attached(), "clsact").state, State::kUnknown);
  EXPECT_EQ(Find(Attached(), "clsact").detail, "not allowed");
  EXPECT_EQ(Find(Attached(), "clsact").cost, "");
  EXPECT_EQ(Find(Attached(), "jit").state, State::kPresent);
  EXPECT_EQ(Find(Attached(), "jit").detail, "fast");
  EXPECT_EQ(Find(Attached(), "jit").cost, "");
  EXPECT_EQ(Find(Attached(), "batch").state, State::kFallback);
  EXPECT_EQ(Find(Attached(), "batch").detail, "");
  EXPECT_EQ(Find(Attached(), "batch").cost, "takes longer");
  EXPECT_EQ(Find(Attached(), "bpf").state, State::kMissing);
  EXPECT_EQ(Find(Attached(), "bpf").cost, "no enforcement");
}

TEST_F(MachineTest, InterfacesThatAreNotThereAreNamed) {
  EXPECT_EQ(Find(Attached(), "policy_interfaces").state, State::kPresent);
  EngineStatus status = Attached();
  status.absent_interfaces = {"tun0", "wg*"};
  const DoctorFinding finding = Find(status, "policy_interfaces");
  EXPECT_EQ(finding.state, State::kMissing);
  EXPECT_EQ(finding.detail, "not there now: tun0, wg*");
  EXPECT_NE(finding.cost, "");
}

TEST_F(MachineTest, DetachedProgramsAreNamed) {
  EXPECT_EQ(Find(Attached(), "programs_attached").detail,
            "np_ingress, np_egress");
  EXPECT_EQ(Find(Attached(), "programs_attached").state, State::kPresent);
  EngineStatus status = Attached();
  status.programs[0].link_id = 0;
  const DoctorFinding finding = Find(status, "programs_attached");
  EXPECT_EQ(finding.detail, "np_ingress (detached), np_egress");
  EXPECT_EQ(finding.state, State::kMissing);
  EXPECT_FALSE(finding.cost.empty());
}

TEST_F(MachineTest, WithoutAnEngineOnlyTheMachineIsLookedAt) {
  for (const DoctorFinding& finding :
       ExamineMachine(features_, nullptr, dir_.path())) {
    EXPECT_NE(finding.name, "programs_attached");
    EXPECT_NE(finding.name, "whole_machine");
  }
}

TEST_F(MachineTest, TheKernelIsNamed) {
  EXPECT_EQ(Find(Attached(), "kernel").state, State::kPresent);
  EXPECT_EQ(Find(Attached(), "kernel").detail.substr(0, 6), "Linux ");
}

}  // namespace
}  // namespace netpolicy
