// SPDX-License-Identifier: Apache-2.0
//
// The BPF programs against the reference translator.

#ifndef NETPOLICY_CLAT_TESTING_DIFFERENTIAL_H_
#define NETPOLICY_CLAT_TESTING_DIFFERENTIAL_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "clat/offline/sandbox.h"
#include "clat/translator_config.h"

namespace netpolicy::clat::testing {

struct NamedConfig {
  std::string name;
  TranslatorConfig config;
};

// Configurations that between them have every setting and prefix length.
std::vector<NamedConfig> AllConfigs();

// Runs one IP packet through both. Empty: they agree, and all that was sent is
// sound; else the difference with the packet. `outcome`, when given, is what
// the programs said.
absl::StatusOr<std::string> Compare(Sandbox& sandbox, LinkType link,
                                    const TranslatorConfig& config,
                                    Direction direction,
                                    absl::string_view packet,
                                    uint32_t* outcome = nullptr);

// An Ethernet frame with an IP packet that goes this way, or the packet itself.
std::string Frame(LinkType link, Direction direction, absl::string_view packet);

struct DifferentialResult {
  std::vector<std::string> differences;   // at most 10
  std::map<uint32_t, uint64_t> outcomes;  // how often each was seen
  uint64_t packets = 0;
};

// `packets` random packets on this link, over all configurations and both
// directions.
absl::StatusOr<DifferentialResult> RunDifferential(LinkType link, uint64_t seed,
                                                   uint64_t packets);

}  // namespace netpolicy::clat::testing

#endif  // NETPOLICY_CLAT_TESTING_DIFFERENTIAL_H_
