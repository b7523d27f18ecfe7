// SPDX-License-Identifier: Apache-2.0

#include "netd/daemon/state_file.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <fstream>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
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
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Policy SomePolicy() {
  Policy policy;
  PolicyEdit edit(policy);
  for (const Change& change : Transaction{
           SetDefaultInternet{Permission::kRevoked},
           SetChainEnabled{"dozable", Switch::kOn},
           SetChainMember{"dozable", Uid{10007}, Switch::kOn},
           DefineChain{"work", ChainSense::kAllowlist},
           SetChainMember{"work", Uid{10008}, Switch::kOn},
           SetUidRule{Uid{10009}, Action::kDeny},
           SetInternet{kMaxUid, Permission::kGranted},
       }) {
    EXPECT_THAT(edit.Apply(change), IsOk());
  }
  PolicyEdit::ApplyDelta(edit.Delta(), policy);
  return policy;
}

std::string Encoded() { return EncodeState(SomePolicy()).value(); }

// A state file of any header over any text.
std::string WithHeader(const std::string& body, int version) {
  const auto checksum = static_cast<uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(body.data()),
            static_cast<uInt>(body.size())));
  return absl::StrFormat("netpolicy-state %d crc32=%08x length=%d\n%s", version,
                         checksum, body.size(), body);
}

void Write(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

std::string Read(const std::string& path) {
  return ReadFile(path, 1 << 20).value();
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

TEST(State, WhatIsEncodedIsDecoded) {
  for (const Policy& policy : {Policy(), SomePolicy()}) {
    const absl::StatusOr<std::string> encoded = EncodeState(policy);
    ASSERT_THAT(encoded, IsOk());
    EXPECT_THAT(*encoded, StartsWith("netpolicy-state 1 crc32="));
    const absl::StatusOr<Policy> decoded = DecodeState(*encoded, "f");
    ASSERT_THAT(decoded, IsOk());
    EXPECT_TRUE(*decoded == policy);
  }
}

TEST(State, HasTheFormThatIsDocumented) {
  const std::string body = "{\"version\": 1}\n";
  // zlib.crc32(b'{"version": 1}\n') in Python.
  EXPECT_EQ(WithHeader(body, 1),
            absl::StrCat("netpolicy-state 1 crc32=4e09d65e length=15\n", body));
  EXPECT_THAT(DecodeState(WithHeader(body, 1), "f"), IsOk());
}

TEST(State, EveryTruncationIsAnError) {
  const std::string encoded = Encoded();
  for (size_t length = 0; length < encoded.size(); ++length) {
    EXPECT_THAT(
        DecodeState(encoded.substr(0, length), "f"),
        StatusIs(absl::StatusCode::kDataLoss,
                 AllOf(StartsWith("load state f: "),
                       AnyOf(HasSubstr("truncated"), EndsWith("is empty")))))
        << length;
  }
}

TEST(State, EveryFlippedBitIsAnError) {
  const std::string encoded = Encoded();
  for (size_t i = 0; i < encoded.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = encoded;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      EXPECT_THAT(DecodeState(flipped, "f"),
                  StatusIs(AnyOf(absl::StatusCode::kDataLoss,
                                 absl::StatusCode::kFailedPrecondition),
                           StartsWith("load state f: ")))
          << i << " " << bit;
    }
  }
}

TEST(State, WrongContentIsAnErrorThatSaysWhatIsWrong) {
  const std::string body = "{\"version\": 1}\n";
  const std::string good = WithHeader(body, 1);
  const struct {
    const char* name;
    std::string content;
    absl::StatusCode code;
    const char* message;
  } kRows[] = {
      {"a newer version", WithHeader("whatever is in it", 2),
       absl::StatusCode::kFailedPrecondition,
       "load state f: version 2 is newer than 1, the newest that this netd "
       "knows"},
      {"a newer version with another header",
       "netpolicy-state 3 sha256=0 words=4 in one line\n",
       absl::StatusCode::kFailedPrecondition, "version 3 is newer than 1"},
      {"version 0", WithHeader(body, 0), absl::StatusCode::kDataLoss,
       "no version in its first line"},
      {"another file", "{\"version\": 1}\n", absl::StatusCode::kDataLoss,
       "load state f: not a state file of netd"},
      {"zeros", std::string(4096, '\0'), absl::StatusCode::kDataLoss,
       "not a state file of netd"},
      {"something appended", good + "\n", absl::StatusCode::kDataLoss,
       "corrupted: 1 bytes too many"},
      {"a header without end", "netpolicy-state 1 " + std::string(500, 'x'),
       absl::StatusCode::kDataLoss, "no length in its first line"},
      {"another checksum",
       absl::StrCat("netpolicy-state 1 crc32=00000000 "
                    "length=15\n",
                    body),
       absl::StatusCode::kDataLoss, "the checksum does not match"},
      {"a length written otherwise",
       absl::StrCat("netpolicy-state 1 crc32=4e09d65e length=+15\n", body),
       absl::StatusCode::kDataLoss, "corrupted"},
      {"not JSON", WithHeader("{", 1), absl::StatusCode::kInvalidArgument,
       "load state f: policy:1:"},
      {"not a policy", WithHeader("{\"version\": 1, \"chain\": []}", 1),
       absl::StatusCode::kInvalidArgument, "chain"},
      {"not valid",
       WithHeader("{\"version\": 1, \"chains\": [{\"name\": \"A\"}]}", 1),
       absl::StatusCode::kInvalidArgument, "load state f: chains[0]"},
  };
  for (const auto& row : kRows) {
    EXPECT_THAT(DecodeState(row.content, "f"),
                StatusIs(row.code, HasSubstr(row.message)))
        << row.name;
  }
}

TEST(StateFile, WhatIsSavedIsLoaded) {
  const ScratchDir dir = ScratchDir::Create().value();
  const StateFile file(dir.File("state"));
  absl::StatusOr<absl::optional<Policy>> loaded = file.Load();
  ASSERT_THAT(loaded, IsOk());
  EXPECT_FALSE(loaded->has_value());

  for (const Policy& policy : {SomePolicy(), Policy()}) {
    EXPECT_THAT(file.Save(policy), IsOk());
    loaded = file.Load();
    ASSERT_THAT(loaded, IsOk());
    ASSERT_TRUE(loaded->has_value());
    EXPECT_TRUE(**loaded == policy);
    EXPECT_FALSE(Exists(dir.File("state.new")));
  }
  struct stat info = {};
  ASSERT_EQ(stat(dir.File("state").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST(StateFile, IsTheOldOneUntilItIsPublished) {
  const ScratchDir dir = ScratchDir::Create().value();
  const StateFile file(dir.File("state"));
  ASSERT_THAT(file.Save(Policy()), IsOk());
  const std::string before = Read(dir.File("state"));
  {
    absl::StatusOr<StagedFile> staged = file.Stage(SomePolicy());
    ASSERT_THAT(staged, IsOk());
    EXPECT_EQ(Read(dir.File("state")), before);
    EXPECT_TRUE(Exists(dir.File("state.new")));
  }
  EXPECT_FALSE(Exists(dir.File("state.new")));
  EXPECT_EQ(Read(dir.File("state")), before);

  absl::StatusOr<StagedFile> staged = file.Stage(SomePolicy());
  ASSERT_THAT(staged, IsOk());
  StagedFile moved = *std::move(staged);
  EXPECT_THAT(moved.Publish(), IsOk());
  EXPECT_EQ(Read(dir.File("state")), Encoded());
}

TEST(StateFile, WhatACrashLeftIsOverwritten) {
  const ScratchDir dir = ScratchDir::Create().value();
  const StateFile file(dir.File("state"));
  Write(dir.File("state.new"), std::string(100000, 'x'));
  EXPECT_THAT(file.Save(SomePolicy()), IsOk());
  EXPECT_EQ(Read(dir.File("state")), Encoded());
}

TEST(StateFile, AFullDiskChangesNothing) {
  const ScratchDir dir = ScratchDir::Create().value();
  const StateFile file(dir.File("state"));
  ASSERT_THAT(file.Save(Policy()), IsOk());
  const std::string before = Read(dir.File("state"));

  signal(SIGXFSZ, SIG_IGN);
  rlimit unlimited = {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
  rlimit limit = unlimited;
  limit.rlim_cur = 20;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  const absl::Status saved = file.Save(SomePolicy());
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &unlimited), 0);

  EXPECT_FALSE(saved.ok());
  EXPECT_THAT(std::string(saved.message()),
              StartsWith(absl::StrCat("save state ", dir.File("state"), ": ")));
  EXPECT_EQ(Read(dir.File("state")), before);
  EXPECT_FALSE(Exists(dir.File("state.new")));
}

TEST(StateFile, UnusablePathsAreErrorsThatNameIt) {
  const ScratchDir dir = ScratchDir::Create().value();
  ASSERT_EQ(mkdir(dir.File("state").c_str(), 0700), 0);
  EXPECT_THAT(StateFile(dir.File("state")).Load(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr(dir.File("state"))));
  EXPECT_THAT(StateFile(dir.File("state")).Save(Policy()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       absl::StrCat("save state ", dir.File("state"),
                                    ": rename: is a directory")));
  EXPECT_FALSE(Exists(dir.File("state.new")));
  EXPECT_THAT(StateFile(dir.File("none/state")).Save(Policy()),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("none/state.new: no such file")));
  // Not through a link that somebody laid there.
  ASSERT_EQ(symlink(dir.File("target").c_str(), dir.File("a.new").c_str()), 0);
  EXPECT_FALSE(StateFile(dir.File("a")).Save(Policy()).ok());
  EXPECT_FALSE(Exists(dir.File("target")));
}

}  // namespace
}  // namespace netpolicy
