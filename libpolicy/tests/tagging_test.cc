// SPDX-License-Identifier: Apache-2.0
//
// Who is charged for a socket's traffic, and under which tag and counter set;
// and that the policy does not care.

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/tests/testbed.h"

namespace netpolicy::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

constexpr uint32_t kAppUid = 10007;
constexpr uint32_t kOtherUid = 10008;
constexpr uint16_t kAppPort = 4000;
constexpr uint16_t kPeerPort = 5000;

// UID, tag and counter set of a row.
using Key = std::tuple<uint32_t, uint32_t, uint32_t>;

// Packets that were sent, by who was charged.
using Sent = std::map<Key, uint64_t>;

class TaggingTest : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    if (auto missing = MissingForBpfTests()) GTEST_SKIP() << *missing;
    auto bed = Testbed::Create();
    ASSERT_THAT(bed, IsOk());
    bed_ = *std::move(bed);
    Spawn(app_, [this] { return bed_->SpawnApp(kAppUid); });
    Spawn(peer_, [this] { return bed_->SpawnPeer(); });
  }

  template <typename How>
  static void Spawn(std::optional<Actor>& actor, How how) {
    auto spawned = how();
    ASSERT_THAT(spawned, IsOk());
    actor.emplace(*std::move(spawned));
  }

  Engine& engine() { return bed_->engine(); }
  static Endpoint PeerAt(uint16_t port) {
    return {GetParam() == AF_INET6 ? "fd77::2" : "10.77.0.2", port};
  }
  static Endpoint AppAt(uint16_t port) {
    return {GetParam() == AF_INET6 ? "fd77::1" : "10.77.0.1", port};
  }

  ActorSocket Udp() {
    auto socket = app_->UdpSocket(GetParam());
    EXPECT_THAT(socket, IsOk());
    return *socket;
  }

  // The actor's socket, for this process.
  UniqueFd FdOf(ActorSocket socket) {
    auto fd = app_->GetFd(socket);
    EXPECT_THAT(fd, IsOk());
    return fd.ok() ? *std::move(fd) : UniqueFd();
  }

  absl::Status Tag(ActorSocket socket, const SocketTag& tag) {
    return engine().TagSocket(FdOf(socket).get(), tag);
  }

  void Send(ActorSocket socket, int packets) {
    for (int i = 0; i < packets; ++i) {
      ASSERT_THAT(app_->SendTo(socket, PeerAt(kPeerPort), "x"),
                  IsOkAndHolds(1));
    }
  }

  // Of the application's and the other UID, since the last call.
  Sent NewlySent() {
    Sent sent;
    auto stats = engine().Stats();
    EXPECT_THAT(stats, IsOk());
    if (!stats.ok()) return sent;
    for (const StatsRow& row : stats->rows) {
      const uint32_t uid = ToInt(row.uid);
      if (uid != kAppUid && uid != kOtherUid) continue;
      const Key key = {uid, row.tag, row.counter_set};
      if (row.tx.packets > seen_[key]) {
        sent[key] = row.tx.packets - seen_[key];
        seen_[key] = row.tx.packets;
      }
    }
    return sent;
  }

  std::unique_ptr<Testbed> bed_;
  std::optional<Actor> app_;
  std::optional<Actor> peer_;
  Sent seen_;
};

TEST_P(TaggingTest, HoldsFromTheNextPacketOn) {
  const ActorSocket socket = Udp();
  Send(socket, 3);
  EXPECT_THAT(NewlySent(), ElementsAre(Pair(Key{kAppUid, 0, 0}, 3)));
  ASSERT_THAT(Tag(socket, {.tag = 1}), IsOk());
  Send(socket, 4);
  EXPECT_THAT(NewlySent(), ElementsAre(Pair(Key{kAppUid, 1, 0}, 4)));
  ASSERT_THAT(Tag(socket, {.tag = 0xffffffff}), IsOk());
  Send(socket, 5);
  EXPECT_THAT(NewlySent(), ElementsAre(Pair(Key{kAppUid, 0xffffffff, 0}, 5)));
  ASSERT_THAT(engine().UntagSocket(FdOf(socket).get()), IsOk());
  ASSERT_THAT(engine().UntagSocket(FdOf(socket).get()), IsOk());
  Send(socket, 6);
  EXPECT_THAT(NewlySent(), ElementsAre(Pair(Key{kAppUid, 0, 0}, 6)));
}

TEST_P(TaggingTest, IsTheSocketsOwn) {
  const ActorSocket tagged = Udp();
  const ActorSocket other = Udp();
  ASSERT_THAT(Tag(tagged, {.tag = 1}), IsOk());
  Send(tagged, 1);
  Send(other, 2);
  ASSERT_THAT(app_->Close(tagged), IsOk());
  Send(Udp(), 4);
  EXPECT_THAT(NewlySent(), UnorderedElementsAre(Pair(Key{kAppUid, 0, 0}, 6),
                                                Pair(Key{kAppUid, 1, 0}, 1)));
}

TEST_P(TaggingTest, ChargesAnotherUidWhileThePolicyJudgesTheOwner) {
  const ActorSocket socket = Udp();
  ASSERT_THAT(Tag(socket, {.tag = 7, .charge = Uid{kOtherUid}}), IsOk());
  ASSERT_THAT(bed_->Apply(absl::StrCat(R"({"version": 1, "uids": [{"uid": )",
                                       kOtherUid, R"(, "rule": "deny"}]})")),
              IsOk());
  Send(socket, 3);
  EXPECT_THAT(NewlySent(), ElementsAre(Pair(Key{kOtherUid, 7, 0}, 3)));

  ASSERT_THAT(bed_->Apply(absl::StrCat(R"({"version": 1, "uids": [{"uid": )",
                                       kAppUid, R"(, "rule": "deny"}]})")),
              IsOk());
  EXPECT_THAT(app_->SendTo(socket, PeerAt(kPeerPort), "x"), HasErrno(EPERM));
  EXPECT_THAT(NewlySent(), IsEmpty());
  auto stats = engine().Stats();
  ASSERT_THAT(stats, IsOk());
  ASSERT_THAT(stats->drops, ::testing::SizeIs(1));
  EXPECT_EQ(stats->drops[0].uid, Uid{kAppUid});
}

TEST_P(TaggingTest, RootCanBeCharged) {
  const ActorSocket socket = Udp();
  ASSERT_THAT(Tag(socket, {.tag = 7, .charge = Uid{0}}), IsOk());
  Send(socket, 3);
  EXPECT_THAT(NewlySent(), IsEmpty());
  auto stats = engine().Stats();
  ASSERT_THAT(stats, IsOk());
  uint64_t charged = 0;
  for (const StatsRow& row : stats->rows) {
    if (row.uid == Uid{0} && row.tag == 7) charged += row.tx.packets;
  }
  EXPECT_EQ(charged, 3u);
}

TEST_P(TaggingTest, IsHandedOnByAccept) {
  auto listener = app_->TcpSocket(GetParam());
  ASSERT_THAT(listener, IsOk());
  ASSERT_THAT(app_->Bind(*listener, AppAt(kAppPort)), IsOk());
  ASSERT_THAT(app_->Listen(*listener), IsOk());
  ASSERT_THAT(Tag(*listener, {.tag = 9, .charge = Uid{kOtherUid}}), IsOk());
  auto client = peer_->TcpSocket(GetParam());
  ASSERT_THAT(client, IsOk());
  ASSERT_THAT(peer_->Connect(*client, AppAt(kAppPort)), IsOk());
  auto server = app_->Accept(*listener);
  ASSERT_THAT(server, IsOk());
  ASSERT_THAT(app_->Send(*server, "hello"), IsOkAndHolds(5));
  ASSERT_THAT(peer_->Receive(*client), IsOk());
  const Sent sent = NewlySent();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent.begin()->first, Key(kOtherUid, 9, 0));
}

TEST_P(TaggingTest, WorksForSocketsThatWereThereBefore) {
  ASSERT_THAT(Engine::Detach(bed_->pin_dir()), IsOk());
  const ActorSocket untouched = Udp();
  const ActorSocket tagged = Udp();
  ASSERT_THAT(bed_->Reopen(), IsOk());
  ASSERT_THAT(engine().UntagSocket(FdOf(untouched).get()), IsOk());
  ASSERT_THAT(Tag(tagged, {.tag = 3}), IsOk());
  Send(untouched, 1);
  Send(tagged, 2);
  EXPECT_THAT(NewlySent(), UnorderedElementsAre(Pair(Key{kAppUid, 0, 0}, 1),
                                                Pair(Key{kAppUid, 3, 0}, 2)));
}

TEST_P(TaggingTest, EveryPacketIsChargedOnceWhileTagsChange) {
  const ActorSocket socket = Udp();
  const UniqueFd fd = FdOf(socket);
  std::atomic<bool> stop = false;
  std::atomic<int> changes = 0;
  std::thread tagger([&] {
    while (!stop) {
      const auto tag = static_cast<uint32_t>(1 + changes % 3);
      EXPECT_THAT(engine().TagSocket(fd.get(), {.tag = tag}), IsOk());
      ++changes;
    }
  });
  // On a busy machine the other thread may have to be waited for.
  uint64_t packets_sent = 0;
  while (packets_sent < 5000 || changes <= 100) {
    Send(socket, 1000);
    packets_sent += 1000;
  }
  stop = true;
  tagger.join();
  uint64_t sum = 0;
  for (const auto& [key, packets] : NewlySent()) {
    EXPECT_EQ(std::get<0>(key), kAppUid);
    EXPECT_LE(std::get<1>(key), 3u);
    sum += packets;
  }
  EXPECT_EQ(sum, packets_sent);
}

TEST_P(TaggingTest, CounterSetsAreThoseOfTheChargedUid) {
  const ActorSocket socket = Udp();
  Send(socket, 1);
  EXPECT_THAT(NewlySent(), ElementsAre(Pair(Key{kAppUid, 0, 0}, 1)));
  ASSERT_THAT(engine().SetCounterSet(Uid{kAppUid}, 1), IsOk());
  Send(socket, 2);
  EXPECT_THAT(NewlySent(), ElementsAre(Pair(Key{kAppUid, 0, 1}, 2)));
  // It outlives the engine's process and a commit.
  ASSERT_THAT(bed_->Reopen(), IsOk());
  ASSERT_THAT(bed_->Apply(R"({"version": 1})"), IsOk());
  Send(socket, 3);
  EXPECT_THAT(NewlySent(), ElementsAre(Pair(Key{kAppUid, 0, 1}, 3)));

  ASSERT_THAT(Tag(socket, {.tag = 5, .charge = Uid{kOtherUid}}), IsOk());
  Send(socket, 4);
  EXPECT_THAT(NewlySent(), ElementsAre(Pair(Key{kOtherUid, 5, 0}, 4)));
  ASSERT_THAT(engine().SetCounterSet(Uid{kOtherUid}, kMaxCounterSet), IsOk());
  Send(socket, 5);
  EXPECT_THAT(NewlySent(),
              ElementsAre(Pair(Key{kOtherUid, 5, kMaxCounterSet}, 5)));
  ASSERT_THAT(engine().SetCounterSet(Uid{kOtherUid}, 0), IsOk());
  ASSERT_THAT(engine().SetCounterSet(Uid{kOtherUid}, 0), IsOk());
  Send(socket, 6);
  EXPECT_THAT(NewlySent(), ElementsAre(Pair(Key{kOtherUid, 5, 0}, 6)));
}

// Android: the system resolver's sockets for applications.
TEST_P(TaggingTest, TheResolversSocketsPassInterfaceRulesAndLockdownOnly) {
  constexpr uint32_t kResolverTag = 0xffffff82;
  constexpr char kPolicy[] = R"({
    "version": 1,
    "settings": {"resolver": {"uid": $UID, "tag": 4294967170}},
    "chains": [{"name": "dozable", "enabled": $DOZING}],
    "defaults": {"lockdown": true, "interfaces": ["tun0"]}
  })";
  const auto apply = [&](uint32_t uid, const char* dozing) {
    return bed_->Apply(absl::StrReplaceAll(
        kPolicy, {{"$UID", absl::StrCat(uid)}, {"$DOZING", dozing}}));
  };
  ASSERT_THAT(apply(kAppUid, "false"), IsOk());
  const ActorSocket untagged = Udp();
  const ActorSocket resolvers = Udp();
  ASSERT_THAT(Tag(resolvers, {.tag = kResolverTag}), IsOk());
  const auto send = [&](ActorSocket socket) {
    return app_->SendTo(socket, PeerAt(kPeerPort), "x");
  };
  EXPECT_THAT(send(untagged), HasErrno(EPERM));
  EXPECT_THAT(send(resolvers), IsOkAndHolds(1));
  EXPECT_THAT(send(resolvers), IsOkAndHolds(1));
  EXPECT_THAT(NewlySent(), ElementsAre(Pair(Key{kAppUid, kResolverTag, 0}, 2)));

  // A socket that is the resolver's no more is judged like any other.
  ASSERT_THAT(engine().UntagSocket(FdOf(resolvers).get()), IsOk());
  EXPECT_THAT(send(resolvers), HasErrno(EPERM));
  ASSERT_THAT(Tag(resolvers, {.tag = kResolverTag}), IsOk());
  EXPECT_THAT(send(resolvers), IsOkAndHolds(1));

  // Chains hold for it.
  ASSERT_THAT(apply(kAppUid, "true"), IsOk());
  EXPECT_THAT(send(resolvers), HasErrno(EPERM));

  // The tag is worth nothing to others.
  ASSERT_THAT(apply(kOtherUid, "false"), IsOk());
  EXPECT_THAT(send(resolvers), HasErrno(EPERM));
}

TEST_P(TaggingTest, WhatCannotBeDoneIsAnErrorAndChangesNothing) {
  const ActorSocket socket = Udp();
  const UniqueFd fd = FdOf(socket);
  const UniqueFd local(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const UniqueFd file(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const struct {
    const char* name;
    int socket;
    SocketTag tag;
    const char* cause;
  } kRows[] = {
      {"unix", local.get(), {.tag = 1}, "its address family is 1"},
      {"file", file.get(), {.tag = 1}, "it is no socket"},
      {"closed", -1, {.tag = 1}, "it is no open descriptor"},
      {"nobody", fd.get(), {.tag = 1, .charge = kNoOwner}, "is no uid"},
  };
  for (const auto& row : kRows) {
    EXPECT_THAT(
        engine().TagSocket(row.socket, row.tag),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(row.cause)))
        << row.name;
  }
  EXPECT_THAT(engine().SetCounterSet(Uid{kAppUid}, kMaxCounterSet + 1),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(engine().SetCounterSet(kNoOwner, 1),
              StatusIs(absl::StatusCode::kInvalidArgument));
  Send(socket, 1);
  EXPECT_THAT(NewlySent(), ElementsAre(Pair(Key{kAppUid, 0, 0}, 1)));
  ASSERT_THAT(Engine::Detach(bed_->pin_dir()), IsOk());
  EXPECT_THAT(engine().TagSocket(fd.get(), {.tag = 1}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(engine().SetCounterSet(Uid{kAppUid}, 1),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

INSTANTIATE_TEST_SUITE_P(Families, TaggingTest,
                         ::testing::Values(AF_INET, AF_INET6),
                         [](const ::testing::TestParamInfo<int>& info) {
                           return info.param == AF_INET ? "IPv4" : "IPv6";
                         });

}  // namespace
}  // namespace netpolicy::testing
