// SPDX-License-Identifier: Apache-2.0

#include "netd/service/listener.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/scratch_dir.h"
#include "libpolicy/testing/status_matchers.h"
#include "netd/service/unix_address.h"

namespace netpolicy {
namespace {

using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::ScratchDir;
using ::netpolicy::testing::StatusIs;
using ::testing::HasSubstr;

bool Exists(const std::string& path) {
  struct stat ignored = {};
  return lstat(path.c_str(), &ignored) == 0;
}

UniqueFd ConnectTo(const std::string& path) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto address = UnixAddress::Of(path);
  if (connect(fd.get(), address->get(), address->size()) != 0) return {};
  return fd;
}

TEST(Listener, ServesWithTheModeAndRemovesTheSocket) {
  const ScratchDir dir = ScratchDir::Create().value();
  const std::string path = dir.File("s");
  {
    const absl::StatusOr<Listener> listener = Listener::Open(path, 0621);
    ASSERT_THAT(listener, IsOk());
    struct stat found = {};
    ASSERT_EQ(stat(path.c_str(), &found), 0);
    EXPECT_TRUE(S_ISSOCK(found.st_mode));
    EXPECT_EQ(found.st_mode & 07777, 0621u);
    EXPECT_TRUE(ConnectTo(path).ok());
  }
  EXPECT_FALSE(Exists(path));
}

TEST(Listener, MovedFromLeavesTheSocketAlone) {
  const ScratchDir dir = ScratchDir::Create().value();
  const std::string path = dir.File("s");
  absl::StatusOr<Listener> listener = Listener::Open(path, 0600);
  ASSERT_THAT(listener, IsOk());
  const Listener moved = *std::move(listener);
  listener = absl::UnknownError("gone");
  EXPECT_TRUE(ConnectTo(path).ok());
}

TEST(Listener, SecondOneNamesTheFirst) {
  const ScratchDir dir = ScratchDir::Create().value();
  const std::string path = dir.File("s");
  const absl::StatusOr<Listener> first = Listener::Open(path, 0600);
  ASSERT_THAT(first, IsOk());
  EXPECT_THAT(Listener::Open(path, 0600),
              StatusIs(absl::StatusCode::kUnavailable,
                       absl::StrCat("listen on ", path, ": another netd (pid ",
                                    getpid(), ") is running")));
  EXPECT_TRUE(ConnectTo(path).ok());
}

TEST(Listener, ReplacesTheSocketOfADeadServer) {
  const ScratchDir dir = ScratchDir::Create().value();
  const std::string path = dir.File("s");
  const pid_t child = fork();
  if (child == 0) {
    const absl::StatusOr<Listener> listener = Listener::Open(path, 0600);
    _exit(listener.ok() ? 0 : 1);  // runs no destructor, as kill -9
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  ASSERT_TRUE(Exists(path));
  EXPECT_FALSE(ConnectTo(path).ok());
  const absl::StatusOr<Listener> listener = Listener::Open(path, 0600);
  EXPECT_THAT(listener, IsOk());
  EXPECT_TRUE(ConnectTo(path).ok());
}

TEST(Listener, DoesNotTouchWhatIsNotItsOwn) {
  const ScratchDir dir = ScratchDir::Create().value();
  const std::string file = dir.File("file");
  std::ofstream(file) << "precious";
  EXPECT_THAT(Listener::Open(file, 0600),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       absl::StrCat("listen on ", file,
                                    ": it exists and is not a socket")));
  EXPECT_TRUE(Exists(file));

  const std::string path = dir.File("s");
  const UniqueFd other(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto address = UnixAddress::Of(path);
  ASSERT_EQ(bind(other.get(), address->get(), address->size()), 0);
  ASSERT_EQ(listen(other.get(), 1), 0);
  EXPECT_THAT(Listener::Open(path, 0600),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("another program serves this socket")));
  EXPECT_TRUE(ConnectTo(path).ok());
}

TEST(Listener, UnusablePathsAreErrors) {
  const ScratchDir dir = ScratchDir::Create().value();
  const struct {
    const char* name;
    std::string path;
    absl::StatusCode code;
    const char* message;
  } kRows[] = {
      {"empty", "", absl::StatusCode::kInvalidArgument, "1 to 107 bytes"},
      {"too long", std::string(108, 'x'), absl::StatusCode::kInvalidArgument,
       "1 to 107 bytes"},
      {"no directory", dir.File("none/s"), absl::StatusCode::kNotFound,
       "/none/s: no such file or directory"},
  };
  for (const auto& row : kRows) {
    EXPECT_THAT(Listener::Open(row.path, 0600),
                StatusIs(row.code, HasSubstr(row.message)))
        << row.name;
  }
}

TEST(FileLock, IsGivenBackWithItsHolder) {
  const ScratchDir dir = ScratchDir::Create().value();
  const std::string path = dir.File("lock");
  {
    const absl::StatusOr<FileLock> first = FileLock::Acquire(path);
    ASSERT_THAT(first, IsOk());
    EXPECT_THAT(FileLock::Acquire(path),
                StatusIs(absl::StatusCode::kUnavailable,
                         absl::StrCat("lock ", path, ": another netd (pid ",
                                      getpid(), ") is running")));
  }
  EXPECT_THAT(FileLock::Acquire(path), IsOk());
}

TEST(FileLock, DoesNotFollowALink) {
  const ScratchDir dir = ScratchDir::Create().value();
  ASSERT_EQ(symlink(dir.File("target").c_str(), dir.File("lock").c_str()), 0);
  EXPECT_FALSE(FileLock::Acquire(dir.File("lock")).ok());
  EXPECT_FALSE(Exists(dir.File("target")));
}

}  // namespace
}  // namespace netpolicy
