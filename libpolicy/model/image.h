#ifndef NETPOLICY_LIBPOLICY_MODEL_IMAGE_H_
#define NETPOLICY_LIBPOLICY_MODEL_IMAGE_H_

#include <array>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "bpf_progs/abi/policy.h"
#include "bpf_progs/abi/reason.h"
#include "libpolicy/model/edit.h"
#include "libpolicy/model/ids.h"
#include "libpolicy/model/network_image.h"
#include "libpolicy/model/policy.h"

// What the kernel's tables hold of one policy (bpf_progs/abi/policy.h), and the
// way back. Compiling loses nothing: Decompile(Compile(policy)) == policy, so
// the tables are the one place where the policy in force is kept.
//
// How a policy becomes bits:
//   chain N           bit N of config.enabled while it is on, and of
//                     config.allowlists if it is one; bit N of each listed
//                     UID's rules. background: bit N of config.not_on_loopback.
//   a UID's own rule  bit NP_REASON_UID_RULE, always enabled. Default allow: a
//                     denylist of the UIDs whose rule is deny. Default deny: an
//                     allowlist of the UIDs whose rule is allow.
//   network access    bit NP_REASON_INTERNET_PERMISSION, likewise; at the
//                     socket.
//   what is stated    NP_STATED_*, also where it equals the default.

namespace netpolicy {

// The names of np_chain of one slot, by chain number.
using ChainNames = std::array<np_chain, NP_REASONS>;

struct MapImage {
  np_policy_config config{};
  ChainNames chains{};
  std::string source;  // np_source, without its header
  std::map<uint32_t, std::vector<CompiledPrefix>> sets;  // by number
  // As in slot 0.
  std::vector<std::pair<np_interface_key, np_interface>> interfaces;
  std::vector<std::pair<np_discard_key, np_discard>> discards;
  // The UIDs that the policy mentions. Which position of np_uid_policy each
  // one has is not the policy's business.
  std::map<Uid, np_uid_policy> uids;
};

// Sets of rules are numbered from 1: the defaults', local_network, then those
// of the UIDs. Errors: kResourceExhausted when the policy has more selectors,
// or more rules for one address, than tables can hold.
absl::StatusOr<MapImage> Compile(const Policy& policy);

// The parts of Compile(), for a change that is known (PolicyDelta). When the
// defaults change, every UID's entry does. Constant time.
np_policy_config CompileConfig(const PolicyDefaults& defaults,
                               absl::Span<const Chain> chains,
                               const NetworkPolicy& network,
                               const NetworkNumbers& numbers);
ChainNames CompileChains(absl::Span<const Chain> chains);
np_uid_policy CompileUid(Uid uid, const UidPolicy& policy,
                         const PolicyDefaults& defaults,
                         const SelectorNumbers& selectors,
                         uint32_t network_set);

// The policy that tables hold. `chains` has NP_REASONS entries, by number;
// `uids` are in any order, each naming its UID; entries that say nothing (rules
// and stated are 0) are skipped, whatever UID they name. Tables that were never
// written hold no policy: start them with Compile(Policy()).
//
// Errors, naming the table, the entry and the field: kFailedPrecondition for
// what only another version can have written (unknown rules, flags or padding);
// kDataLoss for what nobody can have meant (a UID in a chain that does not
// exist, two entries of one UID, a rule that contradicts what is stated).
absl::StatusOr<Policy> Decompile(const np_policy_config& config,
                                 absl::Span<const np_chain> chains,
                                 absl::Span<const np_uid_policy> uids,
                                 absl::string_view source);
absl::StatusOr<Policy> Decompile(const MapImage& image);

// For people and goldens: every field by name, rules by the names of their
// reasons, one line for a run of UIDs with the same entry.
std::string ImageToText(const MapImage& image);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_MODEL_IMAGE_H_
