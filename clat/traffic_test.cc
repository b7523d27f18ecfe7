// SPDX-License-Identifier: Apache-2.0

// Real programs across a real NAT64 (clat/testing/testbed.h).

#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "clat/controller.h"
#include "clat/testing/testbed.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/test_environment.h"

namespace netpolicy::clat {
namespace {

using netpolicy::testing::BpfFs;
using netpolicy::testing::IsOk;
using netpolicy::testing::IsOkAndHolds;
using netpolicy::testing::NetNamespace;
using netpolicy::testing::ScopedNetns;
using ::testing::HasSubstr;
using testing::Testbed;

class TrafficTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (auto missing = netpolicy::testing::MissingForBpfTests()) {
      GTEST_SKIP() << *missing;
    }
    if (auto missing = Testbed::MissingPlat()) GTEST_SKIP() << *missing;
    auto bed = Testbed::Create();
    ASSERT_THAT(bed, IsOk());
    bed_ = std::make_unique<Testbed>(*std::move(bed));
    ASSERT_THAT(bed_->StartPlat(), IsOk());
    auto bpffs = BpfFs::Mount();
    ASSERT_THAT(bpffs, IsOk());
    bpffs_ = std::make_unique<BpfFs>(*std::move(bpffs));
    Translate({.prefix = *Pref64::Parse(Testbed::kPrefix)});
  }

  // Translates on the uplink from now on, without anybody who looks after it.
  void Translate(const UplinkSettings& settings) {
    auto inside = ScopedNetns::Enter(bed_->host());
    ASSERT_THAT(inside, IsOk());
    auto controller = Controller::Open(
        {.pin_dir = bpffs_->path() + "/clat",
         .observer = [this](const ControllerEvent& event) {
           absl::StrAppend(&events_, event.interface, ": ", event.detail, "\n");
         }});
    ASSERT_THAT(controller, IsOk());
    ASSERT_THAT((*controller)->Start("eth0", settings), IsOk());
    const absl::Time end = absl::Now() + absl::Seconds(10);
    while (absl::Now() < end) {
      auto status = (*controller)->Status();
      ASSERT_THAT(status, IsOk());
      if (status->at(0).translation.has_value()) return;
      absl::SleepFor(absl::Milliseconds(20));
      (*controller)->Process();
    }
    FAIL() << "does not translate: " << events_;
  }

  absl::StatusOr<std::string> Host(const std::string& command) {
    return Testbed::Shell(bed_->host(), command);
  }

  std::unique_ptr<Testbed> bed_;
  std::unique_ptr<BpfFs> bpffs_;
  std::string events_;
};

TEST_F(TrafficTest, Ping) {
  EXPECT_THAT(Host("ping -c 3 -i 0.1 -W 2 203.0.113.2"),
              IsOkAndHolds(HasSubstr(" 0% packet loss")))
      << events_ << *Host("ip -s addr; ip route; ip -6 route; ip neigh");
}

}  // namespace
}  // namespace netpolicy::clat
