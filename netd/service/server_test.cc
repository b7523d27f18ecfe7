// SPDX-License-Identifier: Apache-2.0

#include "netd/service/server.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/status_matchers.h"
#include "netd/service/frame.h"
#include "netd/service/testing/test_server.h"
#include "netd/service/wire.h"

namespace netpolicy {
namespace {

using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::RawClient;
using ::netpolicy::testing::StatusIs;
using ::netpolicy::testing::StatusRequestBytes;
using ::netpolicy::testing::TestServer;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr absl::Duration kPatience = absl::Seconds(10);

// Short enough to wait for, long enough for a busy machine.
constexpr absl::Duration kShort = absl::Milliseconds(300);

TestServer::Options Limits(const ServerLimits& limits) {
  TestServer::Options options;
  options.rules.own_uid = geteuid();
  options.limits = limits;
  return options;
}

std::string Header(uint32_t length) {
  const FrameHeader header = EncodeFrameHeader(length);
  return std::string(header.begin(), header.end());
}

// The error of the next response.
absl::Status NextError(RawClient& client) {
  const absl::StatusOr<service::Response> response = client.Receive();
  if (!response.ok()) return response.status();
  return StatusFromWire(*response);
}

// A call whose answer is small, and told apart from others: it isn't served.
std::string DoctorRequestBytes() {
  service::Request request;
  request.mutable_doctor();
  return request.SerializeAsString();
}

void ExpectAlive(TestServer& server) {
  RawClient client(server.path());
  EXPECT_TRUE(client.SendFrame(DoctorRequestBytes()));
  EXPECT_THAT(NextError(client), StatusIs(absl::StatusCode::kUnimplemented));
}

TEST(Server, AnswersInOrderHoweverTheBytesArrive) {
  TestServer server(Limits({}));
  const std::string frame =
      Header(static_cast<uint32_t>(StatusRequestBytes().size())) +
      StatusRequestBytes();
  RawClient one_by_one(server.path());
  for (const char byte : frame) {
    EXPECT_TRUE(one_by_one.Send(std::string(1, byte)));
  }
  EXPECT_THAT(NextError(one_by_one), IsOk());

  RawClient all_at_once(server.path());
  const std::string doctor = DoctorRequestBytes();
  EXPECT_TRUE(all_at_once.Send(
      absl::StrCat(frame, Header(static_cast<uint32_t>(doctor.size())), doctor,
                   frame, frame.substr(0, 2))));
  EXPECT_THAT(NextError(all_at_once), IsOk());
  EXPECT_THAT(NextError(all_at_once),
              StatusIs(absl::StatusCode::kUnimplemented));
  EXPECT_THAT(NextError(all_at_once), IsOk());
  EXPECT_TRUE(all_at_once.Send(frame.substr(2)));
  EXPECT_THAT(NextError(all_at_once), IsOk());
}

TEST(Server, AnswersAClientThatHasFinishedSending) {
  TestServer server(Limits({}));
  RawClient client(server.path());
  EXPECT_TRUE(client.SendFrame(StatusRequestBytes()));
  client.FinishSending();
  EXPECT_THAT(NextError(client), IsOk());
  EXPECT_TRUE(client.IsClosed(kPatience));
}

TEST(Server, GarbageGetsOneErrorAndTheEnd) {
  TestServer server(Limits({.read_request_bytes = 1 << 10}));
  const struct {
    const char* name;
    std::string bytes;
    const char* message;
  } kRows[] = {
      {"another protocol", "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
       "receive request: 1195725856 bytes exceed the 16777216 that uid"},
      {"a frame of noise", Header(5) + "\xff\xff\xff\xff\xff",
       "decode request: 5 bytes are not a message of this protocol"},
      {"two frames of noise", Header(1) + "\xff" + Header(1) + "\xff",
       "decode request: 1 bytes are not a message of this protocol"},
      {"an empty frame", Header(0), "decode request: it names no call"},
      {"a call of the future", Header(3) + std::string("\xfa\x01\x00", 3),
       "decode request: it names no call"},
      {"a length one too large", Header((16 << 20) + 1),
       "receive request: 16777217 bytes exceed the 16777216 that uid"},
      {"the largest length", Header(UINT32_MAX),
       "receive request: 4294967295 bytes exceed the 16777216 that uid"},
  };
  for (const auto& row : kRows) {
    RawClient client(server.path());
    EXPECT_TRUE(client.Send(row.bytes)) << row.name;
    EXPECT_THAT(NextError(client).message(), HasSubstr(row.message))
        << row.name;
    EXPECT_THAT(client.Receive(), StatusIs(absl::StatusCode::kUnavailable))
        << row.name;
  }
  ExpectAlive(server);
  server.Stop();
  EXPECT_EQ(server.policy().calls, 0);
}

TEST(Server, TakesTheLargestRequest) {
  TestServer server(Limits({.change_request_bytes = 100000}));
  RawClient client(server.path());
  // As large as may be, but no call.
  EXPECT_TRUE(client.SendFrame(std::string(100000, '\xff')));
  EXPECT_THAT(NextError(client), StatusIs(absl::StatusCode::kInvalidArgument,
                                          HasSubstr("100000 bytes are not")));
}

TEST(Server, RefusesALargeRequestBeforeItIsSent) {
  TestServer server(Limits({.change_request_bytes = 1000}));
  RawClient client(server.path());
  // More than the socket holds, so that this end would block if the other one
  // neither read nor closed.
  client.SendFrame(std::string(8 << 20, 'x'));
  EXPECT_THAT(NextError(client),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       absl::StrCat("receive request: 8388608 bytes exceed the "
                                    "1000 that uid ",
                                    geteuid(), " may send")));
}

TEST(Server, EndOfStreamInsideARequestIsToldAtEveryLength) {
  TestServer server(Limits({}));
  const std::string frame = Header(2) + StatusRequestBytes();
  ASSERT_THAT(StatusRequestBytes(), SizeIs(2));
  for (size_t length = 1; length < frame.size(); ++length) {
    RawClient client(server.path());
    EXPECT_TRUE(client.Send(frame.substr(0, length)));
    client.FinishSending();
    EXPECT_THAT(NextError(client),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         "receive request: it ends too early"))
        << length;
    EXPECT_TRUE(client.IsClosed(kPatience));
  }
  RawClient nothing(server.path());
  nothing.FinishSending();
  EXPECT_THAT(nothing.Receive(), StatusIs(absl::StatusCode::kUnavailable));
  ExpectAlive(server);
}

TEST(Server, ARequestMustBeCompleteInTime) {
  TestServer server(Limits({.receive = kShort}));
  for (const size_t length : {1, 3, 4, 5}) {
    RawClient client(server.path());
    EXPECT_TRUE(client.Send((Header(2) + "x").substr(0, length)));
    EXPECT_THAT(NextError(client),
                StatusIs(absl::StatusCode::kDeadlineExceeded,
                         "receive request: not complete after 300ms"));
    EXPECT_TRUE(client.IsClosed(kPatience));
  }
}

TEST(Server, DrippingDoesNotExtendTheTime) {
  TestServer server(Limits({.receive = kShort}));
  RawClient client(server.path());
  const absl::Time start = absl::Now();
  EXPECT_TRUE(client.Send(Header(1000)));
  while (client.Send("x") && absl::Now() - start < kPatience) {
    absl::SleepFor(absl::Milliseconds(20));
  }
  EXPECT_LT(absl::Now() - start, kPatience);
  EXPECT_THAT(NextError(client), StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST(Server, IdleClientsStayUntilTheirTimeIsOver) {
  TestServer server(Limits({.receive = kShort / 10, .idle = 3 * kShort}));
  RawClient client(server.path());
  EXPECT_TRUE(client.SendFrame(StatusRequestBytes()));
  EXPECT_THAT(NextError(client), IsOk());
  EXPECT_FALSE(client.IsClosed(kShort));
  EXPECT_TRUE(client.SendFrame(StatusRequestBytes()));
  EXPECT_THAT(NextError(client), IsOk());
  EXPECT_TRUE(client.IsClosed(kPatience));
  // That is no offence.
  EXPECT_THAT(server.observer().dropped(), IsEmpty());
}

constexpr int kLargeStatus = 3000;

// A status whose encoding does not fit into any socket buffer.
void MakeStatusLarge(TestServer& server) {
  server.policy().status.programs.resize(kLargeStatus);
  for (ProgramStatus& program : server.policy().status.programs) {
    program.name = std::string(1000, 'p');
  }
}

TEST(Server, LargeResponsesArriveWhole) {
  TestServer server(Limits({}));
  MakeStatusLarge(server);
  RawClient client(server.path());
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(client.SendFrame(StatusRequestBytes()));
    const absl::StatusOr<service::Response> response = client.Receive();
    ASSERT_THAT(response, IsOk());
    EXPECT_EQ(response->status().programs_size(), kLargeStatus);
  }
}

TEST(Server, ASlowReaderBlocksNobodyAndIsDropped) {
  TestServer server(Limits({.send = 3 * kShort}));
  MakeStatusLarge(server);
  RawClient slow(server.path());
  EXPECT_TRUE(slow.SendFrame(StatusRequestBytes()));
  // Its second request must not be carried out while the first is being
  // answered.
  EXPECT_TRUE(slow.SendFrame(StatusRequestBytes()));
  for (int i = 0; i < 3; ++i) ExpectAlive(server);
  const absl::Time deadline = absl::Now() + kPatience;
  while (server.observer().dropped().empty() && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_THAT(server.observer().dropped(),
              ElementsAre(StatusIs(absl::StatusCode::kDeadlineExceeded,
                                   "send response: not taken within 900ms")));
  EXPECT_TRUE(slow.IsClosed(kPatience));
  server.Stop();
  EXPECT_EQ(server.policy().calls, 1);
}

TEST(Server, AClientThatLeavesUnderItsResponseHurtsNobody) {
  TestServer server(Limits({}));
  MakeStatusLarge(server);
  for (int i = 0; i < 5; ++i) {
    RawClient client(server.path());
    EXPECT_TRUE(client.SendFrame(StatusRequestBytes()));
  }
  ExpectAlive(server);
}

TEST(Server, TooManyClientsAreToldSo) {
  TestServer server(Limits({.clients = 10, .clients_reserved = 2}));
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 10; ++i) {
    clients.push_back(std::make_unique<RawClient>(server.path()));
    EXPECT_TRUE(clients.back()->SendFrame(StatusRequestBytes()));
    EXPECT_THAT(NextError(*clients.back()), IsOk());
  }
  for (int i = 0; i < 3; ++i) {
    RawClient surplus(server.path());
    EXPECT_THAT(
        NextError(surplus),
        StatusIs(absl::StatusCode::kResourceExhausted,
                 absl::StrCat("accept client: there are 10 already, and "
                              "no room for uid ",
                              geteuid())));
    EXPECT_TRUE(surplus.IsClosed(kPatience));
  }
  // Those inside notice nothing, and room that is given up is given out.
  EXPECT_TRUE(clients[3]->SendFrame(StatusRequestBytes()));
  EXPECT_THAT(NextError(*clients[3]), IsOk());
  clients.pop_back();
  const absl::Time deadline = absl::Now() + kPatience;
  bool taken = false;
  while (!taken && absl::Now() < deadline) {
    RawClient next(server.path());
    taken = next.SendFrame(StatusRequestBytes()) && NextError(next).ok();
  }
  EXPECT_TRUE(taken);
}

TEST(Server, ManyClientsAreServedAtOnce) {
  TestServer server(Limits({}));
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 64; ++i) {
    clients.push_back(std::make_unique<RawClient>(server.path()));
    EXPECT_TRUE(clients.back()->SendFrame(StatusRequestBytes()));
  }
  for (const auto& client : clients) EXPECT_THAT(NextError(*client), IsOk());
}

TEST(Server, WithoutDescriptorsItServesThoseItHasAndRecovers) {
  rlimit limit = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = 128;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  TestServer server(Limits({}));
  RawClient first(server.path());
  EXPECT_TRUE(first.SendFrame(StatusRequestBytes()));
  EXPECT_THAT(NextError(first), IsOk());

  std::vector<UniqueFd> all;
  do {
    all.emplace_back(dup(first.fd()));
  } while (all.back().ok());
  all.pop_back();
  all.pop_back();
  RawClient surplus(server.path());  // takes the last one
  EXPECT_TRUE(surplus.SendFrame(StatusRequestBytes()));
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(first.SendFrame(StatusRequestBytes()));
    EXPECT_THAT(NextError(first), IsOk());
  }
  all.clear();
  EXPECT_THAT(NextError(surplus), IsOk());
  EXPECT_THAT(server.observer().dropped(),
              ElementsAre(StatusIs(absl::StatusCode::kResourceExhausted,
                                   absl::StrCat("accept on ", server.path(),
                                                ": too many open files"))));
}

std::string TagRequestBytes() {
  service::Request request;
  request.mutable_tag_socket()->set_tag(7);
  return request.SerializeAsString();
}

std::string FrameOf(const std::string& message) {
  return Header(static_cast<uint32_t>(message.size())) + message;
}

size_t OpenDescriptors() {
  DIR* const directory = opendir("/proc/self/fd");
  size_t count = 0;
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  return count;
}

TEST(Server, ADescriptorIsThatOfTheRequestItCameWith) {
  TestServer server(Limits({}));
  const std::string status = FrameOf(StatusRequestBytes());
  const std::string tag = FrameOf(TagRequestBytes());
  const UniqueFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const UniqueFd zero(open("/dev/zero", O_RDONLY | O_CLOEXEC));
  RawClient client(server.path());
  // Also when more lies ready before and behind it.
  EXPECT_TRUE(client.Send(status));
  EXPECT_TRUE(client.SendWith(tag, {null.get()}));
  EXPECT_TRUE(client.SendWith(tag + status, {zero.get()}));
  EXPECT_TRUE(client.Send(tag.substr(0, 3)));
  EXPECT_TRUE(client.SendWith(tag.substr(3), {null.get()}));
  EXPECT_TRUE(client.Send(tag));
  for (int i = 0; i < 5; ++i) EXPECT_THAT(NextError(client), IsOk()) << i;
  EXPECT_THAT(NextError(client), StatusIs(absl::StatusCode::kInvalidArgument,
                                          HasSubstr("no descriptor came")));
  server.Stop();
  using testing::FakeCharging;
  std::vector<uint64_t> inodes;
  for (const FakeCharging::Call& call : server.charging().calls) {
    inodes.push_back(call.inode);
  }
  EXPECT_THAT(inodes, ElementsAre(FakeCharging::InodeOf(null.get()),
                                  FakeCharging::InodeOf(zero.get()),
                                  FakeCharging::InodeOf(null.get())));
}

TEST(Server, NoDescriptorStaysHere) {
  const UniqueFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int one = null.get();
  const std::string tag = FrameOf(TagRequestBytes());
  const struct {
    const char* name;
    std::string bytes;
    std::vector<int> first;  // with the first byte
    std::vector<int> rest;   // with the others
    const char* error;       // "": none
  } kRows[] = {
      {"as it should be", tag, {one}, {}, ""},
      {"two at once", tag, {one, one}, {}, "more than one descriptor"},
      {"many at once",
       tag,
       std::vector<int>(30, one),
       {},
       "more than one descriptor"},
      {"two, one after the other",
       tag,
       {one},
       {one},
       "more than one descriptor"},
      {"with a call that takes none",
       FrameOf(StatusRequestBytes()),
       {one},
       {},
       "a descriptor came with it"},
      {"with noise", FrameOf("\xff\xff"), {}, {one}, "are not a message"},
      {"with a frame too long", Header(UINT32_MAX), {}, {one}, "bytes exceed"},
      {"with a frame that never ends",
       tag.substr(0, tag.size() - 1),
       {one},
       {},
       "it ends too early"},
      {"with nothing but a byte", "\x01", {one}, {}, "it ends too early"},
  };
  TestServer server(Limits({}));
  ExpectAlive(server);
  const size_t before = OpenDescriptors();
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.name);
    for (int i = 0; i < 20; ++i) {
      RawClient client(server.path());
      EXPECT_TRUE(row.first.empty()
                      ? client.Send(row.bytes.substr(0, 1))
                      : client.SendWith(row.bytes.substr(0, 1), row.first));
      if (row.bytes.size() > 1) {
        // May be too late.
        row.rest.empty() ? client.Send(row.bytes.substr(1))
                         : client.SendWith(row.bytes.substr(1), row.rest);
      }
      client.FinishSending();
      if (*row.error == '\0') {
        EXPECT_THAT(NextError(client), IsOk());
      } else {
        EXPECT_THAT(NextError(client).message(), HasSubstr(row.error));
      }
      EXPECT_TRUE(client.IsClosed(kPatience));
    }
  }
  // Unread, with a client that has gone.
  for (int i = 0; i < 20; ++i) {
    RawClient client(server.path());
    EXPECT_TRUE(client.Send(tag));
    EXPECT_TRUE(client.SendWith(tag, {one, one, one}));
  }
  const absl::Time deadline = absl::Now() + kPatience;
  while (OpenDescriptors() > before && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_LE(OpenDescriptors(), before);
  ExpectAlive(server);
}

TEST(Server, WithoutRoomForADescriptorItSaysSoAndGoesOn) {
  rlimit limit = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = 128;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  TestServer server(Limits({}));
  RawClient client(server.path());
  EXPECT_TRUE(client.SendFrame(StatusRequestBytes()));
  EXPECT_THAT(NextError(client), IsOk());
  std::vector<UniqueFd> all;
  do {
    all.emplace_back(dup(client.fd()));
  } while (all.back().ok());
  EXPECT_TRUE(client.SendWith(FrameOf(TagRequestBytes()), {client.fd()}));
  EXPECT_THAT(NextError(client),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("no room for the descriptor")));
  all.clear();
  ExpectAlive(server);
}

TEST(Server, DrainSendsWhatIsUnderWayAndNothingElse) {
  TestServer server(Limits({}));
  MakeStatusLarge(server);
  RawClient idle(server.path());
  RawClient reading(server.path());
  EXPECT_TRUE(reading.SendFrame(StatusRequestBytes()));
  EXPECT_TRUE(reading.SendFrame(StatusRequestBytes()));
  ExpectAlive(server);  // by now the first response is under way
  std::thread drain([&server] { server.Drain(); });
  EXPECT_TRUE(idle.IsClosed(kPatience));
  const absl::StatusOr<service::Response> response = reading.Receive();
  EXPECT_THAT(response, IsOk());
  EXPECT_THAT(reading.Receive(), StatusIs(absl::StatusCode::kUnavailable));
  drain.join();
  EXPECT_NE(access(server.path().c_str(), F_OK), 0);
}

TEST(Server, DrainDoesNotWaitForever) {
  TestServer server(Limits({.drain = kShort}));
  MakeStatusLarge(server);
  RawClient slow(server.path());
  EXPECT_TRUE(slow.SendFrame(StatusRequestBytes()));
  ExpectAlive(server);
  const absl::Time start = absl::Now();
  server.Drain();
  EXPECT_LT(absl::Now() - start, kPatience);
}

}  // namespace
}  // namespace netpolicy
