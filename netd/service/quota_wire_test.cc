// SPDX-License-Identifier: Apache-2.0

#include "netd/service/quota_wire.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/status_matchers.h"
#include "netd/service/testing/fake_quotas.h"

namespace netpolicy {
namespace {

using ::netpolicy::testing::FakeQuotas;
using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::IsOkAndHolds;
using ::netpolicy::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

std::vector<QuotaDefinition> Definitions() {
  return {
      {.subject = QuotaSubject::OfUid(Uid{0}),
       .kind = QuotaDefinition::Kind::kAlert,
       .unit = QuotaDefinition::Unit::kPackets,
       .directions = QuotaDefinition::Directions::kOut,
       .period = {QuotaPeriod::Kind::kMonth, 31},
       .limit = uint64_t{1} << 62},
      {.subject = QuotaSubject::OfInterface("eth\xff"),
       .directions = QuotaDefinition::Directions::kIn,
       .period = {QuotaPeriod::Kind::kHours, 8784},
       .limit = 0},
      {.subject = QuotaSubject::OfAll(),
       .period = {QuotaPeriod::Kind::kDay, 0},
       .limit = 5},
  };
}

Quota Sample() {
  Quota quota;
  quota.id = QuotaId{0xffffffff};
  quota.definition = Definitions()[0];
  quota.used = 1;
  quota.packets = 2;
  quota.bytes = 3;
  quota.refused_packets = 4;
  quota.refused_bytes = ~uint64_t{0};
  quota.period_start = absl::FromUnixSeconds(-5);
  quota.crossed = true;
  return quota;
}

void ExpectSame(const Quota& got, const Quota& want) {
  EXPECT_EQ(got.id, want.id);
  EXPECT_EQ(got.definition, want.definition);
  EXPECT_EQ(got.used, want.used);
  EXPECT_EQ(got.packets, want.packets);
  EXPECT_EQ(got.bytes, want.bytes);
  EXPECT_EQ(got.refused_packets, want.refused_packets);
  EXPECT_EQ(got.refused_bytes, want.refused_bytes);
  EXPECT_EQ(got.period_start, want.period_start);
  EXPECT_EQ(got.crossed, want.crossed);
}

service::QuotaRequest Request(service::QuotaRequest::Operation operation) {
  service::QuotaRequest request;
  request.set_operation(operation);
  return request;
}

TEST(QuotaWire, KeepsEveryField) {
  for (const QuotaDefinition& definition : Definitions()) {
    EXPECT_THAT(FromWire(ToWire(definition)), IsOkAndHolds(definition));
  }
  FakeQuotas quotas;
  Quota never_begun = Sample();
  never_begun.period_start = absl::InfinitePast();
  never_begun.crossed = false;
  quotas.quotas = {Sample(), never_begun};
  const auto list =
      RunQuota(Request(service::QuotaRequest::OPERATION_LIST), quotas);
  ASSERT_THAT(list, IsOk());
  const auto decoded = QuotasFromWire(*list);
  ASSERT_THAT(decoded, IsOkAndHolds(SizeIs(2)));
  ExpectSame((*decoded)[0], Sample());
  ExpectSame((*decoded)[1], never_begun);

  quotas.alerts = {{{7, absl::FromUnixNanos(1700000000123456789), Sample()}},
                   3};
  const auto alerts =
      RunQuota(Request(service::QuotaRequest::OPERATION_ALERTS), quotas);
  ASSERT_THAT(alerts, IsOk());
  const auto got = AlertsFromWire(*alerts);
  ASSERT_THAT(got, IsOk());
  EXPECT_EQ(got->lost, 3u);
  ASSERT_THAT(got->list, SizeIs(1));
  EXPECT_EQ(got->list[0].number, 7u);
  EXPECT_EQ(got->list[0].time, absl::FromUnixNanos(1700000000123456789));
  ExpectSame(got->list[0].quota, Sample());
}

TEST(QuotaWire, ChangesReachTheKeeper) {
  FakeQuotas quotas;
  service::QuotaRequest set = Request(service::QuotaRequest::OPERATION_SET);
  *set.mutable_definition() = ToWire(Definitions()[1]);
  const auto response = RunQuota(set, quotas);
  ASSERT_THAT(response, IsOk());
  EXPECT_EQ(response->id(), 9u);
  EXPECT_EQ(quotas.last_definition, Definitions()[1]);
  service::QuotaRequest one = Request(service::QuotaRequest::OPERATION_REMOVE);
  one.set_id(3);
  EXPECT_THAT(RunQuota(one, quotas), IsOk());
  EXPECT_EQ(quotas.last_removed, QuotaId{3});
  one.set_operation(service::QuotaRequest::OPERATION_RESET);
  one.set_id(4);
  EXPECT_THAT(RunQuota(one, quotas), IsOk());
  EXPECT_EQ(quotas.last_reset, QuotaId{4});
  one.set_operation(service::QuotaRequest::OPERATION_ACKNOWLEDGE);
  one.set_number(5);
  EXPECT_THAT(RunQuota(one, quotas), IsOk());
  EXPECT_EQ(quotas.last_acknowledged, 5u);
}

TEST(QuotaWire, WhatMakesNoSenseIsRefusedAndChangesNothing) {
  FakeQuotas quotas;
  const auto refused = [&](const service::QuotaRequest& request,
                           const char* why) {
    EXPECT_THAT(RunQuota(request, quotas), StatusIs(kInvalid, HasSubstr(why)));
  };
  using Operation = service::QuotaRequest;
  refused({}, "operation: missing");
  refused(Request(Operation::OPERATION_SET), "definition: missing");
  refused(Request(Operation::OPERATION_REMOVE), "id: missing");
  refused(Request(Operation::OPERATION_RESET), "id: missing");
  refused(Request(Operation::OPERATION_ACKNOWLEDGE), "number: missing");
  service::QuotaRequest set = Request(Operation::OPERATION_SET);
  set.mutable_definition();
  refused(set, "definition.kind: missing");
  *set.mutable_definition() = ToWire(Definitions()[0]);
  set.mutable_definition()->set_interface("eth0");
  refused(set, "both a uid and an interface");
  *set.mutable_definition() = ToWire(Definitions()[0]);
  set.mutable_definition()->clear_limit();
  refused(set, "definition.limit: missing");
  // A period (field 6) that is not known.
  ASSERT_TRUE(set.mutable_definition()->ParseFromString(
      ToWire(Definitions()[0]).SerializeAsString() + "\x30\x09"));
  refused(set, "not known");
  EXPECT_EQ(quotas.changes, 0);

  service::QuotaResponse response;
  response.add_quotas();
  EXPECT_THAT(QuotasFromWire(response), StatusIs(kInvalid));
  response.add_alerts();
  EXPECT_THAT(AlertsFromWire(response), StatusIs(kInvalid));
}

}  // namespace
}  // namespace netpolicy
