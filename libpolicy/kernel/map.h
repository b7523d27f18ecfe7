// SPDX-License-Identifier: Apache-2.0
//
// BPF maps, typed by key and value. A map that is only read and one that is
// written too are two types.
//
//   NP_ASSIGN_OR_RETURN(auto index, (Map<np_uid_key, np_uid_position>::Open(
//                                       std::move(fd))));
//   NP_RETURN_IF_ERROR(index.Update({.uid = 10007}, {.position = 3}));
//
// Errors of all element operations are those of MapStatusFromErrno(). Threads:
// like the file descriptor; the kernel makes element operations atomic with
// respect to lookups by RCU, except that an array element may be seen half
// written.

#ifndef NETPOLICY_LIBPOLICY_KERNEL_MAP_H_
#define NETPOLICY_LIBPOLICY_KERNEL_MAP_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/kernel/errno_status.h"
#include "libpolicy/kernel/key_text.h"

namespace netpolicy {

// What the kernel says of a map (struct bpf_map_info).
struct MapInfo {
  std::string name;  // at most 15 characters
  uint32_t id = 0;
  uint32_t type = 0;  // BPF_MAP_TYPE_*
  uint32_t key_size = 0;
  uint32_t value_size = 0;
  uint32_t max_entries = 0;
  uint32_t flags = 0;  // BPF_F_*

  // The kernel's own account of the memory held, from /proc/self/fdinfo; 0: it
  // does not say.
  uint64_t memory_bytes = 0;
};

absl::StatusOr<MapInfo> ReadMapInfo(int fd);

// The CPUs that a per-CPU value has a copy for. Errors: kInternal.
absl::StatusOr<uint32_t> PossibleCpus();

// A map whose keys and values are bytes. The base of the typed maps; movable.
class RawMap {
 public:
  using KeyToText = absl::FunctionRef<std::string()>;
  using Visit = absl::FunctionRef<void(const void* key, const void* value)>;

  static absl::StatusOr<RawMap> Open(UniqueFd fd);

  int fd() const { return fd_.get(); }
  const MapInfo& info() const { return info_; }

  // Bytes that a lookup returns: the value, or for per-CPU maps a copy for each
  // possible CPU, each rounded up to 8 bytes.
  size_t lookup_size() const { return lookup_size_; }

  // Copies lookup_size() bytes to `value`. False: there is no entry.
  absl::StatusOr<bool> Lookup(const void* key, void* value,
                              KeyToText text) const;
  absl::Status Update(const void* key, const void* value, uint64_t flags,
                      KeyToText text) const;
  absl::Status Delete(const void* key, KeyToText text) const;

  // Sets `count` elements, in one call where the kernel can. Returns in `done`
  // how many were set before an error.
  absl::Status UpdateBatch(const void* keys, const void* values, size_t count,
                           size_t& done) const;
  absl::Status DeleteBatch(const void* keys, size_t count, size_t& done) const;

  // Calls `visit` for the first `limit` elements, in the kernel's order
  // (arrays: by index). An element that stays in the map throughout is visited
  // once; one that comes or goes meanwhile at most once.
  absl::Status ForEach(size_t limit, Visit visit) const;

 private:
  RawMap(UniqueFd fd, MapInfo info, size_t lookup_size)
      : fd_(std::move(fd)), info_(std::move(info)), lookup_size_(lookup_size) {}

  absl::Status Fail(int error, MapOperation operation,
                    absl::string_view key) const;
  absl::StatusOr<bool> ForEachByBatch(size_t limit, Visit visit) const;
  absl::Status ForEachByKey(size_t limit, Visit visit) const;

  UniqueFd fd_;
  MapInfo info_;
  size_t lookup_size_ = 0;
};

namespace internal {
// kFailedPrecondition when the map's sizes aren't these.
absl::Status CheckElementSizes(const MapInfo& info, size_t key_size,
                               size_t value_size);
}  // namespace internal

// A map of plain (not per-CPU) values, to read.
template <typename Key, typename Value>
class ReadOnlyMap {
 public:
  // Errors: kFailedPrecondition when the map's key or value has another size.
  static absl::StatusOr<ReadOnlyMap> Open(UniqueFd fd) {
    NP_ASSIGN_OR_RETURN(RawMap raw, OpenRaw(std::move(fd)));
    return ReadOnlyMap(std::move(raw));
  }

  const RawMap& raw() const { return raw_; }
  const MapInfo& info() const { return raw_.info(); }

  // Unset: there is no entry.
  absl::StatusOr<absl::optional<Value>> Lookup(const Key& key) const {
    Value value;
    NP_ASSIGN_OR_RETURN(const bool found, raw_.Lookup(&key, &value, [&key] {
      return KeyText(key);
    }));
    if (!found) return absl::optional<Value>();
    return absl::optional<Value>(value);
  }

  // Every entry; see RawMap::ForEach().
  absl::StatusOr<std::vector<std::pair<Key, Value>>> Dump() const {
    std::vector<std::pair<Key, Value>> entries;
    NP_RETURN_IF_ERROR(raw_.ForEach(
        info().max_entries, [&entries](const void* key, const void* value) {
          std::pair<Key, Value>& entry = entries.emplace_back();
          std::memcpy(&entry.first, key, sizeof(Key));
          std::memcpy(&entry.second, value, sizeof(Value));
        }));
    return entries;
  }

 protected:
  explicit ReadOnlyMap(RawMap raw) : raw_(std::move(raw)) {}

  static absl::StatusOr<RawMap> OpenRaw(UniqueFd fd) {
    NP_ASSIGN_OR_RETURN(RawMap raw, RawMap::Open(std::move(fd)));
    NP_RETURN_IF_ERROR(
        internal::CheckElementSizes(raw.info(), sizeof(Key), sizeof(Value)));
    return raw;
  }

  RawMap raw_;
};

// A map of plain values, to read and write.
template <typename Key, typename Value>
class Map : public ReadOnlyMap<Key, Value> {
 public:
  static absl::StatusOr<Map> Open(UniqueFd fd) {
    NP_ASSIGN_OR_RETURN(RawMap raw, Map::OpenRaw(std::move(fd)));
    return Map(std::move(raw));
  }

  // `flags`: BPF_ANY, BPF_NOEXIST or BPF_EXIST.
  absl::Status Update(const Key& key, const Value& value,
                      uint64_t flags = 0) const {
    return this->raw_.Update(&key, &value, flags,
                             [&key] { return KeyText(key); });
  }

  absl::Status Delete(const Key& key) const {
    return this->raw_.Delete(&key, [&key] { return KeyText(key); });
  }

  // Element by element in the kernel: on an error the first `done` are set.
  absl::Status UpdateBatch(absl::Span<const Key> keys,
                           absl::Span<const Value> values, size_t& done) const {
    return this->raw_.UpdateBatch(keys.data(), values.data(), keys.size(),
                                  done);
  }
  absl::Status DeleteBatch(absl::Span<const Key> keys, size_t& done) const {
    return this->raw_.DeleteBatch(keys.data(), keys.size(), done);
  }

 private:
  explicit Map(RawMap raw) : ReadOnlyMap<Key, Value>(std::move(raw)) {}
};

// A map with a value for each CPU, to read.
template <typename Key, typename Value>
class PerCpuMap {
 public:
  static absl::StatusOr<PerCpuMap> Open(UniqueFd fd) {
    NP_ASSIGN_OR_RETURN(RawMap raw, RawMap::Open(std::move(fd)));
    NP_RETURN_IF_ERROR(
        internal::CheckElementSizes(raw.info(), sizeof(Key), sizeof(Value)));
    return PerCpuMap(std::move(raw));
  }

  const RawMap& raw() const { return raw_; }
  const MapInfo& info() const { return raw_.info(); }

  // Adds the CPUs' values up with `add(Value& sum, const Value& one)`,
  // beginning with zeros. Each number is read whole; numbers of one CPU may be
  // of slightly different moments.
  template <typename Add>
  absl::StatusOr<absl::optional<Value>> Sum(const Key& key, Add add) const {
    std::vector<char> bytes(raw_.lookup_size());
    NP_ASSIGN_OR_RETURN(
        const bool found,
        raw_.Lookup(&key, bytes.data(), [&key] { return KeyText(key); }));
    if (!found) return absl::optional<Value>();
    return absl::optional<Value>(SumOf(bytes.data(), add));
  }

  // The sums of the first `limit` entries, in the kernel's order.
  template <typename Add>
  absl::StatusOr<std::vector<std::pair<Key, Value>>> DumpSums(size_t limit,
                                                              Add add) const {
    std::vector<std::pair<Key, Value>> sums;
    NP_RETURN_IF_ERROR(
        raw_.ForEach(limit, [&](const void* key, const void* value) {
          std::pair<Key, Value>& entry = sums.emplace_back();
          std::memcpy(&entry.first, key, sizeof(Key));
          entry.second = SumOf(static_cast<const char*>(value), add);
        }));
    return sums;
  }

 private:
  static constexpr size_t kStride = (sizeof(Value) + 7) / 8 * 8;

  explicit PerCpuMap(RawMap raw) : raw_(std::move(raw)) {}

  template <typename Add>
  Value SumOf(const char* bytes, Add add) const {
    Value sum{};
    for (size_t at = 0; at + kStride <= raw_.lookup_size(); at += kStride) {
      Value one;
      std::memcpy(&one, bytes + at, sizeof(Value));
      add(sum, one);
    }
    return sum;
  }

  RawMap raw_;
};

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_KERNEL_MAP_H_
