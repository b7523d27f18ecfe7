// Verdicts and counters where the machine is not as usual: no memory for socket
// storage, very many sockets, the largest UIDs, containers whose UIDs overlap.

#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/testing/capability.h"
#include "libpolicy/testing/container.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/tests/testbed.h"

namespace netpolicy::testing {
namespace {

constexpr uid_t kAppUid = 10001;
constexpr uid_t kLargestUid = 4294967294;
constexpr uint16_t kPort = 4001;

std::string DenyUid(uid_t uid) {
  return absl::StrCat(R"({"version": 1, "uids": [{"uid": )", uid,
                      R"(, "rule": "deny"}]})");
}
constexpr char kAllowAll[] = R"({"version": 1})";

class RobustnessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (auto missing = MissingForBpfTests()) GTEST_SKIP() << *missing;
    auto bed = Testbed::Create();
    ASSERT_THAT(bed, IsOk());
    bed_ = *std::move(bed);
  }

  uint64_t Loss(absl::string_view name) {
    auto stats = bed_->engine().Stats();
    EXPECT_THAT(stats, IsOk());
    if (stats.ok()) {
      for (const LossCounter& loss : stats->losses) {
        if (loss.name == name) return loss.count;
      }
    }
    ADD_FAILURE() << name;
    return 0;
  }

  // skbs sent by the UID, that passed.
  uint64_t Sent(uid_t uid) {
    auto stats = bed_->engine().Stats();
    EXPECT_THAT(stats, IsOk());
    uint64_t skbs = 0;
    if (stats.ok()) {
      for (const StatsRow& row : stats->rows) {
        if (row.uid == Uid{uid}) skbs += row.tx.skbs;
      }
    }
    return skbs;
  }

  // Packets of the UID that were refused on their way out, by the call that
  // would have sent them or later.
  uint64_t Refused(uid_t uid) {
    auto stats = bed_->engine().Stats();
    EXPECT_THAT(stats, IsOk());
    uint64_t packets = 0;
    if (stats.ok()) {
      for (const DropRow& row : stats->drops) {
        if (row.uid == Uid{uid} && row.direction != Direction::kIngress) {
          packets += row.packets;
        }
      }
    }
    return packets;
  }

  std::unique_ptr<Testbed> bed_;
};

TEST_F(RobustnessTest, WithoutMemoryForSocketStorageVerdictsAreTheSame) {
  if (auto limit = bed_->app_ns().ReadSysctl("net/core/optmem_max");
      !limit.ok()) {
    GTEST_SKIP() << "optmem_max is not the namespace's own: " << limit.status();
  }
  ASSERT_THAT(bed_->app_ns().WriteSysctl("net/core/optmem_max", "0"), IsOk());
  auto app = bed_->SpawnApp(kAppUid);
  ASSERT_THAT(app, IsOk());
  auto peer = bed_->SpawnPeer();
  ASSERT_THAT(peer, IsOk());
  for (int family : {AF_INET, AF_INET6}) {
    SCOPED_TRACE(family == AF_INET ? "IPv4" : "IPv6");
    const bool v4 = family == AF_INET;
    const Endpoint at_peer = {v4 ? "10.77.0.2" : "fd77::2", kPort};
    const Endpoint at_app = {v4 ? "10.77.0.1" : "fd77::1", kPort};
    ASSERT_THAT(bed_->Apply(kAllowAll), IsOk());
    auto socket = app->UdpSocket(family);
    ASSERT_THAT(socket, IsOk());
    ASSERT_THAT(app->Bind(*socket, {IpAddress::Any(family), kPort}), IsOk());
    auto other = peer->UdpSocket(family);
    ASSERT_THAT(other, IsOk());
    ASSERT_THAT(peer->Bind(*other, {IpAddress::Any(family), kPort}), IsOk());

    const uint64_t sent = Sent(kAppUid);
    const uint64_t losses = Loss("socket_storage");
    for (int i = 0; i < 3; ++i) {
      EXPECT_THAT(app->SendTo(*socket, at_peer, "out"), IsOkAndHolds(3u));
      EXPECT_THAT(peer->Receive(*other), IsOk());
    }
    EXPECT_THAT(peer->SendTo(*other, at_app, "in"), IsOkAndHolds(2u));
    EXPECT_THAT(app->Receive(*socket), IsOk());
    EXPECT_EQ(Sent(kAppUid) - sent, 3);
    EXPECT_GE(Loss("socket_storage") - losses, 4);

    ASSERT_THAT(bed_->Apply(DenyUid(kAppUid)), IsOk());
    const uint64_t refused = Refused(kAppUid);
    EXPECT_THAT(app->SendTo(*socket, at_peer, "out"), HasErrno(EPERM));
    EXPECT_THAT(peer->SendTo(*other, at_app, "in"), IsOkAndHolds(2u));
    EXPECT_THAT(app->Receive(*socket, absl::Milliseconds(40)),
                StatusIs(absl::StatusCode::kDeadlineExceeded));
    EXPECT_EQ(Sent(kAppUid) - sent, 3);
    EXPECT_EQ(Refused(kAppUid) - refused, 1);
    ASSERT_THAT(app->Close(*socket), IsOk());
    ASSERT_THAT(peer->Close(*other), IsOk());
  }
}

TEST_F(RobustnessTest, TheLargestUidsAreLikeAnyOther) {
  for (uid_t uid : {uid_t{65534}, uid_t{2147483648}, kLargestUid}) {
    SCOPED_TRACE(uid);
    ASSERT_THAT(bed_->Apply(DenyUid(uid)), IsOk());
    auto app = bed_->SpawnApp(uid);
    ASSERT_THAT(app, IsOk());
    auto neighbour = bed_->SpawnApp(uid - 1);
    ASSERT_THAT(neighbour, IsOk());
    const Endpoint at_peer = {"10.77.0.2", kPort};
    auto socket = app->UdpSocket(AF_INET);
    ASSERT_THAT(socket, IsOk());
    auto other = neighbour->UdpSocket(AF_INET);
    ASSERT_THAT(other, IsOk());

    EXPECT_THAT(app->SendTo(*socket, at_peer, "x"), HasErrno(EPERM));
    EXPECT_THAT(neighbour->SendTo(*other, at_peer, "x"), IsOkAndHolds(1u));
    EXPECT_EQ(Sent(uid), 0);
    EXPECT_GE(Sent(uid - 1), 1);

    ASSERT_THAT(bed_->Apply(kAllowAll), IsOk());
    EXPECT_THAT(app->SendTo(*socket, at_peer, "x"), IsOkAndHolds(1u));
    EXPECT_GE(Sent(uid), 1);
  }
}

TEST_F(RobustnessTest, ContainersWithTheSameUidInsideAreDifferentSubjects) {
  if (auto missing = MissingCapability({Capability::kUserNamespaces})) {
    GTEST_SKIP() << *missing;
  }
  auto first = Container::Create({"0 100000 65536", "0 100000 65536"});
  ASSERT_THAT(first, IsOk());
  auto second = Container::Create({"0 300000 65536", "0 300000 65536"});
  ASSERT_THAT(second, IsOk());
  const auto spawn = [&](const Container& in) {
    return Actor::Spawn({.uid = kAppUid,
                         .cgroup = bed_->cgroup().path(),
                         .netns = in.net.fd(),
                         .userns = in.user.get()});
  };
  auto app1 = spawn(*first);
  ASSERT_THAT(app1, IsOk());
  auto app2 = spawn(*second);
  ASSERT_THAT(app2, IsOk());
  auto outside = bed_->SpawnApp(kAppUid);
  ASSERT_THAT(outside, IsOk());

  const Endpoint self = {"127.0.0.1", kPort};
  Actor* const apps[] = {&*app1, &*app2, &*outside};
  ActorSocket sockets[3];
  for (int i = 0; i < 3; ++i) {
    auto socket = apps[i]->UdpSocket(AF_INET);
    ASSERT_THAT(socket, IsOk());
    sockets[i] = *socket;
  }

  // UIDs as the machine sees them: 10001 inside is 110001, 310001, 10001.
  const uid_t uids[] = {110001, 310001, 10001};
  for (int denied = 0; denied < 3; ++denied) {
    SCOPED_TRACE(uids[denied]);
    ASSERT_THAT(bed_->Apply(DenyUid(uids[denied])), IsOk());
    for (int i = 0; i < 3; ++i) {
      SCOPED_TRACE(i);
      const uint64_t sent = Sent(uids[i]);
      // Sockets that there were before, and new ones.
      auto fresh = apps[i]->UdpSocket(AF_INET);
      ASSERT_THAT(fresh, IsOk());
      for (ActorSocket socket : {sockets[i], *fresh}) {
        if (i == denied) {
          EXPECT_THAT(apps[i]->SendTo(socket, self, "x"), HasErrno(EPERM));
        } else {
          EXPECT_THAT(apps[i]->SendTo(socket, self, "x"), IsOkAndHolds(1u));
        }
      }
      EXPECT_EQ(Sent(uids[i]) - sent, i == denied ? 0 : 2);
      ASSERT_THAT(apps[i]->Close(*fresh), IsOk());
    }
  }
}

// Opens UDP sockets and keeps them open, two (one for each family) to a port;
// `input` is their number and the first port. Their descriptors are those from
// kFirstDescriptor on.
constexpr int kFirstDescriptor = 1000;
absl::StatusOr<std::string> OpenManySockets(absl::string_view input) {
  const std::string text(input);
  int count = 0;
  int first_port = 0;
  if (sscanf(text.c_str(), "%d %d", &count, &first_port) != 2) {
    return absl::InternalError("numbers");
  }
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return ErrnoStatus(errno, "limit");
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return ErrnoStatus(errno, "limit");
  for (int i = 0; i < count; ++i) {
    const UniqueFd made(socket(i % 2 == 0 ? AF_INET : AF_INET6, SOCK_DGRAM, 0));
    if (!made.ok()) return ErrnoStatus(errno, absl::StrCat("open socket ", i));
    const int fd = dup2(made.get(), kFirstDescriptor + i);
    if (fd < 0) return ErrnoStatus(errno, absl::StrCat("keep socket ", i));
    sockaddr_storage local;
    const socklen_t length = Endpoint{i % 2 == 0 ? "10.77.0.1" : "fd77::1",
                                      static_cast<uint16_t>(first_port + i / 2)}
                                 .ToSockaddr(&local);
    if (bind(fd, reinterpret_cast<sockaddr*>(&local), length) != 0) {
      return ErrnoStatus(errno, absl::StrCat("bind socket ", i));
    }
  }
  return std::string();
}

// A datagram on each of the `input` sockets; "sent refused".
absl::StatusOr<std::string> SendOnManySockets(absl::string_view input) {
  int count = 0;
  if (!absl::SimpleAtoi(input, &count)) return absl::InternalError("number");
  int sent = 0;
  int refused = 0;
  for (int i = 0; i < count; ++i) {
    sockaddr_storage peer;
    const socklen_t length =
        Endpoint{i % 2 == 0 ? "10.77.0.2" : "fd77::2", kPort}.ToSockaddr(&peer);
    if (sendto(kFirstDescriptor + i, "x", 1, 0,
               reinterpret_cast<sockaddr*>(&peer), length) == 1) {
      ++sent;
    } else if (errno == EPERM) {
      ++refused;
    } else {
      return ErrnoStatus(errno, absl::StrCat("send on socket ", i));
    }
  }
  return absl::StrCat(sent, " ", refused);
}

TEST_F(RobustnessTest, AHundredThousandSocketsAreJudgedAndCountedOneByOne) {
  constexpr int kProcesses = 10;
  constexpr int kSocketsEach = 10'000;
  constexpr int kSockets = kProcesses * kSocketsEach;
  constexpr absl::Duration kTime = absl::Seconds(60);
  std::vector<Actor> apps;
  const std::string all = absl::StrCat(kSocketsEach);
  for (int i = 0; i < kProcesses; ++i) {
    auto app = bed_->SpawnApp(kAppUid);
    ASSERT_THAT(app, IsOk());
    auto opened = app->Call(
        OpenManySockets,
        absl::StrCat(kSocketsEach, " ", 1024 + i * kSocketsEach / 2), kTime);
    if (int error = ErrnoOf(opened.status());
        error == EMFILE || error == ENFILE) {
      GTEST_SKIP() << opened.status();
    }
    ASSERT_THAT(opened, IsOk());
    apps.push_back(*std::move(app));
  }
  const auto send_on_all = [&](absl::string_view expected) {
    for (Actor& app : apps) {
      EXPECT_THAT(app.Call(SendOnManySockets, all, kTime),
                  IsOkAndHolds(std::string(expected)));
    }
  };

  ASSERT_THAT(bed_->Apply(kAllowAll), IsOk());
  send_on_all(absl::StrCat(kSocketsEach, " 0"));
  send_on_all(absl::StrCat(kSocketsEach, " 0"));
  EXPECT_EQ(Sent(kAppUid), 2 * kSockets);

  // The verdicts kept in all of them end with one commit.
  ASSERT_THAT(bed_->Apply(DenyUid(kAppUid)), IsOk());
  send_on_all(absl::StrCat("0 ", kSocketsEach));
  EXPECT_EQ(Sent(kAppUid), 2 * kSockets);
  EXPECT_EQ(Refused(kAppUid), kSockets);
  EXPECT_EQ(Loss("socket_storage"), 0);
  EXPECT_EQ(Loss("rows_full"), 0);
}

}  // namespace
}  // namespace netpolicy::testing
