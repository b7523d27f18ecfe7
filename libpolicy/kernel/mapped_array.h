// SPDX-License-Identifier: Apache-2.0
//
// An array map (BPF_F_MMAPABLE) in this process's memory: reading it is a load
// and writing it a store, which programs see at once.
//
//   NP_ASSIGN_OR_RETURN(auto control, MappedArray<np_control>::Map(map));
//   StoreRelease(control.at(0).active, next);
//
// What other processes and programs change meanwhile must be read through
// LoadWord(), LoadAcquire() or CopyWords(): values are only ever touched as
// whole aligned 64-bit words, which no reader sees half.

#ifndef NETPOLICY_LIBPOLICY_KERNEL_MAPPED_ARRAY_H_
#define NETPOLICY_LIBPOLICY_KERNEL_MAPPED_ARRAY_H_

#include <linux/types.h>

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/kernel/map.h"

namespace netpolicy {

// Words of tables, accessed atomically. The templates take exactly __u64, as a
// reference to another type would be one to a copy. std::atomic_ref of a const
// object isn't in C++20; loading never writes, so the cast is sound, also on
// memory that is mapped read-only.
template <std::same_as<__u64> Word>
uint64_t LoadWord(const Word& word) {
  return std::atomic_ref<__u64>(const_cast<__u64&>(word))
      .load(std::memory_order_relaxed);
}
template <std::same_as<__u64> Word>
uint64_t LoadAcquire(const Word& word) {
  return std::atomic_ref<__u64>(const_cast<__u64&>(word))
      .load(std::memory_order_acquire);
}
template <std::same_as<__u64> Word>
void StoreRelease(Word& word, uint64_t value) {
  std::atomic_ref<__u64>(word).store(value, std::memory_order_release);
}

// The words that a struct of a table is made of.
template <typename Value>
inline constexpr size_t kWords = sizeof(Value) / sizeof(__u64);
template <typename Value>
__u64* WordsOf(Value& value) {
  static_assert(sizeof(Value) % sizeof(__u64) == 0);
  return reinterpret_cast<__u64*>(&value);
}
template <typename Value>
const __u64* WordsOf(const Value& value) {
  static_assert(sizeof(Value) % sizeof(__u64) == 0);
  return reinterpret_cast<const __u64*>(&value);
}

// A copy of a struct in a table, taken word by word.
template <typename Value>
Value CopyWords(const Value& from) {
  __u64 words[kWords<Value>];
  for (size_t i = 0; i < kWords<Value>; ++i) {
    words[i] = LoadWord(WordsOf(from)[i]);
  }
  Value copy;
  std::memcpy(&copy, words, sizeof(copy));
  return copy;
}

// A mapping of a whole array map. Outlives the descriptor it was made from.
class RawMapping {
 public:
  enum class Access : uint8_t { kReadOnly, kReadWrite };

  // Errors: kFailedPrecondition when the map isn't BPF_F_MMAPABLE, or when
  // `stride`, the distance of two elements, is not a multiple of 8 that fits
  // the value; kPermissionDenied.
  static absl::StatusOr<RawMapping> Map(const RawMap& map, size_t value_size,
                                        Access access);

  RawMapping(RawMapping&& other) noexcept
      : address_(std::exchange(other.address_, nullptr)),
        bytes_(other.bytes_),
        size_(other.size_) {}
  RawMapping& operator=(RawMapping&& other) noexcept {
    std::swap(address_, other.address_);
    std::swap(bytes_, other.bytes_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~RawMapping();

  void* address() const { return address_; }
  size_t size() const { return size_; }  // in elements

 private:
  RawMapping(void* address, size_t bytes, size_t size)
      : address_(address), bytes_(bytes), size_(size) {}

  void* address_ = nullptr;
  size_t bytes_ = 0;
  size_t size_ = 0;
};

// A mapping to read.
template <typename Value>
class ReadOnlyMappedArray {
 public:
  static absl::StatusOr<ReadOnlyMappedArray> Map(const RawMap& map) {
    NP_ASSIGN_OR_RETURN(
        RawMapping mapping,
        RawMapping::Map(map, sizeof(Value), RawMapping::Access::kReadOnly));
    return ReadOnlyMappedArray(std::move(mapping));
  }

  size_t size() const { return mapping_.size(); }

  // Requires index < size().
  const Value& operator[](size_t index) const {
    return static_cast<const Value*>(mapping_.address())[index];
  }

 protected:
  explicit ReadOnlyMappedArray(RawMapping mapping)
      : mapping_(std::move(mapping)) {}

  RawMapping mapping_;
};

// A mapping to read and write.
template <typename Value>
class MappedArray : public ReadOnlyMappedArray<Value> {
 public:
  static absl::StatusOr<MappedArray> Map(const RawMap& map) {
    NP_ASSIGN_OR_RETURN(
        RawMapping mapping,
        RawMapping::Map(map, sizeof(Value), RawMapping::Access::kReadWrite));
    return MappedArray(std::move(mapping));
  }

  Value& at(size_t index) const {
    return static_cast<Value*>(this->mapping_.address())[index];
  }

 private:
  explicit MappedArray(RawMapping mapping)
      : ReadOnlyMappedArray<Value>(std::move(mapping)) {}
};

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_KERNEL_MAPPED_ARRAY_H_
