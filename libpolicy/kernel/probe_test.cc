// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/kernel/probe.h"

#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/kernel/capability.h"
#include "libpolicy/testing/process.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/test_environment.h"

namespace netpolicy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::StatusIs;

std::map<std::string, Feature> ByName(const std::vector<Feature>& features) {
  std::map<std::string, Feature> by_name;
  for (const Feature& feature : features) by_name[feature.name] = feature;
  return by_name;
}

TEST(ProbeFeatures, EveryRowHasANameOfItsOwnAndSaysSomething) {
  const std::vector<Feature> features = ProbeFeatures("", "/sys/fs/bpf/x");
  EXPECT_THAT(ByName(features), ::testing::SizeIs(features.size()));
  for (const Feature& feature : features) {
    EXPECT_FALSE(feature.name.empty());
    EXPECT_FALSE(feature.detail.empty()) << feature.name;
    // For whoever reads the log of a run on another kernel.
    printf("%-20s %-8s %s\n", feature.name.c_str(),
           std::string(SupportName(feature.support)).c_str(),
           feature.detail.c_str());
  }
}

TEST(ProbeFeatures, WhereTestsCanRunNothingThatIsNeededIsAbsent) {
  if (auto missing = testing::MissingForBpfTests()) GTEST_SKIP() << *missing;
  auto bpffs = testing::BpfFs::Mount();
  ASSERT_THAT(bpffs, IsOk());
  for (const Feature& feature : ProbeFeatures("", bpffs->File("netpolicy"))) {
    EXPECT_NE(feature.support, Support::kAbsent)
        << feature.name << ": " << feature.detail;
  }
}

TEST(ProbeFeatures, WhatIsMissingIsNamedWithItsPrice) {
  auto text =
      testing::RunInChild({.privileges = testing::Privileges::kNone}, [] {
        std::string all;
        for (const Feature& feature : ProbeFeatures("/proc", "/proc/x")) {
          absl::StrAppend(&all, feature.name, "=", SupportName(feature.support),
                          ": ", feature.detail, "\n");
        }
        return all;
      });
  ASSERT_THAT(text, IsOk());
  EXPECT_THAT(*text, HasSubstr("capabilities=absent: missing CAP_BPF, "
                               "CAP_NET_ADMIN, CAP_PERFMON"));
  EXPECT_THAT(*text, HasSubstr("cgroup2=absent: open cgroup /proc: not a "
                               "cgroup v2 directory"));
  EXPECT_THAT(*text, HasSubstr("bpffs=absent: open pin directory /proc: not "
                               "on a bpffs"));
}

TEST(CheckBpfCapabilities, NamesWhatIsMissing) {
  auto status =
      testing::RunInChild({.privileges = testing::Privileges::kNone},
                          [] { return CheckBpfCapabilities("open engine"); });
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kPermissionDenied,
                               "open engine: needs CAP_BPF and CAP_NET_ADMIN "
                               "and CAP_PERFMON"));
}

}  // namespace
}  // namespace netpolicy
