// SPDX-License-Identifier: Apache-2.0

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "libpolicy/testing/scratch_dir.h"
#include "libpolicy/testing/status_matchers.h"
#include "netd/usage/usage_store.h"

namespace netpolicy {
namespace {

using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::ScratchDir;

std::vector<UsageReading> Rows(uint64_t bytes) {
  std::vector<UsageReading> rows;
  for (uint32_t uid = 0; uid < 3000; ++uid) {
    rows.push_back({2, {uid, 0, 0, "eth0"}, {1, bytes, 1, bytes}});
  }
  return rows;
}

TEST(FullDisk, KeepsWhatWasNotStoredForTheNextFlush) {
  if (geteuid() != 0) GTEST_SKIP() << "needs CAP_SYS_ADMIN to mount";
  absl::StatusOr<ScratchDir> dir = ScratchDir::Create();
  ASSERT_THAT(dir, IsOk());
  ASSERT_EQ(unshare(CLONE_NEWNS), 0);
  ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  ASSERT_EQ(mount("tmpfs", dir->path().c_str(), "tmpfs", 0, "size=4m"), 0);
  absl::StatusOr<std::unique_ptr<UsageStore>> store =
      UsageStore::Open(dir->File("usage.db"), {});
  ASSERT_THAT(store, IsOk());
  ASSERT_THAT((*store)->Add("a", {1795687200, 1000, "b"}, Rows(100)), IsOk());

  const std::string ballast = dir->File("ballast");
  const int fd = open(ballast.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_GE(fd, 0);
  const std::vector<char> block(4096);
  while (write(fd, block.data(), block.size()) > 0) {
  }
  close(fd);
  // The journal has room left over from before; hours of new buckets have not.
  absl::Status full;
  uint64_t bytes = 100;
  for (int64_t hour = 1; hour < 50 && full.ok(); ++hour) {
    bytes += 100;
    full = (*store)->Add(
        "a", {1795687200 + hour * 3600, 1000 + hour * 3600, "b"}, Rows(bytes));
  }
  EXPECT_TRUE(absl::IsResourceExhausted(full) || absl::IsUnavailable(full))
      << full;
  ASSERT_EQ(unlink(ballast.c_str()), 0);
  ASSERT_THAT(
      (*store)->Add("a", {1795687200 + 51 * 3600, 1000 + 51 * 3600, "b"},
                    Rows(bytes + 7)),
      IsOk());
  uint64_t sum = 0;
  const auto rows = (*store)->Query({});
  ASSERT_THAT(rows, IsOk());
  for (const UsageRow& row : *rows) sum += row.counters.rx_bytes;
  EXPECT_EQ(sum, 3000 * (bytes + 7));
  store->reset();
  umount2(dir->path().c_str(), MNT_DETACH);
}

}  // namespace
}  // namespace netpolicy
