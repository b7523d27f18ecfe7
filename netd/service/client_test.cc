// SPDX-License-Identifier: Apache-2.0

#include "netd/service/client.h"

#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/scratch_dir.h"
#include "libpolicy/testing/status_matchers.h"
#include "netd/service/frame.h"
#include "netd/service/testing/client_fixture.h"
#include "netd/service/testing/test_server.h"
#include "netd/service/unix_address.h"

namespace netpolicy {
namespace {

using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::ScratchDir;
using ::netpolicy::testing::StatusIs;
using ::netpolicy::testing::TestServer;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr absl::Duration kDeadline = absl::Seconds(10);

TestServer::Options WithDoctor() {
  TestServer::Options options;
  options.doctor = [] {
    return DoctorReport{
        {.name = "btf",
         .state = DoctorFinding::State::kPresent,
         .detail = "/sys/kernel/btf/vmlinux",
         .cost = ""},
        {.name = "netkit",
         .state = DoctorFinding::State::kMissing,
         .detail = "no such link type",
         .cost = "slower containers"},
        {.name = "batch",
         .state = DoctorFinding::State::kFallback,
         .detail = "",
         .cost = "takes longer"},
        {.name = "?",
         .state = DoctorFinding::State::kUnknown,
         .detail = "\xff",
         .cost = ""},
    };
  };
  return options;
}

class ClientTest : public ::netpolicy::testing::ClientFixture {
 protected:
  ClientTest() : ClientFixture(WithDoctor()) {}
};

TEST_F(ClientTest, GetPolicyArrives) {
  PolicyEdit edit(server_.policy().snapshot.policy);
  ASSERT_THAT(edit.Apply(DefineChain{"work", ChainSense::kAllowlist}), IsOk());
  ASSERT_THAT(edit.Apply(SetChainMember{"work", Uid{10007}, Switch::kOn}),
              IsOk());
  ASSERT_THAT(edit.Apply(SetInternet{kMaxUid, Permission::kRevoked}), IsOk());
  const PolicyDelta delta = edit.Delta();
  PolicyEdit::ApplyDelta(delta, server_.policy().snapshot.policy);
  server_.policy().snapshot.generation = Generation{uint64_t{1} << 60};

  const absl::StatusOr<PolicySnapshot> snapshot = client_->GetPolicy();
  ASSERT_THAT(snapshot, IsOk());
  EXPECT_EQ(snapshot->generation, Generation{uint64_t{1} << 60});
  EXPECT_TRUE(snapshot->policy == server_.policy().snapshot.policy);
}

TEST_F(ClientTest, CommitArrivesWithItsOptions) {
  const Transaction transaction = {
      SetChainEnabled{"dozable", Switch::kOn},
      SetUidRule{Uid{10007}, Action::kDeny},
  };
  const struct {
    const char* name;
    CommitOptions options;
    Generation generation;
  } kRows[] = {
      {"dry run",
       {.expected_generation = Generation{1},
        .fence = Fence::kNone,
        .mode = CommitMode::kDryRun},
       Generation{1}},
      {"fenced",
       {.expected_generation = Generation{1},
        .fence = Fence::kWait,
        .mode = CommitMode::kApply},
       Generation{2}},
      {"closing",
       {.expected_generation = absl::nullopt,
        .fence = Fence::kNone,
        .mode = CommitMode::kApply,
        .close_sockets = CloseSockets::kNewlyBlocked},
       Generation{2}},
      {"again", {}, Generation{2}},
  };
  for (const auto& row : kRows) {
    const absl::StatusOr<CommitResult> result =
        client_->Commit(transaction, row.options);
    ASSERT_THAT(result, IsOk()) << row.name;
    EXPECT_EQ(result->generation, row.generation) << row.name;
    EXPECT_EQ(server_.policy().transactions.back(), transaction) << row.name;
    const CommitOptions& seen = server_.policy().last_options;
    EXPECT_EQ(seen.expected_generation, row.options.expected_generation);
    EXPECT_EQ(seen.fence, row.options.fence) << row.name;
    EXPECT_EQ(seen.mode, row.options.mode) << row.name;
    EXPECT_EQ(seen.close_sockets, row.options.close_sockets) << row.name;
    EXPECT_FALSE(result->closed_sockets.has_value()) << row.name;
    if (row.generation == Generation{2} && row.options.fence == Fence::kNone) {
      EXPECT_TRUE(result->delta.empty());
      EXPECT_EQ(result->difference, "");
    } else {
      EXPECT_THAT(result->delta.uids, SizeIs(1));
      EXPECT_EQ(result->delta.uids.at(Uid{10007}).rule, Action::kDeny);
      EXPECT_TRUE(result->delta.chains.has_value());
      EXPECT_THAT(result->difference, HasSubstr("dozable"));
    }
  }
  EXPECT_THAT(
      client_->Commit(transaction, {.expected_generation = Generation{1},
                                    .fence = Fence::kNone,
                                    .mode = CommitMode::kApply}),
      StatusIs(absl::StatusCode::kAborted,
               "commit policy: generation 2 is in force, not 1"));
}

TEST_F(ClientTest, ExplainArrives) {
  const ExplainQuery query = {
      .uid = Uid{10007},
      .interface = "wlan0",
      .direction = Direction::kEgress,
      .remote = AddressBytes{0x20, 0x01, 0x0d, 0xb8, 0, 1},
      .local = AddressBytes{0xfe, 0x80, 0, 0, 0, 2},
      .protocol = 6,
      .remote_port = 443,
      .local_port = 0,
      .metered = Switch::kOn,
      .kind = PacketKind::kTcpFin,
      .tag = 0xffffff82};
  server_.policy().explanation = {
      .generation = Generation{7},
      .query = query,
      .verdicts = {{.direction = Direction::kIngress, .reasons = {}},
                   {.direction = Direction::kSocketCreate,
                    .reasons = {{.number = 17,
                                 .name = "internet_permission",
                                 .detail = "revoked"},
                                {.number = 63, .name = "x", .detail = ""}}}}};
  const absl::StatusOr<Explanation> explanation = client_->Explain(query);
  ASSERT_THAT(explanation, IsOk());
  EXPECT_EQ(server_.policy().last_query.uid, Uid{10007});
  EXPECT_EQ(server_.policy().last_query.interface, "wlan0");
  EXPECT_EQ(server_.policy().last_query.direction, Direction::kEgress);
  EXPECT_EQ(server_.policy().last_query.remote, query.remote);
  EXPECT_EQ(server_.policy().last_query.local, query.local);
  EXPECT_EQ(server_.policy().last_query.protocol, 6);
  EXPECT_EQ(server_.policy().last_query.remote_port, 443);
  EXPECT_EQ(server_.policy().last_query.local_port, 0);
  EXPECT_EQ(server_.policy().last_query.metered, Switch::kOn);
  EXPECT_EQ(server_.policy().last_query.kind, PacketKind::kTcpFin);
  EXPECT_EQ(server_.policy().last_query.tag, 0xffffff82);
  EXPECT_EQ(explanation->generation, Generation{7});
  EXPECT_EQ(explanation->query.uid, Uid{10007});
  EXPECT_EQ(explanation->query.interface, "wlan0");
  EXPECT_EQ(explanation->query.direction, Direction::kEgress);
  ASSERT_THAT(explanation->verdicts, SizeIs(2));
  EXPECT_EQ(explanation->verdicts[0].direction, Direction::kIngress);
  EXPECT_THAT(explanation->verdicts[0].reasons, SizeIs(0));
  EXPECT_EQ(explanation->verdicts[1].direction, Direction::kSocketCreate);
  ASSERT_THAT(explanation->verdicts[1].reasons, SizeIs(2));
  EXPECT_EQ(explanation->verdicts[1].reasons[0].number, 17);
  EXPECT_EQ(explanation->verdicts[1].reasons[0].name, "internet_permission");
  EXPECT_EQ(explanation->verdicts[1].reasons[0].detail, "revoked");
  EXPECT_EQ(explanation->verdicts[1].reasons[1].number, 63);

  ASSERT_THAT(
      client_->Explain({.uid = Uid{0}, .interface = "", .direction = {}}),
      IsOk());
  EXPECT_EQ(server_.policy().last_query.direction, absl::nullopt);
}

TEST_F(ClientTest, StatsArrive) {
  constexpr uint64_t kLarge = UINT64_MAX - 5;
  server_.policy().stats = {
      .rows =
          {{.uid = Uid{10007},
            .tag = 0xfeedface,
            .counter_set = 2,
            .ifindex = IfIndex{3},
            .rx = {.packets = 1, .bytes = 2, .skbs = 3, .skb_bytes = 4},
            .tx = {.packets = kLarge, .bytes = 6, .skbs = 7, .skb_bytes = 8}}},
      .overflow_rx = {.packets = 9, .bytes = 10, .skbs = 11, .skb_bytes = 12},
      .overflow_tx = {.packets = 13, .bytes = 14, .skbs = 15, .skb_bytes = 16},
      .drops = {{.uid = kNoOwner,
                 .direction = Direction::kSocketCreate,
                 .reasons = ReasonSet(uint64_t{1} << 63 | 1),
                 .reason_names = {"uid_rule", "work"},
                 .packets = 17,
                 .bytes = 18}},
      .losses = {{.name = "rows_full", .count = 19}, {.name = "x", .count = 0}},
  };
  const absl::StatusOr<StatsSnapshot> stats = client_->Stats();
  ASSERT_THAT(stats, IsOk());
  ASSERT_THAT(stats->rows, SizeIs(1));
  EXPECT_EQ(stats->rows[0].uid, Uid{10007});
  EXPECT_EQ(stats->rows[0].tag, 0xfeedface);
  EXPECT_EQ(stats->rows[0].counter_set, 2u);
  EXPECT_EQ(stats->rows[0].ifindex, IfIndex{3});
  EXPECT_EQ(stats->rows[0].rx.packets, 1u);
  EXPECT_EQ(stats->rows[0].rx.bytes, 2u);
  EXPECT_EQ(stats->rows[0].rx.skbs, 3u);
  EXPECT_EQ(stats->rows[0].rx.skb_bytes, 4u);
  EXPECT_EQ(stats->rows[0].tx.packets, kLarge);
  EXPECT_EQ(stats->rows[0].tx.bytes, 6u);
  EXPECT_EQ(stats->rows[0].tx.skbs, 7u);
  EXPECT_EQ(stats->rows[0].tx.skb_bytes, 8u);
  EXPECT_EQ(stats->overflow_rx.packets, 9u);
  EXPECT_EQ(stats->overflow_rx.skb_bytes, 12u);
  EXPECT_EQ(stats->overflow_tx.packets, 13u);
  EXPECT_EQ(stats->overflow_tx.skb_bytes, 16u);
  ASSERT_THAT(stats->drops, SizeIs(1));
  EXPECT_EQ(stats->drops[0].uid, kNoOwner);
  EXPECT_EQ(stats->drops[0].direction, Direction::kSocketCreate);
  EXPECT_EQ(stats->drops[0].reasons.bits(), uint64_t{1} << 63 | 1);
  EXPECT_THAT(stats->drops[0].reason_names, ElementsAre("uid_rule", "work"));
  EXPECT_EQ(stats->drops[0].packets, 17u);
  EXPECT_EQ(stats->drops[0].bytes, 18u);
  ASSERT_THAT(stats->losses, SizeIs(2));
  EXPECT_EQ(stats->losses[0].name, "rows_full");
  EXPECT_EQ(stats->losses[0].count, 19u);
  EXPECT_EQ(stats->losses[1].count, 0u);
}

TEST_F(ClientTest, StatusArrives) {
  EngineStatus& status = server_.policy().status;
  status.generation = Generation{5};
  status.fenced_generation = Generation{4};
  status.abi_major = 1;
  status.abi_minor = 2;
  status.cgroup = "/sys/fs/cgroup/\xff";
  status.cgroup_id = 77;
  status.pin_dir = "/sys/fs/bpf/np";
  status.programs = {{.name = "np_egress",
                      .id = 11,
                      .link_id = 12,
                      .tag = "0123456789abcdef",
                      .xlated_bytes = 13,
                      .jited_bytes = 14}};
  status.maps.resize(2);
  status.maps[0].name = "np_rows";
  status.maps[0].id = 15;
  status.maps[0].max_entries = 16;
  status.maps[0].used_entries = 0;
  status.maps[0].memory_bytes = 17;
  status.losses = {{.name = "tables", .count = 18}};
  status.absent_interfaces = {"tun0", "wg*"};

  const absl::StatusOr<EngineStatus> got = client_->Status();
  ASSERT_THAT(got, IsOk());
  EXPECT_EQ(got->generation, Generation{5});
  EXPECT_EQ(got->fenced_generation, Generation{4});
  EXPECT_EQ(got->abi_major, 1u);
  EXPECT_EQ(got->abi_minor, 2u);
  EXPECT_EQ(got->cgroup, "/sys/fs/cgroup/\xff");
  EXPECT_EQ(got->cgroup_id, 77u);
  EXPECT_EQ(got->pin_dir, "/sys/fs/bpf/np");
  ASSERT_THAT(got->programs, SizeIs(1));
  EXPECT_EQ(got->programs[0].name, "np_egress");
  EXPECT_EQ(got->programs[0].id, 11u);
  EXPECT_EQ(got->programs[0].link_id, 12u);
  EXPECT_EQ(got->programs[0].tag, "0123456789abcdef");
  EXPECT_EQ(got->programs[0].xlated_bytes, 13u);
  EXPECT_EQ(got->programs[0].jited_bytes, 14u);
  ASSERT_THAT(got->maps, SizeIs(2));
  EXPECT_EQ(got->maps[0].name, "np_rows");
  EXPECT_EQ(got->maps[0].id, 15u);
  EXPECT_EQ(got->maps[0].max_entries, 16u);
  EXPECT_EQ(got->maps[0].used_entries, 0u);
  EXPECT_EQ(got->maps[0].memory_bytes, 17u);
  EXPECT_EQ(got->maps[1].used_entries, absl::nullopt);
  ASSERT_THAT(got->losses, SizeIs(1));
  EXPECT_EQ(got->losses[0].name, "tables");
}

TEST_F(ClientTest, DoctorArrives) {
  const absl::StatusOr<DoctorReport> report = client_->Doctor();
  ASSERT_THAT(report, IsOk());
  ASSERT_THAT(*report, SizeIs(4));
  EXPECT_EQ((*report)[0].name, "btf");
  EXPECT_EQ((*report)[0].state, DoctorFinding::State::kPresent);
  EXPECT_EQ((*report)[0].detail, "/sys/kernel/btf/vmlinux");
  EXPECT_EQ((*report)[1].state, DoctorFinding::State::kMissing);
  EXPECT_EQ((*report)[1].cost, "slower containers");
  EXPECT_EQ((*report)[2].state, DoctorFinding::State::kFallback);
  EXPECT_EQ((*report)[3].state, DoctorFinding::State::kUnknown);
  EXPECT_EQ((*report)[3].detail, "\xff");
}

TEST_F(ClientTest, TheLogOfCommitsArrives) {
  server_.policy().log = {
      Generation{9},
      {{Generation{3}, absl::FromUnixNanos(1700000000123456789), absl::nullopt,
        ""},
       {Generation{8}, absl::FromUnixSeconds(1),
        CommitAuthor{4294967294, 2147483647, "\xff"}, "+ uid 1: rule deny\n"}}};
  const absl::StatusOr<CommitLogSnapshot> log = client_->Log();
  ASSERT_THAT(log, IsOk());
  EXPECT_EQ(log->in_force, Generation{9});
  ASSERT_THAT(log->commits, SizeIs(2));
  EXPECT_EQ(log->commits[0].generation, Generation{3});
  EXPECT_EQ(log->commits[0].time, absl::FromUnixNanos(1700000000123456789));
  EXPECT_EQ(log->commits[0].author, absl::nullopt);
  EXPECT_EQ(log->commits[1].author,
            (CommitAuthor{4294967294, 2147483647, "\xff"}));
  EXPECT_EQ(log->commits[1].difference, "+ uid 1: rule deny\n");
}

TEST_F(ClientTest, AnOlderPolicyArrives) {
  const absl::StatusOr<PolicySnapshot> then = client_->PolicyAt(Generation{1});
  ASSERT_THAT(then, IsOk());
  EXPECT_EQ(then->generation, Generation{1});
  EXPECT_THAT(client_->PolicyAt(Generation{2}),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ClientTest, ErrorsArriveAsTheyWere) {
  server_.policy().error = absl::ResourceExhaustedError(
      "update np_uid_policy[uid=10007]: map full at 4096 entries");
  EXPECT_EQ(client_->GetPolicy().status(), server_.policy().error);
  EXPECT_EQ(client_->Commit({}, {}).status(), server_.policy().error);
  EXPECT_EQ(client_->Explain({}).status(), server_.policy().error);
  EXPECT_EQ(client_->Stats().status(), server_.policy().error);
  EXPECT_EQ(client_->Status().status(), server_.policy().error);
}

TEST_F(ClientTest, SurvivesARestartOfTheServer) {
  EXPECT_THAT(client_->Status(), IsOk());
  server_.Stop();
  EXPECT_THAT(client_->Status(),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr(server_.path()),
                             HasSubstr("(is netd running?)"))));
  server_.Start();
  // Not even a commit is lost: the old connection's end is seen beforehand.
  EXPECT_THAT(client_->Commit({ClearUid{Uid{1}}}, {}), IsOk());
  server_.Stop();
  server_.Start();
  EXPECT_THAT(client_->Commit({ClearUid{Uid{1}}}, {}), IsOk());
  EXPECT_THAT(client_->Status(), IsOk());
}

TEST_F(ClientTest, ThreadsShareAClient) {
  std::vector<std::thread> threads;
  std::vector<absl::Status> failures(4);
  for (size_t i = 0; i < failures.size(); ++i) {
    threads.emplace_back([this, i, &failures] {
      for (int j = 0; j < 200; ++j) {
        const absl::StatusOr<PolicySnapshot> policy = client_->GetPolicy();
        if (!policy.ok()) failures[i] = policy.status();
        const absl::StatusOr<DoctorReport> doctor = client_->Doctor();
        if (!doctor.ok()) failures[i] = doctor.status();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const absl::Status& failure : failures) EXPECT_THAT(failure, IsOk());
}

TEST(Client, WithoutANetdNamesTheSocket) {
  const ScratchDir dir = ScratchDir::Create().value();
  const std::string path = dir.File("s");
  EXPECT_THAT(Client::Connect(path, kDeadline),
              StatusIs(absl::StatusCode::kUnavailable,
                       absl::StrCat("connect to ", path,
                                    ": no such file or directory (is netd "
                                    "running?)")));
  const UniqueFd unserved(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto address = UnixAddress::Of(path);
  ASSERT_EQ(bind(unserved.get(), address->get(), address->size()), 0);
  EXPECT_THAT(Client::Connect(path, kDeadline),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("connection refused (is netd running?)")));
  EXPECT_THAT(Client::Connect(std::string(200, 'x'), kDeadline),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

// A server that does what the test says, once per connection.
class ScriptedServer {
 public:
  using Script = std::function<void(int fd)>;

  explicit ScriptedServer(std::vector<Script> scripts)
      : path_(dir_.File("s")),
        fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const auto address = UnixAddress::Of(path_);
    EXPECT_EQ(bind(fd_.get(), address->get(), address->size()), 0);
    EXPECT_EQ(listen(fd_.get(), 16), 0);
    thread_ = std::thread([this, scripts = std::move(scripts)] {
      for (const Script& script : scripts) {
        const UniqueFd client(
            accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        script(client.get());
      }
    });
  }
  ~ScriptedServer() { thread_.join(); }

  const std::string& path() const { return path_; }

 private:
  const ScratchDir dir_ = ScratchDir::Create().value();
  const std::string path_;
  const UniqueFd fd_;
  std::thread thread_;
};

void ReadRequest(int fd) {
  FrameHeader header;
  ASSERT_EQ(recv(fd, header.data(), header.size(), MSG_WAITALL),
            static_cast<ssize_t>(header.size()));
  std::string message(DecodeFrameHeader(header), '\0');
  ASSERT_EQ(recv(fd, message.data(), message.size(), MSG_WAITALL),
            static_cast<ssize_t>(message.size()));
}

void WriteFrame(int fd, const std::string& message) {
  const FrameHeader header =
      EncodeFrameHeader(static_cast<uint32_t>(message.size()));
  send(fd, header.data(), header.size(), MSG_NOSIGNAL);
  send(fd, message.data(), message.size(), MSG_NOSIGNAL);
}

void HangUpAfterRequest(int fd) { ReadRequest(fd); }

void AnswerStatus(int fd) {
  ReadRequest(fd);
  service::Response response;
  response.mutable_status()->set_generation(5);
  WriteFrame(fd, response.SerializeAsString());
}

TEST(Client, RepeatsAReadWhoseAnswerIsLostOnce) {
  ScriptedServer server({HangUpAfterRequest, AnswerStatus});
  const auto client = Client::Connect(server.path(), kDeadline);
  ASSERT_THAT(client, IsOk());
  const absl::StatusOr<EngineStatus> status = (*client)->Status();
  ASSERT_THAT(status, IsOk());
  EXPECT_EQ(status->generation, Generation{5});
}

TEST(Client, GivesUpOnAReadThatIsNeverAnswered) {
  ScriptedServer server({HangUpAfterRequest, HangUpAfterRequest});
  const auto client = Client::Connect(server.path(), kDeadline);
  ASSERT_THAT(client, IsOk());
  EXPECT_THAT((*client)->Status(),
              StatusIs(absl::StatusCode::kUnavailable,
                       absl::StrCat("call status on ", server.path(),
                                    ": netd closed the connection without an "
                                    "answer")));
}

TEST(Client, NeverRepeatsACommit) {
  // A second connection would wait for ever.
  ScriptedServer server({HangUpAfterRequest});
  const auto client = Client::Connect(server.path(), kDeadline);
  ASSERT_THAT(client, IsOk());
  EXPECT_THAT((*client)->Commit({ClearUid{Uid{1}}}, {}),
              StatusIs(absl::StatusCode::kUnavailable,
                       EndsWith("without an answer; whether it took effect is "
                                "not known")));
}

TEST(Client, RepeatsACommitThatWasNotReceivedWhole) {
  // Larger than a socket buffer, so that it can't have been received.
  ReplaceChain large{"work", {}};
  for (uint32_t uid = 0; uid < 1000000; ++uid) large.uids.push_back(Uid{uid});
  ScriptedServer server({[](int) {},
                         [](int fd) {
                           ReadRequest(fd);
                           service::Response response;
                           response.mutable_commit()->set_generation(9);
                           response.mutable_commit()->mutable_delta();
                           WriteFrame(fd, response.SerializeAsString());
                         }});
  const auto client = Client::Connect(server.path(), kDeadline);
  ASSERT_THAT(client, IsOk());
  const absl::StatusOr<CommitResult> result = (*client)->Commit({large}, {});
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->generation, Generation{9});
}

TEST(Client, ReadsARefusalThatComesBeforeTheRequestIsTaken) {
  ReplaceChain large{"work", {}};
  for (uint32_t uid = 0; uid < 1000000; ++uid) large.uids.push_back(Uid{uid});
  ScriptedServer server({[](int fd) {
    service::Response response;
    response.set_code(
        static_cast<uint32_t>(absl::StatusCode::kResourceExhausted));
    response.set_message("receive request: too large");
    WriteFrame(fd, response.SerializeAsString());
  }});
  const auto client = Client::Connect(server.path(), kDeadline);
  ASSERT_THAT(client, IsOk());
  EXPECT_THAT((*client)->Commit({large}, {}),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       "receive request: too large"));
}

TEST(Client, NonsenseIsAnErrorThatNamesTheSocket) {
  service::Response other;
  other.mutable_stats();
  service::Response no_direction;
  no_direction.mutable_explain()->mutable_query()->set_uid(1);
  no_direction.mutable_explain()->add_verdicts();
  const struct {
    const char* name;
    std::string answer;
    const char* message;
  } kRows[] = {
      {"noise", "\xff\xff\xff", "3 bytes that are not an answer"},
      {"empty", "", "the answer is to another call"},
      {"another call's", other.SerializeAsString(),
       "the answer is to another call"},
      {"an undecided verdict", no_direction.SerializeAsString(),
       "verdict.direction: missing"},
  };
  for (const auto& row : kRows) {
    ScriptedServer server({[&row](int fd) {
      ReadRequest(fd);
      WriteFrame(fd, row.answer);
    }});
    const auto client = Client::Connect(server.path(), kDeadline);
    ASSERT_THAT(client, IsOk());
    EXPECT_THAT((*client)->Explain({}), StatusIs(absl::StatusCode::kInternal,
                                                 AllOf(HasSubstr(server.path()),
                                                       HasSubstr(row.message))))
        << row.name;
  }
}

TEST(Client, AHugeAnswerIsRefused) {
  ScriptedServer server({[](int fd) {
    ReadRequest(fd);
    send(fd, "\xff\xff\xff\xff", 4, MSG_NOSIGNAL);
  }});
  const auto client = Client::Connect(server.path(), kDeadline);
  ASSERT_THAT(client, IsOk());
  EXPECT_THAT((*client)->Stats(), StatusIs(absl::StatusCode::kInternal,
                                           HasSubstr("4294967295 bytes")));
}

TEST(Client, NoAnswerInTimeIsAnErrorAndTheNextCallStartsAfresh) {
  ScriptedServer server({[](int fd) {
                           ReadRequest(fd);
                           char byte = 0;
                           // Until the client has given up.
                           EXPECT_EQ(recv(fd, &byte, 1, 0), 0);
                         },
                         AnswerStatus});
  const auto client = Client::Connect(server.path(), absl::Milliseconds(300));
  ASSERT_THAT(client, IsOk());
  const absl::Time start = absl::Now();
  EXPECT_THAT((*client)->Status(), StatusIs(absl::StatusCode::kDeadlineExceeded,
                                            AllOf(StartsWith("call status on "),
                                                  HasSubstr(server.path()))));
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(250));
  EXPECT_THAT((*client)->Status(), IsOk());
}

}  // namespace
}  // namespace netpolicy
