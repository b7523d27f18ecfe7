// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/kernel/map.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "libpolicy/kernel/errno_status.h"

namespace netpolicy {
namespace {

// Elements of one batch call, to begin with.
constexpr size_t kBatch = 4096;
constexpr size_t kBatchBytes = 1 << 20;

bool IsPerCpu(uint32_t type) {
  return type == BPF_MAP_TYPE_PERCPU_ARRAY ||
         type == BPF_MAP_TYPE_PERCPU_HASH ||
         type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

// A map type, or a kernel, without batch calls. EINVAL is how a kernel says
// that it does not know a command; if it meant the arguments, the calls by
// element will say so again.
bool IsWithoutBatch(int error) {
  return error == kErrnoNotSupported || error == EOPNOTSUPP || error == EINVAL;
}

// "memlock:\t4096" in the descriptor's fdinfo (bpf_map_show_fdinfo() in
// kernel/bpf/syscall.c).
uint64_t MemoryOf(int fd) {
  std::ifstream fdinfo(absl::StrCat("/proc/self/fdinfo/", fd));
  std::string line;
  while (std::getline(fdinfo, line)) {
    absl::string_view rest = line;
    uint64_t bytes = 0;
    if (absl::ConsumePrefix(&rest, "memlock:") &&
        absl::SimpleAtoi(rest, &bytes)) {
      return bytes;
    }
  }
  return 0;
}

}  // namespace

absl::StatusOr<MapInfo> ReadMapInfo(int fd) {
  bpf_map_info info = {};
  uint32_t size = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd, &info, &size) != 0) {
    return BpfStatusFromErrno(errno, "read map info", "CAP_BPF");
  }
  return MapInfo{.name = info.name,
                 .id = info.id,
                 .type = info.type,
                 .key_size = info.key_size,
                 .value_size = info.value_size,
                 .max_entries = info.max_entries,
                 .flags = info.map_flags,
                 .memory_bytes = MemoryOf(fd)};
}

absl::StatusOr<uint32_t> PossibleCpus() {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return StatusFromErrno(-cpus, "count possible cpus");
  return static_cast<uint32_t>(cpus);
}

absl::StatusOr<RawMap> RawMap::Open(UniqueFd fd) {
  NP_ASSIGN_OR_RETURN(MapInfo info, ReadMapInfo(fd.get()));
  size_t lookup_size = info.value_size;
  if (IsPerCpu(info.type)) {
    NP_ASSIGN_OR_RETURN(const uint32_t cpus, PossibleCpus());
    lookup_size = size_t{(info.value_size + 7U) / 8 * 8} * cpus;
  }
  return RawMap(std::move(fd), std::move(info), lookup_size);
}

absl::Status RawMap::Fail(int error, MapOperation operation,
                          absl::string_view key) const {
  return MapStatusFromErrno(error, operation,
                            absl::StrCat(info_.name, "[", key, "]"), info_.type,
                            info_.max_entries);
}

absl::StatusOr<bool> RawMap::Lookup(const void* key, void* value,
                                    KeyToText text) const {
  if (bpf_map_lookup_elem(fd(), key, value) == 0) return true;
  if (errno == ENOENT) return false;
  return Fail(errno, MapOperation::kLookup, text());
}

absl::Status RawMap::Update(const void* key, const void* value, uint64_t flags,
                            KeyToText text) const {
  if (bpf_map_update_elem(fd(), key, value, flags) == 0) {
    return absl::OkStatus();
  }
  return Fail(errno, MapOperation::kUpdate, text());
}

absl::Status RawMap::Delete(const void* key, KeyToText text) const {
  if (bpf_map_delete_elem(fd(), key) == 0) return absl::OkStatus();
  return Fail(errno, MapOperation::kDelete, text());
}

absl::Status RawMap::UpdateBatch(const void* keys, const void* values,
                                 size_t count, size_t& done) const {
  const auto* key = static_cast<const char*>(keys);
  const auto* value = static_cast<const char*>(values);
  bool batch = count > 1 && keys != nullptr;
  done = 0;
  while (done < count) {
    if (batch) {
      // Queues have no keys and no batches; their keys are null here.
      uint32_t some = static_cast<uint32_t>(std::min(count - done, kBatch));
      const int result =
          bpf_map_update_batch(fd(), key + done * info_.key_size,
                               value + done * info_.value_size, &some, nullptr);
      const int error = errno;
      if (result != 0 && IsWithoutBatch(error)) {
        batch = false;
        continue;
      }
      done += some;
      if (result != 0) {
        return Fail(error, MapOperation::kUpdate,
                    absl::StrCat("entry ", done + 1, " of ", count));
      }
    } else {
      const void* one = keys == nullptr ? nullptr : key + done * info_.key_size;
      if (bpf_map_update_elem(fd(), one, value + done * info_.value_size, 0) !=
          0) {
        return Fail(errno, MapOperation::kUpdate,
                    absl::StrCat("entry ", done + 1, " of ", count));
      }
      ++done;
    }
  }
  return absl::OkStatus();
}

absl::Status RawMap::DeleteBatch(const void* keys, size_t count,
                                 size_t& done) const {
  const auto* key = static_cast<const char*>(keys);
  bool batch = count > 1;
  done = 0;
  while (done < count) {
    if (batch) {
      uint32_t some = static_cast<uint32_t>(std::min(count - done, kBatch));
      const int result = bpf_map_delete_batch(fd(), key + done * info_.key_size,
                                              &some, nullptr);
      const int error = errno;
      if (result != 0 && IsWithoutBatch(error)) {
        batch = false;
        continue;
      }
      done += some;
      if (result != 0) {
        return Fail(error, MapOperation::kDelete,
                    absl::StrCat("entry ", done + 1, " of ", count));
      }
    } else {
      if (bpf_map_delete_elem(fd(), key + done * info_.key_size) != 0) {
        return Fail(errno, MapOperation::kDelete,
                    absl::StrCat("entry ", done + 1, " of ", count));
      }
      ++done;
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> RawMap::ForEachByBatch(size_t limit, Visit visit) const {
  // The position between two calls is a bucket number or a key.
  std::vector<char> position(std::max<size_t>(info_.key_size, 4));
  size_t room = std::min(
      std::clamp<size_t>(kBatchBytes / lookup_size_, 64, kBatch), limit);
  std::vector<char> keys;
  std::vector<char> values;
  size_t visited = 0;
  bool first = true;
  while (visited < limit) {
    keys.resize(room * info_.key_size);
    values.resize(room * lookup_size_);
    uint32_t count = static_cast<uint32_t>(room);
    const int result = bpf_map_lookup_batch(
        fd(), first ? nullptr : position.data(), position.data(), keys.data(),
        values.data(), &count, nullptr);
    const int error = result == 0 ? 0 : errno;
    if (first && IsWithoutBatch(error)) return false;
    if (error == ENOSPC) {
      // One bucket of the hash table holds more than there is room for.
      room *= 2;
      continue;
    }
    if (error != 0 && error != ENOENT) {
      return Fail(error, MapOperation::kDump, "*");
    }
    for (size_t i = 0; i < count && visited < limit; ++i, ++visited) {
      visit(keys.data() + i * info_.key_size, values.data() + i * lookup_size_);
    }
    if (error == ENOENT) break;  // That was the last of them.
    first = false;
  }
  return true;
}

absl::Status RawMap::ForEachByKey(size_t limit, Visit visit) const {
  std::vector<char> key(info_.key_size);
  std::vector<char> next(info_.key_size);
  std::vector<char> value(lookup_size_);
  bool first = true;
  for (size_t visited = 0; visited < limit;) {
    if (bpf_map_get_next_key(fd(), first ? nullptr : key.data(), next.data()) !=
        0) {
      if (errno == ENOENT) break;
      return Fail(errno, MapOperation::kDump, "*");
    }
    first = false;
    key.swap(next);
    if (bpf_map_lookup_elem(fd(), key.data(), value.data()) != 0) {
      if (errno == ENOENT) continue;  // Deleted meanwhile.
      return Fail(errno, MapOperation::kDump, "*");
    }
    visit(key.data(), value.data());
    ++visited;
  }
  return absl::OkStatus();
}

absl::Status RawMap::ForEach(size_t limit, Visit visit) const {
  if (limit == 0) return absl::OkStatus();
  NP_ASSIGN_OR_RETURN(const bool done, ForEachByBatch(limit, visit));
  return done ? absl::OkStatus() : ForEachByKey(limit, visit);
}

absl::Status internal::CheckElementSizes(const MapInfo& info, size_t key_size,
                                         size_t value_size) {
  if (info.key_size == key_size && info.value_size == value_size) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "open map ", info.name, ": key of ", info.key_size, " and value of ",
      info.value_size, " bytes, expected ", key_size, " and ", value_size));
}

}  // namespace netpolicy
