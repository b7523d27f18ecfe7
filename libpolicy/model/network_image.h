#ifndef NETPOLICY_LIBPOLICY_MODEL_NETWORK_IMAGE_H_
#define NETPOLICY_LIBPOLICY_MODEL_NETWORK_IMAGE_H_

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "bpf_progs/abi/network.h"
#include "bpf_progs/abi/policy.h"
#include "libpolicy/model/interface.h"
#include "libpolicy/model/network_rule.h"
#include "libpolicy/model/policy.h"

// What the kernel's tables hold of a policy's interfaces and network rules
// (bpf_progs/abi/network.h). Pure.

namespace netpolicy {

// The numbers of the selectors that a policy uses: bit N of a set of
// interfaces in the tables stands for selector N.
class SelectorNumbers {
 public:
  SelectorNumbers() = default;
  // From np_source: `names` by number, empty where there is none. At most
  // NP_SELECTORS.
  explicit SelectorNumbers(std::vector<std::string> names)
      : names_(std::move(names)) {}

  // Those of another policy: a selector that it uses too keeps its number, so
  // that what is compiled with it stays as it is. Errors: kResourceExhausted
  // when it uses more than NP_SELECTORS.
  absl::StatusOr<SelectorNumbers> Renumber(const Policy& policy) const;

  // By number; empty: none.
  const std::vector<std::string>& names() const { return names_; }

  // The word of a set of interfaces. Each selector is "*" or has a number.
  uint64_t Mask(const Selectors& selectors) const;

  friend bool operator==(const SelectorNumbers&,
                         const SelectorNumbers&) = default;

 private:
  std::vector<std::string> names_;
};

// Every entry of np_interface in one slot.
std::vector<std::pair<np_interface_key, np_interface>> CompileInterfaces(
    const std::vector<Interface>& interfaces, const SelectorNumbers& numbers,
    uint32_t slot);

// Every entry of np_discard in one slot.
std::vector<std::pair<np_discard_key, np_discard>> CompileDiscards(
    const std::vector<IngressDiscard>& discards, const SelectorNumbers& numbers,
    uint32_t slot);

// One slot of np_bind_ports.
std::array<uint64_t, NP_BIND_PORT_WORDS> CompileBindPorts(
    const std::vector<PortRange>& ports);

// The rules that may match an address below a prefix, the first to be asked
// first.
struct CompiledPrefix {
  uint32_t length = 0;                 // bits of `address` that count
  AddressBytes address{};              // IPv4 as ::ffff:a.b.c.d
  std::vector<np_network_rule> rules;  // at most NP_NETWORK_LIST_MAX
};

// A set of rules: `own` are asked before `defaults`. Each prefix comes with the
// rules of all that cover it, so that one lookup finds them all. Errors:
// kResourceExhausted, naming the prefix, when one would have more than
// NP_NETWORK_LIST_MAX.
absl::StatusOr<std::vector<CompiledPrefix>> CompileRuleSet(
    const NetworkRules& own, const NetworkRules& defaults,
    const SelectorNumbers& numbers);

// What compiled tables have numbers for, of one policy.
struct NetworkNumbers {
  SelectorNumbers selectors;
  uint32_t default_set = 0;  // of the defaults' rules; 0: there are none
  uint32_t local_set = 0;    // of local_network; 0: it is empty
};

// Adds to the config what the policy says of networks.
void CompileNetworkConfig(const PolicyDefaults& defaults,
                          const NetworkPolicy& network,
                          const NetworkNumbers& numbers,
                          np_policy_config& config);

// What np_source holds: the parts of a policy that the other tables do not give
// back, and the selectors by number.
std::string SerializeSource(const Policy& policy,
                            const SelectorNumbers& numbers);

struct NetworkSource {
  Policy policy;  // nothing but those parts
  SelectorNumbers selectors;
};
// Errors: kDataLoss.
absl::StatusOr<NetworkSource> ParseSource(absl::string_view bytes);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_MODEL_NETWORK_IMAGE_H_
