// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/engine/table_writer.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <cerrno>
#include <utility>

#include "libpolicy/kernel/errno_status.h"
#include "libpolicy/kernel/mapped_array.h"

namespace netpolicy {
namespace {

class KernelTableWriter : public TableWriter {
 public:
  KernelTableWriter(const Tables& tables, UniqueFd inner)
      : tables_(tables), inner_(std::move(inner)) {}

  absl::Status Store(__u64& word, uint64_t value) override {
    StoreRelease(word, value);
    return absl::OkStatus();
  }

  void Publish(__u64& word, uint64_t value) override {
    StoreRelease(word, value);
  }

  absl::Status InsertPositions(absl::Span<const np_uid_key> uids,
                               absl::Span<const np_uid_position> positions,
                               size_t& done) override {
    if (uids.size() != 1) {
      return tables_.uid_index.UpdateBatch(uids, positions, done);
    }
    const absl::Status status =
        tables_.uid_index.Update(uids[0], positions[0], BPF_NOEXIST);
    done = status.ok() ? 1 : 0;
    return status;
  }

  absl::Status DeletePositions(absl::Span<const np_uid_key> uids,
                               size_t& done) override {
    return tables_.uid_index.DeleteBatch(uids, done);
  }

  absl::Status Set(const RawMap& map, const void* key,
                   const void* value) override {
    return map.Update(key, value, BPF_ANY, [] { return std::string("..."); });
  }

  absl::Status Remove(const RawMap& map, const void* key) override {
    const absl::Status status =
        map.Delete(key, [] { return std::string("..."); });
    return absl::IsNotFound(status) ? absl::OkStatus() : status;
  }

  // A write to a map of maps returns after an RCU grace period
  // (maybe_wait_bpf_programs() in kernel/bpf/syscall.c), and programs on cgroup
  // hooks run inside an RCU read section (bpf_prog_run_array_cg() in
  // kernel/bpf/cgroup.c).
  absl::Status Fence() override {
    const uint32_t key = 0;
    const uint32_t value = static_cast<uint32_t>(inner_.get());
    if (bpf_map_update_elem(tables_.fence.fd(), &key, &value, BPF_ANY) == 0) {
      return absl::OkStatus();
    }
    return MapStatusFromErrno(errno, MapOperation::kUpdate, "np_fence[0]",
                              tables_.fence.info().type,
                              tables_.fence.info().max_entries);
  }

 private:
  const Tables& tables_;
  UniqueFd inner_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<TableWriter>> MakeKernelTableWriter(
    const Tables& tables) {
  // As the program's declaration of np_fence says; nobody ever reads it.
  UniqueFd inner(bpf_map_create(BPF_MAP_TYPE_ARRAY, "np_fence_value",
                                sizeof(uint32_t), sizeof(uint32_t), 1,
                                nullptr));
  if (!inner.ok()) {
    return BpfStatusFromErrno(errno, "create map np_fence_value", "CAP_BPF");
  }
  return std::make_unique<KernelTableWriter>(tables, std::move(inner));
}

}  // namespace netpolicy
