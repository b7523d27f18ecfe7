// SPDX-License-Identifier: Apache-2.0
//
// Tags and counter sets through a running netd, as seen by those who may
// little.

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/process.h"
#include "libpolicy/testing/status_matchers.h"
#include "netd/daemon/netd_process.h"
#include "netd/service/open_charging.h"

namespace netpolicy::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr uid_t kApp = 10071;
constexpr uid_t kOther = 10072;
constexpr uint16_t kPort = 5000;
constexpr absl::Duration kDeadline = absl::Seconds(20);

// Packets that were sent, by UID, tag and counter set.
using Sent = std::map<std::tuple<uint32_t, uint32_t, uint32_t>, uint64_t>;

UniqueFd Udp() {
  return UniqueFd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

// To a port of the loopback that nobody listens to.
absl::Status Send(int fd, int packets) {
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(kPort);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (int i = 0; i < packets; ++i) {
    if (sendto(fd, "x", 1, 0, reinterpret_cast<sockaddr*>(&to), sizeof(to)) !=
        1) {
      return absl::InternalError(absl::StrCat("send: ", strerror(errno)));
    }
  }
  return absl::OkStatus();
}

size_t DescriptorsOf(pid_t pid) {
  DIR* const directory = opendir(absl::StrCat("/proc/", pid, "/fd").c_str());
  size_t count = 0;
  while (directory != nullptr && readdir(directory) != nullptr) ++count;
  closedir(directory);
  return count;
}

// Among them what netd must refuse.
template <int kCount>
absl::Status TagManySockets(ChargingInterface& charging) {
  const UniqueFd local(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  for (int i = 0; i < kCount; ++i) {
    const UniqueFd socket = Udp();
    if (i % 10 == 0 && charging.TagSocket(local.get(), {.tag = 1}).ok()) {
      return absl::InternalError("a unix socket was tagged");
    }
    if (i % 10 == 1 &&
        charging.TagSocket(socket.get(), {.tag = 1, .charge = Uid{0}}).ok()) {
      return absl::InternalError("root was charged");
    }
    NP_RETURN_IF_ERROR(
        charging.TagSocket(socket.get(), {.tag = static_cast<uint32_t>(i)}));
  }
  return absl::OkStatus();
}

class ChargingTest : public NetdFixture {
 protected:
  void SetUp() override {
    NetdFixture::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    absl::StatusOr<NetNamespace> ns = NetNamespace::Create();
    ASSERT_THAT(ns, IsOk());
    ns_ = std::make_unique<NetNamespace>(*std::move(ns));
    netd_ = StartReady();
    ASSERT_NE(netd_, nullptr);
  }

  // In a process of `uid` in the cgroup, with what OpenCharging() gives it.
  absl::Status As(uid_t uid,
                  absl::FunctionRef<absl::Status(ChargingInterface&)> body) {
    ChildOptions options;
    options.uid = uid;
    options.cgroup = cgroup_->path();
    options.netns = ns_->fd();
    const auto run = [&]() -> absl::Status {
      NP_ASSIGN_OR_RETURN(
          const std::unique_ptr<ChargingInterface> charging,
          OpenCharging({.pin_dir = PinDir(), .socket = Socket()}));
      return body(*charging);
    };
    return RunInChild(options, run, absl::Minutes(2));
  }

  // As() with a socket of its own, which it tags, and sends from.
  absl::Status TagAs(uid_t uid, const SocketTag& tag, int packets = 0) {
    return As(uid, [&](ChargingInterface& charging) -> absl::Status {
      const UniqueFd socket = Udp();
      NP_RETURN_IF_ERROR(charging.TagSocket(socket.get(), tag));
      return Send(socket.get(), packets);
    });
  }

  Sent SentBy(std::initializer_list<uint32_t> uids) {
    Sent sent;
    const std::unique_ptr<Client> client = Connect();
    const auto stats = client->Stats();
    EXPECT_THAT(stats, IsOk());
    if (!stats.ok()) return sent;
    for (const StatsRow& row : stats->rows) {
      for (const uint32_t uid : uids) {
        if (row.uid != Uid{uid} || row.tx.packets == 0) continue;
        sent[{uid, row.tag, row.counter_set}] += row.tx.packets;
      }
    }
    return sent;
  }

  std::unique_ptr<NetNamespace> ns_;
  std::unique_ptr<NetdProcess> netd_;
};

TEST_F(ChargingTest, AnOrdinaryUserTagsItsOwnSockets) {
  EXPECT_THAT(
      As(kApp,
         [](ChargingInterface& charging) -> absl::Status {
           const UniqueFd socket = Udp();
           NP_RETURN_IF_ERROR(Send(socket.get(), 1));
           NP_RETURN_IF_ERROR(charging.TagSocket(socket.get(), {.tag = 7}));
           NP_RETURN_IF_ERROR(Send(socket.get(), 3));
           // Naming itself is the same.
           NP_RETURN_IF_ERROR(charging.TagSocket(
               socket.get(), {.tag = 8, .charge = Uid{kApp}}));
           NP_RETURN_IF_ERROR(Send(socket.get(), 4));
           NP_RETURN_IF_ERROR(charging.UntagSocket(socket.get()));
           NP_RETURN_IF_ERROR(charging.UntagSocket(socket.get()));
           return Send(socket.get(), 5);
         }),
      IsOk());
  EXPECT_THAT(SentBy({kApp}), ElementsAre(Pair(std::tuple(kApp, 0, 0), 6),
                                          Pair(std::tuple(kApp, 7, 0), 3),
                                          Pair(std::tuple(kApp, 8, 0), 4)));
}

TEST_F(ChargingTest, OthersAreChargedWithPermissionOnly) {
  const auto refused =
      StatusIs(absl::StatusCode::kPermissionDenied,
               "tag socket: operation not permitted: uid 10071 may not charge "
               "uid 10072 (it has no update_device_stats)");
  const SocketTag tag = {.tag = 9, .charge = Uid{kOther}};
  EXPECT_THAT(TagAs(kApp, tag, 1), refused);
  EXPECT_THAT(TagAs(kApp, {.tag = 9, .charge = Uid{0}}),
              StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(SentBy({kApp, kOther, 0}), IsEmpty());

  ASSERT_THAT(Commit({SetUpdateDeviceStats{Uid{kApp}, Permission::kGranted}}),
              IsOk());
  EXPECT_THAT(TagAs(kApp, tag, 3), IsOk());
  EXPECT_THAT(TagAs(kOther, {.tag = 9, .charge = Uid{kApp}}),
              StatusIs(absl::StatusCode::kPermissionDenied));
  ASSERT_THAT(Commit({SetUpdateDeviceStats{Uid{kApp}, Permission::kRevoked}}),
              IsOk());
  EXPECT_THAT(TagAs(kApp, tag, 1), refused);
  // Root may all, with or without capabilities.
  EXPECT_THAT(TagAs(0, tag, 4), IsOk());
  EXPECT_THAT(SentBy({kApp, kOther, 0}),
              ElementsAre(Pair(std::tuple(kOther, 9, 0), 7)));
  EXPECT_THAT(netd_->Output(),
              HasSubstr("event=call_failed call=tag_socket uid=10071"));
}

TEST_F(ChargingTest, NobodyMovesWhatAnotherIsChargedFor) {
  // A socket of root's that this one was given.
  const UniqueFd roots = Udp();
  const auto as_app = [&](const SocketTag& tag) {
    return As(kApp, [&](ChargingInterface& charging) {
      return charging.TagSocket(roots.get(), tag);
    });
  };
  for (const SocketTag& tag : {SocketTag{.tag = 1}, SocketTag{}}) {
    EXPECT_THAT(as_app(tag),
                StatusIs(absl::StatusCode::kPermissionDenied,
                         HasSubstr("uid 10071 may not charge uid 0, who owns "
                                   "the socket")));
  }
  EXPECT_THAT(as_app({.tag = 1, .charge = Uid{kApp}}), IsOk());
}

TEST_F(ChargingTest, WhatIsNoInternetSocketIsAnError) {
  const UniqueFd local(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const UniqueFd netlink(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0));
  const UniqueFd file(open("/dev/null", O_RDONLY | O_CLOEXEC));
  constexpr int kClosed = 1000;  // a number that nothing has come to yet
  const struct {
    const char* name;
    int fd;
    const char* message;
  } kRows[] = {
      {"unix", local.get(),
       "tag socket: its address family is 1, not that of IPv4 or IPv6"},
      {"netlink", netlink.get(),
       "tag socket: its address family is 16, not that of IPv4 or IPv6"},
      {"file", file.get(), "tag socket: it is no socket"},
      {"closed", kClosed, "tag socket: it is no open descriptor"},
      {"none", -1, "tag socket: it is no open descriptor"},
  };
  for (const uid_t uid : {uid_t{0}, kApp}) {
    for (const auto& row : kRows) {
      EXPECT_THAT(As(uid,
                     [&](ChargingInterface& charging) {
                       return charging.TagSocket(row.fd, {.tag = 1});
                     }),
                  StatusIs(absl::StatusCode::kInvalidArgument, row.message))
          << row.name;
    }
  }
  EXPECT_THAT(TagAs(kApp, {.tag = 1}), IsOk());
}

TEST_F(ChargingTest, TenThousandCallsLeaveNoDescriptorInNetd) {
  ASSERT_THAT(TagAs(kApp, {.tag = 1}), IsOk());
  const size_t before = DescriptorsOf(netd_->pid());
  ASSERT_GT(before, 0u);
  constexpr int kPart = 1000;
  for (int i = 0; i < 10000; i += kPart) {
    ASSERT_THAT(As(kApp, TagManySockets<kPart>), IsOk());
  }
  const absl::Time deadline = absl::Now() + kDeadline;
  while (DescriptorsOf(netd_->pid()) > before && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_LE(DescriptorsOf(netd_->pid()), before);
}

TEST_F(ChargingTest, CounterSetsAreForWhoMayChargeOthers) {
  const auto set_as = [&](uid_t uid, uid_t whose, uint32_t counter_set) {
    return As(uid, [&](ChargingInterface& charging) {
      return charging.SetCounterSet(Uid{whose}, counter_set);
    });
  };
  EXPECT_THAT(set_as(kApp, kApp, kForegroundCounterSet),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       "set counter set: operation not permitted: uid 10071 "
                       "has no update_device_stats"));
  ASSERT_THAT(TagAs(kApp, {.tag = 1}, 2), IsOk());
  EXPECT_THAT(set_as(0, kApp, kForegroundCounterSet), IsOk());
  ASSERT_THAT(TagAs(kApp, {.tag = 1}, 3), IsOk());
  ASSERT_THAT(Commit({SetUpdateDeviceStats{Uid{kOther}, Permission::kGranted}}),
              IsOk());
  EXPECT_THAT(set_as(kOther, kApp, 15), IsOk());
  EXPECT_THAT(set_as(kOther, kApp, 16),
              StatusIs(absl::StatusCode::kInvalidArgument));
  ASSERT_THAT(TagAs(kApp, {.tag = 1}, 4), IsOk());
  EXPECT_THAT(SentBy({kApp}), ElementsAre(Pair(std::tuple(kApp, 1, 0), 2),
                                          Pair(std::tuple(kApp, 1, 1), 3),
                                          Pair(std::tuple(kApp, 1, 15), 4)));
  std::unique_ptr<Client> client = Connect();
  EXPECT_THAT(client->CounterSets(),
              IsOkAndHolds(ElementsAre(UidCounterSet{Uid{kApp}, 15})));
  EXPECT_THAT(As(kApp,
                 [](ChargingInterface& charging) {
                   return charging.CounterSets().status();
                 }),
              StatusIs(absl::StatusCode::kPermissionDenied));

  Stop(*netd_);
  netd_ = StartReady();
  ASSERT_NE(netd_, nullptr);
  client = Connect();
  EXPECT_THAT(client->CounterSets(),
              IsOkAndHolds(ElementsAre(UidCounterSet{Uid{kApp}, 15})));
  EXPECT_THAT(client->SetCounterSet(Uid{kApp}, kBackgroundCounterSet), IsOk());
  EXPECT_THAT(client->CounterSets(), IsOkAndHolds(IsEmpty()));
}

TEST_F(ChargingTest, WhoIsPrivilegedNeedsNoNetd) {
  Stop(*netd_);
  EXPECT_THAT(TagAs(0, {.tag = 3, .charge = Uid{kOther}}, 2), IsOk());
  EXPECT_THAT(TagAs(kApp, {.tag = 3}),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("is netd running?"),
                             HasSubstr("; directly: open engine: needs "
                                       "CAP_BPF"))));
  netd_ = StartReady();
  ASSERT_NE(netd_, nullptr);
  EXPECT_THAT(SentBy({kOther}), ElementsAre(Pair(std::tuple(kOther, 3, 0), 2)));
}

}  // namespace
}  // namespace netpolicy::testing
