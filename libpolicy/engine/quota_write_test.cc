// SPDX-License-Identifier: Apache-2.0
//
// Setting a quota when a write fails: all of it is there, or nothing.

#include <memory>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/engine/engine.h"
#include "libpolicy/engine/engine_fixture.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy {
namespace {

using ::testing::IsEmpty;
using testing::IsOk;
using testing::IsOkAndHolds;
using ::testing::SizeIs;
using testing::StatusIs;

// Fails the n-th write that can fail, from 1.
class FailingWriter : public ForwardingWriter {
 public:
  FailingWriter(std::unique_ptr<TableWriter> next, int n)
      : ForwardingWriter(std::move(next)), n_(n) {}

  absl::Status Store(__u64& word, uint64_t value) override {
    if (--n_ == 0) return absl::ResourceExhaustedError("test");
    return next().Store(word, value);
  }
  absl::Status Set(const RawMap& map, const void* key,
                   const void* value) override {
    if (--n_ == 0) return absl::ResourceExhaustedError("test");
    return next().Set(map, key, value);
  }

 private:
  int n_;
};

class QuotaWriteTest : public EngineFixture {};

QuotaDefinition Definition(uint32_t uid) {
  QuotaDefinition definition;
  definition.subject = QuotaSubject::OfUid(Uid{uid});
  definition.limit = 1000;
  return definition;
}

TEST_F(QuotaWriteTest, AWriteThatFailsLeavesNothingAndTheNextCallWorks) {
  int n = 1;
  for (bool failed = true; failed; ++n) {
    SCOPED_TRACE(n);
    ASSERT_LT(n, 100);
    auto engine = Open();
    ASSERT_NE(engine, nullptr);
    ASSERT_THAT(engine->SetQuota(Definition(1)), IsOkAndHolds(QuotaId{1}));
    EnginePeer::ReplaceWriter(*engine, [n](auto next) {
      return std::make_unique<FailingWriter>(std::move(next), n);
    });
    const auto id = engine->SetQuota(Definition(2));
    failed = !id.ok();
    EXPECT_THAT(engine->Quotas(), IsOkAndHolds(SizeIs(failed ? 1 : 2)));
    if (failed) {
      EXPECT_THAT(engine->SetQuota(Definition(3)), IsOk());
      EXPECT_THAT(engine->Quotas(), IsOkAndHolds(SizeIs(2)));
    }
    ASSERT_THAT(Engine::Detach(Options().pin_dir), IsOk());
  }
  EXPECT_GT(n, 15);
}

TEST_F(QuotaWriteTest, TheSameQuotaAgainChangesItsLimit) {
  auto engine = Open();
  ASSERT_NE(engine, nullptr);
  QuotaDefinition definition = Definition(1);
  ASSERT_THAT(engine->SetQuota(definition), IsOkAndHolds(QuotaId{1}));
  definition.limit = 5;
  ASSERT_THAT(engine->SetQuota(definition), IsOkAndHolds(QuotaId{1}));
  const auto quotas = engine->Quotas();
  ASSERT_THAT(quotas, IsOkAndHolds(SizeIs(1)));
  EXPECT_EQ(quotas->front().definition, definition);
}

TEST_F(QuotaWriteTest, ASubjectHasFourAndWrongOnesAreRefused) {
  auto engine = Open();
  ASSERT_NE(engine, nullptr);
  QuotaDefinition definition = Definition(1);
  definition.period.kind = QuotaPeriod::Kind::kMonth;
  for (uint32_t day = 1; day <= 4; ++day) {
    definition.period.value = day;
    EXPECT_THAT(engine->SetQuota(definition), IsOkAndHolds(QuotaId{day}));
  }
  definition.period.value = 5;
  EXPECT_THAT(engine->SetQuota(definition),
              StatusIs(absl::StatusCode::kResourceExhausted));
  definition.period.value = 32;
  EXPECT_THAT(engine->SetQuota(definition),
              StatusIs(absl::StatusCode::kInvalidArgument));
  definition = Definition(1);
  definition.subject = QuotaSubject::OfInterface("sixteen_is_a_lot");
  EXPECT_THAT(engine->SetQuota(definition),
              StatusIs(absl::StatusCode::kInvalidArgument));
  // Ids are not given out again.
  ASSERT_THAT(engine->RemoveQuota(QuotaId{4}), IsOk());
  definition = Definition(2);
  EXPECT_THAT(engine->SetQuota(definition), IsOkAndHolds(QuotaId{5}));
}

}  // namespace
}  // namespace netpolicy
