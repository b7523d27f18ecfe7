// SPDX-License-Identifier: Apache-2.0

#include "netd/daemon/quota_file.h"

#include <sys/stat.h>

#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/scratch_dir.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy {
namespace {

using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::IsOkAndHolds;
using ::netpolicy::testing::ScratchDir;
using ::netpolicy::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

QuotaState Sample() {
  Quota quota;
  quota.id = QuotaId{3};
  quota.definition = {.subject = QuotaSubject::OfInterface("wwan0"),
                      .kind = QuotaDefinition::Kind::kAlert,
                      .period = {QuotaPeriod::Kind::kMonth, 15},
                      .limit = 5'000'000'000};
  quota.used = 123;
  quota.refused_packets = 7;
  quota.period_start = absl::FromUnixSeconds(1700000000);
  quota.crossed = true;
  QuotaState state;
  state.quotas = {quota};
  state.alerts = {{{4, absl::FromUnixSeconds(1700000001), quota}}, 2};
  state.last_number = 4;
  state.tables = "boot np_quotas=7";
  state.noted = {{QuotaId{3}, 99, 4}};
  return state;
}

std::string Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file),
                     std::istreambuf_iterator<char>());
}

TEST(QuotaFile, KeepsEverything) {
  auto dir = ScratchDir::Create();
  ASSERT_THAT(dir, IsOk());
  const std::string path = dir->File("quotas");
  const QuotaFile file(path);
  auto nothing = file.Load();
  ASSERT_THAT(nothing, IsOk());
  EXPECT_FALSE(nothing->has_value());

  auto staged = file.Stage(EncodeQuotaState(Sample()));
  ASSERT_THAT(staged, IsOk());
  ASSERT_THAT(staged->Publish(), IsOk());
  struct stat info = {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  auto loaded = file.Load();
  ASSERT_THAT(loaded, IsOk());
  ASSERT_TRUE(loaded->has_value());
  const QuotaState& got = **loaded;
  const QuotaState want = Sample();
  ASSERT_THAT(got.quotas, SizeIs(1));
  EXPECT_EQ(got.quotas[0].definition, want.quotas[0].definition);
  EXPECT_EQ(got.quotas[0].used, 123u);
  EXPECT_EQ(got.quotas[0].refused_packets, 7u);
  EXPECT_TRUE(got.quotas[0].crossed);
  ASSERT_THAT(got.alerts.list, SizeIs(1));
  EXPECT_EQ(got.alerts.list[0].number, 4u);
  EXPECT_EQ(got.alerts.list[0].time, want.alerts.list[0].time);
  EXPECT_EQ(got.alerts.lost, 2u);
  EXPECT_EQ(got.last_number, 4u);
  EXPECT_EQ(got.tables, want.tables);
  EXPECT_THAT(got.noted, ElementsAre(want.noted[0]));
  EXPECT_EQ(Read(path), EncodeQuotaState(got));
}

TEST(QuotaFile, WhatIsCutOffOrChangedIsLost) {
  const std::string content = EncodeQuotaState(Sample());
  for (size_t size = 0; size < content.size(); ++size) {
    EXPECT_THAT(DecodeQuotaState(content.substr(0, size), "x"),
                StatusIs(absl::StatusCode::kDataLoss))
        << size;
  }
  for (size_t i = 0; i < content.size(); ++i) {
    std::string other = content;
    other[i] = static_cast<char>(other[i] ^ 1);
    EXPECT_FALSE(DecodeQuotaState(other, "x").ok()) << i;
  }
  EXPECT_THAT(DecodeQuotaState(content + "x", "x"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("too many")));
}

TEST(QuotaFile, ANewerVersionIsNoDamage) {
  const std::string newer = absl::StrReplaceAll(EncodeQuotaState(Sample()),
                                                {{"quotas 1 ", "quotas 2 "}});
  EXPECT_THAT(DecodeQuotaState(newer, "/x"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("load quotas /x: version 2 is newer")));
}

TEST(QuotaFile, IsMovedAsideToANameOfItsOwn) {
  auto dir = ScratchDir::Create();
  ASSERT_THAT(dir, IsOk());
  const std::string path = dir->File("quotas");
  for (const char* name : {".damaged", ".damaged.1"}) {
    std::ofstream(path) << name;
    EXPECT_THAT(QuotaFile(path).MoveAside(),
                IsOkAndHolds(absl::StrCat(path, name)));
    EXPECT_EQ(Read(absl::StrCat(path, name)), name);
  }
}

}  // namespace
}  // namespace netpolicy
