// SPDX-License-Identifier: Apache-2.0

#include "netd/daemon/commit_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/model/edit.h"
#include "libpolicy/testing/scratch_dir.h"
#include "libpolicy/testing/status_matchers.h"
#include "netd/daemon/file.h"

namespace netpolicy {
namespace {

using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::ScratchDir;
using ::netpolicy::testing::StatusIs;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Denies one UID.
Policy Denying(uint32_t uid) {
  Policy policy;
  PolicyEdit edit(policy);
  EXPECT_THAT(edit.Apply(SetUidRule{Uid{uid}, Action::kDeny}), IsOk());
  PolicyEdit::ApplyDelta(edit.Delta(), policy);
  return policy;
}

CommitRecord Record(uint64_t generation, std::string difference = "") {
  return {
      .generation = Generation{generation},
      .time = absl::FromUnixSeconds(1700000000) + absl::Nanoseconds(generation),
      .author = absl::nullopt,
      .difference = std::move(difference)};
}

std::vector<uint64_t> Generations(const CommitLog& log) {
  std::vector<uint64_t> generations;
  for (const CommitRecord& record : log.Records()) {
    generations.push_back(ToInt(record.generation));
  }
  return generations;
}

class CommitLogTest : public ::testing::Test {
 protected:
  CommitLog Open(const CommitLogLimits& limits = {}) {
    absl::StatusOr<CommitLog> log = CommitLog::Open(path_, limits);
    EXPECT_THAT(log, IsOk());
    return *std::move(log);
  }
  // Generations first to last, generation N denying UID 1000 + N.
  void Fill(CommitLog& log, uint64_t first, uint64_t last) {
    for (uint64_t i = first; i <= last; ++i) {
      ASSERT_THAT(log.Append(Record(i), Denying(1000 + i)), IsOk());
    }
  }
  std::string Content() const { return ReadFile(path_, 1 << 20).value(); }
  void Write(const std::string& content) const {
    const UniqueFd fd(open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600));
    ASSERT_TRUE(fd.ok());
    ASSERT_THAT(WriteAll(fd.get(), content, path_), IsOk());
  }

  const ScratchDir dir_ = ScratchDir::Create().value();
  const std::string path_ = dir_.File("log");
};

TEST_F(CommitLogTest, WhatWasAppendedIsThereAfterARestart) {
  CommitRecord first = Record(1, "+ uid 1001: rule deny\n");
  first.author = CommitAuthor{10001, 4711, "ndc uid deny 1001"};
  {
    CommitLog log = Open();
    EXPECT_THAT(log.NewestPolicy(), StatusIs(absl::StatusCode::kNotFound));
    ASSERT_THAT(log.Append(first, Denying(1001)), IsOk());
    ASSERT_THAT(log.Append(Record(5), Denying(1005)), IsOk());
  }
  const CommitLog log = Open();
  const std::vector<CommitRecord> records = log.Records();
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].generation, Generation{1});
  EXPECT_EQ(records[0].time, first.time);
  EXPECT_EQ(records[0].author, first.author);
  EXPECT_EQ(records[0].difference, "+ uid 1001: rule deny\n");
  EXPECT_EQ(records[1].author, absl::nullopt);
  EXPECT_EQ(log.newest(), Generation{5});
  EXPECT_EQ(*log.NewestPolicy(), Denying(1005));
  EXPECT_EQ(log.damaged_bytes(), 0u);
}

TEST_F(CommitLogTest, AGenerationBetweenTwoCommitsHasThePolicyOfTheFirst) {
  CommitLog log = Open();
  Fill(log, 3, 3);
  Fill(log, 7, 7);
  EXPECT_EQ(*log.PolicyAt(Generation{3}, Generation{9}), Denying(1003));
  EXPECT_EQ(*log.PolicyAt(Generation{6}, Generation{9}), Denying(1003));
  EXPECT_EQ(*log.PolicyAt(Generation{7}, Generation{9}), Denying(1007));
  EXPECT_EQ(*log.PolicyAt(Generation{9}, Generation{9}), Denying(1007));
  EXPECT_THAT(log.PolicyAt(Generation{10}, Generation{9}),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("no generation 10; the oldest is 3")));
  EXPECT_THAT(log.PolicyAt(Generation{2}, Generation{9}),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(CommitLogTest, WhenNumbersBeginAnewTheLatestLifeIsMeant) {
  CommitLog log = Open();
  Fill(log, 1, 3);
  ASSERT_THAT(log.Append(Record(1), Denying(2001)), IsOk());
  ASSERT_THAT(log.Append(Record(2), Denying(2002)), IsOk());
  EXPECT_EQ(*log.PolicyAt(Generation{1}, Generation{2}), Denying(2001));
  EXPECT_EQ(*log.PolicyAt(Generation{2}, Generation{2}), Denying(2002));
  EXPECT_EQ(*log.PolicyAt(Generation{3}, Generation{2}), Denying(1003));
  EXPECT_THAT(log.PolicyAt(Generation{4}, Generation{2}),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(CommitLogTest, KeepsTheNewestWithinTheLimits) {
  CommitLog log = Open({.commits = 3, .bytes = 1 << 20});
  Fill(log, 1, 1);
  const size_t one = Content().size();
  Fill(log, 2, 20);
  EXPECT_EQ(Generations(log), (std::vector<uint64_t>{18, 19, 20}));
  // The file is replaced when it has twice the limit.
  EXPECT_LE(Content().size(), 6 * one);
  EXPECT_EQ(Generations(Open({.commits = 3, .bytes = 1 << 20})),
            (std::vector<uint64_t>{18, 19, 20}));
}

TEST_F(CommitLogTest, TheNewestIsKeptHoweverLarge) {
  CommitLog log = Open({.commits = 3, .bytes = 10});
  Fill(log, 1, 4);
  EXPECT_EQ(Generations(log), (std::vector<uint64_t>{4}));
  EXPECT_EQ(Generations(Open()), (std::vector<uint64_t>{4}));
}

TEST_F(CommitLogTest, ALongDifferenceIsCutAtALineAndSaysSo) {
  std::string difference;
  for (int i = 0; i < 10000; ++i) difference += "+ uid 10007: rule deny\n";
  CommitLog log = Open();
  ASSERT_THAT(log.Append(Record(1, difference), Policy()), IsOk());
  // 32768 / 23 bytes.
  EXPECT_THAT(log.Records()[0].difference,
              EndsWith("rule deny\n... and 8576 lines more\n"));
}

// A power cut leaves any prefix of what was appended last.
TEST_F(CommitLogTest, EveryTornEndKeepsAllRecordsBeforeIt) {
  {
    CommitLog log = Open();
    Fill(log, 1, 1);
  }
  const size_t one = Content().size();
  {
    CommitLog log = Open();
    Fill(log, 2, 2);
  }
  const std::string whole = Content();
  for (size_t size = one + 1; size < whole.size(); ++size) {
    Write(whole.substr(0, size));
    CommitLog log = Open();
    EXPECT_EQ(Generations(log), (std::vector<uint64_t>{1})) << size;
    EXPECT_EQ(log.damaged_bytes(), size - one);
    // What comes next is appended to what was kept.
    Fill(log, 9, 9);
    EXPECT_EQ(Generations(Open()), (std::vector<uint64_t>{1, 9})) << size;
    EXPECT_EQ(Open().damaged_bytes(), 0u);
  }
}

TEST_F(CommitLogTest, AFlippedBitEndsTheLogThereAndTheFileIsSetAside) {
  {
    CommitLog log = Open();
    Fill(log, 1, 3);
  }
  std::string content = Content();
  content[content.size() - 5] ^= 1;
  Write(content);
  EXPECT_EQ(Generations(Open()), (std::vector<uint64_t>{1, 2}));
  EXPECT_EQ(*ReadFile(path_ + ".damaged", 1 << 20), content);
}

TEST_F(CommitLogTest, AFileOfAnotherVersionIsSetAside) {
  Write("netpolicy-commits 2\nwhatever");
  CommitLog log = Open();
  EXPECT_EQ(log.damaged_bytes(), 28u);
  EXPECT_TRUE(log.Records().empty());
  EXPECT_EQ(*ReadFile(path_ + ".damaged", 1 << 20),
            "netpolicy-commits 2\nwhatever");
  Fill(log, 1, 1);
  EXPECT_EQ(Generations(Open()), (std::vector<uint64_t>{1}));
}

TEST_F(CommitLogTest, WhatCouldNotBeWrittenIsKnownAndWrittenWithTheNext) {
  CommitLog log = Open();
  // The name of the file that would take its place is taken by a directory.
  ASSERT_EQ(mkdir((path_ + ".new").c_str(), 0700), 0);
  EXPECT_THAT(log.Append(Record(1), Denying(1001)),
              StatusIs(::testing::_, StartsWith(absl::StrCat(
                                         "write commit log ", path_, ": "))));
  EXPECT_EQ(Generations(log), (std::vector<uint64_t>{1}));
  ASSERT_EQ(rmdir((path_ + ".new").c_str()), 0);
  Fill(log, 2, 2);
  EXPECT_EQ(Generations(Open()), (std::vector<uint64_t>{1, 2}));
}

TEST_F(CommitLogTest, IsNobodyElsesToRead) {
  CommitLog log = Open();
  Fill(log, 1, 1);
  struct stat info = {};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

}  // namespace
}  // namespace netpolicy
