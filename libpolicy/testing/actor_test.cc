// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/testing/actor.h"

#include <cerrno>
#include <csignal>
#include <optional>
#include <string>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/capability.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/test_cgroup.h"
#include "libpolicy/testing/veth_pair.h"

namespace netpolicy::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;

struct FamilyRow {
  const char* name;
  int family;
  const char* left;
  const char* right;
};

// An app and a server in two namespaces with a cable between them.
class ActorTest : public ::testing::TestWithParam<FamilyRow> {
 protected:
  void SetUp() override {
    if (auto missing = MissingForBpfTests()) GTEST_SKIP() << *missing;
    auto left = NetNamespace::Create();
    auto right = NetNamespace::Create();
    ASSERT_THAT(left, IsOk());
    ASSERT_THAT(right, IsOk());
    auto pair = VethPair::Create(*left, *right);
    ASSERT_THAT(pair, IsOk());
    auto app = Actor::Spawn({.uid = 10001, .netns = left->fd()});
    auto server = Actor::Spawn({.netns = right->fd()});
    ASSERT_THAT(app, IsOk());
    ASSERT_THAT(server, IsOk());
    left_.emplace(*std::move(left));
    right_.emplace(*std::move(right));
    pair_.emplace(*std::move(pair));
    app_.emplace(*std::move(app));
    server_.emplace(*std::move(server));
  }

  int family() const { return GetParam().family; }
  Endpoint peer(uint16_t port) const { return {GetParam().right, port}; }

  // A server socket bound to a port.
  absl::StatusOr<ActorSocket> Bound(int type, uint16_t port) {
    auto socket = server_->Socket(family(), type);
    if (!socket.ok()) return socket;
    if (absl::Status bound = server_->Bind(*socket, peer(port)); !bound.ok())
      return bound;
    return socket;
  }

  std::optional<NetNamespace> left_, right_;
  std::optional<VethPair> pair_;
  std::optional<Actor> app_, server_;
};

INSTANTIATE_TEST_SUITE_P(
    Families, ActorTest,
    ::testing::Values(FamilyRow{"v4", AF_INET, "10.77.0.1", "10.77.0.2"},
                      FamilyRow{"v6", AF_INET6, "fd77::1", "fd77::2"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST_P(ActorTest, UdpGoesThereAndBack) {
  auto server_socket = Bound(SOCK_DGRAM, 53);
  auto socket = app_->UdpSocket(family());
  ASSERT_THAT(server_socket, IsOk());
  ASSERT_THAT(socket, IsOk());
  EXPECT_THAT(app_->SendTo(*socket, peer(53), "question"), IsOkAndHolds(8));
  auto question = server_->Receive(*server_socket);
  ASSERT_THAT(question, IsOk());
  EXPECT_EQ(question->data, "question");
  ASSERT_TRUE(question->from.has_value());
  EXPECT_EQ(question->from->address, IpAddress(GetParam().left));
  EXPECT_THAT(server_->SendTo(*server_socket, *question->from, "answer"),
              IsOkAndHolds(6));
  EXPECT_THAT(app_->Receive(*socket),
              IsOkAndHolds(Field(&Received::data, "answer")));
}

TEST_P(ActorTest, NothingToReceiveIsATimeoutWithoutErrno) {
  auto socket = Bound(SOCK_DGRAM, 53);
  ASSERT_THAT(socket, IsOk());
  auto nothing = server_->Receive(*socket, absl::Milliseconds(20));
  EXPECT_THAT(nothing, StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(nothing, HasErrno(0));
}

TEST_P(ActorTest, TcpConnectsAndEnds) {
  auto listener = Bound(SOCK_STREAM, 80);
  ASSERT_THAT(listener, IsOk());
  ASSERT_THAT(server_->Listen(*listener), IsOk());
  auto socket = app_->TcpSocket(family());
  ASSERT_THAT(socket, IsOk());
  ASSERT_THAT(app_->Connect(*socket, peer(80)), IsOk());
  auto connection = server_->Accept(*listener);
  ASSERT_THAT(connection, IsOk());
  EXPECT_THAT(app_->PeerEndpoint(*socket), IsOkAndHolds(peer(80)));
  auto local = app_->LocalEndpoint(*socket);
  ASSERT_THAT(local, IsOk());
  EXPECT_THAT(server_->PeerEndpoint(*connection), IsOkAndHolds(*local));
  EXPECT_THAT(app_->Send(*socket, "hello"), IsOkAndHolds(5));
  EXPECT_THAT(server_->Receive(*connection),
              IsOkAndHolds(Field(&Received::data, "hello")));
  EXPECT_THAT(app_->Shutdown(*socket, SHUT_WR), IsOk());
  EXPECT_THAT(server_->Receive(*connection),
              IsOkAndHolds(Field(&Received::data, "")));
}

TEST_P(ActorTest, RefusedAndUnansweredConnectionsDiffer) {
  auto socket = app_->TcpSocket(family());
  ASSERT_THAT(socket, IsOk());
  EXPECT_THAT(app_->Connect(*socket, peer(81)), HasErrno(ECONNREFUSED));
  // A neighbour that is nobody.
  const char* nobody = family() == AF_INET ? "10.77.0.9" : "fd77::9";
  ASSERT_THAT(left_->AddNeighbour("eth0", nobody, {2, 0, 0, 0, 0, 9}), IsOk());
  auto second = app_->TcpSocket(family());
  ASSERT_THAT(second, IsOk());
  auto unanswered =
      app_->Connect(*second, {nobody, 80}, absl::Milliseconds(50));
  EXPECT_THAT(unanswered, StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(unanswered, HasErrno(0));
  auto listener = Bound(SOCK_STREAM, 80);
  ASSERT_THAT(listener, IsOk());
  ASSERT_THAT(server_->Listen(*listener), IsOk());
  EXPECT_THAT(server_->Accept(*listener, absl::Milliseconds(20)),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST_P(ActorTest, SegmentsArriveAsDatagrams) {
  auto server_socket = Bound(SOCK_DGRAM, 443);
  auto socket = app_->UdpSocket(family());
  ASSERT_THAT(server_socket, IsOk());
  ASSERT_THAT(socket, IsOk());
  EXPECT_THAT(
      app_->SendSegments(*socket, peer(443), std::string(250, 'q'), 100),
      IsOkAndHolds(250));
  for (size_t size : {100u, 100u, 50u}) {
    auto datagram = server_->Receive(*server_socket);
    ASSERT_THAT(datagram, IsOk());
    EXPECT_EQ(datagram->data.size(), size);
  }
  ASSERT_THAT(app_->Connect(*socket, peer(443)), IsOk());
  EXPECT_THAT(app_->SendSegments(*socket, std::nullopt, "abcd", 2),
              IsOkAndHolds(4));
}

TEST_P(ActorTest, BulkTransfersRunAtTheSameTime) {
  auto listener = Bound(SOCK_STREAM, 80);
  ASSERT_THAT(listener, IsOk());
  ASSERT_THAT(server_->Listen(*listener), IsOk());
  auto socket = app_->TcpSocket(family());
  ASSERT_THAT(socket, IsOk());
  ASSERT_THAT(app_->Connect(*socket, peer(80)), IsOk());
  auto connection = server_->Accept(*listener);
  ASSERT_THAT(connection, IsOk());
  constexpr uint64_t kBytes = 20'000'000;  // More than any socket buffer.
  auto receiving = server_->StartReceiveBytes(*connection, kBytes);
  EXPECT_THAT(server_->UdpSocket(family()),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(app_->SendBytes(*socket, kBytes, {.chunk_bytes = 65536}),
              IsOkAndHolds(kBytes));
  EXPECT_THAT(receiving.Wait(), IsOkAndHolds(kBytes));
  EXPECT_THAT(receiving.Wait(),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_P(ActorTest, BulkReceivingEndsWithTheStream) {
  auto listener = Bound(SOCK_STREAM, 80);
  ASSERT_THAT(listener, IsOk());
  ASSERT_THAT(server_->Listen(*listener), IsOk());
  auto socket = app_->TcpSocket(family());
  ASSERT_THAT(socket, IsOk());
  ASSERT_THAT(app_->Connect(*socket, peer(80)), IsOk());
  auto connection = server_->Accept(*listener);
  ASSERT_THAT(connection, IsOk());
  EXPECT_THAT(app_->SendBytes(*socket, 3000), IsOkAndHolds(3000));
  EXPECT_THAT(app_->Close(*socket), IsOk());
  EXPECT_THAT(server_->ReceiveBytes(*connection, 10'000), IsOkAndHolds(3000));
}

TEST_P(ActorTest, PingAndRawSocketsFollowTheRules) {
  EXPECT_THAT(app_->PingSocket(family()), HasErrno(EACCES));
  ASSERT_THAT(left_->WriteSysctl("net/ipv4/ping_group_range", "0 2147483647"),
              IsOk());
  auto ping = app_->PingSocket(family());
  ASSERT_THAT(ping, IsOk());
  const std::string echo(
      family() == AF_INET ? "\x08\0\0\0\0\0\0\1ping" : "\x80\0\0\0\0\0\0\1ping",
      12);
  EXPECT_THAT(app_->SendTo(*ping, peer(0), echo), IsOkAndHolds(12));
  auto reply = app_->Receive(*ping);
  ASSERT_THAT(reply, IsOk());
  EXPECT_EQ(reply->data.substr(8), "ping");

  const int protocol = family() == AF_INET ? static_cast<int>(IPPROTO_ICMP)
                                           : static_cast<int>(IPPROTO_ICMPV6);
  EXPECT_THAT(app_->RawSocket(family(), protocol), HasErrno(EPERM));
  auto privileged = Actor::Spawn(
      {.uid = 10001, .netns = left_->fd(), .privileges = Privileges::kAll});
  ASSERT_THAT(privileged, IsOk());
  EXPECT_THAT(privileged->RawSocket(family(), protocol), IsOk());
}

TEST_P(ActorTest, DescriptorsAreHandedOver) {
  auto server_socket = Bound(SOCK_DGRAM, 53);
  auto socket = app_->UdpSocket(family());
  ASSERT_THAT(server_socket, IsOk());
  ASSERT_THAT(socket, IsOk());
  auto fd = app_->GetFd(*socket);
  ASSERT_THAT(fd, IsOk());
  struct stat info;
  ASSERT_EQ(fstat(fd->get(), &info), 0);
  EXPECT_EQ(info.st_uid, 10001u);
  // A third process speaks through the app's socket, from the app's namespace.
  auto given = server_->GiveFd(fd->get());
  ASSERT_THAT(given, IsOk());
  EXPECT_THAT(server_->SendTo(*given, peer(53), "x"), IsOkAndHolds(1));
  auto received = server_->Receive(*server_socket);
  ASSERT_THAT(received, IsOk());
  EXPECT_EQ(received->from->address, IpAddress(GetParam().left));
}

TEST_P(ActorTest, OptionsAreSetAndRead) {
  auto socket = app_->UdpSocket(family());
  ASSERT_THAT(socket, IsOk());
  EXPECT_THAT(app_->SetOption(*socket, SOL_SOCKET, SO_REUSEADDR, 1), IsOk());
  EXPECT_THAT(app_->GetOption(*socket, SOL_SOCKET, SO_REUSEADDR),
              IsOkAndHolds(1));
  EXPECT_THAT(app_->GetOption<timeval>(*socket, SOL_SOCKET, SO_RCVTIMEO),
              IsOk());
  EXPECT_THAT(app_->SetOption(*socket, SOL_SOCKET, SO_MARK, 1),
              HasErrno(EPERM));
  EXPECT_THAT(app_->GetOption(*socket, SOL_SOCKET, 9999),
              HasErrno(ENOPROTOOPT));
  EXPECT_THAT(app_->BindToDevice(*socket, "no0"), HasErrno(ENODEV));
  EXPECT_THAT(app_->BindToDevice(*socket, "eth0"), IsOk());
  EXPECT_THAT(app_->Chown(*socket, 10002), HasErrno(EPERM));
  auto server_socket = server_->UdpSocket(family());
  ASSERT_THAT(server_socket, IsOk());
  EXPECT_THAT(server_->Chown(*server_socket, 10002), IsOk());
}

class ActorLifeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (auto missing = MissingForBpfTests()) GTEST_SKIP() << *missing;
  }
};

TEST_F(ActorLifeTest, FunctionsRunInTheActor) {
  auto app = Actor::Spawn({.uid = 10001});
  ASSERT_THAT(app, IsOk());
  EXPECT_THAT(app->Call(
                  [](absl::string_view input) -> absl::StatusOr<std::string> {
                    return absl::StrCat(input, getuid());
                  },
                  "uid="),
              IsOkAndHolds("uid=10001"));
  EXPECT_THAT(app->Call([](absl::string_view) -> absl::StatusOr<std::string> {
    return ErrnoStatus(ENOSPC, "write x");
  }),
              HasErrno(ENOSPC));
}

TEST_F(ActorLifeTest, ADeadActorIsUnavailable) {
  auto app = Actor::Spawn({});
  ASSERT_THAT(app, IsOk());
  kill(app->pid(), SIGKILL);
  EXPECT_THAT(app->UdpSocket(AF_INET),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(app->UdpSocket(AF_INET),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(app->pid(), 0);
}

TEST_F(ActorLifeTest, HoldsNoneOfTheTestsDescriptors) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  UniqueFd read_end(ends[0]), write_end(ends[1]);
  auto app = Actor::Spawn({});
  ASSERT_THAT(app, IsOk());
  write_end.reset();
  char byte;
  EXPECT_EQ(read(read_end.get(), &byte, 1), 0)
      << "the actor keeps the pipe open";
}

TEST_F(ActorLifeTest, LivesInItsCgroup) {
  auto cgroup = TestCgroup::Create();
  ASSERT_THAT(cgroup, IsOk());
  auto app = Actor::Spawn({.uid = 10001, .cgroup = cgroup->path()});
  ASSERT_THAT(app, IsOk());
  EXPECT_THAT(cgroup->Processes(), IsOkAndHolds(ElementsAre(app->pid())));
}

}  // namespace
}  // namespace netpolicy::testing
