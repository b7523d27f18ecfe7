// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/kernel/map.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/kernel/mapped_array.h"
#include "libpolicy/testing/capability.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy {
namespace {

using testing::Capability;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::StatusIs;

struct Pair {
  __u64 a;
  __u64 b;
};

UniqueFd Make(bpf_map_type type, uint32_t key_size, uint32_t value_size,
              uint32_t entries, uint32_t flags = 0) {
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = flags);
  return UniqueFd(bpf_map_create(type, "test_map", key_size, value_size,
                                 entries, &options));
}

class MapTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (auto missing = testing::MissingCapability({Capability::kBpf})) {
      GTEST_SKIP() << *missing;
    }
  }
};

TEST_F(MapTest, KnowsWhatItIs) {
  auto map = Map<uint32_t, uint64_t>::Open(Make(BPF_MAP_TYPE_HASH, 4, 8, 3));
  ASSERT_THAT(map, IsOk());
  EXPECT_EQ(map->info().name, "test_map");
  EXPECT_EQ(map->info().type, uint32_t{BPF_MAP_TYPE_HASH});
  EXPECT_EQ(map->info().max_entries, 3u);
  EXPECT_GT(map->info().memory_bytes, 0u);
}

TEST_F(MapTest, OtherSizesAreRefused) {
  EXPECT_THAT(
      (Map<uint32_t, uint64_t>::Open(Make(BPF_MAP_TYPE_HASH, 4, 4, 1))),
      StatusIs(absl::StatusCode::kFailedPrecondition,
               "open map test_map: key of 4 and value of 4 bytes, expected 4 "
               "and 8"));
}

TEST_F(MapTest, ElementsAreWrittenReadAndDeleted) {
  auto map = Map<uint32_t, uint64_t>::Open(Make(BPF_MAP_TYPE_HASH, 4, 8, 2));
  ASSERT_THAT(map, IsOk());
  EXPECT_THAT(map->Lookup(5), IsOkAndHolds(absl::nullopt));
  EXPECT_THAT(map->Update(5, 50, BPF_NOEXIST), IsOk());
  EXPECT_THAT(map->Lookup(5), IsOkAndHolds(50u));
  EXPECT_THAT(map->Update(5, 51, BPF_NOEXIST),
              StatusIs(absl::StatusCode::kAlreadyExists,
                       "update test_map[5]: entry exists"));
  EXPECT_THAT(map->Update(6, 60), IsOk());
  EXPECT_THAT(map->Update(7, 70),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       "update test_map[7]: map full at 2 entries"));
  EXPECT_THAT(map->Delete(5), IsOk());
  EXPECT_THAT(map->Delete(5), StatusIs(absl::StatusCode::kNotFound,
                                       "delete test_map[5]: no entry"));
}

TEST_F(MapTest, ADumpHasEveryEntryOnce) {
  // More than fit into one batch call.
  constexpr uint32_t kEntries = 10000;
  auto map =
      Map<uint32_t, uint64_t>::Open(Make(BPF_MAP_TYPE_HASH, 4, 8, kEntries));
  ASSERT_THAT(map, IsOk());
  std::vector<uint32_t> keys;
  std::vector<uint64_t> values;
  for (uint32_t i = 0; i < kEntries; ++i) {
    keys.push_back(i);
    values.push_back(uint64_t{i} * 3);
  }
  size_t done = 0;
  ASSERT_THAT(map->UpdateBatch(keys, values, done), IsOk());
  EXPECT_EQ(done, kEntries);
  auto entries = map->Dump();
  ASSERT_THAT(entries, IsOk());
  std::sort(entries->begin(), entries->end());
  ASSERT_EQ(entries->size(), kEntries);
  for (uint32_t i = 0; i < kEntries; ++i) {
    EXPECT_EQ((*entries)[i], (std::pair<uint32_t, uint64_t>(i, i * 3)));
  }
  ASSERT_THAT(map->DeleteBatch(keys, done), IsOk());
  EXPECT_EQ(done, kEntries);
  EXPECT_THAT(map->Dump(), IsOkAndHolds(::testing::IsEmpty()));
}

TEST_F(MapTest, ABatchThatFailsSaysHowFarItGot) {
  auto map = Map<uint32_t, uint64_t>::Open(Make(BPF_MAP_TYPE_HASH, 4, 8, 2));
  ASSERT_THAT(map, IsOk());
  size_t done = 0;
  EXPECT_THAT(map->UpdateBatch({1, 2, 3}, {1, 2, 3}, done),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       "update test_map[entry 3 of 3]: map full at 2 entries"));
  EXPECT_EQ(done, 2u);
}

TEST_F(MapTest, MapsWithoutBatchesAreWrittenOneByOne) {
  auto queue = RawMap::Open(Make(BPF_MAP_TYPE_QUEUE, 0, 4, 3));
  ASSERT_THAT(queue, IsOk());
  const uint32_t values[] = {7, 8, 9, 10};
  size_t done = 0;
  EXPECT_THAT(queue->UpdateBatch(nullptr, values, 4, done),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("map full at 3 entries")));
  EXPECT_EQ(done, 3u);
  uint32_t first = 0;
  ASSERT_EQ(bpf_map_lookup_and_delete_elem(queue->fd(), nullptr, &first), 0);
  EXPECT_EQ(first, 7u);
}

TEST_F(MapTest, PerCpuValuesAreSummed) {
  auto cpus = PossibleCpus();
  ASSERT_THAT(cpus, IsOk());
  UniqueFd fd = Make(BPF_MAP_TYPE_PERCPU_ARRAY, 4, sizeof(Pair), 3);
  std::vector<Pair> copies;
  uint64_t sum = 0;
  for (uint32_t cpu = 0; cpu < *cpus; ++cpu) {
    copies.push_back({.a = cpu + 1, .b = 100});
    sum += cpu + 1;
  }
  const uint32_t key = 1;
  ASSERT_EQ(bpf_map_update_elem(fd.get(), &key, copies.data(), 0), 0);
  auto map = PerCpuMap<uint32_t, Pair>::Open(std::move(fd));
  ASSERT_THAT(map, IsOk());
  const auto add = [](Pair& to, const Pair& from) {
    to.a += from.a;
    to.b += from.b;
  };
  auto one = map->Sum(1, add);
  ASSERT_THAT(one, IsOk());
  ASSERT_TRUE(one->has_value());
  EXPECT_EQ((*one)->a, sum);
  EXPECT_EQ((*one)->b, 100u * *cpus);
  EXPECT_THAT(map->Sum(3, add), IsOkAndHolds(::testing::Eq(absl::nullopt)));

  auto all = map->DumpSums(2, add);
  ASSERT_THAT(all, IsOk());
  ASSERT_EQ(all->size(), 2u);
  EXPECT_EQ((*all)[0].second.a, 0u);
  EXPECT_EQ((*all)[1].first, 1u);
  EXPECT_EQ((*all)[1].second.a, sum);
}

TEST_F(MapTest, AMappingIsTheArray) {
  UniqueFd fd = Make(BPF_MAP_TYPE_ARRAY, 4, sizeof(Pair), 1000, BPF_F_MMAPABLE);
  auto map = Map<uint32_t, Pair>::Open(std::move(fd));
  ASSERT_THAT(map, IsOk());
  auto mapped = MappedArray<Pair>::Map(map->raw());
  ASSERT_THAT(mapped, IsOk());
  ASSERT_EQ(mapped->size(), 1000u);
  StoreRelease(mapped->at(999).b, 5);
  auto value = map->Lookup(999);
  ASSERT_THAT(value, IsOk());
  EXPECT_EQ((*value)->b, 5u);
  ASSERT_THAT(map->Update(0, {.a = 1, .b = 2}), IsOk());
  auto read_only = ReadOnlyMappedArray<Pair>::Map(map->raw());
  ASSERT_THAT(read_only, IsOk());
  EXPECT_EQ(LoadAcquire((*read_only)[0].a), 1u);
  EXPECT_EQ(CopyWords((*read_only)[0]).b, 2u);
}

TEST_F(MapTest, AnArrayThatWasNotMadeForItIsNotMapped) {
  auto map = RawMap::Open(Make(BPF_MAP_TYPE_ARRAY, 4, sizeof(Pair), 1));
  ASSERT_THAT(map, IsOk());
  EXPECT_THAT(MappedArray<Pair>::Map(*map).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       "map test_map into memory: not made for it"));
  auto other = RawMap::Open(Make(BPF_MAP_TYPE_ARRAY, 4, 8, 1, BPF_F_MMAPABLE));
  ASSERT_THAT(other, IsOk());
  EXPECT_THAT(MappedArray<Pair>::Map(*other).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("value of 8 bytes, expected 16")));
}

TEST_F(MapTest, KeysReadAsWhatTheyAre) {
  EXPECT_EQ(KeyText(np_uid_key{.uid = 10007}), "uid=10007");
  EXPECT_EQ(
      KeyText(np_row_key{.uid = 1, .tag = 2, .counter_set = 3, .ifindex = 4}),
      "uid=1,tag=2,counter_set=3,ifindex=4");
  EXPECT_EQ(KeyText(np_drop_key{.uid = 1, .direction = 2, .reasons = 0x41}),
            "uid=1,direction=2,reasons=0x41");
}

}  // namespace
}  // namespace netpolicy
