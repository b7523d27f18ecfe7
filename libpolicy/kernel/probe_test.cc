// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/kernel/probe.h"

#include <sys/socket.h>

#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/kernel/capability.h"
#include "libpolicy/kernel/probe_network.h"
#include "libpolicy/testing/actor.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/process.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/test_environment.h"

namespace netpolicy {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::IsOkAndHolds;
using ::testing::Not;
using testing::StatusIs;

// In a cgroup and a network namespace of their own, as some probes attach
// programs. A line for each feature, NAME=SUPPORT: DETAIL.
absl::StatusOr<std::string> ProbeApart(const std::string& pin_dir) {
  auto cgroup = testing::TestCgroup::Create();
  if (!cgroup.ok()) return cgroup.status();
  auto ns = testing::NetNamespace::Create();
  if (!ns.ok()) return ns.status();
  return testing::RunInChild(
      {.cgroup = cgroup->path(), .netns = ns->fd()}, [&pin_dir] {
        std::string all;
        for (const Feature& feature : ProbeFeatures("", pin_dir)) {
          absl::StrAppend(&all, feature.name, "=", SupportName(feature.support),
                          ": ", feature.detail, "\n");
        }
        return all;
      });
}

TEST(ProbeFeatures, EveryRowHasANameOfItsOwnAndSaysSomething) {
  if (auto missing = testing::MissingForBpfTests()) GTEST_SKIP() << *missing;
  const auto text = ProbeApart("/sys/fs/bpf/x");
  ASSERT_THAT(text, IsOk());
  // For whoever reads the log of a run on another kernel, and for
  // tools/kernel_support.
  printf("%s", text->c_str());
  std::set<std::string> names;
  for (absl::string_view line :
       absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
    const std::vector<std::string> parts =
        absl::StrSplit(line, absl::MaxSplits(": ", 1));
    ASSERT_EQ(parts.size(), 2u) << line;
    EXPECT_FALSE(parts[1].empty()) << line;
    EXPECT_TRUE(names.insert(parts[0].substr(0, parts[0].find('='))).second)
        << line;
  }
  EXPECT_GT(names.size(), 20u);
}

TEST(ProbeFeatures, WhereTestsCanRunNothingThatIsNeededIsAbsent) {
  if (auto missing = testing::MissingForBpfTests()) GTEST_SKIP() << *missing;
  auto bpffs = testing::BpfFs::Mount();
  ASSERT_THAT(bpffs, IsOk());
  const auto text = ProbeApart(bpffs->File("netpolicy"));
  ASSERT_THAT(text, IsOk());
  // The one that only an option of commits needs.
  const std::string needed = absl::StrReplaceAll(
      *text, {{"socket_destroy=absent:", "socket_destroy:"}});
  EXPECT_THAT(needed, Not(HasSubstr("=absent:")));
  EXPECT_THAT(*text, Not(HasSubstr("=unknown:")));
}

// Also in a namespace of a stranger: what it closes is its own.
TEST(SocketsCanBeDestroyed, IsFoundOutByOwnSocketsOnly) {
  if (auto missing = testing::MissingForBpfTests()) GTEST_SKIP() << *missing;
  auto ns = testing::NetNamespace::Create();
  ASSERT_THAT(ns, IsOk());
  auto other = testing::Actor::Spawn({.netns = ns->fd()});
  ASSERT_THAT(other, IsOk());
  auto listener = other->TcpSocket(AF_INET);
  ASSERT_THAT(listener, IsOk());
  ASSERT_THAT(other->Bind(*listener, {"127.0.0.1", 4002}), IsOk());
  ASSERT_THAT(other->Listen(*listener), IsOk());
  auto client = other->TcpSocket(AF_INET);
  ASSERT_THAT(client, IsOk());
  ASSERT_THAT(other->Connect(*client, {"127.0.0.1", 4002}), IsOk());
  const absl::StatusOr<std::string> answers =
      testing::RunInChild({.netns = ns->fd()}, [] {
        return absl::StrCat(SocketsCanBeDestroyed(SOCK_STREAM).ok(),
                            SocketsCanBeDestroyed(SOCK_DGRAM).ok());
      });
  EXPECT_THAT(answers, IsOkAndHolds("11"));
  EXPECT_THAT(other->Send(*client, "x"), IsOkAndHolds(1u));
  EXPECT_THAT(other->Accept(*listener), IsOk());
}

TEST(SocketsCanBeDestroyed, WithoutTheRightItIsNotKnown) {
  const absl::StatusOr<std::string> answer =
      testing::RunInChild({.privileges = testing::Privileges::kNone}, [] {
        const auto can = SocketsCanBeDestroyed(SOCK_DGRAM);
        return can.ok() ? absl::StrCat(*can)
                        : std::string(can.status().message());
      });
  ASSERT_THAT(answer, IsOk());
  EXPECT_THAT(*answer, ::testing::AnyOf(HasSubstr("needs CAP_NET_ADMIN"), "0"));
}

TEST(EgressSeesSynAcks, OverIpv4OnEveryKernel) {
  if (auto missing = testing::MissingForBpfTests()) GTEST_SKIP() << *missing;
  auto cgroup = testing::TestCgroup::Create();
  auto ns = testing::NetNamespace::Create();
  ASSERT_THAT(cgroup, IsOk());
  ASSERT_THAT(ns, IsOk());
  EXPECT_THAT(testing::RunInChild({.cgroup = cgroup->path(), .netns = ns->fd()},
                                  [] { return EgressSeesSynAcks(AF_INET); }),
              IsOkAndHolds(true));
}

TEST(EgressSeesSynAcks, WithoutLoopbackItIsNotKnown) {
  if (auto missing = testing::MissingForBpfTests()) GTEST_SKIP() << *missing;
  auto cgroup = testing::TestCgroup::Create();
  auto ns = testing::NetNamespace::Create();
  ASSERT_THAT(cgroup, IsOk());
  ASSERT_THAT(ns, IsOk());
  ASSERT_THAT(ns->SetLink("lo", testing::Toggle::kOff), IsOk());
  EXPECT_THAT(testing::RunInChild({.cgroup = cgroup->path(), .netns = ns->fd()},
                                  [] { return EgressSeesSynAcks(AF_INET6); })
                  .status()
                  .message(),
              HasSubstr("probe SYN-ACKs: "));
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
