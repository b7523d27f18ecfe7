// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_LIBPOLICY_ENGINE_ENGINE_OPTIONS_H_
#define NETPOLICY_LIBPOLICY_ENGINE_ENGINE_OPTIONS_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "libpolicy/engine/quota.h"
#include "libpolicy/model/policy.h"

namespace netpolicy {

enum class OpenMode : uint8_t {
  kLoadOrAdopt,  // set everything up unless it is there
  kAdoptOnly,  // kNotFound unless it is there; programs and links stay as they
               // are found, also those of another version or missing ones
};

// How to open an Engine.
struct EngineOptions {
  // The cgroup v2 directory whose sockets are judged, with everything below it.
  // Empty: the root of the cgroup2 mount; with kAdoptOnly the one that the
  // links are attached to.
  std::string cgroup;

  // A directory on a bpffs, made when its parent is there. Each holds one
  // engine.
  std::string pin_dir = "/sys/fs/bpf/netpolicy";

  OpenMode mode = OpenMode::kLoadOrAdopt;

  // Who may read the pins beside root.
  absl::optional<gid_t> pin_group;

  // Sizes, which count when the tables are made. Adopted tables keep theirs.
  uint32_t max_uids = 16384;      // that a policy may mention; 1 to 2^24
  uint32_t max_rows = 16384;      // of traffic counters, one for each UID, tag,
                                  // counter set and interface; 2 to 2^24
  uint32_t max_rows_per_uid = 0;  // of these that one UID may take; 0: a
                                  // quarter. CPUs that make rows of a UID at
                                  // once may each pass it by one
  uint32_t max_uid_rows = 2048;  // for UIDs as a whole, kept for those that get
                                 // no further row of the ones above; 1 to 2^24
  uint32_t max_drops = 4096;     // rows of drop counters; 1 to 2^24
  uint32_t max_interfaces = 128;  // names and prefixes of names that a policy
                                  // may mention; 1 to 2^24
  uint32_t max_prefixes = 16384;  // addresses of a policy's network rules, once
                                  // for each UID with rules of its own; 1 to
                                  // 2^22
  uint32_t max_network_rules = 16384;  // that they lead to; 1 to 2^22
  uint32_t max_discards = 128;  // addresses with ingress discard; 1 to 2^24
  uint32_t max_source_bytes = 1 << 20;  // of what the policy says of all this;
                                        // 4096 to 2^26
  uint32_t max_refused = 1024;  // peers of which something was refused that are
                                // remembered; 1 to 2^24

  // What is in force when the tables are made, from the first packet on that
  // the programs see. Adopted tables keep the policy they have.
  Policy initial_policy;

  // Likewise the quotas (Engine::Quotas() of before, with what they counted).
  std::vector<Quota> initial_quotas;

  // How long to wait for another process that sets up or commits.
  absl::Duration lock_timeout = absl::Seconds(5);
};

// What Open() found and did.
struct OpenReport {
  enum class Start : uint8_t { kLoaded, kAdopted };
  Start start = Start::kLoaded;
  int leftovers_removed = 0;      // pins of a set-up that was cut off half-way
  int programs_kept = 0;          // adopted: the programs were the same as ours
  int programs_replaced = 0;      // adopted: ours took the place of others
  int quotas_restored = 0;        // loaded: of `initial_quotas`
  int links_created = 0;          // adopted: links that were missing, or whose
                                  // cgroup had been removed
  bool commit_completed = false;  // adopted: a commit had been cut off half-way
};

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_ENGINE_ENGINE_OPTIONS_H_
