// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/engine/policy_object.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/bpf.h>

#include <cerrno>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "bpf_progs/policy.skel.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/kernel/errno_status.h"
#include "libpolicy/kernel/libbpf_log.h"
#include "libpolicy/kernel/program_features.h"

namespace netpolicy {
namespace {

constexpr uint32_t kMaxEntries = 1 << 24;
constexpr uint32_t kMaxRules = 1 << 22;
constexpr uint32_t kMaxSourceBytes = 1 << 26;

absl::Status CheckRange(absl::string_view option, uint32_t value,
                        uint32_t least, uint32_t most = kMaxEntries) {
  if (value >= least && value <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("open engine: ", option,
                                                 " is ", value, ", must be ",
                                                 least, " to ", most));
}

absl::StatusOr<UniqueFd> Duplicate(int fd, absl::string_view name) {
  UniqueFd copy(fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (copy.ok()) return copy;
  return StatusFromErrno(errno, absl::StrCat("duplicate descriptor of ", name));
}

}  // namespace

void PolicyObject::Destroy::operator()(policy_bpf* skeleton) const {
  policy_bpf::destroy(skeleton);
}

PolicyObject::PolicyObject(std::unique_ptr<policy_bpf, Destroy> skeleton)
    : skeleton_(std::move(skeleton)) {}

PolicyObject::~PolicyObject() = default;

absl::StatusOr<PolicyObject> PolicyObject::Open() {
  const LibbpfLog log;
  std::unique_ptr<policy_bpf, Destroy> skeleton(policy_bpf::open());
  if (skeleton == nullptr) {
    return StatusFromErrno(errno, "open policy programs", log.LastWarning());
  }
  return PolicyObject(std::move(skeleton));
}

absl::Status PolicyObject::SetSizes(const EngineOptions& options) {
  NP_RETURN_IF_ERROR(CheckRange("max_uids", options.max_uids, 1));
  NP_RETURN_IF_ERROR(CheckRange("max_rows", options.max_rows, 2));
  NP_RETURN_IF_ERROR(CheckRange("max_uid_rows", options.max_uid_rows, 1));
  NP_RETURN_IF_ERROR(CheckRange("max_drops", options.max_drops, 1));
  NP_RETURN_IF_ERROR(CheckRange("max_interfaces", options.max_interfaces, 1));
  NP_RETURN_IF_ERROR(
      CheckRange("max_prefixes", options.max_prefixes, 1, kMaxRules));
  NP_RETURN_IF_ERROR(
      CheckRange("max_network_rules", options.max_network_rules, 1, kMaxRules));
  NP_RETURN_IF_ERROR(CheckRange("max_discards", options.max_discards, 1));
  NP_RETURN_IF_ERROR(CheckRange("max_source_bytes", options.max_source_bytes,
                                4096, kMaxSourceBytes));
  NP_RETURN_IF_ERROR(CheckRange("max_refused", options.max_refused, 1));
  // Twice: see Tables::max_uids().
  const uint32_t positions = options.max_uids * 2;
  const std::pair<bpf_map*, uint32_t> sizes[] = {
      {skeleton_->maps.np_uid_index, positions},
      {skeleton_->maps.np_uid_policy, positions * NP_SLOTS},
      {skeleton_->maps.np_rows, options.max_rows + options.max_uid_rows},
      {skeleton_->maps.np_uid_share, options.max_rows},
      // Row 0 is never free.
      {skeleton_->maps.np_free_rows, options.max_rows - 1},
      {skeleton_->maps.np_free_uid, options.max_uid_rows},
      {skeleton_->maps.np_counters, options.max_rows + options.max_uid_rows},
      {skeleton_->maps.np_drops, options.max_drops},
      {skeleton_->maps.np_counter_set, options.max_uids},
      // Each slot has its own.
      {skeleton_->maps.np_interface, options.max_interfaces * NP_SLOTS},
      {skeleton_->maps.np_discard, options.max_discards * NP_SLOTS},
      // Those of the policy before are there until no packet needs them.
      {skeleton_->maps.np_prefix, options.max_prefixes * 2},
      {skeleton_->maps.np_network_rule, options.max_network_rules * 2},
      {skeleton_->maps.np_source,
       (options.max_source_bytes + 7) / 8 * NP_SLOTS},
      {skeleton_->maps.np_refused, options.max_refused},
  };
  for (const auto& [map, size] : sizes) {
    const int error = bpf_map__set_max_entries(map, size);
    if (error != 0) {
      return StatusFromErrno(-error,
                             absl::StrCat("set size of ", bpf_map__name(map)));
    }
  }
  return absl::OkStatus();
}

absl::Status PolicyObject::AdoptTable(absl::string_view name,
                                      const RawMap& table) {
  bpf_map* map =
      bpf_object__find_map_by_name(skeleton_->obj, std::string(name).c_str());
  if (map == nullptr) {
    return absl::InternalError(absl::StrCat("adopt map ", name, ": unknown"));
  }
  const MapInfo& info = table.info();
  const auto check = [&](absl::string_view what, uint32_t is,
                         uint32_t expected) {
    if (is == expected) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat(
        "adopt map ", name, ": ", what, " is ", is, ", expected ", expected));
  };
  NP_RETURN_IF_ERROR(check("type", info.type, bpf_map__type(map)));
  NP_RETURN_IF_ERROR(check("key size", info.key_size, bpf_map__key_size(map)));
  NP_RETURN_IF_ERROR(
      check("value size", info.value_size, bpf_map__value_size(map)));
  NP_RETURN_IF_ERROR(check("flags", info.flags, bpf_map__map_flags(map)));
  const int error = bpf_map__reuse_fd(map, table.fd());
  if (error != 0) {
    return StatusFromErrno(-error, absl::StrCat("adopt map ", name));
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> PolicyObject::MakeTable(absl::string_view name) const {
  const std::string text(name);
  const bpf_map* map =
      bpf_object__find_map_by_name(skeleton_->obj, text.c_str());
  if (map == nullptr) {
    return absl::InternalError(absl::StrCat("create map ", name, ": unknown"));
  }
  LIBBPF_OPTS(bpf_map_create_opts, options);
  options.map_flags = bpf_map__map_flags(map);
  UniqueFd fd(bpf_map_create(bpf_map__type(map), text.c_str(),
                             bpf_map__key_size(map), bpf_map__value_size(map),
                             bpf_map__max_entries(map), &options));
  if (fd.ok()) return fd;
  return BpfStatusFromErrno(errno, absl::StrCat("create map ", name),
                            "CAP_BPF");
}

absl::Status PolicyObject::Load(uint32_t slot_size) {
  skeleton_->rodata->np_slot_size = slot_size;
  skeleton_->rodata->np_storage_at_create = HasStorageAtSocketCreate();
  skeleton_->rodata->np_storage_at_connect = HasStorageAtConnect();
  skeleton_->rodata->np_has_typed_skb = HasTypedSkb();
  const LibbpfLog log;
  const int error = -policy_bpf::load(skeleton_.get());
  if (error == 0) return absl::OkStatus();
  const absl::string_view operation = "load policy programs";
  if (error == EPERM) {
    return BpfStatusFromErrno(error, operation,
                              "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, and on "
                              "old kernels memory that may be locked");
  }
  // EINVAL, EACCES and ENOENT are the verifier's and libbpf's ways of saying
  // that the kernel is not one that the programs can run on.
  if (error == ENOMEM || error == EAGAIN || error == E2BIG) {
    return StatusFromErrno(error, operation, log.LastWarning());
  }
  return absl::FailedPreconditionError(absl::StrCat(
      operation, ": ", ErrnoText(error), " (", log.LastWarning(), ")"));
}

absl::StatusOr<UniqueFd> PolicyObject::TableFd(absl::string_view name) const {
  return Duplicate(bpf_object__find_map_fd_by_name(skeleton_->obj,
                                                   std::string(name).c_str()),
                   name);
}

absl::StatusOr<UniqueFd> PolicyObject::ProgramFd(absl::string_view name) const {
  const bpf_program* program = bpf_object__find_program_by_name(
      skeleton_->obj, std::string(name).c_str());
  return Duplicate(program == nullptr ? -1 : bpf_program__fd(program), name);
}

}  // namespace netpolicy
