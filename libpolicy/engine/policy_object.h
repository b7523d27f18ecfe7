// SPDX-License-Identifier: Apache-2.0
//
// bpf_progs/policy.bpf.c on its way into the kernel.

#ifndef NETPOLICY_LIBPOLICY_ENGINE_POLICY_OBJECT_H_
#define NETPOLICY_LIBPOLICY_ENGINE_POLICY_OBJECT_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/engine/engine_options.h"
#include "libpolicy/kernel/map.h"

struct policy_bpf;

namespace netpolicy {

// The programs and the declarations of their tables. Open, then either
// SetSizes() or AdoptTable() for each table, then Load().
class PolicyObject {
 public:
  static absl::StatusOr<PolicyObject> Open();

  PolicyObject(PolicyObject&&) = default;
  PolicyObject& operator=(PolicyObject&&) = default;
  ~PolicyObject();

  // Fresh tables of these sizes.
  absl::Status SetSizes(const EngineOptions& options);

  // The programs will use this existing table. Errors: kFailedPrecondition when
  // its type or its elements are not those that they were compiled for.
  absl::Status AdoptTable(absl::string_view name, const RawMap& map);

  // A new table as the programs declare it, for pins that lack it.
  absl::StatusOr<UniqueFd> MakeTable(absl::string_view name) const;

  // Creates what tables are missing and loads the programs. `slot_size`:
  // positions in a slot of np_uid_policy. Errors: kPermissionDenied;
  // kFailedPrecondition with the verifier's last words.
  absl::Status Load(uint32_t slot_size);

  // New descriptors. After Load().
  absl::StatusOr<UniqueFd> TableFd(absl::string_view name) const;
  absl::StatusOr<UniqueFd> ProgramFd(absl::string_view name) const;

 private:
  struct Destroy {
    void operator()(policy_bpf* skeleton) const;
  };
  explicit PolicyObject(std::unique_ptr<policy_bpf, Destroy> skeleton);

  std::unique_ptr<policy_bpf, Destroy> skeleton_;
};

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_ENGINE_POLICY_OBJECT_H_
