// SPDX-License-Identifier: Apache-2.0

#include "netd/service/handler.h"

#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/status_matchers.h"
#include "netd/service/service.pb.h"
#include "netd/service/testing/fake_charging.h"
#include "netd/service/testing/fake_policy.h"
#include "netd/service/testing/fake_quotas.h"
#include "netd/service/wire.h"

namespace netpolicy {
namespace {

using ::netpolicy::testing::FakeCharging;
using ::netpolicy::testing::FakePolicy;
using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr gid_t kReaders = 500;
constexpr gid_t kChangers = 501;
const Peer kRoot = {.uid = 0, .pid = 1, .groups = {0}};
const Peer kReader = {.uid = 1000, .pid = 2, .groups = {1000, kReaders}};
const Peer kChanger = {.uid = 1001,
                       .pid = 3,
                       .groups = {1001, kChangers},
                       .command = "ndc uid deny 10007"};
const Peer kStranger = {.uid = 1002, .pid = 4, .groups = {1002}};

service::Request Call(service::Request::CallCase call) {
  service::Request request;
  switch (call) {
    case service::Request::kGetPolicy:
      request.mutable_get_policy();
      break;
    case service::Request::kCommit:
      *request.mutable_commit() =
          ToWire(Transaction{SetUidRule{Uid{10007}, Action::kDeny}}, {});
      break;
    case service::Request::kExplain:
      request.mutable_explain()->set_uid(10007);
      break;
    case service::Request::kStats:
      request.mutable_stats();
      break;
    case service::Request::kStatus:
      request.mutable_status();
      break;
    case service::Request::kDoctor:
      request.mutable_doctor();
      break;
    case service::Request::kTagSocket:
      request.mutable_tag_socket()->set_tag(7);
      break;
    case service::Request::kCounterSet:
      request.mutable_counter_set();
      break;
    case service::Request::kClat:
      request.mutable_clat()->set_operation(
          service::ClatRequest::OPERATION_UPLINKS);
      break;
    case service::Request::kLog:
      request.mutable_log();
      break;
    case service::Request::kRefused:
      request.mutable_refused()->set_uid(10007);
      request.mutable_refused()->set_max_peers(10);
      break;
    case service::Request::kQuota:
      request.mutable_quota()->set_operation(
          service::QuotaRequest::OPERATION_LIST);
      break;
    case service::Request::kUsage:
      request.mutable_usage();
      break;
    case service::Request::CALL_NOT_SET:
      break;
  }
  return request;
}

class HandlerTest : public ::testing::Test {
 protected:
  absl::Status Handle(const Peer& peer, const std::string& bytes,
                      absl::optional<int> descriptor = absl::nullopt) {
    handled_ = handler_.Handle(peer, bytes, descriptor);
    response_.Clear();
    EXPECT_TRUE(response_.ParseFromString(handled_.response));
    const absl::Status status = StatusFromWire(response_);
    EXPECT_EQ(status, handled_.record.status);
    return status;
  }
  absl::Status Handle(const Peer& peer, const service::Request& request) {
    return Handle(peer, request.SerializeAsString());
  }

  FakePolicy policy_;
  RequestHandler handler_{
      policy_,
      AccessRules{
          .own_uid = 990, .read_group = kReaders, .change_group = kChangers},
      [] {
        return DoctorReport{
            {.name = "btf", .state = {}, .detail = {}, .cost = {}}};
      },
      &policy_};
  HandledRequest handled_;
  service::Response response_;
};

TEST_F(HandlerTest, EachCallNeedsItsRight) {
  const struct {
    service::Request::CallCase call;
    const char* name;
    bool readers;
  } kRows[] = {
      {service::Request::kGetPolicy, "get_policy", true},
      {service::Request::kCommit, "commit", false},
      {service::Request::kExplain, "explain", true},
      {service::Request::kStats, "stats", true},
      {service::Request::kStatus, "status", true},
      {service::Request::kDoctor, "doctor", true},
      {service::Request::kLog, "log", true},
      {service::Request::kRefused, "refused", true},
  };
  for (const auto& row : kRows) {
    const service::Request request = Call(row.call);
    EXPECT_TRUE(Handle(kRoot, request).ok()) << row.name;
    EXPECT_EQ(handled_.record.call, row.name);
    EXPECT_TRUE(Handle(kChanger, request).ok()) << row.name;

    const int calls = policy_.calls;
    EXPECT_THAT(Handle(kStranger, request),
                StatusIs(absl::StatusCode::kPermissionDenied,
                         absl::StrCat("call ", row.name, ": uid 1002 may not ",
                                      row.readers ? "read" : "change")));
    EXPECT_EQ(policy_.calls, calls) << row.name;
    EXPECT_EQ(handled_.after, AfterResponse::kGoOn);
    EXPECT_EQ(response_.result_case(), service::Response::RESULT_NOT_SET);

    if (row.readers) {
      EXPECT_TRUE(Handle(kReader, request).ok()) << row.name;
    } else {
      EXPECT_THAT(
          Handle(kReader, request),
          StatusIs(absl::StatusCode::kPermissionDenied,
                   absl::StrCat("call ", row.name,
                                ": uid 1000 may not change, only read")));
      EXPECT_EQ(policy_.calls, calls) << row.name;
    }
  }
}

class NoUplinks final : public clat::ClatInterface {
 public:
  absl::Status Start(const std::string&, const clat::UplinkSettings&) override {
    return absl::OkStatus();
  }
  absl::Status Stop(const std::string&) override { return absl::OkStatus(); }
  absl::StatusOr<std::vector<clat::UplinkStatus>> Uplinks() override {
    return std::vector<clat::UplinkStatus>();
  }
  absl::StatusOr<std::vector<clat::DiscoveredPrefix>> Discover(
      const std::string&) override {
    return std::vector<clat::DiscoveredPrefix>();
  }
  absl::StatusOr<clat::Changes> ChangesAfter(uint64_t) override {
    return clat::Changes();
  }
};

TEST_F(HandlerTest, WhoMayReadMayLookAtTranslation) {
  NoUplinks clat;
  const service::Request look = Call(service::Request::kClat);
  EXPECT_THAT(Handle(kRoot, look),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("clat_interfaces")))
      << "where nobody translates";
  handler_.set_clat(&clat);
  for (const auto& [operation, readers] :
       {std::pair(service::ClatRequest::OPERATION_UPLINKS, true),
        std::pair(service::ClatRequest::OPERATION_DISCOVER, true),
        std::pair(service::ClatRequest::OPERATION_CHANGES, true),
        std::pair(service::ClatRequest::OPERATION_START, false),
        std::pair(service::ClatRequest::OPERATION_STOP, false)}) {
    service::Request request;
    request.mutable_clat()->set_operation(operation);
    request.mutable_clat()->set_interface("wwan0");
    EXPECT_THAT(Handle(kChanger, request), IsOk());
    EXPECT_EQ(Handle(kReader, request).ok(), readers) << operation;
    EXPECT_THAT(Handle(kStranger, request),
                StatusIs(absl::StatusCode::kPermissionDenied));
  }
}

TEST_F(HandlerTest, AnybodyMayTagButNotForAnybody) {
  FakeCharging charging;
  service::Request tag = Call(service::Request::kTagSocket);
  tag.mutable_tag_socket()->set_charge_uid(0);
  const std::string bytes = tag.SerializeAsString();
  EXPECT_THAT(Handle(kRoot, bytes, 0),
              StatusIs(absl::StatusCode::kUnimplemented));
  handler_.set_charging(&charging);
  const struct {
    const Peer& peer;
    absl::optional<Uid> caller;  // whose permission is asked for
  } kRows[] = {{kRoot, absl::nullopt},
               {kChanger, absl::nullopt},
               {kReader, Uid{1000}},
               {kStranger, Uid{1002}}};
  for (const auto& row : kRows) {
    EXPECT_THAT(Handle(row.peer, bytes, 0), IsOk());
    EXPECT_TRUE(response_.has_tag_socket());
    ASSERT_THAT(charging.calls, SizeIs(1));
    EXPECT_EQ(charging.calls[0].caller, row.caller);
    EXPECT_EQ(charging.calls[0].inode, FakeCharging::InodeOf(0));
    EXPECT_EQ(charging.calls[0].tag.tag, 7u);
    EXPECT_EQ(charging.calls[0].tag.charge, Uid{0});
    charging.calls.clear();
  }
  charging.error = absl::PermissionDeniedError("tag socket: not permitted");
  EXPECT_THAT(Handle(kStranger, bytes, 0),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       "tag socket: not permitted"));
  EXPECT_EQ(handled_.after, AfterResponse::kGoOn);
}

TEST_F(HandlerTest, ADescriptorComesWithTheCallThatTakesOne) {
  FakeCharging charging;
  handler_.set_charging(&charging);
  EXPECT_THAT(Handle(kRoot, Call(service::Request::kTagSocket)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "tag socket: no descriptor came with the request"));
  EXPECT_THAT(charging.calls, IsEmpty());
  for (const auto call :
       {service::Request::kCommit, service::Request::kStats,
        service::Request::kCounterSet, service::Request::kUsage}) {
    EXPECT_THAT(Handle(kRoot, Call(call).SerializeAsString(), 0),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("a descriptor came with it")));
    EXPECT_EQ(handled_.after, AfterResponse::kClose);
  }
  EXPECT_EQ(policy_.calls, 0);
}

TEST_F(HandlerTest, CounterSetsAreSetByPermissionAndReadByReaders) {
  FakeCharging charging;
  handler_.set_charging(&charging);
  charging.sets = {{Uid{10007}, 1}, {Uid{10008}, 15}};
  const service::Request look = Call(service::Request::kCounterSet);
  EXPECT_THAT(Handle(kStranger, look),
              StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(Handle(kReader, look), IsOk());
  ASSERT_EQ(response_.counter_set().entries_size(), 2);
  EXPECT_EQ(response_.counter_set().entries(1).uid(), 10008u);
  EXPECT_EQ(response_.counter_set().entries(1).counter_set(), 15u);

  service::Request set;
  set.mutable_counter_set()->set_uid(10007);
  EXPECT_THAT(Handle(kRoot, set), StatusIs(absl::StatusCode::kInvalidArgument));
  set.mutable_counter_set()->set_counter_set(1);
  EXPECT_THAT(Handle(kRoot, set), IsOk());
  EXPECT_THAT(Handle(kStranger, set), IsOk());
  ASSERT_THAT(charging.calls, SizeIs(2));
  EXPECT_EQ(charging.calls[0].caller, absl::nullopt);
  EXPECT_EQ(charging.calls[1].caller, Uid{1002});
  EXPECT_EQ(charging.calls[1].set, (UidCounterSet{Uid{10007}, 1}));
}

TEST_F(HandlerTest, WhoMayReadMayLookAtQuotas) {
  testing::FakeQuotas quotas;
  EXPECT_THAT(Handle(kRoot, Call(service::Request::kQuota)),
              StatusIs(absl::StatusCode::kUnimplemented));
  handler_.set_quotas(&quotas);
  for (const auto& [operation, readers, change] :
       {std::tuple(service::QuotaRequest::OPERATION_LIST, true, ""),
        std::tuple(service::QuotaRequest::OPERATION_ALERTS, true, ""),
        std::tuple(service::QuotaRequest::OPERATION_SET, false, "set 9"),
        std::tuple(service::QuotaRequest::OPERATION_REMOVE, false, "remove 3"),
        std::tuple(service::QuotaRequest::OPERATION_RESET, false, "reset 3"),
        std::tuple(service::QuotaRequest::OPERATION_ACKNOWLEDGE, false, "")}) {
    service::Request request;
    request.mutable_quota()->set_operation(operation);
    request.mutable_quota()->set_id(3);
    request.mutable_quota()->set_number(0);
    service::QuotaDefinition& definition =
        *request.mutable_quota()->mutable_definition();
    definition.set_kind(service::QuotaDefinition::KIND_LIMIT);
    definition.set_unit(service::QuotaDefinition::UNIT_BYTES);
    definition.set_directions(service::QuotaDefinition::DIRECTIONS_BOTH);
    definition.set_period(service::QuotaDefinition::PERIOD_NONE);
    definition.set_limit(1);
    const int changes = quotas.changes;
    EXPECT_EQ(Handle(kReader, request).ok(), readers) << operation;
    EXPECT_THAT(Handle(kStranger, request),
                StatusIs(absl::StatusCode::kPermissionDenied));
    EXPECT_EQ(quotas.changes, changes) << operation;
    EXPECT_THAT(Handle(kChanger, request), IsOk());
    EXPECT_EQ(handled_.record.change, change);
  }
}

TEST_F(HandlerTest, ReadersMayTryACommit) {
  service::Request request = Call(service::Request::kCommit);
  request.mutable_commit()->set_mode(service::CommitRequest::MODE_DRY_RUN);
  EXPECT_TRUE(Handle(kReader, request).ok());
  EXPECT_TRUE(handled_.record.dry_run);
  EXPECT_EQ(policy_.last_options.mode, CommitMode::kDryRun);
  EXPECT_EQ(policy_.snapshot.generation, Generation{1});
  EXPECT_THAT(Handle(kStranger, request),
              StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(HandlerTest, RecordsTheGenerationOfACommit) {
  EXPECT_TRUE(Handle(kRoot, Call(service::Request::kCommit)).ok());
  EXPECT_EQ(handled_.record.generation, Generation{2});
  EXPECT_FALSE(handled_.record.dry_run);
}

TEST_F(HandlerTest, PassesErrorsOnUnchanged) {
  policy_.error = absl::AbortedError("commit policy: lost the race");
  EXPECT_THAT(
      Handle(kRoot, Call(service::Request::kCommit)),
      StatusIs(absl::StatusCode::kAborted, "commit policy: lost the race"));
  EXPECT_EQ(handled_.after, AfterResponse::kGoOn);
}

TEST_F(HandlerTest, TextNeedNotBeUtf8) {
  policy_.error = absl::NotFoundError("explain interface \xff\xfe: none");
  EXPECT_THAT(Handle(kRoot, Call(service::Request::kExplain)),
              StatusIs(absl::StatusCode::kNotFound, policy_.error.message()));
}

TEST_F(HandlerTest, WithoutADoctorItSaysSo) {
  RequestHandler handler(policy_, {}, nullptr);
  const HandledRequest handled = handler.Handle(
      kRoot, Call(service::Request::kDoctor).SerializeAsString());
  EXPECT_THAT(handled.record.status,
              StatusIs(absl::StatusCode::kUnimplemented));
}

TEST_F(HandlerTest, TheAuthorOfACommitIsThePeer) {
  ASSERT_TRUE(Handle(kChanger, Call(service::Request::kCommit)).ok());
  EXPECT_EQ(policy_.last_options.author,
            (CommitAuthor{1001, 3, "ndc uid deny 10007"}));
}

TEST_F(HandlerTest, AnOlderPolicyIsAskedOfTheHistory) {
  service::Request request = Call(service::Request::kGetPolicy);
  request.mutable_get_policy()->set_generation(1);
  EXPECT_TRUE(Handle(kReader, request).ok());
  EXPECT_EQ(response_.get_policy().generation(), 1u);
  request.mutable_get_policy()->set_generation(9);
  EXPECT_THAT(Handle(kReader, request), StatusIs(absl::StatusCode::kNotFound));

  RequestHandler without(policy_, {}, nullptr);
  EXPECT_THAT(without.Handle(kRoot, request.SerializeAsString()).record.status,
              StatusIs(absl::StatusCode::kUnimplemented,
                       "call get_policy: not served here"));
}

TEST_F(HandlerTest, WhatItCannotReadIsRefusedAndChangesNothing) {
  const std::string commit =
      Call(service::Request::kCommit).SerializeAsString();
  // Field 15 with wire type 0 and the value 1.
  const std::string unknown_field = "\x78\x01";
  service::Request no_transaction;
  no_transaction.mutable_commit();
  service::Request no_uid;
  no_uid.mutable_explain();
  const struct {
    const char* name;
    std::string bytes;
    absl::StatusCode code;
    const char* message;
    AfterResponse after;
  } kRows[] = {
      {"empty", "", absl::StatusCode::kUnimplemented, "names no call",
       AfterResponse::kClose},
      {"only an unknown field", unknown_field, absl::StatusCode::kUnimplemented,
       "names no call", AfterResponse::kClose},
      {"not protobuf", "GET / HTTP/1.1\r\n", absl::StatusCode::kInvalidArgument,
       "16 bytes are not a message of this protocol", AfterResponse::kClose},
      {"one byte short", commit.substr(0, commit.size() - 1),
       absl::StatusCode::kInvalidArgument, "not a message of this protocol",
       AfterResponse::kClose},
      {"a field of the request that is not known", commit + unknown_field,
       absl::StatusCode::kInvalidArgument, "decode request: it has fields",
       AfterResponse::kClose},
      // get_policy (field 1, 2 bytes) { field 15: 1 }
      {"a field of an empty call", "\x0a\x02\x78\x01",
       absl::StatusCode::kInvalidArgument, "decode get_policy: it has fields",
       AfterResponse::kClose},
      // commit (field 2, 4 bytes) { transaction (1): {}; mode (4): 7 }
      {"a mode that is not known", std::string("\x12\x04\x0a\x00\x20\x07", 6),
       absl::StatusCode::kInvalidArgument, "decode commit: it has fields or v",
       AfterResponse::kClose},
      // explain (field 3, 4 bytes) { uid (1): 5; direction (3): 9 }
      {"a direction that is not known", "\x1a\x04\x08\x05\x18\x09",
       absl::StatusCode::kInvalidArgument, "decode explain: it has fields",
       AfterResponse::kClose},
      {"a commit of nothing", no_transaction.SerializeAsString(),
       absl::StatusCode::kInvalidArgument, "commit.transaction: missing",
       AfterResponse::kGoOn},
      {"explain nobody", no_uid.SerializeAsString(),
       absl::StatusCode::kInvalidArgument, "explain.uid: missing",
       AfterResponse::kGoOn},
      // quota (field 12, 6 bytes) { operation (1): 1; definition (2): {
      //   kind (3): 7 } }
      {"a kind of quota that is not known", "\x62\x06\x08\x01\x12\x02\x18\x07",
       absl::StatusCode::kInvalidArgument,
       "decode quota.definition: it has fields", AfterResponse::kClose},
      // commit { transaction { change (1): {} } }
      {"an empty change", std::string("\x12\x04\x0a\x02\x0a\x00", 6),
       absl::StatusCode::kInvalidArgument, "changes[0]", AfterResponse::kGoOn},
  };
  for (const auto& row : kRows) {
    EXPECT_THAT(Handle(kRoot, row.bytes),
                StatusIs(row.code, HasSubstr(row.message)))
        << row.name;
    EXPECT_EQ(handled_.after, row.after) << row.name;
    EXPECT_EQ(policy_.calls, 0) << row.name;
  }
}

TEST_F(HandlerTest, EveryTruncationOfACommitIsRefusedOrWhole) {
  const std::string commit =
      Call(service::Request::kCommit).SerializeAsString();
  for (size_t length = 0; length < commit.size(); ++length) {
    EXPECT_FALSE(Handle(kRoot, commit.substr(0, length)).ok()) << length;
  }
  EXPECT_THAT(policy_.transactions, IsEmpty());
  EXPECT_TRUE(Handle(kRoot, commit).ok());
  EXPECT_THAT(policy_.transactions, SizeIs(1));
}

TEST(StatusOnTheWire, EveryCodeArrives) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status sent(static_cast<absl::StatusCode>(code), "op x: cause");
    service::Response response;
    ASSERT_TRUE(response.ParseFromString(EncodeErrorResponse(sent)));
    EXPECT_EQ(StatusFromWire(response), sent) << code;
  }
}

TEST(StatusOnTheWire, CodesNobodyKnowsAreUnknownErrors) {
  service::Response response;
  response.set_code(4711);
  response.set_message("op x: cause");
  EXPECT_THAT(StatusFromWire(response),
              StatusIs(absl::StatusCode::kUnknown, "op x: cause"));
}

}  // namespace
}  // namespace netpolicy
